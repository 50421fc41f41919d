"""CSV and TSV: every cell as text, exactly as it is written."""

import csv
import re
import zlib

import pyarrow as pa
import pyarrow.csv

from regfold.data import memory, text_file
from regfold.data.quotes import QuoteScan, first_fault
from regfold.data.text_file import Form
from regfold.errors import RegfoldError, quote, reason

# Bytes of a parser's block, into which a row must fit: it grows for very wide tables.
BLOCK_SIZE = 8 << 20
LARGEST_BLOCK = 1 << 30


def read(path: str, separator: str = "auto", encoding: str = "auto") -> tuple[pa.Table, Form]:
    """Read a CSV or TSV file (also .gz) into columns of strings; return them, and the file's format.

    Cells may be quoted with `"` and hold line breaks; blank lines between rows are ignored.

    Args:
        path: the file.
        separator: data.separator of the config.
        encoding: data.encoding of the config.

    Raises:
        RegfoldError: if the file's format is ambiguous, or it is not in its encoding, not rectangular, or
            empty.
    """
    try:
        form = text_file.recognize(path, separator, encoding)
        return _read(path, form), form
    except UnicodeError:
        claimed = "UTF-16, as its byte order mark says" if encoding == "auto" else encoding
        raise RegfoldError(
            f"{path}: is not {claimed}; expected another data.encoding, or a table saved as UTF-8"
        ) from None
    except (OSError, EOFError, zlib.error) as error:
        raise RegfoldError(f"{path}: cannot be read: {reason(error)}; expected a complete file") from None


def _read(path: str, form: Form) -> pa.Table:
    names = _header(path, form)
    if len(set(names)) < len(names) or not all(names):
        return pa.table([pa.array([], pa.string())] * len(names), names=names)  # the caller reports the fault
    table = _parse(path, names, form)
    if len(names) == 1 and table.num_rows != _parse(path, names, form, skip_blank=False).num_rows:
        raise RegfoldError(
            f"{path}: has a blank line, and in a table of one column that may be a row without a value; "
            'expected "" for such a row, and no blank lines'
        )
    return table


class _CheckedFile:
    """A text file, decompressed, whose size and quotes are checked while the parser reads it."""

    closed = False

    def __init__(self, path: str, form: Form):
        self._stream = text_file.open_utf8(path, form.encoding)
        self.quotes = QuoteScan(form.separator)
        self._path, self._most, self._read = path, memory.budget(), 0

    def read(self, size: int) -> bytes:
        block = self._stream.read(size)
        self._read += len(block)
        if self._read > self._most:
            raise RegfoldError(
                f"{self._path}: its text takes more than half of the free memory "
                f"({memory.size(self._most)}); expected a smaller table, or a machine with more memory"
            )
        self.quotes.feed(block)
        return block


def _check_quotes(path: str, form: Form) -> None:
    """Refuse a file in which a quoted cell is never closed, or text follows its closing quote."""
    with text_file.open_utf8(path, form.encoding) as file:
        content = file.read(LARGEST_BLOCK)
        # For a larger file the parser's own message has to do.
        fault = "" if file.read(1) else first_fault(content, form.separator)
    if fault:
        raise RegfoldError(f"{path}: {fault}")


def _header(path: str, form: Form) -> list[str]:
    """The columns' names, as written: the first line that is not blank."""
    try:
        lines = csv.reader(text_file.first_rows(path, form.encoding), delimiter=form.separator)
        names = next((line for line in lines if line), None)
    except csv.Error as error:
        raise RegfoldError(f"{path}: the header cannot be read: {error}") from None
    if names is None:
        raise RegfoldError(f"{path}: is empty; expected a header and at least 2 rows")
    if any("\ud800" <= c <= "\udfff" for c in "".join(names)):
        raise RegfoldError(f"{path}: the header {_not_utf8(path, form)}")
    return names


def _parse(path: str, names: list[str], form: Form, skip_blank: bool = True) -> pa.Table:
    """Parse in parallel; if that fails, once more on one thread, which tells the row that is at fault."""
    try:
        table = _parse_blocks(path, names, form, skip_blank, parallel=True)
    except pa.ArrowInvalid:
        _check_quotes(path, form)
        try:
            table = _parse_blocks(path, names, form, skip_blank, parallel=False)
        except pa.ArrowInvalid as error:
            raise RegfoldError(f"{path}: {_explain(path, form, str(error), names)}") from None
    if table.column_names != names:
        raise RegfoldError(f"{path}: the header is ambiguous; expected plain names, or quoted ones")
    return table


def _parse_blocks(path: str, names: list[str], form: Form, skip_blank: bool, parallel: bool) -> pa.Table:
    # The header must fit into the first block: at most 4 bytes a character, and as much again for quotes.
    size = max(BLOCK_SIZE, 8 * sum(len(name) + 1 for name in names))
    while True:
        file = _CheckedFile(path, form)
        try:
            table = pa.csv.read_csv(
                file,
                pa.csv.ReadOptions(use_threads=parallel, block_size=size),
                pa.csv.ParseOptions(
                    delimiter=form.separator, newlines_in_values=True, ignore_empty_lines=skip_blank
                ),
                pa.csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
                ),
            )
            if file.quotes.faulty:
                _check_quotes(path, form)
            return table
        except pa.ArrowInvalid as error:
            if "straddling" not in str(error) or size >= LARGEST_BLOCK:
                # A header without a line break after it is a table without rows, and no error here.
                if "Empty CSV file" in str(error):
                    return pa.table([pa.array([], pa.string())] * len(names), names=names)
                raise
            size = min(8 * size, LARGEST_BLOCK)


def _explain(path: str, form: Form, message: str, names: list[str]) -> str:
    """The parser's message in the user's words. The parser counts the header as row 1."""
    row = re.search(r"Row #(\d+)", message)
    where = f"row {int(row[1]) - 2}: " if row else ""
    ragged = re.search(r"Expected (\d+) columns, got (\d+): (.*)", message, re.DOTALL)
    if ragged:
        return (
            f"{where}{ragged[2]} cell{'s' if ragged[2] != '1' else ''} in {quote(ragged[3].rstrip())}; "
            f"expected {ragged[1]}, as in the header"
        )
    column = re.search(r"In CSV column #(\d+)", message)
    if column and "invalid UTF8" in message:
        return f"column {quote(names[int(column[1])])}, {where}{_not_utf8(path, form)}"
    return f"cannot be read: {' '.join(message.split())[:200]}"


def _not_utf8(path: str, form: Form) -> str:
    """That a table is not UTF-8, with its first such cell read as cp1252: only the user can confirm it."""
    cut = form.separator.encode()
    with text_file.open_bytes(path) as file:
        for line in file:
            try:
                line.decode()
            except UnicodeDecodeError as error:
                cell = line[: error.start].rpartition(cut)[2] + line[error.start :].partition(cut)[0]
                shown = quote(cell.decode("cp1252", errors="replace").strip('\r\n"'), 30)
                return (
                    f"is not UTF-8; if {shown} is the right text, set data.encoding: cp1252; otherwise "
                    "save the table as UTF-8"
                )
    return "is not UTF-8; expected a table saved as UTF-8"
