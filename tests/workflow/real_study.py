"""A small study that real Snakemake runs work on, with a copy of the project that a test may edit."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml
from regfold.config.resolve import resolve
from regfold.provenance import identity
from regfold.results import verify
from regfold.runtime.job import STATES
from regfold.workflow import plan

ROOT = Path(__file__).parents[2]
PROJECT = ("Snakefile", "config.yaml", "rules", "scripts", "schemas", "profiles", "report", "envs", "data")
# What a shell of a user has not: these would change where bytecode goes, and which GPUs there are.
NOT_PASSED_ON = ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "SNAKEMAKE_PROFILE")


def copy_project(folder: Path) -> Path:
    """Copy what a clone of the project has, without anything that was run in it."""
    folder.mkdir(parents=True)
    for name in PROJECT:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / name)
    return folder


@dataclass(frozen=True)
class Outcome:
    """What a Snakemake run said.

    Attributes:
        code: its exit status.
        text: everything on the terminal.
    """

    code: int
    text: str

    @property
    def jobs(self) -> list[str]:
        """Each job that ran, or in a dry run is to run: `rule`, or `rule model`, or `rule model 1-2`."""
        found = []
        for block in re.split(r"\n(?=\[\w{3} \w{3} +\d)", self.text):
            rule = re.search(r"^(?:local)?(?:rule|checkpoint) (\w+):$", block, re.M)
            if not rule or rule[1] == "all":
                continue
            values = dict(re.findall(r"(\w+)=([^,\n]+)", "".join(re.findall(r"wildcards: (.*)", block))))
            key = "-".join(values[part] for part in ("repeat", "fold") if part in values)
            found.append(" ".join(filter(None, [rule[1], values.get("model"), key])))
        return sorted(found)

    @property
    def cells(self) -> set[str]:
        """The cells whose job ran: `model 1-2`."""
        return {job.removeprefix("train_fold ") for job in self.jobs if job.startswith("train_fold ")}

    @property
    def lines(self) -> list[str]:
        """What regfold itself said."""
        return [line for line in self.text.splitlines() if line.startswith("regfold: ")]

    @property
    def errors(self) -> list[str]:
        """Each error once: a run that failed ends with those of its jobs."""
        return list(dict.fromkeys(line for line in self.lines if line.startswith("regfold: error: ")))


@dataclass(frozen=True)
class Plan:
    """What the target `plan` said: for each cell what happens to it, and why."""

    what: dict[str, str]
    why: dict[str, str]
    text: str

    @classmethod
    def of(cls, lines: list[str]) -> "Plan":
        what, why = {}, {}
        for line in lines:
            if found := re.fullmatch(r"regfold: (\S+) ((?:\d+-\d+(?:, )?)+): ([^(]*?)(?: \((.*)\))?", line):
                for key in found[2].split(", "):
                    what[f"{found[1]} {key}"], why[f"{found[1]} {key}"] = found[3], found[4] or ""
        return cls(what, why, "\n".join(lines))

    def cells(self, what: str) -> set[str]:
        return {cell for cell, happens in self.what.items() if happens.partition(" from ")[0] == what}


class Study:
    """A folder with config.yaml, its table and its results, run by the Snakefile of a project.

    Args:
        folder: made if it is not there.
        project: the folder of the Snakefile.
        config: the content of config.yaml; None where it is there already.
    """

    def __init__(self, folder: Path, project: Path, config: dict | None = None):
        self.folder, self.project = folder, project
        folder.mkdir(parents=True, exist_ok=True)
        if config is not None:
            self.configure(config)

    def configure(self, config: dict) -> None:
        self.write("config.yaml", yaml.safe_dump(config, sort_keys=False, allow_unicode=True))

    @property
    def config(self) -> dict:
        return yaml.safe_load(self.read("config.yaml"))

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")

    def read(self, name: str) -> str:
        with (self.folder / name).open(encoding="utf-8", newline="") as file:
            return file.read()

    def copy(self, folder: Path, project: Path | None = None) -> "Study":
        """The study as it is, with results, states and Snakemake's records, elsewhere (`cp -a`)."""
        shutil.copytree(self.folder, folder)
        return Study(folder, project or self.project)

    def snakemake(self, *arguments: str, cores: int = 1, **environment: str) -> Outcome:
        """Run Snakemake as from a shell in some folder, and wait for it.

        On one core by default: the test session's processes use the others, and each worker compiles.
        """
        kept = {name: value for name, value in os.environ.items() if name not in NOT_PASSED_ON}
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(self.project / "Snakefile")]
        command += ["--directory", str(self.folder), "--cores", str(cores), *arguments]
        command += [] if "--quiet" in arguments else ["--quiet", "reason"]  # `Outcome.jobs` reads jobs' lines
        result = subprocess.run(
            command,
            cwd=self.project.parent,
            env=kept | {"REGFOLD_GPUS": "none"} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            timeout=600,
        )
        return Outcome(result.returncode, result.stdout)

    def verify(self) -> str:
        """What the target `verify` says, without a run of Snakemake; an error of the results is raised."""
        with contextlib.chdir(self.folder):
            return verify.verify(resolve(self.config), Path("results"))

    def plan(self, **environment: str) -> Plan:
        """Ask for the plan."""
        said = self.snakemake("plan", **environment)
        assert said.code == 0, said.text
        return Plan.of(said.lines)

    def plan_here(self) -> Plan:
        """What the target `plan` says, without a run of Snakemake, if the project's code is this one."""
        with contextlib.chdir(self.folder):
            config, results = resolve(self.config), Path("results")
            steps = plan.plan(config, identity.specifications(config), results, STATES)
            costs = plan.earlier_costs(sorted(results.glob("cells/*/*/cell.json")))
            return Plan.of([f"regfold: {line}" for line in plan.lines(steps, costs, cores=1)])

    def cell(self, name: str) -> dict:
        """The cell.json of `model 1-2`."""
        return json.loads(self.read(f"results/cells/{name.replace(' ', '/')}/cell.json"))

    def cells(self) -> set[str]:
        """All networks' cells that the folds of now and the models of now have."""
        keys = [path.stem for path in (self.folder / "results/folds").glob("*-*.json")]
        return {f"{model} {key}" for model in self.config["models"] for key in keys}

    def oos(self, model: str) -> bytes:
        return (self.folder / f"results/oos/{model}.csv").read_bytes()
