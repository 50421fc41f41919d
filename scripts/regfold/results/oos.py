"""The row contract: every line of an out-of-sample file carries its own row's cells, truth and prediction."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet

from regfold import files
from regfold.errors import RegfoldError
from regfold.splits import folds


@dataclass(frozen=True)
class Prepared:
    """What prepare_data and split_folds wrote.

    Attributes:
        folder: results/prepared.
        schema: the table's schema.
        table: the kept rows' cells as text, in the table's order.
        names: each row's name, in canonical order.
        position: int64 (n,), each row's place in the table, in canonical order.
        target: (n,) class codes or (n, n_targets) numbers, in canonical order.
        assignment: int32 (repeats, n), the fold in which each row is tested, 0 for none; canonical order.
    """

    folder: Path
    schema: dict
    table: pa.Table
    names: pa.Array
    position: np.ndarray
    target: np.ndarray
    assignment: np.ndarray


def read_prepared(folder: Path, assignment: Path | None = None) -> Prepared:
    """Read results/prepared/ and the assignment of rows to folds, which is there too unless it is named."""
    rows = parquet.read_table(folder / "rows.parquet")
    return Prepared(
        folder=folder,
        schema=json.loads((folder / "schema.json").read_text(encoding="utf-8")),
        table=parquet.read_table(folder / "table.parquet"),
        names=rows["row"].combine_chunks(),
        position=rows["position"].to_numpy(),
        target=np.load(folder / "target.npy"),
        assignment=np.load(assignment or folder / "assignment.npy"),
    )


def output_names(schema: dict) -> tuple[list[str], list[str]]:
    """The columns of the truth and of the predictions, as they stand in the file."""
    if schema["task"] == "classification":
        endings = [f"_{name}" for name in schema["classes"]]
    else:
        endings = [f"_{name}" for name in schema["target"]] if len(schema["target"]) > 1 else [""]
    return [f"oos_y{ending}" for ending in endings], [f"oos_pred{ending}" for ending in endings]


def merge(prepared: Prepared, predictions: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]]) -> pa.Table:
    """Join every prediction to its own row.

    Args:
        prepared: the table and who tests what.
        predictions: for each (repeat, fold): the rows, int64 (n_test,) canonical, and their predictions,
            (n_test, n_outputs), float32 probabilities or float64 numbers in the targets' units.

    Returns:
        the file's content as text: the table's columns, then oos_row, oos_repeat, oos_fold, for classes
        oos_label, then truth and predictions; lines by repeat, then in the table's order.

    Raises:
        RegfoldError: if the cells do not predict exactly the rows that they are to test, each once.
    """
    n_outputs = len(output_names(prepared.schema)[0])
    dtype = np.float32 if prepared.schema["task"] == "classification" else np.float64
    parts = []
    for repeat, tested in enumerate(prepared.assignment, start=1):
        values = np.zeros((len(tested), n_outputs), dtype)
        for fold in np.unique(tested[tested > 0]):
            rows, predicted = predictions.get((repeat, int(fold)), (np.empty(0), np.empty(0)))
            expected = np.flatnonzero(tested == fold)
            if not np.array_equal(np.sort(rows), expected) or predicted.shape != (len(expected), n_outputs):
                raise RegfoldError(
                    f"repeat {repeat}, fold {fold}: the predictions are not for the rows that the fold tests"
                )
            values[rows] = predicted
        canonical = np.argsort(prepared.position, kind="stable")
        canonical = canonical[tested[canonical] > 0]
        parts.append(_lines(prepared, repeat, canonical, tested[canonical], values[canonical]))
    return pa.concat_tables(parts)


def _lines(
    prepared: Prepared, repeat: int, rows: np.ndarray, folds: np.ndarray, values: np.ndarray
) -> pa.Table:
    schema, target = prepared.schema, prepared.target[rows]
    truth_names, prediction_names = output_names(schema)
    columns = dict(
        zip(prepared.table.column_names, prepared.table.take(prepared.position[rows]).columns, strict=True)
    )
    columns["oos_row"] = prepared.names.take(pa.array(rows))
    columns["oos_repeat"] = _text(np.full(len(rows), repeat))
    columns["oos_fold"] = _text(folds)
    if schema["task"] == "classification":
        broken = np.isnan(values).any(axis=1)
        labels = np.array([*schema["classes"], ""], object)
        columns["oos_label"] = pa.array(labels[np.where(broken, -1, values.argmax(axis=1))], pa.string())
        truth = [_text((target == code).astype(np.int8)) for code in range(len(schema["classes"]))]
    else:
        truth = [_text(column) for column in target.T]
    columns |= dict(zip(truth_names, truth, strict=True))
    columns |= dict(zip(prediction_names, (_text(np.ascontiguousarray(v)) for v in values.T), strict=True))
    return pa.table(columns)


def _text(values: np.ndarray) -> pa.Array:
    """Numbers as the shortest text that reads back to the same number."""
    return pa.array(values).cast(pa.string())


def read_cells(
    prepared: Prepared, folders: list[Path]
) -> dict[tuple[int, int], tuple[np.ndarray, np.ndarray]]:
    """The rows and predictions of a model's cells, by (repeat, fold); see `read_cell`."""
    cells = {}
    for folder in folders:
        description = prepared.folder.parent / "folds" / f"{folder.name}.json"
        expected = json.loads(description.read_text(encoding="utf-8"))
        repeat, fold = expected["repeat"], expected["fold"]
        tested = np.flatnonzero(prepared.assignment[repeat - 1] == fold)
        cells[repeat, fold] = read_cell(folder, expected, tested)
    return cells


def read_cell(folder: Path, expected: dict, tested: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A cell's rows and predictions, once its files are found to be what the cell wrote for these rows.

    Args:
        folder: the cell's folder.
        expected: the fold's description (results/folds/<repeat>-<fold>.json).
        tested: int64 (n_test,), the rows that the fold tests, canonical and in order.

    Raises:
        RegfoldError: if a file is missing or damaged, or the cell tested other rows.
    """
    about = json.loads((folder / "cell.json").read_text(encoding="utf-8"))
    if damaged := damaged_files(folder, about):
        raise RegfoldError(f"{folder / damaged[0]}: damaged since it was written; remove it and run again")
    if not folds.belongs(about, expected):
        raise RegfoldError(f"{folder}: belongs to other rows than the table has now; run again")
    return predictions(folder, tested)


def predictions(folder: Path, tested: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows that a cell tested, and their predictions.

    The rows' digest vouches for them, one by one. Where a fold neither learns from nor tests a row that came
    or went (method time), its cell is kept, and its rows have other numbers than when it was trained.
    """
    with np.load(folder / "predictions.npz") as archive:
        rows, predicted = archive["row"], archive["prediction"]
    return tested[np.argsort(np.argsort(rows))], predicted


def damaged_files(folder: str | Path, about: dict) -> list[str]:
    """Names of a cell's files that are not, byte for byte, what its cell.json says they were."""
    recorded = about["digests"]["files"]
    return [
        name
        for name, digest in recorded.items()
        if not (Path(folder) / name).is_file() or files.sha256(Path(folder) / name) != digest
    ]
