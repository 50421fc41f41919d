"""What a reader should know of the table's columns, one line for many columns of one kind."""

from collections.abc import Iterable
from dataclasses import dataclass

from regfold.errors import quote

MOST_LINES = 3
MOST_NAMES = 3


@dataclass(frozen=True)
class Note:
    """What a reader should know of one column.

    Args:
        column: the column's name.
        one: what is said of it, behind `column 'x'`.
        many: what is said behind `columns 'x', 'y' and 7 more`; the same for all notes of one kind.
    """

    column: str
    one: str
    many: str


def lines(path: str, notes: Iterable[Note]) -> list[str]:
    """The notes on the table at `path` as text: a line each, but one alone for many of one kind."""
    by_kind: dict[str, list[Note]] = {}
    for note in notes:
        by_kind.setdefault(note.many, []).append(note)
    text = []
    for many, found in by_kind.items():
        if len(found) <= MOST_LINES:
            text += [f"{path}: column {quote(note.column)} {note.one}" for note in found]
        else:
            text.append(f"{path}: columns {names([note.column for note in found])} {many}")
    return text


def names(columns: list[str]) -> str:
    """`'x', 'y', 'z' and 9,997 more`; all of them where they are few."""
    if len(columns) <= MOST_NAMES + 1:
        return ", ".join(map(quote, columns))
    return f"{', '.join(map(quote, columns[:MOST_NAMES]))} and {len(columns) - MOST_NAMES:,} more"
