"""Guards that training cannot be lost: whatever is killed, whenever, the next run ends with the same bytes.

The training has what is hard to take up: a path, dropout, early stopping, a schedule. In all, trainings are
killed 20 times (8 of them with everything else), and Snakemake 10 times; REGFOLD_KILLS scales the doses.
"""

import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest

pytestmark = pytest.mark.heavy
ROOT = Path(__file__).parents[2]
DOSE = float(os.environ.get("REGFOLD_KILLS", "1"))
EPOCHS, CHECKPOINT_SECONDS = 20_000, 0.5
CONFIG = f"""
data: {{path: table.csv, target: y}}
split: {{folds: 2}}
network: {{hidden: [128, 128]}}
training:
  epochs: {EPOCHS}
  schedule: cosine
  early_stopping: {{fraction: 0.2, patience: {EPOCHS}}}
  checkpoint_seconds: {CHECKPOINT_SECONDS}
baselines: []
models:
  mixed: {{penalty: {{dropout: 0.2, kernel: {{l2: [1.0e-4, 1.0e-2]}}}}}}
"""


@pytest.fixture(scope="module")
def table() -> str:
    generator = np.random.default_rng(0)
    rows = generator.standard_normal((600, 10))
    truth = rows[:, 0] - rows[:, 1] * rows[:, 2] + 0.1 * generator.standard_normal(600)
    lines = [",".join([*(f"{x:.4f}" for x in row), f"{y:.4f}"]) for row, y in zip(rows, truth, strict=True)]
    return "\n".join([",".join([*(f"x{i}" for i in range(10)), "y"]), *lines, ""])


def born(folder: Path, table: str) -> Path:
    (folder / "table.csv").write_text(table)
    (folder / "config.yaml").write_text(CONFIG)
    return folder


@pytest.fixture
def study(tmp_path, table) -> Path:
    return born(tmp_path, table)


def start(study: Path, *arguments: str) -> subprocess.Popen:
    """The same command as always, in a process group of its own."""
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--cores", "2", *arguments]
    with (study / "terminal.log").open("a") as log:
        return subprocess.Popen(command, cwd=study, stdout=log, stderr=log, start_new_session=True)


def said(study: Path) -> str:
    return (study / "terminal.log").read_text()


def finish(study: Path) -> None:
    """Run until the end, as a user would: the same command, no flag by hand."""
    assert start(study).wait(timeout=300) == 0, said(study)[-3000:]


def digest(study: Path) -> str:
    return hashlib.sha256((study / "results/oos/mixed.csv").read_bytes()).hexdigest()


@dataclass(frozen=True)
class Undisturbed:
    """A run that nobody killed: its predictions' digest, and each fold's name of its state."""

    digest: str
    states: dict[int, str]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, table) -> Undisturbed:
    study = born(tmp_path_factory.mktemp("undisturbed"), table)
    finish(study)
    cells = [json.loads(path.read_text()) for path in study.glob("results/cells/mixed/*/cell.json")]
    return Undisturbed(digest(study), {cell["fold"]: cell["digests"]["states"][0] for cell in cells})


def wait_for(what, run: subprocess.Popen):
    """Ask until there is an answer; None where the run has ended, or a minute has gone."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and run.poll() is None:
        if found := what():
            return found
        time.sleep(0.02)
    return None


def progress(study: Path, fold: int) -> dict:
    """What a fold's training last said of itself; empty before it has."""
    with suppress(ValueError, OSError):
        return json.loads((study / f".regfold/progress/mixed/1-{fold}.json").read_text())
    return {}


def training(study: Path) -> list[int]:
    """The folds that are in the middle of their training."""
    now = {fold: progress(study, fold) for fold in (1, 2)}
    return [
        fold
        for fold, told in now.items()
        if told and told["state"] == "running" and told["seconds_per_epoch"] and alive(told["pid"])
    ]


def alive(pid: int) -> bool:
    with suppress(psutil.Error):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def scripts(run: subprocess.Popen) -> list[psutil.Process]:
    """Those that Snakemake started, which wait for the training."""
    found = []
    for child in psutil.Process(run.pid).children(recursive=True):
        with suppress(psutil.Error):
            if child.cmdline()[:1] == [sys.executable] and "train_fold.py" in " ".join(child.cmdline()):
                found.append(child)
    return found


def saved_epoch(study: Path, name: str) -> int:
    with np.load(study / ".regfold/state" / name / "state.npz") as archive:
        return json.loads(archive["header"].tobytes())["epoch"]


def test_killed_trainings(study, undisturbed):
    """Snakemake starts each again. Every other kill hits the script that waits for the training."""
    chance, killed, ages = random.Random(1), 0, []
    run = start(study, "--retries", "1000")
    while killed < 12 * DOSE and (found := wait_for(lambda: training(study), run)):
        time.sleep(chance.uniform(0, 1))
        fold = chance.choice(found)
        pid = progress(study, fold)["pid"]
        with suppress(psutil.Error):
            if killed % 2 and scripts(run):
                chance.choice(scripts(run)).kill()
            else:
                psutil.Process(pid).kill()
                name = undisturbed.states[fold]
                ages.append(time.time() - (study / ".regfold/state" / name / "state.npz").stat().st_mtime)
                epoch = saved_epoch(study, name)
                told = wait_for(lambda: (now := progress(study, fold))["pid"] != pid and now["epoch"], run)  # noqa: B023
                assert told in (epoch + 1, None), "it goes on from its last checkpoint"
            killed += 1
    assert run.wait(timeout=300) == 0, said(study)[-3000:]
    assert killed >= 12 * DOSE
    assert digest(study) == undisturbed.digest
    # What a kill cost is as old as the checkpoint: its interval, and what a busy machine adds once or twice.
    assert sorted(ages)[-3] < CHECKPOINT_SECONDS + 0.5, ages


@pytest.mark.parametrize(("everything", "kills"), [(False, 6), (True, 4)])
def test_snakemake_killed_again_and_again(everything, kills, study, undisturbed):
    """Alone, so that its trainings live on as orphans; or with all its processes, as if the machine ended."""
    chance, trained = random.Random(kills), 0
    for _ in range(round(kills * DOSE)):
        run = start(study)
        trained += bool(wait_for(lambda: training(study), run))
        time.sleep(chance.uniform(0, 1))
        (os.killpg if everything else os.kill)(run.pid, signal.SIGKILL)
        run.wait()
    finish(study)
    assert trained >= kills * DOSE / 2, "training was killed"
    assert digest(study) == undisturbed.digest
    found = re.findall(r"(\d+) epochs of 2 strengths trained, after (\d+) that were found", said(study))
    assert all(int(more) + int(before) == EPOCHS for more, before in found)
    if everything:
        assert len(found) == 2 and all(int(before) > 0 for _, before in found)
