"""One cell, from rows to files: train one network on a fold's training rows, predict the rows held out."""

import csv
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import keras
import numpy as np

from regfold import __version__, files
from regfold.data.matrix import padded_length, take_rows
from regfold.errors import RegfoldError
from regfold.provenance import identity
from regfold.splits import folds
from regfold.training import cell_files, diagnosis, penalty, standardize, validation
from regfold.training.fitting import Fitting
from regfold.training.heldout import HeldOut
from regfold.training.network import assemble, weights_digest
from regfold.training.seeds import derive
from regfold.training.state import State, Store


@dataclass(frozen=True)
class Cell:
    """What is to be trained and tested.

    Attributes:
        model: the model's name.
        repeat, fold: from 1.
        specification: what training depends on besides its rows, see identity.specification.
        split: the resolved split section.
        checkpoint_seconds: at most so many seconds of training are ever lost.
        on_divergence: "warn" or "fail".
    """

    model: str
    repeat: int
    fold: int
    specification: dict
    split: dict
    checkpoint_seconds: float
    on_divergence: str

    @property
    def key(self) -> tuple[int, int, int]:
        return self.specification["training"]["seed"], self.repeat, self.fold

    def __str__(self) -> str:
        return f"model {self.model}, repeat {self.repeat}, fold {self.fold}"


class Interrupted(RegfoldError):
    """The training was asked to stop; its state is saved."""


def run(
    cell: Cell,
    prepared: Path,
    description: dict,
    state_root: Path,
    out: Path,
    device: dict,
    on_epoch: Callable[[int, np.ndarray], None] = lambda epoch, values: None,
    stop: Callable[[], bool] = lambda: False,
    say: Callable[[str], None] = print,
) -> dict:
    """Train the cell's network, or go on with it, or find it trained; predict; write the cell's files.

    Args:
        cell: what to train.
        prepared: results/prepared.
        description: the fold's description, results/folds/<repeat>-<fold>.json.
        state_root: the folder of all states.
        out: the cell's folder.
        device: what it runs on, for cell.json.
        on_epoch: is told each epoch and its line of history, see checkpoint.HISTORY.
        stop: asked now and then; True ends the job, its state saved.
        say: takes a line for the terminal.

    Returns:
        the content of cell.json.

    Raises:
        RegfoldError: if the network cannot be built, a file cannot be written, or the loss diverged and
            `on_divergence` is fail.
        Interrupted: if `stop` said so.
    """
    started, clock = datetime.now(UTC), time.monotonic()
    schema = files.read_json(prepared / "schema.json")
    specification = cell.specification | {"versions": identity.versions()}
    digest = identity.state_digest(specification, description)
    held_out, rows, truth, n_validation = _read_rows(prepared, cell)
    seen = rows[: len(truth) - n_validation]
    preprocessing = diagnosis.preprocessing(seen, prepared / "features.npy", held_out, schema)
    fitting = Fitting(specification, cell.key, schema, rows, truth, n_validation)
    del rows, seen
    store = Store(state_root, digest)
    # Held until the files are written: an orphan of a killed run and its successor write one after the other.
    with store.lock(on_wait=lambda: say(f"regfold: {cell}: waits for a process that works on it")):
        files.sweep(out)
        found = store.load()
        if store.damage:
            say(f"regfold: warning: {cell}: {store.damage}")
        begun, training_clock = found.epoch if found else 0, time.monotonic()
        trainer = fitting.trainer
        state = trainer.fit(
            found, save=store.save, save_seconds=cell.checkpoint_seconds, on_epoch=on_epoch, stop=stop
        )
        seconds_training = time.monotonic() - training_clock
        if not state.finished:
            raise Interrupted(f"{cell}: stopped after epoch {state.epoch}; the next run goes on from there")
        if state.ending.startswith("diverged") and cell.on_divergence == "fail":
            raise RegfoldError(f"{cell}: {state.ending}; training.on_divergence is fail")
        network, predictions, losses = _predict(fitting, state, prepared, held_out, schema)
        hidden = trainer.hidden(state)
        if cell.on_divergence == "fail" and not np.isfinite(predictions).all():
            raise RegfoldError(f"{cell}: predictions are not finite; training.on_divergence is fail")
        flags = diagnosis.flags(state, hidden, predictions, fitting.target)
        if specification["training"]["early_stopping"] and not n_validation:
            flags.append("no early stopping: a single row, group or time leaves no validation rows")
        metadata = {
            "model": cell.model,
            "repeat": cell.repeat,
            "fold": cell.fold,
            "fold_name": description["name"],
            "n_train": description["n_train"],
            "n_validation": n_validation,
            "n_test": len(held_out),
            "epochs": state.epoch,
            "best_epoch": state.best_epoch or state.epoch,
            "trained_epochs": state.epoch - begun,
            "resumed_from": begun,
            "ending": state.ending,
            "settings": {part: specification[part] for part in ("network", "training", "penalty")},
            "seeds": {"seed": cell.key[0], "weights": derive(*cell.key, "weights")},
            "versions": {
                "regfold": __version__,
                **specification["versions"],
                "python": platform.python_version(),
            },
            "device": device,
            "flags": flags,
            "preprocessing": preprocessing,
            "penalties": _finite(penalty.measure_weights(trainer.core) | diagnosis.activity(hidden)),
            "activity_note": penalty.activity_note(specification["penalty"], trainer.batch_size),
            "weights": weights_digest(network),
            "digests": {
                "state": digest,
                **{name: description[name] for name in identity.DIGESTS},
                **{part: specification[part] for part in ("code", "cell", "build")},
            },
            "times": {
                "started": started.isoformat(timespec="seconds"),
                "finished": datetime.now(UTC).isoformat(timespec="seconds"),
                "seconds_training": round(seconds_training, 3),
                "seconds_total": round(time.monotonic() - clock, 3),
            },
        }
        digests = np.load(prepared / "digests.npy", mmap_mode="r")[held_out]
        return _write(out, metadata, network, digests, predictions, state, losses)


