"""The held-out rows, once the training is over: predictions, and how the held-out loss went."""

import numpy as np

from regfold.training import losses
from regfold.training.programs.base import Arrays, Program, stacked
from regfold.training.standardize import TargetScale

# What several networks at once are given, and what is scored at once, have at most so many numbers.
MOST_NUMBERS, MOST_SCORED = 4_000_000, 100_000


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
        counts, truth = shares(weights, len(truth)), numbers(truth, self.target, self.program.n_outputs)
        wanted = truth if self.target is None else self.target.scaled(truth)
        of_rows = losses.of_rows(self.program.loss, "float64")
        at_once, found = max(1, MOST_SCORED // max(1, truth.size)), []
        for start in range(0, len(networks), at_once):
            predicted = self.predict(networks[start : start + at_once]).astype(np.float64)
            rmse = np.sqrt(np.mean(counts[:, None] * (predicted - truth) ** 2, axis=(1, 2)))
            predicted = predicted if self.target is None else self.target.scaled(predicted)
            loss = np.asarray(of_rows(np.broadcast_to(wanted, predicted.shape), predicted))
            found += zip(np.mean(counts * loss, axis=1).tolist(), rmse.tolist(), strict=True)
        return found
