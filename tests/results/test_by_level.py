"""Guards scores_by.csv: the scores of each level of a column, as fairlearn has them, with their intervals."""

import warnings

import example_results
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from fairlearn.metrics import MetricFrame
from regfold import files
from regfold.results import by_level, intervals, metrics, predictions, scores


def levels(cells: list[str]) -> tuple[list[str], list[int]]:
    found = by_level.levels(pa.chunked_array([pa.array(cells, pa.string())]), ["", "NA"])
    return found.names, found.codes.tolist()


def test_texts_are_levels_in_order_and_what_is_missing_is_the_last():
    assert levels(["b", " a ", "NA", "b", ""]) == (["a", "b", "(missing)"], [1, 0, 2, 1, 2])


def test_few_numbers_are_levels_in_the_order_of_numbers():
    assert levels(["10", "9", "9", "10.0", "2009"]) == (["9", "10", "2009"], [1, 0, 0, 1, 2])


def test_many_numbers_are_quarters_with_their_upper_ends():
    names, codes = levels([*map(str, range(1, 9)), "NA"])
    assert names == [
        "Q1: 1.000 to 2.750",
        "Q2: 2.750 to 4.500",
        "Q3: 4.500 to 6.250",
        "Q4: 6.250 to 8.000",
        "(missing)",
    ]
    assert codes == [0, 0, 1, 1, 2, 2, 3, 3, 4]
    assert levels([f"{i},5" for i in range(8)])[1] == [0, 0, 1, 1, 2, 2, 3, 3]


def test_a_column_without_a_value_is_one_level():
    assert levels(["", "NA"]) == (["(missing)"], [0, 0])


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_scores_are_those_of_fairlearn(tmp_path, task):
    columns = ("island", "bill_length_mm")
    made = example_results.build(tmp_path, task=task, n=150, repeats=2, by=columns)
    example_results.score(made)
    schema = files.read_json(made.input.schema)
    found = by_level.read(made.output.scores_by)
    assert found[["model", "column"]].drop_duplicates().to_numpy().tolist() == [
        [model, column] for model in ("l1", "l2") for column in columns
    ]
    coded = by_level.of_columns(made.input.oos[0], columns, [""])
    chosen = metrics.of(task)
    for path in made.input.oos:
        oos = predictions.read(path, schema)
        for column in columns:
            names = np.array(coded[column].names)[coded[column].codes]
            lines = found[(found["model"] == path.stem) & (found["column"] == column)].set_index("level")
            at = np.arange(len(names))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                theirs = MetricFrame(
                    metrics={
                        metric.name: lambda rows, _, metric=metric, oos=oos: metric.function(
                            oos.truth[rows], oos.prediction[rows]
                        )
                        for metric in chosen
                    },
                    y_true=at,
                    y_pred=at,
                    sensitive_features=pd.Series(names),
                ).by_group
            assert set(theirs.index) == set(lines.index)
            for metric in chosen:
                ours = lines.loc[theirs.index, metric.name].to_numpy()
                assert ours == pytest.approx(theirs[metric.name].to_numpy(float), nan_ok=True)
            counts = pd.Series(oos.row).groupby(names).nunique()
            assert (lines["n"] == counts[lines.index]).all()
            assert (lines["small"] == (lines["n"] < 30)).all() and lines["small"].sum() == (
                column == "island"
            )


def test_one_level_of_all_rows_has_the_interval_of_the_model(tmp_path):
    for repeats, n in ((2, 90), (1, 1200)):
        made = example_results.build(tmp_path / str(n), n=n, repeats=repeats, by=("bill_depth_mm",))
        example_results.score(made)
        summary = files.read_json(made.output.summary)["models"]
        for line in by_level.read(made.output.scores_by).to_dict("records"):
            for name in ("rmse", "rmse_low", "rmse_high", "accuracy"):
                assert line[name] == pytest.approx(summary[line["model"]][name], rel=1e-12)


def test_a_level_in_some_cells_has_the_interval_of_these(tmp_path):
    made = example_results.build(tmp_path, task="regression", n=60, folds=4, models=("l1",), by=("island",))
    example_results.score(made)
    oos = predictions.read(made.input.oos[0], files.read_json(made.input.schema))
    table = scores.read(made.output.scores)
    missing = oos.row.astype(int) % 20 == 0  # three rows
    folds = np.unique(oos.fold[missing])
    losses = np.square(oos.truth - oos.prediction)[:, 0]
    means = [losses[missing & (oos.fold == fold)].mean() for fold in folds]
    counts = [(missing & (oos.fold == fold)).sum() for fold in folds]
    n_train = table.set_index("fold").loc[folds, "n_train"].to_numpy()
    line = by_level.read(made.output.scores_by).set_index("level").loc["(missing)"]
    assert line["n"] == 3 and line["small"]
    if len(folds) > 1:
        expected = intervals.bounds(
            intervals.from_cells(np.array(means), np.array(counts), n_train), metrics.RMSE
        )
        assert (line["rmse_low"], line["rmse_high"]) == pytest.approx(expected)
    else:
        assert np.isnan(line["rmse_low"])


def test_without_columns_there_are_no_lines(tmp_path):
    made = example_results.build(tmp_path, n=30, models=("l1",))
    example_results.score(made)
    found = by_level.read(made.output.scores_by)
    assert len(found) == 0 and {"model", "level", "rmse", "rmse_low"} <= set(found.columns)