def _predict(
    fitting: Fitting, state: State, prepared: Path, held_out: np.ndarray, schema: dict
) -> tuple[keras.Model, np.ndarray, dict[int, tuple[float, float]]]:
    """The whole network with the weights to keep, its predictions, and (loss, RMSE) of some epochs."""
    network = assemble(fitting.trainer.core, schema["width"], fitting.statistics, fitting.target)
    rows = standardize.apply(take_rows(prepared / "features.npy", held_out), fitting.statistics)
    held = HeldOut(fitting.trainer.program, rows, fitting.target)
    truth = np.load(prepared / "target.npy")[held_out]
    looked_at = state.snapshots | {state.best_epoch or state.epoch: state.kept}
    losses = dict(zip(looked_at, held.scores(list(looked_at.values()), truth), strict=True))
    return network, held.predict(state.kept), losses


def _write(
    out: Path,
    metadata: dict,
    network: keras.Model,
    digests: np.ndarray,
    predictions: np.ndarray,
    state: State,
    losses: dict[int, tuple[float, float]],
) -> dict:
    """Write the cell's files, cell.json with their digests last; its content."""
    with files.atomic(out / "model.keras") as temporary:
        network.save(temporary)
    with files.atomic(out / "predictions.npz") as temporary:
        np.savez(temporary, digest=digests, prediction=predictions)
    _write_history(out / "history.csv", state, losses)
    metadata["digests"]["files"] = cell_files.digests(out)
    files.write_json(out / "cell.json", metadata)
    return metadata


def sentence(metadata: dict) -> str:
    """What a job did, for the terminal."""
    what = f"{metadata['model']}, repeat {metadata['repeat']}, fold {metadata['fold']}"
    trained, begun = metadata["trained_epochs"], metadata["resumed_from"]
    if not trained:
        did = f"0 epochs to train: the training of {begun} epochs was found, its rows are predicted again"
    elif begun:
        did = f"{trained} epochs trained, after {begun} that were found"
    else:
        did = f"{trained} epochs in {metadata['times']['seconds_training']:.1f} s"
    parts = [f"{what}: {did}", metadata["ending"], *metadata["flags"]]
    return "; ".join(part for part in parts if part)


def _read_rows(prepared: Path, cell: Cell) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Held-out rows' indices; training rows, validation rows last, padded; their truth; how many validate."""
    decided = folds.read(prepared, cell.split)
    is_training, target = decided.training(cell.repeat, cell.fold), np.load(prepared / "target.npy")
    order, n_validation = validation.arrange(
        cell.specification["training"],
        cell.split,
        decided.codes_of(is_training),
        target[is_training] if target.ndim == 1 else None,
        cell.key,
    )
    training = np.flatnonzero(is_training)[order]
    rows = take_rows(prepared / "features.npy", training, padded_length(len(training)))
    return np.flatnonzero(decided.held_out(cell.repeat, cell.fold)), rows, target[training], n_validation


def _write_history(path: Path, state: State, heldout: dict[int, tuple[float, float]]) -> None:
    """One line an epoch; held-out columns where they were looked at, once all training was done."""
    names = (
        "epoch",
        "train_loss",
        "train_objective",
        "validation_loss",
        "heldout_loss",
        "heldout_rmse",
        "learning_rate",
    )
    with files.atomic(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        for epoch, (loss, objective, validation, rate) in enumerate(state.history.tolist(), start=1):
            seen = heldout.get(epoch, ("", ""))
            writer.writerow([epoch, loss, objective, "" if np.isnan(validation) else validation, *seen, rate])


def _finite(numbers: dict[str, float]) -> dict[str, float | None]:
    """Numbers as JSON can hold them: None for what is not finite."""
    return {name: value if np.isfinite(value) else None for name, value in numbers.items()}
