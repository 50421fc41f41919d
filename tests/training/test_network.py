"""Guards the network: plain Keras loads what is saved, weights come from the seeds alone, own ones too."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from regfold.config import functions
from regfold.errors import RegfoldError
from regfold.training import diagnosis, network, penalty, standardize
from small_study import model as settings

OWN = Path(__file__).parents[1] / "own_networks.py"
KEY = (42, 1, 1)


def body(n_features=4, n_outputs=3, own=None, key=KEY, output="softmax", **sections):
    model = settings(**sections)
    if own:
        model["network"] = {"build": f"{OWN}:{own}"}
    return network.build_core(n_features, n_outputs, output, model["network"], model["penalty"], key)


def encoded_rows():
    """Rows with missing numbers, and a level that no training row has."""
    random = np.random.default_rng(3)
    rows = np.zeros((40, 5), np.float32)
    rows[:, :2] = random.normal(size=(40, 2)) * [1e3, 1e-2] + [1e4, 3]
    rows[random.random(40) < 0.3, 0] = np.nan
    rows[np.arange(40), 2 + np.arange(40) % 3] = 1
    columns = [{"kind": "numeric", "start": i, "width": 1} for i in range(2)]
    learnt = rows[rows[:, 3] == 0]
    return rows, standardize.fit(learnt, [*columns, {"kind": "categorical", "start": 2, "width": 3}])


def test_the_saved_network_is_loaded_by_plain_keras_and_takes_encoded_rows(tmp_path):
    rows, statistics = encoded_rows()
    scale = standardize.TargetScale(np.array([1.7e9, 3e-46]), np.array([1800, 1e-46]))
    penalties = {"dropout": 0.3, "kernel": {"l1": 0.1}, "activity": {"l2": 0.1}}
    made = {
        "classes": (body(penalty=penalties), None),
        "numbers": (body(4, 2, output="linear", penalty=penalties), scale),
        "own": (body(own="sequential"), None),
    }
    np.save(tmp_path / "features.npy", rows)
    for name, (inner, target) in made.items():
        network.assemble([inner], 5, statistics, target).save(tmp_path / f"{name}.keras")
    script = """
import sys, numpy as np, keras
for name in sys.argv[1:]:
    loaded = keras.saving.load_model(f"{name}.keras")
    np.save(f"{name}.npy", loaded.predict(np.load("features.npy"), verbose=0))
