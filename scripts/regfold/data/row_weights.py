"""The rows' weights (data.weight), from results/prepared/."""

from pathlib import Path

import numpy as np


def read(prepared: Path) -> np.ndarray | None:
    """The rows' weights, float64 (n,), in canonical order; None without data.weight."""
    weights = np.load(prepared / "weights.npy")
    return weights if len(weights) else None


def row_contents(prepared: Path) -> np.ndarray:
    """What a cell depends on in each row, uint8 (n, 16 or 24): its digest and, if weighted, its weight."""
    digests, weights = np.load(prepared / "digests.npy"), read(prepared)
    if weights is None:
        return digests
    return np.hstack([digests, weights.astype("<f8").view(np.uint8).reshape(len(weights), 8)])
