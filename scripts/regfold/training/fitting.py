"""From a fold's training rows to trainers: statistics, standardized rows, weights and initial networks."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from regfold.config import losses, strengths
from regfold.data.matrix import padded, padded_length
from regfold.training import network, standardize
from regfold.training.penalty import column_norms, count_nonzero
from regfold.training.programs.base import Arrays, padded_rows
from regfold.training.seeds import network_key
from regfold.training.trainer import Trainer


class Fitting:
    """The statistics of a network's first layer, and trainers of networks, from training rows alone.

    Args:
        specification: the model's, see provenance.identity.specification.
        key: (seed, repeat, fold).
        schema: the table's schema.
        features: float32 (n_padded, width), encoded training rows, validation rows last, padded; changed in
            place.
        truth: (n_rows,) class codes, or (n_rows, n_targets) numbers.
        n_validation: how many of the rows are validation rows; no statistic comes from them.
        weights: float64 (n_rows,). They are divided by their mean over the rows that are not validation
            rows, and weight the rows' losses; statistics are not weighted. None: all rows count the same.

    Attributes:
        statistics: of the features.
        target: the scale of a regression's targets; None for classes.
        core: the network of the first seed, with its initial weights.
        columns: the names of the table's columns.
        groups: int32 (n_features,), the column of each feature, as a position in `columns`.
    """

    def __init__(
        self,
        specification: dict,
        key: tuple[int, int, int],
        schema: dict,
        features: np.ndarray,
        truth: np.ndarray,
        n_validation: int,
        weights: np.ndarray | None = None,
    ):
        self.specification, self.key, self.task = specification, key, schema["task"]
        training, classes = specification["training"], schema["classes"]
        n_rows = len(truth) - n_validation
        self.statistics = standardize.fit(features[:n_rows], schema["columns"])
        loss = losses.resolve(training["loss"], self.task)
        fit_target = standardize.fit_counts if loss == "poisson" else standardize.fit_target
        self.target = None if classes else fit_target(truth[:n_rows])
        features = standardize.apply(features, self.statistics)
        truth = truth.astype(np.int32) if classes else self.target.standardize(truth)
        if weights is not None:
            weights = (weights / weights[:n_rows].mean()).astype(np.float32)
        if classes and training["class_weight"] == "balanced":
            of_class = _balanced(truth[:n_rows], len(classes))[truth]
            weights = of_class if weights is None else weights * of_class
        self.rows = padded_rows(features, truth[:n_rows], weights if weights is None else weights[:n_rows])
        self.validation = None
        if n_validation:
            part = slice(n_rows, len(truth))
            rows = padded(features[part], padded_length(n_validation))
            self.validation = padded_rows(rows, truth[part], None if weights is None else weights[part])
        self.n_outputs = len(classes or schema["target"])
        self.columns = [column["name"] for column in schema["columns"]]
        starts = [column["start"] for column in schema["columns"]]
        self.groups = (np.searchsorted(starts, self.statistics.keep, side="right") - 1).astype(np.int32)
        penalty, path = specification["penalty"], strengths.path_of(specification["penalty"])
        self._build = partial(
            network.build_core,
            features.shape[1],
            self.n_outputs,
            losses.output_activation(loss),
            specification["network"],
            strengths.at(penalty, max(path.strengths)) if path else penalty,
        )
        self.core = self._build(key)

    def trainer(self, penalties: Sequence[dict], seed: int = 1) -> Trainer:
        """A trainer of networks side by side, one for each resolved penalty section without a path.

        Args:
            penalties: these sections.
            seed: which of the model's seeds the networks have, from 1.
        """
        key = network_key(*self.key, seed)
        return Trainer(
            self.core if seed == 1 else self._build(key),
            self.rows,
            self.validation,
            self.groups,
            task=self.task,
            n_outputs=self.n_outputs,
            network=self.specification["network"],
            training=self.specification["training"],
            penalties=penalties,
            key=key,
        )

    def counts(self, values: Arrays) -> dict[str, int | None]:
        """How many weights and how many of the table's columns a network uses, see penalty.count_nonzero.

        None for a network of the user's own, of which it is not known.

        Args:
            values: the values of its variables, trainable ones first.
        """
        if self.specification["network"]["build"]:
            return {"nonzero": None, "inputs": None}
        return dict(zip(("nonzero", "inputs"), count_nonzero(self.core, values, self.groups), strict=True))

    def norms(self, networks: list[Arrays]) -> dict[str, list[float]]:
        """Column of the table -> the norm of its weights in the first layer of each network.

        Args:
            networks: the variables' values of each network, trainable ones first.
        """
        kernels = (values[0] for values in networks)
        of_networks = [column_norms(kernel, self.groups, len(self.columns)) for kernel in kernels]
        return dict(zip(self.columns, map(list, zip(*of_networks, strict=True)), strict=True))

    def release(self) -> None:
        """Release the training rows, which take most of the memory."""
        self.rows = self.validation = None


def _balanced(codes: np.ndarray, n_classes: int) -> np.ndarray:
    """The weight of each class, float32 (n_classes,), as scikit-learn's `class_weight="balanced"`.

    A class that only validation rows have gets the weight of a class with a single training row.
    """
    counts = np.bincount(codes, minlength=n_classes)
    return (len(codes) / (np.count_nonzero(counts) * np.maximum(counts, 1))).astype(np.float32)
