"""Guards Snakemake's lock: a killed run's is removed, and never that of a run that may be alive."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from regfold.runtime import process, progress
from regfold.workflow import run_lock
from workflow.real_study import ROOT

GONE = {"pid": 2**22 + 1}  # more than any kernel gives
CONFIG = """
data: {path: t.csv, target: y}
split: {folds: 2}
training: {epochs: 1000000, checkpoint_seconds: 1}
baselines: []
models: {m: {}}
"""


@pytest.fixture(autouse=True)
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_lock.LOCKS.mkdir(parents=True)
    return tmp_path


class Run:
    """What run_lock sees of a Snakemake run; like Snakemake, it may lock what no other one has locked."""

    def __init__(self, number=0):
        self.is_main_process, self.dryrun = True, False
        kinds = {kind: str(run_lock.LOCKS / f"{number}.{kind}.lock") for kind in ("input", "output")}
        self.persistence = SimpleNamespace(_lockfile=kinds)

    def lock(self):
        for path in self.persistence._lockfile.values():
            Path(path).write_text("results/scores.csv\n")

    def tell(self, **changes):
        """What it writes into run.json; as a process that has ended, unless `changes` say otherwise."""
        state = {"state": progress.RUNNING, **process.identity(), **GONE, "locks": run_lock.own(self)}
        progress.write(progress.FOLDER / "run.json", state | changes)


def kept():
    run_lock.release_if_orphaned(Run())
    return sorted(path.name for path in run_lock.LOCKS.iterdir())


BOTH = ["0.input.lock", "0.output.lock"]


def test_the_lock_of_a_killed_run_is_removed(capsys):
    Run().lock()
    Run().tell()
    assert kept() == []
    assert capsys.readouterr().err == (
        "regfold: the last run was killed; its lock is removed, and this run continues its work\n"
    )


@pytest.mark.parametrize(
    "changes",
    [
        process.identity(),
        {"host": "another"},
        {"boot": "another"},
        {"pid_namespace": "another"},
        {"state": progress.DONE},
        {"locks": []},
        {"locks": None},
        {"pid": None},
    ],
    ids=["it runs", "host", "boot", "namespace", "done", "no locks", "unknown locks", "no process"],
)
def test_a_lock_whose_run_may_be_alive_stays(changes, capsys):
    Run().lock()
    Run().tell(**changes)
    assert kept() == BOTH
    assert capsys.readouterr().err == ""


def test_a_second_start_right_after_a_kill_leaves_the_first_ones_lock():
    """Until its jobs begin, the first one has not said in run.json that the lock is its own."""
    Run().lock()
    Run().tell()
    assert kept() == []
    Run().lock()  # the first of the two new runs goes on
    assert kept() == BOTH


def test_the_lock_of_a_run_beside_the_killed_one_stays():
    Run().lock()
    Run(1).lock()
    Run().tell()
    assert kept() == ["1.input.lock", "1.output.lock"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"state": "running"}', "\xff"])
def test_a_damaged_run_json_removes_nothing(text):
    Run().lock()
    progress.FOLDER.mkdir(parents=True)
    (progress.FOLDER / "run.json").write_bytes(text.encode("latin-1"))
    assert kept() == BOTH


def test_a_real_run_tells_of_its_lock(study):
    """Snakemake's own lock: written into run.json, left by SIGKILL, known to the next run as nobody's."""
    (study / "config.yaml").write_text(CONFIG)
    (study / "t.csv").write_text("x,y\n" + "".join(f"{i},{i % 7}.5\n" for i in range(40)))
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--cores", "1"]
    command.append("results/folds.csv")
    with Path("terminal.log").open("w") as log:
        run = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    told = progress.FOLDER / "run.json"
    try:
        while not told.exists():
            assert run.poll() is None, Path("terminal.log").read_text()
            time.sleep(0.01)
        run.send_signal(signal.SIGKILL)
    finally:
        run.kill()
        run.wait()
    locks = json.loads(told.read_text())["locks"]
    assert sorted(name for name, _ in locks) == sorted(path.name for path in run_lock.LOCKS.iterdir()) != []
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert "the last run was killed; its lock is removed" in again.stderr
