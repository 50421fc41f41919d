"""Programs that XLA compiled for earlier cells: compiling takes longer than a small network's whole training.

TensorFlow can keep compiled programs in a folder, but trusts what it finds there. So each process works in a
folder of its own, which holds only files that are what they were, and hands over what is new when it ends.
Programs are kept apart by what they depend on: TensorFlow's version, the processor's instructions, the number
of threads.
"""

import hashlib
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path

from regfold import files
from regfold.errors import RegfoldError

MOST = 64


@contextmanager
def kept(root: Path, pool: int) -> Iterator[None]:
    """Let TensorFlow, which is not imported yet, find and leave its compiled programs under `root`.

    That fails for nothing but speed: what cannot be read or written is compiled again.

    Args:
        root: a folder of the study.
        pool: the size of TensorFlow's thread pool.
    """
    shared, before = root / _kind(pool), os.environ.get("TF_XLA_FLAGS", "")
    with tempfile.TemporaryDirectory(prefix="regfold-xla-") as own:
        taken = _take(shared, Path(own))
        os.environ["TF_XLA_FLAGS"] = f"{before} --tf_xla_persistent_cache_directory={own}".strip()
        try:
            yield
        finally:
            os.environ["TF_XLA_FLAGS"] = before
            with suppress(OSError, RegfoldError):
                _hand_over(Path(own), taken, shared)


def _kind(pool: int) -> str:
    """What a compiled program depends on besides itself."""
    instructions = ""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        instructions = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    parts = [metadata.version("tensorflow"), platform.machine(), platform.processor(), instructions, pool]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _take(shared: Path, own: Path) -> set[str]:
    """Copy every whole program; a damaged one is removed. Their names in `own`."""
    taken = set()
    for path in shared.glob("*/*"):
        with suppress(OSError):
            if files.sha256(path) == path.parent.name:
                shutil.copyfile(path, own / path.name)
                os.utime(path)
                taken.add(path.name)
            else:
                shutil.rmtree(path.parent)
    return taken


def _hand_over(own: Path, taken: set[str], shared: Path) -> None:
    """Copy what is new, each file in a folder named by its content's digest; drop the longest unused."""
    for path in own.iterdir():
        if path.suffix == ".pb" and path.name not in taken and not any(shared.glob(f"*/{path.name}")):
            with files.atomic(shared / files.sha256(path) / path.name) as temporary:
                shutil.copyfile(path, temporary)
    programs = sorted(shared.glob("*/*"), key=lambda path: path.stat().st_mtime)
    for path in programs[:-MOST]:
        shutil.rmtree(path.parent, ignore_errors=True)
