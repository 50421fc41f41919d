"""Time regfold beside the programs that it replaces, in one run: uv run python tests/benchmarks/speed.py.

Prints two tables of ratios as Markdown: whole programs (wall time, processor time, peak memory of the largest
process), and the trainer alone against Keras' `fit`, epochs in turn.
"""

import argparse
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
import pyarrow as pa
import pyarrow.parquet as parquet
from programs import TABLES, load

ROOT = Path(__file__).parents[2]
CONFIG = """
data: {{path: "{path}", target: target, task: classification}}
network: {{hidden: {hidden}}}
training: {{epochs: {epochs}, batch_size: {batch_size}}}
models:
  l1: {{penalty: {{activity: {{l1: 1.0e-4}}}}}}
"""


def timed(command: list[str], folder: Path) -> tuple[float, float, float, str]:
    """Wall seconds, processor seconds of all processes, peak MB of the largest, and what was printed."""
    before, clock = os.times(), time.monotonic()
    with (folder / "output").open("w+") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
        peak = 0
        while process.poll() is None:
            peak = max(peak, *map(resident, family(process.pid)), 0)
            time.sleep(0.5)
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


def regfold_study(name: str, folder: Path) -> list[str]:
    """Write a study of this table; the command that runs it."""
    table, path = TABLES[name], "sklearn:digits"
    if name != "digits":
        rows, truth = load(name)
        columns = {f"x{j}": rows[:, j] for j in range(rows.shape[1])}
        parquet.write_table(pa.table({**columns, "target": truth}), folder / "table.parquet")
        path = "table.parquet"
    text = CONFIG.format(
        path=path, hidden=list(table.hidden), epochs=table.epochs, batch_size=table.batch_size
    )
    (folder / "config.yaml").write_text(text)
    cores = str(os.cpu_count())
    return [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--cores", cores]


def whole_programs(names: list[str], programs: list[str]) -> None:
    """One line for each table and program, and how many times faster regfold's whole run is."""
    print("| table | program | wall s | processor s | peak MB | RMSE | regfold is faster by |")
    print("|---|---|---|---|---|---|---|")
    for name in names:
        measured = {}
        for program in [*programs, "regfold"]:
            with tempfile.TemporaryDirectory() as folder:
                if program == "regfold":
                    command = regfold_study(name, Path(folder))
                else:
                    command = [sys.executable, str(Path(__file__).with_name("programs.py")), program, name]
                measured[program] = timed(command, Path(folder))
        for program, (wall, used, peak, text) in measured.items():
            rmse = text[text.rindex("RMSE") :].replace("):", "").split()[1]
            ratio = "" if program == "regfold" else f"{wall / measured['regfold'][0]:.1f}"
            print(
                f"| {name} | {program} | {wall:.1f} | {used:.1f} | {peak:.0f} | {rmse} | {ratio} |",
                flush=True,
            )


def trainer_alone(names: list[str], rounds: int) -> None:
    """Milliseconds an epoch, Keras' default `fit` and the compiled epoch in turn, one process."""
    sys.path.insert(0, str(ROOT / "scripts"))
    from regfold import processors

    pools = {
        name: processors.pool_size(t.features, t.classes, list(t.hidden), t.batch_size)
        for name, t in TABLES.items()
        if name in names
    }
    print("\n| table | threads | Keras fit, ms an epoch | compiled, ms an epoch | ratio | compiling, s |")
    print("|---|---|---|---|---|---|")
    for name in names:
        command = [sys.executable, __file__, "--epochs-of", name, "--rounds", str(rounds)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        fit, compiled, compiling = map(float, done.stdout.splitlines()[-1].split())
        ratio = fit / compiled
        print(
            f"| {name} | {pools[name]} | {fit:.1f} | {compiled:.2f} | {ratio:.1f} | {compiling:.1f} |",
            flush=True,
        )


def epochs_of(name: str, rounds: int) -> None:
    """Print median milliseconds of an epoch of `fit` and of the trainer, and seconds to compile."""
    sys.path.insert(0, str(ROOT / "scripts"))
    from regfold import processors

    table = TABLES[name]
    rows, truth = load(name)
    n_train = len(rows) * 4 // 5
    rows, truth = rows[:n_train], np.eye(table.classes, dtype=np.float32)[truth[:n_train]]
    processors.start(
        processors.pool_size(table.features, table.classes, list(table.hidden), table.batch_size)
    )
    from programs import keras_network
    from regfold.trainer import Trainer

    plain = keras_network(table)
    plain.compile(loss="categorical_crossentropy", optimizer="adam")
    trainer = Trainer(
        keras_network(table),
        rows,
        truth,
        task="classification",
        training={
            "batch_size": table.batch_size,
            "epochs": 1000,
            "optimizer": {"name": "adam"},
            "learning_rate": 0.001,
            "schedule": {"name": "constant"},
            "early_stopping": None,
        },
        weight_decay=0.0,
        key=(42, 1, 1),
    )
    clock = time.monotonic()
    trainer._train_epoch(1)
    compiling = time.monotonic() - clock
    plain.fit(rows, truth, batch_size=table.batch_size, epochs=1, verbose=0)
    times = {"fit": [], "compiled": []}
    several = 10 if name == "digits" else 1
    for turn in range(rounds):
        clock = time.monotonic()
        plain.fit(rows, truth, batch_size=table.batch_size, epochs=1, verbose=0)
        times["fit"].append(time.monotonic() - clock)
        clock = time.monotonic()
        for epoch in range(several):
            trainer._train_epoch(2 + turn * several + epoch)
        times["compiled"].append((time.monotonic() - clock) / several)
    print(*(1000 * statistics.median(seconds) for seconds in times.values()), compiling)


def main() -> None:
    """Print machine, versions and both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--programs", nargs="*", default=["plain", "options", "sklearn"])
    parser.add_argument("--rounds", type=int, default=7, help="epochs of each kind in the second table")
    parser.add_argument("--epochs-of", choices=TABLES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.epochs_of:
        epochs_of(arguments.epochs_of, arguments.rounds)
        return
    libraries = ", ".join(
        f"{name} {version(name)}" for name in ("keras", "tensorflow", "scikit-learn", "snakemake")
    )
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{time.strftime('%Y-%m-%d')}, {machine}, {libraries}\n")
    whole_programs(arguments.tables, arguments.programs)
    trainer_alone(arguments.tables, arguments.rounds)


if __name__ == "__main__":
    main()
