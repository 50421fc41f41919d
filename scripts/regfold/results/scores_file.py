"""results/scores.csv, a line per cell: written here, and read back for the report."""

import csv
from collections.abc import Sequence
from pathlib import Path

from regfold import files

SEPARATOR = "; "
WHOLE_NUMBERS = ("repeat", "fold", "n_train", "n_test", "epochs")


def write(path: str | Path, lines: Sequence[dict]) -> None:
    """Writes what `metrics.scores` returned. Undefined values are empty, those that are not finite `nan`."""
    with files.atomic(path) as temporary, Path(temporary).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(lines[0]), lineterminator="\n")
        writer.writeheader()
        for line in lines:
            writer.writerow({**line, "flags": SEPARATOR.join(line["flags"])})


def read(path: str | Path) -> list[dict]:
    """The lines of scores.csv as `metrics.scores` returned them."""
    with Path(path).open(newline="", encoding="utf-8") as file:
        return [{key: _value(key, text) for key, text in line.items()} for line in csv.DictReader(file)]


def _value(key: str, text: str) -> object:
    if key == "model":
        return text
    if key == "flags":
        return text.split(SEPARATOR) if text else []
    if key in WHOLE_NUMBERS:
        return int(text)
    return float(text) if text else None
