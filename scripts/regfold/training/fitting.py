"""From a fold's training rows to a trainer that is ready to go: all that decides what the network will be."""

import numpy as np

from regfold.data.matrix import padded, padded_length
from regfold.training import network, standardize
from regfold.training.programs.base import padded_rows
from regfold.training.seeds import validation_rows
from regfold.training.trainer import Trainer


class Fitting:
    """The statistics of a network's first layer, and the trainer of the network, from training rows alone.

    Args:
        specification: the model's, see provenance.identity.specification.
        key: (seed, repeat, fold).
        schema: the table's schema.
        features: float32 (n_padded, width), encoded training rows as `arranged` has them, padded; changed in
            place.
        truth: (n_rows,) class codes, or (n_rows, n_targets) numbers.
    """

    def __init__(
        self,
        specification: dict,
        key: tuple[int, int, int],
        schema: dict,
        features: np.ndarray,
        truth: np.ndarray,
    ):
        training, classes = specification["training"], schema["classes"]
        self.statistics = standardize.fit(features[: len(truth)], schema["columns"])
        self.target = None if classes else standardize.fit_target(truth)
        features = standardize.apply(features, self.statistics)
        truth = truth.astype(np.int32) if classes else self.target.standardize(truth)
        weights = _balanced(truth) if classes and training["class_weight"] == "balanced" else None
        n_validation = _n_validation(training, len(truth))
        n_rows = len(truth) - n_validation
        rows = padded_rows(features, truth[:n_rows], weights if weights is None else weights[:n_rows])
        validation = None
        if n_validation:
            part = slice(n_rows, len(truth))
            some = padded(features[part], padded_length(n_validation))
            validation = padded_rows(some, truth[part], None if weights is None else weights[part])
        n_outputs = len(classes or schema["target"])
        core = network.build_core(
            features.shape[1],
            n_outputs,
            "softmax" if classes else "linear",
            specification["network"],
            specification["penalty"],
            key,
        )
        self.trainer = Trainer(
            core,
            rows,
            validation,
            task=schema["task"],
            n_outputs=n_outputs,
            network=specification["network"],
            training=training,
            penalty=specification["penalty"],
            key=key,
        )


def arranged(learnt: np.ndarray, specification: dict, key: tuple[int, int, int]) -> np.ndarray:
    """The training rows' indices, validation rows last, which the optimizer never sees."""
    n_validation = _n_validation(specification["training"], len(learnt))
    if not n_validation:
        return learnt
    apart = validation_rows(*key, n_validation, len(learnt))
    return np.concatenate([learnt[~apart], learnt[apart]])


def _n_validation(training: dict, n_rows: int) -> int:
    """How many training rows are validation rows: its fraction, but one at least, and not all."""
    if not training["early_stopping"] or n_rows < 2:
        return 0
    return min(max(1, round(training["early_stopping"]["fraction"] * n_rows)), n_rows - 1)


def _balanced(codes: np.ndarray) -> np.ndarray:
    """Weights that let each class of the training rows count the same in all (scikit-learn's `balanced`)."""
    counts = np.bincount(codes)
    per_class = len(codes) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return per_class[codes].astype(np.float32)
