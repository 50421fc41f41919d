"""Choice of a strength on a path, and what the choice does to the score that one then reports.

All of it is computed from one matrix of squared errors, rows x strengths; no network is trained again. The
lowest of many scores is optimistic: it was chosen for being low. Two corrections are given: BBC-CV, which
repeats the choice on bootstrap samples, and that of Tibshirani and Tibshirani, which looks at the folds.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

BAGS = 1_000
BLOCK = 1 << 22  # numbers held at a time


@dataclass(frozen=True)
class Corrected:
    """An RMSE corrected for the choice, and the bounds of its 95 % percentile interval."""

    rmse: float
    low: float
    high: float


def path_scores(
    losses: np.ndarray, cells: np.ndarray, strengths: np.ndarray, folds: int
) -> dict[str, np.ndarray]:
    """The score of every strength, the best, and the choice of the one-standard-error rule.

    The one-standard-error rule (Breiman, Friedman, Olshen and Stone, 1984; `lambda.1se` of R's cv.glmnet)
    takes the strongest penalty whose mean score is within one standard error of the best one's. Of equal
    scores the strongest penalty is the best. The standard error is that of one cross-validation, whatever the
    number of repeats, which test the same rows again.

    Args:
        losses: (n, strengths) squared errors, each the mean over a row's outputs. A strength with a loss that
            is not finite has no score and is never chosen.
        cells: (n,) int, from 0 without gaps: the cell (repeat and fold) of each row.
        strengths: (strengths,) in any order.
        folds: cells of one cross-validation.

    Returns:
        arrays (strengths,): rmse (over all rows), rmse_fold_mean, rmse_fold_se, is_min, is_one_se.
    """
    mean, se = _over_cells(_sums(losses, cells), np.bincount(cells), folds)
    is_min, is_one_se = np.zeros((2, len(strengths)), bool)
    usable = _usable(losses, strengths)
    if len(usable):
        sums, sizes = _sums(losses[:, usable], cells), np.bincount(cells)
        is_min[usable[_minimum(sums, sizes)]] = True
        is_one_se[usable[_one_standard_error(sums, sizes, folds)]] = True
    scores = {"rmse": np.sqrt(losses.mean(axis=0)), "rmse_fold_mean": mean, "rmse_fold_se": se}
    return scores | {"is_min": is_min, "is_one_se": is_one_se}


def bootstrap_bias_corrected(
    losses: np.ndarray,
    units: np.ndarray,
    cells: np.ndarray,
    strengths: np.ndarray,
    folds: int,
    select: str,
    seed: int,
    bags: int = BAGS,
) -> Corrected | None:
    """The RMSE of the chosen strength, corrected for having been chosen: BBC-CV.

    Tsamardinos, Greasidou and Borboudakis (2018, "Bootstrapping the out-of-sample predictions for efficient
    and accurate cross-validation", Machine Learning 107): draw units with replacement, choose a strength on
    those in the bag, score it on those outside; the mean of these scores is the corrected score, their
    quantiles its interval. The mean is that of the squared errors, the root is taken at the end.

    Args:
        losses, cells, strengths, folds: as in `path_scores`; strengths with a loss that is not finite take no
            part.
        units: (n,) int, from 0 without gaps: what is independent, a group or a row. (A row that was
            tested in several repeats is one unit.)
        select: the rule that chooses, "min" or "one_se".
        seed: of the bags.
        bags: number of bootstrap samples.

    Returns:
        None where there is nothing to choose from, or a single unit.
    """
    usable = _usable(losses, strengths)
    sizes = np.bincount(units)
    if not len(usable) or len(sizes) < 2:
        return None
    losses = losses[:, usable]
    sums, by_cell = _sums(losses, units), [np.flatnonzero(cells == cell) for cell in range(cells.max() + 1)]
    rows = max(1, BLOCK // max(len(sizes), len(by_cell) * len(usable) * (select == "one_se")))
    mse = []
    for counts in _counts(len(sizes), bags, rows, np.random.default_rng(seed)):
        if select == "one_se":
            drawn = [counts[:, units[lines]] for lines in by_cell]
            inside = np.stack([d @ losses[lines] for d, lines in zip(drawn, by_cell, strict=True)], axis=1)
            chosen = _one_standard_error(inside, np.stack([d.sum(axis=1) for d in drawn], axis=1), folds)
        else:
            chosen = ((counts @ sums) / (counts @ sizes)[:, None]).argmin(axis=1)
        outside = (counts == 0).astype(np.float64)
        with np.errstate(invalid="ignore"):  # a bag may hold every one of very few units
            means = np.take_along_axis(outside @ sums, chosen[:, None], axis=1)[:, 0] / (outside @ sizes)
        mse.append(means[np.isfinite(means)])
    mse = np.concatenate(mse)
    low, high = np.sqrt(np.quantile(mse, [0.025, 0.975]))
    return Corrected(float(np.sqrt(mse.mean())), float(low), float(high))


def tibshirani_corrected(losses: np.ndarray, cells: np.ndarray, chosen: int) -> float:
    """The RMSE of the best strength, corrected for having been chosen, from the folds alone.

    Tibshirani and Tibshirani (2009, "A bias correction for the minimum error rate in cross-validation",
    Annals of Applied Statistics 3): with e_k(s) the error of fold k at strength s, the bias is the mean over
    folds of e_k(chosen) - min_s e_k(s), to be added to the error. The errors are mean squared ones; the root
    is taken at the end.

    Args:
        losses: (n, strengths); cells: (n,) int, from 0 without gaps, as in `path_scores`.
        chosen: the place of the chosen strength.
    """
    by_cell = _sums(losses, cells) / np.bincount(cells)[:, None]
    bias = np.mean(by_cell[:, chosen] - np.nanmin(by_cell, axis=1))
    return float(np.sqrt(losses[:, chosen].mean() + bias))


def _usable(losses: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """The places of the strengths whose losses are finite, strongest first.

    So the first of equal scores is that of the strongest penalty, as is the first within a standard error.
    """
    strongest_first = np.argsort(-strengths, kind="stable")
    return strongest_first[np.isfinite(losses).all(axis=0)[strongest_first]]


def _minimum(sums: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The place of the lowest score, from (..., cells, strengths) sums of losses of (..., cells) rows."""
    return (sums.sum(axis=-2) / sizes.sum(axis=-1)[..., None]).argmin(axis=-1)


def _one_standard_error(sums: np.ndarray, sizes: np.ndarray, folds: int) -> np.ndarray:
    """The place of the first strength within one standard error of the lowest score, as `_minimum`."""
    mean, se = _over_cells(sums, sizes, folds)
    limit = mean + np.nan_to_num(se)
    best = _minimum(sums, sizes)
    return (mean <= np.take_along_axis(limit, best[..., None], axis=-1)).argmax(axis=-1)


def _over_cells(sums: np.ndarray, sizes: np.ndarray, folds: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard error of the cells' RMSEs, (..., strengths) each; cells without rows are left out.

    Args:
        sums: (..., cells, strengths) of losses; sizes: (..., cells) rows.
        folds: cells of one cross-validation.
    """
    present = (sizes > 0)[..., None]
    rmse = np.sqrt(sums / np.maximum(sizes, 1)[..., None])
    n = present.sum(axis=-2)
    mean = rmse.sum(axis=-2) / n
    with np.errstate(invalid="ignore", divide="ignore"):  # one cell has no spread, infinite losses no mean
        squares = np.square((rmse - mean[..., None, :]) * present).sum(axis=-2)
        return mean, np.sqrt(squares / (n - 1) / folds)


def _counts(n: int, bags: int, rows: int, random: np.random.Generator) -> Iterator[np.ndarray]:
    """How often each of n units is in each bag, float64 (at most `rows` bags, n)."""
    for start in range(0, bags, rows):
        block = min(rows, bags - start)
        drawn = random.integers(n, size=(block, n)) + n * np.arange(block)[:, None]
        yield np.bincount(drawn.ravel(), minlength=block * n).reshape(block, n).astype(np.float64)


def _sums(losses: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(labels, strengths): the losses of each label summed."""
    return np.stack([np.bincount(labels, column) for column in losses.T], axis=1)
