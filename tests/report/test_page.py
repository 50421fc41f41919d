"""Guards the report: it says what the scores say, is complete in itself, and no name can break it."""

import csv
import json
import math
import re
import unicodedata
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import altair as alt
import example_results
import numpy as np
import pandas as pd
import pytest
import render_report
from regfold import files
from regfold.errors import RegfoldError
from regfold.formatting import significant, visible
from regfold.report import figures, page, sentences, vega
from regfold.report.charts import classification, intervals, learning, regression
from regfold.report.tables import inputs, predictions, scores

CASES = {
    "classification": {"n": 120, "by": ("island", "bill_length_mm")},
    "regression": {
        "task": "regression",
        "n": 90,
        "n_targets": 2,
        "repeats": 2,
        "diverged": (1, 3),
        "folds": 4,
    },
    "hostile classes": {
        "n": 120,
        "hostile": True,
        "lost": (1, 2),
        "by": (example_results.HOSTILE[0], example_results.HOSTILE[3]),
    },
    "hostile targets": {"task": "regression", "n": 60, "n_targets": 3, "hostile": True},
}


def built(folder: Path, **settings) -> SimpleNamespace:
    made = example_results.build(folder, **settings)
    example_results.score(made)
    return made


@pytest.fixture(scope="module", params=CASES)
def report(request, tmp_path_factory):
    made = built(tmp_path_factory.mktemp("study"), **CASES[request.param])
    render_report.main(made)
    return made, Path(made.output.report).read_text(encoding="utf-8")


