"""The format of a text table: separator and encoding, as configured or as recognized."""

import codecs
import csv
import gzip
import io
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pyarrow as pa

from regfold.config.messages import listed
from regfold.errors import RegfoldError, quote

ENDINGS = {".csv": ",", ".csv.gz": ",", ".tsv": "\t", ".tsv.gz": "\t"}
# By their names in data.separator.
SEPARATORS = {",": ",", ";": ";", "tab": "\t", "|": "|"}
# Rows from which a separator is recognized, the header included.
SAMPLE_ROWS = 20
# In these any byte is a character, so that a table in another encoding would be read silently, and wrongly.
ONE_BYTE = ("cp1252", "latin-1")
# In characters: the names of a million columns take about 10 million.
LARGEST_HEADER = 1 << 26


@dataclass(frozen=True)
class Form:
    """The format of a text table.

    Args:
        separator: the character between two cells.
        encoding: a codec's name; utf-8 with or without a byte order mark.
    """

    separator: str
    encoding: str


def usual_separator(path: str) -> str:
    """The separator that a file's extension suggests."""
    return next(separator for ending, separator in ENDINGS.items() if path.lower().endswith(ending))


def open_bytes(path: str) -> IO[bytes]:
    """The file's bytes, decompressed."""
    return gzip.open(path) if path.lower().endswith(".gz") else Path(path).open("rb")


def open_utf8(path: str, encoding: str) -> pa.NativeFile:
    """The file's text as a stream of UTF-8, decompressed."""
    # Given explicitly, since Arrow recognizes the extension .gz in lower case only.
    stream = pa.input_stream(path, compression="gzip" if path.lower().endswith(".gz") else None)
    return stream if encoding == "utf-8" else pa.transcoding_input_stream(stream, encoding, "utf-8")


def recognize(path: str, separator: str, encoding: str) -> Form:
    """The format of a text table: `auto` is recognized, any other value is taken as it is.

    UTF-16 is recognized by its byte order mark; everything else is read as UTF-8, and later refused if it is
    not. The separator is the one that splits the first rows into equally many cells, two or more.

    Raises:
        RegfoldError: if two separators do so; the file is UTF-16 without a byte order mark; or it is UTF-8,
            but `encoding` is an encoding with one byte for each character.
    """
    if encoding == "auto":
        encoding = _encoding(path)
    if encoding in ONE_BYTE and _is_utf8(path):
        raise RegfoldError(
            f"{path}: is UTF-8, and data.encoding says {encoding}; expected data.encoding: utf-8, or a table "
            f"saved as {encoding}"
        )
    if separator == "auto":
        separator = _separator(path, encoding)
    return Form(SEPARATORS[separator], encoding)


def in_words(path: str, form: Form, decimal: str) -> str:
    """The format of a text table for the terminal; empty if it is what the extension suggests."""
    said = []
    if form.separator != usual_separator(path):
        named = "tabs" if form.separator == "\t" else quote(form.separator)
        said.append(f"separated by {named}")
    if decimal == ",":
        said.append("decimal comma")
    if form.encoding != "utf-8":
        said.append(form.encoding.upper() if form.encoding.startswith("utf") else form.encoding)
    return ", ".join(said)


def first_rows(path: str, encoding: str) -> Iterator[str]:
    """A table's first lines, up to the largest allowed header; an endless line is never held as a whole.

    Bytes that are not UTF-8 become lone surrogates, since the text that is read goes beyond the header.

    Raises:
        RegfoldError: once more than that is read.
    """
    errors = "surrogateescape" if encoding == "utf-8" else "strict"
    codec = "utf-8-sig" if encoding == "utf-8" else encoding
    with open_bytes(path) as raw, io.TextIOWrapper(raw, encoding=codec, errors=errors, newline="") as text:
        left = LARGEST_HEADER
        while line := text.readline(left):
            left -= len(line)
            if left <= 0:
                raise RegfoldError(
                    f"{path}: the header is longer than {LARGEST_HEADER:,} characters; expected the columns' "
                    "names, then a line break"
                )
            yield line


def _encoding(path: str) -> str:
    with open_bytes(path) as file:
        first = file.read(4)
    if first.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if b"\0" in first:
        remedy = "set data.encoding: utf-16, or save" if first[1::2] == b"\0\0" else "save"
        raise RegfoldError(
            f"{path}: is not UTF-8, but looks like UTF-16 without a byte order mark; {remedy} it as UTF-8"
        )
    return "utf-8"


def _is_utf8(path: str) -> bool:
    """Whether a file is UTF-8 and not just ASCII, which text in another encoding hardly ever is by chance."""
    decoder, is_ascii = codecs.getincrementaldecoder("utf-8")(), True
    try:
        with open_bytes(path) as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                is_ascii &= decoder.decode(block).isascii()
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return not is_ascii


def _separator(path: str, encoding: str) -> str:
    """The separator, by its name in data.separator."""
    usual = next(name for name, character in SEPARATORS.items() if character == usual_separator(path))
    header = next((line for line in first_rows(path, encoding) if line.strip("\r\n")), "")
    # A separator that the header does not contain cannot split it, so only the usual one is possible.
    if [name for name, character in SEPARATORS.items() if character in header] == [usual]:
        return usual
    counts = {name: _cells(path, encoding, character) for name, character in SEPARATORS.items()}
    even = [name for name, found in counts.items() if len(set(found)) == 1 and found[0] > 1]
    if len(even) > 1:
        raise RegfoldError(
            f"{path}: its cells may be separated by {listed([quote(name) for name in even], 'or')}: each "
            "splits the first rows evenly; set data.separator to the one that is right"
        )
    if even:
        return even[0]
    # No separator splits all rows evenly. If only one splits the header, the row at fault is reported later.
    splitting = [name for name, found in counts.items() if found and found[0] > 1]
    return splitting[0] if len(splitting) == 1 else usual


def _cells(path: str, encoding: str, separator: str) -> list[int]:
    """The number of cells in each of the first rows, the header first."""
    counts = []
    # A cell of more than 128 KiB, or more text than the largest header, ends the sample.
    with suppress(csv.Error, RegfoldError):
        for row in csv.reader(first_rows(path, encoding), delimiter=separator):
            counts += [len(row)] if row else []
            if len(counts) == SAMPLE_ROWS:
                break
    return counts
