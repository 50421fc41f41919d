"""Fit one network on arrays: one compiled XLA program an epoch, exact when stopped and taken up again."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property, partial

import keras
import numpy as np
import tensorflow as tf

from regfold.data.matrix import ALIGNMENT, with_spare
from regfold.training import optimizer as optimizers
from regfold.training.seeds import batch_order
from regfold.training.state import HISTORY, State

# Variables kept on the way, for the picture of the held-out loss: how many, and how many bytes in all.
SNAPSHOTS = 40
SNAPSHOT_BYTES = 64 * 2**20


class Trainer:
    """Trains a Keras network on its training rows; held-out rows never come near it.

    The loop is Keras' own `train_step` (loss, plus the sum of `network.losses`, gradient, `optimizer.apply`),
    run over all full minibatches inside one program, on data that was put on the device once. The order of
    epoch e is `batch_order(seed, repeat, fold, e)`. The last, smaller batch is used too, in a second call: so
    the program does not depend on the number of rows, and folds that differ by a few share it.

    Args:
        network: the network; its variables are trained in place.
        rows: float32 (n_rows or more, n_features), standardized training rows, and behind them rows that
            nothing looks at, see memory.room.
        truth: int32 (n_rows,) class codes, or float32 (n_rows, n_outputs), one-hot or standardized targets.
        task: "classification" (cross-entropy) or "regression" (mean squared error).
        training: the model's resolved training section.
        weight_decay: decoupled weight decay of kernels.
        key: (seed, repeat, fold).
        row_weights: float32 (n_rows,), what each row's loss counts; None: 1.
        watched: (rows, truth), which early stopping watches; None: no early stopping.
    """

    def __init__(
        self,
        network: keras.Model,
        rows: np.ndarray,
        truth: np.ndarray,
        *,
        task: str,
        training: dict,
        weight_decay: float,
        key: tuple[int, int, int],
        row_weights: np.ndarray | None = None,
        watched: tuple[np.ndarray, np.ndarray] | None = None,
    ):
        self.network = network
        self.training = training
        self.key = key
        self.n_rows = len(truth)
        self.batch_size = min(training["batch_size"], self.n_rows)
        self.loss = (
            keras.losses.CategoricalCrossentropy()
            if task == "classification"
            else keras.losses.MeanSquaredError()
        )
        self.batches = np.zeros((len(rows) // self.batch_size, self.batch_size), np.int32)
        self.rows, self.truth = _on_device(rows), _on_device(with_spare(truth, len(rows)))
        self.row_weights = None if row_weights is None else _on_device(with_spare(row_weights, len(rows)))
        self.watched = None if watched is None else tuple(map(_on_device, watched))
        self.optimizer = optimizers.build(
            training, weight_decay, self.n_rows, self.network.trainable_variables
        )
        self.learning_rates = optimizers.learning_rates(training, self.n_rows)
        self.watch_program = tf.function(self._watched_loss, jit_compile=True, autograph=False)

    def fit(
        self,
        state: State | None,
        *,
        save: Callable[[State], None],
        save_seconds: float = 30.0,
        on_epoch: Callable[[int, np.ndarray], None] = lambda epoch, values: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> State:
        """Train to the end, from the beginning or a state, and leave the network with the weights to keep.

        Args:
            state: where to go on; None: from the beginning.
            save: takes the state every `save_seconds`, at the end, and when `stop` says so.
            save_seconds: at most so many seconds of training are ever lost.
            on_epoch: is told each epoch and its line of history.
            stop: asked after each epoch; True ends the training unfinished.

        Returns:
            the last state; `finished` unless it was stopped.
        """
        state = self._restore(state) if state else State()
        keep = self._snapshot_epochs()
        history = np.full((max(self.training["epochs"], state.epoch), len(HISTORY)), np.nan)
        history[: state.epoch] = state.history
        saved = time.monotonic()
        while not state.finished:
            epoch = state.epoch + 1
            values = history[state.epoch] = self._train_epoch(epoch)
            state.history, state.epoch = history[:epoch], epoch
            self._judge(state)
            if epoch in keep:
                state.snapshots[epoch] = self._values()
            on_epoch(epoch, values)
            stopping = not state.finished and stop()
            if state.finished or stopping or time.monotonic() - saved >= save_seconds:
                state.variables = self._values()
                state.optimizer = [np.asarray(v) for v in self.optimizer.variables]
                save(state)
                saved = time.monotonic()
            if stopping:
                return state
        self.assign(state.best_variables or state.variables)
        return state

    def programs(self) -> dict[str, Callable[[], object]]:
        """Calls that compile what `fit` needs, and train nothing, by names that tell a model's apart."""
        shape = f"{len(self.rows)}-{self.rows.shape[1]}"
        made = {}
        for size, count in ((self.batch_size, len(self.batches)), (self.n_rows % self.batch_size, 1)):
            if size:
                batches = tf.zeros((count, size), tf.int32)
                made[f"train-{shape}-{size}"] = partial(self.program, batches, tf.constant(0))
        if self.watched is not None:
            made[f"watch-{shape}-{len(self.watched[1])}"] = self.watch_program
        return made

    def assign(self, values: list[np.ndarray]) -> None:
        """Give the network's variables these values."""
        for variable, value in zip(self.network.variables, values, strict=True):
            variable.assign(value)

    def sample(self) -> np.ndarray:
        """Some standardized training rows to look at the network with: float32 (at most 2048, n_features)."""
        return self.rows[:2048].numpy()

    def _values(self) -> list[np.ndarray]:
        return [v.numpy() for v in self.network.variables]

    def _restore(self, state: State) -> State:
        if state.epoch:
            self.assign(state.variables)
            for variable, value in zip(self.optimizer.variables, state.optimizer, strict=True):
                variable.assign(value)
        return state

    def _snapshot_epochs(self) -> set[int]:
        """Some epochs, half of them spaced evenly and half of them dense at the start, where curves bend."""
        size = sum(int(np.prod(v.shape)) * 4 for v in self.network.variables)
        epochs, count = self.training["epochs"], min(SNAPSHOTS, SNAPSHOT_BYTES // max(1, size))
        spaced = [*np.linspace(1, epochs, count // 2), *np.geomspace(1, epochs, count - count // 2)]
        return {round(epoch) for epoch in spaced}

    def _train_epoch(self, epoch: int) -> np.ndarray:
        """One epoch; its line of history, float64 (4,), see checkpoint.HISTORY."""
        size, (n_full, n_rest) = self.batch_size, divmod(self.n_rows, self.batch_size)
        order = batch_order(*self.key, epoch, self.n_rows)
        self.batches[:n_full] = order[: n_full * size].reshape(-1, size)
        sums = [size * float(value) for value in self.program(tf.constant(self.batches), tf.constant(n_full))]
        if n_rest:
            last = self.program(tf.constant(order[None, -n_rest:]), tf.constant(1))
            sums = [value + n_rest * float(more) for value, more in zip(sums, last, strict=True)]
        loss, objective = (value / self.n_rows for value in sums)
        watched = np.nan if self.watched is None else float(self.watch_program())
        return np.array([loss, objective, watched, self.learning_rates[epoch - 1]])

    def _judge(self, state: State) -> None:
        """Decide from the last line of history whether training ends, and whether its weights are best."""
        loss, objective, watched, _ = state.history[-1]
        stopping = self.training["early_stopping"]
        if stopping and np.isfinite(watched):
            if not state.best_epoch or watched < state.history[state.best_epoch - 1, 2]:
                state.best_epoch, state.best_variables = state.epoch, self._values()
            elif state.epoch - state.best_epoch >= stopping["patience"]:
                state.finished = True
                state.ending = f"stopped early after epoch {state.epoch}"
        if not np.isfinite(loss) or not np.isfinite(objective):
            state.finished = True
            state.ending = f"diverged: the loss is not finite in epoch {state.epoch}"
        elif state.epoch >= self.training["epochs"]:
            state.finished = True

    @cached_property
    def program(self) -> Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
        """`_train_batches`, traced once; XLA compiles it for each size of a batch."""
        signature = tf.TensorSpec((None, None), tf.int32), tf.TensorSpec((), tf.int32)
        function = tf.function(self._train_batches, jit_compile=True, autograph=False)
        return function.get_concrete_function(*signature)

    def _train_batches(self, batches: tf.Tensor, count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """A step on each of the first `count` rows of `batches`; sums of the losses, see `_step`."""

        def step(i, loss, objective):
            batch_loss, batch_objective = self._step(batches[i])
            return i + 1, loss + batch_loss, objective + batch_objective

        start = tf.constant(0), tf.constant(0.0), tf.constant(0.0)
        return tf.while_loop(lambda i, *_: i < count, step, start)[1:]

    def _step(self, batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """One step of the optimizer on the rows `batch`; the loss without and with penalties."""
        rows, truth = tf.gather(self.rows, batch), self._outputs(tf.gather(self.truth, batch))
        weights = None if self.row_weights is None else tf.gather(self.row_weights, batch)
        variables = self.network.trainable_variables
        with tf.GradientTape() as tape, _threefry():
            loss = self.loss(truth, self.network(rows, training=True), sample_weight=weights)
            objective = loss + sum(self.network.losses)
        if variables:
            gradients = tape.gradient(objective, variables)
            self.optimizer.apply(gradients, variables)
        return loss, objective

    def _watched_loss(self) -> tf.Tensor:
        rows, truth = self.watched
        return self.loss(self._outputs(truth), self.network(rows, training=False))

    def _outputs(self, truth: tf.Tensor) -> tf.Tensor:
        """Class codes as the network's outputs have them, one-hot; numbers as they are."""
        return tf.one_hot(truth, self.network.output_shape[-1]) if len(truth.shape) == 1 else truth


def _on_device(values: np.ndarray) -> tf.Tensor:
    """A tensor where the training is: on a CPU the array's own memory, if TensorFlow can use it.

    The array must not be changed any more. (`tf.convert_to_tensor` would hold it three times for a while.)
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
