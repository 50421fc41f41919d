"""Guards weighted scores: equal weights change nothing, and whole numbers count as rows that are repeated."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from regfold.config import metrics as metric_list
from regfold.errors import RegfoldError
from regfold.results import (
    by_level,
    calibration,
    choice,
    comparison,
    intervals,
    metrics,
    predictions,
    scores,
    training_rows,
)
from regfold.results.predictions import Predictions
from regfold.results.training_rows import Known
from small_study import Study

TASKS = {"regression": 1, "two targets": 2, "classification": 3}
ARRAYS = ("row", "repeat", "fold", "truth", "prediction")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def task_of(name: str) -> str:
    return "classification" if name == "classification" else "regression"


def made(name: str, n: int = 60, seed: int = 0, repeats: int = 1) -> Predictions:
    """Truth and predictions of rows in five folds, every class in each."""
    random, k = np.random.default_rng(seed), TASKS[name]
    rows = np.tile(np.arange(n), repeats)
    fold = np.concatenate([1 + random.permutation(n) % 5 for _ in range(repeats)])
    if name == "classification":
        truth = np.eye(k)[(np.arange(n) // 5) % k][rows]
        raw = np.exp(random.normal(size=truth.shape) + truth)
        prediction = raw / raw.sum(axis=1, keepdims=True)
    else:
        truth = (random.normal(size=(n, k)) * [1, 100][:k])[rows]
        prediction = truth + random.normal(size=truth.shape) * [1, 50][:k]
    repeat = np.repeat(np.arange(1, repeats + 1), n)
    return Predictions(rows.astype(str).astype(object), repeat, fold, truth, prediction)


def repeated(oos: Predictions, times: np.ndarray) -> Predictions:
    """Each line as often as the whole number says."""
    return Predictions(**{name: np.repeat(getattr(oos, name), times, axis=0) for name in ARRAYS})


def schema_of(name: str, oos: Predictions) -> dict:
    return {
        "task": task_of(name),
        "target": ["y", "z"][: TASKS[name]] if name != "classification" else ["y"],
        "classes": ["a", "b", "c"] if name == "classification" else None,
        "weight": None if oos.weight is None else "w",
        "n_rows": len(set(oos.row)),
        "path": "t.csv",
    }


def cells_of(models: dict[str, Predictions], n_train: int) -> list[dict]:
    return [
        {"model": model, "repeat": r, "fold": f, "n_train": n_train, "n_test": len(rows), "epochs": 1}
        | {"flags": []}
        for model, oos in models.items()
        for r, f, rows in oos.cells()
    ]


def everything(name: str, models: dict[str, Predictions]) -> tuple[pd.DataFrame, dict, pd.DataFrame]:
    """scores.csv, summary.json and scores_by.csv of models."""
    first = next(iter(models.values()))
    schema, n_outputs = schema_of(name, first), first.truth.shape[1]
    known = {(r, f): Known(np.full(n_outputs, 0.3), 0) for r, f, _ in first.cells()}
    table = scores.table(schema, models, cells_of(models, 50))
    split = {"method": "kfold", "seed": 1}
    result = scores.summary(schema, models, table, known, split, None, 0.01, {})
    levels = by_level.Levels(["even", "odd"], first.row.astype(int) % 2)
    return table, result, by_level.table(schema, models, table, {"c": levels}, "kfold", None)


def numbers(tree) -> dict[str, float]:
    """All numbers of nested mappings and lists, by where they stand."""
    if isinstance(tree, dict | list):
        pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
        return {f"{key}.{inner}": value for key, sub in pairs for inner, value in numbers(sub).items()}
    return {"": tree} if isinstance(tree, int | float) else {}


@pytest.mark.parametrize("name", TASKS)
@given(st.integers(0, 100), st.lists(st.integers(0, 3), min_size=60, max_size=60), st.booleans())
@settings(max_examples=25, deadline=None)
def test_a_metric_takes_a_whole_number_as_rows_that_are_repeated(name, seed, times, with_zero):
    oos, times = made(name, seed=seed), np.array(times) + (not with_zero)
    times[:2] += 1
    chosen, deviation = metrics.of(task_of(name), 2 if name == "two targets" else 1), oos.truth.std(axis=0)
    found = metrics.score(chosen, oos.truth, oos.prediction, deviation, weight=times / times.mean())
    many = repeated(oos, times)
    expected = metrics.score(chosen, many.truth, many.prediction, deviation)
    assert found == pytest.approx(expected, rel=1e-10, nan_ok=True)
    for metric in chosen:
        if metric.row_loss:
            losses = metrics.row_losses(metric, oos.truth, oos.prediction, deviation)
            mean = np.average(losses, weights=times)
            score = np.sqrt(mean) if metric.root else mean
            assert found[metric.name] == pytest.approx(score, rel=1e-10)
    if name == "classification":
        found = calibration.measures(oos.truth, oos.prediction, times.astype(float))
        assert found == pytest.approx(calibration.measures(many.truth, many.prediction), rel=1e-8)


def test_a_prediction_that_is_not_finite_leaves_no_score_whatever_its_weight():
    oos = made("regression")
    oos.prediction[3] = np.nan
    weight = np.ones(60)
    weight[3] = 0
    found = metrics.score(metrics.of("regression"), oos.truth, oos.prediction, weight=weight)
    assert all(np.isnan(value) for value in found.values())


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("repeats", [1, 2])
def test_equal_weights_change_nothing(name, repeats):
    models = {"a": made(name, repeats=repeats), "b": made(name, repeats=repeats)}
    models["b"].prediction[:] = 0.7 * models["a"].prediction + 0.3 * models["a"].prediction.mean(axis=0)
    if name == "classification":
        models["b"].prediction[:] /= models["b"].prediction.sum(axis=1, keepdims=True)
    equal = {model: replace(oos, weight=np.ones(len(oos.row))) for model, oos in models.items()}
    table, result, by = everything(name, models)
    weighted, weighted_result, weighted_by = everything(name, equal)
    assert list(weighted.columns) == [*table.columns, "weight"]
    assert (weighted["weight"] == weighted["n_test"]).all()
    pd.testing.assert_frame_equal(weighted.drop(columns="weight"), table, rtol=1e-12)
    pd.testing.assert_frame_equal(weighted_by, by, rtol=1e-12)
    found, expected = numbers(weighted_result), numbers(result)
    assert len(expected) >= 50 and found == pytest.approx(expected, rel=1e-12, nan_ok=True)


@pytest.mark.parametrize("name", TASKS)
def test_pooled_scores_those_of_cells_and_of_levels_are_those_of_repeated_rows(name):
    times = np.random.default_rng(4).integers(4, size=60)
    oos = made(name)
    units = oos.truth.std(axis=0)
    weighted = replace(oos, weight=times / times.mean())
    table, result, by = everything(name, {"a": weighted})
    many, many_result, many_by = everything(name, {"a": repeated(oos, times)})
    own = [metric.name for metric in metrics.of(task_of(name), 2 if name == "two targets" else 1)]
    # The unit of standardized errors is not weighted.
    own = [metric for metric in own if metric != "rmse_standardized"]
    assert units.all()
    for found, expected in ((table, many), (by, many_by)):
        np.testing.assert_allclose(found[own].astype(float), expected[own].astype(float), rtol=1e-10)
    assert by["n"].tolist() == [30, 30]
    for metric in [*own, "rmse_of_constant", *(["ece"] if name == "classification" else [])]:
        assert result["models"]["a"][metric] == pytest.approx(many_result["models"]["a"][metric])


@given(st.integers(0, 100), st.lists(st.integers(0, 3), min_size=40, max_size=40))
@settings(max_examples=50, deadline=None)
def test_the_interval_from_rows_is_that_of_repeated_rows_of_one_unit(seed, times):
    losses, times = np.random.default_rng(seed).exponential(size=40), np.array(times)
    times[0] += 1
    units = np.arange(40)
    found = intervals.from_rows(losses, units, times / times.mean())
    kept = times > 0
    again = np.unique(np.repeat(units, times), return_inverse=True)[1]
    expected = intervals.from_rows(np.repeat(losses, times), again) if kept.sum() > 1 else None
    if expected:
        # Units without weight count as units: their share of the sum is known to be 0.
        correction = np.sqrt((40 / 39) / (kept.sum() / (kept.sum() - 1)))
        assert found.mean == pytest.approx(expected.mean)
        assert found.se == pytest.approx(expected.se * correction)


def test_cells_are_weighed_by_their_weights_in_means_and_comparisons():
    frame = pd.DataFrame({"model": ["a"] * 3 + ["b"] * 3, "fold": [1, 2, 3] * 2, "n_test": 10, "n_train": 20})
    frame["rmse"] = [1.0, 2.0, 3.0, 1.5, 2.0, 2.5]
    frame["weight"] = [20.0, 6.0, 4.0] * 2
    (line,) = comparison.of_scores(frame, [metrics.RMSE], "kfold", 0.01)
    assert line["rmse_a"] == pytest.approx(np.sqrt((20 * 1 + 6 * 4 + 4 * 9) / 30))
    assert line["rmse_b"] == pytest.approx(np.sqrt((20 * 1.5**2 + 6 * 4 + 4 * 2.5**2) / 30))
    estimate = intervals.from_cells(np.array([1.0, 4.0, 9.0]), *intervals.sizes(frame[:3]))
    share = np.array([20, 6, 4]) / 30
    variance = share @ (np.array([1.0, 4.0, 9.0]) - share @ [1, 4, 9]) ** 2 / (1 - share @ share)
    assert estimate.se == pytest.approx(np.sqrt(variance * (share @ share + 30 / 60)))


@pytest.mark.parametrize("select", ["min", "one_se"])
def test_a_strength_is_chosen_and_corrected_as_with_repeated_rows(select):
    random = np.random.default_rng(8)
    n, strengths = 60, np.array([0.0, 0.1, 1.0, 10.0])
    losses = random.exponential(size=(n, 4)) * [1.0, 0.9, 1.0, 1.2]
    cells, times = np.arange(n) % 5, random.integers(1, 4, n)
    many = np.repeat(losses, times, axis=0), np.repeat(cells, times)
    found = choice.path_scores(losses, cells, strengths, 5, weight=times / times.mean())
    expected = choice.path_scores(*many, strengths, 5)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-12)
    units = np.arange(n)
    options = {"strengths": strengths, "folds": 5, "select": select, "seed": 3, "bags": 200}
    corrected = choice.bootstrap_bias_corrected(losses, units, cells, **options, weight=times / times.mean())
    again = choice.bootstrap_bias_corrected(many[0], np.repeat(units, times), many[1], **options)
    assert vars(corrected) == pytest.approx(vars(again), rel=1e-10)
    found = choice.tibshirani_corrected(losses, cells, 1, weight=times.astype(float))
    assert found == pytest.approx(choice.tibshirani_corrected(*many, 1))
    unweighted = choice.bootstrap_bias_corrected(losses, units, cells, **options)
    assert vars(corrected) != pytest.approx(vars(unweighted), rel=1e-3)


def test_a_bag_without_weight_does_no_harm():
    losses, weight = np.random.default_rng(0).exponential(size=(6, 2)), np.array([1.0, 0, 0, 0, 0, 1])
    with np.errstate(all="raise"):
        for select in ("min", "one_se"):
            found = choice.bootstrap_bias_corrected(
                losses, np.arange(6), np.arange(6) % 2, np.array([0.0, 1.0]), 2, select, 0, weight=weight
            )
            assert np.isfinite([*vars(found).values()]).all()


def table(n: int = 30, decimal: str = ".") -> tuple[str, np.ndarray]:
    """A table with weights, whose ids are not in the order of the file's lines; and the weights by id."""
    random = np.random.default_rng(0)
    order, x = random.permutation(n), random.normal(size=n)
    weights = np.where(np.arange(n) % 5 == 0, 0, random.uniform(0.5, 5, n).round(2))
    lines = ["id;x;y;w", *(f"{i};{x[i]:.3f};{2 * x[i] + i:.3f}; {weights[i]:g} " for i in order), ""]
    return "\n".join(lines).replace(".", decimal), weights


