"""Every random number of a cell, derived from (seed, repeat, fold) alone.

The name of a model is no part of it: two models on the same fold start from the same weights, see the same
batches and differ by their settings only.
"""

import numpy as np

# What a seed is for; the position in this tuple is part of the derivation, so append only.
PURPOSES = (
    "weights",
    "dropout",
    "build",
    "validation",
    "inner folds",
    "inner training",
    "permutations",
    "seeds",
)


def derive(seed: int, repeat: int, fold: int, purpose: str, index: int = 0) -> int:
    """A seed below 2**31 for one purpose, e.g. the weights of layer `index` (numpy's SeedSequence)."""
    sequence = np.random.SeedSequence([seed, repeat, fold, PURPOSES.index(purpose), index])
    return int(sequence.generate_state(1)[0] >> 1)


def inner_key(seed: int, repeat: int, fold: int, inner: int) -> tuple[int, int, int]:
    """What stands for (seed, repeat, fold) in the training without the rows that an inner fold tests."""
    return derive(seed, repeat, fold, "inner training", inner), repeat, fold


def network_key(seed: int, repeat: int, fold: int, number: int) -> tuple[int, int, int]:
    """What stands for (seed, repeat, fold) in the training of a cell's network `number`, from 1.

    The first has the key itself: `training.seeds` of 1 and of more have it in common.
    """
    return (seed if number == 1 else derive(seed, repeat, fold, "seeds", number)), repeat, fold


def batch_order(seed: int, repeat: int, fold: int, epoch: int, n_rows: int) -> np.ndarray:
    """The order, int32 (n_rows,), in which epoch `epoch` (from 1) visits the training rows."""
    return np.random.default_rng([seed, repeat, fold, epoch]).permutation(n_rows).astype(np.int32)
