"""Time regfold beside the programs that it replaces, in one run: uv run python tests/benchmarks/speed.py.

Prints two tables of ratios as Markdown: whole programs (wall time, processor time, peak memory of the largest
process), and the trainer alone against Keras' `fit`, epochs in turn.
"""

import argparse
import contextlib
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import yaml
from programs import TABLES, Table, load, write_table

ROOT = Path(__file__).parents[2]
# With permutation importance, saved models and the report, which no other program makes.
WHOLE = "regfold, all that it makes"


def timed(command: list[str], folder: Path) -> tuple[float, float, float, str]:
    """Wall seconds, processor seconds of all processes, peak MB of the largest, and what was printed."""
    # As on a user's machine: some of those for tests keep Python from keeping compiled modules.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before, clock = os.times(), time.monotonic()
    with (folder / "output").open("w+") as output:
        streams = {"stdout": output, "stderr": subprocess.STDOUT}
        process = subprocess.Popen(command, cwd=folder, env=environment, **streams)
        peak = 0
        while process.poll() is None:
            peak = max(peak, *map(resident, family(process.pid)), 0)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.5)
        output.seek(0)
        text = output.read()
    if process.returncode:
        sys.exit(f"{command}\n{text[-3000:]}")
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return time.monotonic() - clock, used, peak / 2**20, text


def family(pid: int) -> list[int]:
    import psutil

    try:
        process = psutil.Process(pid)
        return [pid, *(child.pid for child in process.children(recursive=True))]
    except psutil.Error:
        return []


def resident(pid: int) -> int:
    import psutil

    try:
        return psutil.Process(pid).memory_info().rss
    except psutil.Error:
        return 0


