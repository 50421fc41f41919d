"""From a fold's training rows to a trainer that is ready to go: all that decides what the network will be."""

import numpy as np

from regfold import network, standardize
from regfold.seeds import validation_rows
from regfold.trainer import Trainer


class Fitting:
    """A network, the statistics of its first layer, and its trainer, from training rows alone.

    Args:
        specification: the model's, see provenance.specification.
        key: (seed, repeat, fold).
        schema: the table's schema.
        rows: float32 (n_rows, width), encoded training rows; changed in place.
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
        self.statistics = standardize.fit(rows, schema["columns"])
        self.target = None if classes else standardize.fit_target(truth)
        rows, truth = standardize.apply(rows, self.statistics), as_outputs(truth, schema, self.target)
        weights = _balanced(truth) if classes and training["class_weight"] == "balanced" else None
        watched = None
        if (stopping := training["early_stopping"]) and len(rows) > 1:
            apart = validation_rows(*key, stopping["fraction"], len(rows))
            watched = rows[apart], truth[apart]
            rows, truth = rows[~apart], truth[~apart]
            weights = None if weights is None else weights[~apart]
        self.trainer = Trainer(
            network.build_body(
                rows.shape[1],
                truth.shape[1],
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


def as_outputs(truth: np.ndarray, schema: dict, target: standardize.TargetScale | None = None) -> np.ndarray:
    """The truth as a network has it, float32 (n, n_outputs): one-hot, or numbers standardized by `target`."""
    if schema["classes"]:
        return np.eye(len(schema["classes"]), dtype=np.float32)[truth]
    return (truth if target is None else (truth - target.mean) / target.deviation).astype(np.float32)


def _balanced(truth: np.ndarray) -> np.ndarray:
    """Weights that let each class of the training rows count the same in all (scikit-learn's `balanced`)."""
    counts = truth.sum(axis=0)
    per_class = len(truth) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return (truth @ per_class).astype(np.float32)
