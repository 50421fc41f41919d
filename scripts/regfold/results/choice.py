"""Choice of a strength on a path, and the correction of the chosen strength's score for the choice.

Everything is computed from a matrix of losses, rows x strengths, or, for a metric that is not a mean over
rows, from its values on sets of rows; no network is trained again. The best of many scores is optimistic,
since it was chosen for being the best. Two corrections are given: BBC-CV, which repeats the choice on
bootstrap samples, and that of Tibshirani and Tibshirani, which compares the strengths within each fold.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from regfold.results.metrics import RMSE, Metric, finite_or_none

BAGS = 1_000
# For a metric that is not a mean over rows: fewer bags, and limits on the number of values of the metric and
# on the rows that all of them are computed from.
FEWER_BAGS, MOST_VALUES, MOST_ROWS = 200, 5_000, 20_000_000
BLOCK = 1 << 22  # numbers held at a time


@dataclass(frozen=True)
class Corrected:
    """A score corrected for the choice, and the bounds of its 95 % percentile interval."""

    score: float
    low: float
    high: float


# Takes positions of rows and, by default all, positions of strengths; returns the metric of each of these
# strengths on the rows, NaN where it is undefined.
Values = Callable[..., np.ndarray]


def path_scores(
    losses: np.ndarray,
    cells: np.ndarray,
    strengths: np.ndarray,
    folds: int,
    metric: Metric = RMSE,
    weight: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """The score of every strength, the best, and the choice of the one-standard-error rule.

    The one-standard-error rule (Breiman, Friedman, Olshen and Stone, 1984; `lambda.1se` of R's cv.glmnet)
    takes the strongest penalty whose mean score is within one standard error of the best one's. Among equal
    scores the strongest penalty wins. The standard error is that of one cross-validation even if there are
    repeats, since these test the same rows again.

    Args:
        losses: (n, strengths), the losses whose mean is the metric, see `metrics.row_losses`. A strength with
            a loss that is not finite has no score and is never chosen.
        cells: (n,) int, from 0 without gaps: the cell (repeat and fold) of each row.
        strengths: (strengths,) in any order.
        folds: number of cells of one cross-validation.
        metric: a metric that is a mean over rows.
        weight: (n,) float64, the weight of each row in the means; None: all the same.

    Returns:
        arrays (strengths,): <metric> (over all rows), <metric>_fold_mean, <metric>_fold_se, is_min and
        is_one_se.
    """
    sums, sizes = _sums(losses, cells, weight), np.bincount(cells, weight)
    usable = _usable(np.isfinite(losses).all(axis=0), strengths)
    pooled = np.average(losses, axis=0, weights=weight)
    score = np.sqrt(pooled) if metric.root else pooled
    total = sums.sum(axis=0) / sizes.sum()
    return _scores(metric, score, total, _of_cells(sums, sizes, metric), usable, folds)


def function_scores(
    values: Values, cells: np.ndarray, strengths: np.ndarray, folds: int, metric: Metric
) -> dict[str, np.ndarray]:
    """`path_scores` for a metric that is not a mean over rows.

    If it is undefined in a fold, so is the fold mean, and the one-standard-error rule chooses the best score.
    """
    score, by_cell = _on_all_and_in_cells(values, cells)
    return _scores(metric, score, score, by_cell, _usable(np.isfinite(score), strengths), folds)


def _on_all_and_in_cells(values: Values, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values on all rows, (strengths,), and on the rows of each cell, (cells, strengths)."""
    of_cells = [values(np.flatnonzero(cells == cell)) for cell in range(cells.max() + 1)]
    return values(np.arange(len(cells))), np.stack(of_cells)


def _scores(
    metric: Metric,
    score: np.ndarray,
    ranked: np.ndarray,
    by_cell: np.ndarray,
    usable: np.ndarray,
    folds: int,
) -> dict[str, np.ndarray]:
    """What `path_scores` returns.

    Args:
        metric: the metric.
        score: (strengths,), the pooled score of each strength.
        ranked: (strengths,), the score, or a monotonic function of it, by which the best is found.
        by_cell: (cells, strengths), the cells' scores.
        usable: see `_usable`.
        folds: number of cells of one cross-validation.
    """
    mean, se = _over_cells(by_cell, np.ones(len(by_cell), bool), folds)
    marks = {"is_min": np.zeros(len(score), bool), "is_one_se": np.zeros(len(score), bool)}
    if len(usable):
        sign = -1 if metric.greater_is_better else 1
        part = sign * ranked[usable], sign * by_cell[:, usable], np.ones(len(by_cell), bool), folds
        for select in ("min", "one_se"):
            marks[f"is_{select}"][usable[_chosen(select, *part)]] = True
    name = metric.name
    return {name: score, f"{name}_fold_mean": mean, f"{name}_fold_se": se} | marks


def bootstrap_bias_corrected(
    losses: np.ndarray,
    units: np.ndarray,
    cells: np.ndarray,
    strengths: np.ndarray,
    folds: int,
    select: str,
    seed: int,
    bags: int = BAGS,
    metric: Metric = RMSE,
    weight: np.ndarray | None = None,
) -> Corrected | None:
    """The score of the chosen strength, corrected for having been chosen: BBC-CV.

    Tsamardinos, Greasidou and Borboudakis (2018, "Bootstrapping the out-of-sample predictions for efficient
    and accurate cross-validation", Machine Learning 107): draw units with replacement, choose a strength on
    those in the bag, score it on those outside; the mean of these scores is the corrected score, their
    quantiles its interval. Means and quantiles are taken of mean losses, a root at the end.

    Args:
        losses, cells, strengths, folds, metric, weight: as in `path_scores`; strengths with a loss that is
            not finite are left out.
        units: (n,) int, from 0 without gaps: the independent unit of each row, which is its group or the row
            itself (one unit even if several repeats test it).
        select: the rule that chooses, "min" or "one_se".
        seed: of the bags.
        bags: number of bootstrap samples.

    Returns:
        the corrected score; None if no strength has a score, or there is a single unit.
    """
    usable = _usable(np.isfinite(losses).all(axis=0), strengths)
    sizes, sign = np.bincount(units, weight), -1 if metric.greater_is_better else 1
    if not len(usable) or len(sizes) < 2:
        return None
    weight = np.ones(len(losses)) if weight is None else weight
    losses = losses[:, usable] * weight[:, None]
    sums, by_cell = _sums(losses, units), [np.flatnonzero(cells == cell) for cell in range(cells.max() + 1)]
    rows = max(1, BLOCK // max(len(sizes), len(by_cell) * len(usable) * (select == "one_se")))
    found = []
    for counts in _counts(len(sizes), bags, rows, np.random.default_rng(seed)):
        # A bag may hold all of very few units, so that none is outside, or only units of weight 0.
        with np.errstate(invalid="ignore"):
            if select == "one_se":
                drawn = [counts[:, units[lines]] for lines in by_cell]
                pairs = [*zip(drawn, by_cell, strict=True)]
                inside = np.stack([times @ losses[lines] for times, lines in pairs], axis=1)
                sizes_inside = np.stack([times @ weight[lines] for times, lines in pairs], axis=1)
                score = inside.sum(axis=1) / sizes_inside.sum(axis=1)[:, None]
                of_cells = _of_cells(inside, sizes_inside, metric)
                chosen = _chosen(select, sign * score, sign * of_cells, sizes_inside > 0, folds)
            else:
                chosen = (sign * (counts @ sums) / (counts @ sizes)[:, None]).argmin(axis=1)
            outside = (counts == 0).astype(np.float64)
            means = np.take_along_axis(outside @ sums, chosen[:, None], axis=1)[:, 0] / (outside @ sizes)
        found.append(means[np.isfinite(means)])
    return _corrected(np.concatenate(found), metric)


def bags_of_function(n: int, n_strengths: int, select: str) -> int:
    """How many bags BBC-CV draws for a metric that is not a mean over rows; 0 if it would take too long.

    Args:
        n: number of rows.
        n_strengths: number of strengths.
        select: the rule that chooses. "one_se" would also need a value in each cell of each bag.
    """
    values = FEWER_BAGS * n_strengths
    return FEWER_BAGS if select == "min" and values <= MOST_VALUES and values * n <= MOST_ROWS else 0


def function_bias_corrected(
    values: Values, units: np.ndarray, strengths: np.ndarray, seed: int, bags: int, metric: Metric
) -> Corrected | None:
    """`bootstrap_bias_corrected` for `select: min` and a metric that is not a mean over rows.

    The metric is computed inside and outside of every bag. Bags in which no strength has a value, or whose
    choice has none outside, are left out.
    """
    n_units, sign, lines = int(units.max()) + 1, -1 if metric.greater_is_better else 1, np.arange(len(units))
    usable, found = _usable(np.isfinite(values(lines)), strengths), []
    if not len(usable) or n_units < 2:
        return None
    for counts in _counts(n_units, bags, 1, np.random.default_rng(seed)):
        times = counts[0].astype(int)[units]
        score = sign * values(np.repeat(lines, times), usable)
        if not np.isnan(score).all() and not times.all():
            found += [*values(lines[times == 0], usable[[np.nanargmin(score)]])]
    found = np.array(found)[np.isfinite(found)]
    return _corrected(found, metric) if len(found) else None


def _corrected(means: np.ndarray, metric: Metric) -> Corrected:
    """Mean and quantiles of the bags' mean losses, or of their values; if the metric is a root, its roots."""
    found = np.array([means.mean(), *np.quantile(means, [0.025, 0.975])])
    return Corrected(*(np.sqrt(found) if metric.root else found).tolist())


def tibshirani_corrected(
    losses: np.ndarray,
    cells: np.ndarray,
    chosen: int,
    metric: Metric = RMSE,
    weight: np.ndarray | None = None,
) -> float:
    """The score of the best strength, corrected for having been chosen, by a comparison within each fold.

    Tibshirani and Tibshirani (2009, "A bias correction for the minimum error rate in cross-validation",
    Annals of Applied Statistics 3): with e_k(s) the error of fold k at strength s, the bias is the mean over
    folds of e_k(chosen) - min_s e_k(s), which is added to the error. The errors are mean losses; a root is
    taken at the end.

    Args:
        losses: (n, strengths); cells: (n,) int, from 0 without gaps, as in `path_scores`.
        chosen: the position of the chosen strength.
        metric, weight: as in `path_scores`.
    """
    by_cell = _sums(losses, cells, weight) / np.bincount(cells, weight)[:, None]
    found = np.average(losses[:, chosen], weights=weight) + _bias(by_cell, chosen, metric)
    return float(np.sqrt(found) if metric.root else found)


def function_tibshirani_corrected(
    values: Values, cells: np.ndarray, chosen: int, metric: Metric
) -> float | None:
    """`tibshirani_corrected` for a metric that is not a mean over rows; None if undefined in a fold."""
    score, by_cell = _on_all_and_in_cells(values, cells)
    found = score[chosen] + _bias(by_cell, chosen, metric)
    return finite_or_none(found)


def _bias(by_cell: np.ndarray, chosen: int, metric: Metric) -> float:
    """The mean over folds of the difference between the chosen strength and the fold's best one."""
    best = np.fmax if metric.greater_is_better else np.fmin
    return np.mean(by_cell[:, chosen] - best.reduce(by_cell, axis=1))


def _usable(has_score: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """The positions of the strengths that have a score, strongest first.

    The first of equal scores, and the first within a standard error, then belongs to the strongest penalty.
    """
    strongest_first = np.argsort(-strengths, kind="stable")
    return strongest_first[has_score[strongest_first]]


def _chosen(
    select: str, score: np.ndarray, by_cell: np.ndarray, present: np.ndarray, folds: int
) -> np.ndarray:
    """The position of the lowest score, or of the first strength within one standard error of it.

    Args:
        select: "min" or "one_se".
        score: (..., strengths), the lower the better; by_cell, present, folds: as in `_over_cells`.
    """
    best = score.argmin(axis=-1)
    if select == "min":
        return best
    mean, se = _over_cells(by_cell, present, folds)
    limit = mean + np.nan_to_num(se)
    within = mean <= np.take_along_axis(limit, best[..., None], axis=-1)
    return np.where(within.any(axis=-1), within.argmax(axis=-1), best)


def _of_cells(sums: np.ndarray, sizes: np.ndarray, metric: Metric) -> np.ndarray:
    """A metric's values in cells, (..., cells, strengths), from sums of losses; meaningless without rows."""
    means = sums / np.where(sizes > 0, sizes, 1)[..., None]
    return np.sqrt(means) if metric.root else means


def _over_cells(by_cell: np.ndarray, present: np.ndarray, folds: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard error of the cells' values, (..., strengths) each; cells without rows are left out.

    Args:
        by_cell: (..., cells, strengths); present: (..., cells), which cells have rows.
        folds: number of cells of one cross-validation.
    """
    present = present[..., None]
    n = present.sum(axis=-2)
    mean = (by_cell * present).sum(axis=-2) / n
    # Undefined (NaN) for the spread of a single cell and for infinite losses.
    with np.errstate(invalid="ignore", divide="ignore"):
        squares = np.square((by_cell - mean[..., None, :]) * present).sum(axis=-2)
        return mean, np.sqrt(squares / (n - 1) / folds)


def _counts(n: int, bags: int, rows: int, random: np.random.Generator) -> Iterator[np.ndarray]:
    """How often each of n units is in each bag, float64 (at most `rows` bags, n)."""
    for start in range(0, bags, rows):
        block = min(rows, bags - start)
        drawn = random.integers(n, size=(block, n)) + n * np.arange(block)[:, None]
        yield np.bincount(drawn.ravel(), minlength=block * n).reshape(block, n).astype(np.float64)


def _sums(losses: np.ndarray, labels: np.ndarray, weight: np.ndarray | float | None = None) -> np.ndarray:
    """(labels, strengths): the losses of each label summed, weighted where there are weights."""
    weight = 1.0 if weight is None else weight
    return np.stack([np.bincount(labels, weight * column) for column in losses.T], axis=1)
