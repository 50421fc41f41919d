"""Guards that baselines are run, rerun, verified, planned and removed as models are."""

import json

import pandas as pd
import pytest
from real_study import Study, copy_project

NAMES = ("baseline_linear", "baseline_boosting")


def fits(outcome) -> set[str]:
    return {job.removeprefix("fit_baseline ") for job in outcome.jobs if job.startswith("fit_baseline ")}


@pytest.mark.heavy
def test_baselines_are_predictors_as_the_models_are(tmp_path):
    project = copy_project(tmp_path / "project")
    config = {
        "data": {"path": "t.csv", "target": "y"},
        "split": {"method": "time", "column": "t", "folds": 3},
        "network": {"hidden": [3]},
        "training": {"epochs": 2},
        "baselines": ["linear", "boosting"],
        "models": {"m": {}},
    }
    study = Study(tmp_path / "study", project, config)
    lines = ["t,x,y", *(f"{i},{i * 7 % 23},{i * 7 % 23 + i % 5}.5" for i in range(40))]
    study.write("t.csv", "\n".join([*lines, ""]))
    first = study.snakemake()
    assert first.code == 0, first.text
    assert fits(first) == {f"{name} 1-{fold}" for name in NAMES for fold in (1, 2, 3)}
    scores = pd.read_csv(study.folder / "results/scores.csv")
    assert list(scores["model"]) == [name for name in ("m", *NAMES) for _ in range(3)]
    assert list(scores["epochs"].notna()) == [True] * 3 + [False] * 6
    summary = json.loads(study.read("results/summary.json"))
    assert set(summary["models"]) == {"m", *NAMES}
    assert len(summary["comparison"]) == 3
    page = study.read("results/report.html")
    assert "RMSE of scikit-learn&#39;s estimators on the same folds: baseline_linear" in page
    assert "Baseline baseline_linear" in first.text
    assert study.verify().startswith("verified: ")
    assert study.snakemake().jobs == []

    before = {name: study.oos(name) for name in NAMES}
    study.write("t.csv", "\n".join([*lines[:-1], "39,5,7.5", ""]))
    plan = study.plan()
    expected = {f"{name} 1-3" for name in NAMES}
    assert plan.cells("fits") == expected
    again = study.snakemake()
    assert (again.code, fits(again)) == (0, expected), again.text
    assert all(study.oos(name) != before[name] for name in NAMES)
    assert study.verify().startswith("verified: ")

    study.configure(config | {"baselines": []})
    without = study.snakemake()
    assert (without.code, fits(without), without.cells) == (0, set(), set()), without.text
    assert list(json.loads(study.read("results/summary.json"))["models"]) == ["m"]
    assert study.snakemake("prune").code == 0
    assert {path.parent.name for path in study.folder.glob("results/cells/*/*")} == {"m"}
