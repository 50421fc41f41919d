"""Write envs/regfold.yaml, the environment of `--sdm conda`, from uv.lock: uv run python envs/make_env.py."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
# What the rules' scripts import; Snakemake itself and its plugins run outside the environment.
PACKAGES = (
    "altair",
    "filelock",
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


def render(lock: dict) -> str:
    """The environment file's text, every package pinned to the version of the lock file."""
    versions = {package["name"]: package["version"] for package in lock["package"]}
    pins = "\n".join(f"      - {name}=={versions[name]}" for name in PACKAGES)
    return (
        "# Written by envs/make_env.py from uv.lock: change that, then run the script.\n"
        "channels:\n  - conda-forge\n  - nodefaults\n"
        f"dependencies:\n  - python=3.11\n  - pip\n  - pip:\n{pins}\n"
    )


def main() -> None:
    """Write the file."""
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    (ROOT / "envs" / "regfold.yaml").write_text(render(lock))


if __name__ == "__main__":
    main()
