"""One cell, from rows to files: train its network on a fold's training rows, predict the rows held out.

With `training.seeds` it is several networks, one a seed, whose predictions are averaged.
"""

import csv
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import keras
import numpy as np

from regfold import files
from regfold.config import strengths
from regfold.errors import RegfoldError
from regfold.provenance import cell_names, identity
from regfold.training import cell_files, diagnosis, parts, trained_cell
from regfold.training.fitting import Fitting
from regfold.training.fold_rows import FoldRows
from regfold.training.heldout import HeldOut, numbers, shares
from regfold.training.inner_metric import InnerMetric
from regfold.training.network import assemble, build_stack, set_values, weights_digest
from regfold.training.runner import Runner, Seeded, inner_rmse, inner_scores, predict
from regfold.training.standardize import TargetScale
from regfold.training.state import Store
from regfold.training.trained_cell import Losses, TrainedCell, by_seed


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
        inner_metric: what decides under `select: nested`; None: the RMSE.
    """

    model: str
    repeat: int
    fold: int
    specification: dict
    split: dict
    checkpoint_seconds: float
    on_divergence: str
    inner_metric: InnerMetric | None = None

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
        on_epoch: is told each epoch, see Runner, and its line of history, see state.HISTORY.
        stop: asked now and then; True ends the job, its state saved.
        say: takes a line for the terminal.

    Returns:
        the content of cell.json.

    Raises:
        RegfoldError: if the network cannot be built, a file cannot be written, or the loss diverged and
            `on_divergence` is fail.
        Interrupted: if `stop` said so.
    """
    clock = _Clock(datetime.now(UTC), time.monotonic())
    schema = files.read_json(prepared / "schema.json")
    specification = cell.specification | {"versions": identity.versions()}
    trainings = parts.of_cell(specification, description, len(schema["classes"] or schema["target"]))
    stores = {part.digest: Store(state_root, part.digest) for part in trainings}
    fold = FoldRows(prepared, specification["training"], cell.split, cell.key)
    with ExitStack() as stack:
        # Held until the files are written: an orphan of a killed run and its successor write one after the
        # other. In one order, so that cells that share trainings never wait for each other.
        for digest in sorted(stores):
            waits = partial(say, f"regfold: {cell}: waits for a process that works on it")
            stack.enter_context(stores[digest].lock(on_wait=waits))
        files.sweep(out)
        runner = Runner(str(cell), stores, cell.checkpoint_seconds, on_epoch, stop, say)
        metric = cell.inner_metric or inner_rmse(schema)
        made = _train(runner, trainings, fold, specification, schema, metric)
        # A refit, which holds no rows out, is looked at with training rows.
        rows = fold.as_trained(made.fitting) if len(fold.held_out) else made.seeded[0].trainer.sample
        each = predict(made.seeded, rows, made.fitting.target)
        if cell.on_divergence == "fail":
            _check_finite(cell, made, each)
        losses = [_losses(one, rows, fold, made.fitting.target) for one in made.seeded]
        network = _assemble(made, specification, schema)
        metadata = trained_cell.metadata(cell.model, made, each, fold, specification, description)
        metadata |= {
            "n_test": len(fold.held_out),
            "train_weight": None if fold.weights is None else float(fold.weights[fold.training].sum()),
            "trained_epochs": sum(runner.trained.values()),
            "resumed_from": sum(runner.resumed.values()),
            "device": device,
            "weights": weights_digest(network),
            "digests": {
                "states": list(stores),
                **{name: description[name] for name in identity.DIGESTS},
                **{part: specification[part] for part in ("code", "cell", "build", "nested", "headline")},
            },
            "times": clock.times(runner),
        }
        digests = np.load(prepared / "digests.npy", mmap_mode="r")[fold.held_out]
        predictions = each.mean(axis=0)  # a network that diverged is seen in it
        predictions = predictions[0] if made.path is None else predictions.swapaxes(0, 1)
        return _write(out, metadata, network, digests, predictions, trained_cell.history(made, losses))


