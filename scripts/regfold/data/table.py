"""The user's table as text: every cell as it is written, and the columns' types if the file has them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from regfold.config.paths import check_table
from regfold.data import read_excel, read_text, read_typed, text_file
from regfold.data.decimals import decimal_mark
from regfold.data.oos_names import is_reserved
from regfold.errors import RegfoldError, nearest, quote
from regfold.formatting import first_few

# Names of columns, and of rows, in one message.
MOST_NAMED, MOST_ROWS = 8, 5


@dataclass(frozen=True)
class Table:
    """Rows of text, and how messages name them.

    Args:
        path: the table's path as the user wrote it.
        text: all columns as strings; null is a cell that a typed file leaves empty.
        kinds: for a typed file each column's kind (number, text, boolean, category, time, index); for a text
            file empty.
        missing: the trimmed texts that mean "missing".
        rows: int64 (n,), each row's number in the file, from 0.
        ids: each row's id, trimmed, null where missing; None without an id column.
        decimal: the decimal mark of the numbers, `.` or `,`.
        form: the file's format for the terminal, if it is not what the extension suggests; else empty.
    """

    path: str
    text: pa.Table
    kinds: dict[str, str]
    missing: tuple[str, ...]
    rows: np.ndarray
    ids: pa.ChunkedArray | None = None
    decimal: str = "."
    form: str = ""

    def __len__(self) -> int:
        return self.text.num_rows

    def __contains__(self, name: str) -> bool:
        """Whether a column has this name, in constant time, unlike a search in `names`."""
        return self.text.schema.get_field_index(name) >= 0

    @property
    def names(self) -> list[str]:
        """The columns' names, as written, in order."""
        return self.text.column_names

    def values(self, name: str) -> pa.ChunkedArray:
        """A column's cells without surrounding blanks, null where the value is missing."""
        trimmed = pc.utf8_trim_whitespace(self.text[name])
        if not self.missing:
            return trimmed
        is_missing = pc.is_in(trimmed, value_set=pa.array(self.missing, pa.string()))
        return pc.if_else(is_missing, pa.scalar(None, pa.string()), trimmed)

    def keep(self, mask: np.ndarray) -> "Table":
        """The rows where `mask`, boolean (n,), is true."""
        chosen = pa.array(mask)
        ids = None if self.ids is None else self.ids.filter(chosen)
        return replace(self, text=self.text.filter(chosen), rows=self.rows[mask], ids=ids)

    def without(self, names: Iterable[str]) -> "Table":
        """The table without some columns."""
        gone = set(names)
        return replace(self, text=self.text.select([name for name in self.names if name not in gone]))

    def row(self, position: int) -> str:
        """A row's name in a message: its number in the file from 0, and its id if there are ids."""
        return f"row {self._name(position)}"

    def row_list(self, positions: Sequence[int]) -> str:
        """Rows in a message: the first few by name, and how many more."""
        names = [self._name(position) for position in positions[:MOST_ROWS]]
        if len(positions) > MOST_ROWS:
            names.append(f"{len(positions) - MOST_ROWS:,} more")
        return f"row {names[0]}" if len(names) == 1 else f"rows {', '.join(names[:-1])} and {names[-1]}"

    def cell(self, name: str, position: int) -> str:
        """A cell, quoted for a message."""
        return quote(self.text[name][int(position)].as_py())

    def find(self, name: str, key: str) -> None:
        """Check that a column of this name exists; `key` is where the config names it.

        Raises:
            RegfoldError: if there is none; it suggests the nearest name.
        """
        if name in self:
            return
        spaced = [other for other in self.names if other.strip() == name.strip()]
        if spaced:
            hint = f"; its name in the header is {quote(spaced[0])}, with the blanks"
        else:
            shown = first_few([*map(quote, self.names)], MOST_NAMED)
            hint = nearest(name, self.names) or f"; its columns are {shown}"
        is_text = self.path.lower().endswith(tuple(text_file.ENDINGS))
        if is_text and len(self.names) == 1 and any(c in self.names[0] for c in ";,\t|"):
            hint = (
                f"; it has one column, {quote(self.names[0])}: expected cells separated by ',', ';', tabs "
                "or '|', as data.separator says"
            )
        where = f"{self.path} ({self.form})" if self.form else self.path
        raise RegfoldError(f"config.yaml: {key}: no column {quote(name)} in {where}{hint}")

    def _name(self, position: int) -> str:
        number = str(self.rows[position])
        id_ = None if self.ids is None else self.ids[int(position)].as_py()
        return number if id_ is None else f"{number} (id {quote(id_)})"


