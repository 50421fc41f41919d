"""Guards the pictures and words of a path: every strength in its place, the choice marked and named."""

import json
import math
from pathlib import Path
from types import SimpleNamespace

import altair as alt
import example_results
import numpy as np
import pandas as pd
import pytest
import render_report
from regfold import files
from regfold.formatting import significant
from regfold.report import figure, figures, sentences
from regfold.report.charts import strengths
from regfold.report.tables import inputs, scores
from regfold.results import study
from regfold.results.remarks import Headline

RMSE = Headline("rmse", "RMSE", greater_is_better=False)
STRENGTHS = [0.0, 1e-4, 1e-3, 1e-2]


def path_table(given=STRENGTHS, **columns) -> pd.DataFrame:
    n = len(given)
    table = pd.DataFrame({"strength": given, "rmse": np.linspace(5, 4, n), "rmse_train": 2.0})
    table["rmse_fold_mean"], table["rmse_fold_se"] = table["rmse"] + 0.5, 0.25
    table["nonzero"], table["inputs"] = 90.0, np.nan
    table["is_min"], table["is_one_se"] = np.arange(n) == n - 2, np.arange(n) == n - 1
    return table.assign(**columns)


def layers(chart: alt.LayerChart) -> list[dict]:
    """The chart's innermost layers, with their rows in the place of JSON."""
    with alt.data_transformers.enable(consolidate_datasets=False):
        found, flat = [chart.to_dict()], []
    while found:
        part = found.pop(0)
        if "layer" in part:
            found += [{"data": part["data"]} | inner if "data" in part else inner for inner in part["layer"]]
        else:
            flat.append(part | {"rows": json.loads(part["data"]["values"])})
    return flat


def mark(chart: alt.LayerChart, kind: str) -> dict:
    return next(layer for layer in layers(chart) if layer["mark"]["type"] == kind)


def test_zero_has_a_place_of_its_own_on_a_log_axis():
    where = strengths.places(np.array(STRENGTHS), "kernel.l2")
    assert where.at[1:] == STRENGTHS[1:] and 0 < where.at[0] < 1e-4
    axis = where.axis.to_dict()
    assert axis["values"][0] == where.at[0] and set(STRENGTHS[1:]) < set(axis["values"][1:])
    assert axis["tickCount"] == len(axis["values"])  # Vega leaves out every other one beyond it
    bound = float(axis["labelExpr"].split(" < ")[1].split(" ?")[0])
    assert where.at[0] < bound < 1e-4
    low, high = where.scale.to_dict()["domain"]
    assert low < where.at[0] and high > 1e-2


@pytest.mark.parametrize(
    ("given", "name"),
    [([0.0, 0.01, 0.5], "dropout"), ([0.0, 0.2], "kernel.l2"), ([0.0, 0.03, 0.04], "kernel.l2")],
)
def test_dropout_and_less_than_a_power_of_ten_stand_on_a_linear_axis(given, name):
    where = strengths.places(np.array(given), name)
    assert where.at == given and "type" not in where.scale.to_dict() and "log" not in where.title


def test_every_strength_stands_where_the_table_has_it():
    table = path_table()
    chart = strengths.score_along_path(table, "kernel.l2", RMSE, ())
    points = mark(chart, "area")["rows"]
    assert [point["y"] for point in points] == pytest.approx(table["rmse_fold_mean"].tolist(), rel=1e-5)
    assert [point["high"] - point["low"] for point in points] == pytest.approx([0.5] * 4, rel=1e-5)
    rules = mark(chart, "rule")["rows"]
    assert rules == [{"x": 1e-3, "series": "lowest: 0.001"}, {"x": 1e-2, "series": "within 1 SE: 0.01"}]
    lines = mark(strengths.gap_along_path(table, "kernel.l2", "RMSE"), "line")["rows"]
    assert [point["y"] for point in lines] == pytest.approx([2] * 4 + table["rmse"].tolist(), rel=1e-5)


def test_one_strength_may_be_both_the_lowest_and_within_one_standard_error():
    table = path_table(is_one_se=[False, False, True, False])
    rules = mark(strengths.score_along_path(table, "kernel.l2", RMSE, ()), "rule")["rows"]
    assert [rule["x"] for rule in rules] == [1e-3, 1e-3]


@pytest.mark.parametrize(
    ("changes", "title", "counts"),
    [
        ({}, None, None),  # weights that are never exactly zero are not counted
        ({"nonzero": [1200.0, 90.0, 3.0, 0.0]}, "weights that are not zero", ["1,200", "90", "3", "0"]),
        ({"inputs": [4.0, 3.4, 2.0, 1.0]}, "columns in use", ["4", "3", "2", "1"]),
    ],
)
def test_what_changes_along_the_path_is_counted_along_the_top(changes, title, counts):
    chart = strengths.score_along_path(path_table(**changes), "kernel.l1", RMSE, ())
    axes = [layer["encoding"]["x"].get("axis", {}) for layer in layers(chart)]
    assert next((axis["title"] for axis in axes if axis.get("orient") == "top"), None) == title
    params = {param["name"]: param["value"] for param in chart.to_dict().get("params", [])}
    assert params.get("counts") == counts


def test_the_choices_of_the_folds_are_ticks():
    chart = strengths.score_along_path(path_table(), "kernel.l2", RMSE, [1e-4, 1e-3, 1e-3])
    assert [tick["x"] for tick in mark(chart, "tick")["rows"]] == [1e-4, 1e-3, 1e-3]


