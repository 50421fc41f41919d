"""Guards scores.csv and summary.json: nothing dropped, pooled as it should be, a constant that is fair."""

import csv
import json
import math
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from regfold.errors import RegfoldError
from regfold.formatting import duration, significant
from regfold.results import predictions, scores, training_rows
from regfold.results.predictions import Predictions
from regfold.results.training_rows import Known
from regfold.workflow import terminal
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.model_selection import KFold, cross_val_predict
from small_study import Study

SCHEMA = {"task": "regression", "target": ["y"], "classes": None, "n_rows": 12, "path": "data/t.csv"}
SCHEMA |= {"weight": None}
CLASSES = SCHEMA | {"task": "classification", "classes": ["a", "b", "c"]}


def oos(truth, prediction, fold, repeat=None):
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


def cells_of(found: dict[str, Predictions]) -> list[dict]:
    return [cell(f, len(rows), model, r) for model, made in found.items() for r, f, rows in made.cells()]


def summary(schema: dict, found: dict[str, Predictions], constant=None, n_repeated=0) -> dict:
    """What the rule score_predictions makes of OOS predictions, where every fold knows the same constant."""
    n_outputs = len(schema["classes"] or schema["target"])
    known = {
        (r, f): Known(np.zeros(n_outputs) if constant is None else np.array(constant), n_repeated)
        for made in found.values()
        for r, f, _ in made.cells()
    }
    table = scores.table(schema, found, cells_of(found))
    result = scores.summary(schema, found, table, known, {"method": "kfold"}, None, 0.01, {})
    json.dumps(result, allow_nan=False)
    return result


def test_diverged_fold_is_reported_and_never_averaged_away():
    fold = np.repeat([1, 2, 3], 4)
    found = {"l1": oos(np.arange(12.0), np.where(np.arange(12) == 5, np.nan, 1.0), fold)}
    table = scores.table(SCHEMA, found, [cell(f, 4) for f in (3, 1, 2)])
    assert list(table["fold"]) == [1, 2, 3]
    assert list(table["rmse"].isna()) == [False, True, False]
    assert list(table["flags"]) == ["", "held-out predictions are not finite in 1 of 4 rows", ""]
    result = summary(SCHEMA, found)["models"]["l1"]
    assert result["rmse"] is result["rmse_fold_mean"] is result["rmse_fold_sd"] is None
    assert [flagged["fold"] for flagged in result["flagged_cells"]] == [2]


def test_class_predictions_that_are_no_probabilities_are_flagged():
    found = {"l1": oos(np.eye(3)[[0, 1, 2]], [[1, 0, 0], [0, 2, 0], [0.5, 0.5, 0.5]], [1, 1, 1])}
    table = scores.table(CLASSES, found, [cell(1, 3)])
    assert "not probabilities in 2 of 3 rows" in table["flags"][0]
    assert table["accuracy"][0] == pytest.approx(2 / 3) and math.isnan(table["log_loss"][0])


def test_pooled_is_not_the_mean_of_folds():
    # One row with error 4 in fold 1, three with error 2 in fold 2: sqrt((16 + 3 * 4) / 4), and (4 + 2) / 2.
    result = summary(SCHEMA, {"l1": oos([0, 0, 0, 0], [4, 2, 2, 2], [1, 2, 2, 2])})["models"]["l1"]
    assert result["rmse"] == pytest.approx(math.sqrt(7))
    assert result["rmse_fold_mean"] == pytest.approx(3)
    assert result["rmse_fold_sd"] == pytest.approx(math.sqrt(2))


def test_repeats_are_pooled_and_counted():
    found = {"l1": oos(np.arange(8.0), np.arange(8.0) + 1, [1, 1, 2, 2] * 2, [1] * 4 + [2] * 4)}
    result = summary(SCHEMA, found)["models"]["l1"]
    assert (result["n_cells"], result["repeats"], result["folds"], result["n_rows"]) == (4, 2, 2, 12)
    assert (result["rmse"], result["rmse_fold_sd"]) == (1, 0)


def test_one_cell_has_no_deviation():
    result = summary(SCHEMA, {"l1": oos([1, 2, 3], [1, 2, 4], [1, 1, 1])})["models"]["l1"]
    assert result["rmse_fold_mean"] == pytest.approx(math.sqrt(1 / 3))
    assert result["rmse_fold_sd"] is None


