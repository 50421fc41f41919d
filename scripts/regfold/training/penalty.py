"""Penalties by name: on kernels, biases and activations, as Keras regularizers and as measured sums."""

import keras
import numpy as np

PARTS = ("kernel", "bias", "activity")


def regularizers(penalty: dict) -> dict[str, keras.regularizers.Regularizer | None]:
    """The keyword arguments that a Keras layer takes: kernel_, bias_ and activity_regularizer.

    Keras computes l1 * sum|w| and l2 * sum(w^2), once a step; an activity penalty is summed over units and
    divided by the batch size (since Keras 3.14).
    """
    return {f"{part}_regularizer": _regularizer(penalty[part]["l1"], penalty[part]["l2"]) for part in PARTS}


def _regularizer(l1: float, l2: float) -> keras.regularizers.Regularizer | None:
    return keras.regularizers.L1L2(l1=l1, l2=l2) if l1 or l2 else None


def measure_weights(network: keras.Model) -> dict[str, float]:
    """Sum of |w| and of w^2 over all kernels and over all biases: what a penalty of strength 1 is."""
    sums = dict.fromkeys(("kernel_l1", "kernel_l2", "bias_l1", "bias_l2"), 0.0)
    for variable in network.trainable_variables:
        part = variable.path.rsplit("/", 1)[-1]
        if part in ("kernel", "bias"):
            values = np.asarray(variable, np.float64)
            sums[f"{part}_l1"] += float(np.abs(values).sum())
            sums[f"{part}_l2"] += float(np.square(values).sum())
    return sums


def activity_note(penalty: dict, batch_size: int) -> str:
    """How strong the activity penalty really is, since Keras changed its meaning in 3.14."""
    strengths = [f"{norm} {value:g}" for norm, value in penalty["activity"].items() if value]
    if not strengths:
        return ""
    return (
        f"activity {', '.join(strengths)} on the sum over a layer's units, averaged over the rows of a batch "
        f"(Keras {keras.__version__}); Keras 3.0 to 3.13 added it up over the {batch_size} rows of a batch"
    )
