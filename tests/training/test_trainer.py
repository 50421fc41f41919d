"""Guards the compiled training loop: against Keras' own fit on the same batches, and against itself."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras.regularizers import L1L2
from regfold.config import optimizers
from regfold.data import matrix
from regfold.training import network
from regfold.training.seeds import batch_order
from regfold.training.state import HISTORY, Store
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
        codes=codes,
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


def trainer(data, model, body=None, **more):
    """A trainer of a model's settings on the data; of its own network unless a body is given."""
    if body is None:
        output = "softmax" if data.task == "classification" else "linear"
        shape = data.rows.shape[1], data.truth.shape[1]
        body = network.build_body(*shape, output, model["network"], model["penalty"], KEY)
    return Trainer(
        body,
        data.rows,
        data.truth,
        task=data.task,
        training=model["training"],
        weight_decay=model["penalty"]["weight_decay"],
        key=KEY,
        **more,
    )


def train(made, state=None, **more):
    """Run a trainer to its end; its last state."""
    return made.fit(state, save=lambda state: None, **more)


def batches(data, epochs, size=16):
    """What Keras' fit is fed with: the batches of all epochs, one after another, in regfold's orders."""
    for epoch in range(1, epochs + 1):
        order = batch_order(*KEY, epoch, len(data.rows))
        for start in range(0, len(order), size):
            yield data.rows[order[start : start + size]], data.truth[order[start : start + size]]


