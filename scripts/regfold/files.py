"""Files that are whole or not there: written beside their place, then renamed. And a folder for scratch."""

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
from regfold.errors import RegfoldError, quote

# For the one process that needs it: on the disk of the results, which may be larger than /tmp.
SCRATCH = Path(".regfold/scratch")
# How `atomic` names a file while it is written.
TEMPORARY = re.compile(r"\.[0-9a-f]{8}\..+", re.DOTALL)
# What `fsync` answers on a file system that cannot flush such a file, or a folder (CIFS, some of FUSE).
CANNOT_FLUSH = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


@contextmanager
def atomic(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary path in the folder of `path` (made if need be), with the same ending of the name.

    What was written there takes the place of `path` when the block ends, flushed to disk, and is removed when
    the block raises: whoever opens `path` finds the old file or the new one, never a part.

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
        # Another file may have failed inside the block; that is not ours to explain. A writer that meets a
        # full disk often names no file at all.
        if error.filename is not None and Path(os.fsdecode(error.filename)) not in (temporary, *path.parents):
            raise
        reason = " ".join((error.strerror or str(error)).split())
        raise RegfoldError(f"{path}: cannot be written: {reason}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def sweep(folder: str | os.PathLike) -> None:
    """Remove what killed processes left of files that `atomic` was to write below a folder.

    For whoever knows that no process is writing there.
    """
    for path in Path(folder).rglob(".*"):
        if TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)


def write_json(path: str | os.PathLike, data: object) -> None:
    """Write `data` as JSON: keys sorted, two blanks of indentation, floats that read back, no NaN."""
    text = json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    with atomic(path) as temporary:
        temporary.write_text(f"{text}\n", encoding="utf-8")


class Record(dict):
    """A mapping out of a JSON file. A key that it lacks ends with an error that names the file."""

    def __init__(self, pairs: dict, path: str, remove: str):
        super().__init__(pairs)
        self._places = path, remove  # private: templates read keys as attributes

    def __missing__(self, key: str):
        path, remove = self._places
        raise damaged(path, f"has no {quote(key)}", remove)


def read_json(path: str | os.PathLike, remove: str | os.PathLike | None = None) -> Record:
    """A mapping that `write_json` wrote.

    Args:
        path: the file.
        remove: what has to be removed for the next run to make the file again, where that is not the file.

    Raises:
        FileNotFoundError: if there is no such file.
        RegfoldError: if it is damaged, now or when a key is looked up that it lacks.
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
    """What to raise where a file that regfold wrote is not what it wrote."""
    return RegfoldError(f"{path}: is damaged: {reason}; remove {remove or path} and run again")


@contextmanager
def scratch(folder: Path = SCRATCH) -> Iterator[Path]:
    """Have an empty folder while the block runs; it is removed afterwards.

    Processes that want the same folder have it one after the other; what a killed one left is removed first.

    Raises:
        RegfoldError: if the folder cannot be made or locked.
    """
    with locks.held(folder.with_name(f"{folder.name}.lock")):
        shutil.rmtree(folder, ignore_errors=True)
        try:
            folder.mkdir()
        except OSError as error:
            raise RegfoldError(f"{folder}: cannot be made: {error.strerror}") from error
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def sha256(path: str | os.PathLike) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    """Flush a file, or a folder's list of names, to disk, so that it survives the machine's end.

    Where the file system cannot do that, what was written stands all the same.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in CANNOT_FLUSH:
            raise
    finally:
        os.close(descriptor)
