"""Confidence intervals of a model's score, from the losses of its out-of-sample rows.

The mean squared error is a mean over rows, so it has a standard error; the RMSE has none of its own. The
interval is computed for the logarithm of the mean squared error and transformed back through the root:
squared errors are skewed to the right, and on this scale the interval covers better in small tables and never
goes below 0. Other metrics that are means over rows have intervals in the same way, shares on the scale of
the log odds. How often each interval covers is measured by tests/benchmarks/coverage.py.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit, logit, stdtrit

from regfold.results.metrics import LOSS, SHARE, SKILL, Metric

LEVEL = 0.95
# The interval from rows is asymptotic. With fewer rows the one from folds covers better (docs/statistics.md).
MANY_UNITS = 1_000


@dataclass(frozen=True)
class Estimate:
    """An estimated mean, its standard error, and the degrees of freedom of its t distribution."""

    mean: float
    se: float
    df: int

    def half_width(self, level: float = LEVEL) -> float:
        """Half the width of the two-sided interval around the mean."""
        return float(stdtrit(self.df, (1 + level) / 2)) * self.se


@dataclass(frozen=True)
class Interval:
    """Bounds of a score, and the method as text; or None for both, and the reason as text."""

    low: float | None
    high: float | None
    method: str


def sizes(cells: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """`n_test` and `n_train` of `from_cells`, (J,) each, from the cells' lines in scores.csv."""
    return cells.get("weight", cells["n_test"]).to_numpy(), cells["n_train"].to_numpy()


def from_rows(losses: np.ndarray, units: np.ndarray, weight: np.ndarray | None = None) -> Estimate:
    """The mean loss of one cross-validation, from the spread of its independent units.

    The all-pairs variance estimator of Bayle et al. (2020, "Cross-validation confidence intervals for test
    error", NeurIPS 33): the variance of all losses around their common mean, as if the rows had not shared
    their training rows. Losses of one group are summed first (the cluster-robust variance of a mean; Cameron
    and Miller, 2015, J. Human Resources 50). Their factor 1/n and normal quantile are replaced by 1/(n - 1)
    and Student's, which are equivalent for large n. A weighted mean is a ratio of two sums, which is
    linearized: it varies as the mean of w (loss - mean) / mean(w) (Cochran, 1977, "Sampling techniques").

    Args:
        losses: (n,) float64.
        units: (n,) int, from 0 without gaps: the group of each loss, or its row if rows are independent.
        weight: (n,) float64, the weight of each loss in the mean; None: all the same.
    """
    weight = np.ones(len(losses)) if weight is None else weight
    mean = np.average(losses, weights=weight)
    sums = np.bincount(units, weight * (losses - mean))
    variance = len(sums) / (len(sums) - 1) * (sums @ sums) / weight.sum() ** 2
    return Estimate(float(mean), float(np.sqrt(variance)), len(sums) - 1)


def from_cells(means: np.ndarray, n_test: np.ndarray, n_train: np.ndarray) -> Estimate:
    """The mean loss of one or several cross-validations, from the spread of their cells.

    The corrected resampled t of Nadeau and Bengio (2003, "Inference for the generalization error", Machine
    Learning 52): with s^2 the variance of the J cells' mean losses,

        Var = s^2 (1/J + n_test/n_train),   J - 1 degrees of freedom.

    The second term accounts for the training rows that the cells share. Cells are weighted by their number of
    rows; for cells of equal size this is the formula above.

    Args:
        means: (J,) mean loss of each cell, or the difference of two models' mean losses.
        n_test, n_train: (J,) the numbers of the cells' rows; with data.weight n_test is the sum of the rows'
            weights, whose mean over all rows is 1.
    """
    weights = n_test / np.sum(n_test)
    mean, concentration = weights @ means, weights @ weights  # the latter is 1/J for equal weights
    variance = weights @ np.square(means - mean) / (1 - concentration)
    factor = concentration + np.sum(n_test) / np.sum(n_train)
    return Estimate(float(mean), float(np.sqrt(variance * factor)), len(means) - 1)


