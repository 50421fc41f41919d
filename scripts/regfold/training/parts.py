"""The trainings of a cell: one for a single network, or one for each chunk of a path of strengths.

A long path of a large network is cut into chunks that fit in memory. The size of a chunk depends on settings
and shapes, never on the machine, because the last bit of a weight may depend on the number of networks that
are trained side by side. These trainings are repeated for each seed, and under `select: nested` for each
inner fold.
"""

from dataclasses import dataclass
from itertools import pairwise

from regfold.config import strengths
from regfold.provenance import identity
from regfold.splits.inner import MOST_FOLDS

# The most bytes that a chunk's variables, gradients and outputs of a batch take, and the most networks in it.
MOST_BYTES, MOST_LANES = 256 * 2**20, 64


@dataclass(frozen=True)
class Part:
    """A training that has a program and a state of its own.

    Attributes:
        penalties: for each of the networks side by side, its resolved penalty section without a path.
        digest: the name of its state.
        inner: 0 for a training on all training rows; k for one without those that inner fold k tests.
        seed: which of the model's seeds, from 1; see seeds.network_key.
    """

    penalties: list[dict]
    digest: str
    inner: int = 0
    seed: int = 1


def of_cell(specification: dict, description: dict, n_outputs: int) -> list[Part]:
    """The trainings of a cell, those on all training rows first, by seed.

    Args:
        specification: the model's, see identity.specification, with the library versions of the job.
        description: the fold's, results/folds/<repeat>-<fold>.json.
        n_outputs: the number of classes or of targets.
    """
    penalty, path = specification["penalty"], strengths.path_of(specification["penalty"])
    seeds = range(1, specification["training"]["seeds"] + 1)
    if path is None:
        return [
            Part([penalty], identity.state_digest(specification, description, seed=seed), seed=seed)
            for seed in seeds
        ]
    widths = [description["width"], *specification["network"]["hidden"], n_outputs]
    size = lanes_at_once(widths, specification["training"]["batch_size"])
    chunks = [path.strengths[start : start + size] for start in range(0, len(path.strengths), size)]
    return [
        Part(
            [strengths.at(penalty, strength) for strength in chunk],
            identity.state_digest(
                specification | {"penalty": strengths.at(penalty, chunk)}, description, inner, seed
            ),
            inner,
            seed,
        )
        for inner in range(MOST_FOLDS + 1 if specification["nested"] else 1)
        for seed in seeds
        for chunk in chunks
    ]


def lanes_at_once(widths: list[int], batch_size: int) -> int:
    """How many networks are trained side by side in one chunk.

    Args:
        widths: of the layers: features, hidden units, outputs.
        batch_size: rows of a batch.
    """
    n_weights = sum((a + 1) * b for a, b in pairwise(widths))
    # Variables, gradients, and two moments of an optimizer; outputs, and the gradients of outputs.
    n_bytes = 4 * (4 * n_weights + 2 * batch_size * sum(widths[1:]))
    return max(1, min(MOST_LANES, MOST_BYTES // n_bytes))
