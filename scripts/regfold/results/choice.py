"""Choice of a strength on a path, and what the choice does to the score that one then reports.

All of it is computed from one matrix of losses, rows x strengths, or, for a metric that is no mean over
rows, from its values on sets of rows; no network is trained again. The best of many scores is optimistic: it
was chosen for being so. Two corrections are given: BBC-CV, which repeats the choice on bootstrap samples, and
that of Tibshirani and Tibshirani, which looks at the folds.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from regfold.results.metrics import RMSE, Metric

BAGS = 1_000
# Of a metric that is no mean over rows: fewer bags, and at most so many values over so many rows in all.
FEWER_BAGS, MOST_VALUES, MOST_ROWS = 200, 5_000, 20_000_000
BLOCK = 1 << 22  # numbers held at a time


@dataclass(frozen=True)
class Corrected:
    """A score corrected for the choice, and the bounds of its 95 % percentile interval."""

    score: float
    low: float
    high: float


# Takes positions of rows, and places of strengths (all, where these are left out); returns a metric's value
# of each of these strengths on the rows, NaN where it is undefined.
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
    takes the strongest penalty whose mean score is within one standard error of the best one's. Of equal
    scores the strongest penalty is the best. The standard error is that of one cross-validation, whatever the
    number of repeats, which test the same rows again.

    Args:
        losses: (n, strengths) what the metric is the mean of, see `metrics.row_losses`. A strength with a
            loss that is not finite has no score and is never chosen.
        cells: (n,) int, from 0 without gaps: the cell (repeat and fold) of each row.
        strengths: (strengths,) in any order.
        folds: cells of one cross-validation.
        metric: the metric, here one that is a mean over rows.
        weight: (n,) float64, each row's in the means; None: all the same.

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
    """`path_scores` of a metric that is no mean over rows.

    Where it is undefined in a fold, the fold means are too, and the one-standard-error rule takes the best.
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
    """What `path_scores` returns, from a score, what it rises with, and the cells' values."""
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
    quantiles its interval. The mean is that of the losses; a root is taken at the end.

    Args:
        losses, cells, strengths, folds, metric, weight: as in `path_scores`; strengths with a loss that is
            not finite take no part.
        units: (n,) int, from 0 without gaps: what is independent, a group or a row. (A row that was
            tested in several repeats is one unit.)
        select: the rule that chooses, "min" or "one_se".
        seed: of the bags.
        bags: number of bootstrap samples.

    Returns:
        None where there is nothing to choose from, or a single unit.
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
        # A bag may hold every one of very few units, or no unit that weighs anything.
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
    """How many bags BBC-CV draws for a metric that is no mean over rows; 0 where that would take too long.

    Args:
        n: rows.
        n_strengths: strengths.
        select: the rule that chooses. That of one standard error would take a value in each cell, too.
    """
    values = FEWER_BAGS * n_strengths
    return FEWER_BAGS if select == "min" and values <= MOST_VALUES and values * n <= MOST_ROWS else 0


def function_bias_corrected(
    values: Values, units: np.ndarray, strengths: np.ndarray, seed: int, bags: int, metric: Metric
) -> Corrected | None:
    """`bootstrap_bias_corrected` for the best score of a metric that is no mean over rows.

    It is computed in and outside of every bag. A bag in which no strength has a value, or whose choice has
    none outside, does not count.
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
    """The mean and the quantiles of the bags' mean losses, or values, and a root at the end."""
    found = np.array([means.mean(), *np.quantile(means, [0.025, 0.975])])
    return Corrected(*(np.sqrt(found) if metric.root else found).tolist())


def tibshirani_corrected(
    losses: np.ndarray,
    cells: np.ndarray,
    chosen: int,
    metric: Metric = RMSE,
    weight: np.ndarray | None = None,
) -> float:
    """The score of the best strength, corrected for having been chosen, from the folds alone.

    Tibshirani and Tibshirani (2009, "A bias correction for the minimum error rate in cross-validation",
    Annals of Applied Statistics 3): with e_k(s) the error of fold k at strength s, the bias is the mean over
    folds of e_k(chosen) - min_s e_k(s), to be added to the error. The errors are mean losses; a root is taken
    at the end.

    Args:
        losses: (n, strengths); cells: (n,) int, from 0 without gaps, as in `path_scores`.
        chosen: the place of the chosen strength.
        metric, weight: as in `path_scores`.
    """
    by_cell = _sums(losses, cells, weight) / np.bincount(cells, weight)[:, None]
    found = np.average(losses[:, chosen], weights=weight) + _bias(by_cell, chosen, metric)
    return float(np.sqrt(found) if metric.root else found)


def function_tibshirani_corrected(
    values: Values, cells: np.ndarray, chosen: int, metric: Metric
) -> float | None:
    """`tibshirani_corrected` of a metric that is no mean over rows; None where it is undefined in a fold."""
    score, by_cell = _on_all_and_in_cells(values, cells)
    found = score[chosen] + _bias(by_cell, chosen, metric)
    return float(found) if np.isfinite(found) else None


def _bias(by_cell: np.ndarray, chosen: int, metric: Metric) -> float:
    """The mean over folds of how much better than the chosen strength the best one is there."""
    best = np.fmax if metric.greater_is_better else np.fmin
    return np.mean(by_cell[:, chosen] - best.reduce(by_cell, axis=1))


def _usable(has_score: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """The places of the strengths that have a score, strongest first.

    So the first of equal scores is that of the strongest penalty, as is the first within a standard error.
    """
    strongest_first = np.argsort(-strengths, kind="stable")
    return strongest_first[has_score[strongest_first]]


def _chosen(
    select: str, score: np.ndarray, by_cell: np.ndarray, present: np.ndarray, folds: int
) -> np.ndarray:
    """The place of the lowest score, or of the first strength within one standard error of it.

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
    """A metric's values in cells, (..., cells, strengths), from sums of losses; of no use where no row is."""
    means = sums / np.where(sizes > 0, sizes, 1)[..., None]
    return np.sqrt(means) if metric.root else means


def _over_cells(by_cell: np.ndarray, present: np.ndarray, folds: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard error of the cells' values, (..., strengths) each; cells without rows are left out.

    Args:
        by_cell: (..., cells, strengths); present: (..., cells), which cells have rows.
        folds: cells of one cross-validation.
    """
    present = present[..., None]
    n = present.sum(axis=-2)
    mean = (by_cell * present).sum(axis=-2) / n
    with np.errstate(invalid="ignore", divide="ignore"):  # one cell has no spread, infinite losses no mean
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
