"""The state of a training, saved atomically under the digest of all that it depends on."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from regfold import files, locks
from regfold.errors import RegfoldError, reason
from regfold.training.programs.base import Arrays, stacked

FORMAT = 4
DIVERGED = "diverged"
HISTORY = ("train_loss", "train_objective", "validation_loss", "learning_rate")


@dataclass
class State:
    """Everything that a training needs to go on as if it had never stopped.

    A training has one lane for each of the networks that are trained side by side. Every array of variables
    has the lane as its first axis.

    Attributes:
        variables: all variables of the networks, trainable ones first, with the states of random generators;
            [] once the training is finished.
        epoch: the number of epochs done.
        ended: for each lane the last epoch of its training, 0 while it goes on.
        endings: for each lane "" or the reason of an early end, in words.
        best_epochs: for each lane the epoch with the lowest validation loss, 0 before the first epoch or
            without early stopping.
        kept: the variables that a lane's trained network has, filled in once the lane has a best epoch or has
            ended; [] while no lane has.
        optimizer: all variables of the optimizer; [] at the beginning and once the training is finished.
        history: float64 (lanes, epoch, 4): the columns of HISTORY; NaN where a value does not apply.
        snapshots: epoch -> the variables after it, for the held-out learning curve.
    """

    variables: Arrays
    epoch: int = 0
    ended: list[int] = field(default_factory=list)
    endings: list[str] = field(default_factory=list)
    best_epochs: list[int] = field(default_factory=list)
    kept: Arrays = field(default_factory=list)
    optimizer: Arrays = field(default_factory=list)
    history: np.ndarray | None = None
    snapshots: dict[int, Arrays] = field(default_factory=dict)

    def __post_init__(self):
        if self.history is None:
            lanes = len(self.variables[0]) if self.variables else 1
            self.ended, self.endings, self.best_epochs = [0] * lanes, [""] * lanes, [0] * lanes
            self.history = np.empty((lanes, 0, len(HISTORY)))

    @property
    def finished(self) -> bool:
        """Whether the training of all lanes has ended."""
        return all(self.ended)

    @property
    def running(self) -> list[int]:
        """The lanes whose training goes on."""
        return [lane for lane, epoch in enumerate(self.ended) if not epoch]

    def keep(self, lanes: list[int], variables: Arrays) -> None:
        """Keep the variables of these lanes, out of `variables`, which has all lanes."""
        self.kept = self.kept or [value.copy() for value in variables]
        for kept, value in zip(self.kept, variables, strict=True):
            kept[lanes] = value[lanes]

    def trained(self) -> list["Trained"]:
        """The trained networks of a finished training, lane by lane."""
        return [
            Trained(
                variables=[value[lane] for value in self.kept],
                epochs=self.ended[lane],
                best_epoch=self.best_epochs[lane] or self.ended[lane],
                ending=self.endings[lane],
                history=self.history[lane, : self.ended[lane]],
                snapshots={
                    epoch: [value[lane] for value in values]
                    for epoch, values in self.snapshots.items()
                    if epoch <= self.ended[lane]
                },
            )
            for lane in range(len(self.ended))
        ]


@dataclass(frozen=True)
class Trained:
    """A trained network.

    Attributes:
        variables: the values of its variables, trainable ones first.
        epochs: the number of epochs that were trained.
        best_epoch: the epoch that the variables are from.
        ending: "" or the reason of an early end, in words.
        history: float64 (epochs, 4): the columns of HISTORY.
        snapshots: epoch -> the variables after it.
    """

    variables: Arrays
    epochs: int
    best_epoch: int
    ending: str
    history: np.ndarray
    snapshots: dict[int, Arrays]

    @property
    def diverged(self) -> bool:
        return self.ending.startswith(DIVERGED)


class Store:
    """The saved state of one training, `<root>/<digest>/state.npz`, and its lock.

    Two processes never work on one state: a process holds `lock` while it does, and the kernel releases the
    lock when the process ends.

    Args:
        root: the folder of all states.
        digest: the name of the state, see identity.state_digest.

    Attributes:
        damage: after `load`, why a saved state was ignored; "" if it was not.
    """

    def __init__(self, root: str | os.PathLike, digest: str):
        self.folder = Path(root) / digest
        self.path = self.folder / "state.npz"
        self.damage = ""

    @contextmanager
    def lock(self, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Hold the lock, and mark the folder as just used.

        Args:
            on_wait: called once if another process holds the lock.

        Raises:
            RegfoldError: if the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            os.utime(self.folder)
        except OSError as error:
            raise RegfoldError(f"{self.folder}: cannot be written: {reason(error)}") from error
        lock = locks.acquire(self.folder / "lock", wait=False)
        if lock is None:
            on_wait()
            lock = locks.acquire(self.folder / "lock")
        try:
            files.sweep(self.folder)
            yield
        finally:
            lock.release()

    def save(self, state: State) -> None:
        """Replace the saved state atomically.

        Raises:
            RegfoldError: if it cannot be written.
        """
        header = {name: getattr(state, name) for name in ("epoch", "ended", "endings", "best_epochs")}
        arrays, epochs = {"history": state.history}, sorted(state.snapshots)
        groups = {"variables": state.variables, "optimizer": state.optimizer, "kept": state.kept}
        groups["snapshots"] = stacked([state.snapshots[epoch] for epoch in epochs])
        for name, values in groups.items():
            arrays |= {f"{name}.{index}": value for index, value in enumerate(values)}
        header |= {"format": FORMAT, "snapshots": epochs, "arrays": list(arrays)}
        arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
        with files.atomic(self.path) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)

    def progress(self) -> tuple[int, bool, int] | None:
        """(epochs done, finished, best epoch) of the saved state, which is not loaded; None without one."""
        try:
            with np.load(self.path) as archive:
                header = json.loads(archive["header"].tobytes())
            found = header["epoch"], all(header["ended"]), max(header["best_epochs"])
            return found if header["format"] == FORMAT else None
        except Exception:  # as in `load`
            return None

    def load(self) -> State | None:
        """The saved state; None if there is none, or if it is damaged or of another format: see `damage`."""
        try:
            with np.load(self.path) as archive:
                # numpy does not check the checksum where a damaged header makes an array smaller.
                if (damaged := archive.zip.testzip()) is not None:
                    raise ValueError(f"bad checksum of {damaged}")
                arrays = {name: archive[name] for name in archive.files}
            header = json.loads(arrays.pop("header").tobytes())
            if header.pop("format") != FORMAT:
                raise ValueError("written by another version")
            if set(header.pop("arrays")) != arrays.keys():
                raise ValueError("some of its arrays are missing")
            history = arrays.pop("history")
            epochs = header.pop("snapshots")
            groups: dict[str, list[np.ndarray]] = {}
            for name in sorted(arrays, key=lambda name: int(name.rpartition(".")[2])):
                groups.setdefault(name.rpartition(".")[0], []).append(arrays[name])
            snapshots = groups.get("snapshots", [])
            return State(
                variables=groups.get("variables", []),
                optimizer=groups.get("optimizer", []),
                kept=groups.get("kept", []),
                snapshots={epoch: [of[place] for of in snapshots] for place, epoch in enumerate(epochs)},
                history=history,
                **header,
            )
        except FileNotFoundError:
            return None
        except Exception as error:  # a damaged archive makes zipfile and numpy raise nearly anything
            self.damage = f"{self.path} is damaged or from another version ({error}); it is ignored"
            return None
