"""One cell, from rows to files: train one network on a fold's training rows, predict the rows held out."""

import csv
import platform
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import keras
import numpy as np

from regfold import __version__, files
from regfold.config import strengths
from regfold.errors import RegfoldError
from regfold.provenance import cell_names, identity
from regfold.training import cell_files, diagnosis, parts, penalty
from regfold.training.fitting import Fitting
from regfold.training.fold_rows import FoldRows
from regfold.training.heldout import HeldOut
from regfold.training.network import assemble, build_stack, set_values, weights_digest
from regfold.training.runner import Runner, inner_rmse
from regfold.training.seeds import derive
from regfold.training.state import DIVERGED, HISTORY, Store, Trained
from regfold.training.trainer import Trainer


@dataclass(frozen=True)
class Cell:
    """What is to be trained and tested.

    Attributes:
        model: the model's name.
        repeat, fold: from 1; cell_names.REFIT: it is trained on all rows and predicts none.
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
        return f"model {self.model}, {cell_names.words(self.repeat, self.fold)}"


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
    path = strengths.path_of(specification["penalty"])
    trainings = parts.of_cell(specification, description, len(schema["classes"] or schema["target"]))
    stores = {part.digest: Store(state_root, part.digest) for part in trainings}
    fold = FoldRows(prepared, cell.specification["training"], cell.split, cell.key)
    rows, truth, n_validation = fold.rows(cell.key)
    preprocessing = diagnosis.preprocessing(
        rows[: len(truth) - n_validation], prepared / "features.npy", fold.held_out, schema
    )
    with ExitStack() as stack:
        # Held until the files are written: an orphan of a killed run and its successor write one after the
        # other. In one order, so that cells that share trainings never wait for each other.
        for digest in sorted(stores):
            stack.enter_context(
                stores[digest].lock(
                    on_wait=lambda: say(f"regfold: {cell}: waits for a process that works on it")
                )
            )
        files.sweep(out)
        training = Runner(str(cell), stores, cell.checkpoint_seconds, on_epoch, stop, say)
        inner = (
            inner_rmse(training, trainings, fold, specification, schema) if specification["nested"] else None
        )
        fitting = Fitting(specification, cell.key, schema, rows, truth, n_validation)
        del rows
        networks, train_rmse = [], []
        for part in (part for part in trainings if not part.inner):
            trainer, trained = training.run(part, fitting)
            networks += trained
            if path:
                train_rmse += _rmses(fitting, trainer, trained, truth[: len(truth) - n_validation])
            trainer.release()
        fitting.release()
        if cell.on_divergence == "fail":
            for network, what in zip(networks, _names(path), strict=True):
                if network.diverged:
                    raise RegfoldError(f"{cell}{what}: {network.ending}; training.on_divergence is fail")
        whole = _assemble(fitting, networks, specification, schema)
        held, losses = HeldOut(trainer.program, fold.as_trained(fitting), fitting.target), []
        if not len(fold.held_out):  # a refit is looked at with training rows
            held = HeldOut(trainer.program, trainer.sample, fitting.target)
        predictions = held.predict([network.variables for network in networks])
        for network in networks:
            looked_at = network.snapshots | {network.best_epoch: network.variables}
            scores = held.scores(list(looked_at.values()), fold.truth) if len(fold.held_out) else []
            losses.append(dict(zip(looked_at, scores, strict=bool(scores))))
        for predicted, what in zip(predictions, _names(path), strict=True):
            if cell.on_divergence == "fail" and not np.isfinite(predicted).all():
                raise RegfoldError(
                    f"{cell}{what}: predictions are not finite; training.on_divergence is fail"
                )
        found = [
            _describe(trainer, network, predicted, fitting)
            for network, predicted in zip(networks, predictions, strict=True)
        ]
        flags = []
        if specification["training"]["early_stopping"] and not n_validation:
            flags.append("no early stopping: a single row, group or time leaves no validation rows")
        trained_epochs = sum(training.trained.values())
        metadata = {
            "model": cell.model,
            "repeat": cell.repeat,
            "fold": cell.fold,
            "fold_name": description["name"],
            "n_train": description["n_train"],
            "n_validation": n_validation,
            "n_test": len(fold.held_out),
            "epochs": max(network.epochs for network in networks),
            "best_epoch": max(network.best_epoch for network in networks),
            "trained_epochs": trained_epochs,
            "resumed_from": sum(training.resumed.values()),
            "ending": "" if path else networks[0].ending,
            "settings": {part: specification[part] for part in ("network", "training", "penalty")},
            "seeds": {"seed": cell.key[0], "weights": derive(*cell.key, "weights")},
            "versions": {
                "regfold": __version__,
                **specification["versions"],
                "python": platform.python_version(),
            },
            "device": device,
            "flags": flags if path else found[0]["flags"] + flags,
            "preprocessing": preprocessing,
            **({} if path else {name: found[0][name] for name in found[0] if name != "flags"}),
            "activity_note": penalty.activity_note(specification["penalty"], trainer.batch_size),
            "weights": weights_digest(whole),
            "digests": {
                "states": list(stores),
                **{name: description[name] for name in identity.DIGESTS},
                **{part: specification[part] for part in ("code", "cell", "build", "nested")},
            },
            "times": {
                "started": started.isoformat(timespec="seconds"),
                "finished": datetime.now(UTC).isoformat(timespec="seconds"),
                "seconds_training": round(training.seconds, 3),
                "network_epochs": training.network_epochs,
                "seconds_total": round(time.monotonic() - clock, 3),
            },
        }
        if path is None:
            predictions = predictions[0]
        else:
            metadata["path"] = _path(path, networks, found, train_rmse, inner)
            if specification["penalty"]["kernel"]["group"]:
                norms = fitting.norms([network.variables for network in networks])
                metadata["path"]["column_norms"] = norms
            predictions = predictions.swapaxes(0, 1)
        digests = np.load(prepared / "digests.npy", mmap_mode="r")[fold.held_out]
        history = _history(networks, losses, path)
        return _write(out, metadata, whole, digests, predictions, history)


def _rmses(fitting: Fitting, trainer: Trainer, networks: list[Trained], truth: np.ndarray) -> list[float]:
    """The RMSE of networks on their training rows, in the targets' units."""
    rows = trainer.rows.features[: trainer.rows.n_rows]
    held = HeldOut(trainer.program, rows, fitting.target)
    return [rmse for _, rmse in held.scores([network.variables for network in networks], truth)]