@pytest.mark.parametrize("decimal", [".", ","])
def test_every_line_of_an_oos_file_has_its_own_rows_weight(folder, decimal):
    text, weights = table(decimal=decimal)
    models = {"m": {}, "p": {"penalty": {"kernel": {"l2": [0, 0.1, 1]}}, "select": "one_se"}}
    split = {"folds": 3, "repeats": 2}
    study = Study(text, {"id": "id", "weight": "w"}, split, models)
    assert study.schema["left_out"]["w"] == "data.weight" and study.schema["weight"] == "w"
    np.testing.assert_array_equal(np.load("results/prepared/weights.npy"), weights)
    for model in models:
        study.pretend(model)
        oos = predictions.read(study.merge(model), study.schema)
        expected = weights[oos.row.astype(int)]
        np.testing.assert_allclose(oos.weight, expected / expected.mean(), rtol=1e-15)
    # The path's scores and the choice are of the weighted rows.
    path = pd.read_csv("results/path/p.csv")
    chosen = path[path["strength"] == oos.strength[0]].iloc[0]
    found = metrics.score([metrics.RMSE], oos.truth, oos.prediction, weight=oos.weight)
    assert chosen["rmse"] == pytest.approx(found["rmse"], rel=1e-12) and chosen["is_one_se"]


