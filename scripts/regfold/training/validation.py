"""The validation rows of early stopping, chosen from a fold's training rows as split.method chooses folds."""

import numpy as np

from regfold.config.split_methods import GROUPED, STRATIFIED
from regfold.training.seeds import derive

# Random orders of groups that are tried, divided by the number of groups.
ORDERS = 1000


def arrange(
    training: dict, split: dict, codes: np.ndarray, classes: np.ndarray | None, key: tuple[int, int, int]
) -> tuple[np.ndarray, int]:
    """The order of a fold's training rows for a model: its validation rows last.

    Args:
        training: the model's resolved training section.
        split: the resolved split section.
        codes, classes: see `divide`.
        key: (seed, repeat, fold).

    Returns:
        positions of the rows, int64, and the number of validation rows, which are the last ones.
    """
    if not training["early_stopping"]:
        return np.arange(len(codes)), 0
    fraction, seed = training["early_stopping"]["fraction"], derive(*key, "validation")
    optimized, validation = divide(split["method"], split["gap"], codes, classes, fraction, seed)
    return np.concatenate([optimized, validation]), len(validation)


def divide(
    method: str, gap: int, codes: np.ndarray, classes: np.ndarray | None, fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Divide training rows into those that the optimizer sees and those that decide when it stops.

    Validation rows represent held-out rows, so they are chosen in the same way: under `time` the rows of the
    latest times, with split.gap before them; under `group` and `stratified_group` whole groups; under
    `stratified` and `stratified_group` with classes in proportion; otherwise at random.

    Args:
        method, gap: of the config's split section.
        codes: int (n,), each row's group or time, from `Folds.codes_of`.
        classes: int (n,), each row's class; None in a regression.
        fraction: training.early_stopping.fraction.
        seed: of the random choice.

    Returns:
        the positions, int64 and ascending, of the optimizer's rows and of the validation rows. Rows in the
        gap are in neither. There is at least one of each, except where the rows cannot be divided (a single
        row, group or time, or too few times for the gap): then there are no validation rows.
    """
    if method == "time":
        return _latest_times(codes, gap, fraction)
    generator = np.random.default_rng(seed)
    strata = classes if method in STRATIFIED else np.zeros(len(codes), np.int64)
    if method in GROUPED:
        counts = np.zeros((codes.max() + 1, strata.max() + 1))
        np.add.at(counts, (codes, strata), 1)
        chosen = _whole_groups(counts, fraction, generator)[codes]
    else:
        chosen = _in_proportion(strata, fraction, generator)
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def _latest_times(times: np.ndarray, gap: int, fraction: float) -> tuple[np.ndarray, np.ndarray]:
    """See `divide`: the latest times, as many as come closest to the fraction of rows, are for validation."""
    per_time = np.bincount(times)
    most = len(per_time) - gap - 1
    if most < 1:
        return np.arange(len(times)), np.arange(0)
    latest = np.cumsum(per_time[::-1])[:most]
    first = len(per_time) - 1 - int(np.argmin(np.abs(latest - fraction * len(times))))
    return np.flatnonzero(times < first - gap), np.flatnonzero(times >= first)


def _in_proportion(strata: np.ndarray, fraction: float, generator: np.random.Generator) -> np.ndarray:
    """Random rows, bool (n,), of each stratum in proportion, as scikit-learn's StratifiedShuffleSplit.

    At least one row of each stratum is left for the optimizer. If each has a single row, strata are ignored.
    """
    counts, n = np.bincount(strata), len(strata)
    n_chosen = min(max(1, round(fraction * n)), n - 1)
    if counts.max() == 1 < n:
        return _in_proportion(np.zeros(n, np.int64), fraction, generator)
    share = n_chosen * counts / n
    most = np.maximum(counts - 1, 0)
    sizes = np.minimum(np.floor(share).astype(np.int64), most)
    # The remaining rows go to the strata with the largest remainders, ties in random order.
    for stratum in np.lexsort((generator.random(len(counts)), sizes - share)):
        sizes[stratum] += sizes.sum() < n_chosen and sizes[stratum] < most[stratum]
    chosen = np.zeros(n, bool)
    order = generator.permutation(n)
    for stratum in np.flatnonzero(sizes):
        chosen[order[strata[order] == stratum][: sizes[stratum]]] = True
    return chosen


def _whole_groups(counts: np.ndarray, fraction: float, generator: np.random.Generator) -> np.ndarray:
    """Random groups, bool (n_groups,), that together have about the fraction of the rows of each class.

    In a random order, each group is taken that brings the classes' counts closer to the fraction. Several
    orders are tried, and the closest counts win. With one class they are off by half a group at most.

    Args:
        counts: (n_groups, n_classes), the number of rows of each class in each group.
    """
    counts = counts[:, counts.any(axis=0)]
    total, n_groups = counts.sum(axis=0), len(counts)
    best, least = np.zeros(n_groups, bool), np.inf

    def distance(taken: np.ndarray) -> np.ndarray:
        """The distance from the fraction; a class of which no row is left outweighs everything else."""
        shares = ((taken / total - fraction) ** 2).sum(axis=-1)
        return shares + len(total) * (taken == total).sum(axis=-1)

    for _ in range(1 + ORDERS // n_groups if n_groups > 1 else 0):
        order = generator.permutation(n_groups)
        chosen, taken = np.zeros(n_groups, bool), np.zeros(len(total))
        for group in order:
            if distance(taken + counts[group]) < distance(taken):
                chosen[group] = True
                taken += counts[group]
        if not chosen.any():
            group = order[np.argmin(distance(counts[order]))]
            chosen[group], taken = True, counts[group]
        if distance(taken) < least:
            best, least = chosen, distance(taken)
    return best
