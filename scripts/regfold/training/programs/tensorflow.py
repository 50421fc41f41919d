"""The program on TensorFlow: one XLA program that trains all lanes for several epochs, and predictions."""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, lru_cache, partial

import keras
import numpy as np
import tensorflow as tf

from regfold.config.losses import CLASSIFICATION, output_activation
from regfold.data.matrix import ALIGNMENT
from regfold.training import losses
from regfold.training import network as networks
from regfold.training import optimizer as optimizers
from regfold.training.programs import proximal
from regfold.training.programs.base import GRADIENTS_ALONE, STRENGTHS, WEIGHTS, Arrays, Rows

# The most epochs and steps of one call, and the most bytes that the variables after all of its epochs take.
MOST_EPOCHS, MOST_STEPS, MOST_BYTES = 64, 4096, 64 * 2**20
# Rows are predicted in chunks of this many, so that the outputs of hidden layers stay small.
CHUNK = 8192


def set_up(pool: int) -> list[str]:
    """Configure TensorFlow before its first operation: threads, and GPU memory that grows with need.

    Args:
        pool: the number of threads that share one operation.

    Returns:
        the names of the GPUs that TensorFlow sees.
    """
    tf.config.threading.set_intra_op_parallelism_threads(pool)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    gpus = tf.config.list_physical_devices("GPU")
    for device in gpus:
        tf.config.experimental.set_memory_growth(device, True)
    return [tf.config.experimental.get_device_details(device).get("device_name", "GPU") for device in gpus]


class Traced:
    """What the penalties and dropout layers of a network read while a training step is traced.

    In a stack of networks the lane is the last axis but one of every variable and output.

    Args:
        stacked: whether the network is a stack.

    Attributes:
        strengths: name -> scalar tensor, or (lanes, 1) for a stack; {} while no step is traced.
        mask: float32 (batch,), 1 for a row of the batch and 0 for padding; None while no step is traced.
        count: scalar tensor, the number of rows of the batch without padding; None likewise.
    """

    def __init__(self, stacked: bool = False):
        self.stacked = stacked
        self.strengths, self.mask, self.count = {}, None, None

    @contextmanager
    def step(self, strengths: tf.Tensor, mask: tf.Tensor, count: tf.Tensor) -> Iterator[None]:
        """Trace a step, with strengths (lanes, len(STRENGTHS)), in the block."""
        columns = tf.split(strengths, len(STRENGTHS), axis=1)
        columns = columns if self.stacked else [column[0, 0] for column in columns]
        self.strengths = dict(zip(STRENGTHS, columns, strict=True))
        self.mask, self.count = mask, count
        try:
            yield
        finally:
            self.strengths, self.mask, self.count = {}, None, None

    def total(self, entries: tf.Tensor) -> tf.Tensor:
        """The sum over a network's entries: a scalar, or (lanes,) for a stack."""
        axes = [axis for axis in range(len(entries.shape)) if axis != len(entries.shape) - 2]
        return tf.reduce_sum(entries, axes if self.stacked else None)


class Penalty(keras.regularizers.Regularizer):
    """Keras' L1L2, but with strengths that are an input of the program; of one network or of a stack.

    Args:
        traced: provides the strengths.
        part: kernel, bias or activity.
        norms: l1, l2 or both.
    """

    def __init__(self, traced: Traced, part: str, norms: Sequence[str] = ("l1", "l2")):
        self.traced, self.part, self.norms = traced, part, norms

    def __call__(self, values: tf.Tensor) -> tf.Tensor:
        if not self.traced.strengths:  # no training step is traced: the network predicts
            return tf.zeros(())
        functions = {"l1": tf.abs, "l2": tf.square}
        terms = [
            self.traced.strengths[f"{self.part}_{norm}"] * functions[norm](values) for norm in self.norms
        ]
        return self.total(sum(terms))

    def total(self, entries: tf.Tensor) -> tf.Tensor:
        return self.traced.total(entries)


class ActivityPenalty(Penalty):
    """A penalty on a hidden layer's outputs, without those of padding."""

    def total(self, entries: tf.Tensor) -> tf.Tensor:
        # Keras divides by the number of rows in the batch, padding included; this undoes it.
        n_padded = tf.cast(tf.shape(entries)[0], tf.float32)
        mask = tf.reshape(self.traced.mask, (-1, *[1] * (len(entries.shape) - 1)))
        return self.traced.total(entries * mask) * n_padded / self.traced.count


