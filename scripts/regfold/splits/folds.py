"""What each cell's rows are, by an assignment of rows to folds, and the digests of their content."""

import hashlib
import json

import numpy as np
import pyarrow as pa

from regfold.errors import RegfoldError

# Methods whose later folds may not be learnt from: the training rows of a fold come before it.
ORDERED = ("time",)


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


def folds_table(assignment: np.ndarray, names: pa.Array) -> pa.Table:
    """folds.csv as text: a line for each tested row, by repeat, then in canonical order."""
    repeat, row = np.nonzero(assignment)
    return pa.table(
        {
            "row": names.take(pa.array(row)),
            "repeat": pa.array(repeat + 1).cast(pa.string()),
            "fold": pa.array(assignment[repeat, row]).cast(pa.string()),
        }
    )
