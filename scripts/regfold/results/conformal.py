"""Conformal prediction: intervals and sets for new rows, from the folds' out-of-sample errors.

CV+ of Barber, Candès, Ramdas and Tibshirani, "Predictive inference with the jackknife+", Annals of Statistics
49 (2021), section 3; for classes that of Romano, Sesia and Candès, "Classification with valid and adaptive
coverage", NeurIPS 2020, section 2.3, with the score 1 - probability. If the new row and the table's rows are
exchangeable, both guarantee a coverage of about 2 * coverage - 1 at least; in practice it is close to
`coverage`. The scores of R repeats are pooled, so that each row counts 1/R in each.
"""

import math

import numpy as np

# Numbers (new rows x the table's rows) that are computed at a time.
BLOCK = 1 << 24


def cv_plus(
    residuals: np.ndarray, cells: np.ndarray, predicted: np.ndarray, coverage: float, repeats: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Intervals for one target of new rows.

    Args:
        residuals: float64 (n,), |truth - out-of-sample prediction| of the table's rows, once for each
            repeat that tests them; NaN, from a network that diverged, counts as infinite.
        cells: int64 (n,), which network each row was held out from, as a position in `predicted`.
        predicted: float64 (n_cells, n_new), every network's prediction of the new rows.
        coverage: the nominal coverage, between 0 and 1.
        repeats: the number of repeats that the residuals come from.

    Returns:
        lower and upper ends, float64 (n_new,) each; infinite if there are too few rows for the coverage.
    """
    n_new, rank = predicted.shape[1], _rank(len(residuals), coverage, repeats)
    low, high = np.full(n_new, -np.inf), np.full(n_new, np.inf)
    if rank > len(residuals):
        return low, high
    residuals = np.where(np.isnan(residuals), np.inf, residuals)
    step = max(1, BLOCK // len(residuals))
    for start in range(0, n_new, step):
        block = slice(start, start + step)
        center = predicted[:, block].T[:, cells]
        for ends, sign in ((low, -1), (high, 1)):
            values = sign * center + residuals
            values[np.isnan(values)] = np.inf
            ends[block] = sign * np.partition(values, rank - 1, axis=1)[:, rank - 1]
    return low, high


def prediction_sets(
    probabilities: np.ndarray, cells: np.ndarray, predicted: np.ndarray, coverage: float, repeats: int = 1
) -> np.ndarray:
    """Sets of classes for new rows.

    Args:
        probabilities: float64 (n,), the out-of-sample probability of the true class of the table's rows, once
            for each repeat that tests them.
        cells: int64 (n,), which network each row was held out from, as a position in `predicted`.
        predicted: float64 (n_cells, n_new, n_classes), every network's probabilities for the new rows.
        coverage, repeats: see `cv_plus`.

    Returns:
        bool (n_new, n_classes), whether each class is in the row's set.
    """
    scores = 1 - np.asarray(probabilities, np.float64)
    # NaN comes from a network that diverged: the worst score for a known row, and no class is excluded by it.
    scores[np.isnan(scores)] = np.inf
    better = np.zeros(predicted.shape[1:], np.int64)
    for cell, their in enumerate(predicted):
        own = np.sort(scores[cells == cell])
        theirs = 1 - their.astype(np.float64)
        theirs[np.isnan(theirs)] = -np.inf
        better += np.searchsorted(own, theirs, side="left")
    # A class is in the set if fewer than (1 - alpha)(n + 1) rows have a lower score than it has.
    return better < _rank(len(scores), coverage, repeats)


def bound(residuals: np.ndarray, coverage: float) -> float:
    """The bound that a new residual stays below with this probability; infinite if there are too few rows.

    The quantile of split conformal prediction (Lei et al., JASA 113, 2018) among the rows' own residuals.

    Args:
        residuals: float64 (n,), |truth - out-of-sample prediction| of each row, finite.
        coverage: the nominal coverage, between 0 and 1.
    """
    rank = _rank(len(residuals), coverage, 1)
    return math.inf if rank > len(residuals) else float(np.partition(residuals, rank - 1)[rank - 1])


def _rank(n: int, coverage: float, repeats: int) -> int:
    """The rank of the quantile among n scores: for one repeat ceil(coverage * (n + 1))."""
    # So that rounding of a product such as 0.9 * 10 does not raise the rank.
    return math.ceil(coverage * (n + repeats) - 1e-9)
