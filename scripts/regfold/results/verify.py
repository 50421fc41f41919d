"""Verify results against the table: every line of every out-of-sample file, and every cell's files."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as parquet

from regfold import files
from regfold.config import baselines, strengths
from regfold.data import row_weights
from regfold.data.layout import Layout
from regfold.data.prepare import prepare
from regfold.errors import RegfoldError, quote, reason
from regfold.formatting import first_few
from regfold.provenance import cell_names, changes
from regfold.results import oos, paths, saved_model, verify_scores
from regfold.splits import folds, split
from regfold.training import cell_files

# The longest possible line.
BLOCK_BYTES = 1 << 26
# The exceptions of reading a cell's damaged files.
UNREADABLE = (OSError, ValueError, KeyError, TypeError)
# Columns of one line that differ, in a message.
MOST_COLUMNS = 3


def verify(config: dict, results: Path) -> str:
    """Verify results against the table, which is read and encoded again.

    - Each cell's files are those that the cell wrote, byte for byte, and belong to the rows of its fold.
    - Each line of an out-of-sample file has its own row's cells, truth, fold and prediction, and each tested
      row has one line per repeat, in the table's order; folds.csv agrees.
    - The files of each saved model are as they were written, and its networks are the cells'.
    - The scores of cells and models are those of the out-of-sample files, see verify_scores.

    A damaged file of a cell is renamed to *.damaged, so that the next run makes it again.

    Args:
        config: the resolved config.
        results: the results folder.

    Returns:
        a sentence that says what was checked.

    Raises:
        RegfoldError: naming the first violations, with their rows.
    """
    problems: list[str] = []
    with files.scratch() as fresh:
        schema = prepare(config["data"], config["split"]["column"], fresh)
        prepared = _fresh(fresh, results, config)
        layout = Layout(schema, np.load(fresh / "features.npy", mmap_mode="r"))
        contents = row_weights.row_contents(fresh)
    problems += _check_folds(results / "folds.csv", prepared)
    decided = folds.read(results / "prepared", config["split"])
    described = {key: decided.describe(*key, contents, layout) for key in decided.cells()}
    refit = decided.describe(*cell_names.REFIT, contents, layout)
    selects = strengths.selects(config)
    n_lines, n_cells, n_expected, right = 0, 0, len(described), []
    for model in baselines.predictors(config):
        cells, found = _read_cells(results / "cells" / model, prepared, described, model in selects)
        problems += found
        if model in config["models"] and config["models"][model]["refit"]:
            problems += _check_cell(results / "cells" / model / cell_names.name(*cell_names.REFIT), refit)[1]
            n_cells += 1
        n_cells += len(cells)
        if len(cells) == n_expected:
            if model in selects:
                choice = paths.choose(prepared, cells, selects[model], config["metrics"])
                expected = paths.merge(prepared, cells, choice)
                problems += _compare_path(results, model, prepared, cells, choice)
            else:
                expected = oos.merge(prepared, cells)
            wrong = _compare(results / "oos" / f"{model}.csv", expected, prepared.schema["id"])
            problems += wrong
            if not found and not wrong:
                right.append(model)
            n_lines += len(expected)
        if model in config["models"]:
            problems += _check_saved(results / "models" / model, results / "cells" / model)
    problems += verify_scores.differences(results, prepared.schema, right, config["metrics"])
    if problems:
        more = f" (and {len(problems) - oos.MOST_NAMED} more)" if len(problems) > oos.MOST_NAMED else ""
        raise RegfoldError("; ".join(problems[: oos.MOST_NAMED]) + more)
    path = prepared.schema["path"]
    return f"verified: {n_lines:,} out-of-sample lines and {n_cells:,} cells agree with {path}"


def _fresh(folder: Path, results: Path, config: dict) -> oos.Prepared:
    """The table as it is now, and the folds as they were when the results were made."""
    assignment = results / "prepared" / "assignment.npy"
    if not assignment.is_file() or not assignment.with_name("codes.npy").is_file():
        raise RegfoldError(f"{results}: there are no results yet; run snakemake first")
    prepared = oos.read_prepared(folder, assignment)
    if prepared.assignment.shape[1] != len(prepared.position):
        raise RegfoldError(
            f"{config['data']['path']}: {len(prepared.position)} rows, but the results are of "
            f"{prepared.assignment.shape[1]}; run snakemake again"
        )
    return prepared


def _check_folds(path: Path, prepared: oos.Prepared) -> list[str]:
    expected = split.folds_table(prepared.assignment, prepared.names)
    return _differences(path, expected, expected["row"], "row")


def _read_cells(
    folder: Path, prepared: oos.Prepared, described: dict[tuple[int, int], dict], has_path: bool
) -> tuple[dict, list[str]]:
    """A model's cells, as `paths.choose` or `oos.merge` takes them, and their problems."""
    cells, problems = {}, []
    for key, expected in described.items():
        cell = folder / cell_names.name(*key)
        metadata, found = _check_cell(cell, expected)
        problems += found
        if metadata is None:
            continue
        try:
            digests, predicted = oos.read_predictions(cell)
            n_strengths = len(metadata["path"]["strengths"]) if has_path else None
            if wrong := oos.wrong_rows(prepared, *key, digests, predicted, n_strengths):
                problems.append(f"{cell / 'predictions.npz'}: {wrong}")
            else:
                own = digests, predicted
                cells[key] = paths.cell(metadata, *own) if has_path else own
        except UNREADABLE as error:
            problems.append(_unreadable(cell, error))
    return cells, problems


