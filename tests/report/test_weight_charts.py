"""Guards what the page says of weights: each layer's histogram and fits, and of which models it is said."""

import json

import altair as alt
import example_results
import numpy as np
import pytest
import render_report
from regfold.formatting import significant
from regfold.report import figures, sentences
from regfold.report.charts import weights as charts
from regfold.report.tables import predictions
from regfold.results.weights import fit
from scipy import stats


def rows_of(chart: alt.LayerChart) -> list[list[dict]]:
    with alt.data_transformers.enable(consolidate_datasets=False):
        return [json.loads(layer["data"]["values"]) for layer in chart.to_dict()["layer"]]


def test_each_layer_has_its_histogram_and_curves_in_a_row_of_its_own():
    weights = {"hidden_1": stats.laplace.rvs(size=900, random_state=0), "output": np.r_[0, 0, 0.1, -0.2, 0.3]}
    fits = {layer: fit(values) for layer, values in weights.items()}
    bars, lines, texts = rows_of(charts.layers(weights, fits, {"hidden_1": 0.4}))
    assert {bar["y"] for bar in bars} == {charts.PITCH, 0}
    assert all(bar["y"] < bar["y2"] <= bar["y"] + 1 for bar in bars)
    upper = {line["series"] for line in lines if line["line"].endswith(f" {charts.PITCH}")}
    assert upper == set(charts.SERIES)  # the second layer's initial distribution is not known
    assert {line["series"] for line in lines} - {"initial"} == {
        line["series"] for line in lines if line["line"].endswith(" 0.0")
    }
    assert texts[0]["text"].startswith(f"shape {significant(fits['hidden_1'].shape, 2)} (")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    settings = {"n": 90, "models": ("l1", "l2"), "selects": {"l2": "min"}}
    made = example_results.build(folder, **settings)
    example_results.score(made)
    render_report.main(made)
    return example_results.read(made), made.output.report.read_text(encoding="utf-8")


def test_the_page_says_what_the_weights_look_like(report):
    found, text = report
    assert {"weights-l1", "weights-l2"} <= {figure.name for figure in figures.of_study(found)}
    assert "Do the weights look Laplace or Gaussian?" in text
    looks = {(line[0], line[1]): line[-1] for line in predictions.weights(found).lines}
    for layer in ("hidden_1", "hidden_2"):
        assert looks["l1", layer] == "Laplace" and looks["l2", layer] == "Gaussian"  # as they were drawn
    weights = {(line[0], line[1]): line[2] for line in predictions.weights(found).lines}
    assert weights["l1", "hidden_2"] == weights["l2", "hidden_2"] == "6,250"  # of 5 folds, and one strength


def test_outputs_are_fitted_where_a_penalty_acts_on_them(report):
    found, _ = report
    (line,) = [line for line in predictions.weights(found).lines if "outputs" in line[1]]
    assert line[1:4] == ["hidden_1: outputs", "–", "40.0 %"]
    assert float(line[6]) == pytest.approx(1, abs=0.15)  # quantiles of an exponential distribution
    (figure,) = [figure for figure in figures.of_study(found) if figure.name.startswith("activations-")]
    bars, lines, texts = rows_of(figure.chart)
    assert figure.name == "activations-l1" and "initial" not in {line["series"] for line in lines}
    heights = {(bar["x"], bar["x2"]): bar["y2"] for bar in bars}
    assert all(heights[-high, -low] == pytest.approx(height) for (low, high), height in heights.items())
    assert texts[0]["text"] == f"shape {significant(float(line[6]), 2)}"


def test_the_claim_is_not_made_of_activity_penalties(report):
    found, _ = report
    assert "the activity penalty of l1 acts on the outputs of hidden units" in sentences.prior(found)
