"""Guards that a run does exactly what an edit calls for: which cells train, which predict, and no others.

Real runs of tiny studies. Before each, `plan` says what will happen to each cell, and before some a dry run
lists the jobs; after it, the jobs that ran and the epochs that cell.json records are compared with both,
`verify` holds the results against the table, and a dry run finds nothing left to do.
"""

import csv
import io
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from workflow.real_study import Study, copy_project

ALL = {"a 1-1", "a 1-2", "a 1-3"}
CHEAP = [
    "measure_importance a",
    "merge_predictions a",
    "prepare_data",
    "render_report",
    "save_model a",
    "score_predictions",
    "split_folds",
]
COLUMNS = ("id", "x", "kind", "note", "part", "y")


def rows(n: int, first: int = 0) -> list[dict]:
    draw = random.Random(first)
    return [
        {
            "id": f"r{i:03}",
            "x": f"{draw.random():.3f}",
            "kind": "uv"[i % 2],
            "note": f"n{i}",
            "part": "pqr"[i % 3],
            "y": f"{draw.random():.3f}",
        }
        for i in range(first, first + n)
    ]


def write_table(study: Study, table: list[dict], name: str = "t.csv") -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    study.write(name, text.getvalue())


def read_table(study: Study, name: str = "t.csv") -> list[dict]:
    return list(csv.DictReader(io.StringIO(study.read(name))))


def configure(study: Study, **changes) -> None:
    """Change keys of config.yaml, named as in `models.a.penalty` with `__` for the dots."""
    settings = study.config
    for name, value in changes.items():
        *parents, key = name.split("__")
        section = settings
        for parent in parents:
            section = section[parent]
        section[key] = value
    study.configure(settings)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return copy_project(tmp_path_factory.mktemp("reruns") / "project")


def born(folder: Path, project: Path, split: dict, models: dict) -> Study:
    settings = {
        "data": {"path": "t.csv", "target": "y", "id": "id", "exclude": ["note"]},
        "split": split,
        "network": {"hidden": [4]},
        "training": {"epochs": 3, "batch_size": 8},
        "baselines": [],
        "models": models,
    }
    study = Study(folder, project, settings)
    write_table(study, rows(36))
    first = study.snakemake()
    assert first.code == 0, first.text
    assert first.cells == study.cells()
    return study


@pytest.fixture(scope="module")
def by_column(tmp_path_factory, project):
    """One model, three folds named by a column."""
    split = {"method": "column", "column": "part"}
    model = {"penalty": {"kernel": {"l1": 1e-4, "l2": 1e-3}}}
    return born(tmp_path_factory.mktemp("reruns") / "by_column", project, split, {"a": model})


@pytest.fixture(scope="module")
def by_kfold(tmp_path_factory, project):
    """One model, two folds drawn at random."""
    return born(tmp_path_factory.mktemp("reruns") / "by_kfold", project, {"folds": 2}, {"a": {}})


def step(study: Study, trains=(), predicts=(), why=None, others=None, asks=False, **environment) -> None:
    """Plan, run, verify, dry run: each must say the same.

    Args:
        trains, predicts: the cells whose job trains, or predicts again without training.
        why: what `plan` is to give as the reason, for some cells.
        others: the jobs besides those of cells.
        asks: whether Snakemake runs the target `plan`, and a dry run before the run. Needed where the study's
            code or libraries are not those of this process, which otherwise makes the plan.
    """
    trains, predicts = set(trains), set(predicts)
    dry = None
    if asks:
        with ThreadPoolExecutor() as pool:
            planned = pool.submit(study.plan, **environment)
            dry = study.snakemake("--dry-run", **environment)
            plan = planned.result()
    else:
        plan = study.plan_here()
    ran = study.snakemake(**environment)
    assert ran.code == 0, ran.text
    with ThreadPoolExecutor() as pool:
        following = pool.submit(study.snakemake, "--dry-run", **environment)
        study.verify()
        after = following.result()

    assert ran.cells == trains | predicts
    assert {cell for cell in ran.cells if study.cell(cell)["trained_epochs"]} == trains
    assert plan.cells("trains") | plan.cells("resumes") == trains, plan.text
    assert plan.cells("predicts again") == predicts, plan.text
    assert plan.cells("kept") == study.cells() - trains - predicts, plan.text
    for cell, reason in (why or {}).items():
        assert plan.why[cell] == reason, plan.text
    for cell in predicts:
        sentence = ran.text.split(f"regfold: {cell.split()[0]}, repeat {cell[-3]}, fold {cell[-1]}: ")[1]
        assert sentence.startswith("0 epochs to train: 3 epochs were found")
    rest = [job for job in ran.jobs if not job.startswith("train_fold ")]
    if others is not None:
        assert rest == sorted(others)
    # Behind a checkpoint that is still to run, Snakemake cannot list the cells; see below. `plan` can.
    if dry:
        assert dry.jobs == (rest if "split_folds" in dry.jobs else ran.jobs), dry.text
    assert after.jobs == [], after.text


