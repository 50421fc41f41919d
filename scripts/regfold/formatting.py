"""Numbers, durations and text in messages and reports. Imports nothing of the package."""

from collections.abc import Sequence


def visible(text: object) -> str:
    """The text on one line, every character that is not printable replaced by its escape, such as `\\n`.

    So no name, path or message from outside can forge a line, control a terminal (`\\x1b[2J`) or reverse the
    direction of writing (`\\u202e`). Applying it twice changes nothing.
    """
    line = str(text)
    return line if line.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)


def first_few(texts: Sequence[str], most: int) -> str:
    """`a, b, c and 9,997 more`: the first `most` texts, or all where that would leave out a single one."""
    if len(texts) <= most + 1:
        return ", ".join(texts)
    return f"{', '.join(texts[:most])} and {len(texts) - most:,} more"


def counted(number: int, noun: str) -> str:
    """`1 row`, `0 rows`, `1,234 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def significant(value: float | None, digits: int = 4) -> str:
    """A number to a few significant digits: 0.07123, 801.5, 12,346, 1.235e+09; "none", "not finite"."""
    if value is None:
        return "none"
    if value != value or value in (float("inf"), float("-inf")):
        return "not finite"
    if value == 0 or isinstance(value, int):
        return f"{value:,.0f}"
    if 1e-4 <= abs(value) < 1e7:
        exponent = int(f"{abs(value):.{digits - 1}e}".split("e")[1])
        return f"{value:,.{max(0, digits - 1 - exponent)}f}"
    return f"{value:.{digits - 1}e}"


def duration(seconds: float) -> str:
    """`8.1 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 60:
        return f"{significant(float(seconds), 2)} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
