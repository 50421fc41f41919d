"""Tables whose columns have types: Parquet, Feather, and those that scikit-learn ships."""

import json

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as types

from regfold.errors import RegfoldError, quote, reason

SUFFIXES = (".parquet", ".feather")


def read(path: str) -> tuple[pa.Table, dict[str, str]]:
    """Read a Parquet or Feather file; return its columns as text, and each column's kind, see `as_text`.

    Raises:
        RegfoldError: if the file cannot be read, or a column holds lists, structures or bytes.
    """
    try:
        if path.lower().endswith(".parquet"):
            # Not read_table(): that would add columns for folders named like `year=2020`.
            import pyarrow.parquet as parquet

            with parquet.ParquetFile(path) as file:
                table = file.read()
        else:
            import pyarrow.feather as feather

            table = feather.read_table(path)
    except (pa.ArrowException, OSError) as error:
        wanted = "Parquet" if path.lower().endswith(".parquet") else "Feather"
        raise RegfoldError(f"{path}: cannot be read as {wanted}: {reason(error)[:120]}") from None
    return as_text(table, path)


def sklearn_table(path: str) -> tuple[pa.Table, dict[str, str]]:
    """`sklearn:NAME`: the frame of scikit-learn's `load_NAME(as_frame=True)`, its target columns with it."""
    from sklearn import datasets

    frame = getattr(datasets, f"load_{path.removeprefix('sklearn:')}")(as_frame=True).frame
    return as_text(pa.Table.from_pandas(frame, preserve_index=False), path)


def as_text(table: pa.Table, path: str) -> tuple[pa.Table, dict[str, str]]:
    """Every cell as text: floats as the shortest text that reads back, True and False, ISO dates.

    Null stays null, and NaN in a column of floats becomes null.

    Returns:
        the columns as strings, and {column: kind}, where kind is number, text, boolean, category, time, or
        index (a data frame's index, as pandas stores it).

    Raises:
        RegfoldError: if a column holds lists, structures or bytes, or cannot be read.
    """
    index, categories = _pandas_metadata(table, path)
    columns, kinds = [], {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        try:
            text, kind = _column_as_text(column, name, path)
        except pa.ArrowException as error:  # such as an unknown time zone
            raise RegfoldError(
                f"{path}: column {quote(name)} ({column.type}) cannot be read: {quote(error, 120)[1:-1]}; "
                "expected numbers, text, booleans, categories or dates"
            ) from None
        columns.append(text)
        kinds[name] = "index" if name in index else "category" if name in categories else kind
    return pa.table(columns, names=table.column_names), kinds


def _pandas_metadata(table: pa.Table, path: str) -> tuple[set[str], set[str]]:
    """The columns that are a data frame's index, and those of categories, by pandas' metadata.

    Parquet itself marks categories of text; categories of numbers are known from the metadata alone.
    """
    try:
        stored = json.loads((table.schema.metadata or {}).get(b"pandas", b"{}"))
        index = {name for name in stored.get("index_columns", []) if isinstance(name, str)}
        categories = {
            column.get("field_name")
            for column in stored.get("columns", [])
            if column.get("pandas_type") == "categorical"
        }
    except (ValueError, AttributeError, TypeError, RecursionError):
        raise RegfoldError(
            f"{path}: its pandas metadata are damaged; expected a file as pandas or pyarrow writes it"
        ) from None
    return index, categories


def _column_as_text(column: pa.ChunkedArray, name: str, path: str) -> tuple[pa.ChunkedArray, str]:
    kind = column.type
    if types.is_dictionary(kind):
        return _column_as_text(pc.cast(column, kind.value_type), name, path)[0], "category"
    if types.is_boolean(kind):
        return pc.if_else(column, "True", "False"), "boolean"
    if types.is_floating(kind):
        whole = pc.if_else(pc.is_nan(column), pa.scalar(None, kind), column)
        return pc.cast(whole, pa.string()), "number"
    if types.is_integer(kind) or types.is_decimal(kind) or types.is_null(kind):
        return pc.cast(column, pa.string()), "number"
    if types.is_timestamp(kind):
        return pc.replace_substring(pc.cast(column, pa.string()), " ", "T", max_replacements=1), "time"
    if types.is_temporal(kind) and not types.is_interval(kind):
        return pc.cast(column, pa.string()), "time"
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return pc.cast(column, pa.string()), "text"
    names = {types.is_nested: "lists or structures", types.is_binary: "bytes", types.is_interval: "intervals"}
    what = next((name for is_it, name in names.items() if is_it(kind)), kind)
    raise RegfoldError(
        f"{path}: column {quote(name)} holds {what}; expected numbers, text, booleans, categories or dates"
    )
