"""One cell, from rows to files: train its network on a fold's training rows, predict the rows held out.

With `training.seeds` it is several networks, one a seed, whose predictions are averaged.
"""

import csv
import platform
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import mean

import keras
import numpy as np

from regfold import __version__, files
from regfold.config import strengths
from regfold.errors import RegfoldError
from regfold.provenance import cell_names, identity
from regfold.provenance.identity import usual_epoch
from regfold.training import cell_files, diagnosis, parts, penalty
from regfold.training.fitting import Fitting
from regfold.training.fold_rows import FoldRows
from regfold.training.heldout import HeldOut, numbers, shares
from regfold.training.inner_metric import InnerMetric
from regfold.training.network import assemble, build_stack, set_values, weights_digest
from regfold.training.runner import Runner, Seeded, inner_scores, predict
from regfold.training.seeds import derive, network_key
from regfold.training.standardize import TargetScale
from regfold.training.state import DIVERGED, HISTORY, Store, Trained


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
        made = _train(runner, trainings, fold, specification, schema, cell.inner_metric)
        # A refit, which holds no rows out, is looked at with training rows.
        rows = fold.as_trained(made.fitting) if len(fold.held_out) else made.seeded[0].trainer.sample
        each = predict(made.seeded, rows, made.fitting.target)
        if cell.on_divergence == "fail":
            _check_finite(cell, made, each)
        losses = [_losses(one, rows, fold, made.fitting.target) for one in made.seeded]
        network = _assemble(made, specification, schema)
        metadata = _metadata(cell, made, each, fold, specification, description)
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
        return _write(out, metadata, network, digests, predictions, _history(made, losses))


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


@dataclass(frozen=True)
class _Made:
    """What the trainings of a cell made.

    Attributes:
        fitting: what the networks have in common.
        seeded: the networks of each seed.
        path: the path, or None.
        rmse_train: of a path, the RMSE of each strength on the training rows, in the targets' units.
        inner: under `select: nested` the score of each strength over the inner folds.
        inner_metric: the metric of that score; None: the RMSE.
        n_validation: the number of validation rows.
        preprocessing: see diagnosis.preprocessing.
    """

    fitting: Fitting
    seeded: list[Seeded]
    path: strengths.Path | None
    rmse_train: list[float]
    inner: list[float] | None
    inner_metric: InnerMetric | None
    n_validation: int
    preprocessing: dict

    @property
    def names(self) -> list[str]:
        """How a message names each strength, behind the cell's name."""
        return [f", {self.path.name} {value:g}" for value in self.path.strengths] if self.path else [""]

    def of_seeds(self, place: int) -> list[Trained]:
        """The network of each seed: the only one, or that of a path's strength at a place."""
        return [one.networks[place] for one in self.seeded]


def _train(
    runner: Runner,
    trainings: list[parts.Part],
    fold: FoldRows,
    specification: dict,
    schema: dict,
    metric: InnerMetric | None,
) -> _Made:
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
    return _Made(fitting, seeded, path, rmse_train, inner, metric, n_validation, preprocessing)


def _check_finite(cell: Cell, made: _Made, each: np.ndarray) -> None:
    """Refuse what diverged.

    Raises:
        RegfoldError: naming the first network whose loss or predictions are not finite.
    """
    for number, (one, predictions) in enumerate(zip(made.seeded, each, strict=True)):
        for network, predicted, name in zip(one.networks, predictions, made.names, strict=True):
            what = network.ending if network.diverged else "predictions are not finite"
            if network.diverged or not np.isfinite(predicted).all():
                (what,) = _by_seed([[what] if place == number else [] for place in range(len(each))])
                raise RegfoldError(f"{cell}{name}: {what}; training.on_divergence is fail")


def _by_seed(said: list[list[str]]) -> list[str]:
    """What there is to say of each seed's network, by its number where there are several."""
    if len(said) == 1:
        return said[0]
    return [f"seed {number} of {len(said)}: {text}" for number, own in enumerate(said, 1) for text in own]


# Epoch -> loss and RMSE of the held-out rows.
_Losses = dict[int, tuple[float, float]]


def _losses(one: Seeded, rows: np.ndarray, fold: FoldRows, target: TargetScale | None) -> list[_Losses]:
    """What the held-out rows say of some epochs of each network of a seed; {} without such rows."""
    if not len(fold.held_out):
        return [{} for _ in one.networks]
    held, found = HeldOut(one.trainer.program, rows, target), []
    for network in one.networks:
        looked_at = network.snapshots | {network.best_epoch: network.variables}
        scores = held.scores(list(looked_at.values()), fold.truth, fold.weights_of(fold.held_out))
        found.append(dict(zip(looked_at, scores, strict=True)))
    return found


