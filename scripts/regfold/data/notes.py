"""Notes for the user about the table's columns; notes of one kind on many columns become one line."""

from collections.abc import Iterable
from dataclasses import dataclass

from regfold.errors import quote
from regfold.formatting import first_few

MOST_LINES = 3
MOST_NAMES = 3


@dataclass(frozen=True)
class Note:
    """A note about one column.

    Args:
        column: the column's name.
        one: the text after `column 'x'`.
        many: the text after `columns 'x', 'y' and 7 more`; the same for all notes of one kind.
    """

    column: str
    one: str
    many: str


def lines(path: str, notes: Iterable[Note]) -> list[str]:
    """The notes on the table at `path` as text: one line each, but a single line for many of one kind."""
    by_kind: dict[str, list[Note]] = {}
    for note in notes:
        by_kind.setdefault(note.many, []).append(note)
    text = []
    for many, found in by_kind.items():
        if len(found) <= MOST_LINES:
            text += [f"{path}: column {quote(note.column)} {note.one}" for note in found]
        else:
            columns = [quote(note.column) for note in found]
            text.append(f"{path}: columns {first_few(columns, MOST_NAMES)} {many}")
    return text
