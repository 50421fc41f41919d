"""Time a path of 20 strengths on digits (500 epochs): uv run python tests/benchmarks/paths.py.

First the training of one fold, beside one network's; then the whole 20 x 5-fold study, beside scikit-learn's
loop over 20 values of `alpha` (two processes) and the plain script repeated. Of the other programs a part is
timed, as said in the table, and the whole is that multiplied.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import yaml
from programs import TABLES, load, write_table
from speed import ROOT, timed

STRENGTHS = np.geomspace(1e-6, 1e-1, 20).tolist()


def training_seconds(strengths: list[float]) -> float:
    """Train one fold of digits with these strengths of L2 side by side; seconds without the compilation."""
    from regfold.config.strengths import at
    from regfold.data import matrix
    from regfold.training.fitting import Fitting
    from small_study import model

    table = TABLES["digits"]
    rows, truth = load("digits")
    n_train = len(rows) * 4 // 5
    training = {"epochs": table.epochs, "batch_size": table.batch_size, "learning_rate": 0.001}
    settings = model({"hidden": list(table.hidden)}, training, {"kernel": {"l2": STRENGTHS}})
    columns = [{"name": f"x{i}", "kind": "numeric", "start": i, "width": 1} for i in range(table.features)]
    classes = [str(i) for i in range(table.classes)]
    schema = {"classes": classes, "target": ["y"], "task": "classification", "columns": columns}
    features = matrix.padded(rows[:n_train], matrix.padded_length(n_train))
    fitting = Fitting(settings, (42, 1, 1), schema, features, truth[:n_train], 0)
    trainer = fitting.trainer([at(settings["penalty"], strength) for strength in strengths])
    begun = []
    clock = time.monotonic()
    trainer.fit(
        None, save=lambda state: None, on_epoch=lambda epoch, _: begun or begun.append(time.monotonic())
    )
    return time.monotonic() - max(clock, begun[0])


def study(folder: Path, path: Path) -> list[str]:
    """Write the config of the whole study; the command that runs it."""
    table = TABLES["digits"]
    config = {
        "data": {"path": str(path), "target": table.target, "task": "classification"},
        "network": {"hidden": list(table.hidden)},
        "training": {"epochs": table.epochs, "batch_size": table.batch_size},
        "baselines": [],
        "models": {"l2": {"penalty": {"kernel": {"l2": STRENGTHS}}}},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return [
        sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--cores", str(os.cpu_count())
    ]  # fmt: skip


def sklearn_seconds(alphas: list[float], path: Path) -> float:
    """Cross-validate scikit-learn's network of this shape with these values of `alpha`, in two processes."""
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import numpy as np
from pathlib import Path
from programs import TABLES, read
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
table = TABLES["digits"]
_, rows, truth = read(Path({str(path)!r}), table.target)
for alpha in {alphas!r}:
    network = MLPClassifier(
        table.hidden, alpha=alpha, batch_size=table.batch_size, max_iter=table.epochs,
        n_iter_no_change=table.epochs, tol=0, random_state=0,
    )
    folds = KFold(5, shuffle=True, random_state=42)
    model = make_pipeline(StandardScaler(), network)
    cross_val_predict(model, rows, truth, cv=folds, method="predict_proba", n_jobs=2)
"""
    clock = time.monotonic()
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
    return time.monotonic() - clock


def plain_seconds(folder: Path, path: Path) -> float:
    """The plain script, five folds of one network."""
    script = str(Path(__file__).with_name("programs.py"))
    return timed([sys.executable, script, "plain", "digits", str(path)], folder)[0]


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--alphas", type=int, default=2, help="how many of scikit-learn's 20 are timed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--training", action="store_true", help="the first table only")
    arguments = parser.parse_args()
    sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]
    from regfold.runtime import processors

    processors.start(1)
    print("| one fold of digits, 500 epochs | training, s | of one network |\n|---|---|---|")
    one = [training_seconds([1e-3]) for _ in range(arguments.rounds)]
    many = [training_seconds(STRENGTHS) for _ in range(arguments.rounds)]
    for name, seconds in (("one network", one), ("20 strengths side by side", many)):
        print(
            f"| {name} | {np.median(seconds):.2f} | {np.median(seconds) / np.median(one):.1f} |", flush=True
        )
    if arguments.training:
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = write_table("digits", folder)
        ours = timed(study(folder, path), folder)[0]
        part = [STRENGTHS[i] for i in np.linspace(0, 19, arguments.alphas).astype(int)]
        theirs = sklearn_seconds(part, path) * 20 / len(part)
        plain = plain_seconds(folder, path) * 20
    print("\n| 20 strengths x 5 folds x 500 epochs | wall s | regfold is faster by |\n|---|---|---|")
    print(f"| regfold, the whole run | {ours:.0f} | |")
    print(f"| scikit-learn, {len(part)} of 20 strengths timed | {theirs:.0f} | {theirs / ours:.1f} |")
    print(f"| plain script, 1 of 20 strengths timed | {plain:.0f} | {plain / ours:.0f} |")


if __name__ == "__main__":
    main()
