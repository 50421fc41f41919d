"""Columns of text to a CSV file."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from regfold import files


def write_csv(table: pa.Table, path: str | Path) -> None:
    """Write columns of text as a CSV, a cell in quotes only where it must be; in one piece or not at all."""
    header = ",".join(_quoted(pa.array(table.column_names)).to_pylist())
    with files.atomic(path) as temporary, temporary.open("wb") as file:
        file.write(f"{header}\n".encode())
        for batch in table.to_batches(max_chunksize=1 << 16):
            lines = pc.binary_join_element_wise(*(_quoted(column) for column in batch.columns), ",")
            file.write("\n".join([*lines.to_pylist(), ""]).encode())


def _quoted(cells: pa.Array) -> pa.Array:
    special = pc.match_substring_regex(cells, '[",\r\n]')
    if not pc.any(special).as_py():
        return cells
    doubled = pc.replace_substring(cells, '"', '""')
    return pc.if_else(special, pc.binary_join_element_wise('"', doubled, '"', ""), cells)
