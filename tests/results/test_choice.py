"""Guards the choice on a path: the rules by hand, and honest scores where there is nothing to choose."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from regfold.results.choice import bootstrap_bias_corrected, path_scores, tibshirani_corrected


def test_path_scores_by_hand():
    # Two folds of two rows, three strengths.
    losses = np.array([[1.0, 1, 9], [1, 1, 9], [9, 4, 9], [9, 4, 9]])
    found = path_scores(losses, np.array([0, 0, 1, 1]), np.array([0.1, 1.0, 10.0]), folds=2)
    assert found["rmse"] == pytest.approx([math.sqrt(5), math.sqrt(2.5), 3])
    assert found["rmse_fold_mean"] == pytest.approx([2, 1.5, 3])
    assert found["rmse_fold_se"] == pytest.approx([1, 0.5, 0])
    assert found["is_min"].tolist() == [False, True, False]
    assert found["is_one_se"].tolist() == [False, True, False]


def test_one_standard_error_rule_takes_the_strongest_within():
    means, strengths = np.array([1.0, 1.1, 1.2, 1.6]), np.array([1e-3, 1e-2, 1e-1, 1.0])
    # Fold RMSEs of mean +- 0.2, so a standard error of 0.2 * sqrt(2) / sqrt(2) at each strength.
    losses = np.stack([means - 0.2, means + 0.2]) ** 2
    found = path_scores(losses, np.array([0, 1]), strengths, folds=2)
    assert found["is_min"].tolist() == [True, False, False, False]
    assert found["is_one_se"].tolist() == [False, False, True, False]
    backwards = path_scores(losses[:, ::-1], np.array([0, 1]), strengths[::-1], folds=2)
    assert all(np.array_equal(backwards[name], found[name][::-1]) for name in found)


def test_repeats_do_not_shrink_the_standard_error():
    losses = np.random.default_rng(0).chisquare(1, (100, 4))
    cells, strengths = np.arange(100) % 5, np.arange(4.0)
    once = path_scores(losses, cells, strengths, folds=5)["rmse_fold_se"]
    twice = path_scores(np.tile(losses, (2, 1)), np.concatenate([cells, cells + 5]), strengths, folds=5)
    # 10 cells of the same spread: only the divisor of the variance differs, 9/10 in place of 4/5.
    assert twice["rmse_fold_se"] == pytest.approx(once * math.sqrt(8 / 9))


def test_of_equal_scores_the_strongest_penalty_is_best():
    losses = np.array([[2.0, 1.0, 1.0, 3.0], [2.0, 1.0, 1.0, 3.0]])
    found = path_scores(losses, np.array([0, 1]), np.array([1.0, 5.0, 2.0, 9.0]), folds=2)
    assert found["is_min"].tolist() == [False, True, False, False]


def test_diverged_strength_is_never_chosen():
    losses = np.random.default_rng(0).chisquare(1, (60, 5))
    losses[3, 0], losses[4, 2] = np.nan, np.inf
    cells, strengths = np.arange(60) % 5, np.arange(5.0)
    with np.errstate(all="raise"):  # no warning reaches the log
        found = path_scores(losses, cells, strengths, folds=5)
    assert np.isfinite(found["rmse"]).tolist() == [False, True, False, True, True]
    assert not found["is_min"][[0, 2]].any() and not found["is_one_se"][[0, 2]].any()
    for select in ("min", "one_se"):
        with_them, without = (
            bootstrap_bias_corrected(losses[:, s], np.arange(60), cells, strengths[s], 5, select, seed=1)
            for s in (slice(None), [1, 3, 4])
        )
        assert with_them == without
    everything = path_scores(np.full((60, 5), np.nan), cells, strengths, folds=5)
    assert not everything["is_min"].any() and not everything["is_one_se"].any()


def chosen_by_loops(losses, cells, folds, select):
    """The rule's choice on the losses of a bag, of strengths that fall."""
    best = losses.mean(axis=0).argmin()
    if select == "min":
        return best
    rmse = np.array([np.sqrt(losses[cells == cell].mean(axis=0)) for cell in np.unique(cells)])
    se = rmse.std(axis=0, ddof=1) / math.sqrt(folds) if len(rmse) > 1 else np.zeros(losses.shape[1])
    means = rmse.mean(axis=0)
    return next(s for s in range(losses.shape[1]) if means[s] <= means[best] + se[best])


