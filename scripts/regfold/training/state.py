"""The state of a training: written whole or not at all, found by the digest of all that it depends on."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from regfold import files, locks
from regfold.errors import RegfoldError
from regfold.training.programs.base import Arrays, stacked

FORMAT = 4
DIVERGED = "diverged"
HISTORY = ("train_loss", "train_objective", "validation_loss", "learning_rate")


@dataclass
class State:
    """Everything that a training needs to go on as if it had never stopped.

    It is of one network or of several lanes; every array of variables has the lane as its first axis.

    Attributes:
        variables: all variables of the networks, trainable ones first; the states of random generators too.
            [] once the training is finished.
        epoch: epochs done.
        ended: for each lane the epoch with which its training ended, 0 while it goes on.
        endings: for each lane "" or the reason of an early end, in words.
        best_epochs: for each lane the epoch with the lowest validation loss, 0 before the first or without
            early stopping.
        kept: the variables to keep of lanes that have a best epoch or have ended; [] before the first.
        optimizer: all variables of the optimizer; [] at the beginning and once the training is finished.
        history: float64 (lanes, epoch, 4): the columns of HISTORY; NaN where a value does not apply.
        snapshots: the variables after some epochs, for the picture of the held-out loss.
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
        """Whether no epoch is to follow."""
        return all(self.ended)

    @property
    def running(self) -> list[int]:
        """The lanes whose training goes on."""
        return [lane for lane, epoch in enumerate(self.ended) if not epoch]

    def keep(self, lanes: list[int], variables: Arrays) -> None:
        """Keep these variables of some lanes."""
        self.kept = self.kept or [value.copy() for value in variables]
        for kept, value in zip(self.kept, variables, strict=True):
            kept[lanes] = value[lanes]

    def trained(self) -> list["Trained"]:
        """What a finished training made, lane by lane."""
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
        variables: those to keep.
        epochs: how many were trained.
        best_epoch: the one that the variables are from.
        ending: "" or the reason of an early end, in words.
        history: float64 (epochs, 4): the columns of HISTORY.
        snapshots: the variables after some epochs.
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
    """The states under one folder, one folder a digest: `<root>/<digest>/state.npz` and its lock.

    Two processes never work on one state: `lock` is held while one does, and falls with its process.
    """

    def __init__(self, root: str | os.PathLike, digest: str):
        self.folder = Path(root) / digest
        self.path = self.folder / "state.npz"
        self.damage = ""

    @contextmanager
    def lock(self, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Hold the state; `on_wait` is called once if another process does. Marks the folder as just used."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            os.utime(self.folder)
        except OSError as error:
            raise RegfoldError(f"{self.folder}: cannot be written: {error.strerror or error}") from error
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
        """Write the state in place of the last one, atomically.

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
        """(epochs done, finished, best epoch) of the state found, without its arrays; None: there is none."""
        try:
            with np.load(self.path) as archive:
                header = json.loads(archive["header"].tobytes())
            found = header["epoch"], all(header["ended"]), max(header["best_epochs"])
            return found if header["format"] == FORMAT else None
        except Exception:  # as in `load`
            return None

    def load(self) -> State | None:
        """The state found, or None; None too for a damaged one or another format, and `damage` says so."""
        try:
            with np.load(self.path) as archive:
                # numpy does not look at a checksum where a damaged header makes an array smaller.
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