def bounds(estimate: Estimate, metric: Metric, level: float = LEVEL) -> tuple[float, float]:
    """The bounds of a metric, from its estimated mean, on a scale on which they stay within its limits.

    A loss: mean * exp(-+ t * se / mean), then the root if the metric is one; 0 and 0 if the mean is 0. For a
    metric that is at most 1, such as R², its distance to 1 is such a loss. A share: on the scale of its log
    odds (delta method).
    """
    mean, half = estimate.mean, estimate.half_width(level)
    if metric.limits == SHARE:
        low, high = expit(logit(mean) + np.array([-half, half]) / (mean * (1 - mean)))
    elif metric.limits == SKILL:
        factor = np.exp(half / (1 - mean))
        low, high = 1 - (1 - mean) * factor, 1 - (1 - mean) / factor
    elif metric.limits == LOSS and mean > 0:
        factor, score = (
            np.exp(half / mean / (2 if metric.root else 1)),
            np.sqrt(mean) if metric.root else mean,
        )
        low, high = score / factor, score * factor
    else:
        low, high = mean - half, mean + half
    return float(low), float(high)


def of_mean(
    metric: Metric,
    losses: np.ndarray,
    units: np.ndarray,
    means: np.ndarray,
    n_test: np.ndarray,
    n_train: np.ndarray,
    repeats: int,
    method: str,
    weight: np.ndarray | None = None,
) -> Interval:
    """The interval of a metric that is a mean over rows, by the method that the split justifies.

    Args:
        metric: the metric.
        losses: (n,) the losses whose mean it is, see `metrics.row_losses`.
        units: (n,) int, from 0 without gaps: the independent unit of each loss, as in `from_rows`.
        means, n_test, n_train: (J,) of the cells, as in `from_cells`.
        repeats: the number of cross-validations.
        method: `split.method`.
        weight: (n,) float64, the weight of each loss, as in `from_rows`.
    """
    if not np.isfinite(losses).all():
        why = (
            "some predictions are not finite" if metric.root else f"the {metric.label} of a row is undefined"
        )
        return Interval(None, None, why)
    n_units = int(units.max()) + 1
    if method != "time" and repeats == 1 and n_units >= MANY_UNITS:
        kind = "rows" if n_units == len(losses) else "groups"
        return _interval(metric, from_rows(losses, units, weight), f"{n_units:,} {kind}; Bayle et al., 2020")
    return _over_cells(metric, means, n_test, n_train, method)


def of_folds(
    metric: Metric, values: np.ndarray, n_test: np.ndarray, n_train: np.ndarray, method: str
) -> Interval:
    """The interval of the mean over folds of a metric that is not a mean over rows.

    Args:
        metric: the metric.
        values: (J,) its values in the cells, NaN where undefined.
        n_test, n_train: (J,) of the cells, as in `from_cells`.
        method: `split.method`.
    """
    if not np.isfinite(values).all():
        return Interval(None, None, f"the {metric.label} of a fold is undefined")
    return _over_cells(metric, values, n_test, n_train, method, "of the folds' mean: ")


def _over_cells(
    metric: Metric, means: np.ndarray, n_test: np.ndarray, n_train: np.ndarray, method: str, what: str = ""
) -> Interval:
    """The interval from the spread of the cells, if they have one; `what` begins the method's text."""
    if method == "time":
        return Interval(None, None, "time splits have no exchangeable folds")
    if len(means) == 1:
        return Interval(None, None, "one fold shows no spread")
    how = f"{what}corrected resampled t over {len(means)} folds; Nadeau and Bengio, 2003"
    return _interval(metric, from_cells(means, n_test, n_train), how)


def _interval(metric: Metric, estimate: Estimate, how: str) -> Interval:
    if metric.limits != LOSS and estimate.se <= 1e-12 * abs(estimate.mean):
        return Interval(None, None, f"the {metric.label} of all folds is the same, which shows no spread")
    return Interval(*bounds(estimate, metric), how)