def by_loops(losses, units, cells, folds, select, seed, bags):
    """BBC-CV as the paper's algorithm has it, one bag at a time."""
    random, n = np.random.default_rng(seed), units.max() + 1
    scores = []
    for drawn in random.integers(n, size=(bags, n)):
        inside = np.concatenate([np.flatnonzero(units == unit) for unit in drawn])
        outside = losses[~np.isin(units, drawn)]
        if len(outside):
            scores.append(outside[:, chosen_by_loops(losses[inside], cells[inside], folds, select)].mean())
    return math.sqrt(np.mean(scores)), *np.sqrt(np.quantile(scores, [0.025, 0.975]))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 99), st.integers(2, 12), st.integers(1, 4), st.sampled_from(["min", "one_se"]))
def test_bootstrap_equals_the_algorithm_in_loops(seed, n_units, rows_each, select):
    """Units of several rows, in several cells: as rows of a group, and rows that several repeats test."""
    random, folds = np.random.default_rng(seed), 2
    units = np.concatenate([np.arange(n_units), random.integers(n_units, size=n_units * (rows_each - 1))])
    cells = np.concatenate([[0, 1], random.integers(4, size=len(units) - 2)])
    cells = np.unique(cells, return_inverse=True)[1]
    losses = random.chisquare(1, (len(units), 6)) * np.linspace(1.2, 1, 6)
    found = bootstrap_bias_corrected(losses, units, cells, -np.arange(6.0), folds, select, seed, bags=50)
    expected = by_loops(losses, units, cells, folds, select, seed, 50)
    assert (found.score, found.low, found.high) == pytest.approx(expected)


def test_bootstrap_has_nothing_to_choose_from():
    cells, strengths = np.array([0, 0, 1, 1]), np.arange(3.0)
    one_unit = np.ones((4, 3)), np.zeros(4, int), cells
    assert bootstrap_bias_corrected(*one_unit, strengths, 2, "min", seed=0) is None
    no_score = np.full((4, 3), np.nan), np.arange(4), cells
    assert bootstrap_bias_corrected(*no_score, strengths, 2, "min", seed=0) is None


def test_one_clearly_best_strength_needs_no_correction():
    losses = np.random.default_rng(0).chisquare(1, (500, 3)) * [1, 5, 9]
    naive = math.sqrt(losses[:, 0].mean())
    cells = np.arange(500) % 5
    corrected = bootstrap_bias_corrected(losses, np.arange(500), cells, np.arange(3.0), 5, "min", seed=0)
    assert corrected.score == pytest.approx(naive, rel=0.01)
    assert tibshirani_corrected(losses, cells, 0) == pytest.approx(naive)


def test_tibshirani_by_hand():
    # Fold errors 1, 2 and 5, 3 for the two strengths; chosen is the second: bias = ((2 - 1) + 0) / 2.
    losses = np.array([[1.0, 2.0], [5.0, 3.0]])
    assert tibshirani_corrected(losses, np.array([0, 1]), 1) == pytest.approx(math.sqrt(2.5 + 0.5))


def test_noise_is_scored_honestly_after_the_choice():
    """100 matrices of predictions that know nothing of the target: the true MSE of every strength is 1.25."""
    random, n, strengths, truth = np.random.default_rng(11), 100, np.geomspace(1e-4, 1, 50), 1.25
    cells = np.arange(n) % 5
    naive, corrected, covered = [], [], []
    for seed in range(100):
        losses = (random.standard_normal((n, 1)) - 0.5 * random.standard_normal((n, 50))) ** 2
        naive.append(path_scores(losses, cells, strengths, 5)["rmse"].min() ** 2)
        found = bootstrap_bias_corrected(losses, np.arange(n), cells, strengths, 5, "min", seed)
        corrected.append(found.score**2)
        covered.append(found.low**2 <= truth <= found.high**2)

    def bias_in_standard_errors(scores):
        return (np.mean(scores) - truth) / (np.std(scores, ddof=1) / 10)

    assert bias_in_standard_errors(naive) < -2
    assert abs(bias_in_standard_errors(corrected)) < 2
    assert np.mean(covered) >= 0.9
