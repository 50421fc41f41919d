"""Memory and time of many cells in one worker: uv run python tests/benchmarks/many_cells.py [--cells 200].

A real run of penguins on one core. A cell's peak of resident memory and its processor time are those that the
run writes under benchmarks/. Two kinds of network take turns, so that programs are kept for both.
"""

import argparse
import csv
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONFIG = """
data: {{path: penguins.csv, target: species}}
split: {{folds: 5, repeats: {repeats}}}
training: {{epochs: 50}}
models: {{plain: {{}}, dropout: {{penalty: {{dropout: 0.2}}}}}}
"""


def run(study: Path, cells: int) -> list[dict]:
    """Train the cells; for each, in the order in which they ended, what it used."""
    shutil.copy(ROOT / "data" / "penguins.csv", study)
    (study / "config.yaml").write_text(CONFIG.format(repeats=-(-cells // 10)))
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--cores", "1"]
    command += ["--quiet", "all", "--", "results/oos/plain.csv", "results/oos/dropout.csv"]
    subprocess.run(command, cwd=study, env=os.environ | {"REGFOLD_GPUS": "none"}, check=True)
    lines = []
    for path in sorted(study.glob("benchmarks/train_fold/*/*.tsv"), key=lambda path: path.stat().st_mtime_ns):
        with path.open(newline="") as file:
            lines += csv.DictReader(file, delimiter="\t")
    return lines


def main() -> None:
    """Print a line for the first cell of each network, and for every twentieth."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cells", type=int, default=200)
    with tempfile.TemporaryDirectory() as study:
        lines = run(Path(study), parser.parse_args().cells)
    print("| cell | peak of resident memory, MB | processor time, s |\n|---|---|---|")
    for number, used in enumerate(lines, start=1):
        if number <= 3 or number % 20 == 0:
            print(f"| {number} | {used['max_rss']} | {used['cpu_time']} |")


if __name__ == "__main__":
    main()