def read(
    path: str,
    missing: Iterable[str],
    *,
    separator: str = "auto",
    decimal: str = "auto",
    encoding: str = "auto",
    sheet: str | None = None,
) -> Table:
    """Read a table: CSV or TSV (also .gz), Excel, Parquet, Feather, or `sklearn:NAME`.

    Args:
        path: the file, or `sklearn:NAME` for a table that scikit-learn ships.
        missing: the cells that mean "missing", compared without blanks around them.
        separator, decimal, encoding, sheet: data.separator and so on of the config.

    Raises:
        RegfoldError: if there is no such table; it is damaged, empty, or not rectangular; two columns have
            one name, or a column has none, or one that is reserved; or the format of a text file is
            ambiguous.
    """
    check_table(path, "config.yaml: data.path")
    text_form, form, kinds = None, "", {}
    if path.startswith("sklearn:"):
        text, kinds = read_typed.sklearn_table(path)
    elif path.lower().endswith(read_typed.SUFFIXES):
        text, kinds = read_typed.read(path)
    elif path.lower().endswith(read_excel.SUFFIX):
        text, form = read_excel.read(path, sheet)
    else:
        text, text_form = read_text.read(path, separator, encoding)
    _check_names(path, text.column_names)
    if text.num_rows == 0:
        raise RegfoldError(f"{path}: has no rows; expected at least 2")
    texts = tuple(dict.fromkeys(str(text).strip() for text in missing))
    table = Table(path, text, kinds, texts, np.arange(text.num_rows), form=form)
    if text_form is None:
        return table
    if decimal == "auto":
        decimal = decimal_mark(path, text_form.separator, text, table.values)
    return replace(table, decimal=decimal, form=text_file.in_words(path, text_form, decimal))


def check_finite(table: Table, name: str, values: pa.ChunkedArray, numbers: np.ndarray) -> None:
    """Refuse a numeric column with a cell that spells infinity or NaN, or is beyond every float64.

    Raises:
        RegfoldError: it names the column and the row.
    """
    odd = np.flatnonzero(~np.isfinite(numbers) & ~_nulls(values))
    if not len(odd):
        return
    where = f"{table.path}: column {quote(name)}, {table.row(odd[0])}"
    cell = table.cell(name, odd[0])
    if np.isnan(numbers[odd[0]]):
        raise RegfoldError(f"{where}: {cell} is not a number; if it means missing, add it to data.missing")
    raise RegfoldError(f"{where}: {cell} is infinite; expected a finite number, or add it to data.missing")


def _nulls(values: pa.ChunkedArray) -> np.ndarray:
    return pc.is_null(values).to_numpy()


def _check_names(path: str, names: list[str]) -> None:
    remedy = "pandas: to_csv(index=False) leaves the unnamed index out"
    if path.lower().endswith(read_excel.SUFFIX):
        remedy = "the first row that is not blank, without a title above it"
    for number, name in enumerate(names, start=1):
        if not name.strip():
            raise RegfoldError(
                f"{path}: column {number} has no name; expected a header that names every column ({remedy})"
            )
        if is_reserved(name):
            raise RegfoldError(
                f"{path}: column {quote(name)} has a name that regfold gives to its own columns; rename it"
            )
    seen = set()
    for name in names:
        if name in seen:
            places = [str(number) for number, other in enumerate(names, start=1) if other == name]
            raise RegfoldError(
                f"{path}: columns {' and '.join(places)} are both named {quote(name)}; expected "
                "names that differ"
            )
        seen.add(name)