def _names(path: strengths.Path | None) -> list[str]:
    """How a message names the networks of a cell."""
    return [f", {path.name} {strength:g}" for strength in path.strengths] if path else [""]


def _describe(trainer: Trainer, network: Trained, predictions: np.ndarray, fitting: Fitting) -> dict:
    """What there is to know of a network: what is wrong with it, what a penalty of strength 1 would be."""
    hidden = trainer.hidden(network.variables)
    measured = penalty.measure_weights(trainer.core, network.variables) | diagnosis.activity(hidden)
    return {
        "flags": diagnosis.flags(network.ending, hidden, predictions, fitting.target),
        "penalties": _finite(measured),
        **fitting.counts(network.variables),
    }


def _path(
    path: strengths.Path,
    networks: list[Trained],
    found: list[dict],
    train_rmse: list[float],
    inner_rmse: list[float] | None,
) -> dict:
    """What cell.json says of a path: a list for each entry, in the order of the strengths."""
    chosen = None
    if inner_rmse is not None:  # of equal ones the strongest penalty
        order = np.lexsort((-np.array(path.strengths), np.nan_to_num(inner_rmse, nan=np.inf)))
        chosen = int(order[0])
    return {
        "name": path.name,
        "strengths": path.strengths,
        "rmse_train": [value if np.isfinite(value) else None for value in train_rmse],
        "epochs": [network.epochs for network in networks],
        "best_epoch": [network.best_epoch for network in networks],
        "ending": [network.ending for network in networks],
        **{name: [one[name] for one in found] for name in found[0]},
        "chosen": chosen,
        "inner_rmse": inner_rmse,
    }


def _assemble(fitting: Fitting, networks: list[Trained], specification: dict, schema: dict) -> keras.Model:
    """The whole network with the weights to keep; for a path the stack of all networks."""
    if strengths.path_of(specification["penalty"]) is None:
        core = fitting.core
        set_values(core, networks[0].variables)
    else:
        core = build_stack(fitting.core, specification["network"], [n.variables for n in networks])
    return assemble(core, schema["width"], fitting.statistics, fitting.target)


def _write(
    out: Path,
    metadata: dict,
    network: keras.Model,
    digests: np.ndarray,
    predictions: np.ndarray,
    history: list[list],
) -> dict:
    """Write the cell's files, cell.json with their digests last; its content."""
    with files.atomic(out / "model.keras") as temporary:
        network.save(temporary)
    if len(digests):
        with files.atomic(out / "predictions.npz") as temporary:
            np.savez(temporary, digest=digests, prediction=predictions)
    with files.atomic(out / "history.csv") as temporary, temporary.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(history)
    metadata["digests"]["files"] = cell_files.digests(out)
    files.write_json(out / "cell.json", metadata)
    return metadata


def sentence(metadata: dict) -> str:
    """What a job did, for the terminal."""
    what = f"{metadata['model']}, {cell_names.words(metadata['repeat'], metadata['fold'])}"
    trained, begun = metadata["trained_epochs"], metadata["resumed_from"]
    path = metadata.get("path")
    beside = f" of {len(path['strengths'])} strengths" if path else ""
    if not trained:
        did = f"0 epochs to train: {begun} epochs{beside} were found"
        did += ", the rows are predicted again" if metadata["n_test"] else ""
    elif begun:
        did = f"{trained} epochs{beside} trained, after {begun} that were found"
    else:
        did = f"{trained} epochs{beside} in {metadata['times']['seconds_training']:.1f} s"
    diverged = sum(ending.startswith(DIVERGED) for ending in path["ending"]) if path else 0
    said = f"{diverged} strengths diverged" if diverged else ""
    parts = [f"{what}: {did}", metadata["ending"], said, *metadata["flags"]]
    return "; ".join(part for part in parts if part)


def _history(
    networks: list[Trained], losses: list[dict[int, tuple[float, float]]], path: strengths.Path | None
) -> list[list]:
    """The lines of history.csv: one an epoch; held-out columns where they were looked at, after training."""
    names = [*HISTORY[:3], "heldout_loss", "heldout_rmse", HISTORY[3]]
    lines = [["strength"] * bool(path) + ["epoch", *names]]
    for number, (network, heldout) in enumerate(zip(networks, losses, strict=True)):
        first = [path.strengths[number]] if path else []
        for epoch, (loss, objective, validated, rate) in enumerate(network.history.tolist(), start=1):
            seen = heldout.get(epoch, ("", ""))
            validated = "" if np.isnan(validated) else validated
            lines.append([*first, epoch, loss, objective, validated, *seen, rate])
    return lines


def _finite(numbers: dict[str, float]) -> dict[str, float | None]:
    """Numbers as JSON can hold them: None for what is not finite."""
    return {name: value if np.isfinite(value) else None for name, value in numbers.items()}
