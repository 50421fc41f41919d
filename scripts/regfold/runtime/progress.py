"""The progress of each cell: a small file, written by the cell's training process and readable from any node.

`.regfold/progress/<model>/<repeat>-<fold>.json` is replaced atomically, so a reader finds the last state or
the one before, never a part of one. `run.json` beside them is that of the whole run (`run_progress`). They
are not results: no decision depends on them, and a failure to write them stops nothing.
"""

import contextlib
import json
import math
import os
import time
from pathlib import Path

from regfold import files
from regfold.errors import RegfoldError
from regfold.provenance import cell_names
from regfold.runtime import process

FOLDER = Path(".regfold/progress")
RUNNING, DONE, FAILED, QUEUED = "running", "done", "failed", "waiting for a GPU"
# Set by readers alone: the process ended without writing its last state; the cell has not begun.
STOPPED, WAITING = "stopped", "waiting"
SILENT_SECONDS = 60


class Reporter:
    """Writes one cell's progress file while its block runs; a block that raises leaves the state "failed"."""

    def __init__(
        self, model: str, repeat: int, fold: int, epochs: int, folder: Path = FOLDER, seconds: float = 1.0
    ):
        """Prepare the file of a cell.

        Args:
            model, repeat, fold: the cell.
            epochs: the most epochs of one training.
            folder: of all progress files.
            seconds: the least time between two updates of the file.
        """
        self.path = Path(folder) / model / f"{cell_names.name(repeat, fold)}.json"
        self.state = {
            "model": model,
            "repeat": repeat,
            "fold": fold,
            "state": RUNNING,
            "epoch": 0,
            "epochs": epochs,
            "train_loss": None,
            "validation_loss": None,
            "seconds_per_epoch": None,
            "started": time.time(),
            "updated": time.time(),
            **process.identity(),
            "device": None,
        }
        self._seconds, self._due = seconds, 0.0
        self._first_epoch = self._first_time = None
        self._latest = 0, None, None

    def __enter__(self) -> "Reporter":
        self._write()
        return self

    def __exit__(self, kind, error, trace) -> None:
        self.state["state"] = DONE if kind is None else FAILED
        self._write()

    def queue(self) -> None:
        """The cell waits for a GPU."""
        self.state["state"] = QUEUED
        self._write()

    def begin(self, device: str, epoch: int = 0, trainings: int = 1) -> None:
        """The cell's trainings begin.

        Args:
            device: the name of the processor or GPU.
            epoch: the number of epochs that an earlier job has trained.
            trainings: the number of trainings of the cell.
        """
        self.state |= {"state": RUNNING, "device": device, "epochs": trainings * self.state["epochs"]}
        self._latest = epoch, None, None
        self._write()

    def update(self, epoch: int, train_loss=None, validation_loss=None) -> None:
        """Epoch `epoch` is trained. Losses are converted by `float` only if the file is written."""
        self._latest = epoch, train_loss, validation_loss
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + self._seconds
        if self._first_epoch is None:  # the first epochs include compilation, so they are not timed
            self._first_epoch, self._first_time = epoch, now
        elif epoch > self._first_epoch:
            self.state["seconds_per_epoch"] = (now - self._first_time) / (epoch - self._first_epoch)
        self._write()

    def _write(self) -> None:
        epoch, train_loss, validation_loss = self._latest
        losses = {"train_loss": _finite(train_loss), "validation_loss": _finite(validation_loss)}
        self.state |= {"epoch": epoch, **losses, "updated": time.time()}
        write(self.path, self.state)


def write(path: Path, state: dict) -> None:
    """Replace the file atomically. It is not flushed to disk, as it need not survive a power failure."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(state))
        temporary.replace(path)


def read_all(folder: Path = FOLDER) -> list[dict]:
    """The last state of every cell that has begun, sorted by model, repeat and fold; see `judged`."""
    cells = []
    for path in Path(folder).glob("*/[!.]*.json"):
        with contextlib.suppress(RegfoldError):  # a cell whose file is damaged is left out
            if state := read(path):
                cells.append(judged(state))
    return sorted(cells, key=lambda state: (state["model"], state["repeat"], state["fold"]))


def read(path: Path) -> dict | None:
    """The content of a progress file; None if it does not exist.

    Raises:
        RegfoldError: if it is damaged.
    """
    try:
        return files.read_json(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def judged(state: dict) -> dict:
    """The state with `silent`, the seconds since its last update.

    Its state is "stopped" if the file says that the cell goes on, but its process is gone.
    """
    silent = max(0.0, time.time() - state["updated"])
    if state["state"] in (RUNNING, QUEUED) and silent > SILENT_SECONDS and not process.alive(state):
        return {**state, "state": STOPPED, "silent": silent}
    return {**state, "silent": silent}


def _finite(loss) -> float | None:
    """The loss as a number for JSON, which has no NaN: None if it is not finite, or not measured."""
    value = math.nan if loss is None else float(loss)
    return value if math.isfinite(value) else None
