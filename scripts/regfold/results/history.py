"""A cell's history.csv: the losses of each epoch."""

import csv
from pathlib import Path

import numpy as np

from regfold import files


def read_history(path: str | Path, strength: float | None = None) -> dict[str, np.ndarray]:
    """A cell's history.csv: column -> (epochs,) float64, NaN where a cell is empty.

    Args:
        path: the file.
        strength: for a model with a path, the strength whose lines are returned.

    Raises:
        RegfoldError: if it is damaged: empty, a line has more or fewer cells, or a cell is not a number.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            names, *lines = csv.reader(file, strict=True)
        columns = {
            name: np.array([float(cell or "nan") for cell in cells])
            for name, *cells in zip(names, *lines, strict=True)
        }
    except (ValueError, csv.Error):
        raise files.damaged(path, "is not a table of numbers") from None
    if strength is None:
        return columns
    own = columns.pop("strength") == strength
    return {name: values[own] for name, values in columns.items()}
