"""A table of the page, and how numbers are written in it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from regfold.formatting import significant

# Of more lines, a note says where the others are.
MOST_LINES = 200


@dataclass(frozen=True)
class Table:
    """Text cells under text heads; the columns named in `text` are aligned left, numbers right."""

    head: Sequence[str]
    lines: Sequence[Sequence[str]]
    text: Sequence[int] = field(default=(0,))
    note: str = ""


def number(value: float | None) -> str:
    return "–" if value is None else str(value) if isinstance(value, int) else significant(value)


def probability(value: float) -> str:
    """A probability in two digits, never rounded to 0 or 1."""
    return "< 0.01" if value < 0.005 else "> 0.99" if value > 0.995 else f"{value:.2f}"


def percent(value: float) -> str:
    """A share in percent, or a dash where it is undefined."""
    return "–" if math.isnan(value) else f"{100 * value:.1f} %"
