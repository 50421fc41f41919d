"""The column of row weights, data.weight."""

import numpy as np
import pyarrow.compute as pc

from regfold.data.decimals import first_text, numbers
from regfold.data.table import Table
from regfold.errors import RegfoldError, quote
from regfold.formatting import counted

# Sums of weights must stay finite.
MOST_WEIGHT = 1e100


def read_weights(table: Table, name: str | None) -> np.ndarray:
    """The rows' weights, float64 (n,), from the column of this name; (0,) for None.

    Raises:
        RegfoldError: if a weight is missing or is not a number of at least 0, or fewer than 2 are above 0.
    """
    if name is None:
        return np.empty(0)
    values, where = table.values(name), f"{table.path}: column {quote(name)} (data.weight)"
    absent = np.flatnonzero(pc.is_null(values).to_numpy())
    if len(absent):
        raise RegfoldError(f"{where}: no weight in {table.row_list(absent)}; expected one for every row")
    row, weights = first_text(values, table.decimal), numbers(values, table.decimal)
    if row < 0:
        odd = np.flatnonzero(~((weights >= 0) & (weights <= MOST_WEIGHT)))
        row = odd[0] if len(odd) else -1
    if row >= 0:
        raise RegfoldError(
            f"{where}, {table.row(row)}: found {table.cell(name, row)}; expected a number from 0 to "
            f"{MOST_WEIGHT:g}"
        )
    n_positive = int(np.count_nonzero(weights))
    if n_positive < 2:
        raise RegfoldError(
            f"{where}: {counted(n_positive, 'row')} with a weight above 0; expected at least 2"
        )
    return weights + 0.0
