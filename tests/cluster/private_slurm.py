"""A private Slurm for the tests, and a study that runs on it through the shipped profile."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from regfold.runtime import progress

PROJECT = Path(__file__).parents[2]
SCRIPTS = Path(__file__).parent / "slurm"
PROGRAMS = ("slurmctld", "slurmd", "slurmdbd", "squeue", "munged", "mariadbd", "mariadb-install-db")
SHIPPED = ("Snakefile", "rules", "scripts", "schemas", "envs", "profiles", "report", "data", "config.yaml")
CONFIGURATION = Path("/etc/slurm/slurm.conf")
FOLDS, MODEL = 5, "l1"
# Many small steps make an epoch long: the training is paced by its work. A few seconds in all.
SETTINGS = {
    "epochs: 500": "epochs: 600",
    "batch_size: 32": "batch_size: 1",
    "checkpoint_seconds: 30": "checkpoint_seconds: 1",
    "baselines: [linear]": "baselines: []",
}
OOS = Path(f"results/oos/{MODEL}.csv")


def missing() -> str:
    """Why no private Slurm can be started here; "" where one can."""
    absent = [program for program in PROGRAMS if not shutil.which(program)]
    if absent:
        return f"Slurm's packages are not installed ({', '.join(absent)} not found)"
    if os.geteuid():
        return "a private Slurm needs root"
    if CONFIGURATION.exists() and not CONFIGURATION.is_symlink():
        return f"this machine has a Slurm of its own ({CONFIGURATION})"
    name = socket.gethostname().partition(".")[0]
    try:
        address = socket.gethostbyname(name)
    except OSError:
        address = "nothing"
    if not address.startswith("127."):
        return f"the host name {name} stands for {address}; a private Slurm needs 127.0.0.1 (/etc/hosts)"
    return ""


class Cluster:
    """Two virtual nodes, n1 and n2, with two fake GPUs each; the partition `one` is n1 alone."""

    def __init__(self, folder: Path):
        self.folder = folder

    def up(self) -> None:
        subprocess.run([SCRIPTS / "up.sh", self.folder], check=True)

    def down(self) -> None:
        subprocess.run([SCRIPTS / "down.sh", self.folder], check=True)

    def call(self, *command: str) -> str:
        """What a command of Slurm's prints."""
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()

    def jobs(self, *options: str) -> list[dict[str, str]]:
        """Slurm's accounting, a dictionary for each job; with -D, one for each time that it was queued."""
        names = (
            "JobID",
            "State",
            "Start",
            "End",
            "NodeList",
            "AllocTRES",
            "TimelimitRaw",
            "ReqMem",
            "Comment",
        )
        lines = self.call("sacct", "-X", "-P", "-n", *options, f"--format={','.join(names)}").splitlines()
        jobs = [dict(zip(names, line.split("|"), strict=True)) for line in lines]
        return [job for job in jobs if job["Comment"].startswith("rule_train_fold")]

    def running(self) -> dict[str, tuple[str, str]]:
        """(job, node) of each cell, such as "1-3", that trains now."""
        lines = self.call("squeue", "-h", "-t", "running", "-o", "%i|%N|%k").splitlines()
        jobs = [line.split("|") for line in lines]
        return {cell_of(comment): (job, node) for job, node, comment in jobs if comment.startswith("rule_")}

    def is_down(self, node: str) -> bool:
        """Whether Slurm has given the node up; sinfo calls it completing while it waits for its jobs' end."""
        return "State=DOWN" in self.call("scontrol", "show", "node", node)

    def kill_node(self, node: str) -> None:
        """Kill a node as a power cut does: its slurmd and everything under it, at once."""
        doomed = [int((self.folder / f"run/slurmd-{node}.pid").read_text())]
        for stepd in self._stepds():
            below = descendants(stepd)
            if any(environment(pid).get("SLURMD_NODENAME") == node for pid in below):
                doomed += [stepd, *below]
        for pid in doomed:
            kill(pid)

    def start_node(self, node: str) -> None:
        subprocess.run(["slurmd", "-f", self.folder / "etc/slurm.conf", "-N", node], check=True)

    def stop_controller(self) -> None:
        """As for maintenance: it saves what it knows, and is gone."""
        pid = int((self.folder / "run/slurmctld.pid").read_text())
        kill(pid, signal.SIGTERM)
        wait_for("the controller has ended", lambda: not text(f"/proc/{pid}/comm"))

    def start_controller(self) -> None:
        subprocess.run(["slurmctld", "-f", self.folder / "etc/slurm.conf"], check=True)

    def _stepds(self) -> list[int]:
        """This cluster's step daemons: they live in its log folder."""
        here = (self.folder / "log").resolve()
        return [
            pid
            for pid in processes()
            if text(f"/proc/{pid}/comm") == "slurmstepd" and link(f"/proc/{pid}/cwd") == here
        ]