@pytest.mark.heavy
def test_age_layout_and_comments_mean_nothing(by_column, project, tmp_path):
    project = shutil.copytree(project, tmp_path / "project")
    study = by_column.copy(tmp_path / "study", project)
    before = study.config
    lines = ["# Another comment", *reversed([f"{key}: {value!r}" for key, value in before.items()])]
    study.write("config.yaml", "\n".join(lines).replace("0.0001", "1e-4") + "\n")
    assert study.config == before | {"models": {"a": {"penalty": {"kernel": {"l1": "1e-4", "l2": 0.001}}}}}
    for name in (
        "train_fold.py",
        "plan.py",
        "regfold/report/page.py",
        "regfold/training/state.py",
        "regfold/results/metrics.py",
    ):
        path = project / "scripts" / name
        path.write_text("# A comment\n" + path.read_text().replace('"""', '"""A word more. ', 1))
    # From results to sources: each file is older than all that it was made of.
    files = [
        *sorted(study.folder.glob("results/**/*"), key=lambda path: "prepared" in str(path)),
        *study.folder.glob("*.*"),
        *project.glob("**/*"),
    ]
    for second, path in enumerate(files):
        os.utime(path, (time.time() + second, time.time() + second))
    step(study, others=[], asks=True)


@pytest.mark.heavy
def test_what_is_no_part_of_a_network_trains_none(by_column, project, tmp_path):
    """An excluded column's cell, the table's path, the code of metrics and report."""
    project = shutil.copytree(project, tmp_path / "project")
    study = by_column.copy(tmp_path / "study", project)
    table = read_table(study)
    table[4]["note"] = "another note"
    write_table(study, table, "renamed.csv")
    (study.folder / "t.csv").unlink()
    configure(study, data__path="renamed.csv")
    for name in ("results/metrics", "report/page"):
        with (project / f"scripts/regfold/{name}.py").open("a") as file:
            file.write("\nADDED = 1\n")
    step(study, others=CHEAP, asks=True)
    assert b"another note" in study.oos("a")


@pytest.mark.parametrize("age", ["now", "old"])
def test_one_cell_of_one_row(by_column, tmp_path, age):
    """All folds that learn from the row train, and its own predicts, though the new table's file be old."""
    study = by_column.copy(tmp_path / "study")
    table = read_table(study)
    table[7]["x"] = "0.5"  # of part q, tested in fold 2
    write_table(study, table)
    if age == "old":
        os.utime(study.folder / "t.csv", (10**9, 10**9))
        assert study.snakemake("--dry-run").jobs == CHEAP
        return
    learns, tests = "training rows changed: 1 row", "held-out rows changed: 1 row"
    why = {"a 1-1": learns, "a 1-3": learns, "a 1-2": tests}
    step(study, {"a 1-1", "a 1-3"}, {"a 1-2"}, why, CHEAP, asks=True)


