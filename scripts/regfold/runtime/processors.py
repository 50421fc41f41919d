"""How a training process uses its processors, set before TensorFlow's first operation."""

import gc
import os
from itertools import pairwise
from pathlib import Path

from regfold import files
from regfold.runtime import lean

# Keras imports these where they are installed, for what training does not use; they take half of the start.
NOT_NEEDED = ("sklearn", "matplotlib", "pandas", "IPython")
# Threads, and the multiplications in a step from which on they are worth it.
POOLS = (16, 10**9), (4, 3 * 10**8), (2, 10**7)


def available() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def pool_size(n_features: int, n_outputs: int, hidden: list[int] | None, batch_size: int) -> int:
    """Threads that share one matrix product: decided by the work in a step, never by the machine.

    The order in which a large product is summed up depends on the number of threads in TensorFlow's pool, and
    with it the last bit of a weight. So the pool's size is part of the computation: the same on a laptop and
    on a cluster, however many processors the job has.
    """
    if hidden is None:  # the user's own network, which is not known before TensorFlow is there
        return 4
    widths = [n_features, *hidden, n_outputs]
    multiplications = batch_size * sum(a * b for a, b in pairwise(widths))
    # More threads than a job has processors cost it 5 % (two on one) to 40 % (sixteen on one).
    return next((threads for threads, least in POOLS if multiplications >= least), 1)


def pool_of(specification: dict, description: Path, schema: Path) -> int:
    """The pool's size for a model's specification, a fold's description and results/prepared/schema.json."""
    table = files.read_json(schema)
    return pool_size(
        # Not the matrix' width, to which held-out rows add their own levels.
        files.read_json(description)["width"],
        len(table["classes"] or table["target"]),
        specification["network"].get("hidden"),
        specification["training"]["batch_size"],
    )


def load() -> None:
    """Import Keras on TensorFlow, without what training does not need."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
    os.environ["KERAS_BACKEND"] = "tensorflow"
    gc.disable()  # The import makes nothing but what stays: looking for garbage takes a fifth of its time.
    try:
        with lean.without(*NOT_NEEDED):
            import keras  # noqa: F401
    finally:
        gc.freeze()
        gc.enable()


def start(pool: int) -> list[str]:
    """Import Keras, see `load`, and give TensorFlow, before its first operation, a thread pool of this size.

    Returns:
        the names of the GPUs that TensorFlow sees.
    """
    # On a GPU: no operation whose result differs from run to run.
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_exclude_nondeterministic_ops=true"
    load()
    from regfold.training.programs import tensorflow

    return tensorflow.set_up(pool)