def test_strengths_without_a_score_are_named_and_not_drawn():
    table = path_table(rmse_fold_mean=[np.nan, 5, 4, 4], rmse=[np.nan, 5, 4, 4])
    chart = strengths.score_along_path(table, "kernel.l2", RMSE, ())
    assert len(mark(chart, "line")["rows"]) == 3
    assert chart.to_dict()["title"]["text"] == "No finite score, so not drawn: 0"
    none = path_table(rmse_fold_mean=np.nan, rmse=np.nan, is_min=False, is_one_se=False)
    assert (
        strengths.score_along_path(none, "kernel.l2", RMSE, ())
        .to_dict()["title"]["text"]
        .endswith(": 0, 0.0001, 0.001, 0.01")
    )


def test_a_score_far_out_makes_the_axis_logarithmic():
    table = path_table(rmse_fold_mean=[4000.0, 5, 4, 4])
    scale = mark(strengths.score_along_path(table, "kernel.l2", RMSE, ()), "line")["encoding"]["y"]["scale"]
    assert scale["type"] == "log"


def test_columns_that_stay_longest_are_named():
    norms = pd.DataFrame({f"c{i:02d}": [1.0 + i, 0.5, 0, 0] for i in range(12)})
    norms["stays"] = [0.2, 0.2, 0.1, 0.05]
    (lines,) = layers(strengths.norms_along_path(np.array(STRENGTHS), norms, "kernel.strength"))
    assert len(lines["rows"]) == 13 * 4
    named = lines["encoding"]["color"]["scale"]["domain"]
    assert named[0] == "stays" and named[1:3] == ["c11", "c10"] and named[-1] == strengths.OTHERS
    assert lines["encoding"]["x"]["title"] == "strength of kernel, log scale"
    stays = [row["y"] for row in lines["rows"] if row["series"] == "stays"]
    assert stays == norms["stays"].tolist()


def test_norms_are_means_over_the_folds_that_have_the_column():
    cells = [
        {"path": {"strengths": [0.1, 0.0], "column_norms": {"a": [1.0, 3.0], "b": [0.0, 4.0]}}},
        {"path": {"strengths": [0.1, 0.0], "column_norms": {"a": [2.0, 5.0]}}},
    ]
    ascending, mean = study.Study.column_norms(SimpleNamespace(cells={"m": cells}), "m")
    assert ascending.tolist() == [0.0, 0.1]
    assert mean["a"].tolist() == [4.0, 1.5] and mean["b"].tolist() == [4.0, 0.0]
    del cells[0]["path"]["column_norms"]
    assert study.Study.column_norms(SimpleNamespace(cells={"m": cells}), "m") is None


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report of three paths, and the study that it is of."""
    selects = {"l1": "min", "l2": "one_se", "l3": "nested"}
    made = example_results.build(
        tmp_path_factory.mktemp("study"),
        "regression",
        n=90,
        models=tuple(selects),
        selects=selects,
        repeats=2,
    )
    example_results.score(made)
    render_report.main(made)
    return example_results.read(made), Path(made.output.report).read_text(encoding="utf-8")


def test_the_page_shows_each_path(report):
    found, text = report
    assert {f"{kind}-{model}" for kind in ("path", "gap") for model in found.paths} <= {
        figure.name for figure in figures.of_study(found)
    }
    assert "How much regularization?" in text
    lines = {line[0]: line[1:] for line in scores.paths(found).lines}
    for model, line in lines.items():
        result = found.models[model]
        assert line[:3] == ["kernel.l2", "20", result["select"]]
        assert line[5] == significant(result["rmse_corrected"])
    assert lines["l3"][4] == "–" and lines["l2"][6] == "–"
    assert ["penalty.kernel.l2", "20 from 0 to 0.1"] in inputs.settings(found).lines


def test_of_many_models_the_best_one_alone_has_pictures_that_repeat(report, monkeypatch):
    found, _ = report
    monkeypatch.setattr(figure, "MOST_BESIDE", 2)
    shown = {one.name: one.caption for one in figures.of_study(found)}
    assert {name for name in shown if name.startswith("path-")} == {"path-l1", "path-l2", "path-l3"}
    for kind in ("gap", "weights"):
        assert [name for name in shown if name.startswith(f"{kind}-")] == [f"{kind}-{found.best}"]
        assert " Of 3 models, the best one; all: " in shown[f"{kind}-{found.best}"]


def test_the_corrected_score_is_the_headline_and_the_cited_one(report):
    found, _ = report
    headline, result = sentences.headline(found), found.models[found.best]
    assert headline["score"] == significant(result["rmse_corrected"])
    assert (
        f"{significant(result['rmse_naive'])} there is optimistic: chosen for its score"
        in (headline["choices"][0])
    )
    citation = sentences.citation(found)
    assert f"Out-of-sample RMSE {headline['score']}, {headline['interval']}, pooled over" in citation
    assert "there is optimistic: chosen for its score, " in citation


def test_learning_curves_are_those_of_the_chosen_strength(report):
    found, _ = report
    for model in found.paths:
        for cell, history in zip(found.cells[model], found.histories[model], strict=True):
            assert "strength" not in history
            assert history["epoch"].tolist() == list(range(1, 301))
            strength = found.oos[model].strength_of(cell["repeat"], cell["fold"])
            assert cell["epochs"] == cell["path"]["epochs"][cell["path"]["strengths"].index(strength)]


def test_a_choice_at_an_end_of_the_path_is_warned_of(tmp_path):
    made = example_results.build(tmp_path, n=90, models=("l1",), selects={"l1": "min"}, strengths=[0.1, 0.2])
    example_results.score(made)
    result = files.read_json(made.output.summary)["models"]["l1"]
    found = example_results.read(made)
    which = "smallest" if math.isclose(result["chosen_strength"], 0.1) else "largest"
    said = f"Model l1: the chosen kernel.l2, {result['chosen_strength']:g}, is the {which} of its path, "
    assert f"{said}which may end too early." in sentences.warnings(found)
