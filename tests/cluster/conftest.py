"""One private Slurm and one local run for the tests of a module."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from cluster.private_slurm import Cluster, Study, copy_project, missing


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    reason = missing()
    if reason:
        (pytest.fail if os.environ.get("REGFOLD_REQUIRE_CLUSTER") else pytest.skip)(reason)
    # munged wants a socket that everybody can reach, so not below pytest's own folder.
    folder = Path(tempfile.mkdtemp(prefix="regfold-slurm-"))
    folder.chmod(0o755)
    cluster = Cluster(folder)
    try:
        cluster.up()
        yield cluster
    finally:
        if (folder / "log").exists():
            shutil.copytree(folder / "log", tmp_path_factory.mktemp("slurm") / "log")
        cluster.down()


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return copy_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def local(cluster, project, tmp_path_factory):
    """The study, run on this machine without a scheduler and without a disturbance."""
    study = Study(project, tmp_path_factory.mktemp("local"))
    study.finish(study.start("--cores", "2"))
    return study


@pytest.fixture
def study(project, tmp_path):
    return Study(project, tmp_path)
