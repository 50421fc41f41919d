"""The Keras optimizer of a model: its name and options, learning-rate schedule and weight decay."""

import keras
import numpy as np

from regfold.config.optimizers import class_name


def build(training: dict, weight_decay: float, n_rows: int, variables: list) -> keras.optimizers.Optimizer:
    """Make and build the optimizer.

    Args:
        training: the model's resolved training section.
        weight_decay: decoupled decay a step, of kernels only: biases and the variables of normalization
            layers (all of rank below 2) are left out, before the optimizer is built, as Keras demands.
        n_rows: rows that an epoch visits.
        variables: the trainable variables.
    """
    options = {name: value for name, value in training["optimizer"].items() if name != "name"}
    if training["optimizer"]["name"] == "muon":  # it gives the variables that are no matrices to Adam
        options["adam_weight_decay"] = weight_decay
    kind = getattr(keras.optimizers, class_name(training["optimizer"]["name"]))
    optimizer = kind(_learning_rate(training, n_rows), weight_decay=weight_decay, **options)
    if weight_decay:
        optimizer.exclude_from_weight_decay(var_list=[v for v in variables if len(v.shape) < 2])
    optimizer.build(variables)
    return optimizer


def learning_rates(training: dict, n_rows: int) -> np.ndarray:
    """The learning rate with which each epoch begins, float64 (epochs,)."""
    rate, epochs = _learning_rate(training, n_rows), np.arange(training["epochs"])
    if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
        rate = np.asarray(rate(epochs * _steps(training, n_rows)), np.float64)
    return np.broadcast_to(rate, epochs.shape)


def _learning_rate(training: dict, n_rows: int):
    rate, schedule = training["learning_rate"], training["schedule"]
    if schedule["name"] == "cosine":
        steps = training["epochs"] * _steps(training, n_rows)
        return keras.optimizers.schedules.CosineDecay(rate, steps, alpha=schedule["final"])
    if schedule["name"] == "exponential":
        return keras.optimizers.schedules.ExponentialDecay(
            rate, _steps(training, n_rows), schedule["decay_rate"], staircase=True
        )
    return rate


def _steps(training: dict, n_rows: int) -> int:
    """Steps of the optimizer in an epoch."""
    return -(-n_rows // training["batch_size"])
