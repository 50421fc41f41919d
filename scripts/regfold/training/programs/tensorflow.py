"""The program on TensorFlow: one XLA program for several epochs of all lanes, and one that predicts."""

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, lru_cache, partial

import keras
import numpy as np
import tensorflow as tf

from regfold.data.matrix import ALIGNMENT
from regfold.training import network as networks
from regfold.training import optimizer as optimizers
from regfold.training.programs.base import STRENGTHS, Arrays, Rows

# One call runs at most so many epochs and steps, and keeps the variables of each epoch within so many bytes.
MOST_EPOCHS, MOST_STEPS, MOST_BYTES = 64, 4096, 64 * 2**20
# Rows are predicted in parts of this many, so that the outputs of hidden layers stay small.
CHUNK = 8192


def set_up(pool: int) -> list[str]:
    """Give TensorFlow, before its first operation, a thread pool of this size and growing GPU memory.

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
    """What the layers of a program's network look at while a training step is traced; {} otherwise.

    Attributes:
        strengths: name -> scalar tensor, of the lane that is being traced.
        mask: float32 (batch,), 1 for a row of the batch and 0 for padding.
        count: scalar tensor, the rows of the batch without padding.
    """

    def __init__(self):
        self.strengths, self.mask, self.count = {}, None, None

    @contextmanager
    def step(self, strengths: tf.Tensor, mask: tf.Tensor, count: tf.Tensor) -> Iterator[None]:
        """A step of a lane with strengths (len(STRENGTHS),) is traced."""
        self.strengths = dict(zip(STRENGTHS, tf.unstack(strengths), strict=True))
        self.mask, self.count = mask, count
        try:
            yield
        finally:
            self.__init__()


class Penalty(keras.regularizers.Regularizer):
    """Keras' L1L2 with strengths that go into the program as data."""

    def __init__(self, traced: Traced, part: str):
        self.traced, self.part = traced, part

    def __call__(self, values: tf.Tensor) -> tf.Tensor:
        if not self.traced.strengths:  # nothing is trained: the network predicts
            return tf.zeros(())
        l1, l2 = (self.traced.strengths[f"{self.part}_{norm}"] for norm in ("l1", "l2"))
        return self.total(l1 * tf.abs(values) + l2 * tf.square(values))

    def total(self, entries: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(entries)


class ActivityPenalty(Penalty):
    """The same on a hidden layer's outputs: rows of padding count for nothing."""

    def total(self, entries: tf.Tensor) -> tf.Tensor:
        # Keras divides by the rows of the batch, padding included.
        n_padded = tf.cast(tf.shape(entries)[0], tf.float32)
        return tf.reduce_sum(entries * self.traced.mask[:, None]) * n_padded / self.traced.count


class Dropout(keras.layers.Dropout):
    """Keras' Dropout with a rate that goes into the program as data."""

    def __init__(self, traced: Traced, **more):
        super().__init__(0.5, **more)
        self.traced = traced

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        if not training:
            return inputs
        rate = self.traced.strengths["dropout"]
        kept = keras.random.uniform(tf.shape(inputs), seed=self.seed_generator) >= rate
        return tf.where(kept, inputs / (1 - rate), 0.0)


@lru_cache(maxsize=8)
def dense_program(
    network: str,
    optimizer: str,
    *,
    n_features: int,
    n_outputs: int,
    task: str,
    with_dropout: bool,
    **shapes,
) -> "TensorFlowProgram":
    """The program of regfold's own network, the same one for the same arguments.

    Args:
        network: the model's resolved network section, as JSON.
        optimizer: the model's optimizer, as JSON.
        with_dropout: whether there is dropout, of whatever rate.
        shapes: further arguments of TensorFlowProgram.
    """
    traced = Traced()
    regularizers = {f"{part}_regularizer": Penalty(traced, part) for part in ("kernel", "bias")}
    regularizers["activity_regularizer"] = ActivityPenalty(traced, "activity")
    core = networks.build_dense(
        n_features,
        n_outputs,
        "softmax" if task == "classification" else "linear",
        json.loads(network),
        regularizers,
        partial(Dropout, traced) if with_dropout else None,
        (0, 0, 0),
    )
    return TensorFlowProgram(
        core,
        traced,
        optimizer=json.loads(optimizer),
        n_features=n_features,
        n_outputs=n_outputs,
        task=task,
        **shapes,
    )


class TensorFlowProgram:
    """See base.Program.

    Keras' own `train_step` (loss, plus the sum of `network.losses`, gradient, `optimizer.apply`) runs over
    the minibatches inside one program, on rows that were put on the device once.

    The last, smaller batch of an epoch is padded to the size of the others, so that the program does not
    depend on the number of rows. Padding has no part in losses and penalties. A layer that looks at a batch
    as a whole, such as BatchNormalization, would see it: for a network of the user's own the program is made
    for one number of rows, `exact_rows`, and its last batch has the rows that it has.

    Args:
        network: the network to trace; with one lane its variables are trained in place.
        traced: what its penalties and its dropout look at, where these come from this module.
        optimizer: the optimizer, its name and its options.
        n_features, n_outputs: columns of what goes in and of what comes out.
        task: "classification" (cross-entropy) or "regression" (mean squared error).
        batch_size: rows of a batch.
        n_padded: rows of the padded training rows.
        n_validation: rows of the padded validation rows, 0 without.
        weighted: whether rows have weights.
        lanes: networks side by side.
        exact_rows: see above; None: the last batch is padded.
    """

    def __init__(
        self,
        network: keras.Model,
        traced: Traced,
        *,
        optimizer: dict,
        n_features: int,
        n_outputs: int,
        task: str,
        batch_size: int,
        n_padded: int,
        n_validation: int = 0,
        weighted: bool = False,
        lanes: int = 1,
        exact_rows: int | None = None,
    ):
        self.network, self.traced, self.settings = network, traced, optimizer
        self.batch_size, self.lanes, self.exact_rows = batch_size, lanes, exact_rows
        self.classifies = task == "classification"
        losses = keras.losses.CategoricalCrossentropy, keras.losses.MeanSquaredError
        self.row_losses = losses[not self.classifies](reduction=None)
        self.trainable = [self._stacked(v) for v in network.trainable_variables]
        self.others = [self._stacked(v) for v in network.non_trainable_variables]
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
        self, rows: Rows, validation: Rows | None, strengths: np.ndarray, variables: Arrays, optimizer: Arrays
    ) -> None:
        self.n_rows = rows.n_rows
        self.data = {
            "rows": _on_device(rows),
            "validation": _on_device(validation),
            "strengths": tf.constant(strengths),
            "n_rows": tf.constant(rows.n_rows),
            "n_validation": tf.constant(validation.n_rows if validation else 0),
        }
        for variable, value in zip([*self.trainable, *self.others], variables, strict=True):
            variable.assign(value if self.lanes > 1 else value[0])
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
        return TensorFlowEpochs(results, count, self.lanes)

    def values(self) -> tuple[Arrays, Arrays]:
        variables = [v.numpy() for v in [*self.trainable, *self.others]]
        return variables if self.lanes > 1 else [v[None] for v in variables], [
            v.numpy() for v in self.optimizer.variables
        ]

    def predict(self, variables: Arrays, features: np.ndarray) -> np.ndarray:
        (outputs,) = self._in_chunks(self._outputs, variables, features)
        return outputs

    def hidden(self, variables: Arrays, features: np.ndarray) -> dict[str, np.ndarray]:
        if self._hidden_model is None:
            return {}
        outputs = self._in_chunks(self._hidden_outputs, variables, features)
        return dict(zip(sorted(self._hidden_model.output), outputs, strict=True))

    # Prediction. Not compiled: the rows pass through it too seldom.

    @cached_property
    def _hidden_model(self) -> keras.Model | None:
        return networks.hidden_model(self.network)

    @cached_property
    def _outputs(self):
        return self._forward(self.network)

    @cached_property
    def _hidden_outputs(self):
        return self._forward(self._hidden_model)

    def _forward(self, model: keras.Model):
        """A function of (variables, features) that gives the list of a model's outputs, for k networks."""
        variables, n_outputs = networks.variables(self.network), len(keras.tree.flatten(model.outputs))

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

    @staticmethod
    def _in_chunks(function, variables: Arrays, features: np.ndarray) -> list[np.ndarray]:
        values = [tf.constant(value) for value in variables]
        starts = range(0, max(1, len(features)), CHUNK)
        parts = [[o.numpy() for o in function(values, features[start : start + CHUNK])] for start in starts]
        return [np.concatenate(part, axis=1) for part in zip(*parts, strict=True)]

    # Training

    def _stacked(self, variable: keras.Variable) -> keras.Variable:
        """A variable of all lanes: with one lane the network's own."""
        if self.lanes == 1:
            return variable
        value = np.repeat(variable.numpy()[None], self.lanes, axis=0)
        return keras.Variable(value, dtype=variable.dtype, trainable=variable.trainable, name=variable.name)

    def _new_optimizer(self) -> keras.optimizers.Optimizer:
        rank = 2 if self.lanes == 1 else 3
        return optimizers.build(self.settings, lambda: self.rate, self.trainable, rank)

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
            batches=tf.TensorSpec((n_batches, self.batch_size), tf.int32),
            rates=tf.TensorSpec((n_batches,)),
            **{name: tf.TensorSpec((), tf.int32) for name in ("n_epochs", "n_rows", "n_validation")},
        )

    def _epochs(self, rows, validation, strengths, batches, rates, n_epochs, n_rows, n_validation):
        """Losses, objectives, validation losses (most_epochs, lanes), and all variables after each epoch."""
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
                more = self._step(rows, tf.gather(batches, at), count, strengths, tf.gather(rates, at))
                return i + 1, loss + more[0], objective + more[1]

            zeros = tf.zeros(self.lanes)
            n_padded = n_steps if self.exact_rows is None else self.exact_rows // self.batch_size
            i, loss, objective = tf.while_loop(lambda i, *_: i < n_padded, step, (0, zeros, zeros))
            if self.exact_rows is not None and (n_last := self.exact_rows % self.batch_size):
                at = index * n_steps + i
                last = self._step(
                    rows,
                    tf.gather(batches, at)[:n_last],
                    tf.constant(n_last),
                    strengths,
                    tf.gather(rates, at),
                )
                loss, objective = loss + last[0], objective + last[1]
            total = tf.cast(n_rows, tf.float32)
            values = loss / total, objective / total, self._validation_losses(validation, n_validation)
            values = [*values, *(v.value for v in variables)]
            return index + 1, [array.write(index, value) for array, value in zip(kept, values, strict=True)]

        _, kept = tf.while_loop(lambda index, _: index < n_epochs, epoch, (0, kept))
        return [array.stack() for array in kept]

    def _step(self, rows, batch, count, strengths, rate) -> tuple[tf.Tensor, tf.Tensor]:
        """One step of the optimizer; the sums over the batch's rows of each lane's loss and objective."""
        self.rate = rate
        mask = tf.cast(tf.range(batch.shape[0]) < count, tf.float32)
        count = tf.cast(count, tf.float32)
        features, truth = tf.gather(rows["features"], batch), self._truth(tf.gather(rows["truth"], batch))
        weights = mask * tf.gather(rows["weights"], batch) if "weights" in rows else mask

        def lane(values):
            trainable, others, strengths = values
            with self.traced.step(strengths, mask, count), tf.GradientTape() as tape, _threefry():
                tape.watch(trainable)
                outputs, others, penalties = self.network.stateless_call(
                    trainable, others, features, training=True, return_losses=True
                )
                loss = tf.reduce_sum(weights * self.row_losses(truth, outputs)) / count
                objective = loss + sum(penalties)
            gradients = tape.gradient(objective, trainable, unconnected_gradients="zero")
            return count * loss, count * objective, gradients, others

        loss, objective, gradients, others = self._over_lanes(lane, strengths)
        for variable, value in zip(self.others, others, strict=True):
            variable.assign(value)
        if self.trainable:
            decay = strengths[:, STRENGTHS.index("weight_decay")]
            optimizers.set_weight_decay(self.optimizer, decay[0] if self.lanes == 1 else decay[:, None, None])
            self.optimizer.apply(gradients, self.trainable)
        return loss, objective

    def _validation_losses(self, validation, n_validation) -> tf.Tensor:
        if not validation:
            return tf.fill((self.lanes,), math.nan)
        count, truth = tf.cast(n_validation, tf.float32), self._truth(validation["truth"])
        weights = tf.cast(tf.range(self.shapes["n_validation"]) < n_validation, tf.float32)
        if "weights" in validation:
            weights *= validation["weights"]

        def lane(values):
            trainable, others, _ = values
            outputs, _ = self.network.stateless_call(
                trainable, others, validation["features"], training=False
            )
            return tf.reduce_sum(weights * self.row_losses(truth, outputs)) / count

        return self._over_lanes(lane, tf.zeros((self.lanes, len(STRENGTHS))))

    def _over_lanes(self, function, strengths):
        """What a function of (trainable, other variables, strengths) gives for each lane.

        Losses get a lane axis; variables and gradients have the shapes of `trainable` and `others`.
        """
        values = [v.value for v in self.trainable], [v.value for v in self.others]
        if self.lanes > 1:
            return tf.vectorized_map(function, (*values, strengths))
        results = function((*values, strengths[0]))
        if not isinstance(results, tuple):
            return results[None]
        loss, objective, *rest = results
        return loss[None], objective[None], *rest

    def _truth(self, truth: tf.Tensor) -> tf.Tensor:
        """Class codes as the network's outputs have them, one-hot; numbers as they are."""
        return tf.one_hot(truth, self.n_outputs) if self.classifies else truth


