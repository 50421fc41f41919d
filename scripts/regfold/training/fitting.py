"""From a fold's training rows to a trainer that is ready to go: all that decides what the network will be."""

import numpy as np

from regfold.training import network, standardize
from regfold.training.seeds import validation_rows
from regfold.training.trainer import Trainer


class Fitting:
    """A network, the statistics of its first layer, and its trainer, from training rows alone.

    Args:
        specification: the model's, see provenance.specification.
        key: (seed, repeat, fold).
        schema: the table's schema.
        rows: float32 (n_rows or more, width), encoded training rows as `arranged` has them, and behind them
            rows that nothing looks at; changed in place.
        truth: (n_rows,) class codes, or (n_rows, n_targets) numbers.
    """

    def __init__(
        self,
        specification: dict,
        key: tuple[int, int, int],
        schema: dict,
        rows: np.ndarray,
        truth: np.ndarray,
    ):
        training, penalty = specification["training"], specification["penalty"]
        classes = schema["classes"]
        self.statistics = standardize.fit(rows[: len(truth)], schema["columns"])
        self.target = None if classes else standardize.fit_target(truth)
        rows = standardize.apply(rows, self.statistics)
        truth = truth.astype(np.int32) if classes else self.target.standardize(truth)
        weights = _balanced(truth) if classes and training["class_weight"] == "balanced" else None
        watched, n_watched = None, _n_watched(training, len(truth))
        if n_watched:
            watched = rows[len(truth) - n_watched : len(truth)], truth[-n_watched:]
            truth = truth[:-n_watched]
            weights = None if weights is None else weights[:-n_watched]
        self.trainer = Trainer(
            network.build_body(
                rows.shape[1],
                len(classes or schema["target"]),
                "softmax" if classes else "linear",
                specification["network"],
                penalty,
                key,
            ),
            rows,
            truth,
            task=schema["task"],
            training=training,
            weight_decay=penalty["weight_decay"],
            key=key,
            row_weights=weights,
            watched=watched,
        )


def arranged(learnt: np.ndarray, specification: dict, key: tuple[int, int, int]) -> np.ndarray:
    """The training rows' indices, those last that early stopping watches and the optimizer never sees."""
    n_watched = _n_watched(specification["training"], len(learnt))
    if not n_watched:
        return learnt
    apart = validation_rows(*key, n_watched, len(learnt))
    return np.concatenate([learnt[~apart], learnt[apart]])


def _n_watched(training: dict, n_rows: int) -> int:
    """How many training rows early stopping watches: its fraction, but one at least, and not all."""
    if not training["early_stopping"] or n_rows < 2:
        return 0
    return min(max(1, round(training["early_stopping"]["fraction"] * n_rows)), n_rows - 1)


def _balanced(codes: np.ndarray) -> np.ndarray:
    """Weights that let each class of the training rows count the same in all (scikit-learn's `balanced`)."""
    counts = np.bincount(codes)
    per_class = len(codes) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return per_class[codes].astype(np.float32)
