"""The rows of a cell, from the prepared matrix: for training and validation, held out, and in inner folds."""

from pathlib import Path

import numpy as np

from regfold.data import row_weights
from regfold.data.matrix import padded_length, take_rows
from regfold.errors import RegfoldError
from regfold.provenance import cell_names
from regfold.splits import folds, inner
from regfold.training import standardize, validation
from regfold.training.fitting import Fitting
from regfold.training.seeds import derive


class FoldRows:
    """The rows of a cell: training rows, validation rows, held-out rows, and those of inner folds.

    Args:
        prepared: results/prepared.
        training: the model's resolved training section.
        split: the resolved split section.
        key: (seed, repeat, fold).

    Attributes:
        features: the file of all encoded rows, float32 (n, width).
        target: of all rows: (n,) class codes, or (n, n_targets) numbers.
        weights: float64 (n,), of all rows; None without data.weight.
        training: bool (n,), which rows are training rows, validation rows among them.
        held_out: int64 (n_test,), the indices of the held-out rows.
        truth: the targets of the held-out rows.
    """

    def __init__(self, prepared: Path, training: dict, split: dict, key: tuple[int, int, int]):
        self.settings, self.split, self.key = training, split, key
        self.features = prepared / "features.npy"
        self.folds, self.target = folds.read(prepared, split), np.load(prepared / "target.npy")
        self.weights = row_weights.read(prepared)
        self.training = self.folds.training(*key[1:])
        self.held_out = np.flatnonzero(self.folds.held_out(*key[1:]))
        self.truth = self.target[self.held_out]

    def inner(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """For each inner fold the indices of its training rows and of its test rows, int64.

        [] if the training rows cannot be divided.
        """
        rows = np.flatnonzero(self.training)
        codes, classes = self.folds.codes_of(self.training), self._classes(self.training)
        seed = derive(*self.key, "inner folds")
        return [(rows[a], rows[b]) for a, b in inner.folds(self.split, codes, classes, seed)]

    def rows(
        self, key: tuple[int, int, int], only: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, int, np.ndarray | None]:
        """The training rows as a fitting takes them, validation rows last.

        Args:
            key: (seed, repeat, fold), for the choice of validation rows.
            only: the indices of some of the training rows, in ascending order; None: all of them.

        Returns:
            encoded rows, float32 (n_padded, width); their targets; the number of validation rows; and their
            weights as in the table, float64, None without data.weight.

        Raises:
            RegfoldError: if all training rows, or all validation rows, have the weight 0.
        """
        part = self.training
        if only is not None:
            part = np.zeros(len(part), bool)
            part[only] = True
        order, n_validation = validation.arrange(
            self.settings, self.split, self.folds.codes_of(part), self._classes(part), key
        )
        indices = np.flatnonzero(part)[order]
        rows = take_rows(self.features, indices, padded_length(len(indices)))
        return rows, self.target[indices], n_validation, self._checked_weights(indices, n_validation)

    def weights_of(self, rows: np.ndarray) -> np.ndarray | None:
        """The weights, float64, of the rows with these indices; None without data.weight."""
        return None if self.weights is None else self.weights[rows]

    def _checked_weights(self, indices: np.ndarray, n_validation: int) -> np.ndarray | None:
        """The weights of training rows, validation rows last; see `rows`."""
        if (weights := self.weights_of(indices)) is None:
            return None
        n_rows = len(indices) - n_validation
        for what, part in (("training", weights[:n_rows]), ("validation", weights[n_rows:])):
            if len(part) and not part.any():
                raise RegfoldError(
                    f"{cell_names.words(*self.key[1:])}: all {what} rows of a training have the weight 0 "
                    "(data.weight); expected a row with a weight above 0"
                )
        return weights

    def as_trained(self, fitting: Fitting, only: np.ndarray | None = None) -> np.ndarray:
        """The held-out rows, or those with the indices `only`, standardized as a fitting's training rows.

        Returns:
            float32 (n, n_features).
        """
        rows = take_rows(self.features, self.held_out if only is None else only)
        return standardize.apply(rows, fitting.statistics)

    def _classes(self, part: np.ndarray) -> np.ndarray | None:
        return self.target[part] if self.target.ndim == 1 else None