class TensorFlowEpochs:
    """See base.Epochs."""

    def __init__(self, results: list[tf.Tensor], count: int, lanes: int):
        losses = [np.asarray(values[:count], np.float64) for values in results[:3]]
        self.losses, self.objectives, self.validation_losses = losses
        self._variables, self._lanes = results[3:], lanes

    def variables(self, index: int) -> Arrays:
        values = [stack[index].numpy() for stack in self._variables]
        return values if self._lanes > 1 else [value[None] for value in values]


def _on_device(rows: Rows | None) -> dict[str, tf.Tensor]:
    """Rows where the training is. The arrays must not be changed any more."""
    if rows is None:
        return {}
    arrays = {"features": rows.features, "truth": rows.truth}
    arrays |= {} if rows.weights is None else {"weights": rows.weights}
    return {name: _tensor(values) for name, values in arrays.items()}


def _tensor(values: np.ndarray) -> tf.Tensor:
    """A tensor; on a CPU the array's own memory, if TensorFlow can use it.

    (`tf.convert_to_tensor` would hold the values three times for a while.)
    """
    if (
        tf.config.list_physical_devices("GPU")
        or values.ctypes.data % ALIGNMENT
        or not values.flags.c_contiguous
    ):
        return tf.convert_to_tensor(values)
    return tf.experimental.dlpack.from_dlpack(values.__dlpack__())


# Keras draws its random numbers with these. What XLA selects for them on a CPU by itself takes 500 us for the
# dropout mask of one small batch; ThreeFry takes 4 us.
RANDOM_FUNCTIONS = (
    (tf.nn.experimental, "stateless_dropout", "rng_alg"),
    (tf.random, "stateless_uniform", "alg"),
    (tf.random, "stateless_normal", "alg"),
    (tf.random, "stateless_truncated_normal", "alg"),
)


@contextmanager
def _threefry() -> Iterator[None]:
    """Have Keras' random layers draw with ThreeFry while they are traced."""
    before = [getattr(place, name) for place, name, _ in RANDOM_FUNCTIONS]
    try:
        for (place, name, argument), function in zip(RANDOM_FUNCTIONS, before, strict=True):
            setattr(place, name, partial(function, **{argument: "threefry"}))
        yield
    finally:
        for (place, name, _), function in zip(RANDOM_FUNCTIONS, before, strict=True):
            setattr(place, name, function)
