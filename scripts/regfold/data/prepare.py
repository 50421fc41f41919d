"""From the user's table to results/prepared/: matrix, truth, digests, rows and schema."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as parquet

from regfold import files
from regfold.data import dates, notes
from regfold.data.columns import feature_names, read_column
from regfold.data.digests import identical_rows, row_digests
from regfold.data.encode import check_size, describe, matrix
from regfold.data.table import Table, read
from regfold.data.target import check_losses, drop_missing, read_target
from regfold.data.weight_column import read_weights
from regfold.errors import RegfoldError, nearest, quote
from regfold.formatting import counted

# The keys of the data section that describe the table's file format.
FORM = ("separator", "decimal", "encoding", "sheet")


def prepare(
    data: dict, split_column: str | None, out_dir: str | Path, losses: dict[str, str] | None = None
) -> dict:
    """Read the table, check it against the config, encode it, and write what all later steps need.

    Written are table.parquet, features.npy, target.npy, weights.npy, digests.npy, rows.parquet and
    schema.json, the schema last. Rows are in canonical order (by data.id if set, else the table's order), but
    table.parquet is in the table's order.

    Args:
        data: the resolved data section of the config.
        split_column: split.column of the config, which is not a feature.
        out_dir: the folder to write into.
        losses: model -> its training.loss, which must suit the target.

    Returns:
        the schema.

    Raises:
        RegfoldError: if the table is not what the config says, it does not fit into memory, or a file cannot
            be written.
    """
    try:
        return _prepare(data, split_column, out_dir, losses or {})
    except MemoryError:
        raise RegfoldError(
            f"{data['path']}: does not fit into memory; expected fewer rows or columns (data.exclude), or "
            "a machine with more memory"
        ) from None


def _prepare(data: dict, split_column: str | None, out_dir: str | Path, losses: dict[str, str]) -> dict:
    out_dir = Path(out_dir)
    table = read(data["path"], data["missing"], **{key: data[key] for key in FORM})
    n_read = len(table)
    names, left_out = feature_names(table, data, split_column)
    table = with_ids(table, data["id"])
    table, n_dropped = drop_missing(table, data["target"], data["missing_target"])
    order = canonical_order(table, data["id"])
    target = read_target(table, data["target"], data["task"])
    check_losses(table, data["target"], target, losses)
    weights = read_weights(table, data["weight"])
    rows, table_columns, form = _rows(table, order), table.names, table.form
    columns, found = [], []
    categorical = None if data["categorical"] == "auto" else frozenset(data["categorical"])
    # The text is three times as large as the matrix, so it is written first and dropped from memory step by
    # step while the columns are read. The file replaces an older one only once all columns are read.
    with files.atomic(out_dir / "table.parquet") as temporary:
        _write_parquet(temporary, _filled(table.text))
        step = 1 + len(names) // 16
        for start in range(0, len(names), step):
            some = names[start : start + step]
            for name in some:
                if name in data["dates"]:
                    columns += dates.read(table, name)
                    continue
                column, said = read_column(table, name, categorical)
                columns.append(column)
                found += said
            table = table.without(some)
            pa.default_memory_pool().release_unused()
        check_size(data["path"], columns, len(order))
    schema = {
        "path": data["path"],
        "form": form,
        "n_read": n_read,
        "n_rows": len(order),
        "n_dropped": n_dropped,
        "task": target.task,
        "task_reason": target.reason,
        "target": data["target"],
        "classes": target.classes,
        "id": data["id"],
        "weight": data["weight"],
        "columns": describe(columns),
        "table_columns": table_columns,
        "left_out": left_out,
        "width": sum(column.width for column in columns),
        "notes": target.notes + notes.lines(data["path"], found),
    }
    features = matrix(columns, order)
    truth = target.values[order]
    _write_array(out_dir / "features.npy", features)
    _write_array(out_dir / "target.npy", truth)
    _write_array(out_dir / "weights.npy", weights[order] if len(weights) else weights)
    digests = row_digests(features, schema, truth)
    schema["notes"] += _identical(digests)
    _write_array(out_dir / "digests.npy", digests)
    with files.atomic(out_dir / "rows.parquet") as temporary:
        _write_parquet(temporary, rows)
    files.write_json(out_dir / "schema.json", schema)
    return schema


def _identical(digests: np.ndarray) -> list[str]:
    """A note on how many rows equal another one, if there are any."""
    group = identical_rows(digests)
    n_identical = int((np.bincount(group)[group] > 1).sum())
    if not n_identical:
        return []
    return [f"{n_identical:,} of {len(group):,} rows equal another row in all features and the target"]


def with_ids(table: Table, name: str | None) -> Table:
    """The table with its rows' ids, if a column holds them."""
    if name is None:
        return table
    return replace(table, ids=table.values(name))


def canonical_order(table: Table, name: str | None) -> np.ndarray:
    """The canonical order of the rows: by the number if all ids are integers, else by the id as text.

    Args:
        table: the table with its ids.
        name: the id column; None for the table's own order.

    Returns:
        int64 (n,), the table's position of the canonical order's first row, second row, and so on.

    Raises:
        RegfoldError: if an id is missing, or names two rows.
    """
    if name is None:
        return np.arange(len(table))
    where = f"{table.path}: column {quote(name)} (data.id)"
    absent = np.flatnonzero(pc.is_null(table.ids).to_numpy())
    if len(absent):
        raise RegfoldError(f"{where}: no id in {table.row_list(absent)}; expected one for every row")
    if pc.all(pc.match_substring_regex(table.ids, r"^[+-]?\d+$")).as_py():
        # Sorted as text first, so that ids such as 7 and 007 have a defined order.
        as_text = pc.sort_indices(table.ids).to_numpy()
        integers = [*map(Decimal, table.ids.to_pylist())]  # int() takes 4,300 digits at most
        order = np.array(sorted(as_text, key=integers.__getitem__), np.int64)
    else:
        order = pc.sort_indices(table.ids).to_numpy().astype(np.int64)
    if pc.count_distinct(table.ids).as_py() < len(table):
        _raise_duplicate(table, where)
    return order


def _raise_duplicate(table: Table, where: str) -> None:
    places: dict[str, list[int]] = {}
    for position, table_id in enumerate(table.ids.to_pylist()):
        places.setdefault(table_id, []).append(position)
    twice = {table_id: found for table_id, found in places.items() if len(found) > 1}
    table_id, found = next(iter(twice.items()))
    rows = replace(table, ids=None).row_list(found)
    more = f" ({len(twice)} ids are not unique)" if len(twice) > 1 else ""
    raise RegfoldError(
        f"{where}: {quote(table_id)} names {rows}{more}; expected an id of its own for every row"
    )


def _filled(text: pa.Table) -> pa.Table:
    """The table with empty text in the cells that a typed file leaves empty."""
    columns = [pc.fill_null(column, "") if column.null_count else column for column in text.columns]
    return pa.table(columns, names=text.column_names)


def _rows(table: Table, order: np.ndarray) -> pa.Table:
    numbers = pc.cast(pa.array(table.rows), pa.string())
    names = numbers if table.ids is None else table.ids
    names = pc.take(names, pa.array(order))
    return pa.table({"row": names, "position": pa.array(order, pa.int64())})


def _write_parquet(path: Path, table: pa.Table) -> None:
    # Cells are mostly distinct numbers: dictionaries and statistics would take time and save no space.
    parquet.write_table(
        table, path, compression="lz4", use_dictionary=False, write_statistics=False, row_group_size=1 << 17
    )


def _write_array(path: Path, array: np.ndarray) -> None:
    with files.atomic(path) as temporary:
        np.save(temporary, array, allow_pickle=False)


def expect_classes(schema: dict, models: list[str]) -> None:
    """Check that models with class weights have classes, which data.task: auto decides from the table.

    Args:
        schema: the schema.
        models: the models with class weights.

    Raises:
        RegfoldError: if the task is a regression and there is such a model.
    """
    if schema["task"] == "regression" and models:
        raise RegfoldError(
            f"config.yaml: models.{models[0]}: training.class_weight is balanced, but "
            f"{schema['task_reason']}; expected null"
        )


def expect_columns(schema: dict, names: list[str]) -> None:
    """Check that the table has the columns that report.by lists.

    Raises:
        RegfoldError: if it lacks one.
    """
    for name in names:
        if name not in schema["table_columns"]:
            hint = nearest(name, schema["table_columns"]) or "; expected columns of the table"
            raise RegfoldError(f"config.yaml: report.by: no column {quote(name)} in {schema['path']}{hint}")


def summary(schema: dict) -> list[str]:
    """The table in lines for the terminal: its size and task, and one line for each note."""
    form = f"; {schema['form']}" if schema["form"] else ""
    lines = [
        f"{schema['path']}: {schema['n_rows']:,} rows, {counted(len(schema['columns']), 'feature')} "
        f"({schema['width']:,} columns encoded), {schema['task_reason']}{form}"
    ]
    if schema["n_dropped"]:
        lines.append(
            f"{schema['path']}: {schema['n_dropped']:,} of {schema['n_read']:,} rows dropped: no target"
        )
    return lines + [f"note: {note}" for note in schema["notes"]]
