"""From results/prepared/ to the folds: who tests what, and a small file for each cell to depend on."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet

from regfold import files, folds
from regfold.encode import layout
from regfold.oos import write_csv


def split(settings: dict, prepared: Path, table: str, assignment: str, folder: str) -> str:
    """Assign rows to folds and write folds.csv, the assignment, and each cell's description.

    A description holds the digests of its training rows, of its held-out rows and of the matrix' layout, and
    nothing else that could change: the cell runs again when its description does.

    Args:
        settings: {"split": the resolved split section, "missing": texts that mean a missing cell}.
        prepared: results/prepared.
        table: where folds.csv goes.
        assignment: where the int32 (repeats, n) array goes.
        folder: where the descriptions go.

    Returns:
        a line for the terminal.

    Raises:
        RegfoldError: if the rows cannot be split so.
    """
    schema = json.loads((prepared / "schema.json").read_text(encoding="utf-8"))
    rows = parquet.read_table(prepared / "rows.parquet")
    names, column = rows["row"], settings["split"]["column"]
    values = None
    if column is not None:
        cells = parquet.read_table(prepared / "table.parquet", columns=[column])[column]
        values = cells.take(rows["position"]).to_pylist()
    tested, fold_names = folds.assign(
        settings["split"],
        np.load(prepared / "target.npy"),
        schema["task"],
        names.to_pylist(),
        values,
        settings["missing"],
        schema["id"] is not None,
    )
    digests = np.load(prepared / "digests.npy", mmap_mode="r")
    meaning = folds.meaning(schema)
    method, cells = settings["split"]["method"], folds.cells(tested)
    for repeat, fold in cells:
        about = folds.describe(tested, repeat, fold, method, digests, meaning)
        about |= {"name": fold_names[fold - 1], "layout": layout(schema)}
        files.write_json(Path(folder) / f"{repeat}-{fold}.json", about)
    with files.atomic(assignment) as temporary, temporary.open("wb") as file:
        np.save(file, tested)
    write_csv(folds.as_table(tested, names.combine_chunks()), table)
    untested = int((tested == 0).all(axis=0).sum())
    line = f"split: {method}, {len(cells)} cells a model"
    return f"{line}, {untested:,} rows are never tested" if untested else line
