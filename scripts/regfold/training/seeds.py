"""Seeds of all random numbers of a cell, derived from (seed, repeat, fold) alone.

The model's name is not part of the derivation: two models on the same fold start from the same weights, see
the same batches and differ by their settings only.
"""

import numpy as np

# What a seed is used for. The position in this tuple is part of the derivation, so append only.
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
    """The (seed, repeat, fold) of the training without the rows that inner fold `inner`, from 1, tests."""
    return derive(seed, repeat, fold, "inner training", inner), repeat, fold


def network_key(seed: int, repeat: int, fold: int, number: int) -> tuple[int, int, int]:
    """The (seed, repeat, fold) of a cell's network `number`, from 1, with several seeds.

    Network 1 keeps the cell's own key, so that it is the same network whatever `training.seeds` is.
    """
    return (seed if number == 1 else derive(seed, repeat, fold, "seeds", number)), repeat, fold


def batch_order(seed: int, repeat: int, fold: int, epoch: int, n_rows: int) -> np.ndarray:
    """The order, int32 (n_rows,), in which epoch `epoch` (from 1) visits the training rows."""
    return np.random.default_rng([seed, repeat, fold, epoch]).permutation(n_rows).astype(np.int32)