def copy_project(folder: Path) -> Path:
    """What a study needs of the shipped project, so that editing that disturbs no run."""
    ignored = shutil.ignore_patterns("__pycache__")
    for name in SHIPPED:
        if (PROJECT / name).is_dir():
            shutil.copytree(PROJECT / name, folder / name, ignore=ignored)
        else:
            shutil.copy(PROJECT / name, folder / name)
    return folder


class Study:
    """The shipped study with a longer training, in a folder of its own."""

    def __init__(self, project: Path, folder: Path):
        self.folder = folder
        shutil.copytree(project, folder, dirs_exist_ok=True)
        config = (folder / "config.yaml").read_text()
        for old, new in SETTINGS.items():
            assert config.count(old) == 1
            config = config.replace(old, new)
        (folder / "config.yaml").write_text(config)
        # Real GPUs are not those that the private Slurm hands out.
        self.environment = os.environ | ({"REGFOLD_GPUS": "none"} if Path("/dev/nvidiactl").exists() else {})

    def start(self, *options: str) -> subprocess.Popen:
        """Snakemake up to the out-of-sample file, going on in the background; its output is in run.log."""
        with (self.folder / "run.log").open("a") as log:
            return subprocess.Popen(
                [sys.executable, SCRIPTS / "fastpoll.py", *options, "--", OOS],
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def finish(self, driver: subprocess.Popen, seconds: float = 400) -> None:
        status = driver.wait(seconds)
        assert status == 0, (self.folder / "run.log").read_text()[-6000:]

    def sha256(self) -> str:
        return hashlib.sha256((self.folder / OOS).read_bytes()).hexdigest()

    def cells(self) -> dict[str, dict]:
        """cell.json of each cell, by its name, such as "1-3"."""
        paths = (self.folder / f"results/cells/{MODEL}").glob("*/cell.json")
        return {path.parent.name: json.loads(path.read_text()) for path in paths}

    def process(self, cell: str) -> int:
        """The process that last said that it trains the cell; 0 before there is one."""
        return (self._progress(cell) or {"pid": 0})["pid"]

    def epoch(self, cell: str) -> int:
        """How far that process is."""
        return (self._progress(cell) or {"epoch": 0})["epoch"]

    def saved(self, cell: str, digest: str) -> bool:
        """Whether that process is alive and has saved a state of its own."""
        state, about = self.folder / f".regfold/state/{digest}/state.npz", self._progress(cell)
        return bool(
            about
            and environment(about["pid"])
            and state.exists()
            and state.stat().st_mtime > about["started"]
        )

    def job_logs(self) -> str:
        """What the jobs have said for the user so far, those that ended well left out."""
        return "".join(map(text, (self.folder / ".snakemake/slurm_logs").rglob("*.log")))

    def _progress(self, cell: str) -> dict | None:
        return progress.read(self.folder / progress.FOLDER / MODEL / f"{cell}.json")


class Watch(threading.Thread):
    """Looks, several times a second, which process trains which cell with which GPU of which node."""

    def __init__(self, study: Study):
        super().__init__(daemon=True)
        self.study, self.looks, self.going_on = study, [], True

    def run(self) -> None:
        while self.going_on:
            found = {}
            for number in range(1, FOLDS + 1):
                seen = environment(self.study.process(f"1-{number}"))
                if "SLURM_JOB_ID" in seen:
                    found[seen["SLURM_JOB_ID"]] = seen["SLURMD_NODENAME"], seen["CUDA_VISIBLE_DEVICES"]
            self.looks.append(found)
            time.sleep(0.2)

    def end(self) -> list[dict[str, tuple[str, str]]]:
        """(node, CUDA_VISIBLE_DEVICES) of each job, for each look."""
        self.going_on = False
        self.join()
        return self.looks


def wait_for(what: str, look: Callable[[], Any], seconds: float = 180) -> Any:
    """What `look` gives as soon as it gives something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.1)
    raise AssertionError(f"waited {seconds} s in vain: {what}")


def cell_of(comment: str) -> str:
    """The cell that a job's comment names: rule_train_fold_wildcards_l1_1_3 is 1-3."""
    return "-".join(comment.split("_")[-2:])


def processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]


def descendants(pid: int) -> list[int]:
    """The processes under a process, at any depth."""
    children: dict[int, list[int]] = {}
    for child in processes():
        if state := text(f"/proc/{child}/stat"):
            parent = int(state.rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(child)
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found[1:]


def environment(pid: int) -> dict[str, str]:
    """The variables that a process was started with; none where it is gone."""
    return dict(entry.split("=", 1) for entry in text(f"/proc/{pid}/environ").split("\0") if "=" in entry)


def text(path: str | Path) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def link(path: str) -> Path | None:
    try:
        return Path(path).readlink()
    except OSError:
        return None


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
