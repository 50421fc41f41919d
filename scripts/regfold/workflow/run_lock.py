"""Remove Snakemake's lock on a study if the Snakemake that held it was killed."""

import sys
from pathlib import Path

from regfold import locks
from regfold.errors import RegfoldError
from regfold.runtime import process, progress
from regfold.workflow import adapter

LOCKS = Path(".snakemake/locks")


def own(workflow) -> list[list]:
    """The files of the lock that this run holds, as JSON data for its run.json.

    Args:
        workflow: Snakemake's workflow, about to run its jobs.
    """
    # Not all files of the folder: a run with other output files may hold a lock of its own.
    return [_identity(Path(path)) for path in adapter.lock_files(workflow)]


def release_if_orphaned(workflow) -> None:
    """Remove the lock of a Snakemake that was killed on this machine, as `snakemake --unlock` would.

    It is removed only if it certainly belongs to no process: its files are recorded in the run.json of a
    process that has ended. Otherwise it stays, and Snakemake says what to do. Concurrent new runs check one
    after the other, so that none mistakes the new lock of another for the old one. Jobs of the killed run may
    still be running; that is safe, since each training state has a lock of its own.

    Args:
        workflow: Snakemake's workflow; nothing is done except in the main process of a run that is not dry.
    """
    if not any(LOCKS.glob("*")) or not adapter.is_main(workflow) or adapter.is_dry(workflow):
        return
    try:
        with locks.held(progress.FOLDER / "run.lock"):
            run = progress.read(progress.FOLDER / "run.json")
            if run is None or run["state"] != progress.RUNNING or process.alive(run):
                return
            orphaned = [path for path in LOCKS.glob("*") if _identity(path) in run["locks"]]
            for path in orphaned:
                path.unlink()
    # A file system without locks; a damaged run.json; no filelock, where Snakemake alone is installed.
    except (RegfoldError, OSError, KeyError, TypeError, ImportError):
        return
    if orphaned:
        print(
            "regfold: the last run was killed; its lock is removed, and this run continues its work",
            file=sys.stderr,
        )


def _identity(path: Path) -> list:
    """What distinguishes a lock file from a later one of the same name."""
    return [path.name, path.stat().st_mtime_ns]