def _metadata(
    cell: Cell,
    made: _Made,
    each: np.ndarray,
    fold: FoldRows,
    specification: dict,
    description: dict,
) -> dict:
    """What cell.json says of the cell and its networks."""
    found = [_describe(made, place, each[:, place]) for place in range(len(made.names))]
    if len(made.seeded) > 1:
        for place, one in enumerate(found):
            one["of_seeds"] = _of_seeds(made, place, each[:, place], fold)
    of_network = found[0] if made.path is None else {"path": _path(made, found), "flags": [], "ending": ""}
    if specification["training"]["early_stopping"] and not made.n_validation:
        said = "no early stopping: a single row, group or time leaves no validation rows"
        of_network["flags"] = [*of_network["flags"], said]
    return {
        "model": cell.model,
        "repeat": cell.repeat,
        "fold": cell.fold,
        "fold_name": description["name"],
        "n_train": description["n_train"],
        "n_validation": made.n_validation,
        "epochs": max(one["epochs"] for one in found),
        "best_epoch": max(one["best_epoch"] for one in found),
        "settings": {part: specification[part] for part in ("network", "training", "penalty")},
        "seeds": {"seed": cell.key[0], "weights": derive(*cell.key, "weights")},
        "versions": {
            "regfold": __version__,
            **specification["versions"],
            "python": platform.python_version(),
        },
        "preprocessing": made.preprocessing,
        "activity_note": penalty.activity_note(specification["penalty"], made.seeded[0].trainer.batch_size),
        **of_network,
    }


def _rmses(
    fitting: Fitting, seeded: list[Seeded], truth: np.ndarray, weights: np.ndarray | None
) -> list[float]:
    """The RMSE of each strength on the training rows, in the targets' units."""
    rows = fitting.rows.features[: fitting.rows.n_rows]
    predicted = predict(seeded, rows, fitting.target).mean(axis=0)
    errors = predicted - numbers(truth, fitting.target, predicted.shape[2])
    return np.sqrt((shares(weights, len(truth))[:, None] * np.square(errors)).mean(axis=(1, 2))).tolist()


def _describe(made: _Made, place: int, predictions: np.ndarray) -> dict:
    """What there is to know of the networks of all seeds: what is wrong with them, and means of measures.

    Args:
        place: which strength of a path; 0 without a path.
        predictions: (seeds, n, n_outputs), what each predicts.
    """
    fitting, networks = made.fitting, made.of_seeds(place)
    hidden = [
        one.trainer.hidden(network.variables) for one, network in zip(made.seeded, networks, strict=True)
    ]
    flags = [
        diagnosis.flags(network.ending, outputs, predicted, fitting.target)
        for network, outputs, predicted in zip(networks, hidden, predictions, strict=True)
    ]
    measured = [
        penalty.measure_weights(fitting.core, network.variables) | diagnosis.activity(outputs)
        for network, outputs in zip(networks, hidden, strict=True)
    ]
    layers = zip(*(outputs.values() for outputs in hidden), strict=True)
    pooled = dict(zip(hidden[0], map(np.concatenate, layers), strict=True))
    penalized = any(fitting.specification["penalty"]["activity"].values())
    return {
        "epochs": max(network.epochs for network in networks),
        "best_epoch": usual_epoch([network.best_epoch for network in networks]),
        "ending": "; ".join(_by_seed([[network.ending] * bool(network.ending) for network in networks])),
        "flags": _by_seed(flags),
        "penalties": _finite(_means(measured)),
        "activations": diagnosis.distribution(pooled) if penalized else {},
        **_means([fitting.counts(network.variables) for network in networks]),
    }


def _means(of_seeds: list[dict[str, float | None]]) -> dict[str, float | None]:
    """The mean of each entry over seeds; of a single one the entry itself."""
    values = {name: [one[name] for one in of_seeds] for name in of_seeds[0]}
    return {name: None if None in own else mean(own) for name, own in values.items()}