@pytest.mark.heavy
def test_a_level_of_one_held_out_row_moves_no_other_level(project, tmp_path):
    """Levels 2 and 10, of which a text in a held-out row once made 10 and 2: networks met swapped columns."""
    study = Study(
        tmp_path / "study",
        project,
        {
            "data": {
                "path": "t.csv",
                "target": "y",
                "id": "id",
                "exclude": ["note"],
                "categorical": ["kind"],
            },
            "split": {"method": "column", "column": "part"},
            "network": {"hidden": [4]},
            "training": {"epochs": 3, "batch_size": 8},
            "baselines": [],
            "models": {"a": {}},
        },
    )
    table = rows(36)
    for row in table:
        row["kind"] = "2" if row["kind"] == "u" else "10"
    write_table(study, table)
    assert study.snakemake().code == 0
    table[7]["kind"] = "x"  # of part q, tested in fold 2
    write_table(study, table)
    step(study, {"a 1-1", "a 1-3"}, {"a 1-2"})
    fresh = Study(tmp_path / "fresh", project, study.config)
    write_table(fresh, table)
    assert fresh.snakemake().code == 0
    assert study.oos("a") == fresh.oos("a")


@pytest.mark.heavy
def test_a_row_moves_to_another_fold(by_column, tmp_path):
    study = by_column.copy(tmp_path / "study")
    table = read_table(study)
    table[7]["part"] = "p"
    write_table(study, table)
    why = {
        "a 1-1": "training rows changed: 1 row removed; held-out rows changed: 1 row added",
        "a 1-2": "training rows changed: 1 row added; held-out rows changed: 1 row removed",
    }
    step(study, {"a 1-1", "a 1-2"}, (), why, CHEAP)


@pytest.mark.heavy
def test_what_the_report_looks_at_trains_and_merges_nothing(by_column, tmp_path):
    study = by_column.copy(tmp_path / "study")
    configure(study, report={"by": ["note", "x"]})
    ran = study.snakemake()  # a dry run lists the merge too, which stands behind the checkpoint
    assert ran.code == 0, ran.text
    assert ran.jobs == ["render_report", "score_predictions", "split_folds"]
    assert {line.split(",")[1] for line in study.read("results/scores_by.csv").splitlines()[1:]} == {
        "note",
        "x",
    }


@pytest.mark.heavy
def test_rows_are_appended_and_lines_shuffled(by_column, tmp_path):
    study = by_column.copy(tmp_path / "study")
    table = read_table(study)
    random.Random(1).shuffle(table)
    write_table(study, table)
    before = {line["id"]: line for line in csv.DictReader(io.StringIO(by_column.oos("a").decode()))}
    step(study, others=CHEAP)
    after = list(csv.DictReader(io.StringIO(study.oos("a").decode())))
    assert [line["id"] for line in after] == [row["id"] for row in table]
    assert all(line == before[line["id"]] for line in after)

    write_table(study, table + rows(100, first=36))
    step(study, ALL, (), dict.fromkeys(ALL - {"a 1-1"}, APPENDED), CHEAP)


APPENDED = "training rows changed: 67 rows added; held-out rows changed: 33 rows added"


@pytest.mark.heavy
def test_a_model_comes_and_goes(by_column, tmp_path):
    study = by_column.copy(tmp_path / "study")
    configure(study, models__b={"penalty": {"dropout": 0.5}})
    new = {f"b 1-{fold}" for fold in (1, 2, 3)}
    others = [
        "measure_importance b",
        "merge_predictions b",
        "render_report",
        "save_model b",
        "score_predictions",
    ]
    step(study, new, (), dict.fromkeys(new, "no results yet"), others)
    models = study.config["models"]
    configure(study, models={"b": models["b"]})
    step(study, others=["render_report", "score_predictions"])