def _check_cell(cell: Path, expected: dict) -> tuple[dict | None, list[str]]:
    """The content of cell.json, None if it or another file is damaged; and the problems."""
    try:
        metadata = json.loads((cell / "cell.json").read_text(encoding="utf-8"))
        if damaged := cell_files.damaged(cell, metadata["digests"]["files"]):
            return None, [f"{cell / name}: damaged or missing; {_set_aside(cell / name)}" for name in damaged]
        return metadata, [] if changes.belongs(metadata, expected) else [f"{cell}: {oos.OUTDATED}"]
    except UNREADABLE as error:
        return None, [_unreadable(cell, error)]


def _check_saved(folder: Path, cells: Path) -> list[str]:
    """The problems of a saved model, if there is one; those of its cells are reported elsewhere."""
    if not folder.is_dir():
        return []
    found = []
    try:
        metadata = files.read_json(folder / saved_model.METADATA, remove=folder)
        for name in saved_model.damaged(folder, metadata):
            found.append(f"{folder / name}: damaged or missing; remove {folder} and run again")
        for key in map(tuple, metadata["networks"]):
            name, cell = saved_model.network_file(key), cells / cell_names.name(*key)
            recorded = files.read_json(cell / "cell.json")["digests"]["files"]["model.keras"]
            if metadata["files"][name] != recorded:
                found.append(f"{folder / name}: not the network of {cell}; run snakemake again")
    except FileNotFoundError as error:
        found.append(f"{error.filename}: missing; remove {folder} and run again")
    except (*UNREADABLE, RegfoldError) as error:
        found.append(str(error))
    return found


def _unreadable(cell: Path, error: Exception) -> str:
    path = cell / "cell.json"
    return f"{path}: damaged or missing ({error}); {_set_aside(path)}"


def _set_aside(path: Path) -> str:
    """Rename a damaged file of a cell, unless its folder is a link; return what happens to it, as text."""
    if path.parent.is_symlink() or path.parent.parent.is_symlink():
        return f"left as it is, behind a link to {path.parent.resolve()}"
    try:
        if os.path.lexists(path):
            path.replace(path.with_name(f"{path.name}.damaged"))
    except OSError as error:
        return f"cannot be set aside ({reason(error)}); remove it and run again"
    return "the next run makes it again"


def _compare(path: Path, expected: pa.Table, id_column: str | None) -> list[str]:
    return _differences(path, expected, expected["oos_row"], "id" if id_column else "row")


