"""Programs that XLA compiled for earlier cells: compiling takes longer than a small network's whole training.

TensorFlow can keep compiled programs in a folder, but trusts what it finds there. So each process works in a
folder of its own, which holds only files that are what they were, and hands over what is new. Cells that
start together need the same programs: one of them compiles each, and the others wait, or compile the next.

Programs are kept apart by what they depend on: TensorFlow's version, the processor's instructions, the number
of threads.
"""

import hashlib
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from regfold import files
from regfold.errors import RegfoldError

MOST = 64
# A program in the folder of its name: a hidden file is one that another process is writing just now.
WHOLE = "*/[!.]*"
# A process that compiles for longer than this may have been stopped: others then compile for themselves.
PATIENCE_SECONDS = 60
PREFIX, LOCK = "regfold-xla-", "lock"
ORPHAN_SECONDS = 3600


class Programs:
    """The compiled programs of a study that this process can use.

    It fails for nothing but speed: what cannot be read or written is compiled again.

    Args:
        shared: where they are kept, `<name>/<digest of the content>/<TensorFlow's name>`.
        own: where TensorFlow looks for them, and leaves new ones.
    """

    def __init__(self, shared: Path, own: Path):
        self.shared, self.own = shared, own

    def once(self, tasks: Mapping[str, Callable[[], object]]) -> None:
        """Run all tasks, in any order; of processes that start one of the same name at once, one compiles.

        Args:
            tasks: name -> what has TensorFlow compile a program, or find it compiled.
        """
        waiting = dict(tasks)
        while waiting:
            for name in list(waiting):
                # The last one left is worth waiting for; before, there is something else to compile.
                if self._run(name, waiting[name], PATIENCE_SECONDS if len(waiting) == 1 else 0):
                    del waiting[name]

    def _run(self, name: str, task: Callable[[], object], patience: float) -> bool:
        """Whether the task was run: not if another process has compiled it for less than `patience` s."""
        folder, lock = self.shared / name, FileLock(self.shared / f"{name}.lock")
        if not any(folder.glob(WHOLE)):
            with suppress(OSError):
                folder.parent.mkdir(parents=True, exist_ok=True)
                try:
                    lock.acquire(timeout=patience)
                except Timeout:
                    if not patience:
                        return False
        try:
            self._take(folder)
            before = set(self.own.iterdir())
            task()
            with suppress(OSError, RegfoldError):
                self._hand_over(set(self.own.iterdir()) - before, folder)
        finally:
            if lock.is_locked:
                # Whoever waits for a file that lost its name is told so by filelock, and locks a new one.
                Path(lock.lock_file).unlink(missing_ok=True)
                lock.release()
        return True

    def _take(self, folder: Path) -> None:
        """Copy every whole program; a damaged one is removed."""
        for path in folder.glob(WHOLE):
            with suppress(OSError):
                if files.sha256(path) == path.parent.name:
                    shutil.copyfile(path, self.own / path.name)
                    os.utime(path)
                else:
                    shutil.rmtree(path.parent)

    def _hand_over(self, new: set[Path], folder: Path) -> None:
        """Copy each file into a folder named by its content's digest; drop the longest unused of all."""
        for path in new:
            if path.suffix == ".pb":
                with files.atomic(folder / files.sha256(path) / path.name) as temporary:
                    shutil.copyfile(path, temporary)
        programs = sorted(self.shared.glob(f"*/{WHOLE}"), key=lambda path: path.stat().st_mtime)
        for path in programs[:-MOST]:
            shutil.rmtree(path.parent, ignore_errors=True)
            with suppress(OSError):
                path.parent.parent.rmdir()


@contextmanager
def kept(root: Path, pool: int) -> Iterator[Programs]:
    """Let TensorFlow, before its first operation, keep compiled programs; they stay under `root`.

    Args:
        root: a folder of the study.
        pool: the size of TensorFlow's thread pool.
    """
    _remove_orphans()
    before = os.environ.get("TF_XLA_FLAGS", "")
    with tempfile.TemporaryDirectory(prefix=PREFIX) as own, FileLock(Path(own) / LOCK):
        os.environ["TF_XLA_FLAGS"] = f"{before} --tf_xla_persistent_cache_directory={own}".strip()
        try:
            yield Programs(root / _kind(pool), Path(own))
        finally:
            os.environ["TF_XLA_FLAGS"] = before


def _remove_orphans() -> None:
    """Remove the folders of processes that were killed: old ones that nobody holds the lock of."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError, Timeout):
            if time.time() - folder.stat().st_mtime > ORPHAN_SECONDS:
                with FileLock(folder / LOCK, blocking=False):
                    shutil.rmtree(folder)


def _kind(pool: int) -> str:
    """What a compiled program depends on besides itself."""
    instructions = ""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        instructions = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    from importlib import metadata  # takes longer than the rest of this module

    parts = [metadata.version("tensorflow"), platform.machine(), platform.processor(), instructions, pool]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
