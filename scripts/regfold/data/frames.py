"""A pandas data frame as a `Table`, as if it had been read from a file."""

import numpy as np
import pandas as pd
import pyarrow as pa

from regfold.data import read_typed
from regfold.data.table import Table
from regfold.errors import RegfoldError, quote

# The name of a data frame in messages, in place of a file's.
FRAME = "frame"


def table(frame: pd.DataFrame, missing: list[str]) -> Table:
    """The rows of a data frame, (n, columns), as text; the index is left out.

    Args:
        frame: the data frame.
        missing: the texts that mean a missing cell.

    Raises:
        RegfoldError: if it has no rows, two columns of one name, or several types in one column.
    """
    if not len(frame):
        raise RegfoldError(f"{FRAME}: has no rows; expected at least 1")
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise RegfoldError(f"{FRAME}: two columns are named {quote(twice[0])}; expected names that differ")
    try:
        arrow = pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowException, TypeError, ValueError) as error:
        reason = " ".join(map(str, error.args))
        raise RegfoldError(f"{FRAME}: {quote(reason, 200)[1:-1]}; expected one type in a column") from None
    text, kinds = read_typed.as_text(arrow.replace_schema_metadata(None), FRAME)
    return Table(FRAME, text, kinds, tuple(missing), np.arange(len(frame)))
