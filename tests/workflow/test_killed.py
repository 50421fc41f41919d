"""Guards that training cannot be lost: whatever is killed, whenever, the next run ends with the same bytes.

REGFOLD_KILLS says how many kills of each kind (1). The training has what is hard to take up: dropout, early
stopping, a schedule.
"""

import hashlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("REGFOLD_KILLS", "1"))
CONFIG = """
data: {path: table.csv, target: y}
split: {folds: 2}
network: {hidden: [32, 16]}
training:
  epochs: 4000
  schedule: cosine
  early_stopping: {fraction: 0.2, patience: 4000}
  checkpoint_seconds: 0.5
models:
  mixed: {penalty: {dropout: 0.2, kernel: {l2: 1.0e-4}}}
"""


@pytest.fixture(scope="module")
def table() -> str:
    generator = np.random.default_rng(0)
    rows = generator.standard_normal((600, 10))
    truth = rows[:, 0] - rows[:, 1] * rows[:, 2] + 0.1 * generator.standard_normal(600)
    lines = [",".join([*(f"{x:.4f}" for x in row), f"{y:.4f}"]) for row, y in zip(rows, truth, strict=True)]
    return "\n".join([",".join([*(f"x{i}" for i in range(10)), "y"]), *lines, ""])


@pytest.fixture
def study(tmp_path, table) -> Path:
    (tmp_path / "table.csv").write_text(table)
    (tmp_path / "config.yaml").write_text(CONFIG)
    return tmp_path


def start(study: Path) -> subprocess.Popen:
    """The same command as always, in a process group of its own."""
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--cores", "2"]
    log = (study / "terminal.log").open("a")
    return subprocess.Popen(command, cwd=study, stdout=log, stderr=log, start_new_session=True)


def finish(study: Path) -> None:
    """Run until the end, as a user would: the same command, no flag by hand."""
    run = start(study)
    assert run.wait(timeout=300) == 0, (study / "terminal.log").read_text()[-3000:]


def digest(study: Path) -> str:
    return hashlib.sha256((study / "results/oos/mixed.csv").read_bytes()).hexdigest()


def training_processes(run: subprocess.Popen) -> list[psutil.Process]:
    try:
        children = psutil.Process(run.pid).children(recursive=True)
        return [child for child in children if "train_fold.py" in " ".join(child.cmdline())]
    except psutil.Error:
        return []


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, table) -> str:
    study = tmp_path_factory.mktemp("undisturbed")
    (study / "table.csv").write_text(table)
    (study / "config.yaml").write_text(CONFIG)
    finish(study)
    return digest(study)


def kill_training(run: subprocess.Popen) -> None:
    for process in training_processes(run):
        process.kill()
    assert run.wait(timeout=120) != 0


def kill_snakemake(run: subprocess.Popen) -> None:
    """Its training processes live on as orphans."""
    run.kill()
    run.wait()


def kill_everything(run: subprocess.Popen) -> None:
    """As when the machine ends."""
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()


@pytest.mark.parametrize("kill", [kill_training, kill_snakemake])
def test_a_killed_run_ends_with_the_bytes_of_an_undisturbed_one(kill, study, undisturbed):
    chance, trained = random.Random(kill.__name__), 0
    for _ in range(KILLS):
        run = start(study)
        deadline = time.monotonic() + 60
        while not training_processes(run) and run.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(chance.uniform(0.5, 9))
        if run.poll() is not None:
            break
        trained += bool(training_processes(run))
        kill(run)
    finish(study)
    assert trained, "no training was killed"
    assert digest(study) == undisturbed


def test_after_the_end_of_the_machine_training_goes_on_from_its_checkpoint(study, undisturbed):
    run = start(study)
    state = study / ".regfold" / "state"
    deadline = time.monotonic() + 60
    while not list(state.glob("*/state.npz")) and time.monotonic() < deadline:
        time.sleep(0.05)
    kill_everything(run)
    finish(study)
    found = re.findall(
        r"(\d+) epochs trained, after (\d+) that were found", (study / "terminal.log").read_text()
    )
    assert found
    assert all(int(trained) + int(before) == 4000 and int(before) > 0 for trained, before in found)
    assert digest(study) == undisturbed
