"""Penalties on kernels, biases and activations: as Keras regularizers, and measured on trained networks."""

from collections.abc import Iterator, Sequence

import keras
import numpy as np

from regfold.config.strengths import norms

PARTS = ("kernel", "bias", "activity")


def regularizers(penalty: dict) -> dict[str, keras.regularizers.Regularizer | None]:
    """The keyword arguments that a Keras layer takes: kernel_, bias_ and activity_regularizer.

    Keras computes l1 * sum|w| and l2 * sum(w^2), once a step; an activity penalty is summed over units and
    divided by the batch size (since Keras 3.14).
    """
    return {f"{part}_regularizer": _regularizer(*norms(penalty, part)) for part in PARTS}


def _regularizer(l1: float, l2: float) -> keras.regularizers.Regularizer | None:
    return keras.regularizers.L1L2(l1=l1, l2=l2) if l1 or l2 else None


def measure_weights(core: keras.Model, values: Sequence[np.ndarray]) -> dict[str, float]:
    """Sums of |w| and of w^2 over all kernels and over all biases: the values of penalties of strength 1.

    Args:
        core: the core network.
        values: its variables' values, trainable ones first.
    """
    sums = dict.fromkeys(("kernel_l1", "kernel_l2", "bias_l1", "bias_l2"), 0.0)
    for part, value in _parts(core, values):
        if part in ("kernel", "bias"):
            value = value.astype(np.float64)
            sums[f"{part}_l1"] += float(np.abs(value).sum())
            sums[f"{part}_l2"] += float(np.square(value).sum())
    return sums


def count_nonzero(core: keras.Model, values: Sequence[np.ndarray], groups: np.ndarray) -> tuple[int, int]:
    """The number of nonzero kernel weights, and the number of the table's columns that have such weights.

    Args:
        core: a network of Dense layers.
        values: its variables' values, trainable ones first.
        groups: int (n_features,), the column of each feature.
    """
    kernels = [value for part, value in _parts(core, values) if part == "kernel"]
    used = groups[np.any(kernels[0] != 0, axis=1)]
    return sum(int(np.count_nonzero(kernel)) for kernel in kernels), len(np.unique(used))


def column_norms(kernel: np.ndarray, groups: np.ndarray, n_columns: int) -> list[float]:
    """The Euclidean norm of all weights that leave each of the table's columns.

    Args:
        kernel: (n_features, units), that of the first layer.
        groups: int (n_features,), the column of each feature; a column without features has the norm 0.
        n_columns: the number of columns.
    """
    squares = np.square(kernel.astype(np.float64)).sum(axis=1)
    return np.sqrt(np.bincount(groups, squares, n_columns)).tolist()


def _parts(core: keras.Model, values: Sequence[np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    """Name (`kernel`, `bias`, ...) and value of each trainable variable."""
    # Not strict: values of variables that are not trainable follow.
    for variable, value in zip(core.trainable_variables, values, strict=False):
        yield variable.path.rsplit("/", 1)[-1], value


def activity_note(penalty: dict, batch_size: int) -> str:
    """The activity penalty in words, with its scale, which Keras changed in 3.14; "" without one."""
    strengths = [f"{norm} {_shown(value)}" for norm, value in penalty["activity"].items() if value]
    if not strengths:
        return ""
    return (
        f"activity {', '.join(strengths)} on the sum over a layer's units, averaged over the rows of a batch "
        f"(Keras {keras.__version__}); Keras 3.0 to 3.13 added it up over the {batch_size} rows of a batch"
    )


def _shown(strength: float | list[float]) -> str:
    return f"{min(strength):g} to {max(strength):g}" if isinstance(strength, list) else f"{strength:g}"
