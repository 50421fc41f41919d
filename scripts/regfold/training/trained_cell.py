"""Describes a trained cell: the content of cell.json and history.csv, and a line for the terminal."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

import numpy as np

from regfold import __version__
from regfold.config import strengths
from regfold.provenance import cell_names
from regfold.provenance.identity import usual_epoch
from regfold.training import diagnosis, penalty
from regfold.training.fitting import Fitting
from regfold.training.fold_rows import FoldRows
from regfold.training.heldout import as_outputs, relative_weights
from regfold.training.inner_metric import InnerMetric
from regfold.training.runner import Seeded
from regfold.training.seeds import derive, network_key
from regfold.training.state import DIVERGED, HISTORY, Trained

# Epoch -> loss and RMSE of the held-out rows.
Losses = dict[int, tuple[float, float]]


@dataclass(frozen=True)
class TrainedCell:
    """The trained networks of a cell, and what was measured while the training rows were in memory.

    Attributes:
        fitting: the statistics and settings that the networks share.
        seeded: the networks of each seed.
        path: the path of strengths; None without one.
        rmse_train: the RMSE of each strength on the training rows, in the targets' units; [] without a path.
        inner: under `select: nested` the score of each strength over the inner folds; otherwise None.
        inner_metric: the metric of that score.
        n_validation: the number of validation rows.
        preprocessing: see diagnosis.preprocessing.
    """

    fitting: Fitting
    seeded: list[Seeded]
    path: strengths.Path | None
    rmse_train: list[float]
    inner: list[float] | None
    inner_metric: InnerMetric
    n_validation: int
    preprocessing: dict

    @property
    def names(self) -> list[str]:
        """What a message appends to the cell's name for each strength; "" without a path."""
        return [f", {self.path.name} {value:g}" for value in self.path.strengths] if self.path else [""]

    def of_seeds(self, place: int) -> list[Trained]:
        """The network of each seed at this place of the path; without a path the place is 0."""
        return [one.networks[place] for one in self.seeded]


def metadata(
    model: str,
    trained: TrainedCell,
    predictions: np.ndarray,
    fold: FoldRows,
    specification: dict,
    description: dict,
) -> dict:
    """The part of cell.json that describes the cell's networks.

    Args:
        model: the model's name.
        trained: the networks.
        predictions: (seeds, networks, n, n_outputs), those of each network for the held-out rows, or for some
            training rows where there are none.
        fold: the cell's rows.
        specification: the model's, with the library versions of the job.
        description: the fold's, results/folds/<repeat>-<fold>.json.
    """
    found = [_describe(trained, place, predictions[:, place]) for place in range(len(trained.names))]
    if len(trained.seeded) > 1:
        for place, one in enumerate(found):
            one["of_seeds"] = _of_seeds(trained, place, predictions[:, place], fold)
    if trained.path is None:
        of_network = found[0]
    else:
        of_network = {"path": _path(trained, found), "flags": [], "ending": ""}
    if specification["training"]["early_stopping"] and not trained.n_validation:
        flag = "no early stopping: a single row, group or time leaves no validation rows"
        of_network["flags"] = [*of_network["flags"], flag]
    seed, repeat, number = fold.key
    return {
        "model": model,
        "repeat": repeat,
        "fold": number,
        "fold_name": description["name"],
        "n_train": description["n_train"],
        "n_validation": trained.n_validation,
        "epochs": max(one["epochs"] for one in found),
        "best_epoch": max(one["best_epoch"] for one in found),
        "settings": {part: specification[part] for part in ("network", "training", "penalty")},
        "seeds": {"seed": seed, "weights": derive(*fold.key, "weights")},
        "versions": {
            "regfold": __version__,
            **specification["versions"],
            "python": platform.python_version(),
        },
        "preprocessing": trained.preprocessing,
        "activity_note": penalty.activity_note(
            specification["penalty"], trained.seeded[0].trainer.batch_size
        ),
        **of_network,
    }


def _describe(trained: TrainedCell, place: int, predictions: np.ndarray) -> dict:
    """The entries of cell.json for one strength: flags of all seeds' networks, measures averaged over seeds.

    Args:
        trained: the cell's networks.
        place: which strength of the path, from 0; 0 without a path.
        predictions: (seeds, n, n_outputs), those of each seed's network.
    """
    fitting, networks = trained.fitting, trained.of_seeds(place)
    hidden = [
        one.trainer.hidden(network.variables) for one, network in zip(trained.seeded, networks, strict=True)
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
        "ending": "; ".join(by_seed([[network.ending] * bool(network.ending) for network in networks])),
        "flags": by_seed(flags),
        "penalties": _finite(_means(measured)),
        "activations": diagnosis.distribution(pooled) if penalized else {},
        **_means([fitting.counts(network.variables) for network in networks]),
    }


def _means(of_seeds: list[dict[str, float | None]]) -> dict[str, float | None]:
    """The mean of each entry over seeds; None where the entry is None."""
    values = {name: [one[name] for one in of_seeds] for name in of_seeds[0]}
    return {name: None if None in own else mean(own) for name, own in values.items()}


