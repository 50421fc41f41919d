"""The rows of each cell, from an assignment of rows to folds, and the digests of their contents."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from regfold.config.split_methods import GROUPED, STRATIFIED
from regfold.data.layout import Layout
from regfold.errors import RegfoldError
from regfold.provenance import cell_names


@dataclass(frozen=True)
class Folds:
    """Which rows each cell trains on and tests, all rows in canonical order.

    Attributes:
        assignment: int32 (repeats, n), the fold (from 1) in which each row is tested; 0: in none.
        codes: int32 (n,), each row's group, or the rank of its time, from 0 and equal for equal times; all 0
            for methods without groups or times.
        method, gap: of the config's split section.
    """

    assignment: np.ndarray
    codes: np.ndarray
    method: str
    gap: int

    def cells(self) -> list[tuple[int, int]]:
        """All (repeat, fold), from 1, in which rows are tested."""
        return [
            (repeat, int(fold))
            for repeat, tested in enumerate(self.assignment, start=1)
            for fold in np.unique(tested[tested > 0])
        ]

    def held_out(self, repeat: int, fold: int) -> np.ndarray:
        """The rows, bool (n,), that a fold tests; none for REFIT."""
        if (repeat, fold) == cell_names.REFIT:
            return np.zeros(len(self.codes), bool)
        return self.assignment[repeat - 1] == fold

    def training(self, repeat: int, fold: int) -> np.ndarray:
        """The rows, bool (n,), that a fold's networks are trained on.

        These are all rows that it does not test; under `time` only the earlier ones, without those in the
        gap; for REFIT all rows.
        """
        held_out = self.held_out(repeat, fold)
        if self.method == "time" and (repeat, fold) != cell_names.REFIT:
            return self.codes < self.codes[held_out].min() - self.gap
        return ~held_out

    def codes_of(self, rows: np.ndarray) -> np.ndarray:
        """Groups or times of some rows, bool (n,), renumbered among these rows: int64 (n_rows,).

        Times become their ranks; groups are numbered in the order of their first rows, so that neither their
        names nor the groups of other rows matter.
        """
        _, first, codes = np.unique(self.codes[rows], return_index=True, return_inverse=True)
        return codes if self.method == "time" else np.argsort(np.argsort(first))[codes]

    def describe(self, repeat: int, fold: int, contents: np.ndarray, layout: Layout) -> dict:
        """What a cell depends on besides its settings: its rows' contents and their encoding, as digests.

        Args:
            repeat, fold: the cell's, from 1, or REFIT.
            contents: uint8 (n, 16 or 24), each row's content, see row_weights.row_contents.
            layout: the meaning of the matrix' columns.

        Returns:
            `repeat`, `fold`; `n_train` and `n_test`, the numbers of its rows; `width`, the number of matrix
            columns that its training rows use; and the digests (identity.DIGESTS).

        Raises:
            RegfoldError: if it has no training rows.
        """
        training, held_out = self.training(repeat, fold), self.held_out(repeat, fold)
        if not training.any():
            raise RegfoldError(f"split: repeat {repeat}, fold {fold} has no training rows")
        encoding, width = layout.of_rows(training)
        return {
            "repeat": repeat,
            "fold": fold,
            "n_train": int(training.sum()),
            "n_test": int(held_out.sum()),
            "width": width,
            "train": rows_digest(contents[training]),
            "encoding": encoding,
            "validation": self._division(training),
            "test": rows_digest(contents[held_out]),
            "layout": layout.of_table(),
        }

    def _division(self, training: np.ndarray) -> str:
        """A digest of what else decides which training rows are validation rows: method, gap, groups, times.

        Rows and settings have digests of their own.
        """
        kind = [self.method in STRATIFIED, self.method in GROUPED, self.method == "time", self.gap]
        codes = self.codes_of(training).astype("<i8").tobytes()
        return hashlib.sha256(json.dumps(kind).encode() + codes).hexdigest()[:32]


def read(prepared: Path, split: dict) -> Folds:
    """Read the folds that split_folds wrote into results/prepared.

    Args:
        prepared: results/prepared.
        split: the config's split section.
    """
    assignment, codes = (np.load(prepared / f"{name}.npy") for name in ("assignment", "codes"))
    return Folds(assignment, codes, split["method"], split["gap"])


def rows_digest(contents: np.ndarray) -> str:
    """The digest of a set of rows, uint8 (n, 16 or 24) contents in canonical order."""
    return hashlib.sha256(contents.tobytes()).hexdigest()[:32]
