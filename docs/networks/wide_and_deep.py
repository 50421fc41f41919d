"""A wide and deep network: a linear part beside a hidden layer, both penalized by what the config says."""

import keras
from keras import layers


def wide_and_deep(n_features, n_outputs, output_activation, regularizers):
    """Dense layers take `regularizers` as it is; a part of it goes by its name."""
    inputs = keras.Input((n_features,))
    deep = layers.Dense(32, "relu", **regularizers)(inputs)
    deep = layers.Dropout(0.2)(deep)
    both = layers.Concatenate()([inputs, deep])
    outputs = layers.Dense(
        n_outputs, output_activation, kernel_regularizer=regularizers["kernel_regularizer"]
    )(both)
    return keras.Model(inputs, outputs)
