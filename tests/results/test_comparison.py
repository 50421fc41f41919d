"""Guards the comparison of models: equal to baycomp and to values by hand, and right under the null."""

import math

import baycomp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from regfold.results import comparison
from regfold.results.comparison import compare, holm, pairs
from regfold.results.intervals import from_cells
from scipy import stats


def cells(folds, repeats, rows=20):
    """(n_test, n_train) of a repeated cross-validation with folds of one size."""
    n_test = np.full(folds * repeats, rows)
    return n_test, n_test * (folds - 1)


@pytest.mark.parametrize(("folds", "repeats"), [(5, 1), (10, 1), (5, 10), (2, 5)])
@pytest.mark.parametrize("rope", [0.001, 0.01, 0.2])
def test_probabilities_equal_baycomp(folds, repeats, rope):
    random = np.random.default_rng(folds * repeats)
    a, b = random.chisquare(20, (2, folds * repeats)) / 20
    found = compare(a, b * 1.05, *cells(folds, repeats), folds, rope)
    rmse_a, rmse_b = math.sqrt(a.mean()), math.sqrt(b.mean() * 1.05)
    # baycomp compares scores of cells: the RMSE linearized at its pooled value.
    scores_a = rmse_a + (a - rmse_a**2) / (2 * rmse_a)
    scores_b = rmse_b + (b * 1.05 - rmse_b**2) / (2 * rmse_b)
    reference = baycomp.CorrelatedTTest(scores_b, scores_a, rope * (rmse_a + rmse_b) / 2, runs=repeats)
    assert found.difference == pytest.approx(reference.mean, abs=1e-12)
    assert found.probabilities() == pytest.approx(reference.probs(), abs=1e-9)


def test_difference_of_mean_squared_errors_equals_baycomp():
    a, b = np.random.default_rng(0).chisquare(20, (2, 15))
    found = from_cells(a - b, *cells(5, 3))
    mean, variance, df = baycomp.CorrelatedTTest.compute_statistics(b, a, runs=3)
    assert (found.mean, found.se**2, found.df) == (pytest.approx(mean), pytest.approx(variance, rel=1e-9), df)


def test_interval_and_p_value_by_hand():
    # RMSEs 2 and 1, so linearized scores are 1 + mse/4 and 1/2 + mse/2; their differences 0.5, 1, 1.5:
    # s^2 = 1/4, J = 3, Var = 1/4 (1/3 + 1/2), 2 degrees of freedom.
    a, b = np.array([2.0, 4.0, 6.0]), np.array([1.0, 1.0, 1.0])
    found = compare(a, b, *cells(3, 1), 3, 0.01)
    se = math.sqrt(5 / 24)
    assert (found.score_a, found.score_b, found.difference) == (2, 1, 1)
    assert found.interval() == pytest.approx(stats.t.interval(0.95, 2, loc=1, scale=se), abs=1e-9)
    assert found.p_value() == pytest.approx(2 * stats.t.sf(1 / se, 2), abs=1e-9)
    assert found.rope == pytest.approx(0.015)


@given(st.integers(0, 999), st.integers(2, 10), st.integers(1, 4))
def test_pair_reads_the_same_from_both_sides(seed, folds, repeats):
    a, b = np.random.default_rng(seed).chisquare(5, (2, folds * repeats))
    one = compare(a, b, *cells(folds, repeats), folds, 0.01)
    other = compare(b, a, *cells(folds, repeats), folds, 0.01)
    assert one.p_value() == pytest.approx(other.p_value())
    assert one.probabilities() == pytest.approx(other.probabilities()[::-1])
    assert one.interval() == pytest.approx([-bound for bound in other.interval()[::-1]])
    assert sum(one.probabilities()) == pytest.approx(1)
    excluded = not one.interval()[0] <= 0 <= one.interval()[1]
    assert excluded == (one.p_value() < 0.05)


def test_identical_models_and_a_constant_difference():
    a = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    same = compare(a, a, *cells(5, 1), 5, 0.01)
    assert (same.p_value(), same.probabilities(), same.interval()) == (1, (0, 1, 0), (0, 0))
    constant = compare(np.ones(5), np.full(5, 4.0), *cells(5, 1), 5, 0.01)
    assert (constant.p_value(), constant.probabilities()) == (0, (1, 0, 0))
    perfect = compare(np.zeros(5), np.zeros(5), *cells(5, 1), 5, 0.01)
    assert (perfect.difference, perfect.p_value()) == (0, 1)


def test_holm_by_hand():
    # Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1; never below an earlier one.
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.5, 0.9])).tolist() == [1, 1]
    assert holm(np.array([])).tolist() == []


