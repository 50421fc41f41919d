"""Guards `training.seeds` in real runs: another number trains what is new, and the results say so."""

import pytest
import regfold
from real_study import Study, copy_project

LINES = ["x,z,y", *(f"{i},{i * 5 % 11},{i * 7 % 23}.5" for i in range(36)), ""]


def config(n_seeds: int) -> dict:
    return {
        "data": {"path": "t.csv", "target": "y"},
        "split": {"folds": 3},
        "network": {"hidden": [3]},
        "training": {"epochs": 2, "seeds": n_seeds},
        "report": {"importance": 1},
        "baselines": [],
        "models": {"m": {}},
    }


@pytest.mark.heavy
def test_more_seeds_train_what_is_new_and_fewer_train_nothing(tmp_path):
    study = Study(tmp_path / "study", copy_project(tmp_path / "project"), config(1))
    study.write("t.csv", "\n".join(LINES))
    assert study.snakemake().code == 0
    single = study.oos("m")

    study.configure(config(3))
    several = study.snakemake()
    assert (several.code, several.cells) == (0, {"m 1-1", "m 1-2", "m 1-3"}), several.text
    assert several.text.count("4 epochs with 3 seeds trained, after 2 that were found") == 3
    found = regfold.Study(study.folder)
    result = found.summary["models"]["m"]
    assert result["seeds"]["n"] == 3 and result["rmse"] <= result["seeds"]["mean"]
    assert len(found.networks("m")) == 3, "one network a fold, which gives the mean"
    assert "The split or the seed?" in (study.folder / "results/report.html").read_text(encoding="utf-8")
    assert study.verify().startswith("verified: ")

    study.configure(config(1))
    back = study.snakemake()
    assert back.code == 0 and back.text.count("0 epochs to train") == 3, back.text
    assert study.oos("m") == single and "seeds" not in regfold.Study(study.folder).summary["models"]["m"]
