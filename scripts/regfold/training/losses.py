"""The losses of training.loss as Keras computes them."""

import keras

LOSSES = {
    "crossentropy": keras.losses.CategoricalCrossentropy,
    "focal": keras.losses.CategoricalFocalCrossentropy,
    "mse": keras.losses.MeanSquaredError,
    "mae": keras.losses.MeanAbsoluteError,
    "huber": keras.losses.Huber,
    "log_cosh": keras.losses.LogCosh,
    "poisson": keras.losses.Poisson,
}


def of_rows(loss: str, dtype: str = "float32") -> keras.losses.Loss:
    """The loss of each row: from truth and outputs (..., n_outputs) to (...), with Keras' own options.

    Args:
        loss: a resolved loss, see config.losses.
        dtype: the type that it computes in.
    """
    return LOSSES[loss](reduction=None, dtype=dtype)
