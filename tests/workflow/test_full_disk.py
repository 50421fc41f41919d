"""Guards a run on a full disk: one clear line, nothing half-written, and with space the next run finishes."""

import os
import subprocess
from pathlib import Path

import pytest
from workflow.real_study import Study, copy_project

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return copy_project(tmp_path_factory.mktemp("full disk") / "project")


def born(folder: Path, project: Path) -> Study:
    study = Study(
        folder,
        project,
        {
            "data": {"path": "t.csv", "target": "y"},
            "split": {"folds": 2},
            "training": {"epochs": 30},
            "baselines": [],
            "models": {"m": {}},
        },
    )
    lines = [f"{i % 17},{i * 7 % 23},{i % 17 + i * 7 % 23 % 5}" for i in range(400)]
    study.write("t.csv", "\n".join(["x,z,y", *lines, ""]))
    return study


@pytest.fixture(scope="module")
def with_space(tmp_path_factory, project):
    study = born(tmp_path_factory.mktemp("full disk") / "with space", project)
    ran = study.snakemake()
    assert ran.code == 0, ran.text
    return study


@pytest.fixture
def disk(tmp_path):
    """Mounts a file system of some size in memory, and again with more; only root may."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(size: str, *options: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", ",".join([*options, f"size={size}"]), "tmpfs", folder]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            reason = f"a small file system cannot be mounted here: {done.stderr.strip()}"
            (pytest.fail if os.environ.get("REGFOLD_REQUIRE_MOUNT") else pytest.skip)(reason)
        return folder

    yield mount
    subprocess.run(["umount", "--lazy", folder], capture_output=True)


@pytest.mark.parametrize("size", ["60k", "250k", "1500k"])
def test_a_full_disk(size, disk, project, with_space):
    """Full while the table is prepared, while cells are trained, and while the report is rendered."""
    study = born(disk(size) / "study", project)
    full = study.snakemake()
    assert full.code != 0
    assert full.errors, full.text
    assert all("No space left on device" in line for line in full.errors), full.errors
    for path in (study.folder / "results").rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            assert path.stat().st_size, f"{path} is empty"
    disk("64m", "remount")
    ran = study.snakemake()
    assert ran.code == 0, ran.text
    assert study.oos("m") == with_space.oos("m")
    study.verify()
    left = [path.name for path in (study.folder / "results").rglob(".*") if path.is_file()]
    assert set(left) <= {".snakemake_timestamp"}, left
