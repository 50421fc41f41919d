"""Who tests what: rows assigned to folds as the scikit-learn splitter of the method's name does it."""

import re
from collections.abc import Iterable

import numpy as np

from regfold.data.columns import sorted_labels
from regfold.errors import RegfoldError, quote
from regfold.splits import split_file

GROUPED = ("group", "stratified_group")
INTEGER = re.compile(r"[+-]?[0-9]+")


def assign(
    split: dict,
    target: np.ndarray,
    task: str,
    rows: list[str],
    values: list[str] | None,
    missing: list[str],
    with_id: bool,
) -> tuple[np.ndarray, list[str]]:
    """Assign every row to the fold in which it is tested, as the scikit-learn splitter of that name does.

    Args:
        split: the resolved split section.
        target: (n,) class codes or (n, n_targets) numbers, in canonical order.
        task: "classification" or "regression".
        rows: the n rows' names, for messages and for method `file`.
        values: the n texts of split.column, where the method needs them.
        missing: texts that mean a missing cell.
        with_id: whether the names are ids (else numbers of rows), for messages.

    Returns:
        the assignment, int32 (repeats, n), folds from 1, 0 for a row not tested; and the folds' names.

    Raises:
        RegfoldError: if the rows cannot be split so.
    """
    method, n = split["method"], len(rows)
    what = "id" if with_id else "row"
    if method == "file":
        return split_file.read(split["file"], rows, what)
    if values is not None:
        values = _present(split["column"], values, rows, missing, what)
    if method == "column":
        names = sorted_labels(values)
        if len(names) < 2:
            raise RegfoldError(
                f"split.column: column {quote(split['column'])} has one value only, {quote(names[0])}; "
                f"expected one value for each fold"
            )
        code = {name: i + 1 for i, name in enumerate(names)}
        return np.array([[code[v] for v in values]], np.int32), names
    _check_counts(split, n, target, task, values)
    assignment = np.zeros((split["repeats"], n), np.int32)
    order = _time_order(split["column"], values) if method == "time" else np.arange(n)
    groups = values if method in GROUPED else None
    if groups is not None and (numbers := _numbers(groups)) is not None:
        groups = numbers
    for repeat in range(split["repeats"]):
        labels = target if task == "classification" else None
        tested_rows = _tested_rows(method, split["folds"], split["seed"] + repeat, order, labels, groups)
        for fold, tested in enumerate(tested_rows, start=1):
            assignment[repeat, order[tested]] = fold
    return assignment, [str(fold) for fold in range(1, split["folds"] + 1)]


def _tested_rows(method: str, folds: int, seed: int, rows, labels, groups) -> Iterable[np.ndarray]:
    """Positions of the rows that each fold tests."""
    if method == "kfold":  # two lines, and an import that takes longer than all else in this job
        shuffled = np.random.RandomState(seed).permutation(len(rows))
        return np.array_split(shuffled, folds)
    from sklearn import model_selection as sklearn

    if method == "time":
        splitter = sklearn.TimeSeriesSplit(folds)
    else:
        kind = {
            "stratified": sklearn.StratifiedKFold,
            "group": sklearn.GroupKFold,
            "stratified_group": sklearn.StratifiedGroupKFold,
        }[method]
        splitter = kind(folds, shuffle=True, random_state=seed)
    return (tested for _, tested in splitter.split(rows, labels, groups))


def _present(column: str, values: list[str], rows: list[str], missing: list[str], what: str) -> list[str]:
    values = [value.strip() for value in values]
    for row, value in zip(rows, values, strict=True):
        if value in missing:
            raise RegfoldError(
                f"split.column: column {quote(column)}, {what} {row}: the cell is missing; "
                f"every row needs a value to be split by"
            )
    return values


def _numbers(values: list[str]) -> np.ndarray | None:
    """The values as numbers, whole ones exactly (they may have 19 digits); None if one is no number."""
    try:
        if all(INTEGER.fullmatch(value) for value in values):
            return np.array([int(value) for value in values], np.int64)
        numbers = np.array([float(value) for value in values])
    except (ValueError, OverflowError):
        return None
    # Python reads 1_20 as 120; in a table it is a name.
    return numbers if np.isfinite(numbers).all() and not any("_" in value for value in values) else None


def _time_order(column: str, values: list[str]) -> np.ndarray:
    """Rows from the earliest to the latest; rows of one time keep their order."""
    numbers = _numbers(values)
    if numbers is not None:
        return np.argsort(numbers, kind="stable")
    try:
        if odd := next((value for value in values if not value[:1].isdigit()), None):
            raise ValueError(quote(odd))  # numpy reads "now" and "NaT"
        # Nanoseconds alone would reach from 1678 to 2262 only, and wrap round silently.
        nanoseconds, microseconds = (np.array(values, f"datetime64[{unit}]") for unit in ("ns", "us"))
        return np.lexsort((nanoseconds, microseconds))
    except ValueError as error:
        raise RegfoldError(
            f"split.column: column {quote(column)} is no time: {error}; "
            f"expected numbers or ISO dates such as 2024-05-31 or 2024-05-31T12:00"
        ) from None


def _check_counts(split: dict, n: int, target: np.ndarray, task: str, values: list[str] | None) -> None:
    """What scikit-learn would refuse, or only warn of, in the words of the config."""
    folds, method = split["folds"], split["method"]
    where = f"split.folds: {folds} folds"
    if folds > (n - 1 if method == "time" else n):
        raise RegfoldError(f"{where}, but the table has {n} rows; expected at most as many folds as rows")
    if method in ("stratified", "stratified_group"):
        if task != "classification":
            raise RegfoldError(
                f"split.method: {method} needs classes, but the task is regression; expected kfold or group"
            )
        counts = np.unique_counts(target).counts
        if counts.min() < folds:
            raise RegfoldError(
                f"{where}, but the smallest class has {counts.min()} rows; "
                f"method {method} needs at least as many rows of each class as folds"
            )
    if method in GROUPED and len(set(values)) < folds:
        raise RegfoldError(
            f"{where}, but column {quote(split['column'])} has {len(set(values))} groups; "
            f"expected at least one group for each fold"
        )
