"""Guards the intervals of the RMSE: equal to SciPy and to values by hand, and covering in simulations."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from regfold.results import intervals
from regfold.results.intervals import Estimate, bounds, from_cells, from_rows, of_mean
from regfold.results.metrics import METRICS, RMSE
from scipy import stats

MAE = next(metric for metric in METRICS["regression"] if metric.name == "mae")
ACCURACY = next(metric for metric in METRICS["classification"] if metric.name == "accuracy")
LOG_LOSS = next(metric for metric in METRICS["classification"] if metric.name == "log_loss")


def test_independent_rows_are_scipys_one_sample_t():
    losses = np.random.default_rng(0).chisquare(1, 40)
    found = from_rows(losses, np.arange(40))
    expected = stats.ttest_1samp(losses, 0).confidence_interval()
    assert found.mean - found.half_width() == pytest.approx(expected.low, rel=1e-12)
    assert found.mean + found.half_width() == pytest.approx(expected.high, rel=1e-12)


def test_groups_by_hand():
    # Deviations from the mean 3: -2, -1 in group 0, 0 in group 1, 3 in group 2; sums -3, 0, 3.
    found = from_rows(np.array([1.0, 2.0, 3.0, 6.0]), np.array([0, 0, 1, 2]))
    assert found.mean == 3
    assert found.se == pytest.approx(math.sqrt(3 / 2 * 18) / 4)
    assert found.df == 2


@given(st.integers(2, 8), st.integers(0, 99))
def test_rows_that_are_repeated_within_a_group_narrow_nothing(times, seed):
    losses = np.random.default_rng(seed).chisquare(1, 30)
    once = from_rows(losses, np.arange(30))
    copied = from_rows(np.tile(losses, times), np.tile(np.arange(30), times))
    assert (copied.se, copied.df) == (pytest.approx(once.se), once.df)


def test_corrected_resampled_t_by_hand():
    # s^2 = 4, J = 3, one test row for each two training rows: Var = 4 (1/3 + 1/2).
    found = from_cells(np.array([1.0, 3.0, 5.0]), np.array([10, 10, 10]), np.array([20, 20, 20]))
    assert (found.mean, found.df) == (pytest.approx(3), 2)
    assert found.se == pytest.approx(math.sqrt(4 * (1 / 3 + 1 / 2)), rel=1e-12)


def test_five_folds_are_half_as_wide_again_as_the_naive_standard_error():
    means = np.random.default_rng(0).chisquare(20, 5)
    naive = means.std(ddof=1) / math.sqrt(5)
    assert from_cells(means, np.full(5, 20), np.full(5, 80)).se == pytest.approx(1.5 * naive)


def test_cells_weigh_as_much_as_they_have_rows():
    found = from_cells(np.array([1.0, 5.0]), np.array([30, 10]), np.array([10, 30]))
    assert found.mean == pytest.approx(2)
    # Weights 3/4 and 1/4, sum of their squares 5/8: s^2 = (3/4 + 9/4) / (3/8) = 8.
    assert found.se == pytest.approx(math.sqrt(8 * (5 / 8 + 1)))


@given(st.floats(1e-6, 1e6), st.floats(0, 10), st.integers(1, 1000))
def test_bounds_enclose_the_rmse_and_stay_above_zero(mse, relative, df):
    low, high = bounds(Estimate(mse, relative * mse, df), RMSE)
    assert 0 <= low <= math.sqrt(mse) * (1 + 1e-12) and high >= math.sqrt(mse) * (1 - 1e-12)


def test_no_error_at_all_has_an_interval_of_no_width():
    assert bounds(Estimate(0.0, 0.0, 4), RMSE) == (0, 0)


def interval(n=50, repeats=1, method="kfold", n_units=None, losses=None):
    losses = np.linspace(1, 2, n * repeats) if losses is None else losses
    units = np.arange(n * repeats) % (n_units or n)
    means, cells = losses.reshape(repeats * 5, -1).mean(axis=1), np.full(repeats * 5, n // 5)
    return of_mean(RMSE, losses, units, means, cells, 4 * cells, repeats, method)


@pytest.mark.parametrize(
    ("given", "method"),
    [
        ({"n": 2_000}, "2,000 rows; Bayle et al., 2020"),
        ({"n": 5_000, "n_units": 1_250}, "1,250 groups; Bayle et al., 2020"),
        ({"n": 500}, "corrected resampled t over 5 folds; Nadeau and Bengio, 2003"),
        ({"n": 2_000, "n_units": 20}, "corrected resampled t over 5 folds; Nadeau and Bengio, 2003"),
        ({"n": 2_000, "repeats": 3}, "corrected resampled t over 15 folds; Nadeau and Bengio, 2003"),
    ],
)
def test_method_follows_the_rows_and_the_split(given, method):
    found = interval(**given)
    assert found.method == method
    assert found.low < found.high


def test_no_interval_without_a_reason():
    assert interval(method="time").low is None
    assert interval(method="time").method == "time splits have no exchangeable folds"
    diverged = interval(losses=np.where(np.arange(50) == 7, np.nan, 1.0))
    assert (diverged.low, diverged.high) == (None, None)
    assert diverged.method == "some predictions are not finite"
    one_cell = (np.array([4.0]), np.array([9]), np.array([20]))
    holdout = of_mean(RMSE, np.arange(9.0), np.arange(9), *one_cell, 1, "file")
    assert holdout.method == "one fold shows no spread"


def test_a_metric_without_a_root_has_the_bounds_of_its_mean():
    estimate = Estimate(0.25, 0.05, 9)
    low, high = bounds(estimate, MAE)
    assert (math.sqrt(low), math.sqrt(high)) == pytest.approx(bounds(estimate, RMSE))


def test_bounds_of_a_share_by_hand():
    low, high = bounds(Estimate(0.9, 0.02, 9), ACCURACY)
    # The standard error of log(0.9 / 0.1) = log(9) is 0.02 / 0.09.
    assert math.log(high / (1 - high)) == pytest.approx(math.log(9) + stats.t.ppf(0.975, 9) * 0.02 / 0.09)
    assert math.log(low / (1 - low)) == pytest.approx(math.log(9) - stats.t.ppf(0.975, 9) * 0.02 / 0.09)


def test_a_share_that_is_the_same_in_all_folds_has_no_interval():
    cells = np.full(5, 10), np.full(5, 40)
    found = of_mean(ACCURACY, np.ones(50), np.arange(50), np.ones(5), *cells, 1, "kfold")
    assert (found.low, found.high) == (None, None)
    assert found.method == "the accuracy of all folds is the same, which shows no spread"


def covered(losses, units, n_folds, truth, many, metric=RMSE):
    """How often a metric's interval encloses its truth: (simulations, n) losses in random folds."""
    n_test = np.full(n_folds, losses.shape[1] // n_folds)
    found = []
    for row in losses:
        means = row.reshape(n_folds, -1).mean(axis=1)
        estimate = from_rows(row, units) if many else from_cells(means, n_test, n_test * (n_folds - 1))
        low, high = bounds(estimate, metric)
        found.append(low <= truth <= high)
    return np.mean(found)


def test_intervals_cover():
    """Learners and repeats are in tests/benchmarks/coverage.py; here are rows whose true MSE is known, 1."""
    random = np.random.default_rng(0)
    normal = random.standard_normal((1_000, intervals.MANY_UNITS)) ** 2
    assert 0.92 <= covered(normal, np.arange(normal.shape[1]), 5, 1, many=True) <= 0.98
    assert covered(normal[:, :100], None, 5, 1, many=False) >= 0.92
    # Errors that share half of their variance within groups of 10 rows.
    shared = np.repeat(random.standard_normal((1_000, 300)), 10, axis=1)
    grouped = (shared + random.standard_normal((1_000, 3_000))) ** 2 / 2
    assert 0.92 <= covered(grouped, np.arange(3_000) // 10, 5, 1, many=True) <= 0.98
    assert covered(grouped, np.arange(3_000), 5, 1, many=True) < 0.8


@pytest.mark.parametrize(
    ("metric", "draw", "truth"),
    [
        (MAE, lambda random, size: np.abs(random.standard_normal(size)), math.sqrt(2 / math.pi)),
        (ACCURACY, lambda random, size: (random.random(size) < 0.9).astype(float), 0.9),
        # The true class has the probability 0.8 in four of five rows, else 0.2.
        (LOG_LOSS, lambda random, size: -np.log(np.where(random.random(size) < 0.8, 0.8, 0.2)), 0.5004),
    ],
)
def test_intervals_of_other_means_cover(metric, draw, truth):
    losses = draw(np.random.default_rng(0), (1_000, intervals.MANY_UNITS))
    assert 0.92 <= covered(losses, np.arange(losses.shape[1]), 5, truth, many=True, metric=metric) <= 0.98
    assert covered(losses[:, :200], None, 5, truth, many=False, metric=metric) >= 0.92
