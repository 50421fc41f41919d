"""Two hidden layers with batch normalization between the weights and the activation."""

import keras
from keras import layers


def normalized(n_features, n_outputs, output_activation, regularizers):
    """The bias is left out where normalization takes it away again."""
    network = keras.Sequential([keras.Input((n_features,))])
    kernel, activity = (regularizers[f"{part}_regularizer"] for part in ("kernel", "activity"))
    for units in (50, 25):
        network.add(layers.Dense(units, use_bias=False, kernel_regularizer=kernel))
        network.add(layers.BatchNormalization())
        network.add(layers.Activation("relu", activity_regularizer=activity))
    network.add(layers.Dense(n_outputs, output_activation))
    return network
