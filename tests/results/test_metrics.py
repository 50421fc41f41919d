"""Guards the scores: each number against scikit-learn or a case worked out by hand, and nothing dropped."""

import csv
import json
import math

import numpy as np
import pytest
from regfold.errors import RegfoldError
from regfold.formatting import duration, significant
from regfold.results import metrics, predictions, scores_file
from regfold.results.predictions import Predictions
from regfold.workflow import terminal
from sklearn import metrics as reference

SCHEMA = {"task": "regression", "target": ["y"], "classes": None, "n_rows": 12, "path": "data/t.csv"}


def made(truth, prediction, fold, repeat=None):
    truth, prediction = np.asarray(truth, float), np.asarray(prediction, float)
    fold = np.asarray(fold)
    return Predictions(
        row=np.array([str(i) for i in range(len(fold))], dtype=object),
        repeat=np.ones_like(fold) if repeat is None else np.asarray(repeat),
        fold=fold,
        truth=truth if truth.ndim == 2 else truth[:, None],
        prediction=prediction if prediction.ndim == 2 else prediction[:, None],
    )


def cell(fold, n_test, model="l1", repeat=1, flags=()):
    return {
        "model": model,
        "repeat": repeat,
        "fold": fold,
        "n_train": 9,
        "n_test": n_test,
        "epochs": 5,
        "flags": list(flags),
    }


def classes(n=60, k=3, seed=0):
    random = np.random.default_rng(seed)
    truth = np.eye(k)[np.concatenate([np.arange(k), random.integers(k, size=n - k)])]
    raw = np.exp(random.normal(size=(n, k)) + 1.5 * truth)
    return truth, (raw / raw.sum(axis=1, keepdims=True)).astype(np.float32).astype(float)


def test_rmse_of_classes_by_hand():
    truth, prediction = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[0.8, 0.2], [0.5, 0.5]])
    # Squares: 0.04, 0.04, 0.25, 0.25; their mean is 0.145.
    assert metrics.score("classification", truth, prediction)["rmse"] == pytest.approx(math.sqrt(0.145))
    # Brier sums over the classes: (0.08 + 0.50) / 2.
    assert metrics.score("classification", truth, prediction)["brier"] == pytest.approx(0.29)


def test_rmse_pools_outputs_before_the_root():
    truth, prediction = np.zeros((2, 2)), np.array([[3.0, 0.0], [3.0, 0.0]])
    assert metrics.rmse(truth, prediction) == pytest.approx(math.sqrt(4.5))
    assert reference.root_mean_squared_error(truth, prediction) == pytest.approx(1.5)


@pytest.mark.parametrize("k", [2, 3, 5])
def test_class_metrics_equal_scikit_learn(k):
    truth, prediction = classes(k=k)
    codes = truth.argmax(axis=1)
    result = metrics.score("classification", truth, prediction)
    auc = (
        reference.roc_auc_score(codes, prediction[:, 1])
        if k == 2
        else reference.roc_auc_score(codes, prediction, multi_class="ovr", average="macro")
    )
    assert result["roc_auc"] == pytest.approx(auc)
    assert result["log_loss"] == pytest.approx(-np.mean(np.log(prediction[truth == 1])), rel=1e-6)
    assert result["accuracy"] == pytest.approx(np.mean(codes == prediction.argmax(axis=1)))
    recalls = [np.mean(prediction[codes == c].argmax(axis=1) == c) for c in range(k)]
    assert result["balanced_accuracy"] == pytest.approx(np.mean(recalls))
    assert result["brier"] == pytest.approx(result["rmse"] ** 2 * k)


def test_absent_class_leaves_only_the_auc_undefined():
    truth, prediction = classes()
    rows = truth[:, 2] == 0
    result = metrics.score("classification", truth[rows], prediction[rows])
    assert result["roc_auc"] is None
    assert all(math.isfinite(value) for name, value in result.items() if name != "roc_auc")


def test_certain_and_wrong_is_a_large_but_finite_log_loss():
    result = metrics.score("classification", np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]))
    assert result["log_loss"] == pytest.approx(-math.log(np.finfo(np.float32).eps), rel=1e-3)


def test_regression_metrics_equal_scikit_learn():
    random = np.random.default_rng(1)
    truth = random.normal(size=(40, 2)) * [1, 100]
    prediction = truth + random.normal(size=(40, 2)) * [0.3, 40]
    result = metrics.score("regression", truth, prediction)
    assert result["mae"] == pytest.approx(reference.mean_absolute_error(truth, prediction))
    assert result["r2"] == pytest.approx(reference.r2_score(truth, prediction))
    assert result["rmse"] == pytest.approx(
        math.sqrt(reference.mean_squared_error(truth.ravel(), prediction.ravel()))
    )


