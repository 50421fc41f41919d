"""The row contract: every line of an out-of-sample file carries its own row's cells, truth and prediction."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet

from regfold import files
from regfold.data import row_weights
from regfold.data.oos_names import KEYS, LABEL, STRENGTH, output_names
from regfold.errors import RegfoldError, quote
from regfold.formatting import first_few
from regfold.provenance import changes
from regfold.training import cell_files

# Rows in one message.
MOST_NAMED = 10
OUTDATED = "made from other rows, columns or levels than the table has now; run again"


@dataclass(frozen=True)
class Prepared:
    """What prepare_data and split_folds wrote.

    Attributes:
        folder: results/prepared.
        schema: the table's schema.
        table: the kept rows' cells as text, in the table's order.
        names: each row's name, in canonical order.
        position: int64 (n,), each row's place in the table, in canonical order.
        digests: uint8 (n, 16), each row's content, in canonical order.
        target: (n,) class codes or (n, n_targets) numbers, in canonical order.
        assignment: int32 (repeats, n), the fold in which each row is tested, 0 for none; canonical order.
        weights: float64 (n,), in canonical order; None without data.weight.
    """

    folder: Path
    schema: dict
    table: pa.Table
    names: pa.Array
    position: np.ndarray
    digests: np.ndarray
    target: np.ndarray
    assignment: np.ndarray
    weights: np.ndarray | None = None


def read_prepared(folder: Path, assignment: Path | None = None) -> Prepared:
    """Read results/prepared/.

    Args:
        folder: the folder.
        assignment: the file that assigns rows to folds; by default the one in the folder.
    """
    rows = parquet.read_table(folder / "rows.parquet")
    return Prepared(
        folder=folder,
        schema=files.read_json(folder / "schema.json"),
        table=parquet.read_table(folder / "table.parquet"),
        names=rows["row"].combine_chunks(),
        position=rows["position"].to_numpy(),
        digests=np.load(folder / "digests.npy"),
        target=np.load(folder / "target.npy"),
        assignment=np.load(assignment or folder / "assignment.npy"),
        weights=row_weights.read(folder),
    )


def merge(
    prepared: Prepared,
    cells: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]],
    strengths: dict[tuple[int, int], float] | None = None,
) -> pa.Table:
    """Join every prediction to its own row.

    Args:
        prepared: the table, and which fold tests each row.
        cells: (repeat, fold) -> the digests of the rows that it predicted, uint8 (n_test, 16), and their
            predictions, (n_test, n_outputs), both in canonical order; see `read_predictions`.
        strengths: for a model with a path, (repeat, fold) -> the chosen strength.

    Returns:
        the file's content as text: the table's columns, then oos_row, oos_repeat, oos_fold, with a path
        oos_strength, for classes oos_label, then truth and predictions; lines by repeat, then in the table's
        order.

    Raises:
        RegfoldError: unless every cell predicts exactly the rows that its fold tests, by their contents.
    """
    return pa.concat_tables(
        _lines(prepared, repeat, rows, fold, values, strengths)
        for repeat, rows, fold, values in joined(prepared, cells)
    )


def joined(
    prepared: Prepared,
    cells: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]],
    n_strengths: int | None = None,
) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
    """Every repeat's predictions, row by row in the table's order.

    Args:
        prepared, cells: see `merge`.
        n_strengths: for predictions of a whole path, (n_test, n_strengths, n_outputs), its length.

    Yields:
        the repeat; the rows that it tests, int64 (n,), canonical indices; the fold of each, int32 (n,); their
        predictions, (n, n_outputs) or (n, n_strengths, n_outputs).

    Raises:
        RegfoldError: see `merge`.
    """
    dtype = np.float32 if prepared.schema["task"] == "classification" else np.float64
    canonical = np.argsort(prepared.position, kind="stable")
    for repeat, tested in enumerate(prepared.assignment, start=1):
        values = np.zeros((len(tested), *_shape(prepared, n_strengths)), dtype)
        for fold in np.unique(tested[tested > 0]).tolist():
            if (repeat, fold) not in cells:
                raise RegfoldError(f"repeat {repeat}, fold {fold}: no predictions")
            if problem := wrong_rows(prepared, repeat, fold, *cells[repeat, fold], n_strengths):
                raise RegfoldError(f"repeat {repeat}, fold {fold}: {problem}")
            values[tested == fold] = cells[repeat, fold][1]
        rows = canonical[tested[canonical] > 0]
        yield repeat, rows, tested[rows], values[rows]


def _shape(prepared: Prepared, n_strengths: int | None) -> tuple[int, ...]:
    """The shape of one row's predictions."""
    n_outputs = len(output_names(prepared.schema)[0])
    return (n_outputs,) if n_strengths is None else (n_strengths, n_outputs)


