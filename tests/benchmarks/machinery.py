"""What the machinery costs: a dry run with nothing to do for 2,000 cells, and the hashing of 1,000,000 rows.

    python tests/benchmarks/machinery.py [dry-run | hashing] [--folder FOLDER]

Each is measured in seconds of processor time and held to its limit. The 2,000 cells (20 models x 10 repeats x
10 folds) are not trained: the table is prepared and split by a real run; each cell gets a cell.json with the
digests of its rows and settings, and empty files beside it; `snakemake --touch` then records them as a run
would have. That takes some minutes, most of them asleep; --folder keeps the study for the next time.
"""

import argparse
import json
import pstats
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import yaml

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from regfold import config, digest, folds, provenance  # noqa: E402

MODELS, REPEATS, FOLDS = 20, 10, 10
ROWS, COLUMNS = 1_000_000, 100
NOTHING = "Nothing to be done"
LIMIT_DRY_RUN, LIMIT_OWN, LIMIT_HASHING = 20, 3, 5


def main() -> None:
    """Measure what is asked for; exit status 1 where a limit is not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["dry-run", "hashing"], help="one of the two alone")
    parser.add_argument("--folder", type=Path, help="keep the study of the dry run there, to use it again")
    arguments = parser.parse_args()
    kept = True
    if arguments.what != "dry-run":
        kept &= say(f"hashing {ROWS:,} x {COLUMNS}", hashing(), LIMIT_HASHING)
    if arguments.what != "hashing":
        with tempfile.TemporaryDirectory() as temporary:
            folder = arguments.folder or Path(temporary)
            if not (folder / "config.yaml").is_file() or NOTHING not in snakemake(folder, "--dry-run")[1]:
                make(folder)
            whole, plan = dry_run(folder), snakemake(folder, "plan")[0]
            own = whole * own_share(folder)
        cells = f"{MODELS * REPEATS * FOLDS:,} cells"
        kept &= say(f"dry run with nothing to do, {cells}", whole, LIMIT_DRY_RUN)
        kept &= say("of it regfold's own code and all that it calls", own, LIMIT_OWN)
        print(f"{f'plan, {cells}':56}{plan:6.1f} s")
    sys.exit(not kept)


def say(what: str, seconds: float, limit: float) -> bool:
    print(f"{what:56}{seconds:6.1f} s (at most {limit})", flush=True)
    return seconds <= limit


def hashing() -> float:
    """Row digests of a numeric table, and the digests of all folds of one repeat."""
    features = np.random.default_rng(0).standard_normal((ROWS, COLUMNS), np.float32)
    target = np.random.default_rng(1).standard_normal((ROWS, 1))
    columns = [{"name": f"x{i}", "kind": "numeric", "start": i, "width": 1} for i in range(COLUMNS)]
    columns = [column | {"levels": None} for column in columns]
    schema = {"columns": columns, "task": "regression", "classes": None, "target": ["y"]}
    assignment = np.random.default_rng(2).integers(1, FOLDS + 1, (1, ROWS)).astype(np.int32)
    begun = time.process_time()
    digests = digest.row_digests(features, schema, target)
    for fold in range(1, FOLDS + 1):
        folds.describe(assignment, 1, fold, "kfold", digests, folds.meaning(schema))
    return time.process_time() - begun


def make(folder: Path) -> None:
    """The study, as if it had been run."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    rows = [f"{x:.3f},{y:.3f}" for x, y in generator.random((100, 2))]
    (folder / "t.csv").write_text("\n".join(["x,y", *rows, ""]))
    settings = {
        "data": {"path": "t.csv", "target": "y"},
        "split": {"folds": FOLDS, "repeats": REPEATS},
        "models": {f"m{i:02}": {"penalty": {"kernel": {"l1": i * 1e-4}}} for i in range(MODELS)},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    snakemake(folder, "results/folds.csv")
    results, resolved = folder / "results", config.resolve(settings | {"data": {**settings["data"], **PATH}})
    for path in results.glob("folds/*.json"):
        description = json.loads(path.read_text())
        for model, own in resolved["models"].items():
            write_cell(results / "cells" / model / path.stem, description, own)
    for model in resolved["models"]:
        (results / "oos").mkdir(exist_ok=True)
        (results / "oos" / f"{model}.csv").touch()
    (results / "figures").mkdir(exist_ok=True)
    for name in ("scores.csv", "summary.json", "report.html"):
        (results / name).touch()
    snakemake(folder, "--touch", "--forcerun", "train_fold")


# The table's path is checked where the config is resolved, and is no part of a cell.
PATH = {"path": "sklearn:iris"}


def write_cell(folder: Path, description: dict, model: dict) -> None:
    specification = provenance.specification(model)
    about = {
        "fold_name": description["name"],
        "settings": {part: specification[part] for part in ("network", "training", "penalty")},
        "versions": specification["versions"],
        "digests": {part: specification[part] for part in ("code", "cell", "build")}
        | {part: description[part] for part in ("train", "test", "layout")},
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("model.keras", "history.csv", "predictions.npz"):
        (folder / name).touch()
    (folder / "cell.json").write_text(json.dumps(about, indent=2))


def snakemake(folder: Path, *arguments: str) -> tuple[float, str]:
    """Seconds of processor time of a Snakemake run and its children, and what it said."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = subprocess.run(
        command(folder, *arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if run.returncode:
        sys.exit(run.stdout)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, run.stdout


def command(folder: Path, *arguments: str) -> list[str]:
    where = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder), "--cores", "2"]
    return [sys.executable, "-m", "snakemake", *where, *arguments]


def dry_run(folder: Path) -> float:
    seconds, text = snakemake(folder, "--dry-run")
    if NOTHING not in text:
        sys.exit(f"not all cells are recorded as done:\n{text[-2000:]}")
    return seconds


def own_share(folder: Path) -> float:
    """The share of a dry run, by the profiler, that goes to this package and to the rules' own code."""
    with tempfile.NamedTemporaryFile() as profile:
        arguments = command(folder, "--dry-run")
        profiled = [arguments[0], "-m", "cProfile", "-o", profile.name, *arguments[1:]]
        subprocess.run(profiled, check=True, capture_output=True)
        profiled = pstats.Stats(profile.name)
    calls, seconds = profiled.stats, 0.0
    for called, (*_, callers) in calls.items():
        # A module's own code is within that of the rules that import it.
        if is_own(called) and (called[2] != "<module>" or "/rules/" in called[0]):
            seconds += sum(edge[3] for caller, edge in callers.items() if not is_own(caller))
    return seconds / profiled.total_tt


def is_own(function: tuple[str, int, str]) -> bool:
    return function[0].startswith((str(ROOT / "scripts"), str(ROOT / "rules")))


if __name__ == "__main__":
    main()
