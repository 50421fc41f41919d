"""Checks of quotes in CSV and TSV: each one is closed, and directly followed by the end of its cell.

Arrow's parser accepts text after a closing quote, and so merges rows silently: the lines `"5 inch,2` and
`"6 inch,4` become a single row. Python's csv module in strict mode refuses the same files.
"""

import re

import numpy as np

from regfold.errors import quote

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class QuoteScan:
    """Follows the quotes of a file that is read block by block; a block without quotes costs one search."""

    def __init__(self, separator: str):
        self._ends_a_cell = np.zeros(256, bool)
        self._ends_a_cell[[*separator.encode(), *b"\r\n"]] = True
        self._first, self._open, self._faulty = True, False, False
        self._held = b"\n"  # the byte before the next block, and quotes between the two

    def feed(self, block: bytes) -> None:
        """Take the file's next bytes; b"" at its end."""
        if self._first:
            block, self._first = block.removeprefix(BYTE_ORDER_MARK), False
        if b'"' not in block and not self._held.endswith(b'"'):
            self._held = block[-1:] or self._held
            return
        text = self._held + block
        # A run of quotes at the block's end may go on in the next block. The file's end is a line break.
        whole = text.rstrip(b'"') if block else text + b"\n"
        self._held = text[len(whole) - 1 :] if block else b"\n"
        self._follow(np.frombuffer(whole, np.uint8))

    def _follow(self, text: np.ndarray) -> None:
        """Take text in which every run of adjacent quotes is whole: none touches its beginning or end.

        Inside a quoted cell two quotes are one character of it, so that a run of odd length ends the cell. A
        run at the beginning of a cell opens it if its length is odd, and is a whole cell, such as "", if it
        is even. Any other run outside of a quoted cell is plain text.
        """
        found = np.flatnonzero(text == ord('"'))
        # The common case, checked first: quotes open and close cells in turn.
        opening, closing = found[self._open :: 2], found[1 - self._open :: 2]
        if self._ends_a_cell[text[opening - 1]].all() and self._ends_a_cell[text[closing + 1]].all():
            self._open ^= len(found) % 2 == 1
            return
        first = np.flatnonzero(np.diff(found, prepend=-1) > 1)
        start, end = found[first], found[[*(first[1:] - 1), -1]] + 1
        odd, opening = (end - start) % 2 == 1, self._ends_a_cell[text[start - 1]]
        # After an odd run inside a cell none is open; each odd run at the beginning of a cell changes that.
        flips = np.cumsum(odd & opening)
        closed = np.maximum.accumulate(np.where(odd & ~opening, np.arange(len(start)), -1))
        is_open = np.where(closed >= 0, flips - flips[closed], flips + self._open) % 2 == 1
        was_open = np.concatenate([[self._open], is_open[:-1]])
        closing = ~is_open & (was_open | opening)
        self._faulty |= bool((closing & ~self._ends_a_cell[text[end]]).any())
        self._open = bool(is_open[-1])

    @property
    def faulty(self) -> bool:
        """Whether text followed a closing quote, or, at the end of the file, a quoted cell is still open."""
        return self._faulty or self._open


def first_fault(content: bytes, separator: str) -> str:
    """The first quoting error of a text table, as text; empty if there is none."""
    s = re.escape(separator).encode()
    quoted = b'"(?:[^"]++|"")*+"'
    cell = b'(?>%b(?=[%b\r\n]|\\Z)|[^"%b\r\n][^%b\r\n]*+|(?!"))' % (quoted, s, s, s)
    row = re.compile(b"%b(?:%b%b)*+(?:[\r\n]++|\\Z)" % (cell, s, cell))
    position, number = re.match(b"(?:%b)?[\r\n]*" % BYTE_ORDER_MARK, content).end(), -1
    while position < len(content):
        if not (whole := row.match(content, position)):
            break
        position, number = whole.end(), number + 1
    else:
        return ""
    where = "the header" if number < 0 else f"row {number}"
    begin = re.compile(b"(?:%b%b)*+" % (cell, s)).match(content, position).end()
    closed = re.compile(quoted).match(content, begin)
    shown = quote(
        content[begin + 1 : closed.end() - 1 if closed else begin + 99].decode(errors="replace"), 30
    )
    if closed is None:
        return f"{where}: a quoted cell, {shown}, is never closed; expected a closing quote"
    behind = re.compile(b"[^%b\r\n]*" % s).match(content[closed.end() : closed.end() + 99])[0]
    return (
        f"{where}: {quote(behind.decode(errors='replace'), 30)} follows the closing quote of {shown}; "
        'expected the end of the cell, and "" for a quote inside a quoted cell'
    )
