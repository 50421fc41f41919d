"""A table of the page, and the format of its numbers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from regfold.formatting import significant

# The most lines of a table; a note tells where the others are.
MOST_LINES = 200


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        head: the columns' titles.
        lines: the cells of each line.
        text: the positions of columns that are aligned left; the others hold numbers, aligned right.
        note: a sentence below the table; "" for none.
    """

    head: Sequence[str]
    lines: Sequence[Sequence[str]]
    text: Sequence[int] = field(default=(0,))
    note: str = ""


def number(value: float | None) -> str:
    """A number to a few significant digits, integers in full, or a dash for None."""
    return "–" if value is None else str(value) if isinstance(value, int) else significant(value)


def probability(value: float) -> str:
    """A probability in two digits, never rounded to 0 or 1."""
    return "< 0.01" if value < 0.005 else "> 0.99" if value > 0.995 else f"{value:.2f}"


def percent(value: float) -> str:
    """A share in percent, or a dash where it is undefined."""
    return "–" if math.isnan(value) else f"{100 * value:.1f} %"
