"""The rows that each fold tests under the methods that have a rule: scikit-learn's splitters."""

from collections.abc import Iterable

import numpy as np

from regfold.config.split_methods import GROUPED


def tested_rows(split: dict, seed: int, n: int, labels, codes: np.ndarray) -> Iterable[np.ndarray]:
    """The rows that each fold tests, as positions or bool (n,)."""
    method, folds = split["method"], split["folds"]
    if method == "kfold":  # two lines, and an import that takes longer than all else in this job
        return np.array_split(np.random.RandomState(seed).permutation(n), folds)
    from sklearn import model_selection as sklearn

    if method == "time":
        times = np.arange(codes.max() + 1)
        splitter = sklearn.TimeSeriesSplit(folds, gap=split["gap"])
        return (np.isin(codes, tested) for _, tested in splitter.split(times))
    kind = {
        "stratified": sklearn.StratifiedKFold,
        "group": sklearn.GroupKFold,
        "stratified_group": sklearn.StratifiedGroupKFold,
    }[method]
    splitter = kind(folds, shuffle=True, random_state=seed)
    groups = codes if method in GROUPED else None
    return (tested for _, tested in splitter.split(np.zeros(n), labels, groups))


def times_before_first(n_times: int, folds: int) -> int:
    """How many different times come before those that scikit-learn's TimeSeriesSplit tests first."""
    return n_times - folds * (n_times // (folds + 1))
