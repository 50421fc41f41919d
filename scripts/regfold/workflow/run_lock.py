"""Snakemake's lock on a study whose Snakemake was killed: nobody's, and taken away with one line."""

import sys
from pathlib import Path

from regfold import locks
from regfold.errors import RegfoldError
from regfold.runtime import process, progress
from regfold.workflow import adapter

LOCKS = Path(".snakemake/locks")


def own(workflow) -> list[list]:
    """The files of the lock that this run holds, as JSON has them, for its run.json.

    Args:
        workflow: Snakemake's workflow, about to run its jobs.
    """
    # Not all files of the folder: a run that makes other files may hold a lock beside this one.
    return [_identity(Path(path)) for path in adapter.lock_files(workflow)]


def release_if_orphaned(workflow) -> None:
    """Remove the lock of a Snakemake that was killed on this machine, as `snakemake --unlock` would.

    It is removed where it is certain to be nobody's: these very files are in the run.json of a process that
    has ended. Of several new runs one looks after the other, so that none takes another's new lock for the
    old one. Else it stays, and Snakemake says what to do. The killed run's jobs may live on; that is no
    danger, since each cell is held by the lock of its own state.

    Args:
        workflow: Snakemake's workflow; only its main process, about to run jobs, does anything here.
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
    # A folder without locks, a damaged run.json; Snakemake alone is installed.
    except (RegfoldError, OSError, KeyError, TypeError, ImportError):
        return
    if orphaned:
        print(
            "regfold: the last run was killed; its lock is removed, and what it left goes on", file=sys.stderr
        )


def _identity(path: Path) -> list:
    """What tells a lock file from a later one of the same name."""
    return [path.name, path.stat().st_mtime_ns]
