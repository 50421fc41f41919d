"""What each cell's rows are, by an assignment of rows to folds, and the digests of their content."""

import hashlib

import numpy as np
import pyarrow as pa

from regfold.data.layout import Layout
from regfold.errors import RegfoldError

# Methods whose later folds may not be learnt from: the training rows of a fold come before it.
ORDERED = ("time",)
# A description's digests, which cell.json repeats: of the training rows, of how they are encoded, of the
# held-out rows, and of the whole matrix' columns. The first two decide the network; all, what a cell writes.
DIGESTS = ("train", "encoding", "test", "layout")


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


def describe(
    assignment: np.ndarray, repeat: int, fold: int, method: str, digests: np.ndarray, layout: Layout
) -> dict:
    """What a cell depends on besides its settings: its rows' contents and their encoding, as digests.

    Args:
        assignment: int32 (repeats, n).
        digests: uint8 (n, 16), each row's content.
        layout: what the matrix' columns stand for.

    Returns:
        `repeat`, `fold`; how many rows it learns from and tests; `width`, the number of matrix columns that
        its training rows use; and the DIGESTS.
    """
    tested = assignment[repeat - 1]
    learnt, held_out = training_rows(tested, fold, method), tested == fold
    if not learnt.any():
        raise RegfoldError(f"split: repeat {repeat}, fold {fold} has no training rows")
    encoding, width = layout.of_rows(learnt)
    return {
        "repeat": repeat,
        "fold": fold,
        "n_train": int(learnt.sum()),
        "n_test": int(held_out.sum()),
        "width": width,
        "train": rows_digest(digests[learnt]),
        "encoding": encoding,
        "test": rows_digest(digests[held_out]),
        "layout": layout.of_table(),
    }


def belongs(cell: dict, description: dict) -> bool:
    """Whether a cell, by its cell.json, was made from the rows and columns that its fold has now."""
    return all(cell["digests"][name] == description[name] for name in DIGESTS)


def rows_digest(digests: np.ndarray) -> str:
    """The digest of a set of rows, uint8 (n, 16) digests in canonical order."""
    return hashlib.sha256(digests.tobytes()).hexdigest()[:32]


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
