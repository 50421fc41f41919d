"""importance.csv: the permutation importance of each column, and which columns are correlated."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from regfold.data.layout import inputs_of
from regfold.results.intervals import from_cells, sizes

COLUMNS = ["model", "column", "importance", "low", "high", "top_five", "correlated"]
TEXTS = ("model", "column", "correlated")
SEPARATOR = "; "
TOP = 5
CORRELATED = 0.9
# Correlations are computed from so many rows, for so many matrix columns at a time.
MOST_ROWS, BLOCK = 2_000, 1_000


def table(
    paths: Sequence[str | Path], scores: pd.DataFrame, features: str | Path, schema: dict, method: str
) -> pd.DataFrame:
    """A line for each model and column, the most important ones first.

    Args:
        paths: the models' results/importance/<model>.csv, see permutation_importance.measure.
        scores: scores.csv, see `scores.table`.
        features: the design matrix, a .npy file.
        schema: the prepared table's schema.json.
        method: `split.method`; folds in the order of time are not exchangeable and allow no interval.

    Returns:
        model, column, importance (the mean over cells of the increase of the RMSE), low and high (its 95 %
        interval, corrected resampled t over cells; NaN where there is none), top_five (the share of cells in
        which the column is one of the five most important), correlated (columns that correlate above 0.9).
    """
    lines, correlated = [], correlations(features, inputs_of(schema["columns"])) if paths else {}
    for path in paths:
        model = Path(path).stem
        measured = pd.read_csv(
            path,
            dtype={"column": str},
            keep_default_na=False,  # a column may be called NA
            na_values={"importance": ["nan"]},
        )
        of_model = scores[scores["model"] == model].set_index(["repeat", "fold"])
        wide = measured.pivot(index=["repeat", "fold"], columns="column", values="importance")
        wide = wide[measured["column"].unique()]  # in the table's order, which breaks ties
        counts = sizes(of_model.loc[wide.index])
        ranks = wide.rank(axis=1, ascending=False, method="first")
        for column in wide:
            values = wide[column].to_numpy()
            mean = np.average(values, weights=counts[0])
            line = {"model": model, "column": column, "importance": mean}
            if len(values) > 1 and method != "time":
                half = from_cells(values, *counts).half_width()
                line |= {"low": mean - half, "high": mean + half}
            line["top_five"] = float((ranks[column] <= TOP).mean())
            line["correlated"] = SEPARATOR.join(correlated.get(column, []))
            lines.append(line)
    frame = pd.DataFrame(lines, columns=COLUMNS)
    order = frame.groupby("model", sort=False).ngroup()
    return frame.assign(order=order).sort_values(
        ["order", "importance"], ascending=[True, False], kind="stable", ignore_index=True
    )[COLUMNS]


def correlations(features: str | Path, inputs: Mapping[str, Sequence[int]]) -> dict[str, list[str]]:
    """column -> the columns that correlate above 0.9 with it; columns without any are left out.

    The correlation of two columns is the largest absolute correlation between a matrix column of one and a
    matrix column of the other, over about 2,000 rows; missing numbers are replaced by the mean.

    Args:
        features: the design matrix, a .npy file.
        inputs: column -> its matrix columns, see layout.inputs_of.
    """
    matrix = np.load(features, mmap_mode="r")
    rows = matrix[:: max(1, len(matrix) // MOST_ROWS)].astype(np.float64)
    missing = np.isnan(rows)
    rows[missing] = 0
    rows -= rows.sum(axis=0) / np.maximum((~missing).sum(axis=0), 1)
    rows[missing] = 0
    size = np.linalg.norm(rows, axis=0)
    rows = (rows / np.where(size > 0, size, 1)).astype(np.float32)
    names, owner = list(inputs), np.empty(rows.shape[1], int)
    for place, positions in enumerate(inputs.values()):
        owner[positions] = place
    pairs: set[tuple[int, int]] = set()
    for start in range(0, rows.shape[1], BLOCK):
        block = np.abs(rows[:, start : start + BLOCK].T @ rows)
        first, second = np.nonzero(block > CORRELATED)
        pairs |= set(zip(owner[first + start].tolist(), owner[second].tolist(), strict=True))
    found: dict[str, list[str]] = {}
    for first, second in sorted(pairs):
        if first != second:
            found.setdefault(names[first], []).append(names[second])
    return found


def read(path: str | Path) -> pd.DataFrame:
    """importance.csv as `table` returned it."""
    numeric = [name for name in COLUMNS if name not in TEXTS]
    return pd.read_csv(
        path,
        dtype=dict.fromkeys(TEXTS, str),
        keep_default_na=False,  # a column may be called NA
        na_values={name: [""] for name in numeric},
    )
