"""Guards that workers serve a group of a cluster's jobs: no step of a job is started for each of them."""

import json
import os

import pytest
from workflow.real_study import ROOT, Study

CONFIG = {
    "data": {"path": "sklearn:iris", "target": "target"},
    "split": {"folds": 3},
    "training": {"epochs": 2},
    "models": {"plain": {}},
    "baselines": [],
}


@pytest.mark.heavy
def test_the_process_of_a_group_runs_its_cells_in_workers(tmp_path):
    study = Study(tmp_path / "study", ROOT, CONFIG)
    assert study.snakemake("results/folds.csv").code == 0
    study.write("srun", "#!/bin/sh\nexit 1\n")
    (study.folder / "srun").chmod(0o755)
    # As Slurm's plugin starts it in the cluster's job; its own steps would need srun.
    group = ["--executor", "slurm-jobstep", "--jobs", "1", "--mode", "remote", "--local-groupid", "g"]
    cells = [f"train_fold:model=plain,repeat=1,fold={fold}" for fold in (1, 2, 3)]
    path = f"{study.folder}:{os.environ['PATH']}"
    said = study.snakemake(
        "--target-jobs", *cells, *group, "--allowed-rules", "train_fold", cores=2, PATH=path
    )
    assert said.code == 0, said.text
    assert {f"plain 1-{fold}" for fold in (1, 2, 3)} == study.cells()
    ends = [json.loads(study.read(f"results/cells/plain/1-{fold}/cell.json"))["epochs"] for fold in (1, 2, 3)]
    assert ends == [2, 2, 2]
    assert (study.folder / ".regfold/training-workers.log").is_file()