class Dropout(keras.layers.Dropout):
    """Keras' Dropout, but with a rate that is an input of the program; networks of a stack share the draws.

    On a CPU nothing is drawn if the rate is 0. (On a GPU such a condition would wait for the host.)
    """

    def __init__(self, traced: Traced, **more):
        super().__init__(0.5, **more)
        self.traced = traced

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        if not training:
            return inputs
        rate, seed = self.traced.strengths["dropout"], _Drawn(self.seed_generator.next())
        shape = inputs.shape.as_list()

        def draw() -> tf.Tensor:
            drawn = [*shape[:-2], 1, shape[-1]] if self.traced.stacked else shape
            return keras.random.uniform(drawn, seed=seed) >= rate

        nothing = tf.reduce_all(rate == 0)
        kept = draw() if _has_gpu() else tf.cond(nothing, lambda: tf.ones(shape, tf.bool), draw)
        return tf.where(kept, inputs / (1 - rate), 0.0)


class _Drawn(keras.random.SeedGenerator):
    """Returns a seed that was drawn before: in a branch of tf.cond no generator can change its state."""

    def __init__(self, seed: tf.Tensor):
        self.drawn = seed

    def next(self, ordered: bool = True) -> tf.Tensor:
        return self.drawn


def needs_dropout(rates: Iterable[float]) -> bool:
    """Whether the program of networks with these dropout rates has dropout layers.

    On a CPU it always has, so that models with and without dropout share it: a rate of 0 takes no time.
    """
    return not _has_gpu() or any(rates)


def _has_gpu() -> bool:
    return bool(tf.config.list_physical_devices("GPU"))


@lru_cache(maxsize=8)
def dense_program(
    network: str,
    optimizer: str,
    *,
    n_features: int,
    n_outputs: int,
    loss: str,
    with_dropout: bool,
    step: str = GRADIENTS_ALONE,
    lanes: int = 1,
    **shapes,
) -> "TensorFlowProgram":
    """The program of regfold's own network; the same object for the same arguments.

    Args:
        network: the model's resolved network section, as JSON.
        optimizer: the model's resolved optimizer, as JSON.
        with_dropout: whether there are dropout layers, see `needs_dropout`.
        step: what the proximal step acts on, see base.proximal.
        lanes: the number of networks side by side.
        n_features, n_outputs, loss, shapes: see TensorFlowProgram.
    """
    traced = Traced(stacked=lanes > 1)
    regularizers = {
        "kernel_regularizer": Penalty(traced, "kernel", ("l2",) if step == WEIGHTS else ("l1", "l2")),
        "bias_regularizer": Penalty(traced, "bias"),
        "activity_regularizer": ActivityPenalty(traced, "activity"),
    }
    build = partial(
        networks.build_dense,
        n_features,
        n_outputs,
        output_activation(loss),
        json.loads(network),
        regularizers,
        key=(0, 0, 0),
    )
    dropout = partial(Dropout, traced) if with_dropout else None
    return TensorFlowProgram(
        build(dropout=None),
        traced,
        trained=build(dropout=dropout, lanes=lanes if lanes > 1 else None),
        optimizer=json.loads(optimizer),
        n_features=n_features,
        n_outputs=n_outputs,
        loss=loss,
        step=step,
        lanes=lanes,
        **shapes,
    )


