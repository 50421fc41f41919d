"""Guards that every way to install regfold installs the same versions."""

import ast
import importlib.util
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
LOCK = tomllib.loads((ROOT / "uv.lock").read_text())
# The modules whose package has another name.
PACKAGE_OF = {
    "pynvml": "nvidia-ml-py",
    "sklearn": "scikit-learn",
    "vl_convert": "vl-convert-python",
    "yaml": "pyyaml",
}


def load(path: Path):
    specification = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def read_pins(name: str) -> dict[str, Requirement]:
    *_, pip = yaml.safe_load((ROOT / "envs" / name).read_text())["dependencies"]
    return {pin.name: pin for pin in map(Requirement, pip["pip"])}


@pytest.mark.parametrize(("name", "gpu"), [("regfold.yaml", False), ("regfold-gpu.yaml", True)])
def test_a_conda_environment_is_what_the_lock_file_says(name, gpu):
    make_env = load(ROOT / "envs" / "make_env.py")
    text = (ROOT / "envs" / name).read_text()
    assert text == make_env.render(LOCK, gpu), "run: uv run python envs/make_env.py"
    assert f"  - python={make_env.PYTHON}\n" in text
    # Of each package the version that this Python takes, by the files that the lock file has for it.
    wheels = {
        f"{package['name']}=={package['version']}": package["wheels"]
        for package in LOCK["package"]
        if "wheels" in package
    }
    tag = re.compile(r"-(py3|py2\.py3|cp311|cp3\d*-abi3|py3-none|cp\d+\.cp311)[-.]")
    for pin in read_pins(name).values():
        files = [wheel["url"] for wheel in wheels[f"{pin.name}{pin.specifier}"]]
        assert any(map(tag.search, files)), pin


def test_the_environment_with_cuda_is_the_other_one_and_what_tensorflow_asks_for():
    plain, cuda = read_pins("regfold.yaml"), read_pins("regfold-gpu.yaml")
    assert {name: cuda[name] for name in plain} == plain
    asked = {
        requirement.name: requirement.specifier
        for requirement in map(Requirement, metadata.requires("tensorflow"))
        if requirement.marker
        and requirement.marker.evaluate({"extra": "and-cuda"})
        and requirement.name not in plain
        and not requirement.marker.evaluate({"extra": ""})
    }
    assert asked.keys() == cuda.keys() - plain.keys()
    for name, specifier in asked.items():
        (version,) = (part.version for part in cuda[name].specifier)
        assert version in specifier and str(cuda[name].marker)
    assert '"../envs/regfold-gpu.yaml"' in (ROOT / "rules" / "train.smk").read_text()


def test_the_environments_hold_all_that_the_scripts_import():
    imported = set()
    for path in [*(ROOT / "scripts").glob("*.py"), *(ROOT / "scripts" / "regfold").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.partition(".")[0])
    others = {PACKAGE_OF.get(name, name) for name in imported - set(sys.stdlib_module_names) - {"regfold"}}
    pinned = set(load(ROOT / "envs" / "make_env.py").PACKAGES)
    # Snakemake is what runs the scripts; only its own process imports it. openpyxl is optional.
    assert others - pinned <= {"snakemake", "openpyxl"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert pinned <= {dependency.split(">")[0] for dependency in project["dependencies"]}


def test_the_versions_of_the_project_agree():
    import regfold

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert project["version"] == citation["version"] == regfold.__version__
