"""Guards the metrics: each one by hand, and all against scikit-learn's as its users would call them."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from regfold.results import metrics
from sklearn import metrics as reference

# Two rows of class a, one of b, one of c; the third is mistaken for a. Their own classes have the
# probabilities 0.5, 0.8, 0.3 and 0.6.
TRUTH = np.eye(3)[[0, 0, 1, 2]]
PREDICTION = np.array([[0.5, 0.3, 0.2], [0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.1, 0.3, 0.6]])
BY_HAND = {
    # Squares of each row: 0.38, 0.06, 0.86, 0.26; their sum is 1.56.
    "rmse": math.sqrt(1.56 / 12),
    "log_loss": -math.log(0.5 * 0.8 * 0.3 * 0.6) / 4,
    "accuracy": 3 / 4,
    "balanced_accuracy": (1 + 0 + 1) / 3,
    "brier": 1.56 / 4,
    # Class a: 0.5 and 0.8 against 0.6 and 0.1, 3 pairs of 4 in order. Class b: 0.3 against 0.3, 0.1 and 0.3,
    # 2 of 3 with ties as halves. Class c: 0.6 above all.
    "roc_auc": (3 / 4 + 2 / 3 + 1) / 3,
}


def score(task, truth, prediction, n_targets=1, **more):
    return metrics.score(metrics.of(task, n_targets), np.array(truth), np.array(prediction), **more)


def classes(n, k, seed=0):
    random = np.random.default_rng(seed)
    truth = np.eye(k)[np.concatenate([np.arange(k), random.integers(k, size=n - k)])]
    raw = np.exp(random.normal(size=(n, k)) + 1.5 * truth)
    return truth, raw / raw.sum(axis=1, keepdims=True)


def test_metrics_of_classes_by_hand():
    result = score("classification", TRUTH, PREDICTION)
    assert result == pytest.approx(BY_HAND)


def test_two_classes_by_hand():
    result = score("classification", np.eye(2)[[0, 1]], [[0.8, 0.2], [0.5, 0.5]])
    # Squares: 0.04, 0.04, 0.25, 0.25; their mean is 0.145. One class's alone: (0.04 + 0.25) / 2.
    assert result["rmse"] == pytest.approx(math.sqrt(0.145))
    assert result["brier"] == pytest.approx(0.145)
    assert result["roc_auc"] == 1


@pytest.mark.parametrize("k", [2, 3, 5])
def test_metrics_of_classes_equal_scikit_learn(k):
    truth, prediction = classes(60, k)
    codes, labels = truth.argmax(axis=1), prediction.argmax(axis=1)
    if k == 2:
        brier = reference.brier_score_loss(codes, prediction[:, 1])
        auc = reference.roc_auc_score(codes, prediction[:, 1])
    else:
        brier = reference.brier_score_loss(codes, prediction)
        auc = reference.roc_auc_score(codes, prediction, multi_class="ovr")
    assert score("classification", truth, prediction) == pytest.approx(
        {
            "rmse": math.sqrt(reference.mean_squared_error(truth, prediction)),
            "log_loss": reference.log_loss(codes, prediction),
            "accuracy": reference.accuracy_score(codes, labels),
            "balanced_accuracy": reference.balanced_accuracy_score(codes, labels),
            "brier": brier,
            "roc_auc": auc,
        }
    )


def test_metrics_of_a_regression_by_hand():
    result = score("regression", [[1.0], [2.0], [6.0]], [[2.0], [2.0], [4.0]])
    # Errors 1, 0, -2; the truth's mean is 3, its squared deviations 4, 1, 9.
    assert result == pytest.approx({"rmse": math.sqrt(5 / 3), "mae": 1, "r2": 1 - 5 / 14})


def test_metrics_of_several_targets_by_hand():
    truth, prediction = [[0.0, 0.0], [2.0, 200.0]], [[1.0, 100.0], [3.0, 200.0]]
    result = score("regression", truth, prediction, n_targets=2, deviation=np.array([1.0, 100.0]))
    # Outputs are pooled before the root, where scikit-learn takes the mean of their roots. Standardized, the
    # squares are 1, 1, 1 and 0.
    assert result["rmse"] == pytest.approx(math.sqrt((1 + 1 + 100**2) / 4))
    assert result["rmse_standardized"] == pytest.approx(math.sqrt(3 / 4))
    assert result["mae"] == pytest.approx((1 + 1 + 100) / 4)
    assert result["r2"] == pytest.approx((1 - 2 / 2 + 1 - 100**2 / (2 * 100**2)) / 2)


def test_metrics_of_a_regression_equal_scikit_learn():
    random = np.random.default_rng(1)
    truth = random.normal(size=(40, 2)) * [1, 100]
    prediction = truth + random.normal(size=(40, 2)) * [0.3, 40]
    result = score("regression", truth, prediction, n_targets=2)
    assert result["mae"] == pytest.approx(reference.mean_absolute_error(truth, prediction))
    assert result["r2"] == pytest.approx(reference.r2_score(truth, prediction))
    assert result["rmse"] == pytest.approx(
        reference.root_mean_squared_error(truth.ravel(), prediction.ravel())
    )


@pytest.mark.parametrize(
    ("task", "truth", "prediction", "undefined"),
    [
        ("classification", np.eye(3)[[0, 1]], PREDICTION[:2], {"roc_auc"}),
        ("classification", np.eye(2)[[0]], [[0.2, 0.8]], {"roc_auc"}),
        ("classification", np.eye(2)[[0, 1]], [[2.0, -1.0], [0.5, 0.5]], {"log_loss", "brier"}),
        ("classification", np.eye(2)[[0, 1]], [[0.5, 0.9], [0.5, 0.5]], {"log_loss", "brier"}),
        ("regression", np.ones((3, 1)), np.zeros((3, 1)), {"r2"}),
        ("regression", np.ones((3, 1)), np.ones((3, 1)), {"r2"}),
        ("regression", np.ones((1, 1)), np.zeros((1, 1)), {"r2"}),
    ],
)
def test_undefined_metrics_are_nan_without_a_warning(task, truth, prediction, undefined):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = score(task, truth, prediction)
    assert {name for name, value in result.items() if math.isnan(value)} == undefined


def test_certain_and_wrong_is_a_large_but_finite_log_loss():
    result = score("classification", [[1.0, 0.0]], [[0.0, 1.0]])
    assert result["log_loss"] == pytest.approx(reference.log_loss([0], [[0.0, 1.0]], labels=[0, 1]))
    assert 30 < result["log_loss"] < 40


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_prediction_that_is_not_finite_is_no_score(task, bad):
    result = score(task, [[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [bad, 1.0]], n_targets=2)
    assert all(math.isnan(value) for value in result.values())


@given(st.floats(1e-3, 1e6), st.integers(0, 99))
def test_the_unit_of_a_target_changes_no_standardized_score(factor, seed):
    random = np.random.default_rng(seed)
    truth, error = random.normal(size=(9, 2)), random.normal(size=(9, 2))
    unit = np.array([1.0, factor])
    before, after = (
        score("regression", truth * u, (truth + error) * u, 2, deviation=(truth * u).std(axis=0))
        for u in (1.0, unit)
    )
    assert after["rmse_standardized"] == pytest.approx(before["rmse_standardized"])


@given(st.sampled_from(["classification", "regression"]), st.integers(1, 4), st.integers(0, 99))
def test_means_of_row_losses_are_the_metrics(task, n_outputs, seed):
    random = np.random.default_rng(seed)
    if task == "classification":
        truth, prediction = classes(30, n_outputs + 1, seed)
        prediction[0] = np.roll(truth[0], 1)  # certain, and wrong
    else:
        truth, prediction = random.normal(size=(2, 30, n_outputs)) * 7
    chosen, deviation = metrics.of(task, n_outputs), metrics.deviations(truth)
    expected = metrics.score(chosen, truth, prediction, deviation)
    means = [metric for metric in chosen if metric.row_loss]
    assert {metric.name for metric in chosen} - {metric.name for metric in means} == (
        {"balanced_accuracy", "roc_auc"} if task == "classification" else {"r2"}
    )
    for metric in means:
        mean = metrics.row_losses(metric, truth, prediction, deviation).mean()
        assert (math.sqrt(mean) if metric.root else mean) == pytest.approx(expected[metric.name])


@pytest.mark.parametrize("metric", metrics.of("classification"), ids=lambda metric: metric.name)
def test_row_losses_are_not_finite_where_the_metric_is_undefined(metric):
    if metric.row_loss:
        losses = metrics.row_losses(metric, np.eye(2)[[0, 1, 1]], np.array([[1, 0], [math.nan, 0], [0, 1]]))
        assert np.isfinite(losses).tolist() == [True, False, True]


def test_models_are_ranked_by_rmse_and_by_the_standardized_one_for_several_targets():
    assert (
        metrics.ranking(metrics.of("classification")).name
        == metrics.ranking(metrics.of("regression")).name
        == "rmse"
    )
    assert metrics.ranking(metrics.of("regression", 2)).name == "rmse_standardized"
