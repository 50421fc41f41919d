"""One cell, from rows to files: train its network on a fold's training rows, predict the held-out rows.

With `training.seeds` above 1 a cell has a network for each seed, and their predictions are averaged.
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
from regfold.training.heldout import HeldOut, as_outputs, relative_weights
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
        repeat, fold: from 1; or cell_names.REFIT, which is trained on all rows and predicts none.
        specification: all that training depends on besides its rows, see identity.specification.
        split: the resolved split section.
        checkpoint_seconds: the most seconds of training that a killed job loses.
        on_divergence: "warn" or "fail".
        inner_metric: the metric that chooses the strength under `select: nested`; None: the RMSE.
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
        """(seed, repeat, fold), from which all random numbers derive."""
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
    """Train the cell's network from its saved state, if there is one; predict; write the cell's files.

    Args:
        cell: what to train.
        prepared: results/prepared.
        description: the fold's description, results/folds/<repeat>-<fold>.json.
        state_root: the folder of all states.
        out: the cell's folder.
        device: the processor or GPU, for cell.json, see gpu.Lease.
        on_epoch: called after each epoch with its number, see Runner, and its history, see state.HISTORY.
        stop: called between epochs; True saves the state and ends the job.
        say: prints a line on the terminal.

    Returns:
        the content of cell.json.

    Raises:
        RegfoldError: if the network cannot be built, a file cannot be written, or the loss diverged and
            `on_divergence` is fail.
        Interrupted: if `stop` returned True.
    """
    clock = _Clock(datetime.now(UTC), time.monotonic())
    schema = files.read_json(prepared / "schema.json")
    specification = cell.specification | {"versions": identity.versions()}
    trainings = parts.of_cell(specification, description, len(schema["classes"] or schema["target"]))
    stores = {part.digest: Store(state_root, part.digest) for part in trainings}
    fold = FoldRows(prepared, specification["training"], cell.split, cell.key)
    with ExitStack() as stack:
        # Held until the files are written, so that a job that outlived a killed run and the job that replaces
        # it write one after the other. Locked in sorted order: cells that share trainings cannot deadlock.
        for digest in sorted(stores):
            on_wait = partial(say, f"regfold: {cell}: waits for a process that works on it")
            stack.enter_context(stores[digest].lock(on_wait))
        files.sweep(out)
        runner = Runner(str(cell), stores, cell.checkpoint_seconds, on_epoch, stop, say)
        metric = cell.inner_metric or inner_rmse(schema)
        trained = _train(runner, trainings, fold, specification, schema, metric)
        # A refit has no held-out rows: it is diagnosed on a sample of its training rows.
        rows = fold.as_trained(trained.fitting) if len(fold.held_out) else trained.seeded[0].trainer.sample
        predictions = predict(trained.seeded, rows, trained.fitting.target)
        if cell.on_divergence == "fail":
            _check_finite(cell, trained, predictions)
        losses = [_heldout_losses(one, rows, fold, trained.fitting.target) for one in trained.seeded]
        network = _assemble(trained, specification, schema)
        metadata = trained_cell.metadata(cell.model, trained, predictions, fold, specification, description)
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
        mean = predictions.mean(axis=0)  # not finite where one seed's network diverged, which must show
        mean = mean[0] if trained.path is None else mean.swapaxes(0, 1)
        return _write(out, metadata, network, digests, mean, trained_cell.history(trained, losses))


@dataclass(frozen=True)
class _Clock:
    """When a job began: the date, and the time of the monotonic clock in seconds."""

    started: datetime
    clock: float

    def times(self, runner: Runner) -> dict:
        """The `times` of cell.json."""
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


def _check_finite(cell: Cell, trained: TrainedCell, predictions: np.ndarray) -> None:
    """Raise an error if a network diverged.

    Args:
        cell: named in the message.
        trained: the cell's networks.
        predictions: (seeds, networks, n, n_outputs), those of each network.

    Raises:
        RegfoldError: naming the first network whose loss or predictions are not finite.
    """
    for number, (one, of_seed) in enumerate(zip(trained.seeded, predictions, strict=True)):
        for network, predicted, name in zip(one.networks, of_seed, trained.names, strict=True):
            what = network.ending if network.diverged else "predictions are not finite"
            if network.diverged or not np.isfinite(predicted).all():
                (what,) = by_seed([[what] if place == number else [] for place in range(len(predictions))])
                raise RegfoldError(f"{cell}{name}: {what}; training.on_divergence is fail")


def _heldout_losses(
    one: Seeded, rows: np.ndarray, fold: FoldRows, target: TargetScale | None
) -> list[Losses]:
    """For each network of a seed the held-out losses after its snapshots' epochs and its best epoch.

    {} for a refit, which has no held-out rows.

    Args:
        one: the networks of the seed.
        rows: float32 (n, n_features), the held-out rows, standardized.
        fold: the cell's rows.
        target: the scale of a regression's targets; None for classes.
    """
    if not len(fold.held_out):
        return [{} for _ in one.networks]
    heldout, found = HeldOut(one.trainer.program, rows, target), []
    for network in one.networks:
        variables = network.snapshots | {network.best_epoch: network.variables}
        scores = heldout.scores(list(variables.values()), fold.truth, fold.weights_of(fold.held_out))
        found.append(dict(zip(variables, scores, strict=True)))
    return found


def _rmses(
    fitting: Fitting, seeded: list[Seeded], truth: np.ndarray, weights: np.ndarray | None
) -> list[float]:
    """The RMSE of each strength on the training rows, in the targets' units."""
    rows = fitting.rows.features[: fitting.rows.n_rows]
    predicted = predict(seeded, rows, fitting.target).mean(axis=0)
    errors = predicted - as_outputs(truth, fitting.target, predicted.shape[2])
    return np.sqrt(
        (relative_weights(weights, len(truth))[:, None] * np.square(errors)).mean(axis=(1, 2))
    ).tolist()


def _assemble(trained: TrainedCell, specification: dict, schema: dict) -> keras.Model:
    """The network that is saved, with its trained weights; for a path a stack of all strengths' networks."""
    cores = []
    for one in trained.seeded:
        core, values = one.trainer.core, [network.variables for network in one.networks]
        if trained.path is None:
            set_values(core, values[0])
        else:
            core = build_stack(core, specification["network"], values)
        cores.append(core)
    return assemble(cores, schema["width"], trained.fitting.statistics, trained.fitting.target)


def _write(
    out: Path,
    metadata: dict,
    network: keras.Model,
    digests: np.ndarray,
    predictions: np.ndarray,
    history: list[list],
) -> dict:
    """Write the cell's files, last cell.json with the digests of the others; return its content.

    Args:
        out: the cell's folder.
        metadata: the content of cell.json but for the files' digests; changed.
        network: the network that is saved.
        digests: (n,), those of the held-out rows.
        predictions: (n, n_outputs), of the held-out rows; of a path (n, strengths, n_outputs).
        history: the lines of history.csv.
    """
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
