"""Guards the curves of several models in one picture, and the medians of learning curves."""

import json
from pathlib import Path

import altair as alt
import example_results
import numpy as np
import pytest
from regfold.report import figures
from regfold.report.charts import learning, lines, regression
from regfold.report.tables import predictions
from regfold.results import study
from sklearn.metrics import average_precision_score, roc_auc_score


def read(folder: Path, **case) -> study.Study:
    made = example_results.build(folder, **case)
    example_results.score(made)
    not_read = "features", "measured", "path_predictions"
    inputs = {name: value for name, value in vars(made.input).items() if name not in not_read}
    return study.read(models=made.params.models, split=made.params.split, **inputs)


def layers(chart: alt.LayerChart) -> list[list[dict]]:
    """The rows of each layer of a chart."""
    with alt.data_transformers.enable(consolidate_datasets=False):
        return [json.loads(layer["data"]["values"]) for layer in chart.to_dict(validate=False)["layer"]]


def probabilities(n_classes, n=3000):
    random = np.random.default_rng(0)
    truth = np.eye(n_classes)[random.integers(n_classes, size=n)]
    raw = np.exp(1.5 * truth + random.normal(size=truth.shape))
    return truth, raw / raw.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("n_classes", [2, 5])
def test_curves_have_the_areas_of_scikit_learn(n_classes):
    truth, predicted = probabilities(n_classes)
    false, true = np.array(lines.roc(truth, predicted)).T
    assert np.trapezoid(true, false) == pytest.approx(roc_auc_score(truth, predicted), abs=0.002)
    recall, precision = np.array(lines.precision_recall(truth, predicted)).T
    columns = slice(1, 2) if n_classes == 2 else slice(None)
    expected = average_precision_score(truth[:, columns], predicted[:, columns])
    assert precision.mean() == pytest.approx(expected, abs=0.005)
    assert recall[-1] == 1 and precision[-1] == pytest.approx(1 / n_classes, abs=0.1)


def test_many_rows_are_thinned_and_a_single_class_has_no_curve():
    assert len(range(50_001)[lines.some_rows(50_001)]) <= lines.MOST_ROWS
    assert lines.some_rows(20_000).step == 1
    truth = np.eye(2)[np.zeros(9, int)]
    assert lines.roc(truth, truth) == lines.precision_recall(truth, truth) == []


def test_quantiles_of_normal_residuals_are_on_the_line_and_errors_grow_with_the_size():
    random = np.random.default_rng(0)
    residuals = 3 + 7 * random.normal(size=20_000)
    x, y = np.array(lines.normal_quantiles(residuals)).T
    np.testing.assert_allclose(x, y, atol=0.08)
    truth = random.uniform(1, 11, size=20_000)
    size, error = np.array(lines.error_by_size(truth, truth * random.normal(size=20_000))).T
    assert len(size) == 10 and (np.diff(size) > 0).all()
    np.testing.assert_allclose(error, size, rtol=0.1)
    assert lines.error_by_size(np.array([1.0, 2.0]), np.array([3.0, -4.0])) == [(1.0, 3.0), (2.0, 4.0)]
    assert np.isfinite(lines.normal_quantiles(np.zeros(5))).all()


def test_residuals_of_many_rows_are_a_sample_with_the_median_of_all():
    truth = np.arange(10_000.0)
    points, _, medians = layers(regression.residuals(truth, np.where(truth == 5, np.nan, truth - 1), "y"))
    assert len(points) <= regression.MOST_RESIDUALS and {point["y"] for point in points} == {1.0}
    assert [median["y"] for median in medians] == [1.0] * 10


def test_medians_of_learning_curves_go_as_far_as_half_of_the_folds():
    curves = [(np.arange(1, n + 1), np.full(n, float(n))) for n in (10, 20, 20, 30, 40)]
    found = learning.quartiles(curves)
    assert (found[0]["x"], found[-1]["x"]) == (1, 20)
    assert found[0] == {"x": 1, "low": 20, "y": 20, "high": 30}
    assert found[-1]["y"] == 25  # of the four folds that are still trained


