"""Calibration of predicted probabilities: expected calibration error, slope and intercept."""

import numpy as np
from scipy.special import expit, logit

from regfold.results.metrics import are_probabilities

BINS = 10
# Probabilities are kept this far from 0 and 1, so that their logits are finite.
SMALLEST = 1e-7
MOST_STEPS, TOLERANCE = 50, 1e-10


def measures(
    truth: np.ndarray, prediction: np.ndarray, weight: np.ndarray | None = None
) -> dict[str, float | None]:
    """The calibration measures of one model, by their names in summary.json; None if undefined.

    - `ece`, the expected calibration error (Guo, Pleiss, Sun and Weinberger, ICML 2017): for the predicted
      class, the mean distance between its probability and the share of correct predictions, over ten bins of
      equal width, weighted by their rows. 0 is perfect.
    - `calibration_slope` and `calibration_intercept` (Cox, Biometrika 45, 1958) of the logistic regression of
      the outcome on the logit of its probability. 1 and 0 are perfect; a slope below 1 means probabilities
      that are too extreme. More than two classes: each against the rest, pooled.

    Args:
        truth: (n, classes) one-hot.
        prediction: (n, classes) probabilities; if a row's are not, all measures are None.
        weight: (n,), each row's, as in `metrics.score`; None: all the same.
    """
    if not are_probabilities(prediction).all():
        return dict.fromkeys(("ece", "calibration_slope", "calibration_intercept"))
    weight = np.ones(len(truth)) if weight is None else weight
    truth, prediction, weight = (values[weight > 0] for values in (truth, prediction, weight))
    columns = slice(1, 2) if truth.shape[1] == 2 else slice(None)  # one of two classes determines the other
    x = logit(np.clip(prediction[:, columns].ravel().astype(np.float64), SMALLEST, 1 - SMALLEST))
    y = truth[:, columns]
    intercept, slope = _logistic_regression(x, y.ravel(), np.repeat(weight, y.shape[1]))
    best, at = prediction.argmax(axis=1), np.arange(len(prediction))
    error = expected_error(prediction[at, best], truth[at, best], weight)
    return {"ece": error, "calibration_slope": slope, "calibration_intercept": intercept}


def expected_error(given: np.ndarray, observed: np.ndarray, weight: np.ndarray) -> float:
    """The expected calibration error of probabilities `given`, (n,), of outcomes `observed`, (n,) 0 or 1."""
    bins = np.clip((given * BINS).astype(int), 0, BINS - 1)
    return float(np.abs(np.bincount(bins, weight * (given - observed), minlength=BINS)).sum() / weight.sum())


def _logistic_regression(
    x: np.ndarray, y: np.ndarray, weight: np.ndarray
) -> tuple[float | None, float | None]:
    """Maximum-likelihood intercept and slope, by Newton's method; None if a threshold on x separates y."""
    yes, no = x[y == 1], x[y == 0]
    if not (yes.size and no.size) or yes.min() >= no.max() or no.min() >= yes.max():
        return None, None
    design, coefficients = np.stack([np.ones_like(x), x]), np.zeros(2)
    for _ in range(MOST_STEPS):
        p = expit(coefficients @ design)
        step = np.linalg.solve((design * (weight * p * (1 - p))) @ design.T, design @ (weight * (y - p)))
        coefficients = coefficients + step
        if np.abs(step).max() < TOLERANCE * (1 + np.abs(coefficients).max()):
            return float(coefficients[0]), float(coefficients[1])
    return None, None
