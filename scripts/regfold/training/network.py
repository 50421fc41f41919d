"""A cell's network: the core network, which is trained, and the operations around it that make it complete.

They standardize encoded rows before the core network and bring its outputs to the targets' units behind it.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import keras
import numpy as np
from keras import ops

from regfold.config import functions
from regfold.errors import RegfoldError, quote
from regfold.training.penalty import regularizers
from regfold.training.seeds import derive
from regfold.training.standardize import Standardization, TargetScale


def build_core(
    n_features: int, n_outputs: int, output_activation: str, network: dict, penalty: dict, key: tuple
) -> keras.Model:
    """The core network: standardized features in, class probabilities or standardized targets out.

    Args:
        n_features: the number of features.
        n_outputs: the number of classes or of targets.
        output_activation: see config.losses.
        network: the model's resolved network section; its `build` names a function of the user's own, or is
            None.
        penalty: the model's resolved penalty section.
        key: (seed, repeat, fold), from which initial weights and dropout masks derive.

    Raises:
        RegfoldError: if the user's function fails, or returns anything but a network of the right output
            shape that Keras can save and load.
    """
    if network["build"]:
        return _build_own(n_features, n_outputs, output_activation, network["build"], penalty, key)
    dropout = partial(keras.layers.Dropout, penalty["dropout"]) if penalty["dropout"] else None
    return build_dense(n_features, n_outputs, output_activation, network, regularizers(penalty), dropout, key)


def build_dense(
    n_features: int,
    n_outputs: int,
    output_activation: str,
    network: dict,
    regularizers: dict,
    dropout: Callable[..., keras.layers.Layer] | None,
    key: tuple,
    lanes: int | None = None,
) -> keras.Model:
    """Dense layers, `network["hidden"]` units wide, and an output layer; see `build_core`.

    Kernel and bias penalties act on every layer, the output layer too (otherwise the network could shrink its
    hidden weights and make up for it there); activity penalties and dropout act on the hidden layers.

    Args:
        regularizers: the keyword arguments of a layer, see penalty.regularizers.
        dropout: called with `seed` and `name`, makes the layer behind each hidden one; None: no dropout.
        lanes: None for one network; or the number of networks in a stack, with the lane as the last axis but
            one: outputs (n, lanes, n_outputs), kernels (n_in, lanes, n_out), biases (lanes, n_out).
    """

    def dense(index: int, units: int, **more) -> keras.layers.Layer:
        more["kernel_initializer"] = keras.initializers.GlorotUniform(derive(*key, "weights", index))
        if lanes is None:
            return keras.layers.Dense(units, **more)
        equation = "bli,ilo->blo" if index else "bi,ilo->blo"
        return keras.layers.EinsumDense(equation, (lanes, units), bias_axes="lo", **more)

    inputs = hidden = keras.Input((n_features,), name="features")
    for index, units in enumerate(network["hidden"]):
        name = f"hidden_{index + 1}"
        hidden = dense(index, units, activation=network["activation"], name=name, **regularizers)(hidden)
        if dropout:
            hidden = dropout(seed=derive(*key, "dropout", index), name=f"dropout_{index + 1}")(hidden)
    regularizers = {**regularizers, "activity_regularizer": None}
    last = dense(
        len(network["hidden"]), n_outputs, activation=output_activation, name="output", **regularizers
    )
    return keras.Model(inputs, last(hidden), name="core")


def build_stack(core: keras.Model, network: dict, values: list[list[np.ndarray]]) -> keras.Model:
    """Several networks of Dense layers as one, without penalties: (n, n_features) to (n, lanes, n_outputs).

    Args:
        core: one of the networks.
        network: the model's resolved network section.
        values: the variables' values of each network, trainable ones first.
    """
    activation = keras.activations.serialize(core.layers[-1].activation)
    n_features, n_outputs = core.input_shape[1], core.output_shape[1]
    stack = build_dense(n_features, n_outputs, activation, network, {}, None, (0, 0, 0), lanes=len(values))
    of_variables = zip(*(one[: len(stack.variables)] for one in values), strict=True)
    set_values(stack, [to_stack(np.stack(of_one)) for of_one in of_variables])
    return stack


def to_stack(value: np.ndarray) -> np.ndarray:
    """A trainable variable of several networks, (lanes, ...), as a stack has it, (..., lanes, n_out)."""
    return np.moveaxis(value, 0, -2)


def from_stack(value: np.ndarray) -> np.ndarray:
    """The inverse of `to_stack`."""
    return np.moveaxis(value, -2, 0)


def _build_own(n_features, n_outputs, output_activation, build, penalty, key) -> keras.Model:
    """The network of the user's function `build`, checked; arguments and errors as of `build_core`."""
    function = functions.load(build, "network.build")
    # Layers without a seed of their own draw one from Python's generator when they are built.
    keras.utils.set_random_seed(derive(*key, "build"))
    where = f"network.build: {quote(build)}"
    try:
        core = function(n_features, n_outputs, output_activation, regularizers(penalty))
        if isinstance(core, keras.Sequential) and not core.built:
            core.build((None, n_features))
        if isinstance(core, keras.Model):
            outputs = core(keras.Input((n_features,)))
    except (Exception, SystemExit) as error:
        raise RegfoldError(f"{where} failed: {functions.on_one_line(error)}") from error
    if not isinstance(core, keras.Model):
        raise RegfoldError(f"{where} returned a {type(core).__name__}; expected a keras.Model")
    shape = keras.tree.map_structure(lambda output: tuple(output.shape), outputs)
    if shape != (None, n_outputs):
        raise RegfoldError(
            f"{where} returned a network with output shape {shape}; expected (None, {n_outputs})"
        )
    if any(isinstance(layer, keras.layers.Lambda) for layer in _all_layers(core)):
        raise RegfoldError(
            f"{where} has a Lambda layer, which Keras refuses to load from a file; "
            "expected keras.ops, or a layer class of your own"
        )
    return core


