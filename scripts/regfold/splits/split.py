"""From results/prepared/ to the folds: the rows that each tests, and the file that its cells depend on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet

from regfold import files
from regfold.data import row_weights
from regfold.data.layout import Layout
from regfold.data.write_text import write_csv
from regfold.errors import RegfoldError, quote
from regfold.provenance import cell_names
from regfold.splits import folds, methods


@dataclass(frozen=True)
class Split:
    """The folds, and what the cells of each depend on.

    Attributes:
        folds: which rows each cell trains on and tests.
        names: the rows' names, in canonical order.
        cells: (repeat, fold) -> its description, see Folds.describe, and `name`, its fold's. A change of the
            description is what makes a cell run again, so it holds nothing else.
        refit: the description for all rows, see cell_names.REFIT.
    """

    folds: folds.Folds
    names: pa.Array
    cells: dict[tuple[int, int], dict]
    refit: dict


def decide(settings: dict, prepared: Path) -> Split:
    """Assign the rows of results/prepared/ to folds.

    Args:
        settings: {"split": the resolved split section, "missing": texts that mean a missing cell}.
        prepared: results/prepared.

    Raises:
        RegfoldError: if the rows cannot be split this way, or all training rows or all held-out rows of a
            cell have the weight 0.
    """
    schema = files.read_json(prepared / "schema.json")
    rows = parquet.read_table(prepared / "rows.parquet")
    names, column = rows["row"].combine_chunks(), settings["split"]["column"]
    values = None
    if column is not None:
        texts = parquet.read_table(prepared / "table.parquet", columns=[column])[column]
        values = texts.take(rows["position"]).to_pylist()
    assignment, fold_names, codes = methods.assign(
        settings["split"],
        np.load(prepared / "target.npy"),
        schema["task"],
        names.to_pylist(),
        values,
        settings["missing"],
        schema["id"] is not None,
    )
    contents = row_weights.row_contents(prepared)
    layout = Layout(schema, np.load(prepared / "features.npy", mmap_mode="r"))
    decided = folds.Folds(assignment, codes, settings["split"]["method"], settings["split"]["gap"])
    if (weights := row_weights.read(prepared)) is not None:
        _check_weights(decided, weights, schema["weight"])
    cells = {
        (repeat, fold): decided.describe(repeat, fold, contents, layout) | {"name": fold_names[fold - 1]}
        for repeat, fold in decided.cells()
    }
    refit = decided.describe(*cell_names.REFIT, contents, layout) | {
        "name": cell_names.name(*cell_names.REFIT)
    }
    return Split(decided, names, cells, refit)


def _check_weights(decided: folds.Folds, weights: np.ndarray, column: str) -> None:
    """Refuse a cell whose training rows, or held-out rows, all have the weight 0."""
    for repeat, fold in decided.cells():
        for what, rows in (("trains on", decided.training), ("tests", decided.held_out)):
            if not weights[rows(repeat, fold)].any():
                raise RegfoldError(
                    f"split: repeat {repeat}, fold {fold}: every row that it {what} has the weight 0 (column "
                    f"{quote(column)}, data.weight); expected a row with a weight above 0"
                )


def write(split: Split, table: str, assignment: str, codes: str, folder: str) -> None:
    """Write folds.csv, the arrays that `folds.read` reads, and results/folds/*.json, one for each cell."""
    for key, description in [*split.cells.items(), (cell_names.REFIT, split.refit)]:
        files.write_json(Path(folder) / f"{cell_names.name(*key)}.json", description)
    for path, array in ((assignment, split.folds.assignment), (codes, split.folds.codes)):
        with files.atomic(path) as temporary, temporary.open("wb") as file:
            np.save(file, array)
    write_csv(folds_table(split.folds.assignment, split.names), table)


def folds_table(assignment: np.ndarray, names: pa.Array) -> pa.Table:
    """folds.csv as text: a line for each tested row, by repeat, then in canonical order."""
    repeat, row = np.nonzero(assignment)
    return pa.table(
        {
            "row": names.take(pa.array(row)),
            "repeat": pa.array(repeat + 1).cast(pa.string()),
            "fold": pa.array(assignment[repeat, row]).cast(pa.string()),
        }
    )


def sentence(method: str, split: Split) -> str:
    """The split in one line for the terminal."""
    assignment = split.folds.assignment
    repeats, untested = len(assignment), int((assignment == 0).all(axis=0).sum())
    line = f"split: {method}, {len(split.cells)} cells a model"
    line += f" in {repeats} repeats" if repeats > 1 else ""
    return f"{line}, {untested:,} rows are never tested" if untested else line
