"""What the machinery costs: a dry run with nothing to do for 2,000 cells, and the hashing of 1,000,000 rows.

    python tests/benchmarks/machinery.py [dry-run | hashing]

Each is measured in seconds of processor time and held to its limit. The 2,000 cells (20 models x 10 repeats x
10 folds) are not trained: the table is prepared and split by a real run; each cell gets a cell.json with the
digests of its rows and settings, and empty files beside it; `snakemake --touch` then records them as a run
would have. That takes five minutes, most of them asleep.
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

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

from regfold.config.resolve import resolve  # noqa: E402
from regfold.data import digests  # noqa: E402
from regfold.data.layout import Layout  # noqa: E402
from regfold.provenance import identity  # noqa: E402
from regfold.splits import folds  # noqa: E402
from workflow.real_study import Outcome, Study, copy_project  # noqa: E402

MODELS, REPEATS, FOLDS = 20, 10, 10
ROWS, COLUMNS = 1_000_000, 100
LIMIT_DRY_RUN, LIMIT_OWN, LIMIT_HASHING = 20, 3, 5


def main() -> None:
    """Measure what is asked for; exit status 1 where a limit is not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["dry-run", "hashing"], help="one of the two alone")
    what = parser.parse_args().what
    kept = True
    if what != "dry-run":
        kept &= say(f"hashing {ROWS:,} x {COLUMNS}", hashing(), LIMIT_HASHING)
    if what != "hashing":
        with tempfile.TemporaryDirectory() as folder:
            study = make(Path(folder).resolve())
            (whole, dry), (plan, planned) = seconds(study, "--dry-run"), seconds(study, "plan")
            own = whole * own_share(study)
        assert "Nothing to be done" in dry.text, dry.text[-2000:]
        cells = f"{MODELS * REPEATS * FOLDS:,} cells"
        assert f"regfold: {cells.removesuffix(' cells')} kept;" in planned.text, planned.text[-2000:]
        kept &= say(f"dry run with nothing to do, {cells}", whole, LIMIT_DRY_RUN)
        kept &= say("of it regfold's own code and all that it calls", own, LIMIT_OWN)
        print(f"{f'plan, {cells}':56}{plan:6.1f} s")
    sys.exit(not kept)


def say(what: str, found: float, limit: float) -> bool:
    """Print a measurement beside its limit; whether the limit is kept."""
    print(f"{what:56}{found:6.1f} s (at most {limit})", flush=True)
    return found <= limit


def hashing() -> float:
    """Seconds for the row digests of a numeric table, and the digests of all folds of one repeat."""
    features = np.random.default_rng(0).standard_normal((ROWS, COLUMNS), np.float32)
    target = np.random.default_rng(1).standard_normal((ROWS, 1))
    columns = [
        {"name": f"x{i}", "kind": "numeric", "start": i, "width": 1, "levels": None} for i in range(COLUMNS)
    ]
    schema = {"columns": columns, "task": "regression", "classes": None, "target": ["y"]}
    assignment = np.random.default_rng(2).integers(1, FOLDS + 1, (1, ROWS)).astype(np.int32)
    begun = time.process_time()
    rows = digests.row_digests(features, schema, target)
    layout = Layout(schema, features)
    decided = folds.Folds(assignment, np.zeros(ROWS, np.int32), "kfold", 0)
    for fold in range(1, FOLDS + 1):
        decided.describe(1, fold, rows, layout)
    return time.process_time() - begun


def make(folder: Path) -> Study:
    """A study as if it had been run, by a copy of the project, which nobody edits meanwhile."""
    settings = {
        "data": {"path": "t.csv", "target": "y"},
        "split": {"folds": FOLDS, "repeats": REPEATS},
        "baselines": [],
        "models": {f"m{i:02}": {"penalty": {"kernel": {"l1": i * 1e-4}}} for i in range(MODELS)},
    }
    study = Study(folder / "study", copy_project(folder / "project"), settings)
    rows = [f"{x:.3f},{y:.3f}" for x, y in np.random.default_rng(0).random((100, 2))]
    study.write("t.csv", "\n".join(["x,y", *rows, ""]))
    seconds(study, "results/folds.csv")
    # The table's path is checked where the config is resolved, and is no part of a cell.
    resolved = resolve(settings | {"data": {"path": "sklearn:iris", "target": "y"}})
    descriptions = [json.loads(path.read_text()) for path in study.folder.glob("results/folds/*.json")]
    for model, own in resolved["models"].items():
        for description in descriptions:
            write_cell(study, model, description, identity.specification(own))
        study.write(f"results/oos/{model}.csv", "")
    study.write("results/figures/empty.svg", "")
    study.write("results/scores.csv", "model,repeat,fold,rmse,flags\n")
    study.write("results/scores_by.csv", "model,column,level\n")
    for model in resolved["models"]:
        study.write(f"results/importance/{model}.csv", "repeat,fold,column,importance\n")
    study.write("results/importance.csv", "model,column\n")
    study.write("results/comparison.csv", "model_a,model_b\n")
    study.write("results/rows.csv", "row\n")
    study.write("results/summary.json", '{"models": {}}')
    study.write("results/report.html", "")
    seconds(study, "--touch", "--forcerun", "train_fold")
    return study


def write_cell(study: Study, model: str, description: dict, specification: dict) -> None:
    """The files of one cell, with what the machinery reads of them."""
    about = {
        "fold_name": description["name"],
        "settings": {part: specification[part] for part in ("network", "training", "penalty")},
        "versions": specification["versions"],
        "digests": {part: specification[part] for part in ("code", "cell", "build")}
        | {part: description[part] for part in ("train", "test", "layout")},
    }
    folder = f"results/cells/{model}/{description['repeat']}-{description['fold']}"
    for name in ("model.keras", "history.csv", "predictions.npz"):
        study.write(f"{folder}/{name}", "")
    study.write(f"{folder}/cell.json", json.dumps(about, indent=2))


def seconds(study: Study, *arguments: str) -> tuple[float, Outcome]:
    """Seconds of processor time of a Snakemake run and its children, and what it said."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    outcome = study.snakemake(*arguments)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert outcome.code == 0, outcome.text[-2000:]
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, outcome


def own_share(study: Study) -> float:
    """The share of a dry run, by the profiler, that goes to this package and to the rules' own code."""
    with tempfile.NamedTemporaryFile() as profile:
        command = [sys.executable, "-m", "cProfile", "-o", profile.name, "-m", "snakemake", "--dry-run"]
        where = ["--snakefile", study.project / "Snakefile", "--directory", study.folder, "--cores", "2"]
        subprocess.run([*command, *where], check=True, capture_output=True)
        profiled = pstats.Stats(profile.name)

    def is_own(function: tuple[str, int, str]) -> bool:
        return function[0].startswith((f"{study.project}/scripts", f"{study.project}/rules"))

    own = 0.0
    for called, (*_, callers) in profiled.stats.items():
        # A module's own code is within that of the rules that import it.
        if is_own(called) and (called[2] != "<module>" or "/rules/" in called[0]):
            own += sum(edge[3] for caller, edge in callers.items() if not is_own(caller))
    return own / profiled.total_tt


if __name__ == "__main__":
    main()
