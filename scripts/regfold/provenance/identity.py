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

# Where the code that trains begins. `processors` decides the number of threads, and with it the last bit.
TRAINING = ("training.fitting", "training.validation", "runtime.processors")
LIBRARIES = ("keras", "tensorflow", "numpy")
BASELINE_LIBRARIES = ("scikit-learn", "numpy", "scipy")
# Snakemake compares files up to this size by checksum, and larger ones by time.
SMALL = 1_000_000
# A description's digests, which cell.json repeats: of the training rows, of how they are encoded, of what
# decides which of them are validation rows, of the held-out rows, and of the whole matrix' columns. The first
# two, and the third with early stopping, decide the network; all, what a cell writes.
DIGESTS = ("train", "encoding", "validation", "test", "layout")
# What a fold's description says of its training (repeat and fold decide seeds); the rest is of held-out rows.
# With early stopping `validation` too: what decides which training rows are validation rows.
TRAINED = ("repeat", "fold", "train", "encoding")
# What changes how a cell's job works and what it writes, but not the network.
NOT_TRAINED = ("checkpoint_seconds", "on_divergence", "cell", "nested", "headline")


def specification(model: dict, chosen_by: Sequence[str] = ()) -> dict:
    """All that the training of one model depends on besides its rows: Snakemake compares it.

    Args:
        model: the model's resolved settings, with `network`, `training`, `penalty` and `select`.
        chosen_by: the metric that chooses on inner folds, if not the RMSE, see config.headline.

    Returns:
        a dictionary that is the same if and only if the same networks come out.
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

    Where early stopping chose the folds' epochs, it is trained for the median of these, on all rows and on
    the same schedule of learning rates, as there is nothing left to validate on.

    Args:
        specification: the model's.
        cells: what its folds' cells wrote into their cell.json; of use with early stopping alone.
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
    """The epoch that stands for those of several networks."""
    return round(median(epochs))


def specifications(config: dict) -> dict[str, dict]:
    """What each model and each baseline of a resolved config depends on besides its rows, by name."""
    chosen_by = headline.other_than_rmse(config["metrics"])
    models = {name: specification(model, chosen_by) for name, model in config["models"].items()}
    seed = config["split"]["seed"]
    return models | {
        name: baseline_specification(baselines.NAMES[name], seed) for name in baselines.of(config)
    }


def builds(specifications: dict[str, dict]) -> dict[str, dict]:
    """What the networks of the user's own depend on, by model, for those models that have one."""
    parts = ("network", "penalty", "build")
    return {
        name: {part: own[part] for part in parts} | {"loss": own["training"]["loss"]}
        for name, own in specifications.items()
        if own.get("build")
    }


def functions(named: Sequence[str]) -> dict[str, str]:
    """What functions of the user's own, given as FILE.py:FUNCTION, do: a digest of each one's file."""
    return {function: source_digest(Path(function.rpartition(":")[0])) for function in named}


def baseline_specification(kind: str, seed: int) -> dict:
    """All that the fits of one baseline depend on besides their rows: Snakemake compares it.

    Args:
        kind: linear or boosting.
        seed: of the inner folds, that of the split.
    """
    return {
        "baseline": {"kind": kind, "seed": seed},
        "code": code_digest(module_path("training.baseline")),
        "versions": versions(BASELINE_LIBRARIES),
    }


def state_digest(specification: dict, description: dict, inner: int = 0, seed: int = 1) -> str:
    """The name of a training's state: all that the training depends on, and nothing of held-out rows.

    Args:
        specification: the model's, see `specification`.
        description: the fold's, see Folds.describe.
        inner: the inner fold whose training it is, from 1; 0: the training on all training rows.
        seed: which of the model's seeds it has, from 1. How many there are changes none of their trainings.
    """
    settings = {name: value for name, value in specification.items() if name not in NOT_TRAINED}
    settings["training"] = {name: value for name, value in settings["training"].items() if name != "seeds"}
    divided = inner or settings["training"]["early_stopping"]
    parts = (*TRAINED, "validation") if divided else TRAINED
    own = [inner, specification["nested"]] if inner else []
    own += [{"seed": seed}] if seed > 1 else []
    return digest([settings, {name: description[name] for name in parts}, *own])[:32]


def digest(data: object) -> str:
    """SHA-256 of JSON-able data, in hex; the order of keys does not matter."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def stamp(path: str | None) -> str | None:
    """What tells a file of the user's from another: Snakemake alone takes no notice of one that is older.

    Returns:
        a digest of a file of at most SMALL bytes, size and time of a larger one; None for no file, for a
        table of scikit-learn's, and for a file that cannot be read, of which the job says so.

    Raises:
        FileNotFoundError: if another rule has yet to make the file. Snakemake asks again once it has.
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
    """The installed version of each library (that a network depends on); None where it is not installed."""
    return {name: _version(name) for name in libraries}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