def _of_seeds(trained: TrainedCell, place: int, predictions: np.ndarray, fold: FoldRows) -> list[dict]:
    """The entry `of_seeds` of cell.json: for each of several seeds its number, epochs and held-out RMSE.

    Args:
        trained, place, predictions: see `_describe`.
        fold: the cell's rows.
    """
    target, n_outputs = trained.fitting.target, predictions.shape[2]
    found = []
    for number, (network, predicted) in enumerate(zip(trained.of_seeds(place), predictions, strict=True), 1):
        rmse = [None] * n_outputs
        one = {
            "seed": network_key(*trained.fitting.key, number)[0],
            "epochs": network.epochs,
            "best_epoch": network.best_epoch,
            "rmse": None,
        }
        if len(fold.held_out):
            weights = relative_weights(fold.weights_of(fold.held_out), len(fold.held_out))[:, None]
            squares = np.square(predicted - as_outputs(fold.truth, target, n_outputs))
            squares = (weights * squares).mean(axis=0)
            one["rmse"], *rmse = _finite(np.sqrt([squares.mean(), *squares]).tolist())
        if target is not None and n_outputs > 1:
            one["rmse_of_targets"] = rmse
        found.append(one)
    return found


def _path(trained: TrainedCell, found: list[dict]) -> dict:
    """The entry `path` of cell.json: lists in the order of the strengths.

    Args:
        trained: the cell's networks.
        found: for each strength its entries, see `_describe`.
    """
    strengths, inner, chosen = trained.path.strengths, trained.inner, None
    metric = trained.inner_metric
    if inner is not None:  # of equal scores, and where no strength has one, the strongest penalty is chosen
        losses = np.array(inner) * (-1 if metric.greater_is_better else 1)
        chosen = int(np.lexsort((-np.array(strengths), np.nan_to_num(losses, nan=np.inf)))[0])
    entries = {
        "name": trained.path.name,
        "strengths": strengths,
        "rmse_train": _finite(trained.rmse_train),
        **{name: [one[name] for one in found] for name in found[0]},
        "chosen": chosen,
        f"inner_{metric.name}": None if inner is None else _finite(inner),
    }
    if trained.fitting.specification["penalty"]["kernel"]["group"]:
        norms = [
            trained.fitting.norms([network.variables for network in one.networks]) for one in trained.seeded
        ]
        entries["column_norms"] = {
            column: np.mean([own[column] for own in norms], axis=0).tolist() for column in norms[0]
        }
    return entries


def history(trained: TrainedCell, losses: Sequence[list[Losses]]) -> list[list]:
    """The lines of history.csv: a header, then a line for each epoch (of each strength, with a path).

    Several seeds are averaged. A network whose training has ended counts with its last epoch. Held-out
    columns are filled at the epochs for which all seeds have held-out losses.

    Args:
        trained: the cell's networks.
        losses: for each seed, and each of its networks, the held-out losses by epoch.
    """
    names = [*HISTORY[:3], "heldout_loss", "heldout_rmse", HISTORY[3]]
    lines = [["strength"] * bool(trained.path) + ["epoch", *names]]
    for place in range(len(trained.names)):
        first = [trained.path.strengths[place]] if trained.path else []
        networks, heldout = trained.of_seeds(place), [of_seed[place] for of_seed in losses]
        epochs = np.arange(max(network.epochs for network in networks))
        means = np.mean(
            [network.history[np.minimum(epochs, network.epochs - 1)] for network in networks], axis=0
        )
        together = {
            epoch: np.mean([own[epoch] for own in heldout], axis=0).tolist()
            for epoch in heldout[0]
            if all(epoch in own for own in heldout)
        }
        for epoch, (loss, objective, validated, rate) in enumerate(means.tolist(), start=1):
            seen = together.get(epoch, ("", ""))
            validated = "" if np.isnan(validated) else validated
            lines.append([*first, epoch, loss, objective, validated, *seen, rate])
    return lines


def by_seed(texts: list[list[str]]) -> list[str]:
    """The texts of each seed's network in one list; with several seeds each text names its seed."""
    if len(texts) == 1:
        return texts[0]
    return [f"seed {number} of {len(texts)}: {text}" for number, own in enumerate(texts, 1) for text in own]


def sentence(metadata: dict) -> str:
    """One line for the terminal: what a job did.

    Args:
        metadata: the content of cell.json.
    """
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
    divergence = f"{diverged} strengths diverged" if diverged else ""
    parts = [f"{what}: {did}", metadata["ending"], divergence, *metadata["flags"]]
    return "; ".join(part for part in parts if part)


def _finite(numbers: dict[str, float] | list[float]) -> dict[str, float | None] | list[float | None]:
    """The numbers for JSON, which has no NaN and no infinity: None in place of these."""
    if isinstance(numbers, list):
        return [value if np.isfinite(value) else None for value in numbers]
    return dict(zip(numbers, _finite([*numbers.values()]), strict=True))
