"""scores_by.csv: each model's scores for each level of a column."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from regfold.data.decimals import numbers_of_either_mark
from regfold.formatting import significant
from regfold.results import metrics, predictions
from regfold.results.intervals import of_mean
from regfold.results.metrics import deviations
from regfold.results.predictions import Predictions

# Numbers with more distinct values are divided into quarters, which are the levels.
FEW_VALUES = 4
# A level with fewer rows is marked as small.
SMALL = 30
MISSING = "(missing)"
KEYS = ["model", "column", "level", "n", "small"]


@dataclass(frozen=True)
class Levels:
    """The levels of a column of the table.

    Attributes:
        names: in order; missing values are a level of their own, the last.
        codes: int64 (n,), each line's level, as a position in `names`.
    """

    names: list[str]
    codes: np.ndarray


def of_columns(path: str | Path, columns: Sequence[str], missing: Sequence[str]) -> dict[str, Levels]:
    """column -> the level of each line of an OOS file; see `levels`.

    Args:
        path: the OOS file of any model.
        columns: columns of the table.
        missing: see `levels`.
    """
    cells = predictions.texts(path, columns) if columns else {}
    return {name: levels(cells[name], missing) for name in columns}


def levels(cells: pa.ChunkedArray, missing: Sequence[str]) -> Levels:
    """The levels of a column.

    If it holds numbers with more than FEW_VALUES distinct values, its quarters are the levels, each including
    its upper end.

    Args:
        cells: (n,) text, the column as it is in the table.
        missing: the cells that mean "missing", compared without surrounding blanks.
    """
    trimmed = pc.utf8_trim_whitespace(cells)
    is_missing = pc.is_in(trimmed, value_set=pa.array(missing, pa.string())).to_numpy(zero_copy_only=False)
    present = trimmed.filter(pa.array(~is_missing))
    found = numbers_of_either_mark(present)
    if found is None or len(np.unique(found)) <= FEW_VALUES or not np.isfinite(found).all():
        order = found if found is not None else present.to_numpy(zero_copy_only=False)
        codes, names = _labelled(present.to_numpy(zero_copy_only=False), order)
    else:
        codes, edges = pd.qcut(found, 4, labels=False, retbins=True, duplicates="drop")
        ends = [significant(float(edge)) for edge in edges]
        names = [f"Q{i}: {low} to {high}" for i, (low, high) in enumerate(pairwise(ends), start=1)]
    all_codes = np.full(len(is_missing), len(names))
    all_codes[~is_missing] = codes
    return Levels([*names, MISSING] if is_missing.any() else names, all_codes)


def _labelled(texts: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Codes and names of texts, sorted by `order`, their values; texts of equal value are one level."""
    _, first, codes = np.unique(order, return_index=True, return_inverse=True)
    return codes, texts[first].tolist()


def table(
    schema: dict,
    models: Mapping[str, Predictions],
    scores: pd.DataFrame,
    columns: Mapping[str, Levels],
    method: str,
    groups: np.ndarray | None,
    chosen: Sequence[metrics.Metric] = (),
) -> pd.DataFrame:
    """A line for each model, column and level that a tested row has.

    Args:
        schema: the prepared table's schema.json.
        models: model -> its OOS predictions.
        scores: scores.csv, see `scores.table`.
        columns: column -> the level of each line of an OOS file.
        method: `split.method`.
        groups: (n,) int, the group of each line of an OOS file; None without groups.
        chosen: all metrics, the headline first, see `metrics.reported`; (): those of the task.

    Returns:
        model, column, level, n (rows, each counted once), small (bool: fewer than SMALL rows), the task's
        metrics over the level's rows (NaN where undefined), and the 95 % interval of each RMSE, `<rmse>_low`
        and `<rmse>_high` (NaN if there is none), see `intervals.of_mean`. Another headline follows with its
        interval, and with its value if it is user-defined. A headline that is not a mean over rows has no
        interval, since a level has too few rows in each fold.
    """
    known = metrics.of(schema["task"], len(schema["target"]))
    compared = metrics.compared(chosen or known)
    scored = (*known, *(metric for metric in compared if metric not in known))
    means = [metric for metric in compared if metric.row_loss]
    lines = []
    for model, oos in models.items():
        deviation, rows = deviations(oos.truth), pd.factorize(oos.row)[0]
        units = rows if groups is None else groups
        of_model = scores[scores["model"] == model]
        cell = pd.MultiIndex.from_frame(of_model[["repeat", "fold"]]).get_indexer(
            pd.MultiIndex.from_arrays([oos.repeat, oos.fold])
        )
        n_train = of_model["n_train"].to_numpy()
        for column, found in columns.items():
            for code, level in enumerate(found.names):
                part = np.flatnonzero(found.codes == code)
                n = len(np.unique(rows[part]))
                if oos.weight is not None:
                    part = part[oos.weight[part] > 0]
                truth, prediction, weight = oos.truth[part], oos.prediction[part], oos.weight_of(part)
                line = dict(zip(KEYS, (model, column, level, n, n < SMALL), strict=True))
                line |= metrics.score(scored, truth, prediction, deviation, weight)
                for metric in means if len(part) else ():
                    losses = metrics.row_losses(metric, truth, prediction, deviation)
                    in_cells, of_cell = np.unique(cell[part], return_inverse=True)
                    n_test = np.bincount(of_cell, weight)
                    interval = of_mean(
                        metric,
                        losses,
                        np.unique(units[part], return_inverse=True)[1],
                        np.bincount(of_cell, losses if weight is None else weight * losses) / n_test,
                        n_test,
                        n_train[in_cells],
                        of_model["repeat"].nunique(),
                        method,
                        weight,
                    )
                    line |= {f"{metric.name}_low": interval.low, f"{metric.name}_high": interval.high}
                lines.append(line)
    ends = [f"{metric.name}_{end}" for metric in compared for end in ("low", "high")]
    names = [metric.name for metric in scored]
    return pd.DataFrame(lines, columns=[*KEYS, *names, *ends]).astype(dict.fromkeys(ends, float))


def read(path: str | Path) -> pd.DataFrame:
    """scores_by.csv as `table` returned it."""
    numeric = pd.read_csv(path, nrows=0).columns.difference(KEYS[:3])
    return pd.read_csv(
        path,
        dtype=dict.fromkeys(KEYS[:3], str),
        keep_default_na=False,  # a level may be called NA
        na_values={name: [""] for name in numeric},
    )
