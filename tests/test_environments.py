"""Guards that every way to install regfold installs the same versions."""

import ast
import importlib.util
import sys
import tomllib
from pathlib import Path

import yaml

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


def test_the_conda_environment_is_what_the_lock_file_says():
    text = (ROOT / "envs" / "regfold.yaml").read_text()
    assert text == load(ROOT / "envs" / "make_env.py").render(LOCK), "run: uv run python envs/make_env.py"
    pins = dict(pin.split("==") for pin in yaml.safe_load(text)["dependencies"][-1]["pip"])
    locked = {package["name"]: package["version"] for package in LOCK["package"]}
    assert pins == {name: locked[name] for name in pins}


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
