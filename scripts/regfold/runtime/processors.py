"""The threads of a training process, and the import of Keras and TensorFlow."""

import gc
import os
from itertools import pairwise
from pathlib import Path

from regfold import files
from regfold.runtime import lean

# Keras imports these if they are installed. Training does not use them, and they take half of the start.
NOT_NEEDED = ("sklearn", "scipy", "matplotlib", "pandas", "IPython", "PIL")
# Threads, and the number of multiplications in a step from which on they save time.
POOLS = (16, 10**9), (4, 3 * 10**8), (2, 10**7)


def available() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def pool_size(n_features: int, n_outputs: int, hidden: list[int] | None, batch_size: int) -> int:
    """The number of threads that share a matrix product; it depends on the work, not on the machine.

    The order in which a large product is summed depends on the number of threads in TensorFlow's pool, and
    with it the last bit of a weight. So the pool's size is part of the computation: it is the same on a
    laptop and on a cluster, however many processors the job has.

    Args:
        n_features: the number of features.
        n_outputs: the number of classes or of targets.
        hidden: the widths of the hidden layers; None for a network of the user's own.
        batch_size: rows of a batch.
    """
    if hidden is None:  # the user's own network, which cannot be built before TensorFlow is configured
        return 4
    widths = [n_features, *hidden, n_outputs]
    multiplications = batch_size * sum(a * b for a, b in pairwise(widths))
    # More threads than processors make a job slower by 5 % (2 on one processor) to 40 % (16 on one).
    return next((threads for threads, least in POOLS if multiplications >= least), 1)


def pool_of(specification: dict, description: Path, schema: Path) -> int:
    """The size of the thread pool for a cell.

    Args:
        specification: the model's, see provenance.specification.
        description: path of the fold's description, results/folds/<repeat>-<fold>.json.
        schema: path of results/prepared/schema.json.

    Raises:
        OSError, RegfoldError: if a file cannot be read.
    """
    table = files.read_json(schema)
    return pool_size(
        # Not the matrix' width, which includes levels that only held-out rows have.
        files.read_json(description)["width"],
        len(table["classes"] or table["target"]),
        specification["network"].get("hidden"),
        specification["training"]["batch_size"],
    )


def load() -> None:
    """Import Keras with its TensorFlow backend, and without NOT_NEEDED."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
    os.environ["KERAS_BACKEND"] = "tensorflow"
    gc.disable()  # An import leaves hardly any garbage, and looking for it takes a fifth of the time.
    try:
        with lean.without(*NOT_NEEDED):
            import keras  # noqa: F401
    finally:
        gc.freeze()
        gc.enable()


def start(pool: int) -> list[str]:
    """Import Keras, see `load`, and configure TensorFlow before its first operation.

    Args:
        pool: the size of TensorFlow's thread pool.

    Returns:
        the names of the GPUs that TensorFlow sees.
    """
    # On a GPU, use no operation whose result differs from run to run.
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_exclude_nondeterministic_ops=true"
    load()
    from regfold.training.programs import tensorflow

    return tensorflow.set_up(pool)
