"""Remove old training states: by the target `prune` all unused ones, after each run those beyond a limit."""

import shutil
import time
from pathlib import Path

from regfold import files, locks
from regfold.errors import RegfoldError
from regfold.provenance import cell_names

# After a run, unused states are kept up to this size and age: settings that are changed back, and cells that
# a killed run left unfinished, then find their training done.
KEEP_BYTES = 2 * 2**30
KEEP_SECONDS = 90 * 24 * 3600
REFIT = cell_names.name(*cell_names.REFIT)


def prune(results: Path, models: list[str], refits: list[str], states: Path) -> str:
    """Remove every state that no cell refers to, and every cell that is not part of the study.

    Args:
        results: the results folder.
        models: the names of the study's models and baselines.
        refits: the names of the models with `refit`.
        states: the folder of training states.

    Returns:
        a sentence that says how much was removed.
    """
    known = {path.stem for path in (results / "folds").glob("*.json")}
    obsolete = [
        folder
        for folder in sorted(results.glob("cells/*/*"))
        if folder.parent.name not in (refits if folder.name == REFIT else models)
        or (known and folder.name not in known)
    ]
    size = sum(_size(folder) for folder in obsolete)
    for folder in obsolete:
        shutil.rmtree(folder)
    unused = _unused_states(results, states)
    size += sum(state[1] for state in unused)
    n_states = sum(_remove(folder) for folder, *_ in unused)
    return f"removed {n_states:,} training states and {len(obsolete):,} cells ({size / 2**20:,.1f} MiB)"


def bound(results: Path, states: Path) -> None:
    """After a whole run: remove unused states beyond KEEP_BYTES, oldest first, or older than KEEP_SECONDS.

    Also removes the temporary files that killed jobs left in results.
    """
    files.sweep(results)
    now, kept = time.time(), 0
    for folder, size, used in sorted(_unused_states(results, states), key=lambda state: -state[2]):
        kept += size
        if kept > KEEP_BYTES or now - used > KEEP_SECONDS:
            _remove(folder)


def _unused_states(results: Path, states: Path) -> list[tuple[Path, int, float]]:
    """(folder, bytes, time of last use) of every state that no cell refers to."""
    needed = set()
    for path in results.glob("cells/*/*/cell.json"):
        try:
            needed.update(files.read_json(path)["digests"]["states"])
        except (OSError, RegfoldError, TypeError):
            continue
    unused = [folder for folder in states.glob("*") if folder.name not in needed]
    return [(folder, _size(folder), folder.stat().st_mtime) for folder in unused]


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _remove(folder: Path) -> bool:
    """Remove a state, unless a process is using it; whether it was removed."""
    try:
        lock = locks.acquire(folder / "lock", wait=False)
        if lock is None:
            return False
        try:
            shutil.rmtree(folder)
        finally:
            lock.release()
    except (RegfoldError, OSError, ImportError):  # filelock may be missing where Snakemake alone is installed
        return False
    return True
