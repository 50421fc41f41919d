"""The validation rows of early stopping: taken from a fold's training rows in the way that the folds are."""

import numpy as np

from regfold.config.split_methods import GROUPED, STRATIFIED
from regfold.training.seeds import derive

# Two groups are tried in half as many random orders, 100 groups in a hundredth, and so on.
ORDERS = 1000


def arrange(
    training: dict, split: dict, codes: np.ndarray, classes: np.ndarray | None, key: tuple[int, int, int]
) -> tuple[np.ndarray, int]:
    """The order in which a model takes a fold's training rows: its validation rows last.

    Args:
        training: the model's resolved training section.
        split: the resolved split section.
        codes, classes: see `divide`.
        key: (seed, repeat, fold).

    Returns:
        positions of the rows, int64, and how many of them, the last ones, are validation rows.
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

    Validation rows stand for held-out rows, so they are chosen as these are: under `time` the latest ones,
    whole times, with split.gap before them; under `group` and `stratified_group` whole groups; under
    `stratified` and `stratified_group` with classes in proportion; else at random.

    Args:
        method, gap: of the config's split section.
        codes: int (n,), each row's group or time, as `Folds.codes_of` has them.
        classes: int (n,), each row's class; None in a regression.
        fraction: training.early_stopping.fraction.
        seed: decides what is chosen at random.

    Returns:
        the positions, int64 and ascending, of the optimizer's rows and of the validation rows. There is at
        least one of each, but where the rows cannot be divided (a single row, group or time, or too few times
        for the gap): then all are the optimizer's. Rows in the gap are in neither.
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
    """The latest times, as many as come closest to the fraction of rows, and what lies before their gap."""
    per_time = np.bincount(times)
    most = len(per_time) - gap - 1
    if most < 1:
        return np.arange(len(times)), np.arange(0)
    latest = np.cumsum(per_time[::-1])[:most]
    first = len(per_time) - 1 - int(np.argmin(np.abs(latest - fraction * len(times))))
    return np.flatnonzero(times < first - gap), np.flatnonzero(times >= first)


def _in_proportion(strata: np.ndarray, fraction: float, generator: np.random.Generator) -> np.ndarray:
    """Rows at random, bool (n,), of each stratum its share, as scikit-learn's StratifiedShuffleSplit.

    A stratum keeps one row at least for the optimizer. Where each has one row only, strata do not count.
    """
    counts, n = np.bincount(strata), len(strata)
    n_chosen = min(max(1, round(fraction * n)), n - 1)
    if counts.max() == 1 < n:
        return _in_proportion(np.zeros(n, np.int64), fraction, generator)
    share = n_chosen * counts / n
    most = np.maximum(counts - 1, 0)
    sizes = np.minimum(np.floor(share).astype(np.int64), most)
    # The rows that are left go to the largest remainders, equal ones in random order.
    for stratum in np.lexsort((generator.random(len(counts)), sizes - share)):
        sizes[stratum] += sizes.sum() < n_chosen and sizes[stratum] < most[stratum]
    chosen = np.zeros(n, bool)
    order = generator.permutation(n)
    for stratum in np.flatnonzero(sizes):
        chosen[order[strata[order] == stratum][: sizes[stratum]]] = True
    return chosen


def _whole_groups(counts: np.ndarray, fraction: float, generator: np.random.Generator) -> np.ndarray:
    """Groups at random, bool (n_groups,), that together have about the fraction of each class.

    In a random order, each group is taken that brings the classes' counts closer to the fraction; of several
    such orders the closest counts. With one class that is off by half a group at most.

    Args:
        counts: (n_groups, n_classes), how many rows of each class each group has.
    """
    counts = counts[:, counts.any(axis=0)]
    total, n_groups = counts.sum(axis=0), len(counts)
    best, least = np.zeros(n_groups, bool), np.inf

    def distance(taken: np.ndarray) -> np.ndarray:
        """From the fraction; a class that leaves the optimizer no row counts more than all else."""
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
