"""A job's log: one file for everything that the job and its libraries print."""

import io
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from regfold.errors import RegfoldError
from regfold.formatting import visible


@contextmanager
def job(log: str | os.PathLike | Sequence[str] | None) -> Iterator[TextIO]:
    """Redirect file descriptors 1 and 2 into `log` while the block runs.

    Redirecting the descriptors, and not only `sys.stdout`, catches what TensorFlow's C++ prints. An error
    that the user can fix (RegfoldError) ends the process with status 1 and one line, in the log and on the
    terminal; any other error leaves its traceback in the log and one line on the terminal that names the log.

    Args:
        log: the log's path; or `snakemake.log`, whose first path is taken. Without a path, nothing is
            redirected.

    Yields:
        the original stderr, see `lines`.

    Raises:
        SystemExit: as described, with status 1.
    """
    paths = [log] if isinstance(log, str | os.PathLike) else list(log or [])
    if not paths:
        with lines(2) as terminal, _problems_end_the_process(terminal, None):
            yield terminal
        return
    path = Path(paths[0])
    with _problems_end_the_process(sys.stderr, None):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("w", encoding="utf-8")
        except OSError as error:
            raise RegfoldError(f"{path}: the log cannot be written: {error.strerror}") from error
    with file, _redirected(file.fileno()) as terminal, _problems_end_the_process(terminal, path):
        yield terminal


@contextmanager
def _redirected(descriptor: int) -> Iterator[TextIO]:
    """Point descriptors 1 and 2, and Python's own streams, at `descriptor`; yield the original stderr."""
    streams = sys.stdout, sys.stderr
    for each in streams:
        each.flush()
    kept = os.dup(1), os.dup(2)
    for number in (1, 2):
        os.dup2(descriptor, number)
    try:
        with stream(1) as sys.stdout, stream(2) as sys.stderr, lines(kept[1]) as terminal:
            yield terminal
    finally:
        sys.stdout, sys.stderr = streams
        for number, original in zip((1, 2), kept, strict=True):
            os.dup2(original, number)
            os.close(original)


def stream(descriptor: int, kind: type[io.TextIOWrapper] = io.TextIOWrapper) -> TextIO:
    """A line-buffered text stream that writes to a descriptor and does not close it."""
    buffer = io.BufferedWriter(_Forgiving(descriptor, "w", closefd=False))
    return kind(buffer, encoding="utf-8", errors="backslashreplace", line_buffering=True)


def lines(descriptor: int) -> TextIO:
    """A stream for a terminal: each print is one line without control characters, see formatting.visible."""
    return stream(descriptor, _Lines)


class _Lines(io.TextIOWrapper):
    """A stream that escapes control characters, and line breaks other than the last one of a print."""

    def write(self, text: str) -> int:
        line = text.removesuffix("\n")
        super().write(visible(line) + text[len(line) :])
        return len(text)


class _Forgiving(io.FileIO):
    """A file that ignores write errors, so that a full disk truncates the log and does not fail the job."""

    def write(self, data) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


@contextmanager
def _problems_end_the_process(terminal: TextIO, log: Path | None) -> Iterator[None]:
    """Turn an exception of the block into a line and exit status 1, see `job`.

    Without a log, an exception that is not a RegfoldError is raised again with its traceback.
    """
    try:
        yield
    except RegfoldError as error:
        for stream in (terminal, sys.stderr) if log else (terminal,):
            print(f"regfold: error: {error}", file=stream, flush=True)
        raise SystemExit(1) from None
    except Exception as error:
        if log is None:
            raise
        traceback.print_exc()
        what = visible(" ".join(f"{type(error).__name__}: {error}".split()))[:200]
        for stream in terminal, sys.stderr:
            print(f"regfold: error: {what}; the traceback is in {log}", file=stream, flush=True)
        raise SystemExit(1) from None
