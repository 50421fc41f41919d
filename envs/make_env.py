"""Write the environments of `--sdm conda` from uv.lock: uv run python envs/make_env.py.

regfold.yaml is for all rules but train_fold, which asks for a GPU: regfold-gpu.yaml has CUDA's libraries as
well, where TensorFlow takes them. TensorFlow itself is the same package in both.
"""

import tomllib
from pathlib import Path

from packaging.markers import Marker

ROOT = Path(__file__).parents[1]
# What the rules' scripts import; Snakemake itself and its plugins run outside the environment.
PACKAGES = (
    "altair",
    "filelock",
    "h5py",
    "jinja2",
    "jsonschema",
    "keras",
    "numpy",
    "nvidia-ml-py",
    "pandas",
    "psutil",
    "pyarrow",
    "pyyaml",
    "rich",
    "scikit-learn",
    "scipy",
    "tensorflow",
    "threadpoolctl",
    "vl-convert-python",
)


PYTHON = "3.11"
# The platforms on which TensorFlow takes CUDA's libraries from packages.
WITH_CUDA = "sys_platform == 'linux' and platform_machine == 'x86_64'"


def versions(lock: dict) -> dict[str, str]:
    """Each package's version in the lock file; of several, the one for this Python on Linux."""
    here = {"python_full_version": f"{PYTHON}.0", "sys_platform": "linux"}
    return {
        package["name"]: package["version"]
        for package in lock["package"]
        if not (markers := package.get("resolution-markers"))
        or any(Marker(marker).evaluate(here) for marker in markers)
    }


def render(lock: dict, gpu: bool = False) -> str:
    """An environment file's text, every package pinned to the version of the lock file."""
    pinned = versions(lock)
    pins = [f"{name}=={pinned[name]}" for name in PACKAGES]
    if gpu:
        (tensorflow,) = (package for package in lock["package"] if package["name"] == "tensorflow")
        libraries = [library["name"] for library in tensorflow["optional-dependencies"]["and-cuda"]]
        pins += [f"{name}=={pinned[name]} ; {WITH_CUDA}" for name in libraries]
    lines = "\n".join(f"      - {pin}" for pin in pins)
    return (
        "# Written by envs/make_env.py from uv.lock: change that, then run the script.\n"
        "channels:\n  - conda-forge\n  - nodefaults\n"
        f"dependencies:\n  - python={PYTHON}\n  - pip\n  - pip:\n{lines}\n"
    )


def main() -> None:
    """Write the files."""
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    for name, gpu in (("regfold", False), ("regfold-gpu", True)):
        (ROOT / "envs" / f"{name}.yaml").write_text(render(lock, gpu))


if __name__ == "__main__":
    main()
