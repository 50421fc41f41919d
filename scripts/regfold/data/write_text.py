"""Write columns of text, or a data frame, to a CSV file, atomically."""

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from regfold import files

if TYPE_CHECKING:
    import pandas as pd


def write_csv(table: pa.Table, path: str | Path) -> None:
    """Write columns of text as a CSV; cells are quoted only where necessary."""
    header = ",".join(_quoted(pa.array(table.column_names)).to_pylist())
    with files.atomic(path) as temporary, temporary.open("wb") as file:
        file.write(f"{header}\n".encode())
        for batch in table.to_batches(max_chunksize=1 << 16):
            lines = pc.binary_join_element_wise(*(_quoted(column) for column in batch.columns), ",")
            file.write("\n".join([*lines.to_pylist(), ""]).encode())


def write_frame(frame: "pd.DataFrame", path: str | Path) -> None:
    """Write a data frame as a CSV, NaN as an empty cell."""
    with files.atomic(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")


def _quoted(cells: pa.Array) -> pa.Array:
    special = pc.match_substring_regex(cells, '[",\r\n]')
    if not pc.any(special).as_py():
        return cells
    doubled = pc.replace_substring(cells, '"', '""')
    return pc.if_else(special, pc.binary_join_element_wise('"', doubled, '"', ""), cells)
