"""Guards the compiled training loop: against Keras' own fit on the same batches, and against itself."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras.regularizers import L1L2
from regfold.config import optimizers
from regfold.config.losses import output_activation, resolve
from regfold.data import matrix
from regfold.training import loop, optimizer
from regfold.training import network as networks
from regfold.training.heldout import HeldOut
from regfold.training.programs import base, tensorflow
from regfold.training.programs.base import padded_rows
from regfold.training.seeds import batch_order
from regfold.training.standardize import TargetScale
from regfold.training.state import HISTORY, State, Store
from regfold.training.trainer import Trainer
from sklearn.datasets import make_classification, make_regression
from sklearn.utils.class_weight import compute_class_weight
from small_study import model as settings

KEY = (42, 1, 3)
N_ROWS = 90  # 5 batches of 16 and one of 10


@pytest.fixture(scope="module")
def classes():
    """90 rows, 6 features, 3 classes of unequal size."""
    rows, codes = make_classification(
        N_ROWS, 6, n_informative=4, n_classes=3, weights=[0.6, 0.3], random_state=1
    )
    return SimpleNamespace(
        rows=rows.astype(np.float32),
        truth=np.eye(3, dtype=np.float32)[codes],
        codes=codes.astype(np.int32),
        task="classification",
    )


@pytest.fixture(scope="module")
def numbers():
    """90 rows, 6 features, 2 standardized targets."""
    rows, truth = make_regression(N_ROWS, 6, n_targets=2, noise=5, random_state=1)
    truth = (truth - truth.mean(axis=0)) / truth.std(axis=0)
    return SimpleNamespace(rows=rows.astype(np.float32), truth=truth.astype(np.float32), task="regression")


def dense(n_outputs, output, activation="relu", normalize=False, **penalties):
    """The network [7, 5] in plain Keras; activity penalties act on hidden layers only."""
    on_output = {name: value for name, value in penalties.items() if name != "activity_regularizer"}
    steps = [layers.Input((6,))]
    for units in (7, 5):
        steps.append(layers.Dense(units, activation, **penalties))
        if normalize:
            steps.append(layers.BatchNormalization(momentum=0.8))
    return keras.Sequential([*steps, layers.Dense(n_outputs, output, **on_output)])


def trainer(data, model, core=None, weights=None, validation=None, penalties=None):
    """A trainer of a model's settings on the data; of its own network unless one is given."""
    network = model["network"]
    if core is None:
        output = output_activation(resolve(model["training"]["loss"], data.task))
        shape = data.rows.shape[1], data.truth.shape[1]
        core = networks.build_core(*shape, output, network, model["penalty"], KEY)
    else:
        network = network | {"build": "given.py:core"}
    return Trainer(
        core,
        padded_rows(data.rows, getattr(data, "codes", data.truth), weights),
        validation and padded_rows(*validation),
        np.arange(data.rows.shape[1], dtype=np.int32),
        task=data.task,
        n_outputs=data.truth.shape[1],
        network=network,
        training=model["training"],
        penalties=penalties or [model["penalty"]],
        key=KEY,
    )


def train(made, state=None, save=lambda state: None, **more):
    """Run a trainer of one network to its end; the trained network, whose variables its core gets."""
    (trained,) = made.fit(state, save=save, **more).trained()
    networks.set_values(made.core, trained.variables)
    return trained


def batches(data, epochs, size=16):
    """What Keras' fit is fed with: the batches of all epochs, one after another, in regfold's orders."""
    arrays = [data.rows, data.truth, *([data.weights] if hasattr(data, "weights") else [])]
    for epoch in range(1, epochs + 1):
        order = batch_order(*KEY, epoch, len(data.rows))
        for start in range(0, len(order), size):
            yield tuple(array[order[start : start + size]] for array in arrays)


