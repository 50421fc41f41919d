"""The held-out rows, once the training is over: predictions, and how the held-out loss went."""

import numpy as np

from regfold.training import losses
from regfold.training.programs.base import Arrays, Program, stacked
from regfold.training.standardize import TargetScale

# Predictions of several networks at once hold at most so many numbers.
MOST_NUMBERS = 4_000_000


def numbers(truth: np.ndarray, target: TargetScale | None, n_outputs: int) -> np.ndarray:
    """The truth as predictions have it, float64 (n, n_outputs): one-hot for classes."""
    return truth if target is not None else np.eye(n_outputs)[truth]


def shares(weights: np.ndarray | None, n: int) -> np.ndarray:
    """What each of n rows counts in a mean over them, float64 (n,), 1 on average; None: all the same."""
    return np.ones(n) if weights is None else weights / weights.mean()


class HeldOut:
    """Predicts a fold's held-out rows with a network's variables at any epoch.

    Args:
        program: the program that trained the network.
        features: float32 (n_rows, n_features), standardized as the training rows were.
        target: the scale of a regression's targets; None for classes.
    """

    def __init__(self, program: Program, features: np.ndarray, target: TargetScale | None):
        self.program, self.features, self.target = program, features, target

    def predict(self, networks: list[Arrays]) -> np.ndarray:
        """Predict with several networks.

        Args:
            networks: the variables of each.

        Returns:
            (k, n_rows, n_outputs): probabilities, float32, or numbers in the targets' own units, float64.
        """
        at_once = max(1, MOST_NUMBERS // max(1, self.features.size))
        parts = [networks[start : start + at_once] for start in range(0, len(networks), at_once)]
        outputs = [self.program.predict(stacked(part), self.features) for part in parts]
        return self._in_units(np.concatenate(outputs))

    def _in_units(self, outputs: np.ndarray) -> np.ndarray:
        return outputs if self.target is None else self.target.restore(outputs)

    def scores(
        self, networks: list[Arrays], truth: np.ndarray, weights: np.ndarray | None = None
    ) -> list[tuple[float, float]]:
        """Loss without penalties, as training has it, and RMSE of each network.

        Args:
            networks: the variables of each.
            truth: (n_rows,) class codes, or float64 (n_rows, n_targets) numbers in units.
            weights: (n_rows,), of the means over rows; None: all the same.
        """
        counts = shares(weights, len(truth))
        return [self._score(outputs, truth, counts) for outputs in self.predict(networks)]

    def _score(self, predicted: np.ndarray, truth: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
        predicted, truth = predicted.astype(np.float64), numbers(truth, self.target, self.program.n_outputs)
        rmse = float(np.sqrt(np.mean(counts[:, None] * (predicted - truth) ** 2)))
        if self.target is not None:
            predicted, truth = self.target.scaled(predicted), self.target.scaled(truth)
        of_rows = np.asarray(losses.of_rows(self.program.loss, "float64")(truth, predicted))
        return float(np.mean(counts * of_rows)), rmse