def _of_seeds(made: _Made, place: int, predictions: np.ndarray, fold: FoldRows) -> list[dict]:
    """What there is to know of each of several seeds: the seed itself, epochs, and RMSE of the held-out rows.

    Args:
        place, predictions: see `_describe`.
        fold: the cell's rows.
    """
    target, n_outputs = made.fitting.target, predictions.shape[2]
    found = []
    for number, (network, predicted) in enumerate(zip(made.of_seeds(place), predictions, strict=True), 1):
        rmse = [None] * n_outputs
        one = {
            "seed": network_key(*made.fitting.key, number)[0],
            "epochs": network.epochs,
            "best_epoch": network.best_epoch,
            "rmse": None,
        }
        if len(fold.held_out):
            counts = shares(fold.weights_of(fold.held_out), len(fold.held_out))[:, None]
            squares = np.square(predicted - numbers(fold.truth, target, n_outputs))
            squares = (counts * squares).mean(axis=0)
            one["rmse"], *rmse = _finite(np.sqrt([squares.mean(), *squares]).tolist())
        if target is not None and n_outputs > 1:
            one["rmse_of_targets"] = rmse
        found.append(one)
    return found


def _path(made: _Made, found: list[dict]) -> dict:
    """What cell.json says of a path: a list for each entry, in the order of the strengths."""
    strengths, inner, chosen = made.path.strengths, made.inner, None
    metric = made.inner_metric
    if inner is not None:  # of equal ones, and where none has a score, the strongest penalty
        losses = np.array(inner) * (-1 if metric and metric.greater_is_better else 1)
        chosen = int(np.lexsort((-np.array(strengths), np.nan_to_num(losses, nan=np.inf)))[0])
    about = {
        "name": made.path.name,
        "strengths": strengths,
        "rmse_train": _finite(made.rmse_train),
        **{name: [one[name] for one in found] for name in found[0]},
        "chosen": chosen,
        f"inner_{metric.name if metric else 'rmse'}": None if inner is None else _finite(inner),
    }
    if made.fitting.specification["penalty"]["kernel"]["group"]:
        norms = [made.fitting.norms([network.variables for network in one.networks]) for one in made.seeded]
        about["column_norms"] = {
            column: np.mean([own[column] for own in norms], axis=0).tolist() for column in norms[0]
        }
    return about


def _assemble(made: _Made, specification: dict, schema: dict) -> keras.Model:
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


def sentence(metadata: dict) -> str:
    """What a job did, for the terminal."""
    what = f"{metadata['model']}, {cell_names.words(metadata['repeat'], metadata['fold'])}"
    trained, begun = metadata["trained_epochs"], metadata["resumed_from"]
    path = metadata.get("path")
    beside = f" of {len(path['strengths'])} strengths" if path else ""
    n_seeds = metadata["settings"]["training"]["seeds"]
    beside += f" with {n_seeds} seeds" if n_seeds > 1 else ""
    if not trained:
        did = f"0 epochs to train: {begun} epochs{beside} were found"
        did += ", the rows are predicted again" if metadata["n_test"] else ""
    elif begun:
        did = f"{trained} epochs{beside} trained, after {begun} that were found"
    else:
        did = f"{trained} epochs{beside} in {metadata['times']['seconds_training']:.1f} s"
    diverged = sum(DIVERGED in ending for ending in path["ending"]) if path else 0
    said = f"{diverged} strengths diverged" if diverged else ""
    parts = [f"{what}: {did}", metadata["ending"], said, *metadata["flags"]]
    return "; ".join(part for part in parts if part)


def _history(made: _Made, losses: list[list[_Losses]]) -> list[list]:
    """The lines of history.csv: one an epoch; held-out columns where they were looked at, after training.

    Of several seeds it is the mean: each whose training has ended counts as it was then, and held-out rows
    where all were looked at.
    """
    names = [*HISTORY[:3], "heldout_loss", "heldout_rmse", HISTORY[3]]
    lines = [["strength"] * bool(made.path) + ["epoch", *names]]
    for place in range(len(made.names)):
        first = [made.path.strengths[place]] if made.path else []
        networks, heldout = made.of_seeds(place), [of_seed[place] for of_seed in losses]
        epochs = np.arange(max(network.epochs for network in networks))
        history = np.mean(
            [network.history[np.minimum(epochs, network.epochs - 1)] for network in networks], axis=0
        )
        together = {
            epoch: np.mean([own[epoch] for own in heldout], axis=0).tolist()
            for epoch in heldout[0]
            if all(epoch in own for own in heldout)
        }
        for epoch, (loss, objective, validated, rate) in enumerate(history.tolist(), start=1):
            seen = together.get(epoch, ("", ""))
            validated = "" if np.isnan(validated) else validated
            lines.append([*first, epoch, loss, objective, validated, *seen, rate])
    return lines


def _finite(numbers: dict[str, float] | list[float]) -> dict[str, float | None] | list[float | None]:
    """Numbers as JSON can hold them: None for what is not finite."""
    if isinstance(numbers, list):
        return [value if np.isfinite(value) else None for value in numbers]
    return dict(zip(numbers, _finite([*numbers.values()]), strict=True))
