"""Guards the user's own metrics: computed as given, tried before any training, and a mistake is one line."""

import json
from pathlib import Path
from types import SimpleNamespace

import example_results
import numpy as np
import pandas as pd
import pytest
import split_folds
from regfold.config import metrics as metric_list
from regfold.errors import RegfoldError
from regfold.formatting import significant
from regfold.report.tables import scores as score_tables
from regfold.results import metrics
from regfold.workflow import terminal
from scipy.stats import spearmanr
from small_study import Study

OWN = """
import numpy as np


def largest(truth, prediction):
    assert truth.shape == prediction.shape and truth.dtype == prediction.dtype == np.float64
    return np.abs(prediction - truth).max()


def rank_correlation(truth, prediction):
    from scipy.stats import spearmanr

    return spearmanr(truth.ravel(), prediction.ravel()).statistic


rank_correlation.higher_is_better = True


def raises(truth, prediction):
    raise ValueError("two\\nlines")


def no_constant(truth, prediction):
    assert np.ptp(prediction, axis=0).any(), "constant"
    return 1.0


def text(truth, prediction):
    return "0.5"


def several(truth, prediction):
    return truth.mean(axis=0)


def undefined(truth, prediction):
    return float("nan")
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(OWN)


def test_the_list_knows_the_metrics_of_each_task():
    found = {task: tuple(m.name for m in metrics.of(task, n_targets=2)) for task in metrics.METRICS}
    assert found == metric_list.KNOWN


def test_own_metrics_have_columns_and_the_first_is_the_headline(tmp_path):
    named = ("own.py:rank_correlation", "mae", "own.py:largest")
    made = example_results.build(tmp_path, task="regression", n=60, metrics=named)
    example_results.score(made)
    study = example_results.read(made)
    scores, summary = pd.read_csv("results/scores.csv"), json.loads(Path("results/summary.json").read_text())
    assert list(scores)[6:] == ["rmse", "mae", "r2", "rank_correlation", "largest", "flags"]
    for model, oos in study.oos.items():
        error = oos.prediction - oos.truth
        result = summary["models"][model]
        assert result["largest"] == pytest.approx(np.abs(error).max())
        expected = spearmanr(oos.truth.ravel(), oos.prediction.ravel()).statistic
        assert result["rank_correlation"] == pytest.approx(expected)
        of_cells = [np.abs(error[rows]).max() for _, _, rows in oos.cells()]
        np.testing.assert_allclose(scores.loc[scores["model"] == model, "largest"], of_cells)
        assert result["largest_fold_mean"] == pytest.approx(np.mean(of_cells))
    head = score_tables.models(study).head
    assert head[:6] == ["model", "rank_correlation ↑", "MAE ↓", "largest ↓", "RMSE ↓", "R² ↑"]
    value = significant(study.models["l1"]["rank_correlation"])
    closing = terminal.closing_lines("results")
    assert f"  Final, out of sample score (rank_correlation): {value} (l1)\n" in closing


@pytest.mark.parametrize("task", metrics.METRICS)
def test_no_function_can_be_called_as_something_else_in_the_files(task, tmp_path):
    selects = {"l1": "min", "l2": "nested"}
    made = example_results.build(
        tmp_path, task=task, n=60, n_targets=2, repeats=2, selects=selects, metrics=("own.py:largest",)
    )
    example_results.score(made)
    names = set(pd.read_csv("results/scores.csv"))
    for result in json.loads(Path("results/summary.json").read_text())["models"].values():
        names |= set(result)
    free = names - set(metric_list.KNOWN[task]) - metric_list.TAKEN - {"largest"}
    assert {name for name in free if not name.endswith(metric_list.ENDINGS)} == set()
    assert "  largest " in terminal.closing_lines("results")


def test_class_metrics_get_one_hot_truth_and_probabilities():
    Path("brier.py").write_text(
        "def own(truth, prediction):\n    return ((prediction - truth) ** 2).sum(1).mean()\n"
    )
    made = metrics.reported("classification", 1, ["brier.py:own"])
    truth, prediction = np.eye(3)[[0, 2]], np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])
    found = metrics.score(made, truth, prediction)
    assert found["own"] == pytest.approx(found["brier"])


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("own.py:no_constant", "metrics: 'own.py:no_constant' failed: AssertionError: constant"),
        ("own.py:raises", "metrics: 'own.py:raises' failed: ValueError: two lines"),
        ("own.py:text", "metrics: 'own.py:text' returned a str; expected a number"),
        ("own.py:several", "metrics: 'own.py:several' returned a ndarray; expected a number"),
        (
            "mae",
            "config.yaml: metrics: mae is not a metric of this classification; expected rmse, log_loss, "
            "accuracy, balanced_accuracy, brier, roc_auc or FILE.py:FUNCTION",
        ),
    ],
)
def test_what_is_wrong_ends_the_split_in_one_line(named, message, capfd):
    with pytest.raises(SystemExit):
        split(named)
    assert capfd.readouterr().err == f"regfold: error: {message}\n"
    assert not Path("results/folds.csv").exists()


def test_good_ones_pass_the_split():
    split("own.py:undefined", "own.py:largest", "accuracy", "rmse")
    assert Path("results/folds.csv").exists()


def split(*named: str) -> None:
    """What the rule split_folds does, for a table with three classes."""
    study = Study("x,y\n" + "".join(f"{i % 7},{'abc'[i % 3]}\n" for i in range(30)))
    Path("results/folds.csv").unlink()
    settings = {"split": study.config["split"], "missing": [""], "by": [], "builds": {}}
    output = {"table": "results/folds.csv", "folds": "results/folds"}
    split_folds.main(
        SimpleNamespace(
            params=SimpleNamespace(split=settings | {"metrics": list(named)}),
            input=SimpleNamespace(schema="results/prepared/schema.json"),
            output=SimpleNamespace(assignment="assignment.npy", codes="codes.npy", **output),
            log=["split.log"],
        )
    )


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (["maee"], "metrics: no metric 'maee'; did you mean 'mae'?"),
        (["own.py:larges"], "metrics: 'own.py' defines no function 'larges'; did you mean 'largest'?"),
        (["f.py:r2"], "metrics: 'f.py:r2': the name 'r2' is taken; expected another"),
        (["f.py:n_rows"], "metrics: 'f.py:n_rows': the name 'n_rows' is taken; expected another"),
        (
            ["own.py:largest", "f.py:largest"],
            "metrics: 'f.py:largest': the name 'largest' is taken; expected another",
        ),
        (
            ["f.py:one"],
            "metrics: one(truth) cannot be called with two positional arguments; expected "
            "one(truth, prediction)",
        ),
    ],
)
def test_a_bad_list_is_one_line(chosen, message):
    names = ("r2", "n_rows", "largest")
    functions = [f"def {name}(truth, prediction):\n    return 0\n" for name in names]
    Path("f.py").write_text("\n\n".join([*functions, "def one(truth):\n    return 0\n"]))
    with pytest.raises(RegfoldError) as error:
        metric_list.check(chosen)
    assert str(error.value) == message
