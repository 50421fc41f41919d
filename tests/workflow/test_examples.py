"""Guards that the studies under examples/ run, and what of a path runs again after a change."""

import shutil

import pytest
from real_study import ROOT, Study, copy_project

STUDIES = sorted(path.parent.name for path in ROOT.glob("examples/*/config.yaml"))


def born(folder, project, name: str, epochs: int, **more) -> Study:
    """A copy of an example, with fewer epochs and folds."""
    shutil.copytree(ROOT / "examples" / name, folder, ignore=shutil.ignore_patterns("results", ".*"))
    study = Study(folder, project)
    config = study.config
    config.setdefault("training", {})["epochs"] = epochs
    study.configure(config | {"split": {"folds": 2}} | more)
    return study


@pytest.mark.heavy
@pytest.mark.parametrize("name", STUDIES)
def test_an_example_runs(name, tmp_path):
    once = {"importance": 1}
    study = born(tmp_path / "study", copy_project(tmp_path / "project"), name, epochs=2, report=once)
    outcome = study.snakemake()
    assert outcome.code == 0, outcome.text
    assert study.verify().startswith("verified: ")
    for model in study.config["models"]:
        assert (study.folder / "results" / "oos" / f"{model}.csv").is_file()
    assert (ROOT / "examples" / name / "README.md").is_file()


@pytest.mark.heavy
def test_a_path_is_rerun_where_it_changed_and_has_the_same_bytes_on_one_core(tmp_path):
    """A strength more, on two cores, against a fresh run on one."""
    project = copy_project(tmp_path / "project")
    models = {"l2": {"penalty": {"kernel": {"l2": [0.0, 0.01, 1.0]}}, "select": "min"}}
    study = born(tmp_path / "study", project, "diabetes", epochs=4, models=models, baselines=[])
    first = study.snakemake(cores=2)
    assert (first.code, first.cells) == (0, {"l2 1-1", "l2 1-2"}), first.text

    models["l2"]["penalty"]["kernel"]["l2"] = [0.0, 0.01, 1.0, 3.0]
    study.configure(study.config | {"models": models})
    plan = study.plan()
    assert plan.cells("trains") == {"l2 1-1", "l2 1-2"}
    assert "at most about" in plan.text
    longer = study.snakemake(cores=2)
    assert (longer.code, longer.cells) == (0, {"l2 1-1", "l2 1-2"}), longer.text

    fresh = born(tmp_path / "fresh", project, "diabetes", epochs=4, models=models, baselines=[])
    assert fresh.snakemake(cores=1).code == 0
    for name in ("oos/l2.csv", "path/l2.csv", "scores.csv", "summary.json"):
        assert study.read(f"results/{name}") == fresh.read(f"results/{name}"), name
