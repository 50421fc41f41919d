"""Guards prediction intervals and sets: by the definition, row by row, and by simulated coverage."""

import math

import numpy as np
import pytest
from regfold.results import conformal
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold

COVERAGE = 0.9


def folds_of(n, repeats):
    """(training rows, held-out rows) of every cell."""
    return [
        pair for r in range(repeats) for pair in KFold(5, shuffle=True, random_state=r).split(np.empty(n))
    ]


def test_intervals_are_those_of_the_definition():
    """By hand, as equation (11) of Barber et al. (2021) has them."""
    random = np.random.default_rng(0)
    for n, alpha in ((7, 0.5), (19, 0.1), (20, 0.2), (9, 0.1)):
        residuals, cells = np.abs(random.normal(size=n)), random.integers(3, size=n)
        predicted = random.normal(size=(3, 4))
        low, high = conformal.cv_plus(residuals, cells, predicted, 1 - alpha)
        for row in range(4):
            lower = sorted(predicted[cells, row] - residuals)
            upper = sorted(predicted[cells, row] + residuals)
            assert low[row] == lower[math.floor(alpha * (n + 1) + 1e-9) - 1]
            assert high[row] == upper[math.ceil((1 - alpha) * (n + 1) - 1e-9) - 1]


def test_too_few_rows_give_no_bound():
    low, high = conformal.cv_plus(np.ones(8), np.zeros(8, int), np.zeros((1, 2)), 0.9)
    assert np.isneginf(low).all()
    assert np.isposinf(high).all()
    chosen = conformal.prediction_sets(np.ones(8), np.zeros(8, int), np.zeros((1, 2, 3)), 0.9)
    assert chosen.all()


def test_a_network_that_diverged_makes_intervals_wider_and_sets_larger():
    cells = np.repeat([0, 1], 50)
    residuals = np.where(cells == 1, np.nan, np.linspace(0, 1, 100))
    predicted = np.array([[0.0], [np.nan]])
    low, high = conformal.cv_plus(residuals, cells, predicted, 0.9)
    assert (low[0], high[0]) == (-np.inf, np.inf)
    probabilities = np.where(cells == 1, np.nan, 0.9)
    assert conformal.prediction_sets(
        probabilities, cells, np.array([[[0.9, 0.1]], [[np.nan] * 2]]), 0.9
    ).all()


def test_blocks_change_nothing(monkeypatch):
    random = np.random.default_rng(1)
    arrays = np.abs(random.normal(size=50)), random.integers(4, size=50), random.normal(size=(4, 30))
    whole = conformal.cv_plus(*arrays, 0.8)
    monkeypatch.setattr(conformal, "BLOCK", 130)
    np.testing.assert_array_equal(whole, conformal.cv_plus(*arrays, 0.8))


@pytest.mark.parametrize("repeats", [1, 2])
def test_intervals_cover(repeats):
    covered = []
    for seed in range(200):
        random = np.random.default_rng(seed)
        x = random.normal(size=(60 + 50, 5))
        y = x.sum(axis=1) + random.standard_t(3, size=len(x))
        new = slice(60, None)
        residuals, cells, predicted = [], [], []
        for cell, (training, held_out) in enumerate(folds_of(60, repeats)):
            learner = Ridge(1.0).fit(x[training], y[training])
            residuals.append(np.abs(y[held_out] - learner.predict(x[held_out])))
            cells.append(np.full(len(held_out), cell))
            predicted.append(learner.predict(x[new]))
        low, high = conformal.cv_plus(
            np.concatenate(residuals), np.concatenate(cells), np.stack(predicted), COVERAGE, repeats
        )
        covered.append(np.mean((low <= y[new]) & (y[new] <= high)))
    assert COVERAGE - 0.02 <= np.mean(covered) <= 0.96


@pytest.mark.parametrize("repeats", [1, 2])
def test_sets_cover(repeats):
    covered, sizes = [], []
    for seed in range(200):
        random = np.random.default_rng(seed)
        y = random.integers(3, size=80 + 50)
        x = random.normal(size=(len(y), 2)) + 1.5 * np.eye(3)[y][:, :2]
        new = slice(80, None)
        scores, cells, predicted = [], [], []
        for cell, (training, held_out) in enumerate(folds_of(80, repeats)):
            learner = LogisticRegression().fit(x[training], y[training])
            scores.append(learner.predict_proba(x[held_out])[np.arange(len(held_out)), y[held_out]])
            cells.append(np.full(len(held_out), cell))
            predicted.append(learner.predict_proba(x[new]))
        chosen = conformal.prediction_sets(
            np.concatenate(scores), np.concatenate(cells), np.stack(predicted), COVERAGE, repeats
        )
        covered.append(chosen[np.arange(50), y[new]].mean())
        sizes.append(chosen.sum(axis=1).mean())
    assert COVERAGE - 0.02 <= np.mean(covered) <= 0.96
    assert np.mean(sizes) < 2.6, "the sets tell something"
