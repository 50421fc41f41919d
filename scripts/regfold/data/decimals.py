"""Numbers in text, with a decimal point or a decimal comma: which of the two a table uses, and the values."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from regfold.errors import RegfoldError, quote

# A cell that is a finite decimal number, by the decimal mark.
DECIMAL = {
    ".": r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$",
    ",": r"^[+-]?(\d+,?\d*|,\d+)([eE][+-]?\d+)?$",
}
# Numbers with thousands separators: 1,234.5 or 1.234,5; a blank or an apostrophe with either.
GROUPED = {
    ".": "^[+-]?[1-9]\\d{0,2}([, \u00a0\u202f'’]\\d{3})+(\\.\\d*)?$",
    ",": "^[+-]?[1-9]\\d{0,2}([. \u00a0\u202f'’]\\d{3})+(,\\d*)?$",
}
# Ambiguous: 1,234 is 1.234 or 1234.
UNCERTAIN = {mark: rf"^[+-]?[1-9]\d{{0,2}}[{mark}]\d{{3}}$" for mark in DECIMAL}


@dataclass(frozen=True)
class Evidence:
    """A column that most likely holds numbers with a decimal mark.

    Args:
        where: column and row of a cell with the mark, for messages.
        cell: that cell.
        is_certain: whether the mark in this cell cannot be a thousands separator.
    """

    where: str
    cell: str
    is_certain: bool


def numbers(values: pa.ChunkedArray, decimal: str) -> np.ndarray | None:
    """Trimmed cells as float64 (n,), NaN where missing; None if a cell is not a number.

    'nan' and 'inf' count as numbers here; `check_finite` refuses them later.
    """
    if decimal == ",":
        if pc.any(pc.match_substring(values, ".")).as_py():
            return None
        values = pc.replace_substring(values, ",", ".")
    try:
        return pc.cast(values, pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        return None


def numbers_of_either_mark(values: pa.ChunkedArray) -> np.ndarray | None:
    """`numbers` of a column whose decimal mark is not known."""
    return next((found for mark in DECIMAL if (found := numbers(values, mark)) is not None), None)


def first(mask: pa.ChunkedArray) -> int:
    """The position of the first true cell of a boolean column, or -1."""
    return pc.index(mask, pa.scalar(True)).as_py()


def first_text(values: pa.ChunkedArray, decimal: str) -> int:
    """The position of the first cell that is neither missing nor a finite decimal number, or -1."""
    return first(pc.invert(pc.match_substring_regex(values, DECIMAL[decimal])))


def is_grouped(values: pa.Array | pa.ChunkedArray, decimal: str) -> pa.Array | pa.ChunkedArray:
    """Which cells are numbers with thousands separators."""
    return pc.match_substring_regex(values, GROUPED[decimal])


def decimal_mark(
    path: str, separator: str, text: pa.Table, values_of: Callable[[str], pa.ChunkedArray]
) -> str:
    """The decimal mark of a text table.

    It is a comma if the separator is `;` (which spreadsheets write in locales with a decimal comma), most
    cells of some column are numbers with a comma, and no column has decimal points. With another separator
    such cells may be pairs or thousands: if other columns have decimal points, the mark is the point;
    otherwise the user is asked.

    Args:
        path: the table, for messages.
        separator: what separates its cells.
        text: all columns, as written.
        values_of: returns a column's trimmed cells, null where missing.

    Returns:
        `.` or `,`

    Raises:
        RegfoldError: if it is not certain; it names the column, the row and the cell.
    """
    commas = list(_evidence(text, values_of, ","))
    if not commas and separator != ";":
        return "."
    points = list(_evidence(text, values_of, "."))
    if points and commas and separator == ";":
        one, other = points[0], commas[0]
        raise RegfoldError(
            f"{path}: {one.where} has a decimal point ({quote(one.cell)}), and {other.where} a decimal comma "
            f"({quote(other.cell)}); set data.decimal to the one that is right, '.' or ','"
        )
    found, mark = (points, ".") if points else (commas, ",")
    if found and (mark == "," or separator == ";") and not any(one.is_certain for one in found):
        raise RegfoldError(
            f"{path}: {found[0].where}: {quote(found[0].cell)} has a decimal mark or stands for thousands; "
            f"set data.decimal: {quote(mark)} for the former, and write no separators for the latter"
        )
    if mark == "," and separator != ";":
        raise RegfoldError(
            f"{path}: {found[0].where}: {quote(found[0].cell)} may have a decimal comma; set data.decimal: "
            "',' if so, otherwise '.'"
        )
    return mark if found else "."


def _evidence(text: pa.Table, values_of: Callable[[str], pa.ChunkedArray], mark: str) -> Iterator[Evidence]:
    for name in text.column_names:
        # A fast way out: most tables have no comma inside their cells.
        buffers = [chunk.buffers()[2] for chunk in text[name].chunks]
        if not any(mark.encode() in buffer.to_pybytes() for buffer in buffers if buffer):
            continue
        values = values_of(name)
        has_mark = pc.match_substring(values, mark)
        is_number = pc.or_(pc.match_substring_regex(values, DECIMAL[mark]), is_grouped(values, mark))
        with_mark = pc.and_(is_number, has_mark)
        if pc.mean(is_number).as_py() <= 0.5 or not pc.any(with_mark).as_py():
            continue
        certain = pc.and_(with_mark, pc.invert(pc.match_substring_regex(values, UNCERTAIN[mark])))
        is_certain = pc.any(certain).as_py()
        row = first(certain if is_certain else with_mark)
        yield Evidence(f"column {quote(name)}, row {row}", values[row].as_py(), is_certain)
