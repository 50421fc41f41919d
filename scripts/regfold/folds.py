"""Who tests what: the assignment of rows to folds, and what each cell's rows are."""

import csv
import hashlib
import json
import re
from pathlib import Path

import numpy as np

from regfold.errors import RegfoldError, quote

# Methods whose later folds may not be learnt from: the training rows of a fold come before it.
ORDERED = ("time",)
GROUPED = ("group", "stratified_group")

INTEGER = re.compile(r"[+-]?[0-9]+")


def training_rows(assignment: np.ndarray, fold: int, method: str) -> np.ndarray:
    """The rows, bool (n,), that the networks of a fold learn from.

    Args:
        assignment: int32 (n,), the fold (from 1) in which each row is tested in this repeat; 0: in none.
        fold: the fold whose networks these are.
        method: split.method of the config.
    """
    if method in ORDERED:
        return assignment < fold
    return assignment != fold


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
        return _from_file(split["file"], rows, what)
    if values is not None:
        values = _present(split["column"], values, rows, missing, what)
    if method == "column":
        names = _sorted_labels(values)
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
        splitter = _splitter(method, split["folds"], split["seed"] + repeat)
        labels = target if task == "classification" else None
        for fold, (_, tested) in enumerate(splitter.split(order, labels, groups), start=1):
            assignment[repeat, order[tested]] = fold
    return assignment, [str(fold) for fold in range(1, split["folds"] + 1)]


def _splitter(method: str, folds: int, seed: int):
    from sklearn import model_selection as sklearn

    if method == "time":
        return sklearn.TimeSeriesSplit(folds)
    kind = {
        "kfold": sklearn.KFold,
        "stratified": sklearn.StratifiedKFold,
        "group": sklearn.GroupKFold,
        "stratified_group": sklearn.StratifiedGroupKFold,
    }[method]
    return kind(folds, shuffle=True, random_state=seed)


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


def _sorted_labels(values: list[str]) -> list[str]:
    """The different values, by number where all are numbers, else as text."""
    labels = sorted(set(values))
    numbers = _numbers(labels)
    return labels if numbers is None else [labels[i] for i in np.argsort(numbers, kind="stable")]


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


def _from_file(path: str, rows: list[str], what: str) -> tuple[np.ndarray, list[str]]:
    """Read a split file: a CSV with the columns row, repeat and fold."""
    position = {row: i for i, row in enumerate(rows)}
    seen: dict[tuple[int, int], int] = {}
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if missing := {"row", "repeat", "fold"} - set(reader.fieldnames or []):
                raise RegfoldError(
                    f"{path}: column {quote(sorted(missing)[0])} is missing; expected row, repeat and fold"
                )
            for line in reader:
                where = f"{path}, line {reader.line_num}"
                row = position.get((line["row"] or "").strip())
                if row is None:
                    raise RegfoldError(f"{where}: {what} {quote(line['row'])} is not in the table")
                cell = _count(line["repeat"], "repeat", where), row
                if cell in seen:
                    raise RegfoldError(f"{where}: {what} {line['row']} is tested twice in repeat {cell[0]}")
                seen[cell] = _count(line["fold"], "fold", where)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RegfoldError(f"{path}: cannot be read: {error}") from None
    if not seen:
        raise RegfoldError(f"{path}: no rows; expected where each row is tested")
    present = {repeat for repeat, _ in seen}
    repeats = len(present)
    if gap := next((repeat for repeat in range(1, repeats + 1) if repeat not in present), None):
        raise RegfoldError(f"{path}: repeat {gap} tests no row; expected repeats from 1 without a gap")
    assignment = np.zeros((repeats, len(rows)), np.int32)
    for (repeat, row), fold in seen.items():
        assignment[repeat - 1, row] = fold
    for repeat, tested in enumerate(assignment, start=1):
        for fold in np.unique(tested[tested > 0]):
            if (tested == fold).all():
                raise RegfoldError(
                    f"{path}: repeat {repeat}, fold {fold} tests all rows; none is left to learn from"
                )
    return assignment, [str(fold) for fold in range(1, assignment.max() + 1)]


def _count(text: str | None, name: str, where: str) -> int:
    text = (text or "").strip()
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 10**6:
        raise RegfoldError(f"{where}: {name} {quote(text)}; expected a whole number from 1")
    return int(text)


def cells(assignment: np.ndarray) -> list[tuple[int, int]]:
    """All (repeat, fold), from 1, in which rows are tested."""
    return [
        (repeat, int(fold))
        for repeat, tested in enumerate(assignment, start=1)
        for fold in np.unique(tested[tested > 0])
    ]


def meaning(schema: dict) -> str:
    """What the network's outputs stand for, which is a part of every row set's digest."""
    return json.dumps([schema["task"], schema["classes"], len(schema["target"])])


def describe(
    assignment: np.ndarray, repeat: int, fold: int, method: str, digests: np.ndarray, about: str
) -> dict:
    """What a cell depends on: how many rows it learns from and tests, and the digests of their contents.

    Args:
        assignment: int32 (repeats, n).
        digests: uint8 (n, 16), each row's content.
        about: what the rows' meaning depends on (task and classes).
    """
    tested = assignment[repeat - 1]
    learnt, held_out = training_rows(tested, fold, method), tested == fold
    if not learnt.any():
        raise RegfoldError(f"split: repeat {repeat}, fold {fold} has no training rows")
    return {
        "repeat": repeat,
        "fold": fold,
        "n_train": int(learnt.sum()),
        "n_test": int(held_out.sum()),
        "train": rows_digest(digests[learnt], about),
        "test": rows_digest(digests[held_out], about),
    }


def rows_digest(digests: np.ndarray, about: str) -> str:
    """The digest of a set of rows, uint8 (n, 16) digests in canonical order, whose outputs mean `about`."""
    return hashlib.sha256(about.encode() + b"\0" + digests.tobytes()).hexdigest()[:32]
