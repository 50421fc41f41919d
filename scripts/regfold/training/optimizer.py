"""The Keras optimizer of a model: its name and options, learning-rate schedule and weight decay."""

import math
from collections.abc import Callable

import keras
import numpy as np

from regfold.config.optimizers import class_name


def build(settings: dict, rate: Callable, variables: list, rank: int = 2) -> keras.optimizers.Optimizer:
    """Make and build the optimizer.

    Args:
        settings: the optimizer's name and options.
        rate: gives the learning rate of the step that is being made.
        variables: the trainable variables.
        rank: a kernel's; weight decay leaves out variables of a lower rank: biases, and the scales and
            offsets of normalization layers. They are named before the optimizer is built, as Keras demands.
    """
    options = {name: value for name, value in settings.items() if name != "name"}
    kind = getattr(keras.optimizers, class_name(settings["name"]))
    optimizer = kind(rate, weight_decay=0.0, **options)
    optimizer.exclude_from_weight_decay(var_list=[v for v in variables if len(v.shape) < rank])
    optimizer.build(variables)
    return optimizer


def copies_variables(settings: dict) -> bool:
    """Whether the optimizer's own variables begin as copies of the variables that it trains."""
    return settings["name"] == "schedulefreeadamw"


def set_weight_decay(optimizer: keras.optimizers.Optimizer, decay) -> None:
    """The decoupled weight decay of the next steps, a number or a tensor: kernels shrink by decay x rate."""
    optimizer.weight_decay = decay
    if hasattr(optimizer, "adam_weight_decay"):  # muon's, for the variables that it gives to Adam
        optimizer.adam_weight_decay = decay


def step_sizes(optimizer: keras.optimizers.Optimizer, index: int):
    """By what the last step of sgd without momentum, adam or adamw multiplied the gradient of a variable.

    (Of its mean, for adam, freed of its bias.) A number, or a tensor of the variable's shape.
    """
    rate = optimizer.learning_rate
    if not hasattr(optimizer, "_velocities"):
        return rate
    bias = 1 - optimizer.beta_2 ** keras.ops.cast(optimizer.iterations, "float32")
    velocity = optimizer._velocities[index].value
    return rate * keras.ops.sqrt(bias) / (keras.ops.sqrt(velocity) + optimizer.epsilon)


def learning_rates(training: dict, n_rows: int, epoch: int) -> np.ndarray:
    """The learning rate of each step of an epoch (from 1), float32 (n_steps,): as Keras' schedules give it.

    An epoch at a time, because the last bit of a cosine depends on the length of the array.
    """
    n_steps = math.ceil(n_rows / training["batch_size"])
    rate, schedule = training["learning_rate"], training["schedule"]
    decay = np.ones(n_steps)
    if schedule["name"] == "cosine":
        epochs = schedule.get("epochs", training["epochs"])  # a refit may end on the way, as its folds did
        share = ((epoch - 1) * n_steps + np.arange(n_steps)) / (epochs * n_steps)
        decay = schedule["final"] + (1 - schedule["final"]) * (1 + np.cos(np.pi * share)) / 2
    elif schedule["name"] == "exponential":
        decay *= schedule["decay_rate"] ** (epoch - 1)
    return (rate * decay).astype(np.float32)
