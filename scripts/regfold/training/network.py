"""A cell's network: the core that is trained, and around it what takes encoded rows to units."""

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
    """The network that is trained: standardized features in, class probabilities or standardized targets out.

    Args:
        n_features: columns that the network sees.
        n_outputs: classes, or targets.
        output_activation: see config.losses.
        network: the model's resolved network section; `build` names the user's own function.
        penalty: the model's resolved penalty section.
        key: (seed, repeat, fold), from which initial weights and dropout masks derive.

    Raises:
        RegfoldError: if the user's function fails or returns something that is no fitting network.
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

    Kernel and bias penalties act on every layer, the output's too (a network could otherwise move its size
    there); activity penalties and dropout act on the hidden layers.

    Args:
        regularizers: the keyword arguments of a layer, see penalty.regularizers.
        dropout: makes the layer behind each hidden one, from `seed` and `name`; None: there is none.
        lanes: None: one network. A number: a stack of so many, with the lane as the last axis but one:
            outputs (n, lanes, n_outputs), kernels (n_in, lanes, n_out), biases (lanes, n_out).
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
        core: one of them.
        network: the resolved network section.
        values: the variables' values of each, trainable ones first.
    """
    activation = keras.activations.serialize(core.layers[-1].activation)
    n_features, n_outputs = core.input_shape[1], core.output_shape[1]
    stack = build_dense(n_features, n_outputs, activation, network, {}, None, (0, 0, 0), lanes=len(values))
    of_variables = zip(*(one[: len(stack.variables)] for one in values), strict=True)
    set_values(stack, [to_stack(np.stack(of_one)) for of_one in of_variables])
    return stack


def to_stack(value: np.ndarray) -> np.ndarray:
    """A trainable variable of several networks, (lanes, ...), as a stack has it."""
    return np.moveaxis(value, 0, -2)


def from_stack(value: np.ndarray) -> np.ndarray:
    """The opposite of `to_stack`."""
    return np.moveaxis(value, -2, 0)


def _build_own(n_features, n_outputs, output_activation, build, penalty, key) -> keras.Model:
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
    """The layers in a network, nested ones too."""
    for inner in getattr(layer, "layers", ()):
        yield inner
        yield from _all_layers(inner)


def assemble(
    cores: Sequence[keras.Model], width: int, statistics: Standardization, target: TargetScale | None
) -> keras.Model:
    """The network as it is saved: an encoded row of `width` columns in, probabilities or target units out.

    Of several cores the outputs are averaged. The statistics are constants of the graph, made of Keras' own
    operations, so that `model.keras` loads with plain Keras. Targets in their units are float64, see
    `TargetScale`.
    """
    inputs = rows = keras.Input((width,), name="row")
    if len(statistics.keep) != width:
        rows = ops.take(rows, statistics.keep, axis=1)
    rows = ops.where(ops.isnan(rows), statistics.median, rows)
    rows = (rows - statistics.mean) * statistics.scale
    if len(cores) > 1:  # wrapped, as layers of one network need names of their own
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
    """A network's hidden layers as outputs: the layers with a kernel but the last.

    None where there are none, or the graph of a user's own network cannot be cut there.
    """
    if not isinstance(core, keras.Sequential) and not hasattr(core, "operations"):
        return None
    layers = [layer for layer in core.layers if hasattr(layer, "kernel")][:-1]
    try:
        layers = [layer for layer in layers if len(layer.output.shape) == 2]
        return keras.Model(core.inputs[0], {layer.name: layer.output for layer in layers}) if layers else None
    except (AttributeError, ValueError):  # a layer that is called in a way of its own
        return None


def variables(core: keras.Model) -> list[keras.Variable]:
    """All variables, the trainable ones first, as programs and states list them."""
    return [*core.trainable_variables, *core.non_trainable_variables]


def set_values(core: keras.Model, values: list[np.ndarray]) -> None:
    """Give the variables these values."""
    for variable, value in zip(variables(core), values, strict=True):
        variable.assign(value)


def weights_digest(network: keras.Model) -> str:
    """A hash of all variables' values: equal networks have equal digests, whatever the file's bytes are."""
    digest = hashlib.sha256()
    for variable in network.variables:
        digest.update(np.ascontiguousarray(variable).tobytes())
    return digest.hexdigest()
