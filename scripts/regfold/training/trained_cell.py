"""What there is to say of a cell once its networks are trained: cell.json, history.csv, and a line."""

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
from regfold.training.heldout import numbers, shares
from regfold.training.inner_metric import InnerMetric
from regfold.training.runner import Seeded
from regfold.training.seeds import derive, network_key
from regfold.training.state import DIVERGED, HISTORY, Trained

# Epoch -> loss and RMSE of the held-out rows.
Losses = dict[int, tuple[float, float]]


@dataclass(frozen=True)
class TrainedCell:
    """What the trainings of a cell made.

    Attributes:
        fitting: what the networks have in common.
        seeded: the networks of each seed.
        path: the path, or None.
        rmse_train: of a path, the RMSE of each strength on the training rows, in the targets' units.
        inner: under `select: nested` the score of each strength over the inner folds.
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
        """How a message names each strength, behind the cell's name."""
        return [f", {self.path.name} {value:g}" for value in self.path.strengths] if self.path else [""]

    def of_seeds(self, place: int) -> list[Trained]:
        """The network of each seed: the only one, or that of a path's strength at a place."""
        return [one.networks[place] for one in self.seeded]


def metadata(
    model: str,
    made: TrainedCell,
    each: np.ndarray,
    fold: FoldRows,
    specification: dict,
    description: dict,
) -> dict:
    """What cell.json says of a cell and its networks.

    Args:
        model: the model's name.
        made: the networks.
        each: (seeds, networks, n, n_outputs), what each predicts of the rows that it is looked at with.
        fold: the cell's rows.
        specification: the model's, with the library versions of the job.
        description: the fold's, results/folds/<repeat>-<fold>.json.
    """
    found = [_describe(made, place, each[:, place]) for place in range(len(made.names))]
    if len(made.seeded) > 1:
        for place, one in enumerate(found):
            one["of_seeds"] = _of_seeds(made, place, each[:, place], fold)
    of_network = found[0] if made.path is None else {"path": _path(made, found), "flags": [], "ending": ""}
    if specification["training"]["early_stopping"] and not made.n_validation:
        said = "no early stopping: a single row, group or time leaves no validation rows"
        of_network["flags"] = [*of_network["flags"], said]
    seed, repeat, number = fold.key
    return {
        "model": model,
        "repeat": repeat,
        "fold": number,
        "fold_name": description["name"],
        "n_train": description["n_train"],
        "n_validation": made.n_validation,
        "epochs": max(one["epochs"] for one in found),
        "best_epoch": max(one["best_epoch"] for one in found),
        "settings": {part: specification[part] for part in ("network", "training", "penalty")},
        "seeds": {"seed": seed, "weights": derive(*fold.key, "weights")},
        "versions": {
            "regfold": __version__,
            **specification["versions"],
            "python": platform.python_version(),
        },
        "preprocessing": made.preprocessing,
        "activity_note": penalty.activity_note(specification["penalty"], made.seeded[0].trainer.batch_size),
        **of_network,
    }


def _describe(made: TrainedCell, place: int, predictions: np.ndarray) -> dict:
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
        "ending": "; ".join(by_seed([[network.ending] * bool(network.ending) for network in networks])),
        "flags": by_seed(flags),
        "penalties": _finite(_means(measured)),
        "activations": diagnosis.distribution(pooled) if penalized else {},
        **_means([fitting.counts(network.variables) for network in networks]),
    }


def _means(of_seeds: list[dict[str, float | None]]) -> dict[str, float | None]:
    """The mean of each entry over seeds; of a single one the entry itself."""
    values = {name: [one[name] for one in of_seeds] for name in of_seeds[0]}
    return {name: None if None in own else mean(own) for name, own in values.items()}


def _of_seeds(made: TrainedCell, place: int, predictions: np.ndarray, fold: FoldRows) -> list[dict]:
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


def _path(made: TrainedCell, found: list[dict]) -> dict:
    """What cell.json says of a path: a list for each entry, in the order of the strengths."""
    strengths, inner, chosen = made.path.strengths, made.inner, None
    metric = made.inner_metric
    if inner is not None:  # of equal ones, and where none has a score, the strongest penalty
        losses = np.array(inner) * (-1 if metric.greater_is_better else 1)
        chosen = int(np.lexsort((-np.array(strengths), np.nan_to_num(losses, nan=np.inf)))[0])
    about = {
        "name": made.path.name,
        "strengths": strengths,
        "rmse_train": _finite(made.rmse_train),
        **{name: [one[name] for one in found] for name in found[0]},
        "chosen": chosen,
        f"inner_{metric.name}": None if inner is None else _finite(inner),
    }
    if made.fitting.specification["penalty"]["kernel"]["group"]:
        norms = [made.fitting.norms([network.variables for network in one.networks]) for one in made.seeded]
        about["column_norms"] = {
            column: np.mean([own[column] for own in norms], axis=0).tolist() for column in norms[0]
        }
    return about


def history(made: TrainedCell, losses: Sequence[list[Losses]]) -> list[list]:
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


def by_seed(said: list[list[str]]) -> list[str]:
    """What there is to say of each seed's network, by its number where there are several."""
    if len(said) == 1:
        return said[0]
    return [f"seed {number} of {len(said)}: {text}" for number, own in enumerate(said, 1) for text in own]


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


def _finite(numbers: dict[str, float] | list[float]) -> dict[str, float | None] | list[float | None]:
    """Numbers as JSON can hold them: None for what is not finite."""
    if isinstance(numbers, list):
        return [value if np.isfinite(value) else None for value in numbers]
    return dict(zip(numbers, _finite([*numbers.values()]), strict=True))
