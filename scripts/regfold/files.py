"""Atomic writes (a temporary file, then a rename), JSON files, and a scratch folder."""

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from regfold import locks
from regfold.errors import RegfoldError, quote, reason

# On the disk of the results, which may have more room than /tmp.
SCRATCH = Path(".regfold/scratch")
# How `atomic` names a file while it is written.
TEMPORARY = re.compile(r"\.[0-9a-f]{8}\..+", re.DOTALL)
# The errors of `fsync` on file systems that cannot flush such a file, or a folder (CIFS, some of FUSE).
CANNOT_FLUSH = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


@contextmanager
def atomic(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path`, with the same extension; the folder is created if needed.

    When the block ends, the temporary file is flushed to disk and replaces `path`; when the block raises, it
    is removed. A reader of `path` finds the old file or the new one, never a part of it.

    Raises:
        RegfoldError: if the file cannot be written, as on a full disk or in a folder that is read-only.
    """
    path = Path(path)
    temporary = path.with_name(f".{secrets.token_hex(4)}.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _flush(temporary)
        temporary.replace(path)
        _flush(path.parent)
    except OSError as error:
        # The block may have failed on another file, which is not explained here. On a full disk the error
        # often names no file at all.
        if error.filename is not None and Path(os.fsdecode(error.filename)) not in (temporary, *path.parents):
            raise
        raise RegfoldError(f"{path}: cannot be written: {reason(error)}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def sweep(folder: str | os.PathLike) -> None:
    """Remove the temporary files of `atomic` that killed processes left below a folder.

    Only to be called while no process writes there.
    """
    for path in Path(folder).rglob(".*"):
        if TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)


def write_json(path: str | os.PathLike, data: object) -> None:
    """Write `data` as JSON: sorted keys, indented, floats that read back exactly; NaN is refused."""
    text = json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    with atomic(path) as temporary:
        temporary.write_text(f"{text}\n", encoding="utf-8")


class Record(dict):
    """A mapping read from a JSON file. Looking up a key that it lacks raises an error that names the file."""

    def __init__(self, pairs: dict, path: str, remove: str):
        super().__init__(pairs)
        self._places = path, remove  # private: templates read keys as attributes

    def __missing__(self, key: str):
        path, remove = self._places
        raise damaged(path, f"has no {quote(key)}", remove)


def read_json(path: str | os.PathLike, remove: str | os.PathLike | None = None) -> Record:
    """Read a mapping that `write_json` wrote.

    Args:
        path: the file.
        remove: what the error tells the user to remove so that the next run writes the file again; by
            default the file.

    Raises:
        FileNotFoundError: if there is no such file.
        RegfoldError: if the file is damaged; also later, when a missing key is looked up.
    """
    path = Path(path)
    names = str(path), str(remove or path)
    try:
        found = json.loads(path.read_text(encoding="utf-8"), object_hook=lambda pairs: Record(pairs, *names))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, Record):
        raise damaged(path, "is not a JSON mapping", remove)
    return found


def damaged(path: str | os.PathLike, reason: str, remove: str | os.PathLike | None = None) -> RegfoldError:
    """The error to raise for a file of regfold's own that was damaged since it was written."""
    return RegfoldError(f"{path}: is damaged: {reason}; remove {remove or path} and run again")


@contextmanager
def scratch(folder: Path = SCRATCH) -> Iterator[Path]:
    """Create an empty folder for the duration of the block.

    Processes that ask for the same folder wait for each other; what a killed one left is removed first.

    Raises:
        RegfoldError: if the folder cannot be made or locked.
    """
    with locks.held(folder.with_name(f"{folder.name}.lock")):
        shutil.rmtree(folder, ignore_errors=True)
        try:
            folder.mkdir()
        except OSError as error:
            raise RegfoldError(f"{folder}: cannot be made: {reason(error)}") from error
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def sha256(path: str | os.PathLike) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    """Flush a file, or a folder's list of names, to disk, so that it survives a crash of the machine.

    A file system that cannot do that is accepted.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in CANNOT_FLUSH:
            raise
    finally:
        os.close(descriptor)