def test_repeats_needed_is_where_the_interval_leaves_zero():
    random = np.random.default_rng(1)
    a, b = random.chisquare(20, (2, 5)) / 20
    n_test, n_train = cells(5, 1)
    found = compare(a, b, n_test, n_train, 5, 0.01)
    s = found.estimate.se / math.sqrt(1 / 5 + 1 / 4)
    wanted = stats.t.ppf(0.975, 14) * s * math.sqrt(1 / 15 + 1 / 4)
    for difference, repeats in [(1.0001 * wanted, 3), (0.9999 * wanted, 4), (0.9 * s, None)]:
        moved = comparison.Difference(difference, 0.0, found.estimate, 5, 1 / 4, 0.01)
        assert moved.repeats_needed(0.95) == repeats


def test_lines_and_sentences():
    random = np.random.default_rng(0)
    base = 1 + 0.1 * random.standard_normal(10)
    models = {
        "plain": base,
        "like_plain": base * (1 + 1e-4 * random.standard_normal(10)),
        "worse": base * 1.3 + 0.01 * random.standard_normal(10),
        "noisy": 1.01 + 0.1 * random.standard_normal(10),
    }
    lines = pairs(models, *cells(5, 2), 5, 0.01, "kfold")
    assert [tuple(line) for line in lines] == [(*comparison.COLUMNS, "sentence")] * 6
    by_pair = {(line["model_a"], line["model_b"]): line for line in lines}
    assert by_pair["plain", "like_plain"]["sentence"] == (
        "equivalent in practice: within 1.0 % of the RMSE with probability 1.00"
    )
    assert by_pair["plain", "worse"]["sentence"].startswith("plain is better by 0.14 (0.1")
    assert by_pair["plain", "noisy"]["sentence"].startswith("no measurable difference; to tell 0.0")
    alone = pairs({name: models[name] for name in ("plain", "worse")}, *cells(5, 2), 5, 0.01, "kfold")
    assert by_pair["plain", "worse"]["p_value"] >= alone[0]["p_value"]


@pytest.mark.parametrize(
    ("b", "n_cells", "method", "sentence"),
    [
        (1.5, 5, "time", "not compared: time splits have no exchangeable folds"),
        (1.5, 1, "file", "not compared: one fold shows no spread"),
        (math.nan, 5, "kfold", "not compared: some predictions are not finite"),
    ],
)
def test_pair_without_an_interval_says_why(b, n_cells, method, sentence):
    models = {"a": np.arange(1.0, n_cells + 1), "b": np.full(n_cells, b)}
    line = pairs(models, np.full(n_cells, 20), np.full(n_cells, 80), 5, 0.01, method)[0]
    assert line["sentence"] == sentence
    assert [line[name] for name in comparison.COLUMNS[5:]] == [None] * 6


def test_one_model_has_no_pair():
    assert pairs({"a": np.ones(5)}, *cells(5, 1), 5, 0.01, "kfold") == []


@pytest.mark.parametrize("repeats", [1, 3])
def test_equally_good_models_are_rarely_told_apart(repeats):
    """1,000 tables: ridge on one half of the features against ridge on the other, alike in distribution."""
    random = np.random.default_rng(repeats)
    n, p, folds, tables = 100, 5, 5, 1_000
    features = random.standard_normal((tables, n, 2 * p))
    target = features.sum(axis=2) + 2 * random.standard_normal((tables, n))
    means = np.empty((2, tables, folds * repeats))
    for repeat in range(repeats):
        fold = random.permuted(np.tile(np.arange(n) % folds, (tables, 1)), axis=1)
        order = np.argsort(fold, axis=1, kind="stable")
        x = np.take_along_axis(features, order[:, :, None], axis=1)
        y = np.take_along_axis(target, order, axis=1)
        for k in range(folds):
            test = np.arange(n) // (n // folds) == k
            for half, columns in enumerate((slice(0, p), slice(p, None))):
                z = x[:, :, columns]
                seen = z[:, ~test]
                gram = seen.transpose(0, 2, 1) @ seen + np.eye(p)
                weights = np.linalg.solve(gram, seen.transpose(0, 2, 1) @ y[:, ~test, None])
                errors = y[:, test] - (z[:, test] @ weights)[:, :, 0]
                means[half, :, repeat * folds + k] = np.square(errors).mean(axis=1)
    sizes = cells(folds, repeats, n // folds)
    rejected = np.mean([compare(a, b, *sizes, folds, 0.01).p_value() < 0.05 for a, b in means.swapaxes(0, 1)])
    assert rejected <= 0.07
