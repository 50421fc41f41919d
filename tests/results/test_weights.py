"""Guards the fits of weights: simulated samples are recovered, SciPy agrees, and kernels are read whole."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from regfold.errors import RegfoldError
from regfold.results.weights import SHAPES, closest, fit, kernels, pooled
from regfold.training.network import build_core, build_stack
from scipy import stats


@pytest.mark.parametrize(
    ("distribution", "shape", "name"), [(stats.laplace, 1, "Laplace"), (stats.norm, 2, "Gaussian")]
)
@pytest.mark.parametrize("scale", [1e-3, 7.0])
def test_simulated_samples_are_recovered(distribution, shape, name, scale):
    found = fit(distribution.rvs(scale=scale, size=4_000, random_state=3))
    assert found.shape == pytest.approx(shape, abs=0.15)
    assert found.low < shape < found.high and found.high - found.low < 0.3
    assert closest(found) == name
    assert (found.laplace_over_gaussian > 0) == (name == "Laplace")


def test_the_interval_covers():
    fits = [fit(stats.laplace.rvs(size=300, random_state=seed)) for seed in range(200)]
    assert 0.91 <= np.mean([found.low <= 1 <= found.high for found in fits]) <= 0.99


@settings(max_examples=30, deadline=None)
@given(st.floats(0.5, 4), st.floats(1e-3, 1e3), st.integers(0, 99))
def test_fits_are_those_of_scipy(shape, scale, seed):
    values = stats.gennorm.rvs(shape, scale=scale, size=500, random_state=seed)
    found = fit(values)
    laplace, gaussian = (
        distribution.logpdf(values, *distribution.fit(values, floc=0)).mean()
        for distribution in (stats.laplace, stats.norm)
    )
    assert found.laplace_over_gaussian == pytest.approx(laplace - gaussian, abs=1e-9)
    b, loc, at = stats.gennorm.fit(values, floc=0)
    scale = (found.shape * np.mean(np.abs(values) ** found.shape)) ** (1 / found.shape)
    own = stats.gennorm.logpdf(values, found.shape, scale=scale).mean()
    # As likely as what SciPy's general optimizer finds, or more.
    assert own >= stats.gennorm.logpdf(values, b, loc, at).mean() - 1e-6


def test_exact_zeros_are_counted_apart():
    values = np.concatenate([np.zeros(300), stats.laplace.rvs(size=700, random_state=1)])
    found = fit(values)
    assert (found.n, found.zeros) == (700, 0.3) and closest(found) == "Laplace"
    assert found.shape == fit(values[300:]).shape
    assert fit(np.zeros(9)) is None and fit(np.array([0.0, 1.0])) is None


def test_uniform_and_spiky_weights_end_at_the_bounds():
    uniform = fit(np.random.default_rng(0).uniform(-1, 1, 5_000))
    assert uniform.shape > 10 and closest(uniform) == "flatter than Gaussian"
    spiky = fit(np.exp(np.random.default_rng(0).normal(0, 9, 5_000)))
    assert spiky.low >= SHAPES[0] and closest(spiky) == "more peaked than Laplace"


def test_of_very_many_weights_evenly_chosen_ones_are_fitted():
    values = stats.norm.rvs(size=250_000, random_state=0)
    found = fit(values)
    assert found.n == 250_000 and found.shape == pytest.approx(2, abs=0.03)


NETWORK = {"hidden": [5, 4, *[3] * 9], "activation": "relu", "build": None}
PENALTY = {
    "kernel": {"l1": 0.0, "l2": 0.0, "l1_ratio": None, "group": None, "strength": 0.0, "proximal": False},
    "bias": {"l1": 0.0, "l2": 0.0},
    "activity": {"l1": 0.0, "l2": 0.0},
    "dropout": 0.0,
    "weight_decay": 0.0,
}


def core(seed: int) -> keras.Model:
    return build_core(3, 2, "softmax", NETWORK, PENALTY, (seed, 1, 1))


def test_kernels_are_read_as_keras_has_them(tmp_path):
    network = core(0)
    network.save(tmp_path / "model.keras")
    (found,) = kernels(tmp_path / "model.keras")
    assert list(found) == [*(f"hidden_{i + 1}" for i in range(11)), "output"]
    for layer in network.layers[1:]:
        assert np.array_equal(found[layer.name], layer.kernel)


def test_kernels_of_a_path_are_those_of_one_strength(tmp_path):
    networks = [core(seed) for seed in range(3)]
    values = [[np.asarray(variable) for variable in network.trainable_variables] for network in networks]
    build_stack(networks[0], NETWORK, values).save(tmp_path / "model.keras")
    for place, network in enumerate(networks):
        (found,) = kernels(tmp_path / "model.keras", place)
        for layer in network.layers[1:]:
            assert np.array_equal(found[layer.name], layer.kernel)
    both = pooled([one for place in (0, 2) for one in kernels(tmp_path / "model.keras", place)])
    assert len(both["hidden_1"]) == 2 * 15


def test_a_damaged_network_is_named(tmp_path):
    (tmp_path / "model.keras").write_text("1 1")
    with pytest.raises(RegfoldError, match=r"model\.keras: is damaged: is not a Keras network"):
        kernels(tmp_path / "model.keras")