def test_constant_truth_has_no_r2():
    assert metrics.score("regression", np.ones((3, 1)), np.zeros((3, 1)))["r2"] is None
    assert metrics.score("regression", np.ones((1, 1)), np.zeros((1, 1)))["r2"] is None


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_prediction_that_is_not_finite_is_no_score(bad):
    result = metrics.score("regression", np.array([[1.0], [2.0]]), np.array([[1.0], [bad]]))
    assert all(math.isnan(value) for value in result.values())


def test_diverged_fold_is_reported_and_never_averaged_away():
    fold = np.repeat([1, 2, 3], 4)
    prediction = np.where(np.arange(12) == 5, np.nan, 1.0)
    oos = {"l1": made(np.arange(12.0), prediction, fold)}
    lines = metrics.scores("regression", oos, [cell(f, 4) for f in (3, 1, 2)])
    assert [line["fold"] for line in lines] == [1, 2, 3]
    assert [math.isnan(line["rmse"]) for line in lines] == [False, True, False]
    assert "not finite in 1 of 4 rows" in lines[1]["flags"][0]
    result = metrics.summary(SCHEMA, oos, lines)["models"]["l1"]
    assert result["rmse"] is result["rmse_fold_mean"] is result["rmse_fold_sd"] is None
    assert [flagged["fold"] for flagged in result["flagged_cells"]] == [2]
    json.dumps(result, allow_nan=False)


def test_pooled_is_not_the_mean_of_folds():
    # One row with error 4 in fold 1, three with error 2 in fold 2: sqrt((16 + 3 * 4) / 4), and (4 + 2) / 2.
    oos = {"l1": made([0, 0, 0, 0], [4, 2, 2, 2], [1, 2, 2, 2])}
    lines = metrics.scores("regression", oos, [cell(1, 1), cell(2, 3)])
    result = metrics.summary(SCHEMA, oos, lines)["models"]["l1"]
    assert result["rmse"] == pytest.approx(math.sqrt(7))
    assert result["rmse_fold_mean"] == pytest.approx(3)
    assert result["rmse_fold_sd"] == pytest.approx(math.sqrt(2))


def test_repeats_are_pooled_and_counted():
    oos = {"l1": made(np.arange(8.0), np.arange(8.0) + 1, [1, 1, 2, 2] * 2, [1] * 4 + [2] * 4)}
    cells = [cell(f, 2, repeat=r) for r in (1, 2) for f in (1, 2)]
    lines = metrics.scores("regression", oos, cells)
    result = metrics.summary(SCHEMA, oos, lines)["models"]["l1"]
    assert (result["n_cells"], result["repeats"], result["folds"], result["n_rows"]) == (4, 2, 2, 12)
    assert (result["rmse"], result["rmse_fold_sd"]) == (1, 0)


def test_one_cell_has_no_deviation():
    oos = {"l1": made([1, 2, 3], [1, 2, 4], [1, 1, 1])}
    result = metrics.summary(SCHEMA, oos, metrics.scores("regression", oos, [cell(1, 3)]))["models"]["l1"]
    assert result["rmse_fold_mean"] == pytest.approx(math.sqrt(1 / 3))
    assert result["rmse_fold_sd"] is None


def test_undefined_in_one_fold_is_undefined_as_fold_mean_only():
    truth, prediction = classes(n=40)
    fold = np.where((truth[:, 2] == 1) | (np.arange(40) < 20), 1, 2)
    oos = {"l1": made(truth, prediction, fold)}
    schema = SCHEMA | {"task": "classification", "classes": ["a", "b", "c"], "n_rows": 40}
    cells = [cell(f, int((fold == f).sum())) for f in (1, 2)]
    lines = metrics.scores("classification", oos, cells)
    result = metrics.summary(schema, oos, lines)["models"]["l1"]
    assert lines[1]["roc_auc"] is None and result["roc_auc_fold_mean"] is None
    assert result["roc_auc"] == pytest.approx(
        reference.roc_auc_score(truth.argmax(1), prediction, multi_class="ovr")
    )


def test_several_targets_have_scores_of_their_own():
    oos = {"l1": made([[0, 0], [2, 200]], [[1, 100], [3, 100]], [1, 2])}
    lines = metrics.scores("regression", oos, [cell(1, 1), cell(2, 1)])
    result = metrics.summary(SCHEMA | {"target": ["a", "b"]}, oos, lines)["models"]["l1"]
    assert result["targets"]["a"]["rmse"] == pytest.approx(1)
    assert result["targets"]["b"]["rmse"] == pytest.approx(100)


