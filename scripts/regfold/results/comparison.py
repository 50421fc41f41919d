"""Comparison of two models on the same folds, from the squared errors of the same out-of-sample rows.

Everything rests on one distribution of the difference: Student's t with the corrected variance of Nadeau and
Bengio (2003), see `intervals.from_cells`. Read as a sampling distribution it gives interval and p value; read
as a posterior it is the Bayesian correlated t test (Benavoli, Corani, Demsar and Zaffalon, 2017, "Time for a
change", JMLR 18), which also says how probable it is that the two do not differ in practice.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.special import stdtr, stdtrit

from regfold.formatting import significant
from regfold.results.intervals import LEVEL, Estimate, from_cells

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


def of_scores(
    scores: pd.DataFrame, metric: str, method: str, rope: float, optimistic: Collection[str] = ()
) -> list[dict]:
    """Every pair of a study's models compared, see `pairs`.

    Args:
        scores: scores.csv, see `scores.table`.
        metric: the RMSE that ranks the models, a column of scores.csv.
        method: `split.method`.
        rope: region of practical equivalence, relative to the RMSE.
        optimistic: the models whose strength was chosen for its score on the rows that are compared.
    """
    cells = dict(iter(scores.groupby("model", sort=False)))
    first = next(iter(cells.values()))
    return pairs(
        {model: np.square(lines[metric].to_numpy()) for model, lines in cells.items()},
        first["n_test"].to_numpy(),
        first["n_train"].to_numpy(),
        folds=first["fold"].nunique(),
        rope=rope,
        method=method,
        optimistic=optimistic,
    )


@dataclass(frozen=True)
class Difference:
    """How two models' RMSEs differ: a's minus b's, so below 0 a is better.

    Args:
        estimate: of the difference, None where the folds do not allow one.
        folds: cells of one cross-validation.
        overlap: test rows for each training row of a cell.
        rope: half the width of the region of practical equivalence, in the RMSE's units.
    """

    rmse_a: float
    rmse_b: float
    estimate: Estimate | None
    folds: int
    overlap: float
    rope: float

    @property
    def difference(self) -> float:
        return self.rmse_a - self.rmse_b

    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the difference."""
        half = self.estimate.half_width()
        return self.difference - half, self.difference + half

    def p_value(self) -> float:
        """Two-sided, of the corrected resampled t test; not corrected for further pairs."""
        return float(2 * _below(self.estimate, 0.0, -abs(self.difference))) if self.difference else 1.0

    def probabilities(self) -> tuple[float, float, float]:
        """That a is better, that both are equivalent in practice, that b is better."""
        a_better = _below(self.estimate, self.difference, -self.rope)
        b_better = _below(self.estimate, -self.difference, -self.rope)
        return a_better, 1 - a_better - b_better, b_better

    def repeats_needed(self, level: float) -> int | None:
        """Repeats of the cross-validation at which an interval around this difference would exclude 0.

        None if more than 100: repeats take away only that part of the variance which the split makes.
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
) -> Difference:
    """Compare two models by their RMSE, from their mean squared errors in the same cells.

    The RMSE is no mean over rows, but close to its value A it is, to first order, the mean of
    A + (error^2 - A^2) / (2 A) (the delta method); the corrected t is that of these values' differences.

    Args:
        means_a, means_b: (J,) mean squared errors of the cells, which tested the same rows for both models.
        n_test, n_train: (J,) the cells' rows.
        folds: cells of one cross-validation.
        rope: region of practical equivalence, relative to the mean of both RMSEs.
    """
    rmse_a, rmse_b = (float(np.sqrt(np.average(means, weights=n_test))) for means in (means_a, means_b))
    estimate = None
    if len(n_test) > 1 and np.isfinite(rmse_a + rmse_b):
        differences = _linearized(means_a, rmse_a) - _linearized(means_b, rmse_b)
        estimate = from_cells(differences, n_test, n_train)
    overlap = float(np.sum(n_test) / np.sum(n_train))
    return Difference(rmse_a, rmse_b, estimate, folds, overlap, rope * (rmse_a + rmse_b) / 2)


def _linearized(means: np.ndarray, rmse: float) -> np.ndarray:
    return rmse / 2 + means / (2 * rmse) if rmse > 0 else means


def holm(p_values: np.ndarray) -> np.ndarray:
    """p values corrected for their number (Holm, 1979, Scandinavian Journal of Statistics 6).

    Whoever rejects those below 5 % rejects any one wrongly in at most 5 % of studies.

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
) -> list[dict]:
    """Every pair of models compared, in the order of models.

    Args:
        models: model -> (J,) mean squared errors of its cells, in one order of cells for all models.
        n_test, n_train: (J,) the cells' rows.
        folds: cells of one cross-validation.
        rope: region of practical equivalence, relative to the RMSE.
        method: `split.method`; folds in the order of time are not exchangeable and allow no interval.
        optimistic: the models whose strength was chosen for its score on these rows; sentences say so.

    Returns:
        a line per pair: COLUMNS and `sentence`. The p value is corrected for the number of pairs; low and
        high are the pair's own 95 % interval. They and the probabilities are None where there is no interval.
    """
    differences = {
        (a, b): compare(models[a], models[b], n_test, n_train, folds, rope)
        for a, b in combinations(models, 2)
    }
    tested = [pair for pair in differences if differences[pair].estimate is not None and method != "time"]
    p_values = holm(np.array([differences[pair].p_value() for pair in tested]))
    lines = []
    for pair, difference in differences.items():
        values = [*pair, *map(_finite, (difference.rmse_a, difference.rmse_b, difference.difference))]
        if pair in tested:
            p_value = float(p_values[tested.index(pair)])
            values += [*difference.interval(), p_value, *difference.probabilities()]
            sentence = _sentence(*pair, difference, p_value, rope, len(tested))
            if chosen := [model for model in pair if model in optimistic]:
                sentence += (
                    f"; optimistic for {' and '.join(chosen)}, whose strength was chosen on these rows"
                )
        else:
            values += [None] * (len(COLUMNS) - len(values))
            sentence = "not compared: " + _why_not(difference, method)
        lines.append(dict(zip(COLUMNS, values, strict=True)) | {"sentence": sentence})
    return lines


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _why_not(difference: Difference, method: str) -> str:
    if not np.isfinite(difference.difference):
        return "some predictions are not finite"
    return "time splits have no exchangeable folds" if method == "time" else "one fold shows no spread"


def _sentence(a: str, b: str, difference: Difference, p_value: float, rope: float, n_pairs: int) -> str:
    """The result of one pair in words."""
    size = significant(abs(difference.difference), 2)
    equivalent = difference.probabilities()[1]
    within = f"within {significant(100 * rope, 2)} % of the RMSE with probability {equivalent:.2f}"
    if p_value < 1 - LEVEL:
        low, high = (significant(bound, 2) for bound in sorted(map(abs, difference.interval())))
        text = f"{a if difference.difference < 0 else b} is better by {size} ({low} to {high})"
        return f"{text}, yet {within}" if equivalent >= LEVEL else text
    if equivalent >= LEVEL:
        return f"equivalent in practice: {within}"
    if difference.difference == 0:
        return "no measurable difference"
    repeats = difference.repeats_needed(1 - (1 - LEVEL) / n_pairs)
    effort = f"would take about {repeats} repeats" if repeats else "takes more rows, not more repeats"
    return f"no measurable difference; to tell {size} apart {effort}"
