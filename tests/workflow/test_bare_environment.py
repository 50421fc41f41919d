"""Guards what the Snakefile imports while it is read: nothing beyond what Snakemake itself depends on.

Whoever lints it for a catalog, or has Snakemake make the jobs' environments, has Snakemake alone.
"""

import subprocess
import sys

import pytest
from workflow.real_study import copy_project

# Runs Snakemake in a process in which the packages that it does not depend on are not there.
BARE = """
import pkgutil, runpy, sys
from importlib import metadata
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

found, waiting = set(), ["snakemake"]
while waiting:
    name = canonicalize_name(waiting.pop())
    if name not in found:
        found.add(name)
        needs = map(Requirement, metadata.requires(name) or [])
        waiting += [need.name for need in needs if not need.marker or need.marker.evaluate({"extra": ""})]

class Gone:
    owners = metadata.packages_distributions()
    def find_spec(self, name, path=None, target=None):
        owners = set(map(canonicalize_name, self.owners.get(name.partition(".")[0], ())))
        if owners and not owners & found:
            raise ModuleNotFoundError(f"Snakemake does not depend on {name}", name=name)

every = pkgutil.iter_modules  # Snakemake's plugins are optional, and gone too
pkgutil.iter_modules = lambda *given: (m for m in every(*given) if not m.name.startswith("snakemake_"))
sys.meta_path.insert(0, Gone())
sys.argv[0] = "snakemake"
runpy.run_module("snakemake", run_name="__main__")
"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return copy_project(tmp_path_factory.mktemp("bare") / "clone")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--lint"],
        ["--dry-run"],
        ["--dry-run", "init", "--config", "table=data/penguins.csv", "target=species"],
        ["--rulegraph"],
    ],
    ids=" ".join,
)
def test_the_snakefile_is_read_with_snakemake_alone(clone, arguments):
    command = [sys.executable, "-c", BARE, "--cores", "1", *arguments]
    run = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "warning" not in run.stderr


def test_other_packages_are_gone_in_that_process():
    script = f"{BARE.partition('sys.argv')[0]}import yaml, jsonschema, filelock"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.stderr.splitlines()[-1] == "ModuleNotFoundError: Snakemake does not depend on filelock"
