"""A cell's history.csv: the losses of each epoch."""

import csv
from pathlib import Path

import numpy as np


def read_history(path: str | Path) -> dict[str, np.ndarray]:
    """A cell's history.csv: column -> (epochs,) float64, NaN where a cell is empty."""
    with Path(path).open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    return {key: np.array([float(line[key] or "nan") for line in lines]) for key in lines[0]} if lines else {}
