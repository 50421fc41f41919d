"""Numbers and text for people: what means something, and what can be seen. Imports nothing of the package."""

from collections.abc import Sequence


def visible(text: object) -> str:
    """On one line and with nothing hidden: what is not printable becomes its escape, such as `\\n`.

    So no name, path or message of others can forge a line, steer a terminal (`\\x1b[2J`) or turn the
    direction of writing (`\\u202e`). To do it twice changes nothing.
    """
    line = str(text)
    return line if line.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)


def first_few(texts: Sequence[str], most: int) -> str:
    """`a, b, c and 9,997 more`, with `most` of them; all where that leaves out one at most."""
    if len(texts) <= most + 1:
        return ", ".join(texts)
    return f"{', '.join(texts[:most])} and {len(texts) - most:,} more"


def significant(value: float | None, digits: int = 4) -> str:
    """To a few significant digits: 0.07123, 801.5, 12,346, 1.235e+09; or in words, none and not finite."""
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