assert not any("regfold" in name for name in [*sys.path, *sys.modules]), sys.path
"""
    environment = {"KERAS_BACKEND": "tensorflow", "TF_ENABLE_ONEDNN_OPTS": "0"}
    subprocess.run([sys.executable, "-c", script, *made], cwd=tmp_path, check=True, env=environment)
    for name, (inner, target) in made.items():
        found = np.load(tmp_path / f"{name}.npy")
        expected = inner(standardize.apply(rows.copy(), statistics), training=False).numpy()
        if target is not None:
            expected, found = target.restore(expected), found.astype(np.float64)
            found, expected = ((values - target.mean) / target.deviation for values in (found, expected))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
        assert np.isfinite(found).all() and np.ptp(found, axis=0).min() > 0


def weights(made):
    return [variable.numpy() for variable in made.trainable_variables]


def test_models_on_one_fold_start_from_the_same_weights():
    models = [
        body(),
        body(penalty={"kernel": {"l2": 1}, "activity": {"l1": 1}, "weight_decay": 0.1}),
        body(penalty={"dropout": 0.5}),
        body(training={"optimizer": "sgd"}),
    ]
    keras.utils.set_random_seed(99)  # what was drawn before must not matter
    models.append(body())
    for other in models[1:]:
        assert all(map(np.array_equal, weights(models[0]), weights(other)))
    own = [body(own="functional"), body(own="functional", penalty={"kernel": {"l2": 1}})]
    assert all(map(np.array_equal, weights(own[0]), weights(own[1])))


@pytest.mark.parametrize("own", [None, "functional"])
def test_folds_repeats_and_seeds_start_from_other_weights(own):
    kernels = [
        weights(body(own=own, key=key))[0].tobytes() for key in (KEY, (42, 1, 2), (42, 2, 1), (1, 1, 1))
    ]
    assert len(set(kernels)) == 4


def test_initial_weights_are_keras_own_glorot_uniform():
    kernel = weights(body(200, network={"hidden": [100, 100]}))[2]
    assert np.abs(kernel).max() == pytest.approx(np.sqrt(6 / 200), rel=1e-3)
    assert kernel.std() == pytest.approx(np.sqrt(6 / 200) / np.sqrt(3), rel=0.02)


def test_penalties_act_where_they_are_said_to():
    """kernel and bias: every layer; activity and dropout: the hidden layers."""
    given = {"kernel": {"l1": 0.1}, "bias": {"l2": 0.2}, "activity": {"l1": 0.3}, "dropout": 0.4}
    made = body(penalty=given)
    *hidden, output = [layer for layer in made.layers if isinstance(layer, keras.layers.Dense)]
    for layer in (*hidden, output):
        assert (layer.kernel_regularizer.l1, layer.kernel_regularizer.l2) == (0.1, 0)
        assert (layer.bias_regularizer.l1, layer.bias_regularizer.l2) == (0, 0.2)
    assert [layer.activity_regularizer.l1 for layer in hidden] == [0.3, 0.3]
    assert output.activity_regularizer is None
    assert [layer.rate for layer in made.layers if isinstance(layer, keras.layers.Dropout)] == [0.4, 0.4]
    assert list(network.hidden_model(made).output) == [layer.name for layer in hidden]


def test_measured_sums_are_those_of_the_penalties():
    """On a linear network whose weights and outputs are known."""
    made = body(2, 1, output="linear", network={"hidden": [2], "activation": "linear"})
    made.set_weights([np.array([[1, -2], [3, 0]]), np.array([-1, 5]), np.array([[2], [-2]]), np.array([-7])])
    assert penalty.measure_weights(made, made.get_weights()) == {
        "kernel_l1": 10,
        "kernel_l2": 22,
        "bias_l1": 13,
        "bias_l2": 75,
    }
    outputs = network.hidden_model(made)(np.array([[1, 0], [0, 1]]))
    outputs = {name: values.numpy() for name, values in outputs.items()}
    np.testing.assert_array_equal(outputs["hidden_1"], [[0, 3], [2, 5]])
    assert diagnosis.activity(outputs) == {"activity_l1": (3 + 7) / 2, "activity_l2": (9 + 29) / 2}


@pytest.mark.parametrize(
    "own", ["sequential", "functional", "with_a_dataclass", "other_names", "own_layer", "subclassed"]
)
def test_a_network_of_ones_own_has_the_right_shapes_and_penalties(own):
    made = body(own=own, penalty={"kernel": {"l2": 0.5}})
    outputs = made(np.ones((2, 4), np.float32), training=True)
    assert outputs.shape == (2, 3)
    penalized = own in ("sequential", "functional", "with_a_dataclass", "other_names")
    assert len(made.losses) == penalized
    if penalized:
        kernel = next(v for v in made.trainable_variables if v.path.endswith("kernel")).numpy()
        assert float(made.losses[0]) == pytest.approx(0.5 * np.square(kernel).sum(), rel=1e-5)
    cut = network.hidden_model(made)
    sample = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    hidden = {} if cut is None else {name: values.numpy() for name, values in cut(sample).items()}
    assert diagnosis.flags("", hidden, np.eye(3, dtype=np.float32)) == []


WRONG = {
    "no_network": " returned a str; expected a keras.Model",
    "nothing": " returned a NoneType; expected a keras.Model",
    "wrong_outputs": " returned a network with output shape (None, 4); expected (None, 3)",
    "two_outputs": " returned a network with output shape [(None, 3), (None, 3)]; expected (None, 3)",
    "raises": " failed: ValueError: two lines",
    "exits": " failed: SystemExit: no network today",
    "uses_lambda": " has a Lambda layer, which Keras refuses to load from a file; "
    "expected keras.ops, or a layer class of your own",
    "not_there": ": AttributeError: module 'regfold_build_own_networks' has no attribute 'not_there'",
}


@pytest.mark.parametrize("own", WRONG)
def test_what_is_wrong_with_ones_own_network_is_said_in_one_line(own, monkeypatch):
    monkeypatch.chdir(OWN.parent)
    monkeypatch.setattr(sys.modules[__name__], "OWN", OWN.name)
    with pytest.raises(RegfoldError) as error:
        body(own=own)
    assert str(error.value) == f"network.build: 'own_networks.py:{own}'{WRONG[own]}"


@pytest.mark.parametrize(
    ("line", "reason"),
    [("raise SystemExit(3)", "SystemExit: 3"), ("raise ValueError('two\\nlines')", "ValueError: two lines")],
)
def test_a_file_that_ends_while_it_is_read_is_said_in_one_line(line, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("nets.py").write_text(f"{line}\n")
    with pytest.raises(RegfoldError) as error:
        functions.load("nets.py:net", "network.build")
    assert str(error.value) == f"network.build: 'nets.py:net': {reason}"


def test_a_network_that_does_not_take_the_features_is_said_in_one_line():
    with pytest.raises(RegfoldError, match=r"failed: ValueError: .*expected shape=\(None, 5\)") as error:
        body(own="wrong_inputs")
    assert str(error.value).isprintable()


def test_the_digest_of_weights_tells_networks_apart_and_nothing_else():
    digests = [network.weights_digest(body(key=key)) for key in (KEY, KEY, (1, 1, 1))]
    assert digests[0] == digests[1] != digests[2]


def test_no_hidden_layer_one_feature_and_many_classes():
    made = body(1, 1000, network={"hidden": []})
    assert [variable.shape for variable in made.trainable_variables] == [(1, 1000), (1000,)]
    assert network.hidden_model(made) is None
    assert diagnosis.activity({}) == {"activity_l1": 0, "activity_l2": 0}
