"""What a fold's training rows say without any network: the constant answer to beat, and repeated rows."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from regfold import files
from regfold.data import row_weights
from regfold.data.digests import identical_rows
from regfold.splits import folds


@dataclass(frozen=True)
class Known:
    """What is known of one fold, whatever the model.

    Attributes:
        constant: float64 (n_outputs,), the training rows' mean of each target (classes: their frequencies),
            weighted as the rows are.
        n_repeated: how many held-out rows have all features and the target equal to a training row's.
    """

    constant: np.ndarray
    n_repeated: int


def known(prepared: Path, split: dict) -> dict[tuple[int, int], Known]:
    """What is known of each (repeat, fold).

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
