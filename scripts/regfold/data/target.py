"""The target: the task, the classes, and every row's truth."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow.compute as pc

from regfold.config import losses as loss_names
from regfold.data.columns import (
    check_thousands,
    doubtful,
    exact,
    hold_times,
    read_categorical,
    share_of_numbers,
    sorted_labels,
)
from regfold.data.decimals import first_text, numbers
from regfold.data.table import Table, check_finite
from regfold.errors import RegfoldError, quote
from regfold.formatting import counted

# Errors are squared as float64, and where a network diverges an error may be 1e38 deviations.
MOST_TARGET = 1e100
LEAST_DEVIATION = 1e-100
# The least ratio of deviation and mean: at it, float64 still resolves four digits of the deviation.
LEAST_SPREAD = 1e-12
# Whole numbers are classes if there are at most so many, with so many rows each on average.
MOST_NUMERIC_CLASSES = 20
ROWS_PER_NUMERIC_CLASS = 5
MOST_CLASSES = 1000

# The kinds of a typed file's columns that hold classes, and their names in messages.
KINDS_OF_CLASSES = {"text": "text", "boolean": "booleans", "category": "categories"}


@dataclass
class Target:
    """The truth of every row.

    Args:
        task: classification or regression.
        reason: the task and why it was chosen, for messages.
        classes: the class labels in order; None for a regression.
        values: classification: int32 (n,) positions in `classes`; regression: float64 (n, number of targets).
        notes: lines for the user.
    """

    task: str
    reason: str
    classes: list[str] | None
    values: np.ndarray
    notes: list[str]


def drop_missing(table: Table, names: list[str], missing_target: str) -> tuple[Table, int]:
    """Drop the rows without a target, if the config says so; return the table and how many they were.

    Raises:
        RegfoldError: if there are such rows and `missing_target` is "error", or fewer than 2 rows are left.
    """
    known = np.ones(len(table), bool)
    for name in names:
        known &= pc.is_valid(table.values(name)).to_numpy()
    absent = np.flatnonzero(~known)
    if len(absent) and missing_target == "error":
        some = "1 row has" if len(absent) == 1 else f"{len(absent):,} rows have"
        raise RegfoldError(
            f"{table.path}: {_columns(names)}: {some} no target: {table.row_list(absent)}; fill in the "
            "cells, or set data.missing_target: drop"
        )
    if known.sum() < 2:
        left = f" with a target in {_columns(names)}" if len(absent) else ""
        raise RegfoldError(f"{table.path}: has {counted(int(known.sum()), 'row')}{left}; expected at least 2")
    return (table.keep(known) if len(absent) else table), len(absent)


def read_target(table: Table, names: list[str], task: str) -> Target:
    """Read the target columns of a table in which every row has a target.

    Args:
        table: the table.
        names: the target columns.
        task: data.task of the config: auto, classification or regression.

    Raises:
        RegfoldError: if they cannot be targets of that task; it names column, row and remedy.
    """
    if len(names) > 1:
        if task == "classification":
            raise RegfoldError(
                f"config.yaml: data.task: classification with {len(names)} target columns; expected one "
                "target, or regression"
            )
        reason = f"{len(names)} targets: regression"
        return Target("regression", reason, None, _truth(table, names), [])
    name = names[0]
    if task == "auto":
        task, found = _decide(table, name)
    else:
        found = f"as data.task says of target {quote(name)}"
    if task == "regression":
        return Target(task, f"{found}: regression", None, _truth(table, names), [])
    values = table.values(name)
    classes = sorted_labels(pc.unique(values).to_pylist())
    _check_classes(table, name, classes)
    codes = read_categorical(name, values, classes).values
    single = [label for label, count in zip(classes, np.bincount(codes), strict=True) if count == 1]
    notes = [
        f"{table.path}: column {quote(name)} has the class {quote(label)}; if it means missing, add it to "
        "data.missing"
        for label in doubtful(classes)
    ]
    notes += [
        f"{table.path}: column {quote(name)}: the class {quote(label)} has one row only: no fold both trains "
        "on it and tests it"
        for label in single[:5]
    ]
    if len(single) > 5:
        notes.append(f"{table.path}: column {quote(name)}: {len(single) - 5} more classes have one row only")
    return Target(task, f"{found}: classification with {len(classes)} classes", classes, codes, notes)


def check_losses(table: Table, names: list[str], target: Target, losses: dict[str, str]) -> None:
    """Check that losses, by model, suit the target.

    Raises:
        RegfoldError: if a loss is for the other task, or it is the Poisson loss and a target is negative.
    """
    for model, loss in losses.items():
        where = f"models.{model}: training.loss is {loss}"
        if found := loss_names.conflict(loss, target.task):
            raise RegfoldError(f"config.yaml: {where}, but {target.reason}; {loss} {found}")
        if loss == "poisson" and (target.values < 0).any():
            row, column = np.argwhere(target.values < 0)[0]
            name = names[column]
            raise RegfoldError(
                f"{table.path}: column {quote(name)} (target), {table.row(row)}: {table.cell(name, row)} is "
                f"negative, but {where}; expected numbers of at least 0, or another loss"
            )


def _decide(table: Table, name: str) -> tuple[str, str]:
    """The task that suits a target column, and a sentence on what it holds."""
    kind = table.kinds.get(name)
    values = table.values(name)
    what = f"target {quote(name)} holds"
    if kind in KINDS_OF_CLASSES:
        return "classification", f"{what} {KINDS_OF_CLASSES[kind]}"
    found = None if kind == "time" else numbers(values, table.decimal)
    if found is None:
        labels = pc.unique(values).to_pylist()
        if hold_times(kind, labels):
            raise RegfoldError(
                f"{table.path}: column {quote(name)} (target) holds dates or times; make it a number, or set "
                "data.task: classification"
            )
        check_thousands(table, name, values)
        if len(labels) > MOST_NUMERIC_CLASSES and share_of_numbers(labels, table.decimal) > 0.5:
            row = first_text(values, table.decimal)
            raise RegfoldError(
                f"{table.path}: column {quote(name)} (target), {table.row(row)}: {table.cell(name, row)} is "
                "not a number, but most cells are; if it means missing, add it to data.missing; if the "
                "numbers are classes, set data.task: classification"
            )
        return "classification", f"{what} text"
    check_finite(table, name, values, found)
    distinct = np.unique(found)
    if np.any(distinct != np.round(distinct)):
        return "regression", f"{what} numbers with decimals"
    n_distinct = len(distinct)
    if np.abs(distinct).max() >= 2**53:
        n_distinct = len({exact(label) for label in pc.unique(values).to_pylist()})
    count = f"{what} {n_distinct:,} different whole numbers"
    if n_distinct > MOST_NUMERIC_CLASSES:
        return "regression", count
    each = f", {len(found) / n_distinct:.3g} rows for each"
    if len(found) < ROWS_PER_NUMERIC_CLASS * n_distinct:
        return "regression", count + each
    return "classification", count + each


def _truth(table: Table, names: list[str]) -> np.ndarray:
    """The targets of a regression as float64 (n, number of targets)."""
    truth = np.empty((len(table), len(names)))
    for j, name in enumerate(names):
        values = table.values(name)
        found = numbers(values, table.decimal)
        where = f"{table.path}: column {quote(name)} (target)"
        if found is None:
            check_thousands(table, name, values)
            row = first_text(values, table.decimal)
            raise RegfoldError(
                f"{where}, {table.row(row)}: {table.cell(name, row)} is not a number; "
                "a regression expects numbers"
            )
        check_finite(table, name, values, found)
        if np.all(found == found[0]):
            raise RegfoldError(f"{where} is {table.cell(name, 0)} in every row; expected values that differ")
        largest = int(np.argmax(np.abs(found)))
        if abs(found[largest]) > MOST_TARGET:
            raise RegfoldError(
                f"{where}, {table.row(largest)}: {table.cell(name, largest)} is too large: errors are "
                f"squared; expected a unit in which numbers are at most {MOST_TARGET:g}"
            )
        deviation = found.std()
        if deviation < LEAST_DEVIATION:
            raise RegfoldError(
                f"{where}: its standard deviation is too small: errors are squared; expected a unit in which "
                f"it is at least {LEAST_DEVIATION:g}"
            )
        if deviation < LEAST_SPREAD * abs(found.mean()):
            raise RegfoldError(
                f"{where}: its values differ by less than {LEAST_SPREAD:g} of their size, which 64-bit "
                "numbers hardly tell apart; subtract a constant from them"
            )
        truth[:, j] = found + 0.0
    return truth


def _check_classes(table: Table, name: str, classes: list[str]) -> None:
    where = f"{table.path}: column {quote(name)} (target)"
    if len(classes) == 1:
        raise RegfoldError(f"{where} is {quote(classes[0])} in every row; expected at least 2 classes")
    is_numeric = share_of_numbers(classes, table.decimal) == 1
    if len(classes) > MOST_CLASSES or len(classes) == len(table):
        hint = "; for a regression set data.task: regression" if is_numeric else ""
        raise RegfoldError(
            f"{where} has {len(classes):,} classes in {len(table):,} rows; expected at most "
            f"{MOST_CLASSES:,}, and several rows for each{hint}"
        )
    if is_numeric:
        for one, other in pairwise(classes):
            if exact(one) == exact(other):
                raise RegfoldError(
                    f"{where} has the classes {quote(one)} and {quote(other)}, which are one number; "
                    "expected one spelling for each class"
                )


def _columns(names: list[str]) -> str:
    return f"column{'s' if len(names) > 1 else ''} {', '.join(map(quote, names))}"
