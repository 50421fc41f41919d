"""Guards the main job: in a clone and elsewhere, a table becomes predictions, each beside its own row."""

import csv
import io
import json
import random
import re
import runpy
import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from regfold.config.resolve import resolve
from regfold.results import verify
from snakemake.iocontainers import Log
from workflow.real_study import ROOT, Study, copy_project

SCRIPTS = ROOT / "scripts"
DRAWING = ROOT / "images" / "draw_rulegraph.py"
RESULTS = (
    "report.html",
    "scores.csv",
    "scores_by.csv",
    "importance.csv",
    "comparison.csv",
    "rows.csv",
    "summary.json",
    "folds.csv",
)
CELL = ("cell.json", "model.keras", "history.csv", "predictions.npz")
UGLY = ["<script>alert(1)</script>", 'a "quoted", name', " leading blank", "größe µ😀", "it's {{7*7}}"]
MODELS = {"echo": {"network": {"build": "own.py:echo"}}, "l1.strong": {"penalty": {"dropout": 0.2}}}
OWN = '''"""A network that says its row's first column, whatever it is trained for."""

import keras


def echo(n_features, n_outputs, output_activation, regularizers):
    inputs = keras.Input((n_features,))
    nothing = keras.layers.Dense(n_outputs, kernel_initializer="zeros")(inputs) * 0.0
    return keras.Model(inputs, inputs[:, :1] + nothing)
'''


def lines(data: bytes) -> list[dict]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline="")))


def ugly_table(shuffled: int = 0) -> str:
    """A regression whose target is its first column; ids are not in their order; cells as ugly as names."""
    draw = random.Random(0)
    table = []
    for number in range(24):
        value = f"{draw.uniform(-5, 5):.2f}"
        word = draw.choice(['a "b", c', " <b>x</b>", "", "µ\n2"])
        table.append(
            [f"id {number * 7 % 24}", value, f"{draw.random():.3f}", word, "NA", draw.choice("uv"), value]
        )
    if shuffled:
        random.Random(shuffled).shuffle(table)
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([["the id", *UGLY, "y"], *table])
    return text.getvalue()


def ugly_study(folder: Path, project: Path, shuffled: int = 0) -> Study:
    study = Study(
        folder,
        project,
        {
            "data": {"path": "a table.csv", "target": "y", "id": "the id"},
            "split": {"folds": 2},
            "network": {"hidden": [4]},
            "training": {"epochs": 3, "batch_size": "1e1", "learning_rate": 0.01},
            "baselines": [],
            "models": MODELS,
        },
    )
    study.write("a table.csv", ugly_table(shuffled))
    study.write("own.py", OWN)
    return study


def echoes(found: list[dict]) -> None:
    """Each line's prediction is its own row's first column, which is its truth."""
    prediction, own, truth = (
        np.array([float(line[name]) for line in found]) for name in ("oos_pred", UGLY[0], "oos_y")
    )
    assert np.array_equal(own, truth)
    assert len(set(truth)) > len(truth) / 2
    np.testing.assert_allclose(prediction, truth, atol=2e-6)


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """The shipped study in a clone, with few epochs and folds."""
    folder = copy_project(tmp_path_factory.mktemp("main job") / "a clone")
    shipped = (folder / "config.yaml").read_text()
    short = shipped.replace("epochs: 500", "epochs: 5").replace("folds: 5", "folds: 2")
    assert short != shipped
    (folder / "config.yaml").write_text(short)
    study = Study(folder, folder)
    return study, study.snakemake("--quiet", "host", cores=2)  # as the profile has it


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """A study with ugly names in a folder of its own, run on one core."""
    folder = tmp_path_factory.mktemp("main job")
    study = ugly_study(folder / "a study", copy_project(folder / "a project"))
    return study, study.snakemake(cores=1)


