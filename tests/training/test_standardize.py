"""Guards the statistics of a network's first layer: scikit-learn's, from the training rows alone."""

import warnings

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from regfold.training import standardize
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def numeric(n):
    return [{"kind": "numeric", "start": i, "width": 1} for i in range(n)]


def transformed(train_rows, rows, columns=None):
    statistics = standardize.fit(train_rows, columns or numeric(train_rows.shape[1]))
    return statistics, standardize.apply(rows.copy(), statistics)


def reference():
    return make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())


def test_statistics_are_those_of_scikit_learn():
    random = np.random.default_rng(1)
    rows = (random.normal(size=(200, 6)) * [1, 1e-3, 1e4, 5, 2, 1] + [0, 0, 1e5, -3, 8, 1]).astype(np.float32)
    rows[random.random(rows.shape) < 0.2] = np.nan
    train_rows, held_out = rows[:150], rows[150:]
    statistics, found = transformed(train_rows, held_out)
    expected = reference().fit(train_rows.astype(np.float64))
    np.testing.assert_allclose(found, expected.transform(held_out), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(statistics.median, expected[0].statistics_, rtol=1e-6)
    np.testing.assert_allclose(1 / statistics.scale, expected[1].scale_, rtol=1e-6)


cells = st.one_of(st.integers(-1000, 1000).map(float), st.just(np.nan))


def is_binary(column):
    return np.isin(column[~np.isnan(column)], (0, 1)).all()


@given(arrays.arrays(np.float32, st.tuples(st.integers(2, 12), st.integers(1, 3)), elements=cells))
@settings(max_examples=100, deadline=None)
def test_any_small_table_is_standardized_as_by_scikit_learn(rows):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn speaks of columns without a value
        expected = reference().fit_transform(rows.astype(np.float64))
        imputed = reference()[0].fit_transform(rows.astype(np.float64))
    for j, column in enumerate(rows.T):
        if is_binary(column) and np.ptp(imputed[:, j]) > 0:
            expected[:, j] = imputed[:, j]
    _, found = transformed(rows, rows)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_a_column_that_is_constant_in_the_training_rows_tells_nothing():
    train_rows = np.array([[7, 1], [7, 2], [np.nan, 3]], np.float32)
    held_out = np.array([[7, 2], [1e6, 2], [np.nan, 2]], np.float32)
    assert transformed(train_rows, held_out)[1][:, 0].tolist() == [0, 0, 0]


def test_a_constant_that_float32_cannot_hold_exactly_is_constant():
    train_rows = np.full((1001, 1), 0.1, np.float32)
    assert transformed(train_rows, train_rows)[1].ravel().tolist() == [0] * 1001


def test_a_column_without_a_training_value_is_zero_and_finite():
    train_rows = np.array([[np.nan, 1], [np.nan, 2]], np.float32)
    held_out = np.array([[np.nan, 1], [55, 1]], np.float32)
    statistics, found = transformed(train_rows, held_out)
    assert statistics.median[0] == statistics.scale[0] == 0
    assert found[:, 0].tolist() == [0, 0]


@pytest.mark.parametrize("size", [1e-44, 1e-39, 1e-30, 1e30, 3e38])
def test_extreme_numbers_stay_finite(size):
    train_rows = np.array([[0.1], [0.5], [1], [np.nan]], np.float32) * np.float32(size)
    statistics, found = transformed(train_rows, train_rows)
    assert np.isfinite(statistics.scale).all() and np.isfinite(found).all()


def test_a_level_that_only_held_out_rows_have_is_no_column_of_the_network():
    columns = [*numeric(1), {"kind": "categorical", "start": 1, "width": 3}]
    train_rows = np.array([[1, 1, 0, 0], [2, 0, 0, 1], [3, 1, 0, 0]], np.float32)
    unseen = np.array([[2, 0, 1, 0]], np.float32)
    statistics, found = transformed(train_rows, unseen, columns)
    assert statistics.keep.tolist() == [0, 1, 3]
    assert found.tolist() == [[0, 0, 0]]
    narrow, _ = transformed(
        train_rows[:, [0, 1, 3]],
        unseen[:, [0, 1, 3]],
        [*numeric(1), {"kind": "categorical", "start": 1, "width": 2}],
    )
    for name in ("median", "mean", "scale"):
        np.testing.assert_array_equal(getattr(statistics, name), getattr(narrow, name))


@given(st.integers(1, 100_000), st.booleans(), st.booleans())
@settings(max_examples=30, deadline=None)
def test_zeros_and_ones_reach_the_network_as_they_are(n_rows, is_level, with_gaps):
    """However rare the ones are, in a category's level or a number; missing numbers become the median."""
    train_rows = np.zeros((n_rows + 2, 1), np.float32)
    train_rows[1] = 1
    held_out = np.array([[0], [1]], np.float32)
    columns = [{"kind": "categorical" if is_level else "numeric", "start": 0, "width": 1}]
    if with_gaps and not is_level:
        train_rows[2:] = np.nan
        held_out = np.append(held_out, [[np.nan]]).astype(np.float32)[:, None]
    _, found = transformed(train_rows, held_out, columns)
    assert found.ravel().tolist() == [0, 1, 0.5][: len(held_out)]


def test_a_number_that_is_0_or_1_in_the_training_rows_alone_is_not_scaled_elsewhere_either():
    _, found = transformed(np.array([[0], [1], [1]], np.float32), np.array([[7], [-2]], np.float32))
    assert found.ravel().tolist() == [7, -2]
    _, found = transformed(np.array([[0], [1], [2]], np.float32), np.array([[1]], np.float32))
    assert found.ravel().tolist() == [0], "three values are a number like any other"


def test_the_training_matrix_is_changed_in_place():
    rows = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    statistics = standardize.fit(rows, numeric(3))
    assert standardize.apply(rows, statistics) is rows


def test_targets_are_scaled_as_by_scikit_learn():
    target = np.random.default_rng(2).normal(size=(60, 2)) * [1e4, 1e-3] + [1e5, 3]
    scale, expected = standardize.fit_target(target), StandardScaler().fit(target)
    np.testing.assert_allclose(scale.mean, expected.mean_, rtol=1e-6)
    np.testing.assert_allclose(scale.deviation, expected.scale_, rtol=1e-6)


@given(st.floats(-1e9, 1e9), st.floats(-46, 30).map(lambda power: 10**power), st.integers(0, 99))
@example(1.7e9 / 1800, 1800, 0)
@settings(max_examples=50, deadline=None)
def test_targets_come_back_to_their_units_whatever_their_mean_and_deviation(mean, deviation, seed):
    """To 1e-6 deviations, the precision of a network's own numbers."""
    target = deviation * (mean + np.random.default_rng(seed).normal(size=(50, 1)))
    scale = standardize.fit_target(target)
    outputs = scale.standardize(target)
    assert outputs.dtype == np.float32 and outputs.std() == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(scale.restore(outputs), target, rtol=0, atol=2e-6 * deviation)


@pytest.mark.parametrize("values", [[0.1, 0.1, 0.1], [0, 0, 5e-324]])
def test_a_target_that_is_constant_in_the_training_rows_is_only_centred(values):
    """Or hardly more than constant: its deviation would be no normal number."""
    scale = standardize.fit_target(np.array(values)[:, None])
    assert scale.mean.tolist() == [pytest.approx(values[0])] and scale.deviation.tolist() == [1]
