"""What a cell's training depends on, as digests: its settings, the code that trains, the library versions."""

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from statistics import median

from regfold.config import baselines, headline
from regfold.provenance.code import code_digest, module_path, source_digest

# The roots of the code that trains. `processors` decides the number of threads, and with it the last bit.
TRAINING = ("training.fitting", "training.validation", "runtime.processors")
LIBRARIES = ("keras", "tensorflow", "numpy")
BASELINE_LIBRARIES = ("scikit-learn", "numpy", "scipy")
# Snakemake compares files up to this size, in bytes, by checksum, and larger ones by time.
SMALL = 1_000_000
# The digests in a fold's description, repeated in cell.json: of the training rows, of their encoding, of what
# decides which of them are validation rows, of the held-out rows, and of the whole matrix' columns. The cell
# depends on all of them, its network on `train`, `encoding` and, with early stopping, `validation`.
DIGESTS = ("train", "encoding", "validation", "test", "layout")
# The entries of a fold's description that decide its networks (repeat and fold decide the seeds); with early
# stopping `validation` too.
TRAINED = ("repeat", "fold", "train", "encoding")
# Settings that change how a cell's job works and what it writes, but not the network.
NOT_TRAINED = ("checkpoint_seconds", "on_divergence", "cell", "nested", "headline")


def specification(model: dict, chosen_by: Sequence[str] = ()) -> dict:
    """Everything that the cells of one model depend on besides their rows; Snakemake compares it.

    Args:
        model: the model's resolved settings, with `network`, `training`, `penalty` and `select`.
        chosen_by: the metric that chooses on inner folds, if not the RMSE, see config.headline.

    Returns:
        a dictionary; equal ones, on equal rows, give equal cells.
    """
    build = model["network"]["build"]
    training = {name: value for name, value in model["training"].items() if name not in NOT_TRAINED}
    nested = model["select"] == "nested"
    return {
        "network": {"build": build} if build else model["network"],
        "training": training,
        "penalty": model["penalty"],
        "nested": code_digest(module_path("splits.inner")) if nested else None,
        "headline": [*chosen_by, code_digest(module_path("results.metrics"))]
        if nested and chosen_by
        else None,
        "build": source_digest(Path(build.rpartition(":")[0])) if build else None,
        "code": code_digest(*map(module_path, TRAINING)),
        "cell": code_digest(module_path("training.cell")),
        "versions": versions(),
    }


def refit_specification(specification: dict, cells: Sequence[dict]) -> dict:
    """The specification of a model's network that is trained on all rows.

    With early stopping, no rows are left to validate on: the network is trained for the median of the folds'
    epochs, on the same schedule of learning rates.

    Args:
        specification: the model's.
        cells: the cell.json of its folds' cells; used with early stopping only.
    """
    training = specification["training"]
    if not training["early_stopping"]:
        return specification
    epochs = usual_epoch([cell["best_epoch"] for cell in cells])
    schedule = training["schedule"] | {"epochs": training["epochs"]}
    return specification | {
        "training": training | {"epochs": epochs, "schedule": schedule, "early_stopping": None}
    }


def usual_epoch(epochs: Sequence[int]) -> int:
    """The median epoch, rounded."""
    return round(median(epochs))


def specifications(config: dict) -> dict[str, dict]:
    """model or baseline of a resolved config -> its specification."""
    chosen_by = headline.other_than_rmse(config["metrics"])
    models = {name: specification(model, chosen_by) for name, model in config["models"].items()}
    seed = config["split"]["seed"]
    return models | {
        name: baseline_specification(baselines.NAMES[name], seed) for name in baselines.of(config)
    }


def builds(specifications: dict[str, dict]) -> dict[str, dict]:
    """model with network.build -> what its network depends on, for a trial before anything is trained."""
    parts = ("network", "penalty", "build")
    return {
        name: {part: own[part] for part in parts} | {"loss": own["training"]["loss"]}
        for name, own in specifications.items()
        if own.get("build")
    }


def functions(named: Sequence[str]) -> dict[str, str]:
    """user-defined function, FILE.py:FUNCTION -> the digest of its file."""
    return {function: source_digest(Path(function.rpartition(":")[0])) for function in named}


def baseline_specification(kind: str, seed: int) -> dict:
    """Everything that the cells of one baseline depend on besides their rows; Snakemake compares it.

    Args:
        kind: linear or boosting.
        seed: the split's, from which the inner folds derive.
    """
    return {
        "baseline": {"kind": kind, "seed": seed},
        "code": code_digest(module_path("training.baseline")),
        "versions": versions(BASELINE_LIBRARIES),
    }


def state_digest(specification: dict, description: dict, inner: int = 0, seed: int = 1) -> str:
    """The name of a training's state: a digest of all that the training depends on, not of held-out rows.

    Args:
        specification: the model's, see `specification`.
        description: the fold's, see Folds.describe.
        inner: the inner fold, from 1; 0 for the training on all training rows.
        seed: the number of the seed, from 1. It does not matter how many seeds the model has.
    """
    settings = {name: value for name, value in specification.items() if name not in NOT_TRAINED}
    settings["training"] = {name: value for name, value in settings["training"].items() if name != "seeds"}
    divided = inner or settings["training"]["early_stopping"]
    parts = (*TRAINED, "validation") if divided else TRAINED
    own = [inner, specification["nested"]] if inner else []
    own += [{"seed": seed}] if seed > 1 else []
    return digest([settings, {name: description[name] for name in parts}, *own])[:32]


def digest(data: object) -> str:
    """SHA-256 of data that JSON can hold, in hex; the order of keys does not matter."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def stamp(path: str | None) -> str | None:
    """What identifies the content of a user's file, since Snakemake ignores a new file with an older time.

    Returns:
        a digest of a file of at most SMALL bytes, size and time of a larger one; None for no file, for a
        table of scikit-learn's, and for a file that cannot be read, which the job then reports.

    Raises:
        FileNotFoundError: if another rule has yet to make the file. Snakemake then asks again.
    """
    if path is None or path.startswith("sklearn:"):
        return None
    try:
        status = Path(path).stat()
        if status.st_size > SMALL:
            return f"{status.st_size} bytes, {status.st_mtime_ns}"
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except FileNotFoundError:
        raise
    except OSError:
        return None


@cache
def versions(libraries: tuple[str, ...] = LIBRARIES) -> dict[str, str | None]:
    """library -> its installed version, None if it is not installed; by default those that train networks."""
    return {name: _version(name) for name in libraries}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