def keras_fit(body, data, optimizer, epochs=20, size=16, **more):
    """Train with Keras' own loop; its history."""
    body.compile(
        optimizer, "categorical_crossentropy" if data.task == "classification" else "mean_squared_error"
    )
    signature = tuple(tf.TensorSpec((None, array.shape[1])) for array in (data.rows, data.truth))
    dataset = tf.data.Dataset.from_generator(lambda: batches(data, epochs, size), output_signature=signature)
    steps = -(-len(data.rows) // size)
    return body.fit(dataset, epochs=epochs, steps_per_epoch=steps, shuffle=False, verbose=0, **more).history


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
    reference.set_weights(made.network.get_weights())
    optimizer = optimizer()
    if penalty.get("weight_decay"):
        optimizer.exclude_from_weight_decay(var_names=["bias"])
    state = train(made)
    history = keras_fit(reference, classes, optimizer)
    assert_same_weights(made.network, reference)
    np.testing.assert_allclose(state.history[:, HISTORY.index("train_objective")], history["loss"], rtol=1e-4)


def test_a_regression_with_two_targets_is_that_of_keras(numbers):
    made = trainer(numbers, settings(penalty={"kernel": {"l2": 0.001}}))
    reference = dense(2, "linear", kernel_regularizer=L1L2(l2=0.001))
    reference.set_weights(made.network.get_weights())
    state = train(made)
    history = keras_fit(reference, numbers, keras.optimizers.Adam(0.01))
    assert_same_weights(made.network, reference)
    np.testing.assert_allclose(state.history[:, 1], history["loss"], rtol=1e-4)


def test_balanced_class_weights_are_those_of_scikit_learn_and_keras(classes):
    from regfold.training.fitting import _balanced

    made = trainer(classes, settings(), row_weights=_balanced(classes.codes))
    reference = dense(3, "softmax")
    reference.set_weights(made.network.get_weights())
    train(made)
    weights = compute_class_weight("balanced", classes=np.arange(3), y=classes.codes)
    keras_fit(reference, classes, keras.optimizers.Adam(0.01), class_weight=dict(enumerate(weights)))
    assert_same_weights(made.network, reference)


def test_a_network_of_ones_own_with_batch_normalization_is_that_of_keras(classes):
    keras.utils.set_random_seed(5)
    body, reference = (dense(3, "softmax", "tanh", normalize=True) for _ in range(2))
    reference.set_weights(body.get_weights())
    made = trainer(classes, settings(), body)
    train(made)
    keras_fit(reference, classes, keras.optimizers.Adam(0.01))
    moved = [v for v in body.non_trainable_variables if "moving" in v.path]
    assert len(moved) == 4 and all(np.ptp(np.asarray(v)) > 0.01 for v in moved)
    assert_same_weights(body, reference)


def test_early_stopping_is_that_of_keras(numbers):
    # The watched loss is without penalties, and Keras' val_loss is with them: here there are none.
    seen, watched = (
        SimpleNamespace(rows=numbers.rows[part], truth=numbers.truth[part], task="regression")
        for part in (slice(30, 50), slice(0, 30))
    )
    model = settings(
        training={"epochs": 80, "learning_rate": 0.02, "early_stopping": {"fraction": 0.1, "patience": 3}}
    )
    made = trainer(seen, model, watched=(watched.rows, watched.truth))
    reference = dense(2, "linear")
    reference.set_weights(made.network.get_weights())
    state = train(made)
    stopping = keras.callbacks.EarlyStopping("val_loss", patience=3, restore_best_weights=True)
    history = keras_fit(
        reference,
        seen,
        keras.optimizers.Adam(0.02),
        80,
        callbacks=[stopping],
        validation_data=(watched.rows, watched.truth),
    )
    assert 5 < state.epoch < 80, "this case must stop early"
    assert state.epoch == len(history["loss"])
    assert state.best_epoch == 1 + stopping.best_epoch == state.epoch - 3
    assert state.ending == f"stopped early after epoch {state.epoch}"
    np.testing.assert_allclose(state.history[:, 2], history["val_loss"], rtol=1e-4)
    assert_same_weights(made.network, reference)


def test_early_stopping_watches_the_loss_without_penalties(numbers):
    training = {"epochs": 3, "early_stopping": {"fraction": 0.1, "patience": 5}}
    model = settings(training=training, penalty={"kernel": {"l2": 1.0}, "activity": {"l1": 1.0}})
    watched = numbers.rows[:30], numbers.truth[:30]
    made = trainer(numbers, model, watched=watched)
    state = train(made)
    for epoch in (1, 2, 3):
        made.assign(state.snapshots[epoch])
        outputs = made.network.predict(watched[0], verbose=0)
        assert state.history[epoch - 1, 2] == pytest.approx(np.mean((outputs - watched[1]) ** 2), rel=1e-5)


@pytest.mark.parametrize("patience", [1, 2, 4])
def test_patience_is_exact(numbers, patience):
    """Fed with a made-up course of the watched loss, the best of which is in epoch 3."""
    course = iter([5, 4, 3, 3, 3.5, np.inf, 3.2, 9, 1, 0, 0, 0])
    training = {"early_stopping": {"fraction": 0.1, "patience": patience}}
    made = trainer(numbers, settings(training=training), watched=(numbers.rows, numbers.truth))
    made.program = lambda batches, count: (1.0, 1.0)
    made.watch_program = lambda: next(course)
    state = train(made)
    assert (state.epoch, state.best_epoch) == ({1: 4, 2: 5, 4: 7}[patience], 3)


def test_every_optimizer_of_the_config_learns(numbers):
    for name in optimizers.OPTIMIZERS:
        training = {
            "optimizer": name,
            "epochs": 4,
            "batch_size": 15,
            "learning_rate": {"adadelta": 10, "ftrl": 0.5, "sgd": 0.05}.get(name, 0.01),
        }
        model = settings(training=training, penalty={"weight_decay": 1e-4}, network={"hidden": [4]})
        loss = train(trainer(numbers, model)).history[:, 0]
        assert loss[-1] < 0.95 * loss[0], (name, loss)


def test_weight_decay_shrinks_kernels_and_no_biases(numbers):
    """Without a gradient, plain SGD leaves kernels times (1 - decay x rate) a step, and biases alone."""
    model = settings(
        training={"optimizer": "sgd", "epochs": 1, "learning_rate": 0.5}, penalty={"weight_decay": 0.1}
    )
    made = trainer(numbers, model)
    before = made.network.get_weights()
    still = [0 * variable + (1 if variable.ndim == 1 else variable) for variable in before]
    made.network.set_weights(still)
    made.optimizer.apply([np.zeros_like(variable) for variable in before])
    for then, now in zip(still, made.network.get_weights(), strict=True):
        np.testing.assert_allclose(now, then if then.ndim == 1 else 0.95 * then, rtol=1e-6)


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


def test_masks_are_new_in_every_batch_and_drop_the_share_they_should():
    """Dropout alone on rows of ones: the mean of squares tells the share that was kept."""
    losses = {}
    for n_batches in (1, 2):
        n_rows = 1000 * n_batches
        ones = SimpleNamespace(
            rows=np.ones((n_rows, 6), np.float32), truth=np.zeros((n_rows, 6), np.float32), task="regression"
        )
        body = keras.Sequential([layers.Input((6,)), layers.Dropout(0.3, seed=11)])
        model = settings(training={"epochs": 4 // n_batches, "batch_size": 1000})
        losses[n_batches] = train(trainer(ones, model, body)).history[:, 0]
    assert len(set(losses[1])) == 4
    np.testing.assert_allclose(0.49 * losses[1], 0.7, atol=0.03)  # five standard errors
    np.testing.assert_allclose(losses[2], losses[1].reshape(2, 2).mean(axis=1), rtol=1e-6)


def test_every_epoch_has_an_order_of_its_own(numbers):
    made = trainer(numbers, settings(training={"epochs": 5}))
    seen = []

    def program(batches, count):
        seen.append(np.asarray(batches)[: int(count)].ravel())
        return 1.0, 1.0

    made.program = program
    train(made)
    orders = [np.concatenate(parts) for parts in zip(seen[::2], seen[1::2], strict=True)]
    assert len({order.tobytes() for order in orders}) == 5
    for epoch, order in enumerate(orders, start=1):
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
    made.assign([np.full(variable.shape, 0.1, np.float32) for variable in made.network.variables])
    state = train(made)
    weights = [w.astype(np.float64) for w in made.network.get_weights()]
    activity, hidden = 0.0, classes.rows.astype(np.float64)
    for kernel, bias in zip(weights[:4:2], weights[1:4:2], strict=True):
        hidden = np.maximum(hidden @ kernel + bias, 0)
        activity += 0.05 * np.abs(hidden).sum(1).mean() + 0.06 * np.square(hidden).sum(1).mean()
    scores = hidden @ weights[4] + weights[5]
    loss = np.mean(np.log(np.exp(scores).sum(1)) - scores[np.arange(N_ROWS), classes.codes])
    penalties = activity
    for strengths, part in (((0.01, 0.02), weights[::2]), ((0.03, 0.04), weights[1::2])):
        penalties += sum(strengths[0] * np.abs(w).sum() + strengths[1] * np.square(w).sum() for w in part)
    for loss_found, objective, watched, rate in state.history:
        assert loss_found == pytest.approx(loss, rel=1e-5)
        assert objective - loss_found == pytest.approx(penalties, rel=1e-4)
        assert np.isnan(watched) and rate == pytest.approx(1e-9)


def test_a_network_without_anything_to_train_passes_through(numbers):
    echo = keras.Sequential([layers.Input((6,)), layers.Reshape((2, 3)), layers.GlobalAveragePooling1D()])
    three = SimpleNamespace(rows=numbers.rows, truth=numbers.rows[:, :3], task="regression")
    state = train(trainer(three, settings(training={"epochs": 2}), echo))
    outputs = numbers.rows.reshape(-1, 2, 3).mean(axis=1)
    assert state.history[:, 0] == pytest.approx(np.mean((outputs - three.truth) ** 2), rel=1e-5)
    assert state.finished and not state.ending


def test_divergence_ends_the_training_and_says_why(numbers):
    model = settings(training={"optimizer": "sgd", "learning_rate": 1e6, "epochs": 50})
    state = train(trainer(numbers, model))
    assert state.finished and state.epoch < 20
    assert state.ending == f"diverged: the loss is not finite in epoch {state.epoch}"


@pytest.mark.parametrize(("n_rows", "batch_size", "hidden"), [(5, 32, [3]), (33, 32, []), (1, 1, [3])])
def test_small_tables_and_no_hidden_layer(numbers, n_rows, batch_size, hidden):
    few = SimpleNamespace(rows=numbers.rows[:n_rows, :1], truth=numbers.truth[:n_rows, :1], task="regression")
    model = settings(training={"batch_size": batch_size, "epochs": 3}, network={"hidden": hidden})
    loss = train(trainer(few, model)).history[:, 0]
    assert np.isfinite(loss).all() and loss[2] < loss[0]


def test_a_row_counts_the_same_in_the_mean_loss_of_an_uneven_epoch(numbers):
    """Batches of 16 and one of 10: the epoch's loss is the mean over rows, not over batches."""
    made = trainer(numbers, settings(training={"epochs": 1, "learning_rate": 1e-9, "optimizer": "sgd"}))
    outputs = made.network.predict(numbers.rows, verbose=0)
    assert train(made).history[0, 0] == pytest.approx(np.mean((outputs - numbers.truth) ** 2), rel=1e-5)


def test_rows_behind_the_training_rows_are_not_looked_at(numbers):
    """Room for another fold's few rows more; here it is full of what would be noticed."""
    room = np.full((6, 6), np.nan, np.float32)
    longer = SimpleNamespace(
        rows=np.concatenate([numbers.rows, room]), truth=numbers.truth, task="regression"
    )
    weights = np.linspace(0.5, 2, N_ROWS, dtype=np.float32)
    found, expected = (
        train(trainer(data, settings(), row_weights=weights)).variables for data in (longer, numbers)
    )
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_folds_that_differ_by_a_row_share_the_program_of_full_batches(numbers):
    names = []
    for n_rows in (87, 88):
        rows = matrix.with_spare(numbers.rows[:n_rows], matrix.room(n_rows))
        part = SimpleNamespace(rows=rows, truth=numbers.truth[:n_rows], task="regression")
        made = trainer(part, settings())
        before = [np.array(v) for v in made.network.variables]
        programs = made.programs()
        for program in programs.values():
            program()
        assert all(map(np.array_equal, before, made.network.variables)), "compiling trains nothing"
        names.append(set(programs))
    assert len(names[0] & names[1]) == 1 and len(names[0] | names[1]) == 3


@pytest.mark.parametrize("n_rows", [1, 2, 31, 32, 33, 1437, 800_000])
def test_room_is_a_little_more_and_mostly_the_same_for_the_next_number(n_rows):
    room = matrix.room(n_rows)
    assert n_rows <= room <= n_rows * 1.04
    assert matrix.room(room) == room
    if n_rows > 1000:
        assert matrix.room(n_rows + 1) == room


# Exact resume


def test_a_training_stopped_anywhere_and_taken_up_again_is_the_undisturbed_one(numbers, tmp_path):
    training = {
        "epochs": 30,
        "schedule": "cosine",
        "early_stopping": {"fraction": 0.1, "patience": 6},
        "learning_rate": 0.02,
    }
    model = settings(training=training, penalty={"dropout": 0.3}, network={"hidden": [6]})
    watched = numbers.rows[:20], numbers.truth[:20]
    whole = trainer(numbers, model, watched=watched)
    undisturbed = train(whole)
    store = Store(tmp_path, "state")
    for stop in (1, 11):
        made, seen = trainer(numbers, model, watched=watched), []
        state = made.fit(
            store.load(),
            save=store.save,
            on_epoch=lambda epoch, values, seen=seen: seen.append(epoch),
            stop=lambda stop=stop, seen=seen: seen[-1] >= stop,
        )
        assert not state.finished and state.epoch == stop
    last = trainer(numbers, model, watched=watched)
    assert_same_state(last.fit(store.load(), save=store.save), undisturbed)
    assert_same_weights(last.network, whole.network, 0)
    again = trainer(numbers, model, watched=watched)
    assert_same_state(again.fit(store.load(), save=pytest.fail), undisturbed)
    assert_same_weights(again.network, whole.network, 0)


def assert_same_state(found, expected):
    for name in ("epoch", "finished", "ending", "best_epoch"):
        assert getattr(found, name) == getattr(expected, name)
    np.testing.assert_array_equal(found.history, expected.history)
    assert found.snapshots.keys() == expected.snapshots.keys()
    pairs = [(found.snapshots[epoch], expected.snapshots[epoch]) for epoch in expected.snapshots]
    pairs += [(getattr(found, part), getattr(expected, part)) for part in PARTS]
    for one, other in pairs:
        assert len(one) == len(other) and all(map(np.array_equal, one, other))


PARTS = ("variables", "optimizer", "best_variables")