def test_undefined_in_one_fold_is_undefined_as_fold_mean_only():
    random = np.random.default_rng(0)
    truth = np.eye(3)[np.concatenate([np.arange(3), random.integers(3, size=37)])]
    fold = np.where((truth[:, 2] == 1) | (np.arange(40) < 20), 1, 2)
    found = {"l1": oos(truth, random.dirichlet(np.ones(3), 40), fold)}
    table = scores.table(CLASSES, found, cells_of(found))
    assert list(table["roc_auc"].isna()) == [False, True]
    result = summary(CLASSES, found)["models"]["l1"]
    assert result["roc_auc_fold_mean"] is None and 0 < result["roc_auc"] < 1


def test_several_targets_have_scores_of_their_own_and_one_in_which_each_counts_the_same():
    # Target b has the larger unit. Model a is off by one standard deviation in b and by a fifth in a; model b
    # is exact in b and off by one standard deviation in a.
    schema = SCHEMA | {"target": ["a", "b"]}
    truth = np.array([[0, 0], [2, 2000], [0, 0], [2, 2000]], float)
    of_a, of_b = truth + np.array([0.2, 1000]), truth + np.array([1, 0])
    found = {"a": oos(truth, of_a, [1, 1, 2, 2]), "b": oos(truth, of_b, [1, 1, 2, 2])}
    result = summary(schema, found, constant=[1, 1000])
    a, b = result["models"]["a"], result["models"]["b"]
    assert result["ranked_by"] == "rmse_standardized"
    assert a["targets"]["a"]["rmse"] == pytest.approx(0.2) and a["targets"]["b"]["rmse"] == pytest.approx(
        1000
    )
    assert a["rmse_standardized"] == pytest.approx(math.sqrt((0.2**2 + 1) / 2))
    assert b["rmse_standardized"] == pytest.approx(math.sqrt(1 / 2))
    assert a["rmse_standardized_of_constant"] == pytest.approx(1)
    assert a["targets"]["b"]["rmse_of_constant"] == pytest.approx(1000)
    assert a["rmse"] == pytest.approx(math.sqrt((0.2**2 + 1000**2) / 2))
    assert b["rmse_standardized_fold_mean"] == pytest.approx(math.sqrt(1 / 2))


def known_of(study: Study) -> dict[tuple[int, int], Known]:
    return training_rows.known(study.prepared, study.config["split"])