@pytest.mark.heavy
def test_settings_of_some_models(by_kfold, project, tmp_path):
    """Each model whose settings changed trains, and says what changed; the others are kept."""
    kernel = {"l1": 1e-4, "l2": 1e-3}
    models = {
        "swapped": {"penalty": {"kernel": kernel}},
        "dropout": {"penalty": {"dropout": 0.1}},
        "batch": {},
        "epochs": {},
        "seed": {},
        "same": {"penalty": {"activity": {"l1": 1e-4}}},
    }
    study = born(tmp_path / "study", project, {"folds": 2}, models)
    configure(
        study,
        models__swapped__penalty__kernel={"l1": 1e-3, "l2": 1e-4},
        models__dropout__penalty__dropout=0.2,
        models__batch__training={"batch_size": 16},
        models__epochs__training={"epochs": 5},
        models__seed__training={"seed": 7},
    )
    said = {
        "swapped": "penalty.kernel.l1 0.0001 -> 0.001; settings changed: penalty.kernel.l2 0.001 -> 0.0001",
        "dropout": "penalty.dropout 0.1 -> 0.2",
        "batch": "training.batch_size 8 -> 16",
        "epochs": "training.epochs 3 -> 5",
        "seed": "training.seed 42 -> 7",
    }
    why = {
        f"{model} 1-{fold}": f"settings changed: {text}" for model, text in said.items() for fold in (1, 2)
    }
    merges = [
        f"{rule} {model}"
        for model in said
        for rule in ("merge_predictions", "measure_importance", "save_model")
    ]
    step(study, why, (), why, [*merges, "render_report", "score_predictions"])
    assert study.cell("epochs 1-1")["trained_epochs"] == 5


@pytest.mark.heavy
def test_repeats_are_added(by_kfold, tmp_path):
    study = by_kfold.copy(tmp_path / "study")
    configure(study, split__repeats=2)
    others = [job for job in CHEAP if job != "prepare_data"]
    step(study, {"a 2-1", "a 2-2"}, (), {"a 2-1": "no results yet"}, others)


@pytest.mark.heavy
def test_folds_change_and_change_back(by_kfold, tmp_path):
    study = by_kfold.copy(tmp_path / "study")
    configure(study, split__folds=3)
    step(study, ALL)
    configure(study, split__folds=2)
    step(study, (), {"a 1-1", "a 1-2"})
    assert study.oos("a") == by_kfold.oos("a")


@pytest.mark.heavy
def test_code_that_trains_and_library_versions(by_column, project, tmp_path):
    project = shutil.copytree(project, tmp_path / "project")
    study = by_column.copy(tmp_path / "study", project)
    with (project / "scripts/regfold/training/state.py").open("a") as file:
        file.write("\nADDED = 1\n")
    others = [job for job in CHEAP if job not in ("prepare_data", "split_folds")]
    step(study, ALL, (), dict.fromkeys(ALL, "the code that trains changed"), others, asks=True)

    library = tmp_path / "installed/keras-99.1.dist-info/METADATA"
    library.parent.mkdir(parents=True)
    library.write_text("Metadata-Version: 2.1\nName: keras\nVersion: 99.1\n")
    before = study.cell("a 1-1")["versions"]["keras"]
    reason = dict.fromkeys(ALL, f"keras {before} -> 99.1")
    step(study, ALL, (), reason, others, asks=True, PYTHONPATH=str(tmp_path / "installed"))


@pytest.mark.heavy
def test_results_are_lost_or_damaged(by_column, tmp_path):
    study = by_column.copy(tmp_path / "study")
    others = [job for job in CHEAP if job not in ("prepare_data", "split_folds")]
    shutil.rmtree(study.folder / ".regfold/state" / study.cell("a 1-2")["digests"]["states"][0])
    for fold in (1, 2):
        shutil.rmtree(study.folder / f"results/cells/a/1-{fold}")
    step(study, {"a 1-2"}, {"a 1-1"}, {"a 1-1": "no results yet", "a 1-2": "no results yet"}, others)
    assert study.oos("a") == by_column.oos("a")

    damaged = ("1-1/predictions.npz", "1-3/model.keras")
    for name in damaged:
        path = study.folder / "results/cells/a" / name
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    verified = study.snakemake("verify")
    assert verified.code != 0
    said = [f"results/cells/a/{name}: damaged or missing; the next run makes it again" for name in damaged]
    assert verified.errors == [f"regfold: error: {'; '.join(said)}"]
    step(study, (), {"a 1-1", "a 1-3"}, {"a 1-3": "model.keras missing"}, others)
    assert study.oos("a") == by_column.oos("a")


