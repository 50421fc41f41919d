"""Snakemake's lock on a study whose Snakemake was killed: nobody's, and taken away with one line."""

import sys
from pathlib import Path

from regfold.runtime import progress

LOCKS = Path(".snakemake/locks")


def release_if_orphaned(workflow) -> None:
    """Remove the lock of a Snakemake that was killed on this machine, as `snakemake --unlock` would.

    Its jobs may live on; that is no danger, since each cell is held by the lock of its own state. A lock is
    left alone where its Snakemake is alive, or ran on another machine, where nobody can tell.

    Args:
        workflow: Snakemake's workflow; only its main process, about to run jobs, does anything here.
    """
    locks = list(LOCKS.glob("*")) if LOCKS.is_dir() else []
    if not locks or not workflow.is_main_process or workflow.dryrun:
        return
    run = progress.read(progress.FOLDER / "run.json")
    if run is None or run["state"] != progress.RUNNING or progress.alive(run):
        return
    for lock in locks:
        lock.unlink(missing_ok=True)
    print("regfold: the last run was killed; its lock is removed, and what it left goes on", file=sys.stderr)
