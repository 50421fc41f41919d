"""Comparison of two models on the same folds, from the losses of the same out-of-sample rows.

Everything is based on one distribution of the difference: Student's t with the corrected variance of Nadeau
and Bengio (2003), see `intervals.from_cells`. As a sampling distribution it gives the interval and the p
value; as a posterior it is the Bayesian correlated t test (Benavoli, Corani, Demsar and Zaffalon, 2017, "Time
for a change", JMLR 18), which also gives the probability that the two do not differ in practice.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.special import stdtr, stdtrit

from regfold.config.headline import RMSES
from regfold.formatting import significant
from regfold.results.intervals import LEVEL, Estimate, from_cells, sizes
from regfold.results.metrics import RMSE, Metric, finite_or_none

COLUMNS = (
    "model_a",
    "model_b",
    "rmse_a",
    "rmse_b",
    "difference",
    "low",
    "high",
    "p_value",
    "p_a_better",
    "p_equivalent",
    "p_b_better",
)
MOST_REPEATS = 100


def columns(metric: str) -> tuple[str, ...]:
    """The columns of comparison.csv for a metric, in the order of COLUMNS; an RMSE has the fixed names."""
    numbers = COLUMNS[2:]
    if metric in RMSES:
        return numbers
    return tuple(f"{metric}_{name.removeprefix(f'{RMSE.name}_')}" for name in numbers)


def of_scores(
    scores: pd.DataFrame,
    metrics: Sequence[Metric],
    method: str,
    rope: float,
    optimistic: Collection[str] = (),
) -> list[dict]:
    """Every pair of a study's models compared, see `pairs`.

    Args:
        scores: scores.csv, see `scores.table`.
        metrics: the RMSE by which models are compared, then the headline if it is another metric; both are
            columns of scores.csv.
        method: `split.method`.
        rope: region of practical equivalence, relative to the metric.
        optimistic: the models whose strength was chosen for its score on the rows that are compared.

    Returns:
        a line per pair: the models, `columns` of each metric, and `sentence`, which is about the last one.
    """
    cells, found = dict(iter(scores.groupby("model", sort=False))), []
    first = next(iter(cells.values()))
    for metric in metrics:
        values = {model: lines[metric.name].to_numpy() for model, lines in cells.items()}
        lines = pairs(
            {model: np.square(own) for model, own in values.items()} if metric.root else values,
            *sizes(first),
            folds=first["fold"].nunique(),
            rope=rope,
            method=method,
            optimistic=optimistic,
            metric=metric,
        )
        names = dict(zip(COLUMNS[2:], columns(metric.name), strict=True))
        found.append([{names.get(name, name): value for name, value in line.items()} for line in lines])
    return [of_rmse | headline for of_rmse, headline in zip(found[0], found[-1], strict=True)]


@dataclass(frozen=True)
class Difference:
    """How two models' scores differ: a's minus b's.

    Args:
        score_a, score_b: the scores.
        estimate: of the difference; None if the folds do not allow one.
        folds: number of cells of one cross-validation.
        overlap: n_test / n_train of the cells.
        rope: half the width of the region of practical equivalence, in the score's units.
        greater_is_better: whether a is better if the difference is above 0, not below.
    """

    score_a: float
    score_b: float
    estimate: Estimate | None
    folds: int
    overlap: float
    rope: float
    greater_is_better: bool = False

    @property
    def difference(self) -> float:
        return self.score_a - self.score_b

    @property
    def a_is_better(self) -> bool:
        return (self.difference > 0) == self.greater_is_better

    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the difference."""
        half = self.estimate.half_width()
        return self.difference - half, self.difference + half

    def p_value(self) -> float:
        """Two-sided, of the corrected resampled t test; not corrected for further pairs."""
        return float(2 * _below(self.estimate, 0.0, -abs(self.difference))) if self.difference else 1.0

    def probabilities(self) -> tuple[float, float, float]:
        """The probabilities that a is better, that both are equivalent in practice, that b is better."""
        lower = _below(self.estimate, self.difference, -self.rope)
        higher = _below(self.estimate, -self.difference, -self.rope)
        a_better, b_better = (higher, lower) if self.greater_is_better else (lower, higher)
        return a_better, 1 - lower - higher, b_better

    def repeats_needed(self, level: float) -> int | None:
        """The number of repeats at which an interval around this difference would exclude 0.

        None if more than 100: repeats reduce only the part of the variance that comes from the split.
        """
        cells = self.folds * np.arange(1, MOST_REPEATS + 1)
        current = 1 / (self.estimate.df + 1) + self.overlap
        se = self.estimate.se * np.sqrt((1 / cells + self.overlap) / current)
        enough = stdtrit(cells - 1, (1 + level) / 2) * se <= abs(self.difference)
        return int(enough.argmax()) + 1 if enough.any() else None


def _below(estimate: Estimate, mean: float, bound: float) -> float:
    """P(x < bound) of Student's t around a mean, with the scale and degrees of freedom of an estimate."""
    if estimate.se == 0:
        return float(mean < bound)
    return float(stdtr(estimate.df, (bound - mean) / estimate.se))


