"""Locks on files: one process holds a lock at a time, and the kernel frees it when that process ends."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from regfold.errors import RegfoldError, reason

if TYPE_CHECKING:
    from filelock import FileLock

# The errors of `flock` on a file system without locks, such as Lustre without its mount option `flock`.
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)


def acquire(path: str | os.PathLike, *, wait: bool = True) -> "FileLock | None":
    """Take the lock on a file. It is held until its `release`, or until this process ends, however it ends.

    The file is created if needed and holds the process ID of the last holder. A symbolic link in its place
    is not followed.

    Args:
        path: the file, which is used for nothing else.
        wait: whether to wait while another process holds the lock.

    Returns:
        the lock; None if another process holds it and `wait` is False.

    Raises:
        RegfoldError: if the file cannot be made or opened, or its file system has no locks.
    """
    # Imported here: the Snakefile is parsed where nothing but Snakemake is installed.
    from filelock import FileLock, Timeout

    # A soft lock, filelock's own answer to a file system without locks, would outlive a killed process.
    lock = FileLock(path, fallback_to_soft=False, on_acquired=_write_process_id)
    try:
        lock.acquire(blocking=wait)
    except Timeout:
        return None
    except OSError as error:
        if error.errno in NO_LOCKS:
            raise RegfoldError(
                f"{path}: its file system has no file locks ({reason(error)}); "
                "expected one that has (docs/clusters.md, File locks)"
            ) from error
        raise RegfoldError(f"{path}: cannot be locked: {reason(error)}") from error
    return lock


@contextmanager
def held(path: str | os.PathLike) -> Iterator[None]:
    """Wait for the lock on a file and hold it while the block runs; raises as `acquire` does."""
    lock = acquire(path)
    try:
        yield
    finally:
        lock.release()


def holder(path: str | os.PathLike) -> int | None:
    """The process ID of the last process that held the lock on a file; None if it is not known."""
    try:
        return int(Path(path).read_text())
    except (OSError, ValueError):
        return None


def _write_process_id(descriptor: int) -> None:
    with suppress(OSError):  # The ID is for people alone: on a full disk the lock still works without it.
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, b"%d\n" % os.getpid())