def keras_fit(core, data, optimizer, epochs=20, size=16, loss=None, **more):
    """Train with Keras' own loop; its history."""
    usual = "categorical_crossentropy" if data.task == "classification" else "mean_squared_error"
    core.compile(optimizer, loss or usual, jit_compile=False)  # XLA's compilation takes longer than this fit
    shapes = [part.shape[1:] for part in next(batches(data, epochs, size))]
    signature = tuple(tf.TensorSpec((None, *shape)) for shape in shapes)
    dataset = tf.data.Dataset.from_generator(lambda: batches(data, epochs, size), output_signature=signature)
    steps = -(-len(data.rows) // size)
    return core.fit(dataset, epochs=epochs, steps_per_epoch=steps, shuffle=False, verbose=0, **more).history


def assert_same_weights(found, expected, tolerance=1e-5):
    for one, other in zip(found.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


STEPS = -(-N_ROWS // 16)
# training, penalty, the same penalty as Keras' regularizers, the same optimizer of Keras.
AGAINST_KERAS = {
    "adam, exponential, penalty on kernels": (
        {"schedule": {"name": "exponential", "decay_rate": 0.8}},
        {"kernel": {"l1": 0.02, "l2": 0.05}},
        {"kernel_regularizer": L1L2(0.02, 0.05)},
        lambda: keras.optimizers.Adam(
            keras.optimizers.schedules.PiecewiseConstantDecay(
                [epoch * STEPS - 1 for epoch in range(1, 20)], [0.01 * 0.8**epoch for epoch in range(20)]
            )
        ),
    ),
    "adamw, penalty on biases": (
        {"optimizer": {"name": "adamw", "beta_1": 0.8}},
        {"weight_decay": 0.05, "bias": {"l1": 0.03, "l2": 0.06}},
        {"bias_regularizer": L1L2(0.03, 0.06)},
        lambda: keras.optimizers.AdamW(0.01, weight_decay=0.05, beta_1=0.8),
    ),
    "rmsprop, cosine, penalty on activations": (
        {"optimizer": "rmsprop", "schedule": {"name": "cosine", "final": 0.01}},
        {"activity": {"l1": 0.04, "l2": 0.07}},
        {"activity_regularizer": L1L2(0.04, 0.07)},
        lambda: keras.optimizers.RMSprop(
            keras.optimizers.schedules.CosineDecay(0.01, 20 * STEPS, alpha=0.01)
        ),
    ),
    "sgd with momentum, clipped, weight decay": (
        {"optimizer": {"name": "sgd", "momentum": 0.9, "clipnorm": 0.1}},
        {"weight_decay": 0.1},
        {},
        lambda: keras.optimizers.SGD(0.01, momentum=0.9, clipnorm=0.1, weight_decay=0.1),
    ),
    "adam, clipped over all variables": (
        {"optimizer": {"name": "adam", "global_clipnorm": 0.05, "epsilon": 0.1}},
        {},
        {},
        lambda: keras.optimizers.Adam(0.01, global_clipnorm=0.05, epsilon=0.1),
    ),
}


@pytest.mark.parametrize("case", AGAINST_KERAS)
def test_the_loop_is_that_of_keras(classes, case):
    training, penalty, penalties, optimizer = AGAINST_KERAS[case]
    made = trainer(classes, settings(training=training, penalty=penalty))
    reference = dense(3, "softmax", **penalties)
    reference.set_weights(made.core.get_weights())
    optimizer = optimizer()
    if penalty.get("weight_decay"):
        optimizer.exclude_from_weight_decay(var_names=["bias"])
    state = train(made)
    history = keras_fit(reference, classes, optimizer)
    assert_same_weights(made.core, reference)
    np.testing.assert_allclose(state.history[:, HISTORY.index("train_objective")], history["loss"], rtol=1e-4)


def test_a_regression_with_two_targets_is_that_of_keras(numbers):
    made = trainer(numbers, settings(penalty={"kernel": {"l2": 0.001}}))
    reference = dense(2, "linear", kernel_regularizer=L1L2(l2=0.001))
    reference.set_weights(made.core.get_weights())
    state = train(made)
    history = keras_fit(reference, numbers, keras.optimizers.Adam(0.01))
    assert_same_weights(made.core, reference)
    np.testing.assert_allclose(state.history[:, 1], history["loss"], rtol=1e-4)


LOSSES = {
    "mae": keras.losses.MeanAbsoluteError(),
    "huber": keras.losses.Huber(),
    "log_cosh": keras.losses.LogCosh(),
    "poisson": keras.losses.Poisson(),
    "focal": keras.losses.CategoricalFocalCrossentropy(),
}


@pytest.mark.parametrize(
    "loss",
    [pytest.param(loss, marks=[pytest.mark.heavy] * (loss not in ("poisson", "focal"))) for loss in LOSSES],
)
def test_every_loss_is_that_of_keras(classes, numbers, loss):
    """Alone and as a lane of a path, in training, on validation rows and on held-out rows."""
    data = classes if loss == "focal" else SimpleNamespace(**vars(numbers))
    if loss == "poisson":
        data.truth = np.exp(data.truth)
    truth, part = getattr(data, "codes", data.truth), slice(0, 25)
    training = {"loss": loss, "epochs": 4, "early_stopping": {"fraction": 0.1, "patience": 9}}
    model = settings(training=training, penalty={"kernel": {"l2": 0.002}})
    paths = [settings(penalty={"kernel": {"l2": strength}})["penalty"] for strength in (0.5, 0.002)]
    validation = data.rows[part], truth[part]
    made = trainer(data, model, validation=validation)
    output = made.core.layers[-1].activation
    reference = dense(data.truth.shape[1], output, kernel_regularizer=L1L2(l2=0.002))
    reference.set_weights(made.core.get_weights())
    _, lane = trainer(data, model, validation=validation, penalties=paths).fit(None, print).trained()
    state = train(made)
    history = keras_fit(reference, data, keras.optimizers.Adam(0.01), epochs=4, loss=LOSSES[loss])
    best = networks.build_core(6, data.truth.shape[1], output, model["network"], model["penalty"], KEY)
    for found in (state, lane):
        np.testing.assert_allclose(found.history[:, 1], history["loss"], rtol=1e-4)
        networks.set_values(best, found.snapshots[4])
        assert_same_weights(best, reference)
    outputs = reference(data.rows[part]).numpy()
    expected = float(LOSSES[loss](data.truth[part], outputs))
    assert state.history[-1, 2] == pytest.approx(expected, rel=1e-4)
    assert lane.history[-1, 2] == pytest.approx(expected, rel=1e-4)
    scale = None if loss == "focal" else TargetScale(np.array([3.0, -1.0]), np.array([5.0, 0.1]))
    held = HeldOut(made.program, data.rows[part], scale)
    units = truth[part] if scale is None else scale.restore(truth[part])
    ((found, rmse),) = held.scores([state.snapshots[4]], units)
    assert found == pytest.approx(expected, rel=1e-4)
    assert held.scores([state.snapshots[1], state.snapshots[4]], units)[1] == pytest.approx((found, rmse))


def test_balanced_class_weights_are_those_of_scikit_learn_and_keras(classes):
    from regfold.training.fitting import _balanced

    made = trainer(classes, settings(), weights=_balanced(classes.codes, 3)[classes.codes])
    reference = dense(3, "softmax")
    reference.set_weights(made.core.get_weights())
    train(made)
    weights = compute_class_weight("balanced", classes=np.arange(3), y=classes.codes)
    keras_fit(reference, classes, keras.optimizers.Adam(0.01), class_weight=dict(enumerate(weights)))
    assert_same_weights(made.core, reference)


@pytest.mark.parametrize("task", ["classes", "numbers"])
def test_row_weights_are_the_sample_weights_of_keras(task, request):
    data = SimpleNamespace(**vars(request.getfixturevalue(task)))
    data.weights = np.random.default_rng(2).integers(4, size=N_ROWS).astype(np.float32)
    made = trainer(data, settings(), weights=data.weights)
    reference = dense(data.truth.shape[1], "softmax" if task == "classes" else "linear")
    reference.set_weights(made.core.get_weights())
    train(made)
    keras_fit(reference, data, keras.optimizers.Adam(0.01))
    assert_same_weights(made.core, reference)


def test_a_network_of_ones_own_with_batch_normalization_is_that_of_keras(classes):
    keras.utils.set_random_seed(5)
    core, reference = (dense(3, "softmax", "tanh", normalize=True) for _ in range(2))
    reference.set_weights(core.get_weights())
    made = trainer(classes, settings(), core)
    train(made)
    keras_fit(reference, classes, keras.optimizers.Adam(0.01))
    moved = [v for v in core.non_trainable_variables if "moving" in v.path]
    assert len(moved) == 4 and all(np.ptp(np.asarray(v)) > 0.01 for v in moved)
    assert_same_weights(core, reference)


def test_early_stopping_is_that_of_keras(numbers):
    # The validation loss is without penalties, and Keras' val_loss is with them: here there are none.
    seen, validation = (
        SimpleNamespace(rows=numbers.rows[part], truth=numbers.truth[part], task="regression")
        for part in (slice(30, 50), slice(0, 30))
    )
    model = settings(
        training={"epochs": 80, "learning_rate": 0.02, "early_stopping": {"fraction": 0.1, "patience": 3}}
    )
    made = trainer(seen, model, validation=(validation.rows, validation.truth))
    reference = dense(2, "linear")
    reference.set_weights(made.core.get_weights())
    state = train(made)
    stopping = keras.callbacks.EarlyStopping("val_loss", patience=3, restore_best_weights=True)
    history = keras_fit(
        reference,
        seen,
        keras.optimizers.Adam(0.02),
        80,
        callbacks=[stopping],
        validation_data=(validation.rows, validation.truth),
    )
    assert 5 < state.epochs < 80, "this case must stop early"
    assert state.epochs == len(history["loss"])
    assert state.best_epoch == 1 + stopping.best_epoch == state.epochs - 3
    assert state.ending == f"stopped early after epoch {state.epochs}"
    np.testing.assert_allclose(state.history[:, 2], history["val_loss"], rtol=1e-4)
    assert_same_weights(made.core, reference)


def test_the_validation_loss_is_without_penalties(numbers):
    training = {"epochs": 3, "early_stopping": {"fraction": 0.1, "patience": 5}}
    model = settings(training=training, penalty={"kernel": {"l2": 1.0}, "activity": {"l1": 1.0}})
    rows, truth = numbers.rows[:30], numbers.truth[:30]
    made = trainer(numbers, model, validation=(rows, truth))
    state = train(made)
    for epoch in (1, 2, 3):
        (outputs,) = made.program.predict(base.stacked([state.snapshots[epoch]]), rows)
        assert state.history[epoch - 1, 2] == pytest.approx(np.mean((outputs - truth) ** 2), rel=1e-5)


class Course:
    """A program that trains nothing: the validation loss takes a given course, a variable counts epochs."""

    lanes = 1

    def __init__(self, course, most_epochs=64):
        self.course, self.most_epochs, self.done, self.orders = course, most_epochs, 0, []

    def epochs(self, orders, rates):
        begun, self.done = self.done, self.done + len(orders)
        self.orders += orders
        one = np.ones((len(orders), 1))
        return SimpleNamespace(
            losses=one,
            objectives=one,
            validation_losses=np.array(self.course[begun : self.done], float)[:, None],
            variables=lambda index: [np.array([begun + index + 1.0])],
        )

    def values(self):
        return [np.array([float(self.done)])], []


@pytest.mark.parametrize("most_epochs", [1, 3, 64])
@pytest.mark.parametrize(("patience", "last"), [(1, 4), (2, 5), (4, 7)])
def test_patience_is_exact(patience, last, most_epochs):
    """On a made-up course of the validation loss, the best of which is in epoch 3."""
    program = Course([5, 4, 3, 3, 3.5, np.inf, 3.2, 9, 1, 0, 0, 0] + [0] * 100, most_epochs)
    training = settings(training={"early_stopping": {"fraction": 0.1, "patience": patience}})["training"]
    state = loop.fit(
        program, State([np.zeros(1)]), training=training, key=KEY, n_rows=4, save=lambda state: None
    )
    (trained,) = state.trained()
    assert (state.epoch, trained.epochs, trained.best_epoch) == (last, last, 3)
    assert float(trained.variables[0]) == 3
    assert len(trained.history) == last


@pytest.mark.heavy
def test_every_optimizer_of_the_config_learns(numbers):
    for name in optimizers.OPTIMIZERS:
        training = {
            "optimizer": name,
            "epochs": 4,
            "batch_size": 15,
            "learning_rate": {"adadelta": 10, "ftrl": 0.5, "sgd": 0.05}.get(name, 0.01),
        }
        model = settings(training=training, penalty={"weight_decay": 1e-4}, network={"hidden": []})
        loss = train(trainer(numbers, model)).history[:, 0]
        assert loss[-1] < 0.95 * loss[0], (name, loss)


def test_an_optimizer_begins_the_same_whatever_the_variables_are_unless_it_copies_them():
    for name in optimizers.OPTIMIZERS:
        begun = []
        for value in (1.0, 2.0):
            variables = [keras.Variable(np.full((3, 2), value)), keras.Variable(np.full(2, value))]
            made = optimizer.build({"name": name}, lambda: 0.1, variables)
            begun.append([v.numpy() for v in made.variables])
        same = all(map(np.array_equal, *begun))
        assert same is not optimizer.copies_variables({"name": name}), name


def test_weight_decay_shrinks_kernels_and_no_biases(numbers):
    """Without a gradient, plain SGD leaves kernels times (1 - decay x rate) a step, and biases alone."""
    model = settings(
        training={"optimizer": "sgd", "epochs": 1, "learning_rate": 0.5, "batch_size": N_ROWS},
        penalty={"weight_decay": 0.1},
    )
    still = SimpleNamespace(rows=0 * numbers.rows, truth=np.ones_like(numbers.truth), task="regression")
    made = trainer(still, model)
    before = [np.ones_like(w) if w.ndim == 1 else w for w in made.core.get_weights()]
    before[-2] = 0 * before[-2]  # the outputs are the last bias, which is the truth: no gradient
    made.core.set_weights(before)
    train(made)
    for then, now in zip(before, made.core.get_weights(), strict=True):
        np.testing.assert_allclose(now, then if then.ndim == 1 else 0.95 * then, rtol=1e-6)


def test_dropout_is_that_of_keras(numbers):
    """The layer of regfold's own network draws the masks that Keras' own layer draws."""
    model = settings(training={"epochs": 3, "batch_size": 15}, penalty={"dropout": 0.3})
    own = trainer(numbers, model)
    keras_own = networks.build_core(6, 2, "linear", model["network"], model["penalty"], KEY)
    reference = trainer(numbers, model, keras_own)
    assert any(type(layer) is layers.Dropout for layer in reference.program.network.layers)
    assert any(type(layer) is tensorflow.Dropout for layer in own.program.trained.layers)
    np.testing.assert_allclose(train(own).history, train(reference).history, rtol=1e-5)


def test_dropout_is_drawn_anew_in_every_step_and_the_same_on_rerun(numbers):
    """With a rate of zero for learning, the loss of an epoch depends on its masks alone."""
    model = settings(training={"epochs": 6}, penalty={"dropout": 0.5})
    model["training"]["learning_rate"] = 0.0
    model["training"]["batch_size"] = N_ROWS
    first, second = (train(trainer(numbers, model)) for _ in range(2))
    assert len(set(first.history[:, 0])) == 6
    np.testing.assert_array_equal(first.history, second.history)
    for one, other in zip(first.variables, second.variables, strict=True):
        np.testing.assert_array_equal(one, other)


def test_random_layers_draw_with_threefry_while_they_are_traced():
    """What XLA selects by itself on a CPU is a hundred times slower; the numbers tell which one drew."""
    for draw in (keras.random.uniform, keras.random.normal, keras.random.truncated_normal):
        stateless = getattr(tf.random, f"stateless_{draw.__name__}")

        @tf.function(jit_compile=True, autograph=False)
        def drawn(draw=draw, stateless=stateless):
            with tensorflow._threefry():
                found = draw((5,), seed=3)
            return found, *(stateless((5,), [3, 0], alg=name) for name in ("threefry", "philox"))

        found, threefry, philox = drawn()
        np.testing.assert_array_equal(found, threefry)
        assert not np.array_equal(found, philox)


def test_masks_are_new_in_every_batch_and_drop_the_share_they_should():
    """Dropout alone on rows of ones: the mean of squares tells the share that was kept."""
    losses = {}
    for n_batches in (1, 2):
        n_rows = 1000 * n_batches
        ones = SimpleNamespace(
            rows=np.ones((n_rows, 6), np.float32), truth=np.zeros((n_rows, 6), np.float32), task="regression"
        )
        core = keras.Sequential([layers.Input((6,)), layers.Dropout(0.3, seed=11)])
        model = settings(training={"epochs": 4 // n_batches, "batch_size": 1000})
        losses[n_batches] = train(trainer(ones, model, core)).history[:, 0]
    assert len(set(losses[1])) == 4
    np.testing.assert_allclose(0.49 * losses[1], 0.7, atol=0.03)  # five standard errors
    np.testing.assert_allclose(losses[2], losses[1].reshape(2, 2).mean(axis=1), rtol=1e-6)


@pytest.mark.parametrize("most_epochs", [1, 2, 64])
def test_every_epoch_has_an_order_of_its_own(most_epochs):
    program, training = Course([1] * 5, most_epochs), settings(training={"epochs": 5})["training"]
    state = State([np.zeros(1)])
    loop.fit(program, state, training=training, key=KEY, n_rows=N_ROWS, save=lambda state: None)
    assert len({order.tobytes() for order in program.orders}) == 5
    for epoch, order in enumerate(program.orders, start=1):
        expected = np.random.default_rng([*KEY, epoch]).permutation(N_ROWS)
        np.testing.assert_array_equal(order, expected)


def test_history_tells_the_loss_without_and_with_penalties(classes):
    """One batch an epoch and hardly any learning, so that both can be recomputed from the weights."""
    penalty = {
        "kernel": {"l1": 0.01, "l2": 0.02},
        "bias": {"l1": 0.03, "l2": 0.04},
        "activity": {"l1": 0.05, "l2": 0.06},
    }
    training = {"epochs": 2, "batch_size": 1000, "learning_rate": 1e-9, "optimizer": "sgd"}
    made = trainer(classes, settings(training=training, penalty=penalty))
    made.core.set_weights([np.full(w.shape, 0.1, np.float32) for w in made.core.get_weights()])
    state = train(made)
    weights = [w.astype(np.float64) for w in made.core.get_weights()]
    activity, hidden = 0.0, classes.rows.astype(np.float64)
    for kernel, bias in zip(weights[:4:2], weights[1:4:2], strict=True):
        hidden = np.maximum(hidden @ kernel + bias, 0)
        activity += 0.05 * np.abs(hidden).sum(1).mean() + 0.06 * np.square(hidden).sum(1).mean()
    scores = hidden @ weights[4] + weights[5]
    loss = np.mean(np.log(np.exp(scores).sum(1)) - scores[np.arange(N_ROWS), classes.codes])
    penalties = activity
    for strengths, part in (((0.01, 0.02), weights[::2]), ((0.03, 0.04), weights[1::2])):
        penalties += sum(strengths[0] * np.abs(w).sum() + strengths[1] * np.square(w).sum() for w in part)
    for loss_found, objective, validation, rate in state.history:
        assert loss_found == pytest.approx(loss, rel=1e-5)
        assert objective - loss_found == pytest.approx(penalties, rel=1e-4)
        assert np.isnan(validation) and rate == pytest.approx(1e-9)


def test_a_network_without_anything_to_train_passes_through(numbers):
    echo = keras.Sequential([layers.Input((6,)), layers.Reshape((2, 3)), layers.GlobalAveragePooling1D()])
    three = SimpleNamespace(rows=numbers.rows, truth=numbers.rows[:, :3], task="regression")
    state = train(trainer(three, settings(training={"epochs": 2}), echo))
    outputs = numbers.rows.reshape(-1, 2, 3).mean(axis=1)
    assert state.history[:, 0] == pytest.approx(np.mean((outputs - three.truth) ** 2), rel=1e-5)
    assert state.epochs == 2 and not state.ending


def test_divergence_ends_the_training_and_says_why(numbers):
    model = settings(training={"optimizer": "sgd", "learning_rate": 1e6, "epochs": 50})
    state = train(trainer(numbers, model))
    assert state.epochs < 20
    assert state.ending == f"diverged: the loss is not finite in epoch {state.epochs}"


@pytest.mark.parametrize(("n_rows", "batch_size", "hidden"), [(5, 32, [3]), (33, 32, []), (1, 1, [3])])
def test_small_tables_and_no_hidden_layer(numbers, n_rows, batch_size, hidden):
    few = SimpleNamespace(rows=numbers.rows[:n_rows, :1], truth=numbers.truth[:n_rows, :1], task="regression")
    model = settings(training={"batch_size": batch_size, "epochs": 3}, network={"hidden": hidden})
    loss = train(trainer(few, model)).history[:, 0]
    assert np.isfinite(loss).all() and loss[2] < loss[0]


def test_a_row_counts_the_same_in_the_mean_loss_of_an_uneven_epoch(numbers):
    """Batches of 16 and one of 10: the epoch's loss is the mean over rows, not over batches."""
    made = trainer(numbers, settings(training={"epochs": 1, "learning_rate": 1e-9, "optimizer": "sgd"}))
    outputs = made.core(numbers.rows).numpy()
    assert train(made).history[0, 0] == pytest.approx(np.mean((outputs - numbers.truth) ** 2), rel=1e-5)


def test_padding_is_not_looked_at(numbers):
    """It is there for another fold's few rows more; here it is full of what would be noticed."""
    padding = np.full((6, 6), np.nan, np.float32)
    longer = SimpleNamespace(
        rows=np.concatenate([numbers.rows, padding]), truth=numbers.truth, task="regression"
    )
    weights = np.linspace(0.5, 2, N_ROWS, dtype=np.float32)
    penalty = {"activity": {"l1": 0.01, "l2": 0.01}}
    found, expected = (
        train(trainer(data, settings(penalty=penalty), weights=weights)).variables
        for data in (longer, numbers)
    )
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_folds_and_models_of_one_shape_share_a_program_and_others_do_not(numbers):
    def program(n_rows=87, **changes):
        rows = matrix.padded(numbers.rows[:n_rows], matrix.padded_length(n_rows))
        part = SimpleNamespace(rows=rows, truth=numbers.truth[:n_rows], task="regression")
        return trainer(part, settings(**changes)).program

    same = [
        program(88),
        program(penalty={"kernel": {"l1": 0.1}, "activity": {"l2": 0.1}, "weight_decay": 0.1}),
        program(training={"learning_rate": 0.5, "epochs": 3, "seed": 7, "schedule": "cosine"}),
        program(penalty={"dropout": 0.1}),
    ]
    assert all(other is program() for other in same)
    others = [
        program(n_rows=40),
        program(network={"hidden": [7]}),
        program(network={"activation": "tanh"}),
        program(training={"batch_size": 15}),
        program(training={"optimizer": "sgd"}),
        program(training={"optimizer": {"name": "adam", "beta_1": 0.8}}),
    ]
    assert len({*others, program()}) == len(others) + 1


@pytest.mark.parametrize(("lanes", "rate"), [(1, 0.0), (2, 0.3)])
def test_a_program_with_dropout_trains_networks_without_it(numbers, rate, lanes, monkeypatch):
    """On a GPU, networks without dropout have a program of their own, and the others draw in every step."""

    def trained(rate):
        model = settings(training={"epochs": 5}, penalty={"dropout": rate})
        made = trainer(
            numbers, model, penalties=[model["penalty"] | {"weight_decay": i} for i in range(lanes)]
        )
        return made.program, made.fit(None, save=lambda state: None).trained()

    program, _ = trained(0.5)  # leaves the states of its generators
    shared, found = trained(rate)
    assert shared is program
    monkeypatch.setattr(tensorflow, "_has_gpu", lambda: True)
    tensorflow.dense_program.cache_clear()
    own, expected = trained(rate)
    assert (trained(0.5)[0] is own) == (rate > 0)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.history, other.history, rtol=1e-5)
        for value, wanted in zip(one.variables, other.variables, strict=True):
            np.testing.assert_allclose(value, wanted, rtol=1e-4, atol=1e-6)


def test_a_program_begins_every_training_anew(numbers):
    """What an earlier training left in the variables of the shared program has no part in the next one."""
    for changes in ({"training": {"optimizer": "schedulefreeadamw"}}, {"penalty": {"dropout": 0.2}}):
        model = settings(network={"hidden": [4]}, **changes)
        first = train(trainer(numbers, model))
        other = SimpleNamespace(rows=numbers.rows[::-1].copy(), truth=numbers.truth, task="regression")
        assert not np.array_equal(train(trainer(other, model)).history, first.history)
        again = trainer(numbers, model)
        tensorflow.dense_program.cache_clear()
        fresh = trainer(numbers, model)
        assert again.program is not fresh.program
        for made in (again, fresh):
            np.testing.assert_array_equal(train(made).history, first.history)


class Limited:
    """A program that runs fewer epochs in a call."""

    def __init__(self, program, most_epochs):
        self.most_epochs, self.lanes = most_epochs, program.lanes
        self.start, self.epochs, self.values, self.end = (
            getattr(program, name) for name in ("start", "epochs", "values", "end")
        )


@pytest.mark.parametrize("early_stopping", [None, {"fraction": 0.2, "patience": 3}])
def test_the_number_of_epochs_in_a_call_changes_no_bit(numbers, early_stopping):
    training = {"epochs": 30, "learning_rate": 0.02, "early_stopping": early_stopping}
    model = settings(training=training, penalty={"dropout": 0.1, "kernel": {"l1": 0.01}})
    validation = (numbers.rows[:20], numbers.truth[:20]) if early_stopping else None
    states = []
    for most in (64, 1, 7):
        made = trainer(numbers, model, validation=validation)
        made.program = Limited(made.program, most)
        states.append(made.fit(None, save=lambda state: None))
    for state in states[1:]:
        assert_same_state(state, states[0])


PATHS = {
    "kernel l1": [{"kernel": {"l1": strength}} for strength in (0, 0.01, 0.1)],
    "kernel l2": [{"kernel": {"l2": strength}} for strength in (0, 0.01, 0.1)],
    "bias l1": [{"bias": {"l1": strength}} for strength in (0, 0.01, 0.1)],
    "bias l2": [{"bias": {"l2": strength}} for strength in (0, 0.01, 0.1)],
    "activity l1": [{"activity": {"l1": strength}} for strength in (0, 0.01, 0.1)],
    "activity l2": [{"activity": {"l2": strength}} for strength in (0, 0.01, 0.1)],
    "weight decay": [{"weight_decay": strength} for strength in (0, 0.1, 1)],
    "dropout": [{"dropout": strength} for strength in (0.1, 0.3, 0.5)],
    "elastic net": [{"kernel": {"strength": strength, "l1_ratio": 0.5}} for strength in (0.001, 0.01, 0.1)],
    "exact zeros": [{"kernel": {"l1": strength, "proximal": True}} for strength in (0.001, 0.01, 0.1)],
    "groups": [{"kernel": {"strength": strength, "group": "input"}} for strength in (0.01, 0.1, 0.3)],
}


# The proximal steps and the decay take the optimizer's own step sizes.
SGD = [
    pytest.param(path, "sgd", marks=pytest.mark.heavy) for path in ("weight decay", "exact zeros", "groups")
]


@pytest.mark.parametrize(("path", "name"), [*((path, "adam") for path in PATHS), *SGD])
def test_a_path_is_its_strengths_trained_alone(classes, path, name):
    """Three strengths side by side, from the same weights, with the same batches and dropout masks."""
    models = [settings(penalty=penalty, training={"optimizer": name}) for penalty in PATHS[path]]
    beside = trainer(classes, models[-1], penalties=[model["penalty"] for model in models])
    assert beside.program.lanes == 3
    found = beside.fit(None, save=lambda state: None).trained()
    for model, trained in zip(models, found, strict=True):
        alone = trainer(classes, model)
        expected = train(alone)
        np.testing.assert_allclose(trained.history[:, :2], expected.history[:, :2], rtol=1e-5)
        for one, other in zip(trained.variables[:6], expected.variables[:6], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_each_strength_of_a_path_stops_early_by_itself(numbers):
    training = {
        "epochs": 80,
        "learning_rate": 0.03,
        "early_stopping": {"fraction": 0.1, "patience": 3},
    }
    validation = numbers.rows[:20], numbers.truth[:20]
    rest = SimpleNamespace(rows=numbers.rows[20:], truth=numbers.truth[20:], task="regression")
    models = [settings(training=training, penalty={"kernel": {"l2": strength}}) for strength in (0, 0.03, 1)]
    beside = trainer(rest, models[0], validation=validation, penalties=[model["penalty"] for model in models])
    found = beside.fit(None, save=lambda state: None).trained()
    assert len({trained.epochs for trained in found}) > 1, "this case must stop at different epochs"
    for model, trained in zip(models, found, strict=True):
        alone = train(trainer(rest, model, validation=validation))
        assert (trained.epochs, trained.best_epoch) == (alone.epochs, alone.best_epoch)
        assert trained.ending == alone.ending
        for one, other in zip(trained.variables, alone.variables, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def test_a_strength_that_diverges_ends_alone(numbers):
    """A weight decay of more than 2 / learning rate makes weights grow; the other does not notice."""
    training = {"optimizer": "sgd", "learning_rate": 0.05, "epochs": 60}
    models = [settings(training=training, penalty={"weight_decay": decay}) for decay in (0, 1000)]
    beside = trainer(numbers, models[0], penalties=[model["penalty"] for model in models])
    calm, wild = beside.fit(None, save=lambda state: None).trained()
    assert wild.diverged and wild.epochs < 60 and len(wild.history) == wild.epochs
    assert not calm.diverged and calm.epochs == 60 and np.isfinite(calm.history[:, :2]).all()
    expected = train(trainer(numbers, models[0]))
    np.testing.assert_allclose(calm.history[:, 0], expected.history[:, 0], rtol=1e-4)


@pytest.mark.parametrize("n_rows", [1, 2, 31, 32, 33, 1437, 800_000])
def test_padding_is_little_and_mostly_the_same_for_the_next_number(n_rows):
    length = matrix.padded_length(n_rows)
    assert n_rows <= length <= n_rows * 1.04
    assert matrix.padded_length(length) == length
    if n_rows > 1000:
        assert matrix.padded_length(n_rows + 1) == length


# Exact resume


def test_a_training_stopped_anywhere_and_taken_up_again_is_the_undisturbed_one(numbers, tmp_path):
    training = {
        "epochs": 30,
        "schedule": "cosine",
        "early_stopping": {"fraction": 0.1, "patience": 6},
        "learning_rate": 0.02,
    }
    model = settings(training=training, penalty={"dropout": 0.3}, network={"hidden": [6]})
    validation = numbers.rows[:20], numbers.truth[:20]
    whole = trainer(numbers, model, validation=validation)
    undisturbed = whole.fit(None, save=lambda state: None)
    store = Store(tmp_path, "state")
    for stop in (1, 11):
        made, seen = trainer(numbers, model, validation=validation), []
        made.program = Limited(made.program, 3)
        state = made.fit(
            store.load(),
            save=store.save,
            on_epoch=lambda epoch, values, seen=seen: seen.append(epoch),
            stop=lambda stop=stop, seen=seen: seen[-1] >= stop,
        )
        assert not state.finished and state.epoch == seen[-1] >= stop
    last = trainer(numbers, model, validation=validation)
    assert_same_state(last.fit(store.load(), save=store.save), undisturbed)
    again = trainer(numbers, model, validation=validation)
    assert_same_state(again.fit(store.load(), save=pytest.fail), undisturbed)


def assert_same_state(found, expected):
    for name in ("epoch", "ended", "endings", "best_epochs"):
        assert getattr(found, name) == getattr(expected, name)
    np.testing.assert_array_equal(found.history, expected.history)
    assert found.snapshots.keys() == expected.snapshots.keys()
    pairs = [(found.snapshots[epoch], expected.snapshots[epoch]) for epoch in expected.snapshots]
    pairs += [(getattr(found, part), getattr(expected, part)) for part in PARTS]
    for one, other in pairs:
        assert len(one) == len(other) and all(map(np.array_equal, one, other))


PARTS = ("variables", "optimizer", "kept")
