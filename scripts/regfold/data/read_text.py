"""CSV and TSV: every cell as the text that it is, exactly."""

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.csv

from regfold.data import memory
from regfold.data.quotes import QuoteScan, first_fault
from regfold.errors import RegfoldError, quote

SEPARATORS = {".csv": ",", ".csv.gz": ",", ".tsv": "\t", ".tsv.gz": "\t"}

# Bytes of one block of the parser: a row must fit into it, so it grows for very wide tables.
BLOCK_SIZE = 8 << 20
LARGEST_BLOCK = 1 << 30
# Characters; the names of a million columns take some 10 million.
LARGEST_HEADER = 1 << 26


def read(path: str) -> pa.Table:
    """Read a CSV or TSV file (also .gz) into columns of strings.

    UTF-8, with or without a byte order mark; cells may be quoted with `"` and hold line breaks; blank lines
    between rows count for nothing.

    Raises:
        RegfoldError: if the file is not UTF-8, not rectangular, or empty.
    """
    separator = next(separator for ending, separator in SEPARATORS.items() if path.lower().endswith(ending))
    try:
        names = _header(path, separator)
        if len(set(names)) < len(names) or not all(names):
            return pa.table(
                [pa.array([], pa.string())] * len(names), names=names
            )  # the caller names the fault
        table = _parse(path, names, separator)
    except (OSError, EOFError, zlib.error) as error:
        reason = " ".join((getattr(error, "strerror", None) or str(error)).split())
        raise RegfoldError(f"{path}: cannot be read: {reason}; expected a whole file") from None
    if len(names) == 1 and table.num_rows != _parse(path, names, separator, skip_blank=False).num_rows:
        raise RegfoldError(
            f"{path}: has a blank line, and in a table of one column that may be a row without a value; "
            'expected "" for such a row, and no blank lines'
        )
    return table


def _open(path: str) -> IO[bytes]:
    return gzip.open(path) if path.lower().endswith(".gz") else Path(path).open("rb")


class _Followed:
    """A text file, unpacked, whose quotes are followed while the parser reads it."""

    closed = False

    def __init__(self, path: str, separator: str):
        # Named here, as Arrow knows the ending .gz in small letters only.
        self._stream = pa.input_stream(path, compression="gzip" if path.lower().endswith(".gz") else None)
        self.quotes = QuoteScan(separator)
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


def _check_quotes(path: str, separator: str) -> None:
    """Refuse a file in which a quoted cell does not end, or does not end with its closing quote."""
    with _open(path) as file:
        content = file.read(LARGEST_BLOCK)
        # Of a larger file the parser's own complaint has to do.
        fault = "" if file.read(1) else first_fault(content, separator)
    if fault:
        raise RegfoldError(f"{path}: {fault}")


def _header(path: str, separator: str) -> list[str]:
    """The columns' names, as written: the first line that is not blank."""
    # Bytes that are not UTF-8 become lone surrogates: what is read here goes beyond the header.
    with (
        _open(path) as raw,
        io.TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape", newline="") as text,
    ):
        try:
            lines = csv.reader(_first_lines(path, text), delimiter=separator)
            names = next((line for line in lines if line), None)
        except csv.Error as error:
            raise RegfoldError(f"{path}: the header cannot be read: {error}") from None
    if names is None:
        raise RegfoldError(f"{path}: is empty; expected a header and at least 2 rows")
    if any("\ud800" <= c <= "\udfff" for c in "".join(names)):
        raise RegfoldError(f"{path}: the header is not UTF-8; expected a table saved as UTF-8")
    return names


def _first_lines(path: str, text: io.TextIOBase) -> Iterator[str]:
    """A file's lines, as far as a header may reach: a line without an end is never held as a whole."""
    left = LARGEST_HEADER
    while line := text.readline(left):
        left -= len(line)
        if left <= 0:
            raise RegfoldError(
                f"{path}: the header is longer than {LARGEST_HEADER:,} characters; expected the columns' "
                "names, and a line break behind them"
            )
        yield line


def _parse(path: str, names: list[str], separator: str, skip_blank: bool = True) -> pa.Table:
    """Read in parallel; where that fails, once more row by row, to learn which row is at fault."""
    try:
        table = _parse_blocks(path, names, separator, skip_blank, parallel=True)
    except pa.ArrowInvalid:
        _check_quotes(path, separator)
        try:
            table = _parse_blocks(path, names, separator, skip_blank, parallel=False)
        except pa.ArrowInvalid as error:
            raise RegfoldError(f"{path}: {_explain(str(error), names)}") from None
    if table.column_names != names:
        raise RegfoldError(
            f"{path}: the header cannot be read for sure; expected plain names, or quoted ones"
        )
    return table


def _parse_blocks(path: str, names: list[str], separator: str, skip_blank: bool, parallel: bool) -> pa.Table:
    # The header has to fit into the first block: 4 bytes a character, and as much again for quotes.
    size = max(BLOCK_SIZE, 8 * sum(len(name) + 1 for name in names))
    while True:
        file = _Followed(path, separator)
        try:
            table = pa.csv.read_csv(
                file,
                pa.csv.ReadOptions(use_threads=parallel, block_size=size),
                pa.csv.ParseOptions(
                    delimiter=separator, newlines_in_values=True, ignore_empty_lines=skip_blank
                ),
                pa.csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
                ),
            )
            if file.quotes.faulty:
                _check_quotes(path, separator)
            return table
        except pa.ArrowInvalid as error:
            if "straddling" not in str(error) or size >= LARGEST_BLOCK:
                # A header without a line break behind it has no rows, and is no fault of the file.
                if "Empty CSV file" in str(error):
                    return pa.table([pa.array([], pa.string())] * len(names), names=names)
                raise
            size = min(8 * size, LARGEST_BLOCK)


def _explain(message: str, names: list[str]) -> str:
    """The parser's complaint in the user's words. Its row 1 is the header."""
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
        return f"column {quote(names[int(column[1])])}, {where}is not UTF-8; expected a table saved as UTF-8"
    return f"cannot be read: {' '.join(message.split())[:200]}"
