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

FORMAT = 2
HISTORY = ("train_loss", "train_objective", "validation_loss", "learning_rate")


@dataclass
class State:
    """Everything that a training needs to go on as if it had never stopped.

    Attributes:
        epoch: epochs done.
        finished: whether no epoch is to follow; `ending` says why.
        ending: "" or the reason of an early end, in words.
        variables: all variables of the network, trainable ones first; the states of random generators too.
        optimizer: all variables of the optimizer; [] at the beginning and once the training is finished.
        history: float64 (epoch, 4): the columns of HISTORY; NaN where a value does not apply.
        best_epoch: the epoch with the lowest validation loss, 0 before the first or without early stopping.
        best_variables: the network's variables after that epoch.
        snapshots: the network's variables after some epochs, for the picture of the held-out loss.
    """

    epoch: int = 0
    finished: bool = False
    ending: str = ""
    variables: list[np.ndarray] = field(default_factory=list)
    optimizer: list[np.ndarray] = field(default_factory=list)
    history: np.ndarray = field(default_factory=lambda: np.empty((0, len(HISTORY))))
    best_epoch: int = 0
    best_variables: list[np.ndarray] = field(default_factory=list)
    snapshots: dict[int, list[np.ndarray]] = field(default_factory=dict)

    @property
    def kept(self) -> list[np.ndarray]:
        """The variables to keep once the training is finished."""
        return self.best_variables or self.variables


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
        header = {name: getattr(state, name) for name in ("epoch", "finished", "ending", "best_epoch")}
        arrays = {"history": state.history}
        groups = {"variables": state.variables, "optimizer": state.optimizer, "best": state.best_variables}
        groups |= {f"snapshot_{epoch}": values for epoch, values in state.snapshots.items()}
        for name, values in groups.items():
            arrays |= {f"{name}.{index}": value for index, value in enumerate(values)}
        header |= {"format": FORMAT, "snapshots": sorted(state.snapshots), "arrays": list(arrays)}
        arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
        with files.atomic(self.path) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)

    def progress(self) -> tuple[int, bool] | None:
        """(epochs done, finished) of the state found, without its arrays; None where there is none to use."""
        try:
            with np.load(self.path) as archive:
                header = json.loads(archive["header"].tobytes())
            return (header["epoch"], header["finished"]) if header["format"] == FORMAT else None
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
            return State(
                variables=groups.get("variables", []),
                optimizer=groups.get("optimizer", []),
                best_variables=groups.get("best", []),
                snapshots={epoch: groups.get(f"snapshot_{epoch}", []) for epoch in epochs},
                history=history,
                **header,
            )
        except FileNotFoundError:
            return None
        except Exception as error:  # a damaged archive makes zipfile and numpy raise nearly anything
            self.damage = f"{self.path} is damaged or from another version ({error}); it is ignored"
            return None