def wrong_rows(
    prepared: Prepared,
    repeat: int,
    fold: int,
    digests: np.ndarray,
    predicted: np.ndarray,
    n_strengths: int | None = None,
) -> str:
    """Why a cell's predictions are not those of the rows that its fold tests; empty if they are.

    Arguments as for `joined`, of one cell.
    """
    tested = np.flatnonzero(prepared.assignment[repeat - 1] == fold)
    expected = len(tested), *_shape(prepared, n_strengths)
    if predicted.shape != expected or len(digests) != len(tested):
        found = f"{len(digests):,} rows with predictions of shape {predicted.shape}"
        return f"{found}; expected those of the {expected[0]:,} rows that are tested, {expected}"
    other = tested[(digests != prepared.digests[tested]).any(axis=1)]
    if not len(other):
        return ""
    names = first_few([quote(name) for name in prepared.names.take(pa.array(other)).to_pylist()], MOST_NAMED)
    what = "id" if prepared.schema["id"] else "row"
    return f"{what} {names}: predicted from other contents than the table has now"


def _lines(
    prepared: Prepared,
    repeat: int,
    rows: np.ndarray,
    fold: np.ndarray,
    values: np.ndarray,
    strengths: dict[tuple[int, int], float] | None,
) -> pa.Table:
    schema = prepared.schema
    truth_names, prediction_names = output_names(schema)
    columns = dict(
        zip(prepared.table.column_names, prepared.table.take(prepared.position[rows]).columns, strict=True)
    )
    keys = prepared.names.take(pa.array(rows)), _text(np.full(len(rows), repeat)), _text(fold)
    columns |= dict(zip(KEYS, keys, strict=True))
    if strengths is not None:
        columns[STRENGTH] = _text(np.array([strengths[repeat, one] for one in fold.tolist()], np.float64))
    if schema["classes"]:
        broken = np.isnan(values).any(axis=1)
        labels = np.array([*schema["classes"], ""], object)
        columns[LABEL] = pa.array(labels[np.where(broken, -1, values.argmax(axis=1))], pa.string())
    outputs = *truth(prepared, rows).T, *values.T
    columns |= {
        name: _text(np.ascontiguousarray(column))
        for name, column in zip(truth_names + prediction_names, outputs, strict=True)
    }
    return pa.table(columns)


def truth(prepared: Prepared, rows: np.ndarray) -> np.ndarray:
    """The truth of some rows (canonical indices), (n, outputs): one-hot int8, or float64 numbers."""
    target = prepared.target[rows]
    if classes := prepared.schema["classes"]:
        return (target[:, None] == np.arange(len(classes))).astype(np.int8)
    return target


def _text(values: np.ndarray) -> pa.Array:
    """Numbers as the shortest text from which the same number is read."""
    return pa.array(values).cast(pa.string())


def read_cells(
    prepared: Prepared, folders: Sequence[Path]
) -> dict[tuple[int, int], tuple[np.ndarray, np.ndarray]]:
    """(repeat, fold) -> the rows' digests and predictions, of a model's cells; raises as `each_cell`."""
    return {key: (digests, predicted) for key, _, digests, predicted in each_cell(prepared, folders)}


def each_cell(
    prepared: Prepared, folders: Sequence[Path]
) -> Iterator[tuple[tuple[int, int], dict, np.ndarray, np.ndarray]]:
    """Read a model's cells.

    Yields:
        (repeat, fold); the content of cell.json, see `read_metadata`; the digests of the cell's rows and
        their predictions, see `read_predictions`.

    Raises:
        RegfoldError: if a file is missing or damaged, or a cell does not belong to its fold.
    """
    for folder in folders:
        description = prepared.folder.parent / "folds" / f"{folder.name}.json"
        expected = files.read_json(description, remove=description.parent)
        key = expected["repeat"], expected["fold"]
        yield key, read_metadata(folder, expected), *read_predictions(folder)


def read_metadata(folder: Path, expected: dict) -> dict:
    """The content of a cell's cell.json, after a check of the cell's files against it.

    Args:
        folder: the cell's folder.
        expected: the fold's description (results/folds/<repeat>-<fold>.json).

    Raises:
        RegfoldError: if a file is missing or damaged, or the cell does not belong to this fold.
    """
    metadata = cell_files.read(folder)
    if not changes.belongs(metadata, expected):
        raise RegfoldError(f"{folder}: {OUTDATED}")
    return metadata


def read_predictions(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The digests of the rows that a cell predicted, uint8 (n_test, 16), and their predictions.

    These are (n_test, n_outputs) or, with a path, (n_test, n_strengths, n_outputs).
    """
    with np.load(folder / "predictions.npz") as archive:
        return archive["digest"], archive["prediction"]
