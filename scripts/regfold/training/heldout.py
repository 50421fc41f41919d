"""Predictions and losses of the held-out rows, computed once the training is over."""

import numpy as np

from regfold.training import losses
from regfold.training.programs.base import Arrays, Program, stacked
from regfold.training.standardize import TargetScale

# At most this many numbers of input are predicted at once, and this many predictions are scored at once.
MOST_NUMBERS, MOST_SCORED = 4_000_000, 100_000


def as_outputs(truth: np.ndarray, target: TargetScale | None, n_outputs: int) -> np.ndarray:
    """The truth in the form of predictions, float64 (n, n_outputs): one-hot for classes.

    Args:
        truth: (n,) class codes, or (n, n_outputs) numbers.
        target: the scale of a regression's targets; None for classes.
        n_outputs: the number of classes or of targets.
    """
    return truth if target is not None else np.eye(n_outputs)[truth]


def relative_weights(weights: np.ndarray | None, n: int) -> np.ndarray:
    """The weights of n rows divided by their mean, float64 (n,); of None, all 1."""
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
            networks: the variables' values of each of k networks.

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
        """The training loss without penalties and the RMSE in the targets' own units, for each network.

        Args:
            networks: the variables' values of each.
            truth: (n_rows,) class codes, or float64 (n_rows, n_targets) numbers in the targets' own units.
            weights: (n_rows,), for the means over rows; None: all rows count the same.
        """
        weights = relative_weights(weights, len(truth))
        truth = as_outputs(truth, self.target, self.program.n_outputs)
        wanted = truth if self.target is None else self.target.scaled(truth)
        of_rows = losses.of_rows(self.program.loss, "float64")
        at_once, found = max(1, MOST_SCORED // max(1, truth.size)), []
        for start in range(0, len(networks), at_once):
            predicted = self.predict(networks[start : start + at_once]).astype(np.float64)
            rmse = np.sqrt(np.mean(weights[:, None] * (predicted - truth) ** 2, axis=(1, 2)))
            predicted = predicted if self.target is None else self.target.scaled(predicted)
            loss = np.asarray(of_rows(np.broadcast_to(wanted, predicted.shape), predicted))
            found += zip(np.mean(weights * loss, axis=1).tolist(), rmse.tolist(), strict=True)
        return found
