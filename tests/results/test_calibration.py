"""Guards the measures of calibration: those of a logistic regression, and the error by hand."""

import numpy as np
import pytest
from regfold.results import calibration
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression


def simulated(slope, intercept, n_classes, n=4000, seed=0):
    """Truth, and probabilities that an intercept and a slope of their logits would put right."""
    random = np.random.default_rng(seed)
    if n_classes == 2:
        x = random.normal(size=n)
        truth = (random.random(n) < expit(intercept + slope * x)).astype(int)
        given = expit(x)
        return np.eye(2)[truth], np.stack([1 - given, given], axis=1)
    raw = np.exp(random.normal(size=(n, n_classes)) * 1.5)
    probabilities = raw / raw.sum(axis=1, keepdims=True)
    truth = (probabilities.cumsum(axis=1) > random.random((n, 1))).argmax(axis=1)
    return np.eye(n_classes)[truth], probabilities


@pytest.mark.parametrize("n_classes", [2, 4])
def test_slope_and_intercept_are_those_of_a_logistic_regression(n_classes):
    truth, probabilities = simulated(0.6, 0.3, n_classes)
    found = calibration.measures(truth, probabilities)
    columns = slice(1, 2) if n_classes == 2 else slice(None)
    x, y = logit(probabilities[:, columns].reshape(-1, 1)), truth[:, columns].ravel()
    theirs = LogisticRegression(C=np.inf, tol=1e-10).fit(x, y)
    assert found["calibration_slope"] == pytest.approx(theirs.coef_[0, 0], abs=1e-5)
    assert found["calibration_intercept"] == pytest.approx(theirs.intercept_[0], abs=1e-5)
    expected = (0.6, 0.3) if n_classes == 2 else (1, 0)
    assert (found["calibration_slope"], found["calibration_intercept"]) == pytest.approx(expected, abs=0.1)


def test_the_expected_error_by_hand():
    given = np.array([0.95, 0.95, 0.95, 0.95, 0.55, 0.55])
    observed = np.array([1, 1, 1, 0, 1, 1])
    assert calibration.expected_error(given, observed, np.ones(6)) == pytest.approx(
        4 / 6 * 0.2 + 2 / 6 * 0.45
    )
    truth, probabilities = simulated(1, 0, 2, n=100_000)
    assert calibration.measures(truth, probabilities)["ece"] < 0.01


def test_what_is_undefined_is_none():
    truth = np.eye(2)[[0, 1, 1, 0]]
    separated = np.array([[0.8, 0.2], [0.1, 0.9], [0.4, 0.6], [0.7, 0.3]])
    found = calibration.measures(truth, separated)
    assert found["calibration_slope"] is found["calibration_intercept"] is None
    assert found["ece"] == pytest.approx(0.25)
    lost = np.where(np.arange(4)[:, None] == 2, np.nan, separated)
    assert set(calibration.measures(truth, lost).values()) == {None}
    assert calibration.measures(truth, np.full((4, 2), 0.5))["calibration_slope"] is None
    assert calibration.measures(truth, 1 - separated)["calibration_slope"] is None
