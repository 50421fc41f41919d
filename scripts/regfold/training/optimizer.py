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
        rate: returns the learning rate of the current step.
        variables: the trainable variables.
        rank: the number of axes of a kernel. Variables with fewer (biases, and the scales and offsets of
            normalization layers) are excluded from weight decay.
    """
    options = {name: value for name, value in settings.items() if name != "name"}
    kind = getattr(keras.optimizers, class_name(settings["name"]))
    optimizer = kind(rate, weight_decay=0.0, **options)
    # Keras ignores exclusions that are named after the optimizer is built.
    optimizer.exclude_from_weight_decay(var_list=[v for v in variables if len(v.shape) < rank])
    optimizer.build(variables)
    return optimizer


def copies_variables(settings: dict) -> bool:
    """Whether the optimizer's own variables start as copies of the variables that it trains."""
    return settings["name"] == "schedulefreeadamw"


def set_weight_decay(optimizer: keras.optimizers.Optimizer, decay) -> None:
    """Set the decoupled weight decay, a number or a tensor: each step shrinks kernels by decay x rate."""
    optimizer.weight_decay = decay
    if hasattr(optimizer, "adam_weight_decay"):  # muon's, for the variables that it gives to Adam
        optimizer.adam_weight_decay = decay


def step_sizes(optimizer: keras.optimizers.Optimizer, index: int):
    """The step sizes of the optimizer's last step for a variable, by which a proximal step scales.

    For sgd without momentum that is the learning rate; for adam and adamw it is the factor by which the
    bias-corrected mean of the gradient is multiplied.

    Args:
        optimizer: sgd without momentum, adam or adamw.
        index: of the variable among the trainable ones.

    Returns:
        a scalar tensor, or a tensor of the variable's shape.
    """
    rate = optimizer.learning_rate
    if not hasattr(optimizer, "_velocities"):
        return rate
    bias = 1 - optimizer.beta_2 ** keras.ops.cast(optimizer.iterations, "float32")
    velocity = optimizer._velocities[index].value
    return rate * keras.ops.sqrt(bias) / (keras.ops.sqrt(velocity) + optimizer.epsilon)


def learning_rates(training: dict, n_rows: int, epoch: int) -> np.ndarray:
    """The learning rate of each step of an epoch, float32 (n_steps,), as Keras' schedules compute it.

    One epoch at a time, because the last bit of a cosine depends on the length of the array.

    Args:
        training: the model's resolved training section.
        n_rows: the number of training rows.
        epoch: from 1.
    """
    n_steps = math.ceil(n_rows / training["batch_size"])
    rate, schedule = training["learning_rate"], training["schedule"]
    decay = np.ones(n_steps)
    if schedule["name"] == "cosine":
        epochs = schedule.get("epochs", training["epochs"])  # a refit may stop earlier, as its folds did
        share = ((epoch - 1) * n_steps + np.arange(n_steps)) / (epochs * n_steps)
        decay = schedule["final"] + (1 - schedule["final"]) * (1 + np.cos(np.pi * share)) / 2
    elif schedule["name"] == "exponential":
        decay *= schedule["decay_rate"] ** (epoch - 1)
    return (rate * decay).astype(np.float32)
