"""Networks of a user's own, as network.build names them: good ones and bad ones."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import keras
from keras import layers


def sequential(n_features, n_outputs, output_activation, regularizers):
    """A Sequential that was not told its input."""
    return keras.Sequential(
        [
            layers.Dense(6, "tanh", **regularizers),
            layers.BatchNormalization(),
            layers.Dropout(0.2),
            layers.Dense(n_outputs, output_activation),
        ]
    )


def functional(n_features, n_outputs, output_activation, regularizers):
    """A wide and deep network with a layer that is used twice."""
    inputs = keras.Input((n_features,))
    shared = layers.Dense(n_features, "relu", **regularizers)
    both = layers.Concatenate()([inputs, shared(shared(inputs))])
    return keras.Model(inputs, layers.Dense(n_outputs, output_activation)(both))


@dataclass
class Sizes:
    hidden: int = 3


def with_a_dataclass(n_features, n_outputs, output_activation, regularizers):
    """Dataclasses look their module up while it runs."""
    return keras.Sequential(
        [
            layers.Input((n_features,)),
            layers.Dense(Sizes().hidden, **regularizers),
            layers.Dense(n_outputs, output_activation),
        ]
    )


def other_names(a, b, c, d):
    """The arguments are positional."""
    return keras.Sequential(
        [layers.Input((a,)), layers.Dense(b, c, kernel_regularizer=d["kernel_regularizer"])]
    )


class Subclassed(keras.Model):
    def __init__(self, n_outputs, activation):
        super().__init__()
        self.dense = layers.Dense(n_outputs, activation)

    def call(self, rows):
        return self.dense(rows)


def subclassed(n_features, n_outputs, output_activation, regularizers):
    return Subclassed(n_outputs, output_activation)


@keras.saving.register_keras_serializable("own_networks")
class Doubled(layers.Layer):
    def call(self, rows):
        return 2 * rows


def own_layer(n_features, n_outputs, output_activation, regularizers):
    inputs = keras.Input((n_features,))
    return keras.Model(inputs, layers.Dense(n_outputs, output_activation)(Doubled()(inputs)))


def no_network(n_features, n_outputs, output_activation, regularizers):
    return "a network"


def nothing(n_features, n_outputs, output_activation, regularizers):
    return None


def wrong_outputs(n_features, n_outputs, output_activation, regularizers):
    return keras.Sequential([layers.Dense(n_outputs + 1, output_activation)])


def wrong_inputs(n_features, n_outputs, output_activation, regularizers):
    return keras.Sequential([layers.Input((n_features + 1,)), layers.Dense(n_outputs)])


def two_outputs(n_features, n_outputs, output_activation, regularizers):
    inputs = keras.Input((n_features,))
    return keras.Model(inputs, [layers.Dense(n_outputs)(inputs), layers.Dense(n_outputs)(inputs)])


def raises(n_features, n_outputs, output_activation, regularizers):
    raise ValueError("two\nlines")


def exits(n_features, n_outputs, output_activation, regularizers):
    sys.exit("no network today")


def uses_lambda(n_features, n_outputs, output_activation, regularizers):
    return keras.Sequential(
        [layers.Lambda(lambda rows: rows * 2), layers.Dense(n_outputs, output_activation)]
    )