@pytest.mark.heavy
def test_a_copy_elsewhere_with_and_without_the_records_of_snakemake(by_column, tmp_path):
    step(by_column.copy(tmp_path / "a folder" / "study"), others=[])
    study = Study(tmp_path / "other", by_column.project, by_column.config)
    for name in ("t.csv", "results", ".regfold"):  # `cp -r`: every file is new, in no particular order
        subprocess.run(["cp", "-r", by_column.folder / name, study.folder / name], check=True)
    step(study, others=CHEAP)
    assert study.oos("a") == by_column.oos("a")
    shutil.rmtree(study.folder / ".snakemake")
    configure(study, models__a__penalty__kernel={"l1": 1e-4, "l2": 1e-2})
    reason = dict.fromkeys(ALL, "settings changed: penalty.kernel.l2 0.001 -> 0.01")
    step(study, ALL, (), reason, CHEAP)


@pytest.mark.heavy
def test_a_killed_training_goes_on(by_kfold, tmp_path):
    """Ctrl-C amid a training: `plan` says from which epoch it goes on, and it does."""
    epochs = 20_000
    study = by_kfold.copy(tmp_path / "study")
    configure(study, models__a={"training": {"epochs": epochs, "checkpoint_seconds": 0.5}})
    command = [sys.executable, "-m", "snakemake", "--snakefile", study.project / "Snakefile", "--cores", "1"]
    run = subprocess.Popen(
        command,
        cwd=study.folder,
        start_new_session=True,
        # A shell that runs the tests in the background has Ctrl-C ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    known = set(study.folder.glob(".regfold/state/*/state.npz"))
    while set(study.folder.glob(".regfold/state/*/state.npz")) == known:
        assert run.poll() is None, run.stdout.read()
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGINT)
    run.communicate(timeout=60)
    plan = study.plan()
    assert len(plan.cells("resumes")) == len(plan.cells("trains")) == 1, plan.text
    (resumed,) = plan.cells("resumes")
    epoch = int(re.fullmatch(r"resumes from epoch (\d+)", plan.what[resumed])[1])
    assert 0 < epoch < epochs
    assert re.search(r"regfold: at most about .* on 1 core, as earlier cells took", plan.text)
    (waiting,) = plan.cells("trains")
    changed = f"settings changed: training.epochs 3 -> {epochs}"
    step(study, {"a 1-1", "a 1-2"}, (), {resumed: "no results yet", waiting: changed})
    about = study.cell(resumed)
    assert (about["resumed_from"], about["trained_epochs"]) == (epoch, epochs - epoch)


@pytest.mark.heavy
def test_behind_a_checkpoint_a_dry_run_of_snakemake_lists_no_cells(tmp_path):
    """The limit of Snakemake that `plan` makes up for, in an example that has nothing of regfold."""
    (tmp_path / "Snakefile").write_text(
        "checkpoint split:\n"
        "    input: 'table'\n"
        "    output: directory('folds')\n"
        "    shell: 'mkdir folds; for fold in $(cat {input}); do echo 1 > folds/$fold; done'\n"
        "rule train:\n"
        "    input: 'folds/{fold}'\n"
        "    output: 'cells/{fold}'\n"
        "    shell: 'cp {input} {output}'\n"
        "def cells(wildcards):\n"
        "    from pathlib import Path\n"
        "    folds = Path(checkpoints.split.get().output[0])\n"
        "    return [f'cells/{fold.name}' for fold in folds.iterdir()]\n"
        "rule all:\n"
        "    default_target: True\n"
        "    input: cells\n"
    )
    study = Study(tmp_path, tmp_path)
    study.write("table", "1 2")
    assert study.snakemake().code == 0
    study.write("table", "1 2 3")
    assert study.snakemake("--dry-run").jobs == ["split"]
    assert study.snakemake().jobs == ["split", "train 3"]