def test_the_constant_is_what_the_training_rows_know(tmp_path, monkeypatch):
    """Like scikit-learn's dummies, cross-validated on the same folds."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    y, labels = np.sort(random.normal(size=23)), np.repeat(list("pqr"), [6, 8, 9])
    lines = [f"{x},{a},{b}" for x, a, b in zip(random.normal(size=23), y, labels, strict=True)]
    folds = KFold(3, shuffle=True, random_state=42)
    for target, dummy, how in (
        ("y", DummyRegressor(), "predict"),
        ("label", DummyClassifier(strategy="prior"), "predict_proba"),
    ):
        other = {"y": "label", "label": "y"}[target]
        study = Study("\n".join(["x,y,label", *lines]), {"target": target, "exclude": [other]}, {"folds": 3})
        study.pretend()
        found = predictions.read(study.merge(), study.schema)
        expected = cross_val_predict(
            dummy, y[:, None], {"y": y, "label": labels}[target], cv=folds, method=how
        ).reshape(23, -1)
        table = scores.table(study.schema, {"m": found}, cells_of({"m": found}))
        result = scores.summary(
            study.schema, {"m": found}, table, known_of(study), study.config["split"], None, 0.01, {}
        )
        result = result["models"]["m"]
        assert result["rmse_of_constant"] == pytest.approx(np.sqrt(np.mean((found.truth - expected) ** 2)))
        oracle = np.sqrt(np.mean((found.truth - found.truth.mean(axis=0)) ** 2))
        assert result["rmse_of_constant"] > oracle * 1.001


def test_the_constant_of_a_later_fold_is_what_came_before(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "x,when,y\n" + "".join(f"{i % 3},{i},{10.0 * i}\n" for i in range(6))
    known = known_of(Study(text, split={"method": "time", "column": "when", "folds": 2}))
    # Rows 0 and 1 come before fold 1, rows 0 to 3 before fold 2.
    assert {key: found.constant.tolist() for key, found in known.items()} == {(1, 1): [5], (1, 2): [15]}


def test_held_out_rows_that_equal_a_training_row_are_counted(tmp_path, monkeypatch):
    """By features and target: neither the id nor a twin in the same fold counts."""
    monkeypatch.chdir(tmp_path)
    Path("folds.csv").write_text("row,repeat,fold\na,1,1\nb,1,2\nc,1,1\nd,1,1\ne,1,2\nf,1,2\ng,1,2\n")
    rows = {
        "a": "1,u,5",
        "b": "1.0,u,5",
        "c": "2,u,5",
        "d": "2,u,5",
        "e": "1,v,5",
        "f": "1,u,6",
        "g": "3,u,7",
    }
    study = Study(
        "name,x,c,y\n" + "".join(f"{name},{row}\n" for name, row in rows.items()),
        {"id": "name", "task": "regression"},
        {"method": "file", "file": "folds.csv"},
    )
    assert {key: found.n_repeated for key, found in known_of(study).items()} == {(1, 1): 1, (1, 2): 1}
    assert "4 of 7 rows equal another row in all features and the target" in study.schema["notes"]
    study.pretend()
    found = {"m": predictions.read(study.merge(), study.schema)}
    table = scores.table(study.schema, found, cells_of(found))
    result = scores.summary(
        study.schema, found, table, known_of(study), study.config["split"], None, 0.01, {}
    )
    assert result["duplicates"] == {"n_tests": 7, "n_in_training": 2, "share": pytest.approx(2 / 7)}


def test_a_group_of_equal_rows_is_not_split_and_nothing_is_said(tmp_path, monkeypatch):
    """The remedy that is named works."""
    monkeypatch.chdir(tmp_path)
    text = "x,origin,y\n" + "".join(f"{i // 2},{i // 2},{i // 2}.5\n" for i in range(12))
    for method, repeated in (("kfold", True), ("group", False)):
        more = {"column": "origin"} if method == "group" else {}
        study = Study(text, {"exclude": [] if more else ["origin"]}, {"method": method, "folds": 3, **more})
        assert any("12 of 12 rows equal another row" in note for note in study.schema["notes"])
        assert any(found.n_repeated for found in known_of(study).values()) == repeated


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
    assert [i for i, far in enumerate(scores.far_above(values)) if far] == flagged


def test_flags_of_the_cell_come_first():
    found = {"l1": oos(np.zeros(5), [1, 1, 1, 1, 7], [1, 2, 3, 4, 5])}
    cells = [cell(f, 1, flags=["constant predictor"] if f == 5 else []) for f in range(1, 6)]
    flags = scores.table(SCHEMA, found, cells)["flags"]
    far = "RMSE 7.000 is far above this model's other folds (median 1.000)"
    assert list(flags) == ["", "", "", "", f"constant predictor; {far}"]


def test_oos_and_cells_must_belong_together():
    found = {"l1": oos([0, 1], [0, 1], [1, 2])}
    with pytest.raises(RegfoldError, match="fold 2: no such cell"):
        scores.table(SCHEMA, found, [cell(1, 1)])
    with pytest.raises(RegfoldError, match="1 rows; expected the cell's 2"):
        scores.table(SCHEMA, found, [cell(1, 1), cell(2, 2)])
    with pytest.raises(RegfoldError, match="no row of model 'l1', repeat 1, fold 3"):
        scores.table(SCHEMA, found, [cell(1, 1), cell(2, 1), cell(3, 1)])


def test_oos_file_reads_back_beside_hostile_cells(tmp_path):
    path = tmp_path / "l1.csv"
    header = ["note", "oos_row", "oos_repeat", "oos_fold", "oos_label", "oos_y_a,b", "oos_y_NA"]
    header += ["oos_pred_a,b", "oos_pred_NA"]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerow(['two\nlines, "quoted"', "007", 1, 2, "a,b", 1, 0, 0.75, 0.25])
        writer.writerow(["", "NA", 1, 1, "NA", 0, 1, "nan", "inf"])
    read = predictions.read(path, CLASSES | {"classes": ["a,b", "NA"]})
    assert list(read.row) == ["007", "NA"]
    assert read.fold.tolist() == [2, 1]
    assert read.prediction[0].tolist() == [0.75, 0.25]
    assert math.isnan(read.prediction[1, 0]) and math.isinf(read.prediction[1, 1])
    with pytest.raises(RegfoldError, match="column 'oos_y_c' is missing"):
        predictions.read(path, CLASSES | {"classes": ["a,b", "c"]})


def test_scores_file_and_closing_lines(tmp_path):
    found = {
        "NA": oos(np.zeros(5), [1, 1, 1, 1, 7], [1, 2, 3, 4, 5]),
        "l2": oos([0, 1, 0, 0, 0], [1, np.nan, 1, 1, 1], [1, 2, 3, 4, 5]),
    }
    table = scores.table(SCHEMA, found, cells_of(found))
    assert terminal.closing_lines(tmp_path) == ""
    scores.write(tmp_path / "scores.csv", table)
    result = summary(SCHEMA, found, constant=[3.0], n_repeated=1)
    (tmp_path / "summary.json").write_text(json.dumps(result))
    lines = (tmp_path / "scores.csv").read_text().splitlines()
    assert lines[0] == "model,repeat,fold,n_train,n_test,epochs,rmse,mae,r2,flags"
    assert lines[1] == "NA,1,1,9,1,5,1.0,1.0,,"  # of one row R2 is undefined
    assert lines[7] == "l2,1,2,9,1,5,nan,nan,nan,held-out predictions are not finite in 1 of 1 rows"
    pd.testing.assert_frame_equal(scores.read(tmp_path / "scores.csv"), table, check_dtype=False)
    text = terminal.closing_lines(tmp_path)
    assert "Fold score (RMSE): 7.000      fold 5 !" in text
    assert "! fold 5: RMSE 7.000 is far above" in text
    assert "Final, out of sample score (RMSE): 3.256 (NA)" in text
    low, high = (f"{result['models']['NA'][f'rmse_{end}']:.3g}" for end in ("low", "high"))
    assert f"  95 % interval {low} to {high} (corrected resampled t over 5 folds; Nadeau" in text
    assert "! no better than one constant answer for every row (3.256 against 3.000)" in text
    assert "Final, out of sample score (RMSE): none (l2)" in text
    assert "! fold 2: held-out predictions are not finite" in text
    assert "Note: 5 of 5 held-out rows (100 %) equal one of their fold's training rows" in text


def test_closing_lines_of_several_repeats_are_one_a_model(tmp_path):
    found = {
        name: oos(np.zeros(10), np.arange(10) + shift, [1, 2] * 5, repeat=[1] * 5 + [2] * 5)
        for name, shift in {"l1": 1.0, "no_penalty": 2.0}.items()
    }
    table = scores.table(SCHEMA, found, cells_of(found))
    table.loc[1:2, "flags"] = "constant predictor"
    scores.write(tmp_path / "scores.csv", table)
    result = summary(SCHEMA, found, constant=[30.0])
    (tmp_path / "summary.json").write_text(json.dumps(result))
    (tmp_path / "report.html").touch()
    l1, flag, other, empty, report = terminal.closing_lines(tmp_path).splitlines()
    low, high = (f"{result['models']['l1'][f'rmse_{end}']:.3g}" for end in ("low", "high"))
    assert l1.startswith(f"l1          RMSE 6.205       95 % interval {low} to {high}  fold mean ")
    assert l1.endswith(", 4 folds") and other.startswith("no_penalty  RMSE 7.106 ")
    assert flag == "  ! constant predictor (repeat 1, fold 2, repeat 2, fold 1)"
    assert (empty, report) == ("", f"Report: {tmp_path / 'report.html'}")


def test_the_errors_of_a_run_are_said_once_and_those_of_earlier_runs_never(tmp_path, capsys):
    def log(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    os.utime(log("old.log", "regfold: error: of an earlier run\n"), (1, 1))
    for fold in (1, 2):
        log(f"train_fold/m/1-{fold}.log", "x" * 9000 + "\nregfold: error: network.build: no layers\n")
    log("merge.log", "regfold: error: was mended\nall is well\n")
    log("killed.log", "regfold: model m, fold 3: error: the process was killed, twice\n")
    terminal.say_errors(tmp_path, since=2)
    assert capsys.readouterr().err.splitlines() == [
        "regfold: error: network.build: no layers (2 jobs)",
        "regfold: model m, fold 3: error: the process was killed, twice",
    ]


def test_closing_lines_show_each_target_in_its_own_units(tmp_path):
    truth = np.array([[0, 0], [2, 200], [1, 100]], float)
    found = {"l1": oos(truth, truth + np.array([0.5, 200]), [1, 1, 2])}
    schema = SCHEMA | {"target": ["a", "b"]}
    scores.write(tmp_path / "scores.csv", scores.table(schema, found, cells_of(found)))
    result = summary(schema, found, constant=[1, 100])
    (tmp_path / "summary.json").write_text(json.dumps(result))
    text = terminal.closing_lines(tmp_path)
    assert "  RMSE of a: 0.5000\n  RMSE of b: 200.0\n" in text
    assert "! no better than one constant answer for every row of target b (200.0 against 81.65)" in text
    assert "of target a" not in text


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


def test_groups_are_the_columns_values(tmp_path):
    path = tmp_path / "l1.csv"
    path.write_text('when,site,oos_row\n1," b ",0\n2,a,1\n3,b,2\n', encoding="utf-8")
    split = {"method": "group", "column": "site"}
    assert predictions.groups(path, split).tolist() == [0, 1, 0]
    assert predictions.groups(path, split | {"method": "column"}).tolist() == [0, 1, 0]
    for method in ("kfold", "time"):
        assert predictions.groups(path, split | {"method": method, "column": "when"}) is None


NOISE = {"a": 0.5, "b": 0.55, "c": 2.0}


def test_summary_and_comparison_file_hold_the_intervals(tmp_path):
    random = np.random.default_rng(0)
    truth, fold = random.standard_normal((50, 1)), np.arange(50) % 5 + 1
    found = {name: oos(truth, truth + random.standard_normal((50, 1)) * s, fold) for name, s in NOISE.items()}
    result = summary(SCHEMA, found)
    for model in result["models"].values():
        assert 0 < model["rmse_low"] < model["rmse"] < model["rmse_high"]
        assert model["interval"] == "corrected resampled t over 5 folds; Nadeau and Bengio, 2003"
    scores.write_comparison(tmp_path / "comparison.csv", result)
    header = "model_a,model_b,rmse_a,rmse_b,difference,low,high,p_value,p_a_better,p_equivalent,p_b_better"
    assert (tmp_path / "comparison.csv").read_text().splitlines()[0] == header
    read = pd.read_csv(tmp_path / "comparison.csv")
    assert list(zip(read["model_a"], read["model_b"], strict=True)) == [("a", "b"), ("a", "c"), ("b", "c")]
    assert read["rmse_b"].tolist() == pytest.approx([result["models"][name]["rmse"] for name in "bcc"])
    assert read["difference"].to_numpy() == pytest.approx((read["rmse_a"] - read["rmse_b"]).to_numpy())
    assert (read["low"] < read["difference"]).all() and (read["difference"] < read["high"]).all()
    alone = summary(SCHEMA, {"a": found["a"]})
    scores.write_comparison(tmp_path / "comparison.csv", alone)
    assert (tmp_path / "comparison.csv").read_text() == header + "\n"


def test_several_targets_are_compared_by_the_score_that_ranks_them():
    random = np.random.default_rng(0)
    truth, fold = random.standard_normal((50, 2)) * [1, 1000], np.arange(50) % 5 + 1
    found = {
        "good_at_the_small_one": oos(truth, truth + random.standard_normal((50, 2)) * [0.1, 500], fold),
        "good_at_the_large_one": oos(truth, truth + random.standard_normal((50, 2)) * [0.9, 450], fold),
    }
    result = summary(SCHEMA | {"target": ["a", "b"]}, found, constant=[0, 0])
    line = result["comparison"][0]
    assert line["difference"] < 0
    assert line["rmse_a"] == pytest.approx(result["models"]["good_at_the_small_one"]["rmse_standardized"])
    for model in result["models"].values():
        assert model["rmse_standardized_low"] < model["rmse_standardized"] < model["rmse_standardized_high"]