def test_of_many_models_the_best_has_pictures_of_its_own_and_all_share_curves(tmp_path):
    few = {figure.name: figure for figure in figures.of_study(read(tmp_path / "few", n=90))}
    assert {"confusion-l1", "confusion-l2", "calibration", "roc", "precision-recall"} <= set(few)
    # A model with one bin of probabilities has no line there.
    assert few["calibration"].chart.layer[-1].mark.type == "point"
    found = read(tmp_path / "many", n=90, models=tuple(f"m{i}" for i in range(6)))
    names = [figure.name for figure in figures.of_study(found)]
    assert [name for name in names if name.startswith("confusion")] == [f"confusion-{found.best}"]
    chart = {figure.name: figure for figure in figures.of_study(found)}["roc"].chart
    assert {point["series"] for point in layers(chart)[-1]} == {f"m{i}" for i in range(6)}
    one = [figure.name for figure in figures.of_study(read(tmp_path / "one", n=90, models=("l1",)))]
    assert "calibration" not in one and {"calibration-l1", "roc"} <= set(one)


def test_a_regression_has_residuals_of_the_best_model(tmp_path):
    found = [f.name for f in figures.of_study(read(tmp_path / "a", task="regression", n=60))]
    assert {"residuals", "quantiles", "error-by-size"} <= set(found)
    found = [f.name for f in figures.of_study(read(tmp_path / "b", task="regression", n=60, n_targets=4))]
    assert {"residuals-1", "residuals-4", "quantiles", "error-by-size"} <= set(found)
    found = [f.name for f in figures.of_study(read(tmp_path / "c", task="regression", n=60, n_targets=5))]
    assert not {name for name in found if name.startswith(("residuals", "quantiles"))}


def test_classes_have_precision_recall_and_f1(tmp_path):
    found = read(tmp_path, n=200)
    table = predictions.classes(found)
    oos = found.oos[found.best]
    truth, predicted = oos.truth.argmax(axis=1), oos.prediction.argmax(axis=1)
    for code, (line, name) in enumerate(zip(table.lines, found.schema["classes"], strict=True)):
        right = ((truth == code) & (predicted == code)).sum()
        precision, recall = right / (predicted == code).sum(), right / (truth == code).sum()
        f1 = 2 * precision * recall / (precision + recall)
        assert line[:2] == [name, str((truth == code).sum())]
        assert line[2:5] == [f"{100 * share:.1f} %" for share in (precision, recall, f1)]
    assert table.head[-1] == "F1 (l2)"
    assert [line[0] for line in predictions.calibration(found).lines] == ["l1", "l2"]


def test_learning_curves_of_a_negative_loss_have_a_linear_axis():
    history = {"epoch": np.array([1, 2]), "train_loss": np.array([0.5, -0.2])}
    domain = learning.loss_domain([history])
    assert domain == [-0.2, 0.5]
    cell = {"repeat": 1, "fold": 1, "best_epoch": 2}
    chart = learning.learning_curves([cell], [history], set(), "Poisson loss", domain)
    assert [[point["y"] for point in layer] for layer in layers(chart)] == [[0.5, -0.2], [-0.2]]
    y = chart.to_dict(validate=False)["layer"][0]["encoding"]["y"]
    assert y["title"] == "Poisson loss" and y["scale"] == {"domain": domain}


def test_models_of_different_losses_have_axes_of_their_own(tmp_path):
    study = read(tmp_path, task="regression", n=60)
    study.cells["l2"][0]["settings"]["training"]["loss"] = "huber"
    charts = {figure.name: figure.chart.to_dict(validate=False) for figure in figures.of_study(study)}
    titles = [charts[f"learning-{model}"]["layer"][0]["encoding"]["y"]["title"] for model in ("l1", "l2")]
    assert titles == ["squared error, standardized, log scale", "Huber loss, standardized, log scale"]
