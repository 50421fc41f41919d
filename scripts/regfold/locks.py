"""Locks on files: one process holds a lock at a time, and the kernel frees it when that process ends."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from regfold.errors import RegfoldError

if TYPE_CHECKING:
    from filelock import FileLock

# What `flock` answers on a file system without locks, such as Lustre without its mount option of that name.
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)


def acquire(path: str | os.PathLike, *, wait: bool = True) -> "FileLock | None":
    """Hold the lock on a file until its `release`, or until this process ends, however it ends.

    The file is made if need be, and says the process ID of the last holder. A symbolic link in its place is
    not followed.

    Args:
        path: the file, which holds nothing else.
        wait: wait for a process that holds the lock.

    Returns:
        the lock; None if another process holds it and `wait` is False.

    Raises:
        RegfoldError: if the file cannot be made or opened, or its file system has no locks.
    """
    from filelock import FileLock, Timeout  # here: who reads the Snakefile may have Snakemake alone

    # A soft lock, filelock's own answer to a file system without locks, would outlive a killed process.
    lock = FileLock(path, fallback_to_soft=False, on_acquired=_write_process_id)
    try:
        lock.acquire(blocking=wait)
    except Timeout:
        return None
    except OSError as error:
        reason = " ".join((error.strerror or str(error)).split())
        if error.errno in NO_LOCKS:
            raise RegfoldError(
                f"{path}: its file system has no file locks ({reason}); "
                "expected one that has (docs/clusters.md, File locks)"
            ) from error
        raise RegfoldError(f"{path}: cannot be locked: {reason}") from error
    return lock


@contextmanager
def held(path: str | os.PathLike) -> Iterator[None]:
    """Hold the lock on a file while the block runs, after waiting for it; raises as `acquire` does."""
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
    with suppress(OSError):  # For those who wait to read: a full disk keeps nobody from holding the lock.
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, b"%d\n" % os.getpid())
