"""Choice of a strength on a path, and what the choice does to the score that one then reports.

All of it is computed from one matrix of squared errors, rows x strengths; no network is trained again. The
lowest of many scores is optimistic: it was chosen for being low. Two corrections are given: BBC-CV, which
repeats the choice on bootstrap samples, and that of Tibshirani and Tibshirani, which looks at the folds.
"""

from dataclasses import dataclass

import numpy as np

BAGS = 1_000
BLOCK = 1 << 22  # counts held at a time


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
    rmse = np.sqrt(losses.mean(axis=0))
    by_cell = np.sqrt(_sums(losses, cells) / np.bincount(cells)[:, None])
    mean = by_cell.mean(axis=0)
    se = np.full(len(rmse), np.nan)
    finite = np.isfinite(rmse)
    if len(by_cell) > 1:
        se[finite] = by_cell[:, finite].std(axis=0, ddof=1) / np.sqrt(folds)
    is_min, is_one_se = np.zeros((2, len(rmse)), bool)
    if finite.any():
        best = best_strength(rmse, strengths)
        within = finite & (mean <= mean[best] + np.nan_to_num(se[best]))
        is_min[best] = True
        is_one_se[np.flatnonzero(within)[strengths[within].argmax()]] = True
    scores = {"rmse": rmse, "rmse_fold_mean": mean, "rmse_fold_se": se}
    return scores | {"is_min": is_min, "is_one_se": is_one_se}


def best_strength(scores: np.ndarray, strengths: np.ndarray) -> int:
    """The place of the lowest finite score; of several, that of the strongest penalty."""
    strongest_first = np.argsort(-strengths, kind="stable")
    return int(strongest_first[np.nanargmin(np.where(np.isfinite(scores), scores, np.nan)[strongest_first])])


def bootstrap_bias_corrected(
    losses: np.ndarray, units: np.ndarray, strengths: np.ndarray, seed: int, bags: int = BAGS
) -> Corrected | None:
    """The RMSE of the best strength, corrected for having been chosen: BBC-CV.

    Tsamardinos, Greasidou and Borboudakis (2018, "Bootstrapping the out-of-sample predictions for efficient
    and accurate cross-validation", Machine Learning 107): draw units with replacement, choose the best
    strength on those in the bag, score it on those outside; the mean of these scores is the corrected score,
    their quantiles its interval. The mean is that of the squared errors, the root is taken at the end.

    Args:
        losses: (n, strengths) squared errors, each the mean over a row's outputs; strengths with one that is
            not finite take no part.
        units: (n,) int, from 0 without gaps: what is independent, a group or a row. (A row that was
            tested in several repeats is one unit.)
        strengths: (strengths,) in any order.
        seed: of the bags.
        bags: number of bootstrap samples.

    Returns:
        None where there is nothing to choose from, or a single unit.
    """
    part = np.flatnonzero(np.isfinite(losses).all(axis=0))
    part = part[np.argsort(-strengths[part], kind="stable")]  # argmin takes the strongest of equal ones
    sizes = np.bincount(units).astype(np.float64)
    if not len(part) or len(sizes) < 2:
        return None
    sums = _sums(losses[:, part], units)
    random = np.random.default_rng(seed)
    blocks = _counts(len(sizes), bags, random)
    mse = np.concatenate([_scores_outside(counts, sums, sizes) for counts in blocks])
    mse = mse[np.isfinite(mse)]  # a bag may hold every one of very few units
    low, high = np.sqrt(np.quantile(mse, [0.025, 0.975]))
    return Corrected(float(np.sqrt(mse.mean())), float(low), float(high))


def _counts(n: int, bags: int, random: np.random.Generator):
    """How often each of n units is in each bag, in blocks (bags of the block, n) that bound the memory."""
    rows = max(1, BLOCK // n)
    for start in range(0, bags, rows):
        block = min(rows, bags - start)
        drawn = random.integers(n, size=(block, n)) + n * np.arange(block)[:, None]
        yield np.bincount(drawn.ravel(), minlength=block * n).reshape(block, n).astype(np.float64)


def _scores_outside(counts: np.ndarray, sums: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Mean loss outside each bag of the strength that is best inside it; NaN where nothing is outside."""
    inside = counts @ sums / (counts @ sizes)[:, None]
    outside = (counts == 0).astype(np.float64)
    chosen = inside.argmin(axis=1)[:, None]
    with np.errstate(invalid="ignore"):
        return np.take_along_axis(outside @ sums, chosen, axis=1)[:, 0] / (outside @ sizes)


def tibshirani_corrected(losses: np.ndarray, cells: np.ndarray, chosen: int) -> float:
    """The RMSE of the chosen strength, corrected for having been chosen, from the folds alone.

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


def _sums(losses: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(labels, strengths): the losses of each label summed."""
    return np.stack([np.bincount(labels, column) for column in losses.T], axis=1)
