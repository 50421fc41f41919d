"""Encode columns as one float32 matrix: numbers as they are, one column for each level of a category."""

import functools
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow.compute as pc

from regfold.data import dates, memory, notes
from regfold.data.columns import Column, read_categorical, read_numeric
from regfold.data.decimals import first_text, numbers
from regfold.data.table import Table, check_finite
from regfold.errors import RegfoldError, quote
from regfold.formatting import counted, first_few


def describe(columns: Sequence[Column]) -> list[dict]:
    """The schema's entries in matrix order: name, kind, start, width, levels, n_missing, date_of."""
    entries, start = [], 0
    for column in columns:
        entries.append(
            {
                "name": column.name,
                "kind": column.kind,
                "start": start,
                "width": column.width,
                "levels": column.levels,
                "n_missing": column.n_missing,
                "date_of": column.date_of,
            }
        )
        start += column.width
    return entries


def check_size(path: str, columns: Sequence[Column], n_rows: int) -> None:
    """Check that the design matrix of `n_rows` rows fits into free memory, before it is built.

    Raises:
        RegfoldError: if it does not; it names the widest columns.
    """
    width = sum(column.width for column in columns)
    needed, allowed = 4 * n_rows * width, memory.budget()
    if needed <= allowed:
        return
    wide = sorted((column for column in columns if column.levels), key=lambda column: -column.width)[:3]
    named = ", ".join(f"{quote(column.name)} ({column.width:,} levels)" for column in wide)
    remedy = f"the widest are {named}: list them in data.exclude, or give them fewer levels"
    raise RegfoldError(
        f"{path}: {n_rows:,} rows of {width:,} encoded columns take {memory.size(needed)}, more than half of "
        f"the free memory ({memory.size(allowed)}); {remedy if wide else 'list columns in data.exclude'}"
    )


def matrix(columns: list[Column], order: np.ndarray) -> np.ndarray:
    """The design matrix of columns that were read.

    Args:
        columns: the list is emptied, so that the memory of each column is free once it is encoded.
        order: int64 (n,), the position in the columns of each row of the matrix.

    Returns:
        float32 (n, width): a numeric column as it is, NaN where missing; for a categorical column one column
        per level, 1 where the row has it; all 0 for an unknown level.
    """
    out = np.zeros((len(order), sum(column.width for column in columns)), np.float32)
    start = 0
    columns.reverse()
    while columns:
        column = columns.pop()
        values = column.values[order]
        if column.kind == "numeric":
            out[:, start] = values
        else:
            rows = np.flatnonzero(values >= 0)
            out[rows, start + values[rows]] = 1
        start += column.width
    return out


def encode(table: Table, schema: dict, note: Callable[[str], object] = lambda text: None) -> np.ndarray:
    """Encode new rows as a saved network takes them.

    Args:
        table: the new rows, with columns in any order; columns that the schema lacks are ignored.
        schema: the schema (schema.json) of the table that the network was trained on.
        note: called with one line each about missing cells, cells with a level that the schema lacks, and
            columns that the schema's table lacks, if there are any.

    Returns:
        float32 (n, schema["width"]), in the table's order; all 0 for a level that the schema lacks.

    Raises:
        RegfoldError: if a column is missing, or a cell is not a number or date where one is expected.
    """
    columns, missing, unseen, first = [], {}, {}, ""
    date_columns = functools.cache(lambda name: {column.name: column for column in dates.read(table, name)})
    for entry in schema["columns"]:
        source = entry["date_of"]
        name = source or entry["name"]
        if name not in table:
            raise RegfoldError(
                f"{table.path}: has no column {quote(name)}; expected every feature of {schema['path']}"
            )
        values = table.values(name)
        if source is not None:
            column = date_columns(source)[entry["name"]]
        elif entry["kind"] == "categorical":
            column = read_categorical(name, values, entry["levels"])
            rows = np.flatnonzero((column.values < 0) & pc.is_valid(values).to_numpy())
            if len(rows):
                unseen[name] = len(rows)
                first = first or f"{table.row(rows[0])}: {table.cell(name, rows[0])}"
        else:
            found = numbers(values, table.decimal)
            if found is None:
                row = first_text(values, table.decimal)
                raise RegfoldError(
                    f"{table.path}: column {quote(name)}, {table.row(row)}: {table.cell(name, row)} is "
                    f"not a number; expected numbers, as in {schema['path']}"
                )
            check_finite(table, name, values, found)
            column = read_numeric(table, name, found)
        if column.n_missing:
            missing[name] = column.n_missing
        columns.append(column)
    if missing:
        note(f"{table.path}: {_cells(missing)}: missing")
    if unseen:
        what = f"levels that {schema['path']} does not have"
        note(f"{table.path}: {_cells(unseen)}: {what}, the first in {first}")
    if extra := sorted(set(table.names) - set(schema["table_columns"]), key=table.names.index):
        what = f"{counted(len(extra), 'column')} that {schema['path']} does not have"
        note(f"{table.path}: {what}, not used: {_named(extra)}")
    check_size(table.path, columns, len(table))
    return matrix(columns, np.arange(len(table)))


def _cells(counts: dict[str, int]) -> str:
    """`3 cells of columns 'a', 'b'`, from the number of cells in each column."""
    total = counted(sum(counts.values()), "cell")
    return f"{total} of column{'s' * (len(counts) > 1)} {_named(list(counts))}"


def _named(names: list[str]) -> str:
    return first_few([quote(name) for name in names], notes.MOST_NAMES)
