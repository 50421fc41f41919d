"""Guards a path in real runs: another choice trains nothing, and what a path leaves behind is not stale."""

import pandas as pd
import pytest
import regfold
from real_study import Study, copy_project

LINES = ["x,z,y", *(f"{i},{i * 5 % 11},{i * 7 % 23}.5" for i in range(36))]


def config(penalty: dict, **model) -> dict:
    return {
        "data": {"path": "t.csv", "target": "y"},
        "split": {"folds": 3},
        "network": {"hidden": [3]},
        "training": {"epochs": 2},
        "report": {"importance": 0},
        "baselines": [],
        "models": {"m": {"penalty": penalty} | model},
    }


@pytest.mark.heavy
def test_a_path_from_the_first_run_to_the_last(tmp_path):
    strengths = {"kernel": {"l2": [1.0, 0.0, 0.1]}}
    study = Study(tmp_path / "study", copy_project(tmp_path / "project"), config(strengths))
    study.write("t.csv", "\n".join([*LINES, ""]))
    first = study.snakemake()
    assert first.code == 0 and "merge_path m" in first.jobs, first.text
    table = regfold.Study(study.folder).path("m")
    assert table["strength"].tolist() == [0.0, 0.1, 1.0] and table["is_min"].sum() == 1
    lines = pd.read_csv(study.folder / "results/oos/m.csv")
    assert set(lines["oos_strength"]) == set(table["strength"][table["is_min"]])
    assert len(pd.read_parquet(study.folder / "results/oos_path/m.parquet")) == 3 * 36
    assert "lowest score of 3 strengths" in first.text
    assert study.verify().startswith("verified: ")

    study.configure(config(strengths, select="one_se"))
    chosen = study.snakemake()
    assert (chosen.code, chosen.cells) == (0, set()), chosen.text
    assert "merge_path m" in chosen.jobs
    lines = pd.read_csv(study.folder / "results/oos/m.csv")
    assert set(lines["oos_strength"]) == set(table["strength"][table["is_one_se"]])
    assert study.verify().startswith("verified: ")

    study.configure(config(strengths, select="one_se") | {"metrics": ["mae"]})
    by_mae = study.snakemake()
    assert (by_mae.code, by_mae.cells) == (0, set()), by_mae.text
    assert "Final, out of sample score (MAE)" in by_mae.text
    assert list(regfold.Study(study.folder).path("m"))[-3:] == ["mae", "mae_fold_mean", "mae_fold_se"]
    assert study.verify().startswith("verified: ")

    study.configure(config(strengths, select="nested") | {"metrics": ["mae"]})
    assert study.snakemake().cells == {"m 1-1", "m 1-2", "m 1-3"}
    study.configure(config(strengths, select="nested") | {"metrics": ["r2"]})
    by_r2 = study.snakemake()
    assert (by_r2.code, by_r2.cells) == (0, {"m 1-1", "m 1-2", "m 1-3"}), by_r2.text
    assert by_r2.text.count("0 epochs to train") == 3, "another headline trains nothing"
    assert study.verify().startswith("verified: ")

    study.configure(config({"kernel": {"l2": 0.1}}))
    single = study.snakemake()
    assert (single.code, single.cells) == (0, {"m 1-1", "m 1-2", "m 1-3"}), single.text
    assert "merge_predictions m" in single.jobs and b"oos_strength" not in study.oos("m")
    assert study.verify().startswith("verified: ")

    study.configure(config(strengths))
    back = study.snakemake()
    assert back.code == 0 and "merge_path m" in back.jobs, back.text
    assert regfold.Study(study.folder).path("m").equals(table)