def _all_layers(layer: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    """The layers of a network, at every depth."""
    for inner in getattr(layer, "layers", ()):
        yield inner
        yield from _all_layers(inner)


def assemble(
    cores: Sequence[keras.Model], width: int, statistics: Standardization, target: TargetScale | None
) -> keras.Model:
    """The network that is saved: encoded rows in, class probabilities or numbers in the targets' units out.

    The outputs of several core networks are averaged. The statistics are constants of the graph, which
    consists of Keras' own operations, so that `model.keras` loads with plain Keras. Numbers in the targets'
    units are float64, see `TargetScale`.

    Args:
        cores: the core network of each seed.
        width: the number of columns of an encoded row.
        statistics: of the features.
        target: the scale of a regression's targets; None for classes.
    """
    inputs = rows = keras.Input((width,), name="row")
    if len(statistics.keep) != width:
        rows = ops.take(rows, statistics.keep, axis=1)
    rows = ops.where(ops.isnan(rows), statistics.median, rows)
    rows = (rows - statistics.mean) * statistics.scale
    if len(cores) > 1:  # wrapped, as the layers of a network must have distinct names
        cores = [
            keras.Sequential([keras.Input((len(statistics.keep),)), core], name=f"network_{number}")
            for number, core in enumerate(cores, start=1)
        ]
    outputs = [core(rows) for core in cores]
    if target is not None:
        outputs = [ops.cast(output, "float64") * target.deviation + target.mean for output in outputs]
    outputs = outputs[0] if len(outputs) == 1 else ops.mean(ops.stack(outputs), axis=0)
    return keras.Model(inputs, outputs, name="regfold")


def hidden_model(core: keras.Model) -> keras.Model | None:
    """A model of the outputs of a network's hidden layers: of all layers with a kernel but the last.

    None if there are none, or if the outputs of a user's own network cannot be reached.
    """
    if not isinstance(core, keras.Sequential) and not hasattr(core, "operations"):
        return None
    layers = [layer for layer in core.layers if hasattr(layer, "kernel")][:-1]
    try:
        layers = [layer for layer in layers if len(layer.output.shape) == 2]
        return keras.Model(core.inputs[0], {layer.name: layer.output for layer in layers}) if layers else None
    except (AttributeError, ValueError):  # a layer without one output, such as one that is called twice
        return None


def variables(core: keras.Model) -> list[keras.Variable]:
    """All variables, trainable ones first: the order of programs and states."""
    return [*core.trainable_variables, *core.non_trainable_variables]


def set_values(core: keras.Model, values: list[np.ndarray]) -> None:
    """Assign values to all variables, in the order of `variables`."""
    for variable, value in zip(variables(core), values, strict=True):
        variable.assign(value)


def weights_digest(network: keras.Model) -> str:
    """The SHA-256 of all variables' values, which unlike that of the .keras file contains no times."""
    digest = hashlib.sha256()
    for variable in network.variables:
        digest.update(np.ascontiguousarray(variable).tobytes())
    return digest.hexdigest()
