"""A thread of Snakemake's process that reports the run's progress from time to time.

It prints through Snakemake's logger, so its lines appear on the terminal and in Snakemake's log with any
executor or logger plugin, and `--quiet progress` hides them. Cells run in other processes, also on other
nodes; their progress is read from their files. Which cells there are, and which still have to run, is known
from Snakemake's graph of jobs alone; it is written to `run.json` for other processes.
"""

import threading
import time
from pathlib import Path

from regfold.formatting import visible
from regfold.provenance import cell_names
from regfold.runtime import process, progress
from regfold.workflow import adapter, progress_view, run_lock

TRAINING, REFIT = "train_fold", "refit_model"
FIRST_LINE, LONGEST_PAUSE = 10.0, 60.0


class RunProgress(threading.Thread):
    """Writes run.json and logs lines, after 10 s, 20 s, 40 s, and then every minute, until `end`."""

    def __init__(
        self, workflow, folder: Path = progress.FOLDER, poll: float = 1.0, first: float = FIRST_LINE
    ):
        """`workflow` is Snakemake's, looked at every `poll` seconds; the first line comes after `first`."""
        super().__init__(name="progress", daemon=True)
        self.workflow, self.folder, self.poll = workflow, Path(folder).absolute(), poll
        self._pause = first
        self._over = threading.Event()
        self._said = None
        self.state = {
            "state": progress.RUNNING,
            "started": time.time(),
            "updated": time.time(),
            **process.identity(),
            "cells": [],
            "todo": [],
        }

    def start(self) -> None:
        """Record first this run's lock and process: if it is killed, the next run can remove the lock."""
        self.state["locks"] = run_lock.own(self.workflow)
        self._write()
        super().start()

    def run(self) -> None:
        self.state["started"] = time.time()
        due = time.monotonic() + self._pause
        while True:
            changed = self._ask_snakemake()
            if changed or time.time() - self.state["updated"] > 10:
                self._write()
            if time.monotonic() >= due:
                self._say()
                self._pause = min(2 * self._pause, LONGEST_PAUSE)
                due = time.monotonic() + self._pause
            if self._over.wait(self.poll):
                return

    def end(self, state: str) -> None:
        """Record the end of the run; `state` is progress.DONE or progress.FAILED."""
        self._over.set()
        if self.is_alive():
            self.join()
        self._ask_snakemake()
        self.state["state"] = state
        self._write()

    def _ask_snakemake(self) -> bool:
        """Update the list of cells; return whether it changed."""
        try:
            jobs = adapter.jobs(self.workflow)
            todo = adapter.jobs_to_run(self.workflow)
        except RuntimeError:  # the graph changed while it was read: the next call will succeed
            return False
        now = {"cells": _cells(jobs), "todo": _cells(todo)}
        changed = any(self.state[name] != value for name, value in now.items())
        self.state |= now
        return changed

    def _write(self) -> None:
        self.state["updated"] = time.time()
        progress.write(self.folder / "run.json", self.state)

    def _say(self) -> None:
        text = "\n".join(map(visible, progress_view.lines(progress_view.look(self.folder))))
        if self.state["cells"] and text != self._said:
            self._said = text
            adapter.say(text)


def _cells(jobs: list[tuple[str, dict[str, str]]]) -> list[list]:
    """[model, repeat, fold] of each job that trains, in order."""
    cells = [
        [cell["model"], int(cell["repeat"]), int(cell["fold"])] for rule, cell in jobs if rule == TRAINING
    ]
    return sorted(cells + [[cell["model"], *cell_names.REFIT] for rule, cell in jobs if rule == REFIT])