def test_a_clone_runs_to_the_end(clone):
    study, ran = clone
    assert ran.code == 0, ran.text
    screen = ran.text.splitlines()
    assert "Final, out of sample score (RMSE): " in "\n".join(screen[-10:])
    assert f"Report: {study.folder}/results/report.html" in screen
    assert len(screen) < 50 and "jobid" not in ran.text and "Select jobs" not in ran.text
    cells = [f"cells/l1/1-{fold}/{name}" for fold in (1, 2) for name in CELL]
    for name in (*RESULTS, "oos/l1.csv", *cells):
        assert (study.folder / "results" / name).stat().st_size > 0, name
    for rule in ("prepare_data", "split_folds", "train_fold", "merge_predictions", "score_predictions"):
        assert list((study.folder / "logs" / rule).rglob("*.log")), rule
        assert list((study.folder / "benchmarks" / rule).rglob("*.tsv")), rule

    table = lines((ROOT / "data/penguins.csv").read_bytes())
    classes = ["Adelie", "Chinstrap", "Gentoo"]
    found = lines(study.oos("l1"))
    own = ["oos_row", "oos_repeat", "oos_fold", "oos_label"]
    truth, predicted = [f"oos_y_{name}" for name in classes], [f"oos_pred_{name}" for name in classes]
    assert list(found[0]) == [*table[0], *own, *truth, *predicted]
    for number, (line, row) in enumerate(zip(found, table, strict=True)):
        assert {name: line[name] for name in row} == row
        assert line["oos_row"] == str(number)
        assert [line[name] for name in truth] == [str(int(name == row["species"])) for name in classes]
        probability = np.array([float(line[name]) for name in predicted])
        assert abs(probability.sum() - 1) < 1e-5
        assert line["oos_label"] == classes[probability.argmax()]

    where = lines((study.folder / "results/folds.csv").read_bytes())
    assert list(where[0]) == ["row", "repeat", "fold"]
    assert [(line["row"], line["fold"]) for line in where] == [(x["oos_row"], x["oos_fold"]) for x in found]
    scores = lines((study.folder / "results/scores.csv").read_bytes())
    head = ["model", "repeat", "fold", "n_train", "n_test", "epochs", "rmse"]
    assert list(scores[0])[:7] == head
    assert [(line["model"], line["repeat"], line["fold"], line["epochs"]) for line in scores] == [
        ("l1", "1", "1", "5"),
        ("l1", "1", "2", "5"),
        ("baseline_linear", "1", "1", ""),
        ("baseline_linear", "1", "2", ""),
    ]
    error = np.array(
        [[float(x[p]) - float(x[t]) for p, t in zip(predicted, truth, strict=True)] for x in found]
    )
    summary = json.loads(study.read("results/summary.json"))["models"]["l1"]
    assert summary["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-6)
    by_fold = [float(line["rmse"]) for line in scores if line["model"] == "l1"]
    assert summary["rmse_fold_mean"] == pytest.approx(np.mean(by_fold), rel=1e-6)
    assert summary["rmse_fold_sd"] == pytest.approx(np.std(by_fold, ddof=1), rel=1e-6)


def test_the_page_of_a_clone_and_the_report_of_snakemake(clone):
    study, _ = clone
    report = study.snakemake("--report", str(study.folder / "run.zip"))
    assert report.code == 0, report.text
    with zipfile.ZipFile(study.folder / "run.zip") as archive:
        held = {Path(name).name for name in archive.namelist()}
        text = archive.read("run/report.html").decode()
    figures = {path.name for path in (study.folder / "results/figures").glob("*.svg")}
    assert figures and figures | {"report.html", "scores.csv", "comparison.csv", "l1.csv"} <= held
    categories = json.loads(re.search(r"categories = ({.*?});", text)[1])
    assert {name: sum(map(len, groups.values())) for name, groups in categories.items()} == {
        "Report": 1,
        "Figures": len(figures),
        "Scores": 2,
        "Predictions": 2,
    }
    for caption in (
        "One self-contained page",
        "folds: a chart of",
        "A line per cell",
        "A line per pair",
    ):
        assert caption in text, caption
    page = study.read("results/report.html")
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", page)


def test_the_picture_of_the_rules_is_what_they_are(clone):
    study, _ = clone
    drawing = SimpleNamespace(**runpy.run_path(str(DRAWING)))
    drawn = drawing.edges(DRAWING.with_name("rulegraph.svg").read_text())
    assert drawn == drawing.edges(drawing.rulegraph(study.folder)), f"draw it again: {DRAWING}"
    assert {("split_folds", "train_fold"), ("train_fold", "merge_predictions")} <= drawn


def test_the_catalogs_snakefile_is_the_same_workflow(clone):
    study, _ = clone
    again = study.snakemake("--snakefile", str(ROOT / "workflow/Snakefile"))
    assert (again.code, again.jobs) == (0, []), again.text
    assert "Using workflow specific profile" in again.text
    described = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert described["software-stack-deployment"]["conda"] and described["report"]


def test_a_study_elsewhere_with_names_as_they_come(elsewhere):
    study, ran = elsewhere
    assert ran.code == 0, ran.text
    verified = study.snakemake("verify")
    assert (verified.code, verified.errors) == (0, []), verified.text
    assert any(
        line.startswith("regfold: verified: 48 out-of-sample lines and 4 cells") for line in verified.lines
    )
    written = lines(ugly_table().encode())
    for model in MODELS:
        found = lines(study.oos(model))
        assert [{name: line[name] for name in written[0]} for line in found] == written
        assert [line["oos_row"] for line in found] == [row["the id"] for row in written]
    echoes(lines(study.oos("echo")))
    page = study.read("results/report.html")
    assert "<script>alert(1)" not in page and "{{7*7}}" in page.replace("&#123;", "{").replace("&#125;", "}")
    assert not (study.project / "results").exists()
    assert "Final, out of sample score (RMSE): " in "\n".join(ran.text.splitlines()[-10:])


@pytest.mark.heavy
def test_the_same_bytes_in_another_folder_on_more_cores(elsewhere, tmp_path):
    study, _ = elsewhere
    other = ugly_study(tmp_path / "other", study.project)
    ran = other.snakemake(*(f"results/oos/{model}.csv" for model in MODELS), cores=4)
    assert ran.code == 0, ran.text
    for model in MODELS:
        assert other.oos(model) == study.oos(model)


@pytest.mark.heavy
def test_the_order_of_lines_changes_no_prediction(elsewhere, tmp_path):
    study, _ = elsewhere
    other = ugly_study(tmp_path / "other", study.project, shuffled=1)
    ran = other.snakemake()
    assert ran.code == 0, ran.text
    for model in MODELS:
        before = {line["the id"]: line for line in lines(study.oos(model))}
        found = lines(other.oos(model))
        assert [line["the id"] for line in found] == [row["the id"] for row in lines(ugly_table(1).encode())]
        assert [line["the id"] for line in found] != list(before)
        assert all(line == before[line["the id"]] for line in found)


def test_verify_names_every_row_that_was_edited_and_ends_with_a_status(elsewhere, tmp_path):
    study = elsewhere[0].copy(tmp_path / "study")
    rows = lines(study.oos("echo"))
    text = study.read("results/oos/echo.csv")
    changed, one, other = (record_of(text, rows[i]["the id"]) for i in (4, 2, 8))
    edited = changed.replace("NA", "N/A")
    assert edited != changed
    swapped = {changed: edited, one: other, other: one}
    pattern = "|".join(map(re.escape, swapped))
    study.write("results/oos/echo.csv", re.sub(pattern, lambda found: swapped[found[0]], text))
    text = study.read("results/oos/l1.strong.csv")
    study.write("results/oos/l1.strong.csv", text.replace(record_of(text, rows[6]["the id"]), ""))

    verified = study.snakemake("verify")
    assert verified.code != 0 and "Traceback" not in verified.text
    (said,) = verified.errors
    for line in (4, 2, 8):
        assert f"id {rows[line]['the id']}: " in said
    assert f"results/oos/l1.strong.csv: id {rows[6]['the id']}, repeat 1: 0 lines; expected 1" in said
    named = set(re.findall(r"id (id \d+)", said))
    assert named == {rows[line]["the id"] for line in (4, 2, 8, 6)}


def record_of(text: str, name: str) -> str:
    """The whole record of a row, line breaks within its cells too."""
    return re.search(rf"^{name},(?:[^\n\"]|\"[^\"]*\")*\n", text, re.M)[0]


def test_a_misspelt_key_is_one_line_before_any_job(elsewhere, tmp_path):
    study = ugly_study(tmp_path / "study", elsewhere[0].project)
    settings = study.config
    settings["training"]["epoch"] = settings["training"].pop("epochs")
    study.configure(settings)
    ran = study.snakemake()
    assert ran.code != 0
    assert ran.lines == ["regfold: error: config.yaml: training.epoch: unknown key; did you mean 'epochs'?"]
    assert ran.jobs == [] and "Traceback" not in ran.text
    assert not (study.folder / "results").exists()


def test_a_key_that_stands_twice_is_one_line_before_any_job(elsewhere, tmp_path):
    study = ugly_study(tmp_path / "study", elsewhere[0].project)
    lines = study.read("config.yaml").splitlines()
    study.write("config.yaml", "\n".join([*lines, "models: {l1: {}}", ""]))
    first = lines.index("models:") + 1
    ran = study.snakemake()
    assert ran.code != 0
    assert ran.lines == [
        f"regfold: error: config.yaml, lines {first} and {len(lines) + 1}: models: is given twice; expected "
        "each key once"
    ]
    assert ran.jobs == [] and "Traceback" not in ran.text


def test_a_bad_table_is_one_line_before_any_training(elsewhere, tmp_path):
    study = ugly_study(tmp_path / "study", elsewhere[0].project)
    study.write("a table.csv", study.read("a table.csv").replace("id 7,", "id 14,", 1))
    ran = study.snakemake()
    assert ran.code != 0
    said = (
        "regfold: error: a table.csv: column 'the id' (data.id): 'id 14' names rows 1 and 2; "
        "expected an id of its own for every row"
    )
    assert ran.errors == [said] == ran.text.splitlines()[-1:]
    assert ran.jobs == ["prepare_data"] and "Traceback" not in ran.text


def run_scripts(settings: dict) -> list[dict]:
    """Prepare, split, train and merge a study in the folder of the test, by the scripts of the rules."""
    import merge_predictions
    import prepare_data
    import split_folds
    from regfold.provenance import identity
    from regfold.training import cell

    resolved, prepared = resolve(settings), Path("results/prepared")
    arrays = [f"{name}.npy" for name in ("features", "target", "weights", "digests")]
    names = ("table.parquet", "rows.parquet", "schema.json", *arrays)
    made = {name.partition(".")[0]: str(prepared / name) for name in names}
    data = {"data": resolved["data"], "split_column": resolved["split"]["column"]}
    data |= {"with_class_weight": [], "losses": {}}
    prepare_data.main(
        SimpleNamespace(params=SimpleNamespace(data=data), output=SimpleNamespace(**made), log=["p.log"])
    )
    split = {"split": resolved["split"], "missing": resolved["data"]["missing"], "metrics": []}
    split |= {"by": [], "builds": {}}
    arrays = {name: str(prepared / f"{name}.npy") for name in ("assignment", "codes")}
    output = SimpleNamespace(table="results/folds.csv", folds="results/folds", **arrays)
    shutil.rmtree("results/folds", ignore_errors=True)
    split_folds.main(
        SimpleNamespace(
            params=SimpleNamespace(split=split), input=SimpleNamespace(**made), output=output, log=["s.log"]
        )
    )
    model = resolved["models"]["echo"]
    for path in sorted(Path("results/folds").glob("*-*.json")):
        about = json.loads(path.read_text())
        todo = cell.Cell(
            "echo",
            about["repeat"],
            about["fold"],
            identity.specification(model),
            resolved["split"],
            checkpoint_seconds=30,
            on_divergence="warn",
        )
        out = Path("results/cells/echo", path.stem)
        cell.run(todo, prepared, about, Path(".regfold/state"), out, {"kind": "CPU", "name": "test"})
    cells = [str(path) for path in sorted(Path("results/cells/echo").glob("*/cell.json"))]
    merged = SimpleNamespace(
        input=SimpleNamespace(**made, cells=cells),
        output=SimpleNamespace(oos="results/oos/echo.csv"),
        log=Log(fromdict={"log": "m.log", "usage": "m.tsv"}),
    )
    merge_predictions.main(merged)
    verify.verify(resolved, Path("results"))
    return lines(Path("results/oos/echo.csv").read_bytes())


SPLITS = {
    "kfold": {"folds": 3, "repeats": 2},  # 26 rows: two folds are larger
    "stratified": {"folds": 2, "repeats": 2},
    "group": {"folds": 3, "column": "group"},
    "stratified_group": {"folds": 2, "column": "group"},
    "time": {"folds": 3, "column": "when"},
    "column": {"column": "group"},
    "file": {"file": "folds.csv"},
}


@pytest.mark.parametrize(
    ("method", "with_id"),
    [
        pytest.param(method, with_id, marks=[pytest.mark.heavy] * (with_id and method != "kfold"))
        for method in SPLITS
        for with_id in (False, True)
    ],
)
def test_each_line_has_the_prediction_of_its_own_row(tmp_path, monkeypatch, method, with_id):
    """By every split method, for lines in a random order, with ids and without; rows may stay untested."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(SCRIPTS)
    classes = method.startswith("stratified")
    draw = random.Random(method)
    table = [
        [f"r{i}", f"{draw.uniform(-3, 3):.3f}", "pqrs"[i % 4], f"2024-01-{1 + i:02}", "uv"[i // 2 % 2]]
        for i in range(26)
    ]
    draw.shuffle(table)
    names = [row[0] if with_id else str(i) for i, row in enumerate(table)]
    with Path("t.csv").open("w", newline="") as file:
        header = ["id", "x", "group", "when", "label", "y"]
        csv.writer(file).writerows([header, *([*row, row[4 if classes else 1]] for row in table)])
    own = OWN
    if classes:  # two probabilities, of which the second rises with x
        own = OWN.replace(
            "inputs[:, :1] + nothing",
            "keras.layers.Softmax()(keras.ops.concatenate([0 * inputs[:, :1], inputs[:, :1]], 1) + nothing)",
        )
    Path("own.py").write_text(own)
    with Path("folds.csv").open("w", newline="") as file:  # some rows in no fold, some in one repeat only
        where = [(name, r, 1 + (i + r) % 3) for r in (1, 2) for i, name in enumerate(names) if (i * r) % 5]
        csv.writer(file).writerows([("row", "repeat", "fold"), *where])

    found = run_scripts(
        {
            "data": {
                "path": "t.csv",
                "target": "y",
                "id": "id" if with_id else None,
                "exclude": ["id", "group", "when", "label"][with_id:],
            },
            "split": {"method": method, **SPLITS[method]},
            "training": {"epochs": 1, "optimizer": "sgd"},
            "baselines": [],
            "models": {"echo": {"network": {"build": "own.py:echo"}}},
        }
    )
    x = dict(zip(names, (float(row[1]) for row in table), strict=True))
    assert all(float(line["x"]) == x[line["oos_row"]] for line in found)
    if not classes:
        np.testing.assert_allclose(
            [float(line["oos_pred"]) for line in found], [x[r["oos_row"]] for r in found], atol=2e-6
        )
    for repeat, fold in {(line["oos_repeat"], line["oos_fold"]) for line in found if classes}:
        cell = [line for line in found if (line["oos_repeat"], line["oos_fold"]) == (repeat, fold)]
        logit = [np.log(float(line["oos_pred_v"]) / float(line["oos_pred_u"])) for line in cell]
        assert np.corrcoef(logit, [x[line["oos_row"]] for line in cell])[0, 1] > 1 - 1e-6

    tested = [(line["oos_repeat"], line["oos_row"]) for line in found]
    order = [("1", name) for name in names] + [("2", name) for name in names]
    assert tested == [place for place in order if place in set(tested)]
    assert len(set(tested)) == len(tested)
    expected = {"file": len(where), "time": 18}.get(method, 26 * SPLITS[method].get("repeats", 1))
    assert len(found) == expected
    assert {int(line["oos_fold"]) for line in found} == set(
        range(1, 1 + max(int(x["oos_fold"]) for x in found))
    )