class Markup(HTMLParser):
    """A page's tags with their attributes, and its visible text, as a browser would take them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] not in ("script", "style"):
            self.words += data


def data_of(chart: alt.LayerChart) -> dict:
    """The chart's specification with each layer's rows in their place."""
    with alt.data_transformers.enable(consolidate_datasets=False):
        found = chart.to_dict()
    for part in (found, *found["layer"]):
        if "data" in part:
            part["data"]["values"] = json.loads(part["data"]["values"])
    return found


def test_page_asks_no_host(report):
    _, text = report
    parsed = Markup(text)
    attributes = [item for _, found in parsed.tags for item in found.items()]
    loaded = [value for name, value in attributes if name in ("src", "href", "srcset", "action", "data")]
    assert loaded and all(value.startswith("data:image/svg+xml;base64,") for value in loaded)
    assert not [name for name, _ in attributes if name.startswith("on")]
    assert {tag for tag, _ in parsed.tags}.isdisjoint({"link", "iframe", "object", "embed", "base", "form"})
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)[1]
    assert "url(" not in style and "@import" not in style
    assert "default-src 'none'" in text and "'unsafe-eval'" not in text


def test_page_has_our_two_scripts_alone(report):
    _, text = report
    scripts = [found for tag, found in Markup(text).tags if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "specs"}, {"type": "module"}]
    assert text.count("</script>") == 2
    assert "<!--" not in text


def test_names_from_the_table_are_text(report):
    made, text = report
    schema = json.loads(Path(made.input.schema).read_text())
    names = [*schema["target"], *(column["name"] for column in schema["columns"]), *(schema["classes"] or [])]
    words = Markup(text).words
    for name in [*names, schema["path"], *schema["left_out"]]:
        assert visible(name) in words
        assert "<" not in name or name not in text


def test_nothing_on_the_page_or_in_a_chart_is_hidden(report):
    made, text = report
    specs = re.search(r'id="specs">(.*?)</script>', text, re.DOTALL)[1]
    charts = [path.read_text() for path in Path(made.output.figures).glob("*.svg")]
    for shown in (text.replace("\n", ""), *charts, json.dumps(json.loads(specs), ensure_ascii=False)):
        assert [c for c in shown if unicodedata.category(c) in ("Cf", "Cc") and c not in "\n\t\xad"] == []


def test_every_figure_has_copies_for_papers(report):
    made, text = report
    names = re.findall(r'id="chart-([^"]+)"', text)
    folder = Path(made.output.figures)
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        f"{n}.{e}" for n in names for e in ("png", "svg")
    )
    assert all((folder / f"{name}.svg").read_text().startswith("<svg") for name in names)
    assert all((folder / f"{name}.png").read_bytes().startswith(b"\x89PNG") for name in names)


def test_field_names_and_expressions_are_ours(report):
    _, text = report
    specs = json.loads(re.search(r'id="specs">(.*?)</script>', text, re.DOTALL)[1])
    found = {"field": set(), "test": set(), "labelExpr": set(), "expr": set(), "signal": set()}

    def walk(node, in_data=False):
        if isinstance(node, dict):
            for key, value in node.items():
                if key in found and not in_data:
                    found[key].add(json.dumps(value))
                walk(value, in_data or key == "values")
        elif isinstance(node, list):
            for value in node:
                walk(value, in_data)

    walk(specs)
    fields = {
        "x",
        "y",
        "x2",
        "y2",
        "series",
        "state",
        "offset",
        "line",
        "cell",
        "score",
        "text",
        "low",
        "high",
    }
    fields |= {"n", "p", "count", "percent", "share"}
    assert {json.loads(field) for field in found["field"]} <= fields
    assert {json.loads(test) for test in found["test"]} <= {
        "datum.state === 'flagged'",
        "datum.state === 'small'",
        "datum.series === 'generalized'",
        "datum.outside",
        "datum.share > 0.55",
    }
    labels = {"names[datum.value]", "layers[indexof(bottoms, datum.value)]"}
    assert {json.loads(test) for test in found["labelExpr"]} <= labels
    assert not found["expr"] and not found["signal"]


def test_headline_is_the_lowest_pooled_score_and_says_that_it_was_chosen(tmp_path):
    made = built(tmp_path, n=120)
    found = example_results.read(made)
    scores = json.loads(Path(made.input.summary).read_text())["models"]
    headline = sentences.headline(found)
    assert headline["model"] == min(scores, key=lambda model: scores[model]["rmse"]) == "l1"
    l1, l2 = (f"{scores[model]['rmse']:.4f}" for model in ("l1", "l2"))
    assert (headline["metric"], headline["score"]) == ("RMSE", l1)
    assert headline["choices"] == [
        "The lowest of 2 models on the same folds; optimistic: chosen for its score."
    ]
    citation = sentences.citation(found)
    interval = " to ".join(f"{scores['l1'][f'rmse_{end}']:.3g}" for end in ("low", "high"))
    assert headline["interval"].startswith(f"95 % interval {interval} (corrected resampled t over 5 folds")
    assert citation.startswith(
        f"Out-of-sample RMSE {l1}, {headline['interval']}, pooled over 120 rows (5-fold"
    )
    assert citation.endswith(
        "Model l1 is the best of 2 models that were compared on the same folds "
        f"(RMSE l1 {l1}, l2 {l2}); optimistic: chosen for its score."
    )
    assert sentences.warnings(found) == []


def test_the_page_and_the_citation_say_that_rows_are_weighted(tmp_path):
    made = example_results.build(tmp_path, n=60)
    weights = np.random.default_rng(0).integers(4, size=60)
    for path in made.input.oos:
        lines = pd.read_csv(path, dtype=str, keep_default_na=False)
        lines.insert(0, "exposure", weights[lines["oos_row"].astype(int)].astype(str))
        lines.to_csv(path, index=False)
    schema = files.read_json(made.input.schema)
    files.write_json(made.input.schema, schema | {"weight": "exposure"})
    np.save(Path(made.input.schema).with_name("weights.npy"), weights.astype(float))
    example_results.score(made)
    render_report.main(made)
    found = example_results.read(made)
    oos = found.oos["l1"]
    shares = predictions.classes(found).lines[0]
    ours = oos.truth[:, 0] == 1, oos.prediction.argmax(axis=1) == 0
    hits, predicted = (weights[oos.row.astype(int)][rows].sum() for rows in (ours[0] & ours[1], ours[1]))
    assert shares[1:3] == [f"{ours[0].sum()}", f"{100 * hits / predicted:.1f} %"]
    html = Path(made.output.report).read_text(encoding="utf-8")
    assert "Rows are weighted by column exposure, in training, in all scores" in html
    assert "Rows were weighted by exposure, in training and in all scores." in sentences.citation(found)
    assert sentences.weights(replace(found, schema=schema)) == ""


def test_citation_of_many_models_gives_their_range(tmp_path):
    names = tuple(f"m{i}" for i in range(7))
    found = example_results.read(built(tmp_path, n=60, models=names))
    scores = [result["rmse"] for result in found.models.values()]
    extent = f"{significant(min(scores))} to {significant(max(scores))}"
    assert f"best of 7 models that were compared on the same folds (RMSE {extent});" in sentences.citation(
        found
    )


def test_several_targets_are_ranked_by_the_standardized_score_and_each_is_shown(tmp_path):
    """Model l2 is better in the target with the larger unit, and by far worse in the other."""
    made = built(tmp_path, task="regression", n=90, n_targets=2)
    for path, errors in zip(made.input.oos, ([20.0, 0.1], [10.0, 8.0]), strict=True):
        with path.open(newline="") as file:
            lines = list(csv.reader(file))
        for name, error in zip(("body_mass_g", "wing_mm"), errors, strict=True):
            truth, prediction = lines[0].index(f"oos_y_{name}"), lines[0].index(f"oos_pred_{name}")
            for line in lines[1:]:
                line[prediction] = float(line[truth]) + error
        with path.open("w", newline="") as file:
            csv.writer(file).writerows(lines)
    example_results.score(made)
    found = example_results.read(made)
    assert found.models["l2"]["rmse"] < found.models["l1"]["rmse"]
    headline = sentences.headline(found)
    assert headline["model"] == "l1" and headline["metric"] == "standardized RMSE"
    assert "body_mass_g 20.0 (" in headline["meaning"] and "wing_mm 0.100 (" in headline["meaning"]
    assert "RMSE in each target's own units: body_mass_g 20.00, wing_mm 0.1000." in sentences.citation(found)
    assert [line[:3] for line in scores.targets(found).lines] == [
        ["l1", "body_mass_g", "20.00"],
        ["l1", "wing_mm", "0.1000"],
        ["l2", "body_mass_g", "10.00"],
        ["l2", "wing_mm", "8.000"],
    ]


def test_rows_in_training_and_test_are_noted_with_the_remedy(tmp_path):
    assert not any(
        "training rows" in note
        for note in sentences.notes(example_results.read(built(tmp_path / "none", n=60)))
    )
    found = example_results.read(built(tmp_path / "some", n=60, identical=6))
    (note,) = [note for note in sentences.notes(found) if "equal one of" in note]
    assert note.startswith("6 of 60 held-out rows (10 %) equal one of their fold's training rows")
    assert "split.method: group" in note


def test_one_model_is_no_choice(tmp_path):
    found = example_results.read(built(tmp_path, n=60, models=("l1",)))
    headline = sentences.headline(found)
    assert headline["model"] is None and headline["choices"] == []
    assert "optimistic" not in sentences.citation(found)


def test_warnings_name_the_fold(tmp_path):
    made = built(tmp_path, task="regression", n=60, diverged=(1, 3))
    text = " ".join(sentences.warnings(example_results.read(made)))
    assert "Model l2, fold 3: diverged" in text and "far above" in text
    assert "no better than one constant answer" in text


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_study_without_any_score_still_has_a_report(tmp_path, task):
    made = built(tmp_path, task=task, n=20, folds=2, models=("l1",))
    for path in made.input.oos:
        with path.open(newline="") as file:
            lines = list(csv.reader(file))
        at = [i for i, name in enumerate(lines[0]) if name.startswith("oos_pred")]
        for line in lines[1:]:
            for i in at:
                line[i] = "nan"
        with path.open("w", newline="") as file:
            csv.writer(file).writerows(lines)
    example_results.score(made)
    render_report.main(made)
    text = Path(made.output.report).read_text()
    assert '<p class="number">none</p>' in text and "not finite in 10 of 10 rows" in text


def test_settings_that_models_share_are_said_once(tmp_path):
    two = example_results.read(built(tmp_path / "two", n=60))
    differing, shared = inputs.differing_settings(two), inputs.settings(two)
    assert differing.head == ["model", "penalty.activity.l1", "penalty.kernel.l2"]
    assert differing.lines == [["l1", "0.0001", "0"], ["l2", "0", "0.001"]]
    assert shared.head == ["setting", "value"]
    assert ["training.epochs", "300"] in shared.lines and ["split.folds", "5"] in shared.lines
    assert not {line[0] for line in shared.lines} & set(differing.head)
    one = example_results.read(built(tmp_path / "one", n=60, models=("l1",)))
    assert ["penalty.activity.l1", "0.0001"] in inputs.settings(one).lines
    assert inputs.differing_settings(one).lines == []


def test_thinned_curve_keeps_ends_and_spikes():
    epochs, values = np.arange(1, 5001), np.ones(5000)
    values[1234], values[4321] = 50, 0.01
    kept = learning.thin(epochs, values, 200)
    assert len(kept) <= 200
    assert {0, 1234, 4321, 4999} <= set(kept.tolist())
    assert len(learning.thin(epochs[:150], values[:150], 200)) == 150


def test_large_regression_is_drawn_as_a_histogram():
    truth = np.random.default_rng(0).normal(size=20_000)
    chart = data_of(regression.predicted_against_true(truth, truth + 0.1, "y"))
    counts = [row["n"] for layer in chart["layer"] for row in layer["data"]["values"] if "n" in row]
    assert sum(counts) == 20_000 and len(counts) <= regression.HISTOGRAM_BINS**2


def test_predictions_far_outside_are_drawn_and_counted():
    truth = np.linspace(0, 1, 50)
    prediction = np.where(np.arange(50) == 7, 1e6, truth)
    prediction[9] = math.nan
    chart = data_of(regression.predicted_against_true(truth, prediction, "y"))
    points = chart["layer"][0]["data"]["values"]
    assert len(points) == 49 and sum(point["outside"] for point in points) == 1
    assert chart["title"]["text"] == "1 of 50 rows far outside, drawn at the edge; 1 of 50 rows not finite"
    assert chart["layer"][0]["encoding"]["y"]["scale"]["domain"][1] < 2


def test_confusion_counts_by_hand():
    truth, prediction = np.eye(2)[[0, 0, 0, 1]], np.eye(2)[[0, 0, 1, 1]]
    values = data_of(classification.confusion_matrix(truth, prediction, ["a", "b"]))["data"]["values"]
    assert [(cell["y"], cell["x"], cell["n"]) for cell in values] == [
        (0, 0, 2),
        (0, 1, 1),
        (1, 0, 0),
        (1, 1, 1),
    ]
    assert values[0]["share"] == pytest.approx(2 / 3)


def test_of_many_classes_the_most_confused_ones_are_shown():
    n = 400
    truth = np.repeat(np.arange(n), 4)
    prediction = truth.copy()
    # Classes 7 and 390 are taken for one another; of each class from 100 to 111, one row for the next but 20.
    prediction[[28, 29, 30, 1560]] = [390, 390, 390, 7]
    prediction[np.arange(400, 448, 4)] += 20
    chart = data_of(
        classification.confusion_matrix(np.eye(n)[truth], np.eye(n)[prediction], list(map(str, range(n))))
    )
    names = chart["params"][0]["value"]
    cells = {(names[c["y"]], names[c["x"]]): c for c in chart["data"]["values"]}
    assert len(names) == classification.MOST_CONFUSED and len(cells) == len(names) ** 2
    assert names == sorted(names, key=int)
    assert set(names) >= {"7", "390", "100", "111", "120", "130"}
    assert (cells["7", "390"]["n"], cells["7", "390"]["share"]) == (3, 0.75)
    assert (cells["390", "7"]["n"], cells["390", "390"]["n"]) == (1, 3)
    assert classification.most_confused(np.eye(n, dtype=int)) == list(range(classification.MOST_CONFUSED))


@pytest.mark.heavy
def test_a_thousand_classes_make_a_page_as_small_as_fifty(tmp_path):
    made = built(tmp_path, n=2000, n_classes=1000, models=("l1",))
    found = {figure.name: figure for figure in figures.of_study(example_results.read(made))}
    caption = found["confusion-l1"].caption
    assert "Of 1,000 classes, the 25 that are most often taken for one another" in caption
    assert "the predicted class is shown" in found["calibration-l1"].caption
    assert max(len(json.dumps(figure.spec(420))) for figure in found.values()) < 200_000


def test_of_a_hundred_targets_the_worst_and_the_best_explained_are_shown(tmp_path):
    made = built(tmp_path, task="regression", n=40, n_targets=100, models=("l1",))
    study = example_results.read(made)
    found = [figure for figure in figures.of_study(study) if figure.section == "predictions"]
    r2 = [study.models["l1"]["targets"][target]["r2"] for target in study.schema["target"]]
    order = np.argsort(r2)
    places = [int(figure.name.removeprefix("predicted-l1-")) - 1 for figure in found]
    assert places == [*order[:3], *order[-3:]]
    assert all(
        figure.title.endswith(f"R² {significant(r2[i])}") for i, figure in zip(places, found, strict=True)
    )
    assert all(
        "Of 100 targets, the 3 worst explained ones (by R²), and the 3 best." in figure.caption
        for figure in found
    )
    text = page.render(study, [(figure, "<svg/>") for figure in figures.of_study(study)], "")
    assert "How well is body_mass_g, wing_mm, number 3 and 97 more predicted" in Markup(text).words
    assert sentences.citation(study).endswith(" and 95 more.")


def test_many_columns_that_are_left_out_and_levels_that_are_unseen_are_few_lines(tmp_path):
    made = built(tmp_path, n=60, models=("l1",))
    schema = json.loads(Path(made.input.schema).read_text())
    schema["left_out"] = {f"x{i:04}": "data.exclude" for i in range(10_000)} | {
        "i": "data.id",
        "species": "target",
    }
    files.write_json(made.input.schema, schema)
    cell = json.loads(Path(made.input.cells[0]).read_text())
    cell["preprocessing"]["unseen"] = {"island": [f"level {i}" for i in range(10_000)]}
    files.write_json(made.input.cells[0], cell)
    study = example_results.read(made)
    names = ", ".join(f"x000{i}" for i in range(8))
    assert inputs.left_out(study) == [
        "Left out: i (data.id)",
        f"Left out: {names} and 9,992 more (data.exclude)",
    ]
    assert len(inputs.unseen(study)) == 21
    assert inputs.unseen(study)[-1] == "9,981 more levels that a fold has not seen"


def test_wilson_interval_by_hand():
    # Of 10 rows 8: the interval that R's binom.confint(8, 10, methods = "wilson") gives.
    assert classification.wilson(0.8, 10) == pytest.approx((0.4901625, 0.9433178), abs=1e-6)


def test_charts_are_drawn_by_the_version_of_vega_lite_that_they_are_written_for():
    assert alt.SCHEMA_VERSION.startswith(f"v{vega.LITE_VERSION}.")


def test_program_is_the_one_that_the_policy_allows(tmp_path):
    found = example_results.read(built(tmp_path, n=60, models=("l1",)))
    pictures = [(figure, "<svg/>") for figure in figures.of_study(found)]
    text = page.render(found, pictures, "'</script><!--';")
    assert "'<\\/script><\\!--';" in text
    assert text.count("</script>") == 2


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_a_damaged_json_file_ends_the_report_with_its_name(content, tmp_path, capfd):
    made = built(tmp_path)
    for path in (made.input.summary, made.input.cells[3]):
        whole = path.read_text()
        path.write_text(content)
        with pytest.raises(RegfoldError, match=f"^{path}: is damaged: .*; remove {path} and run again$"):
            _ = example_results.read(made).models
        path.write_text(whole)
    made.input.cells[0].write_text(content)
    with pytest.raises(SystemExit):
        example_results.score(made)
    assert f"regfold: error: {made.input.cells[0]}: is damaged: " in capfd.readouterr().err


@pytest.mark.parametrize(
    "content", ["", "epoch,train_loss\n1\n", "epoch,train_loss\n1,x\n", "epoch\n1,2\n", "epoch\n\0\n", '"']
)
def test_a_damaged_history_ends_the_report_with_its_name(content, tmp_path):
    made = built(tmp_path)
    path = made.input.histories[2]
    path.write_text(content)
    with pytest.raises(RegfoldError, match=f"^{path}: is damaged: .*; remove {path} and run again$"):
        example_results.read(made)


def test_models_are_compared_with_the_best_one(tmp_path):
    made = built(tmp_path, n=120, models=("l2", "l1", "plain"))
    render_report.main(made)
    found = example_results.read(made)
    pairs = {(pair["model_a"], pair["model_b"]): pair for pair in found.summary["comparison"]}
    best = found.best
    lines = {line["model"]: line for line in found.against_best()}
    assert lines.keys() == {"l2", "l1", "plain"} - {best}
    for (a, b), pair in pairs.items():
        if best in (a, b):
            line, sign = lines[b if a == best else a], -1 if a == best else 1
            assert line["difference"] == sign * pair["difference"] > 0
            assert [line["low"], line["high"]] == sorted(sign * pair[name] for name in ("low", "high"))
            assert line["p_best_better"] == max(pair["p_a_better"], pair["p_b_better"])
    table = scores.comparison(found)
    assert [line[:2] for line in table.lines] == [[name, line["sentence"]] for name, line in lines.items()]
    assert table.note.endswith("All 3 pairs: comparison.csv.")
    text = Path(made.output.report).read_text(encoding="utf-8")
    assert text.index("Do the models differ?") < text.index("Score of each fold")
    assert all(line["sentence"] in text for line in lines.values())


@pytest.mark.filterwarnings("ignore:invalid value")  # the example's first fold has no rows before it
def test_time_splits_have_neither_interval_nor_comparison(tmp_path):
    made = example_results.build(tmp_path, n=120)
    made.params.split |= {"method": "time", "column": "island"}
    example_results.score(made)
    render_report.main(made)
    found = example_results.read(made)
    why = "time splits have no exchangeable folds"
    assert sentences.headline(found)["interval"] == f"No 95 % interval: {why}"
    assert "interval" not in sentences.citation(found)
    ((_, sentence, _, *rest),) = scores.comparison(found).lines
    assert (sentence, rest) == (f"not compared: {why}", ["–"] * 4)
    assert not (Path(made.output.figures) / "comparison.svg").exists()


@pytest.mark.parametrize(
    ("case", "width"), [({}, 5), ({"task": "regression"}, 5), ({"task": "regression", "n_targets": 3}, 6)]
)
def test_the_twenty_worst_rows_are_named(tmp_path, case, width):
    found = example_results.read(built(tmp_path, n=60, **case))
    table = predictions.worst_rows(found)
    lines = (tmp_path / "results" / "rows.csv").read_text().splitlines()
    assert [line[0] for line in table.lines] == [line.split(",")[0] for line in lines[1:21]]
    assert {len(line) for line in table.lines} == {len(table.head)} == {width}
    assert sentences.hard_rows(found).startswith(
        "The 20 worst predicted of 60 rows, by the mean error over models"
    )


def test_the_worst_level_is_named_and_small_ones_are_not(tmp_path):
    made = built(tmp_path, task="regression", n=200, by=("island", "bill_length_mm"))
    found = example_results.read(made)
    at = (found.by["model"] == "l1") & (found.by["level"] == "(missing)")
    found.by.loc[at, "rmse"] = 1e6
    of_dream = (found.by["model"] == "l1") & (found.by["level"] == "Dream")
    found.by.loc[of_dream, ["rmse", "rmse_low", "rmse_high"]] = [9000.0, 8000.0, 9500.0]
    first, second = sentences.worst_levels(found)
    overall = significant(found.models["l1"]["rmse"], 3)
    assert first == (
        "island: model l1 is worst for Dream (100 rows), RMSE 9,000 (95 % interval 8,000 to 9,500), against "
        f"{overall} over all rows."
    )
    assert second.startswith("bill_length_mm: model l1 is worst for Q")
    found.by.loc[of_dream, "rmse_low"] = 1.0
    assert sentences.worst_levels(found)[0].endswith("which the interval contains: it may be chance.")


def test_of_many_levels_the_worst_are_drawn(tmp_path):
    found = example_results.read(built(tmp_path, n=60, models=("l1",), by=("island",)))
    line = found.by.iloc[0].to_dict()
    many = [line | {"level": f"v{i}", "rmse": float(i), "small": i == 29} for i in range(30)]
    shown = intervals.shown_levels(pd.DataFrame(many), found.ranking, "l1")
    assert shown == [f"v{i}" for i in range(17, 29)]


def test_levels_without_interval_or_score_leave_a_chart_that_can_be_drawn(tmp_path):
    found = example_results.read(built(tmp_path, n=60, models=("l1",), by=("island",), repeats=2))
    found.by.loc[0, ["rmse_low", "rmse_high"]] = math.nan
    found.by.loc[1, ["rmse", "rmse_low", "rmse_high"]] = math.nan
    chart = intervals.by_level(found.by, found.ranking, "l1", 0.1)
    counts = [len(layer["data"]["values"]) for layer in data_of(chart)["layer"]]
    assert counts == [1, 1, 2]
    found.by["rmse"] = math.nan
    assert not [figure for figure in figures.of_study(found) if figure.section == "levels"]