@pytest.mark.parametrize(
    ("values", "flagged"),
    [
        ([1.0, 1.1, 0.9, 1.0, 9.0], [4]),
        ([1.0, 1.1, 0.9, 1.0, 1.3], []),
        ([1.0, 1.0, 1.0, 1.0, 1.4], []),
        ([1.0, 1.0, 1.0, 1.0, 1.6], [4]),
        ([1.0, 1.0, 9.0], []),
        ([1.0, 1.1, 0.9, 1.0, 0.01], []),
        ([1.0, 1.1, 0.9, 1.0, math.nan, 50.0], [5]),
    ],
)
def test_far_fold_is_flagged(values, flagged):
    assert [i for i, flag in enumerate(metrics.flags(values)) if flag] == flagged


def test_flags_of_the_cell_come_first():
    oos = {"l1": made(np.zeros(5), [1, 1, 1, 1, 7], [1, 2, 3, 4, 5])}
    cells = [cell(f, 1, flags=["constant predictor"] if f == 5 else []) for f in range(1, 6)]
    lines = metrics.scores("regression", oos, cells)
    assert lines[4]["flags"][0] == "constant predictor"
    assert lines[4]["flags"][1] == "RMSE 7.000 is far above this model's other folds (median 1.000)"


def test_oos_and_cells_must_belong_together():
    oos = {"l1": made([0, 1], [0, 1], [1, 2])}
    with pytest.raises(RegfoldError, match="fold 2: no such cell"):
        metrics.scores("regression", oos, [cell(1, 1)])
    with pytest.raises(RegfoldError, match="1 rows; expected the cell's 2"):
        metrics.scores("regression", oos, [cell(1, 1), cell(2, 2)])
    with pytest.raises(RegfoldError, match="no row of model 'l1', repeat 1, fold 3"):
        metrics.scores("regression", oos, [cell(1, 1), cell(2, 1), cell(3, 1)])


def test_oos_file_reads_back_beside_hostile_cells(tmp_path):
    path = tmp_path / "l1.csv"
    header = ["note", "oos_row", "oos_repeat", "oos_fold", "oos_label", "oos_y_a,b", "oos_y_NA"]
    header += ["oos_pred_a,b", "oos_pred_NA"]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerow(['two\nlines, "quoted"', "007", 1, 2, "a,b", 1, 0, 0.75, 0.25])
        writer.writerow(["", "NA", 1, 1, "NA", 0, 1, "nan", "inf"])
    read = predictions.read(path, {"task": "classification", "classes": ["a,b", "NA"], "target": ["y"]})
    assert list(read.row) == ["007", "NA"]
    assert read.fold.tolist() == [2, 1]
    assert read.prediction[0].tolist() == [0.75, 0.25]
    assert math.isnan(read.prediction[1, 0]) and math.isinf(read.prediction[1, 1])
    with pytest.raises(RegfoldError, match="column 'oos_y_c' is missing"):
        predictions.read(path, {"task": "classification", "classes": ["a,b", "c"], "target": ["y"]})


def test_scores_file_and_closing_lines(tmp_path):
    oos = {"l1": made(np.zeros(5), [1, 1, 1, 1, 7], [1, 2, 3, 4, 5]), "l2": made([0, 0], [1, np.nan], [1, 2])}
    cells = [cell(f, 1) for f in range(1, 6)] + [cell(f, 1, model="l2") for f in (1, 2)]
    lines = metrics.scores("regression", oos, cells)
    assert terminal.closing_lines(tmp_path) == ""
    scores_file.write(tmp_path / "scores.csv", lines)
    (tmp_path / "summary.json").write_text(json.dumps(metrics.summary(SCHEMA, oos, lines), allow_nan=False))
    header = (tmp_path / "scores.csv").read_text().splitlines()[0]
    assert header == "model,repeat,fold,n_train,n_test,epochs,rmse,mae,r2,flags"
    again = scores_file.read(tmp_path / "scores.csv")
    assert again[:5] == lines[:5]
    assert math.isnan(again[6]["rmse"])
    text = terminal.closing_lines(tmp_path)
    assert "Fold score (RMSE): 7.000      fold 5 !" in text
    assert "! fold 5: RMSE 7.000 is far above" in text
    assert "Final, out of sample score (RMSE): 3.256 (l1)" in text
    assert "Final, out of sample score (RMSE): none (l2)" in text
    assert "! fold 2: held-out predictions are not finite" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0712345, "0.07123"),
        (0.99999, "1.000"),
        (801.5, "801.5"),
        (12345.6, "12,346"),
        (1.2345e9, "1.234e+09"),
        (3e-7, "3.000e-07"),
        (0.0, "0"),
        (7, "7"),
        (None, "none"),
        (math.nan, "not finite"),
    ],
)
def test_numbers_for_people(value, text):
    assert significant(value) == text


def test_durations_for_people():
    assert [duration(s) for s in (0.05, 8.12, 200, 7500)] == ["0.050 s", "8.1 s", "3 min 20 s", "2 h 5 min"]
