"""Folds inside a fold's training rows, of the same kind as the folds of the study."""

import numpy as np

from regfold.config.split_methods import GROUPED, STRATIFIED
from regfold.splits import splitters
from regfold.splits.folds import Folds

MOST_FOLDS = 5


def folds(
    split: dict, codes: np.ndarray, classes: np.ndarray | None, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Divide training rows as split.method divides the table: by whole groups, forward in time, and so on.

    Args:
        split: the resolved split section. For the methods `column` and `file`, which have no rule, rows are
            divided as by `kfold`.
        codes: int (n,), each row's group or time, as `Folds.codes_of` returns them.
        classes: int (n,), each row's class; None in a regression.
        seed: of the random choices.

    Returns:
        the positions of the training rows and of the test rows of each inner fold: 5 folds, fewer if there
        are too few rows, groups or times, none if they cannot be divided at all.
    """
    method = split["method"] if split["method"] in (*GROUPED, *STRATIFIED, "time") else "kfold"
    number = next(
        (k for k in range(MOST_FOLDS, 1, -1) if _possible(k, method, split["gap"], codes, classes)), 0
    )
    if not number:
        return []
    assignment = np.zeros((1, len(codes)), np.int32)
    kind = {"method": method, "folds": number, "gap": split["gap"]}
    for fold, tested in enumerate(splitters.tested_rows(kind, seed, len(codes), classes, codes), start=1):
        assignment[0, tested] = fold
    inner = Folds(assignment, codes, method, split["gap"])
    return [
        (np.flatnonzero(inner.training(*key)), np.flatnonzero(inner.held_out(*key))) for key in inner.cells()
    ]


def _possible(number: int, method: str, gap: int, codes: np.ndarray, classes: np.ndarray | None) -> bool:
    """Whether rows can be divided into this number of folds."""
    n_codes = int(codes.max()) + 1
    if method == "time":
        return splitters.times_before_first(n_codes, number) > gap if n_codes > number else False
    if method in GROUPED and n_codes < number:
        return False
    if method in STRATIFIED and np.bincount(classes).max() < number:
        return False
    return len(codes) >= number
