"""Guards what a local run does around its cells: as many at once as there are GPU slots, and progress.

The cells are a toy, so that Snakemake itself is what is tested; NVML is stubbed as in the unit tests.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from regfold.runtime import progress
from runtime.test_gpu import FAKE_NVML, THREE

SCRIPTS = Path(__file__).parents[2] / "scripts"

SNAKEFILE = f"""
import sys
sys.path.insert(0, {str(SCRIPTS)!r})
from regfold.workflow import local_jobs, run_progress

local_jobs.limit_to_gpus(workflow)
followed = run_progress.RunProgress(workflow, poll=0.1, first=0.5)


onstart:
    followed.start()


onsuccess:
    followed.end("done")


onerror:
    followed.end("failed")


rule all:
    input:
        expand("out/l1/1-{{fold}}.txt", fold=range(1, 9)),


rule train_fold:
    output:
        "out/{{model}}/{{repeat}}-{{fold}}.txt",
    resources:
        gpu=1,
    script:
        "train.py"
"""

TRAIN = f"""
import json, os, sys, time
sys.path.insert(0, {str(SCRIPTS)!r})
from regfold.runtime import gpu, progress
begun, w = time.time(), snakemake.wildcards
with progress.Reporter(w.model, int(w.repeat), int(w.fold), 10, seconds=0) as reporter, gpu.lease() as held:
    leased = time.time()
    for epoch in range(1, 11):
        reporter.update(epoch, 1 / epoch)
        time.sleep(float(os.environ.get("EPOCH", "0.05")))
    if os.environ.get("FAILS") == w.fold:
        raise SystemExit(1)
    line = {{"begun": begun, "leased": leased, "ended": time.time(), "uuid": held.device.get("uuid")}}
with open(snakemake.output[0], "w") as file:
    json.dump(line, file)
"""


@pytest.fixture
def study(tmp_path):
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "stub" / "nvidia" / "cudnn").mkdir(parents=True)
    (tmp_path / "stub" / "nvidia" / "cudnn" / "__init__.py").touch()
    (tmp_path / "stub" / "pynvml.py").write_text(FAKE_NVML)
    return tmp_path


def snakemake(study, *arguments, gpus=12, **more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CUDA_", "REGFOLD_"))}
    fake = {"PYTHONPATH": str(study / "stub"), "FAKE_GPUS": json.dumps(gpus)}
    environment = kept | fake | {"REGFOLD_LEASES": str(study / "leases")} | more
    command = [sys.executable, "-m", "snakemake", *arguments]
    return subprocess.run(command, cwd=study, env=environment, capture_output=True, text=True, timeout=300)


def most_at_once(times: list[dict]) -> int:
    """The largest number of cells between their begin and their end at one moment."""
    return max(sum(a["begun"] <= b["begun"] < a["ended"] for a in times) for b in times)


def cells(study) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted((study / "out/l1").iterdir())]


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("arguments", "more", "slots"),
    [
        (["--cores", "16"], {}, 3),
        (["--cores", "16", "--resources", "gpu=2"], {}, 2),
        (["--cores", "16"], {"REGFOLD_JOBS_PER_GPU": "2"}, 6),
    ],
)
def test_as_many_cells_at_once_as_gpu_slots_and_none_waits_in_the_lease(study, arguments, more, slots):
    result = snakemake(study, *arguments, gpus=THREE, EPOCH="0.15", **more)
    assert result.returncode == 0, result.stderr
    assert most_at_once(cells(study)) <= slots
    assert len({cell["uuid"] for cell in cells(study)}) == min(slots, 3)
    assert "waiting for a GPU" not in result.stdout + result.stderr


@pytest.mark.heavy
def test_a_cluster_is_not_held_to_the_gpus_of_the_machine_that_submits(study):
    executor = ["--executor", "cluster-generic", "--cluster-generic-submit-cmd", "bash", "--jobs", "4"]
    result = snakemake(study, *executor, "out/l1/1-1.txt", gpus=THREE)
    assert result.returncode == 0, result.stderr
    assert "Provided remote nodes: 4" in result.stderr
    assert "Provided resources" not in result.stderr


def test_the_terminal_says_where_the_run_is_and_the_files_stay(study):
    result = snakemake(study, "--cores", "2", EPOCH="0.2")
    assert result.returncode == 0, result.stderr
    assert "of 8 cells done, " in result.stderr
    assert "epoch " in result.stderr and "loss " in result.stderr
    run = progress.read(study / progress.FOLDER / "run.json")
    assert (run["state"], len(run["cells"]), run["todo"]) == ("done", 8, [])
    states = progress.read_all(study / progress.FOLDER)
    assert [(state["state"], state["epoch"]) for state in states] == [("done", 10)] * 8


def test_a_failure_is_seen_and_a_quiet_run_is_quiet(study):
    result = snakemake(study, "--cores", "8", "--keep-going", "--quiet", "progress", FAILS="3")
    assert result.returncode == 1
    assert "cells done" not in result.stderr
    run = progress.read(study / progress.FOLDER / "run.json")
    assert (run["state"], run["todo"]) == ("failed", [["l1", 1, 3]])
    failed = [
        state["fold"] for state in progress.read_all(study / progress.FOLDER) if state["state"] == "failed"
    ]
    assert failed == [3]


def test_a_dry_run_writes_nothing(study):
    assert snakemake(study, "--cores", "2", "--dry-run", gpus=THREE).returncode == 0
    assert not (study / progress.FOLDER).exists()
    assert not (study / "leases").exists()