def compare(
    means_a: np.ndarray,
    means_b: np.ndarray,
    n_test: np.ndarray,
    n_train: np.ndarray,
    folds: int,
    rope: float,
    metric: Metric = RMSE,
) -> Difference:
    """Compare two models by a metric, from its values in the same cells.

    The RMSE is not a mean over rows, but near its value A it is, to first order, the mean of
    A + (error^2 - A^2) / (2 A) (the delta method); the corrected t is computed from the differences of these
    values. A metric that is neither a mean over rows nor its root is compared by its mean over the cells.

    Args:
        means_a, means_b: (J,) values in the cells, which test the same rows for both models: the metric, or
            the mean squared error if the metric is its root.
        n_test, n_train: (J,) the cells' rows, see `intervals.from_cells`.
        folds: number of cells of one cross-validation.
        rope: region of practical equivalence, relative to the size of the mean of both scores.
        metric: the metric.
    """
    scores = [float(np.average(means, weights=n_test)) for means in (means_a, means_b)]
    if metric.root:
        scores = [float(np.sqrt(score)) for score in scores]
    estimate = None
    if len(n_test) > 1 and np.isfinite(sum(scores)):
        differences = means_a - means_b
        if metric.root:
            differences = _linearized(means_a, scores[0]) - _linearized(means_b, scores[1])
        estimate = from_cells(differences, n_test, n_train)
    overlap = float(np.sum(n_test) / np.sum(n_train))
    return Difference(
        *scores, estimate, folds, overlap, abs(rope * sum(scores) / 2), metric.greater_is_better
    )


def _linearized(means: np.ndarray, rmse: float) -> np.ndarray:
    return rmse / 2 + means / (2 * rmse) if rmse > 0 else means


def holm(p_values: np.ndarray) -> np.ndarray:
    """p values corrected for their number (Holm, 1979, Scandinavian Journal of Statistics 6).

    Rejecting those below 5 % gives one wrong rejection or more in at most 5 % of studies.

    Args:
        p_values: (m,), in any order.
    """
    order = np.argsort(p_values, kind="stable")
    steps = np.arange(len(order), 0, -1) * p_values[order]
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected


def pairs(
    models: Mapping[str, np.ndarray],
    n_test: np.ndarray,
    n_train: np.ndarray,
    folds: int,
    rope: float,
    method: str,
    optimistic: Collection[str] = (),
    metric: Metric = RMSE,
) -> list[dict]:
    """Every pair of models compared, in the order of models.

    Args:
        models: model -> (J,) values in its cells, see `compare`; the order of cells is the same for all.
        n_test, n_train: (J,) the cells' rows.
        folds: number of cells of one cross-validation.
        rope: region of practical equivalence, relative to the metric.
        method: `split.method`; folds in the order of time are not exchangeable and allow no interval.
        optimistic: the models whose strength was chosen for its score on these rows; sentences say so.
        metric: the metric by which they are compared.

    Returns:
        a line per pair: COLUMNS and `sentence`. The p value is corrected for the number of pairs; low and
        high are the pair's own 95 % interval. All of these and the probabilities are None if there is none.
    """
    differences = {
        (a, b): compare(models[a], models[b], n_test, n_train, folds, rope, metric)
        for a, b in combinations(models, 2)
    }
    tested = [pair for pair in differences if differences[pair].estimate is not None and method != "time"]
    p_values = holm(np.array([differences[pair].p_value() for pair in tested]))
    lines = []
    for pair, difference in differences.items():
        scores = difference.score_a, difference.score_b, difference.difference
        values = [*pair, *map(finite_or_none, scores)]
        if pair in tested:
            p_value = float(p_values[tested.index(pair)])
            values += [*difference.interval(), p_value, *difference.probabilities()]
            sentence = _sentence(*pair, difference, p_value, rope, len(tested), metric)
            if chosen := [model for model in pair if model in optimistic]:
                sentence += (
                    f"; optimistic for {' and '.join(chosen)}, whose strength was chosen on these rows"
                )
        else:
            values += [None] * (len(COLUMNS) - len(values))
            sentence = "not compared: " + _why_not(difference, method, metric)
        lines.append(dict(zip(COLUMNS, values, strict=True)) | {"sentence": sentence})
    return lines


def _why_not(difference: Difference, method: str, metric: Metric) -> str:
    if not np.isfinite(difference.difference):
        undefined = f"the {metric.label} of a fold is undefined"
        return "some predictions are not finite" if metric.root else undefined
    return "time splits have no exchangeable folds" if method == "time" else "one fold shows no spread"


def _sentence(
    a: str, b: str, difference: Difference, p_value: float, rope: float, n_pairs: int, metric: Metric
) -> str:
    """The result of one pair as a sentence."""
    size = significant(abs(difference.difference), 2)
    equivalent = difference.probabilities()[1]
    label = RMSE.label if metric.root else metric.label
    within = f"within {significant(100 * rope, 2)} % of the {label} with probability {equivalent:.2f}"
    if p_value < 1 - LEVEL:
        low, high = (significant(bound, 2) for bound in sorted(map(abs, difference.interval())))
        text = f"{a if difference.a_is_better else b} is better by {size} ({low} to {high})"
        return f"{text}, yet {within}" if equivalent >= LEVEL else text
    if equivalent >= LEVEL:
        return f"equivalent in practice: {within}"
    if difference.difference == 0:
        return "no measurable difference"
    repeats = difference.repeats_needed(1 - (1 - LEVEL) / n_pairs)
    effort = f"would take about {repeats} repeats" if repeats else "takes more rows, not more repeats"
    return f"no measurable difference; to tell {size} apart {effort}"