def regfold_study(name: str, path: Path, folder: Path, whole: bool = True) -> list[str]:
    """Write the config of a study of this table; the command that runs it.

    Args:
        whole: with importance, saved models and report; else what the other programs do.
    """
    table = TABLES[name]
    config = {
        "data": {"path": str(path), "target": table.target, "task": "classification"},
        "split": {"repeats": table.repeats},
        "network": {"hidden": list(table.hidden)},
        "training": {"epochs": table.epochs, "batch_size": table.batch_size},
        "baselines": [],
        "report": {} if whole else {"importance": 0},
        "models": {model: {"penalty": penalty} for model, penalty in table.models.items()},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    cores = str(os.cpu_count())
    targets = [] if whole else ["results/scores.csv", *(f"results/oos/{model}.csv" for model in table.models)]
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--cores", cores]
    return [*command, *targets]


def rmse_of(name: str, folder: Path, text: str) -> str:
    """The pooled RMSE of a table's last model, from regfold's results or what a program printed."""
    summary = folder / "results" / "summary.json"
    if not summary.exists():
        return text[text.rindex("RMSE") :].split()[1]
    models = json.loads(summary.read_text())["models"]
    return f"{models[list(TABLES[name].models)[-1]]['rmse']:.4f}"


def whole_programs(names: list[str], programs: list[str]) -> None:
    """One line for each table and program, and how many times its time regfold's is in."""
    print("| table | program | wall s | processor s | peak MB | RMSE | its time over regfold's |")
    print("|---|---|---|---|---|---|---|")
    for name in names:
        measured = {}
        for program in [*programs, "regfold", WHOLE]:
            with tempfile.TemporaryDirectory() as place:
                folder = Path(place)
                path = write_table(name, folder)
                if program in ("regfold", WHOLE):
                    command = regfold_study(name, path, folder, program == WHOLE)
                else:
                    script = str(Path(__file__).with_name("programs.py"))
                    command = [sys.executable, script, program, name, str(path)]
                wall, used, peak, text = timed(command, folder)
                measured[program] = wall, used, peak, rmse_of(name, folder, text)
        for program, (wall, used, peak, rmse) in measured.items():
            ratio = "" if program == "regfold" else f"{wall / measured['regfold'][0]:.2f}"
            print(
                f"| {name} | {program} | {wall:.1f} | {used:.1f} | {peak:.0f} | {rmse} | {ratio} |",
                flush=True,
            )


def trainer_alone(names: list[str], rounds: int) -> None:
    """Milliseconds an epoch: Keras' `fit` with all its defaults, and the compiled epoch, in turn.

    Each is in a process of its own, since the number of TensorFlow's threads is the process'.
    """
    print("\n| table | Keras fit, ms an epoch | compiled, ms an epoch | ratio | compiling, s |")
    print("|---|---|---|---|---|")
    for name in names:
        with Turns("fit", name) as fit, Turns("compiled", name) as compiled:
            turns = [(fit.turn(), compiled.turn()) for _ in range(rounds)]
        slow, fast = (statistics.median(times) for times in zip(*turns, strict=True))
        print(
            f"| {name} | {slow:.1f} | {fast:.2f} | {slow / fast:.1f} | {compiled.first / 1000:.1f} |",
            flush=True,
        )


class Turns:
    """A process that trains some epochs whenever it is asked, and says how long one took.

    Attributes:
        first: milliseconds of its first epoch, with what is compiled in it.
    """

    def __init__(self, kind: str, name: str):
        command = [sys.executable, __file__, "--epochs-of", kind, name]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.first = float(self.process.stdout.readline())

    def turn(self) -> float:
        """Milliseconds an epoch."""
        print(file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())

    def __enter__(self) -> "Turns":
        return self

    def __exit__(self, *_) -> None:
        self.process.communicate()


def epochs_of(kind: str, name: str) -> None:
    """Train an epoch, and some more for each line on the standard input; print milliseconds an epoch."""
    table = TABLES[name]
    rows, truth = load(name)
    n_train = len(rows) * 4 // 5
    rows, truth = rows[:n_train], truth[:n_train]
    epochs = (of_keras if kind == "fit" else of_regfold)(table, rows, truth)
    several = 10 if name == "digits" else 1

    def timed_epochs(count: int) -> float:
        clock = time.monotonic()
        epochs(count)
        return 1000 * (time.monotonic() - clock) / count

    print(timed_epochs(1), flush=True)
    timed_epochs(several)
    for _ in sys.stdin:
        print(timed_epochs(several), flush=True)


def of_keras(table: Table, rows: np.ndarray, truth: np.ndarray):
    """Trains epochs with `fit`, with the defaults of Keras and TensorFlow."""
    from programs import keras_network

    network = keras_network(table)
    network.compile(loss="categorical_crossentropy", optimizer="adam")
    one_hot = np.eye(table.classes, dtype=np.float32)[truth]

    def several(count: int) -> None:
        network.fit(rows, one_hot, batch_size=table.batch_size, epochs=count, verbose=0)

    return several


def of_regfold(table: Table, rows: np.ndarray, truth: np.ndarray):
    """Trains epochs with the trainer's program, in a process as a job's."""
    sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]
    from regfold.data import matrix
    from regfold.runtime import processors

    processors.start(
        processors.pool_size(table.features, table.classes, list(table.hidden), table.batch_size)
    )
    from regfold.training.network import build_core
    from regfold.training.optimizer import learning_rates
    from regfold.training.programs.base import padded_rows
    from regfold.training.seeds import batch_order
    from regfold.training.trainer import Trainer
    from small_study import model

    settings = model(
        {"hidden": list(table.hidden)},
        {"batch_size": table.batch_size, "epochs": 10_000, "learning_rate": 0.001},
        next(iter(table.models.values())),
    )
    key = (42, 1, 1)
    core = build_core(table.features, table.classes, "softmax", settings["network"], settings["penalty"], key)
    features = matrix.padded(rows, matrix.padded_length(len(rows)))
    trainer = Trainer(
        core,
        padded_rows(features, truth.astype(np.int32)),
        None,
        np.arange(table.features, dtype=np.int32),
        task="classification",
        n_outputs=table.classes,
        key=key,
        network=settings["network"],
        training=settings["training"],
        penalties=[settings["penalty"]],
    )
    trainer.begin(None)
    epochs = itertools.count(1)
    orders = (batch_order(*key, epoch, len(rows)) for epoch in epochs)
    rates = learning_rates(settings["training"], len(rows), 1)

    def several(count: int) -> None:
        for start in range(0, count, trainer.program.most_epochs):
            some = [next(orders) for _ in range(min(count - start, trainer.program.most_epochs))]
            trainer.program.epochs(some, np.stack([rates] * len(some)))

    return several


def main() -> None:
    """Print machine, versions and both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--programs", nargs="*", default=["plain", "sklearn"])
    parser.add_argument("--rounds", type=int, default=9, help="epochs of each kind in the second table")
    parser.add_argument("--epochs-of", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--trainer", action="store_true", help="the second table only")
    arguments = parser.parse_args()
    if arguments.epochs_of:
        epochs_of(*arguments.epochs_of)
        return
    libraries = ", ".join(
        f"{name} {version(name)}" for name in ("keras", "tensorflow", "scikit-learn", "snakemake")
    )
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{time.strftime('%Y-%m-%d')}, {machine}, {libraries}\n")
    if not arguments.trainer:
        whole_programs(arguments.tables, arguments.programs)
    trainer_alone([name for name in arguments.tables if name != "penguins"], arguments.rounds)


if __name__ == "__main__":
    main()
