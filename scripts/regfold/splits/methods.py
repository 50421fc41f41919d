"""Which fold tests each row: rows are assigned as by the scikit-learn splitter of the method's name."""

import math
import re

import numpy as np

from regfold.config.split_methods import GROUPED, STRATIFIED
from regfold.data.columns import sorted_labels
from regfold.errors import RegfoldError, quote
from regfold.splits import split_file
from regfold.splits.splitters import tested_rows, times_before_first

INTEGER = re.compile(r"[+-]?[0-9]+")


def assign(
    split: dict,
    target: np.ndarray,
    task: str,
    rows: list[str],
    values: list[str] | None,
    missing: list[str],
    with_id: bool,
) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Assign every row to the fold in which it is tested.

    Args:
        split: the resolved split section.
        target: (n,) class codes or (n, n_targets) numbers, in canonical order.
        task: "classification" or "regression".
        rows: the n rows' names, for messages and for method `file`.
        values: the n texts of split.column, where the method needs them.
        missing: texts that mean a missing cell.
        with_id: whether the names are ids (else numbers of rows), for messages.

    Returns:
        the assignment, int32 (repeats, n), folds from 1, 0 for a row not tested; the folds' names; and the
        codes of groups or times, int32 (n,), see Folds.

    Raises:
        RegfoldError: if the rows cannot be split this way.
    """
    method, n = split["method"], len(rows)
    what = "id" if with_id else "row"
    codes = np.zeros(n, np.int32)
    if method == "file":
        return *split_file.read(split["file"], rows, what), codes
    if values is not None:
        values = _present(split["column"], values, rows, missing, what)
    if method == "column":
        names = sorted_labels(values)
        if len(names) < 2:
            raise RegfoldError(
                f"split.column: column {quote(split['column'])} has one value only, {quote(names[0])}; "
                f"expected one value for each fold"
            )
        fold_of = {name: i + 1 for i, name in enumerate(names)}
        return np.array([[fold_of[v] for v in values]], np.int32), names, codes
    if method == "time":
        codes = _time_codes(split["column"], values)
    elif method in GROUPED:
        codes = _codes(values)
    _check_counts(split, n, target, task, codes)
    assignment = np.zeros((split["repeats"], n), np.int32)
    labels = target if task == "classification" else None
    for repeat in range(split["repeats"]):
        for fold, tested in enumerate(tested_rows(split, split["seed"] + repeat, n, labels, codes), start=1):
            assignment[repeat, tested] = fold
    return assignment, [str(fold) for fold in range(1, split["folds"] + 1)], codes


def _present(column: str, values: list[str], rows: list[str], missing: list[str], what: str) -> list[str]:
    """The trimmed values; refuses a missing one. An empty cell is always missing, even if not listed."""
    values = [value.strip() for value in values]
    for row, value in zip(rows, values, strict=True):
        if not value or value in missing:
            raise RegfoldError(
                f"split.column: column {quote(column)}, {what} {row}: the cell is missing; "
                f"every row needs a value to be split by"
            )
    return values


def _numbers(values: list[str]) -> list[int | float] | None:
    """The values as numbers, whole ones as exact integers of any length; None if one is not a number."""
    try:
        numbers = [int(value) if INTEGER.fullmatch(value) else float(value) for value in values]
    except ValueError:
        return None
    # Python parses 1_20 as 120; in a table it is a name.
    if any("_" in value for value in values):
        return None
    return numbers if all(isinstance(n, int) or math.isfinite(n) for n in numbers) else None


def _codes(values: list[str]) -> np.ndarray:
    """Each value's rank among the distinct ones, int32 (n,): of numbers if all are, else of texts."""
    values = _numbers(values) or values
    rank = {value: i for i, value in enumerate(sorted(set(values)))}
    return np.array([rank[value] for value in values], np.int32)


def _time_codes(column: str, values: list[str]) -> np.ndarray:
    """Each time's rank among the distinct ones, int32 (n,), the earliest first."""
    if _numbers(values) is not None:
        return _codes(values)
    try:
        if odd := next((value for value in values if not value[:1].isdigit()), None):
            raise ValueError(quote(odd))  # NumPy accepts "now" and "NaT"
        # Nanoseconds alone span the years 1678 to 2262 only, and overflow silently.
        moments = [np.array(values, f"datetime64[{unit}]").astype(np.int64) for unit in ("us", "ns")]
    except ValueError as error:
        raise RegfoldError(
            f"split.column: column {quote(column)} is not a time: {error}; "
            f"expected numbers or ISO dates such as 2024-05-31 or 2024-05-31T12:00"
        ) from None
    return np.unique(np.stack(moments, axis=1), axis=0, return_inverse=True)[1].astype(np.int32)


def _check_counts(split: dict, n: int, target: np.ndarray, task: str, codes: np.ndarray) -> None:
    """Refuse what scikit-learn would refuse or only warn of, in terms of the config's keys."""
    folds, method = split["folds"], split["method"]
    where, n_codes = f"split.folds: {folds} folds", int(codes.max()) + 1
    if folds > n:
        raise RegfoldError(f"{where}, but the table has {n} rows; expected at most as many folds as rows")
    if method == "time":
        _check_times(split, n_codes)
    if method in STRATIFIED:
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
    if method in GROUPED:
        found = f"column {quote(split['column'])} has {n_codes} groups"
        if n_codes < folds:
            raise RegfoldError(f"{where}, but {found}; expected at least one group for each fold")
        if n_codes == folds and split["repeats"] > 1:
            raise RegfoldError(
                f"split.repeats: {split['repeats']} repeats of {folds} folds, but {found}: all repeats would "
                "have the same folds; expected 1 repeat, or fewer folds"
            )


def _check_times(split: dict, n_times: int) -> None:
    folds, column = split["folds"], quote(split["column"])
    if folds >= n_times:
        raise RegfoldError(
            f"split.folds: {folds} folds, but column {column} has {n_times} different times; expected more "
            "times than folds"
        )
    before = times_before_first(n_times, folds)
    if split["gap"] >= before:
        raise RegfoldError(
            f"split.gap: {split['gap']}, but before the first of {folds} folds column {column} has {before} "
            f"different times; expected at most {before - 1}"
        )
