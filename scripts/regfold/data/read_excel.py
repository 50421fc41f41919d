"""Excel: one sheet of an .xlsx file as text, read by openpyxl, which is an optional dependency."""

import datetime as dt
import zipfile
from collections.abc import Iterable

import pyarrow as pa

from regfold.errors import RegfoldError, nearest, quote

SUFFIX = ".xlsx"


def read(path: str, sheet: str | None) -> tuple[pa.Table, str]:
    """Read a sheet into columns of strings.

    The first row that is not blank holds the names; blank rows, and blank columns at the right, are ignored.
    A number becomes the shortest text that reads back, a date or a time its ISO form (a date at midnight
    without the time), a formula the value that the spreadsheet program stored, a blank cell empty text.

    Args:
        path: the file.
        sheet: the sheet's name; None for the first one.

    Returns:
        the columns; and a text that names the sheet if the file has others and none was asked for, else "".

    Raises:
        RegfoldError: if openpyxl is not installed; the file is damaged; there is no such sheet; or a cell is
            merged with others, holds a formula without a stored value, or a duration.
    """
    try:
        import openpyxl
    except ImportError:
        raise RegfoldError(
            f"{path}: reading .xlsx needs openpyxl, which is not installed: run uv sync --extra excel, or "
            "save the sheet as CSV UTF-8"
        ) from None
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        names = [page.title for page in book.worksheets]
        if sheet is not None and sheet not in names:
            hint = nearest(sheet, names) or f"; its sheets are {', '.join(map(quote, names[:8]))}"
            raise RegfoldError(f"config.yaml: data.sheet: no sheet {quote(sheet)} in {path}{hint}")
        chosen = names[0] if sheet is None else sheet
        rows = [row for row in book[chosen].iter_rows(values_only=True) if any(c is not None for c in row)]
        book.close()
        width = max((_length(row) for row in rows), default=0)
        if any(None in row[:width] or len(row) < width for row in rows):
            _check_blanks(openpyxl, path, chosen)
    except (OSError, KeyError, ValueError, TypeError, SyntaxError, zipfile.BadZipFile) as error:
        reason = quote(error, 100)[1:-1]
        raise RegfoldError(
            f"{path}: cannot be read as Excel: {reason}; expected a complete .xlsx file"
        ) from None
    if not rows:
        raise RegfoldError(f"{path}: sheet {quote(chosen)} is empty; expected a header and at least 2 rows")
    where = f"{path}: sheet {quote(chosen)}"
    table = [[_text(cell, where) for cell in (*row, *[None] * width)[:width]] for row in rows]
    header, cells = table[0], table[1:]
    columns = [pa.array(column, pa.string()) for column in zip(*cells, strict=True)] or [
        pa.array([], pa.string()) for _ in header
    ]
    form = f"sheet {quote(chosen)}, the first of {len(names)}" if sheet is None and len(names) > 1 else ""
    return pa.table(columns, names=header), form


def _length(row: Iterable) -> int:
    """The number of cells up to the last one that is not blank."""
    return max(place for place, cell in enumerate(row, start=1) if cell is not None)


def _check_blanks(openpyxl, path: str, sheet: str) -> None:
    """Refuse a sheet in which a cell is blank because it is merged, or its formula was never computed."""
    where = f"{path}: sheet {quote(sheet)}"
    formulas = openpyxl.load_workbook(path)[sheet]
    if formulas.merged_cells.ranges:
        first = min(formulas.merged_cells.ranges, key=lambda found: (found.min_row, found.min_col))
        raise RegfoldError(
            f"{where}: the cells {first} are merged; expected a value in every cell: unmerge them"
        )
    values = openpyxl.load_workbook(path, data_only=True)[sheet]
    for row in formulas.iter_rows():
        for cell in row:
            if cell.data_type == "f" and values[cell.coordinate].value is None:
                raise RegfoldError(
                    f"{where}: the formula in {cell.coordinate} has no stored value; open the file in a "
                    "spreadsheet program and save it"
                )


def _text(cell: object, where: str) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 2**53 else repr(cell)
    if isinstance(cell, dt.datetime):
        return cell.date().isoformat() if cell.time() == dt.time() else cell.isoformat()
    if isinstance(cell, dt.date | dt.time):
        return cell.isoformat()
    if isinstance(cell, dt.timedelta):
        raise RegfoldError(
            f"{where}: a cell holds the duration {cell}; expected a number: format it as a number"
        )
    return str(cell)
