"""Guards rows.csv: a line per row, means over models and repeats, and which truths are to be doubted."""

import example_results
import numpy as np
import pandas as pd
import pytest
from cleanlab.filter import find_label_issues
from hypothesis import given, settings
from hypothesis import strategies as st
from regfold import files
from regfold.results import conformal, predictions, rows


def read(tmp_path, **case):
    """rows.csv as the rule writes it, and its source: the schema and the OOS predictions."""
    made = example_results.build(tmp_path, **case)
    example_results.score(made)
    schema = files.read_json(made.input.schema)
    oos = {path.stem: predictions.read(path, schema) for path in made.input.oos}
    return rows.read(made.output.rows), schema, oos


def test_a_regression_has_a_line_for_each_row_with_means_over_repeats(tmp_path):
    found, _, oos = read(tmp_path, task="regression", n=60, repeats=3)
    assert sorted(found["row"].astype(int)) == list(range(60)) and (found["tests"] == 3).all()
    for model in ("l1", "l2"):
        frame = pd.DataFrame({"row": oos[model].row, "p": oos[model].prediction[:, 0]})
        grouped = frame.groupby("row")["p"]
        assert found[f"pred:{model}"].to_numpy() == pytest.approx(grouped.mean()[found["row"]].to_numpy())
        assert found[f"spread:{model}"].to_numpy() == pytest.approx(grouped.std()[found["row"]].to_numpy())
        residual = found["y"] - found[f"pred:{model}"]
        assert found[f"residual:{model}"].to_numpy() == pytest.approx(residual.to_numpy())
        bound = conformal.bound(residual.abs().to_numpy(), 0.9)
        assert (found[f"suspect:{model}"] == (residual.abs() > bound)).all()
        assert found[f"suspect:{model}"].sum() == 60 - np.ceil(0.9 * 61)
    error = found[["residual:l1", "residual:l2"]].abs().mean(axis=1)
    assert found["error"].to_numpy() == pytest.approx(error.to_numpy())
    assert found["error"].is_monotonic_decreasing
    assert (found["suspects"] == found["suspect:l1"].astype(int) + found["suspect:l2"]).all()


def test_several_targets_are_judged_in_standard_deviations(tmp_path):
    found, _, oos = read(tmp_path, task="regression", n=40, n_targets=2, models=("l1",))
    deviation = oos["l1"].truth.std(axis=0)
    residuals = found[["residual:l1:body_mass_g", "residual:l1:wing_mm"]].to_numpy()
    assert found["error"].to_numpy() == pytest.approx(np.sqrt(np.mean((residuals / deviation) ** 2, axis=1)))
    bounds = [conformal.bound(np.abs(column), 0.9) for column in residuals.T]
    assert (found["suspect:l1"] == (np.abs(residuals) > bounds).any(axis=1)).all()


def test_classes_have_the_probability_of_the_truth(tmp_path):
    found, schema, oos = read(tmp_path, n=80, repeats=2)
    for model in ("l1", "l2"):
        mean = pd.DataFrame(oos[model].prediction).groupby(oos[model].row).mean().loc[found["row"]].to_numpy()
        labels = np.array(schema["classes"], object)
        assert (found[f"label:{model}"] == labels[mean.argmax(axis=1)]).all()
        at = [schema["classes"].index(label) for label in found["label"]]
        assert found[f"p_true:{model}"].to_numpy() == pytest.approx(mean[np.arange(80), at])
    assert found["error"].is_monotonic_decreasing
    assert not found["spread:l1"].isna().any()


def test_rows_without_a_finite_prediction_are_last_and_not_judged(tmp_path):
    for task in ("classification", "regression"):
        found, _, _ = read(tmp_path / task, task=task, n=50, models=("l1",), lost=(1, 2))
        lost = found["error"].isna()
        assert lost.sum() == 10 and lost[-10:].all() and not found.loc[lost, "suspect:l1"].any()


def test_a_row_that_was_tested_once_has_no_spread(tmp_path):
    found, _, _ = read(tmp_path, n=30, models=("l1",))
    assert found["spread:l1"].isna().all() and (found["tests"] == 1).all()


@settings(max_examples=60, deadline=None)
@given(
    n_classes=st.integers(2, 6),
    n=st.integers(40, 200),
    noise=st.floats(0, 0.5),
    sharpness=st.floats(0.2, 6),
    seed=st.integers(0, 2**32 - 1),
)
def test_label_issues_are_those_of_cleanlab(n_classes, n, noise, sharpness, seed):
    random = np.random.default_rng(seed)
    truth = np.concatenate([np.arange(n_classes), random.integers(n_classes, size=n)])
    labels = np.where(random.random(len(truth)) < noise, random.integers(n_classes, size=len(truth)), truth)
    labels[:n_classes] = np.arange(n_classes)
    raw = np.exp(sharpness * (np.eye(n_classes)[truth] + random.normal(size=(len(truth), n_classes))))
    probabilities = raw / raw.sum(axis=1, keepdims=True)
    theirs = find_label_issues(labels, probabilities, filter_by="confident_learning", n_jobs=1)
    assert (rows.label_issues(labels, probabilities) == theirs).all()


def test_label_issues_find_labels_that_were_swapped():
    random = np.random.default_rng(0)
    truth = random.integers(3, size=600)
    raw = np.exp(8 * np.eye(3)[truth] + random.normal(size=(600, 3)))
    swapped = np.arange(600) < 30
    labels = np.where(swapped, (truth + 1) % 3, truth)
    issues = rows.label_issues(labels, raw / raw.sum(axis=1, keepdims=True))
    assert issues[swapped].mean() > 0.9 and issues[~swapped].mean() < 0.1


def test_the_conformal_bound_is_a_quantile_and_infinite_for_few_rows():
    residuals = np.arange(1.0, 20)
    assert conformal.bound(residuals, 0.9) == 18  # ceil(0.9 * 20)
    assert conformal.bound(residuals[:8], 0.9) == np.inf
