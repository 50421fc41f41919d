"""The Keras optimizer of a model: its name and options, learning-rate schedule and weight decay."""

import keras

from regfold.optimizer_options import class_name


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
    steps_per_epoch = -(-n_rows // training["batch_size"])
    if training["optimizer"]["name"] == "muon":  # it gives the variables that are no matrices to Adam
        options["adam_weight_decay"] = weight_decay
    kind = getattr(keras.optimizers, class_name(training["optimizer"]["name"]))
    optimizer = kind(_learning_rate(training, steps_per_epoch), weight_decay=weight_decay, **options)
    if weight_decay:
        optimizer.exclude_from_weight_decay(var_list=[v for v in variables if len(v.shape) < 2])
    optimizer.build(variables)
    return optimizer


def _learning_rate(training: dict, steps_per_epoch: int):
    rate, schedule = training["learning_rate"], training["schedule"]
    if schedule["name"] == "cosine":
        steps = training["epochs"] * steps_per_epoch
        return keras.optimizers.schedules.CosineDecay(rate, steps, alpha=schedule["final"])
    if schedule["name"] == "exponential":
        return keras.optimizers.schedules.ExponentialDecay(
            rate, steps_per_epoch, schedule["decay_rate"], staircase=True
        )
    return rate
