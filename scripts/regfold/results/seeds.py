"""How much of the spread of scores is due to the split and to the seed, and what averaging seeds gains."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from regfold.results import metrics, paths
from regfold.results.predictions import Predictions


@dataclass(frozen=True)
class Components:
    """The variance components of the score of a single network in a fold.

    Attributes:
        split: the variance between folds, which differ in their training rows and their test rows.
        seed: the variance between networks of one fold.
        share: seed / (split + seed); NaN if nothing varies.
        low, high: the 95 % interval of the share.
    """

    split: float
    seed: float
    share: float
    low: float
    high: float


def components(scores: np.ndarray) -> Components:
    """The variance components of a one-way random effects model, y_ij = mean + split_i + seed_ij.

    By the mean squares of the analysis of variance, for k folds with n seeds each: MSW within folds, with
    k (n - 1) degrees of freedom, and MSB between them, with k - 1. Then seed = MSW and
    split = max(0, (MSB - MSW) / n); the interval of split / seed has the ends
    (MSB / MSW / F - 1) / n with the 97.5 % and the 2.5 % quantile of the F distribution, cut off at 0, and is
    exact for independent normal effects (Searle, Casella and McCulloch, "Variance Components", 1992,
    chapter 3). Folds share training rows, so their effects are not quite independent: an effect that all of
    them share does not appear in the spread.

    Args:
        scores: float64 (k, n), k and n at least 2.
    """
    k, n = scores.shape
    within = float(scores.var(axis=1, ddof=1).mean())
    between = n * float(scores.mean(axis=1).var(ddof=1))
    split = max(0.0, (between - within) / n)
    if not split + within:
        return Components(split, within, math.nan, math.nan, math.nan)
    quantiles = stats.f.ppf([0.025, 0.975], k - 1, k * (n - 1))
    # The share is 1 / (1 + split / seed), written so that a spread of 0 is never a divisor.
    ends = within / (within + np.maximum(0.0, between / quantiles - within) / n) if within else np.zeros(2)
    return Components(split, within, within / (split + within), *ends.tolist())


def of_cells(
    schema: dict, predictions: Mapping[str, Predictions], cells: Sequence[dict]
) -> dict[str, np.ndarray]:
    """model -> the RMSE of each cell's network of each seed, float64 (cells, seeds), NaN if not finite.

    For several targets it is the standardized RMSE; with a path, that of the chosen strength. Models with one
    seed are left out. Cells are in the order of scores.csv.

    Args:
        schema: the prepared table's schema.json.
        predictions: model -> its OOS predictions.
        cells: the cells' cell.json, in any order.
    """
    by_name = {(cell["model"], cell["repeat"], cell["fold"]): cell for cell in cells}
    several = schema["task"] == "regression" and len(schema["target"]) > 1
    found = {}
    for model, oos in predictions.items():
        own = [
            paths.at_chosen_strength(by_name[model, repeat, fold], oos.strength_of(repeat, fold))
            for repeat, fold, _ in oos.cells()
        ]
        if "of_seeds" not in own[0]:
            continue
        name = "rmse_of_targets" if several else "rmse"
        rmse = np.array([[seed[name] for seed in cell["of_seeds"]] for cell in own], np.float64)
        if several:
            rmse = np.sqrt(np.square(rmse / metrics.deviations(oos.truth)).mean(axis=2))
        found[model] = rmse
    return found


def summary(scores: np.ndarray, n_test: np.ndarray) -> dict:
    """The entry `seeds` of a model's part of summary.json.

    Args:
        scores: float64 (cells, seeds), RMSEs, see `of_cells`.
        n_test: (cells,), the number of rows that each cell tests, or the sum of their weights.

    Returns:
        n, the number of seeds; `each`, the pooled RMSE of the study with each seed alone, and `mean`, their
        mean, to compare the RMSE of the averaged predictions with; for the RMSE of a single network in a
        fold, the standard deviations `sd_split` and `sd_seed`, and `share`, the part of the variance that is
        due to the seed, with its 95 % interval `share_low`, `share_high`, see `components`. None if a score
        is not finite or, for the spread, if there is a single cell.
    """
    names = ("sd_split", "sd_seed", "share", "share_low", "share_high")
    found = {"n": scores.shape[1], "each": None, "mean": None} | dict.fromkeys(names)
    if not np.isfinite(scores).all():
        return found
    pooled = np.sqrt(np.average(np.square(scores), axis=0, weights=n_test))
    found |= {"each": pooled.tolist(), "mean": float(pooled.mean())}
    if len(scores) > 1:
        parts = components(scores)
        values = (math.sqrt(parts.split), math.sqrt(parts.seed), parts.share, parts.low, parts.high)
        found |= dict(zip(names, map(metrics.finite_or_none, values), strict=True))
    return found
