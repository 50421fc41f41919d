"""Errors for users: one line that says where, what was found and what is expected."""

import difflib
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from regfold.formatting import visible


class RegfoldError(Exception):
    """A problem that the user can fix. Its text is one line: the place, what was found, what is expected."""

    def __str__(self) -> str:
        return visible(super().__str__())


def quote(value: object, limit: int = 60) -> str:
    """Untrusted text for a message: in single quotes, on one line, cut after `limit` characters."""
    text = visible(value)
    return f"'{text[:limit]}...'" if len(text) > limit else f"'{text}'"


def reason(error: Exception) -> str:
    """What an exception says, on one line; of an OSError without its number and path."""
    return " ".join((getattr(error, "strerror", None) or str(error)).split())


def nearest(word: str, choices: Iterable[str]) -> str:
    """`; did you mean 'x'?` with the choice closest to `word`; "" where none is close."""
    by_lower = {choice.lower(): choice for choice in map(str, choices)}
    close = difflib.get_close_matches(str(word).lower().strip(), by_lower, n=1, cutoff=0.6)
    return f"; did you mean {quote(by_lower[close[0]])}?" if close else ""


@contextmanager
def ending_the_process() -> Iterator[None]:
    """Turn a RegfoldError into its one line on stderr and exit status 1."""
    try:
        yield
    except RegfoldError as error:
        sys.exit(f"regfold: error: {error}")
