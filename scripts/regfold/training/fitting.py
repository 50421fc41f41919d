"""From a fold's training rows to a trainer that is ready to go: all that decides what the network will be."""

import numpy as np

from regfold.data.matrix import padded, padded_length
from regfold.training import network, standardize
from regfold.training.programs.base import padded_rows
from regfold.training.trainer import Trainer


class Fitting:
    """The statistics of a network's first layer, and the trainer of the network, from training rows alone.

    Args:
        specification: the model's, see provenance.identity.specification.
        key: (seed, repeat, fold).
        schema: the table's schema.
        features: float32 (n_padded, width), encoded training rows, validation rows last, padded; changed in
            place.
        truth: (n_rows,) class codes, or (n_rows, n_targets) numbers.
        n_validation: how many of the rows are validation rows; no statistic comes from them.
    """

    def __init__(
        self,
        specification: dict,
        key: tuple[int, int, int],
        schema: dict,
        features: np.ndarray,
        truth: np.ndarray,
        n_validation: int,
    ):
        training, classes = specification["training"], schema["classes"]
        n_rows = len(truth) - n_validation
        self.statistics = standardize.fit(features[:n_rows], schema["columns"])
        self.target = None if classes else standardize.fit_target(truth[:n_rows])
        features = standardize.apply(features, self.statistics)
        truth = truth.astype(np.int32) if classes else self.target.standardize(truth)
        weights = None
        if classes and training["class_weight"] == "balanced":
            weights = _balanced(truth[:n_rows], len(classes))[truth]
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


def _balanced(codes: np.ndarray, n_classes: int) -> np.ndarray:
    """Each class's weight, float32 (n_classes,), by which all classes count the same, as in scikit-learn.

    A class that only validation rows have weighs as one with a single row.
    """
    counts = np.bincount(codes, minlength=n_classes)
    return (len(codes) / (np.count_nonzero(counts) * np.maximum(counts, 1))).astype(np.float32)