def _compare_path(
    results: Path, model: str, prepared: oos.Prepared, cells: dict, choice: paths.Choice
) -> list[str]:
    """Where a model's path/<model>.csv and oos_path/<model>.parquet differ from its cells."""
    problems = []
    path = results / "path" / f"{model}.csv"
    try:
        found = paths.read_table(path)
        # The last digits of long sums may differ between processors.
        pd.testing.assert_frame_equal(found, paths.finite(choice.table), rtol=1e-9, check_dtype=False)
    except (OSError, ValueError, KeyError, TypeError, AssertionError):
        problems.append(f"{path}: missing, or not what the cells say")
    path = results / "oos_path" / f"{model}.parquet"
    try:
        source = parquet.ParquetFile(path)
        expected = list(paths.predictions(prepared, cells))
        if source.num_row_groups != len(expected):
            problems.append(f"{path}: {source.num_row_groups} strengths; expected {len(expected)}")
        for place, table in enumerate(expected[: source.num_row_groups]):
            strength = table["strength"][0].as_py()
            if not _same(source.read_row_group(place), table):
                problems.append(f"{path}: strength {strength:g}: not the predictions of the cells")
    except (OSError, pa.ArrowInvalid) as error:
        problems.append(f"{path}: cannot be read: {reason(error)}")
    return problems


def _same(found: pa.Table, expected: pa.Table) -> bool:
    """Whether two tables are equal; NaN equals NaN."""
    return found.schema.equals(expected.schema) and found.to_pandas().equals(expected.to_pandas())


def _differences(path: Path, expected: pa.Table, names: pa.ChunkedArray, what: str) -> list[str]:
    """Where a CSV differs, cell for cell and line for line, from what it should hold."""
    if not path.is_file():
        return [f"{path}: missing; run snakemake first"]
    try:
        found = pyarrow.csv.read_csv(
            path,
            read_options=pyarrow.csv.ReadOptions(block_size=BLOCK_BYTES),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(expected.column_names, pa.string()), strings_can_be_null=False
            ),
        )
        columns = found.column_names
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        return [f"{path}: cannot be read: {reason(error)}"]
    if columns != expected.column_names:
        return [f"{path}: its columns are not the table's columns and those of regfold"]
    problems = []
    if len(found) != len(expected):
        problems.append(f"{path}: {len(found):,} lines, but {len(expected):,} rows are tested")
        problems += _missing_rows(path, found, expected, what)
        return problems
    wrong: dict[int, list[str]] = {}
    for name in expected.column_names:
        unequal = found[name].to_numpy() != expected[name].to_numpy()
        for line in np.flatnonzero(unequal):
            wrong.setdefault(int(line), []).append(name)
    for line, columns in sorted(wrong.items()):
        shown = first_few([*map(quote, columns)], MOST_COLUMNS)
        is_there, should_be = (quote(table[columns[0]][line].as_py()) for table in (found, expected))
        problems.append(
            f"{path}, line {line + 2}, {what} {names[line].as_py()}: {shown}: "
            f"{is_there} found, {should_be} expected"
        )
    return problems


def _missing_rows(path: Path, found: pa.Table, expected: pa.Table, what: str) -> list[str]:
    """The (row, repeat) that have fewer or more lines than they should have."""
    key, repeat = ("oos_row", "oos_repeat") if "oos_row" in expected.column_names else ("row", "repeat")

    def counted(table: pa.Table) -> dict[tuple[str, str], int]:
        counts = table.group_by([key, repeat]).aggregate([([], "count_all")])
        pairs = zip(counts[key].to_pylist(), counts[repeat].to_pylist(), strict=True)
        return dict(zip(pairs, counts["count_all"].to_pylist(), strict=True))

    have, want = counted(found), counted(expected)
    return [
        f"{path}: {what} {row}, repeat {r}: {have.get((row, r), 0)} lines; expected {want.get((row, r), 0)}"
        for row, r in sorted(have.keys() | want.keys())
        if have.get((row, r), 0) != want.get((row, r), 0)
    ]