class TensorFlowProgram:
    """See base.Program.

    The steps of Keras' own `train_step` (loss, plus the sum of `network.losses`, gradient, `optimizer.apply`)
    run over the minibatches inside one program, on rows that are copied to the device once.

    The last, smaller batch of an epoch is padded to the size of the others, so that the program does not
    depend on the number of rows. Padding has no part in losses and penalties. But a layer that uses the batch
    as a whole, such as BatchNormalization, would use the padding too. So for a network of the user's own the
    program is compiled for one number of rows, `exact_rows`, and the last batch is not padded.

    Several lanes are trained as one network, a stack, whose loss is the sum of theirs: the gradient of a
    lane's variables is that of its own loss, and an optimizer that works elementwise makes its own step.

    Args:
        network: one network, which predicts.
        traced: read by its penalties and dropout layers, if they are those of this module.
        optimizer: the optimizer's name and options.
        n_features, n_outputs: the number of inputs, and of classes or targets.
        loss: a resolved loss, see config.losses.
        batch_size: rows of a batch.
        n_padded: the number of training rows with padding.
        n_validation: the number of validation rows with padding, 0 without.
        weighted: whether rows have weights.
        step: what the proximal step behind each step of the optimizer acts on, see base.proximal.
        trained: the network that is trained: for several lanes the stack, see network.build_dense. It has the
            variables of `network`, and may have states of random generators behind them. None: `network`.
        lanes: the number of networks side by side.
        exact_rows: the number of training rows, see above; None: the last batch is padded.
    """

    def __init__(
        self,
        network: keras.Model,
        traced: Traced,
        *,
        optimizer: dict,
        n_features: int,
        n_outputs: int,
        loss: str,
        batch_size: int,
        n_padded: int,
        n_validation: int = 0,
        weighted: bool = False,
        step: str = GRADIENTS_ALONE,
        trained: keras.Model | None = None,
        lanes: int = 1,
        exact_rows: int | None = None,
    ):
        self.network, self.traced, self.settings, self.step = network, traced, optimizer, step
        self.stacked, self.trained = lanes > 1, trained or network
        self.batch_size, self.lanes, self.exact_rows = batch_size, lanes, exact_rows
        self.loss, self.classifies = loss, loss in CLASSIFICATION
        self.row_losses = losses.of_rows(loss)
        self.trainable = self.trained.trainable_variables
        self.others = self.trained.non_trainable_variables
        self.rate = None
        self.optimizer = self._new_optimizer()
        self.fresh_optimizer = [v.numpy() for v in self.optimizer.variables]
        self.n_steps = math.ceil(n_padded / batch_size)
        n_bytes = 4 * sum(math.prod(v.shape) for v in [*self.trainable, *self.others])
        most = min(MOST_EPOCHS, MOST_STEPS // self.n_steps, MOST_BYTES // max(1, n_bytes))
        self.most_epochs = max(1, most)
        self.n_features, self.n_outputs = n_features, n_outputs
        self.shapes = {"n_padded": n_padded, "n_validation": n_validation, "weighted": weighted}

    def start(
        self,
        rows: Rows,
        validation: Rows | None,
        strengths: np.ndarray,
        groups: np.ndarray,
        variables: Arrays,
        optimizer: Arrays,
    ) -> None:
        self.n_rows = rows.n_rows
        self.data = {
            "rows": _on_device(rows),
            "validation": _on_device(validation),
            "strengths": tf.constant(strengths),
            "groups": tf.constant(groups),
            "n_rows": tf.constant(rows.n_rows),
            "n_validation": tf.constant(validation.n_rows if validation else 0),
        }
        self.n_variables = len(variables)
        for index, variable in enumerate([*self.trainable, *self.others][: self.n_variables]):
            stacked = self.stacked and index < len(self.trainable)
            variable.assign(networks.to_stack(variables[index]) if stacked else variables[index][0])
        if not optimizer:
            copies = optimizers.copies_variables(self.settings)
            optimizer = self._new_optimizer().variables if copies else self.fresh_optimizer
        for variable, value in zip(self.optimizer.variables, optimizer, strict=True):
            variable.assign(value)

    def end(self) -> None:
        self.data = {}

    def epochs(self, orders: Sequence[np.ndarray], rates: np.ndarray) -> "TensorFlowEpochs":
        n_steps = math.ceil(self.n_rows / self.batch_size)
        batches = np.zeros((self.most_epochs * self.n_steps, self.batch_size), np.int32)
        padded = np.zeros(n_steps * self.batch_size, np.int32)
        for epoch, order in enumerate(orders):
            padded[: self.n_rows] = order
            batches[epoch * n_steps : (epoch + 1) * n_steps] = padded.reshape(n_steps, self.batch_size)
        step_rates = np.zeros(len(batches), np.float32)
        step_rates[: rates.size] = rates.ravel()
        count = len(orders)
        results = self._run(
            batches=tf.constant(batches),
            rates=tf.constant(step_rates),
            n_epochs=tf.constant(count),
            **self.data,
        )
        return TensorFlowEpochs(results, count, self._by_lane)

    def values(self) -> tuple[Arrays, Arrays]:
        variables = [v.numpy() for v in [*self.trainable, *self.others]]
        return self._by_lane(variables), [v.numpy() for v in self.optimizer.variables]

    def _by_lane(self, values: Arrays) -> Arrays:
        """The values of the training's variables as arrays (lanes, ...).

        The trained network may have more variables than the training: states of dropout that is not used.
        """
        values = values[: self.n_variables]
        n_stacked = len(self.trainable) if self.stacked else 0
        others = [np.repeat(value[None], self.lanes, axis=0) for value in values[n_stacked:]]
        return [*map(networks.from_stack, values[:n_stacked]), *others]

    def predict(self, variables: Arrays, features: np.ndarray) -> np.ndarray:
        (outputs,) = self._in_chunks(self._outputs, variables, features)
        return outputs

    def hidden(self, variables: Arrays, features: np.ndarray) -> dict[str, np.ndarray]:
        if self._hidden_model is None:
            return {}
        outputs = self._in_chunks(self._hidden_outputs, variables, features)
        return dict(zip(sorted(self._hidden_model.output), outputs, strict=True))

    # Prediction. Not compiled by XLA, which would take longer than these few calls.

    @cached_property
    def _hidden_model(self) -> keras.Model | None:
        return networks.hidden_model(self.network)

    @cached_property
    def _outputs(self):
        return self._forward(self.network, 1)

    @cached_property
    def _hidden_outputs(self):
        return self._forward(self._hidden_model, len(self._hidden_model.outputs))

    def _forward(self, model: keras.Model, n_outputs: int):
        """A function of (variables of k networks, features) that returns the list of a model's outputs."""
        variables = networks.variables(self.network)

        def outputs(networks_values: list[tf.Tensor], features: tf.Tensor) -> list[tf.Tensor]:
            def of_one(values: list[tf.Tensor]) -> list[tf.Tensor]:
                with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
                    return keras.tree.flatten(model(features, training=False))

            return tf.map_fn(of_one, networks_values, fn_output_signature=[tf.float32] * n_outputs)

        signature = [
            [tf.TensorSpec((None, *v.shape), v.dtype) for v in variables],
            tf.TensorSpec((None, self.n_features)),
        ]
        return tf.function(outputs, signature, autograph=False)

    def _in_chunks(self, function, variables: Arrays, features: np.ndarray) -> list[np.ndarray]:
        values = [tf.constant(value) for value in variables[: len(self.network.variables)]]
        starts = range(0, max(1, len(features)), CHUNK)
        parts = [[o.numpy() for o in function(values, features[start : start + CHUNK])] for start in starts]
        return [np.concatenate(part, axis=1) for part in zip(*parts, strict=True)]

    # Training

    def _new_optimizer(self) -> keras.optimizers.Optimizer:
        return optimizers.build(self.settings, lambda: self.rate, self.trainable, 3 if self.stacked else 2)

    @cached_property
    def _run(self):
        """`_epochs`, traced; XLA compiles it at the first call."""

        def rows(count: int) -> dict[str, tf.TensorSpec]:
            shape, kind = ((count,), tf.int32) if self.classifies else ((count, self.n_outputs), tf.float32)
            specs = {"features": tf.TensorSpec((count, self.n_features)), "truth": tf.TensorSpec(shape, kind)}
            return specs | ({"weights": tf.TensorSpec((count,))} if self.shapes["weighted"] else {})

        n_validation, n_batches = self.shapes["n_validation"], self.most_epochs * self.n_steps
        function = tf.function(self._epochs, jit_compile=True, autograph=False)
        return function.get_concrete_function(
            rows=rows(self.shapes["n_padded"]),
            validation=rows(n_validation) if n_validation else {},
            strengths=tf.TensorSpec((self.lanes, len(STRENGTHS))),
            groups=tf.TensorSpec((self.n_features,), tf.int32),
            batches=tf.TensorSpec((n_batches, self.batch_size), tf.int32),
            rates=tf.TensorSpec((n_batches,)),
            **{name: tf.TensorSpec((), tf.int32) for name in ("n_epochs", "n_rows", "n_validation")},
        )

    def _epochs(self, rows, validation, strengths, groups, batches, rates, n_epochs, n_rows, n_validation):
        """Train for n_epochs epochs.

        Returns:
            losses, objectives and validation losses, (most_epochs, lanes) each, and then all variables after
            each epoch, (most_epochs, ...) each.
        """
        n_steps = (n_rows + self.batch_size - 1) // self.batch_size
        variables = [*self.trainable, *self.others]
        shapes = [((self.lanes,), tf.float32)] * 3 + [(v.shape, v.dtype) for v in variables]
        kept = [
            tf.TensorArray(kind, self.most_epochs, element_shape=shape, clear_after_read=False)
            for shape, kind in shapes
        ]

        def epoch(index, kept):
            def step(i, loss, objective):
                at = index * n_steps + i
                count = tf.minimum(n_rows - i * self.batch_size, self.batch_size)
                batch, rate = tf.gather(batches, at), tf.gather(rates, at)
                more = self._step(rows, batch, count, strengths, groups, rate)
                return i + 1, loss + more[0], objective + more[1]

            zeros = tf.zeros(self.lanes)
            n_padded = n_steps if self.exact_rows is None else self.exact_rows // self.batch_size
            i, loss, objective = tf.while_loop(lambda i, *_: i < n_padded, step, (0, zeros, zeros))
            if self.exact_rows is not None and (n_last := self.exact_rows % self.batch_size):
                at = index * n_steps + i
                batch, rate = tf.gather(batches, at)[:n_last], tf.gather(rates, at)
                last = self._step(rows, batch, tf.constant(n_last), strengths, groups, rate)
                loss, objective = loss + last[0], objective + last[1]
            total = tf.cast(n_rows, tf.float32)
            values = loss / total, objective / total, self._validation_losses(validation, n_validation)
            values = [*values, *(v.value for v in variables)]
            return index + 1, [array.write(index, value) for array, value in zip(kept, values, strict=True)]

        _, kept = tf.while_loop(lambda index, _: index < n_epochs, epoch, (0, kept))
        return [array.stack() for array in kept]

    def _step(self, rows, batch, count, strengths, groups, rate) -> tuple[tf.Tensor, tf.Tensor]:
        """One step of the optimizer.

        Returns:
            the sums over the batch's rows of the loss and of the objective, (lanes,) each.
        """
        self.rate = rate
        mask = tf.cast(tf.range(batch.shape[0]) < count, tf.float32)
        count = tf.cast(count, tf.float32)
        features, truth = tf.gather(rows["features"], batch), self._truth(tf.gather(rows["truth"], batch))
        weights = mask * tf.gather(rows["weights"], batch) if "weights" in rows else mask
        trainable = [v.value for v in self.trainable]
        with self.traced.step(strengths, mask, count), _threefry():
            with tf.GradientTape() as tape:
                tape.watch(trainable)
                outputs, others, penalties = self.trained.stateless_call(
                    trainable,
                    [v.value for v in self.others],
                    features,
                    training=True,
                    return_losses=True,
                )
                loss = self._mean_loss(truth, outputs, weights, count)
                objective = loss + sum(penalties)
            gradients = tape.gradient(objective, trainable, unconnected_gradients="zero")
            objective += self._proximal_penalty(groups)
            for variable, value in zip(self.others, others, strict=True):
                variable.assign(value)
            if trainable:
                decay = strengths[:, STRENGTHS.index("weight_decay"), None]
                optimizers.set_weight_decay(self.optimizer, decay if self.stacked else decay[0, 0])
                self.optimizer.apply(gradients, self.trainable)
            self._proximal_step(groups)
        return count * loss, count * objective

    def _mean_loss(self, truth, outputs, weights, count) -> tf.Tensor:
        """The sum of the rows' weighted losses, divided by the number of rows: (lanes,)."""
        if self.stacked:
            truth, weights = tf.broadcast_to(truth[:, None], tf.shape(outputs)), weights[:, None]
        losses = tf.reduce_sum(weights * self.row_losses(truth, outputs), axis=0) / count
        return tf.reshape(losses, (self.lanes,))

    def _kernels(self) -> Iterator[tuple[int, keras.Variable]]:
        """The kernels, each with its index among the trainable variables."""
        return ((i, v) for i, v in enumerate(self.trainable) if v.path.endswith("/kernel"))

    def _proximal_penalty(self, groups) -> tf.Tensor | float:
        """The penalty that the proximal step minimizes, (lanes,), while a step is traced."""
        if self.step == GRADIENTS_ALONE:
            return 0.0
        if self.step == WEIGHTS:
            sums = [self.traced.total(tf.abs(v.value)) for _, v in self._kernels()]
            total, strength = sum(sums), self.traced.strengths["kernel_l1"]
        else:
            _, kernel = next(self._kernels())
            total = self.traced.total(proximal.group_norms(kernel.value, groups))
            strength = self.traced.strengths["group"]
        return tf.reshape(strength, (self.lanes,)) * total

    def _proximal_step(self, groups) -> None:
        """The proximal step behind a step of the optimizer, see base.proximal, while a step is traced."""
        if self.step == GRADIENTS_ALONE:
            return
        for index, kernel in self._kernels():
            sizes = optimizers.step_sizes(self.optimizer, index)
            if self.step == WEIGHTS:
                strength = self.traced.strengths["kernel_l1"]
                kernel.assign(proximal.soft_threshold(kernel.value, sizes, strength))
            else:
                strength = self.traced.strengths["group"]
                kernel.assign(proximal.shrink_groups(kernel.value, sizes, strength, groups))
                break  # the groups are those of the first layer

    def _validation_losses(self, validation, n_validation) -> tf.Tensor:
        if not validation:
            return tf.fill((self.lanes,), math.nan)
        count, truth = tf.cast(n_validation, tf.float32), self._truth(validation["truth"])
        weights = tf.cast(tf.range(self.shapes["n_validation"]) < n_validation, tf.float32)
        if "weights" in validation:
            weights *= validation["weights"]
        values = [v.value for v in self.trainable], [v.value for v in self.others]
        outputs, _ = self.trained.stateless_call(*values, validation["features"], training=False)
        return self._mean_loss(truth, outputs, weights, count)

    def _truth(self, truth: tf.Tensor) -> tf.Tensor:
        """The truth in the form of the network's outputs: class codes one-hot, numbers as they are."""
        return tf.one_hot(truth, self.n_outputs) if self.classifies else truth


class TensorFlowEpochs:
    """See base.Epochs."""

    def __init__(self, results: list[tf.Tensor], count: int, by_lane: Callable[[Arrays], Arrays]):
        losses = [np.asarray(values[:count], np.float64) for values in results[:3]]
        self.losses, self.objectives, self.validation_losses = losses
        self._results, self._by_lane = results[3:], by_lane

    @cached_property
    def _stacks(self) -> Arrays:
        """All variables after each epoch, copied at once, which is faster than slicing tensors."""
        return [stack.numpy() for stack in self._results]

    def variables(self, index: int) -> Arrays:
        return self._by_lane([stack[index].copy() for stack in self._stacks])


def _on_device(rows: Rows | None) -> dict[str, tf.Tensor]:
    """The rows as tensors on the device. They may share memory with the arrays, which must not be changed."""
    if rows is None:
        return {}
    arrays = {"features": rows.features, "truth": rows.truth}
    arrays |= {} if rows.weights is None else {"weights": rows.weights}
    return {name: _tensor(values) for name, values in arrays.items()}


def _tensor(values: np.ndarray) -> tf.Tensor:
    """The array as a tensor, on a CPU without a copy if TensorFlow can use the array's memory.

    `tf.convert_to_tensor` holds the values three times for a while.
    """
    if _has_gpu() or values.ctypes.data % ALIGNMENT or not values.flags.c_contiguous:
        return tf.convert_to_tensor(values)
    return tf.experimental.dlpack.from_dlpack(values.__dlpack__())


# The functions with which Keras draws random numbers. The algorithm that XLA selects for them on a CPU takes
# 500 us for the dropout mask of one small batch, ThreeFry 4 us.
RANDOM_FUNCTIONS = (
    (tf.nn.experimental, "stateless_dropout", "rng_alg"),
    (tf.random, "stateless_uniform", "alg"),
    (tf.random, "stateless_normal", "alg"),
    (tf.random, "stateless_truncated_normal", "alg"),
)


@contextmanager
def _threefry() -> Iterator[None]:
    """Make Keras' random layers draw with ThreeFry while they are traced in the block."""
    before = [getattr(place, name) for place, name, _ in RANDOM_FUNCTIONS]
    try:
        for (place, name, argument), function in zip(RANDOM_FUNCTIONS, before, strict=True):
            setattr(place, name, partial(function, **{argument: "threefry"}))
        yield
    finally:
        for (place, name, _), function in zip(RANDOM_FUNCTIONS, before, strict=True):
            setattr(place, name, function)
