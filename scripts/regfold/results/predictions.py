"""Read an OOS file, as users get it: its `oos_` columns as arrays."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from regfold.config.split_methods import GROUPED
from regfold.data.decimals import numbers_of_either_mark
from regfold.data.oos_names import KEYS, STRENGTH, output_names
from regfold.errors import RegfoldError, quote


@dataclass(frozen=True)
class Predictions:
    """Truth and prediction of every tested row, in the OOS file's order.

    Args:
        row: (n,) text, the row's id or number.
        repeat: (n,) int64, from 1.
        fold: (n,) int64, from 1.
        truth: (n, outputs) float64; one-hot for classes, the target's own units in a regression.
        prediction: (n, outputs) float64; probabilities, or the target's own units.
        strength: (n,) float64, the strength whose network predicted it; None for a model without a path.
        weight: (n,) float64, the row's weight (data.weight) divided by the mean of all lines; None without
            weights.
    """

    row: np.ndarray
    repeat: np.ndarray
    fold: np.ndarray
    truth: np.ndarray
    prediction: np.ndarray
    strength: np.ndarray | None = None
    weight: np.ndarray | None = None

    def strength_of(self, repeat: int, fold: int) -> float | None:
        """The strength whose network predicted a cell's rows; None for a model without a path."""
        if self.strength is None:
            return None
        return float(self.strength[(self.repeat == repeat) & (self.fold == fold)][0])

    def weight_of(self, rows: np.ndarray) -> np.ndarray | None:
        """The weights of the lines at some positions; None without weights."""
        return None if self.weight is None else self.weight[rows]

    def cells(self) -> Iterator[tuple[int, int, np.ndarray]]:
        """(repeat, fold, positions of its lines) for each cell, by repeat and fold."""
        order = np.lexsort((self.fold, self.repeat))
        pairs = np.stack([self.repeat[order], self.fold[order]], axis=1)
        starts = np.flatnonzero(np.any(np.diff(pairs, axis=0, prepend=-1) != 0, axis=1))
        for part in np.split(order, starts[1:]):
            if len(part):
                yield int(self.repeat[part[0]]), int(self.fold[part[0]]), np.sort(part)


def groups(path: str | Path, split: dict) -> np.ndarray | None:
    """The group of each line under the split, int64 (n,) from 0 without gaps; None if rows are independent.

    Under `column` the folds are groups too, since rows of one hospital or one day are alike.

    Args:
        path: the OOS file of any model.
        split: the resolved `split` section.
    """
    if split["method"] not in (*GROUPED, "column"):
        return None
    values = texts(path, [split["column"]]).column(0).to_pandas()
    return pd.factorize(values.str.strip())[0]


def texts(path: str | Path, names: Sequence[str]) -> pa.Table:
    """Some of the table's own columns, as text, from the OOS file of any model."""
    return _read(path, dict.fromkeys(names, pa.string()))


def read(path: str | Path, schema: dict) -> Predictions:
    """Read truth, predictions and, with data.weight, the weights from one OOS file.

    Args:
        path: the file.
        schema: the prepared table's schema.json.

    Raises:
        RegfoldError: if the file lacks a column that the schema requires.
    """
    truth, prediction = output_names(schema)
    types = dict(zip(KEYS, (pa.string(), pa.int64(), pa.int64()), strict=True))
    types |= dict.fromkeys(truth + prediction, pa.float64())
    if has_path := STRENGTH in _header(path):
        types[STRENGTH] = pa.float64()
    table = _read(path, types)

    def matrix(columns: list[str]) -> np.ndarray:
        return np.stack([table[name].to_numpy() for name in columns], axis=1)

    return Predictions(
        row=np.asarray(table["oos_row"].to_pylist(), dtype=object),
        repeat=table["oos_repeat"].to_numpy(),
        fold=table["oos_fold"].to_numpy(),
        truth=matrix(truth),
        prediction=matrix(prediction),
        strength=table[STRENGTH].to_numpy() if has_path else None,
        weight=None if schema["weight"] is None else _weights(path, schema["weight"]),
    )


def _weights(path: str | Path, column: str) -> np.ndarray:
    """The weight of each line divided by their mean, from the column of weights."""
    weights = numbers_of_either_mark(pc.utf8_trim_whitespace(texts(path, [column])[column]))
    return weights / weights.mean()


def _header(path: str | Path) -> list[str]:
    with Path(path).open(newline="", encoding="utf-8") as file:
        return next(csv.reader(file))


def _read(path: str | Path, types: Mapping[str, pa.DataType]) -> pa.Table:
    """The columns of an OOS file that are named in `types`."""
    try:
        return pa.csv.read_csv(
            path,
            read_options=pa.csv.ReadOptions(block_size=1 << 26),  # in bytes, the longest possible line
            parse_options=pa.csv.ParseOptions(newlines_in_values=True),
            convert_options=pa.csv.ConvertOptions(column_types=types, include_columns=list(types)),
        )
    except KeyError as error:
        header = _header(path)
        missing = next(name for name in types if name not in header)
        raise RegfoldError(
            f"{path}: column {quote(missing)} is missing; expected an OOS file of this table"
        ) from error