@pytest.mark.parametrize("task", [None, "classification"])
def test_the_constant_to_beat_is_the_weighted_mean_of_training_rows(folder, task):
    random = np.random.default_rng(2)
    y = random.integers(3, size=40) if task else random.normal(size=40).round(3)
    weights = random.integers(4, size=40)
    lines = [f"{x:.3f},{value},{w}" for x, value, w in zip(random.normal(size=40), y, weights, strict=True)]
    study = Study("\n".join(["x,y,w", *lines, ""]), {"weight": "w"} | ({"task": task} if task else {}))
    for key, known in training_rows.known(study.prepared, study.config["split"]).items():
        training = np.setdiff1d(np.arange(40), study.tested(*key))
        outputs = np.eye(3)[y] if task else y[:, None]
        expected = np.average(outputs[training], axis=0, weights=weights[training])
        np.testing.assert_allclose(known.constant, expected)


def test_equal_rows_are_counted_whatever_they_weigh(folder):
    lines = [f"{i // 2},{i // 2 % 3},{1 + i}" for i in range(20)]
    study = Study("\n".join(["x,y,w", *lines, ""]), {"weight": "w", "task": "regression"}, {"folds": 2})
    assert any(note.startswith("20 of 20 rows equal another row") for note in study.schema["notes"])
    known = training_rows.known(study.prepared, study.config["split"])
    assert sum(fold.n_repeated for fold in known.values()) > 0


def test_a_metric_of_ones_own_takes_the_weights_and_has_to(folder):
    Path("own.py").write_text(
        "def mean_error(truth, prediction, weight=None):\n"
        "    return float((weight * (prediction - truth)[:, 0]).sum() / weight.sum())\n"
        "def unweighted(truth, prediction):\n    return 0.0\n"
    )
    oos = made("regression")
    weight = np.arange(60.0)
    chosen = metrics.reported("regression", 1, ["own.py:mean_error"])
    found = metrics.score(chosen, oos.truth, oos.prediction, weight=weight)["mean_error"]
    assert found == pytest.approx(np.average((oos.prediction - oos.truth)[:, 0], weights=weight))
    metric_list.check(["own.py:mean_error", "own.py:unweighted"])
    metric_list.check(["own.py:mean_error"], weighted=True)
    with pytest.raises(RegfoldError) as caught:
        metric_list.check(["own.py:unweighted"], weighted=True)
    assert str(caught.value) == (
        "metrics: unweighted(truth, prediction) cannot be called with three positional arguments; expected "
        "unweighted(truth, prediction, weight)"
    )