@dataclass(frozen=True)
class _Clock:
    """When a job began, by the calendar and by a clock that is never set."""

    started: datetime
    clock: float

    def times(self, runner: Runner) -> dict:
        return {
            "started": self.started.isoformat(timespec="seconds"),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds_training": round(runner.seconds, 3),
            "network_epochs": runner.network_epochs,
            "seconds_total": round(time.monotonic() - self.clock, 3),
        }


def _train(
    runner: Runner,
    trainings: list[parts.Part],
    fold: FoldRows,
    specification: dict,
    schema: dict,
    metric: InnerMetric,
) -> TrainedCell:
    """Run the trainings of a cell, those of inner folds first."""
    path = strengths.path_of(specification["penalty"])
    inner = None
    if specification["nested"]:
        inner = inner_scores(runner, trainings, fold, specification, schema, metric)
    rows, truth, n_validation, weights = fold.rows(fold.key)
    n_rows = len(truth) - n_validation
    preprocessing = diagnosis.preprocessing(rows[:n_rows], fold.features, fold.held_out, schema)
    fitting = Fitting(specification, fold.key, schema, rows, truth, n_validation, weights)
    del rows
    seeded = runner.run((part for part in trainings if not part.inner), fitting)
    own = truth[:n_rows], None if weights is None else weights[:n_rows]
    rmse_train = _rmses(fitting, seeded, *own) if path else []
    fitting.release()
    return TrainedCell(fitting, seeded, path, rmse_train, inner, metric, n_validation, preprocessing)


def _check_finite(cell: Cell, made: TrainedCell, each: np.ndarray) -> None:
    """Refuse what diverged.

    Raises:
        RegfoldError: naming the first network whose loss or predictions are not finite.
    """
    for number, (one, predictions) in enumerate(zip(made.seeded, each, strict=True)):
        for network, predicted, name in zip(one.networks, predictions, made.names, strict=True):
            what = network.ending if network.diverged else "predictions are not finite"
            if network.diverged or not np.isfinite(predicted).all():
                (what,) = by_seed([[what] if place == number else [] for place in range(len(each))])
                raise RegfoldError(f"{cell}{name}: {what}; training.on_divergence is fail")


def _losses(one: Seeded, rows: np.ndarray, fold: FoldRows, target: TargetScale | None) -> list[Losses]:
    """What the held-out rows say of some epochs of each network of a seed; {} without such rows."""
    if not len(fold.held_out):
        return [{} for _ in one.networks]
    held, found = HeldOut(one.trainer.program, rows, target), []
    for network in one.networks:
        looked_at = network.snapshots | {network.best_epoch: network.variables}
        scores = held.scores(list(looked_at.values()), fold.truth, fold.weights_of(fold.held_out))
        found.append(dict(zip(looked_at, scores, strict=True)))
    return found


def _rmses(
    fitting: Fitting, seeded: list[Seeded], truth: np.ndarray, weights: np.ndarray | None
) -> list[float]:
    """The RMSE of each strength on the training rows, in the targets' units."""
    rows = fitting.rows.features[: fitting.rows.n_rows]
    predicted = predict(seeded, rows, fitting.target).mean(axis=0)
    errors = predicted - numbers(truth, fitting.target, predicted.shape[2])
    return np.sqrt((shares(weights, len(truth))[:, None] * np.square(errors)).mean(axis=(1, 2))).tolist()


def _assemble(made: TrainedCell, specification: dict, schema: dict) -> keras.Model:
    """The whole network with the weights to keep; for a path the stack of all networks."""
    cores = []
    for one in made.seeded:
        core, values = one.trainer.core, [network.variables for network in one.networks]
        if made.path is None:
            set_values(core, values[0])
        else:
            core = build_stack(core, specification["network"], values)
        cores.append(core)
    return assemble(cores, schema["width"], made.fitting.statistics, made.fitting.target)


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
