"""Peak memory of one training job on a large table: uv run python tests/benchmarks/memory.py.

The job is the real one (runtime.job.train) on a prepared table of random numbers, in a process of its own.
"""

import argparse
import io
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))


def prepare(study: Path, n_rows: int, n_features: int) -> None:
    """Write what prepare_data and split_folds would have written, for five folds and two classes."""
    from regfold.provenance import identity

    prepared, generator = study / "results" / "prepared", np.random.default_rng(0)
    prepared.mkdir(parents=True)
    features = np.lib.format.open_memmap(
        prepared / "features.npy", "w+", dtype=np.float32, shape=(n_rows, n_features)
    )
    for start in range(0, n_rows, 100_000):
        part = features[start : start + 100_000]
        part[:] = generator.standard_normal(part.shape, dtype=np.float32)
    np.save(prepared / "target.npy", (features[:, 0] > 0).astype(np.int32))
    np.save(prepared / "weights.npy", np.empty(0))
    np.save(prepared / "assignment.npy", generator.integers(1, 6, (1, n_rows), dtype=np.int32))
    np.save(prepared / "codes.npy", np.zeros(n_rows, np.int32))
    np.save(prepared / "digests.npy", generator.integers(256, size=(n_rows, 16), dtype=np.uint8))
    columns = [
        {"name": f"x{j}", "kind": "numeric", "start": j, "width": 1, "levels": None}
        for j in range(n_features)
    ]
    schema = {"columns": columns, "classes": ["0", "1"], "target": ["y"], "task": "classification"}
    (prepared / "schema.json").write_text(json.dumps(schema | {"width": n_features}))
    described = dict.fromkeys(identity.DIGESTS, "digest") | {"n_train": n_rows, "width": n_features}
    fold = {"repeat": 1, "fold": 1, "name": "1", **described}
    (study / "fold.json").write_text(json.dumps(fold))


def train(early_stopping: bool) -> None:
    """Run the job in the current folder; print its peak in MB before training (libraries alone) and after."""
    from regfold.config.resolve import resolve
    from regfold.provenance import identity
    from regfold.runtime import job

    training = {"epochs": 2, "batch_size": 1024}
    training |= {"early_stopping": {"fraction": 0.1, "patience": 20}} if early_stopping else {}
    raw = {"data": {"path": "sklearn:iris", "target": "y"}, "training": training, "models": {"m": {}}}
    config = resolve(raw)
    prepared = Path("results/prepared")
    specification = identity.specification(config["models"]["m"])
    out, terminal = Path("results/cells/m/1-1"), io.StringIO()
    job.train(
        "m",
        specification,
        config,
        description=Path("fold.json"),
        prepared=prepared,
        out=out,
        used=Path("benchmarks/m.tsv"),
        terminal=terminal,
    )
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Print a line for each case: peak, training matrix, and the bound of 0.8 GB + 2.2 times the matrix."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--features", type=int, default=100)
    parser.add_argument("--train", choices=["plain", "early"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train:
        train(arguments.train == "early")
        return
    print("| case | training matrix, MB | peak, MB | 0.8 GB + 2.2 x matrix, MB |\n|---|---|---|---|")
    matrix = arguments.rows * 4 / 5 * arguments.features * 4 / 2**20
    for case in ("plain", "early"):
        with tempfile.TemporaryDirectory() as study:
            prepare(Path(study), arguments.rows, arguments.features)
            command = [sys.executable, str(Path(__file__).resolve()), "--train", case]
            done = subprocess.run(command, cwd=study, capture_output=True, text=True)
            if done.returncode:
                sys.exit(done.stderr)
            peak = float(done.stdout.splitlines()[-1])
        print(
            f"| {case} | {matrix:.0f} | {peak:.0f} | {0.8 * 1000**3 / 2**20 + 2.2 * matrix:.0f} |", flush=True
        )


if __name__ == "__main__":
    main()
