"""What a fold's training rows alone tell: the constant prediction to beat, and repeated rows."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from regfold import files
from regfold.data import row_weights
from regfold.data.digests import identical_rows
from regfold.splits import folds


@dataclass(frozen=True)
class Known:
    """What is known about a fold without any network.

    Attributes:
        constant: float64 (n_outputs,), the training rows' mean of each target (classes: their frequencies),
            weighted as the rows are.
        n_repeated: the number of held-out rows that equal a training row in all features and the target.
    """

    constant: np.ndarray
    n_repeated: int


def known(prepared: Path, split: dict) -> dict[tuple[int, int], Known]:
    """(repeat, fold) -> what is known about it.

    Args:
        prepared: results/prepared.
        split: the resolved split section.
    """
    classes = files.read_json(prepared / "schema.json")["classes"]
    target, decided = np.load(prepared / "target.npy"), folds.read(prepared, split)
    weights = row_weights.read(prepared)
    group = identical_rows(np.load(prepared / "digests.npy"))
    found = {}
    for repeat, fold in decided.cells():
        training, held_out = decided.training(repeat, fold), decided.held_out(repeat, fold)
        truth, weight = target[training], None if weights is None else weights[training]
        if classes:
            counts = np.bincount(truth, weight, minlength=len(classes))
            constant = counts / counts.sum()
        else:
            constant = np.average(truth, axis=0, weights=weight)
        seen = np.zeros(len(group), bool)
        seen[group[training]] = True
        found[repeat, fold] = Known(constant, int(seen[group[held_out]].sum()))
    return found
