"""The rows that each fold tests, by scikit-learn's splitters; methods `column` and `file` need none."""

from collections.abc import Iterable

import numpy as np

from regfold.config.split_methods import GROUPED


def tested_rows(split: dict, seed: int, n: int, labels, codes: np.ndarray) -> Iterable[np.ndarray]:
    """The rows that each fold tests, as positions or bool (n,).

    Args:
        split: `method`, `folds` and, for time, `gap` of the split section.
        seed: of the shuffle.
        n: the number of rows.
        labels: (n,) class codes, for stratified methods; otherwise None.
        codes: int (n,), each row's group or the rank of its time.
    """
    method, folds = split["method"], split["folds"]
    if method == "kfold":  # as KFold does it, without an import that would take most of this job's time
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
    """How many distinct times precede those that scikit-learn's TimeSeriesSplit tests first."""
    return n_times - folds * (n_times // (folds + 1))
