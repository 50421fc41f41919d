"""Columns of dates as numbers: year, month, weekday, day of the year, and days since 1970-01-01."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from regfold.data.columns import Column, read_numeric
from regfold.data.table import Table
from regfold.errors import RegfoldError, quote

# An ISO date, with or without a time. The time zone is ignored: the date is the one that is written. A day
# that does not exist, such as 2021-02-30, is found later, by the cast.
ISO = (
    r"^(?P<date>\d{4}-\d\d-\d\d)"
    r"(?:[T ](?P<time>\d\d:\d\d(?::\d\d)?)(?:[.,]\d+)? ?(?:Z|[+-]\d\d(?::?\d\d)?)?)?$"
)
SECONDS = 86_400


def names(column: str) -> list[str]:
    """The names of the numeric columns that are derived from a column of dates."""
    return [f"{column}_{part}" for part in ("year", "month", "weekday", "dayofyear", "days")]


def read(table: Table, name: str) -> list[Column]:
    """The numeric columns that are derived from a column of dates, NaN where the date is missing.

    Weekdays count from Monday, 1, to Sunday, 7. The days since 1970-01-01 have the time of day as a fraction.

    Args:
        table: the table.
        name: the column that holds the dates.

    Raises:
        RegfoldError: if a cell is not an ISO date, or the table already has a column of a derived name.
    """
    where = f"{table.path}: column {quote(name)} (data.dates)"
    for made in names(name):
        if made in table:
            raise RegfoldError(f"{where} gives {quote(made)}, the name of another column; rename that one")
    values = table.values(name)
    moments = _moments(values)
    if moments is None:
        row = next(row for row in range(len(table)) if _moments(values[row : row + 1]) is None)
        raise RegfoldError(
            f"{where}, {table.row(row)}: {table.cell(name, row)} is not an ISO date; expected dates such as "
            "2020-05-31 or 2020-05-31T12:00, or the column in data.exclude"
        )
    weekday = pc.day_of_week(moments, count_from_zero=False)
    parts = [pc.year(moments), pc.month(moments), weekday, pc.day_of_year(moments)]
    days = _float(pc.cast(moments, pa.int64())) / SECONDS
    return [
        replace(read_numeric(table, made, found), date_of=name)
        for made, found in zip(names(name), [*map(_float, parts), days], strict=True)
    ]


def _moments(values: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Cells as timestamps in whole seconds, null where missing; None if one is not an ISO date."""
    parts = pc.extract_regex(values, ISO)
    if parts.null_count > values.null_count:
        return None
    date, time = (pc.struct_field(parts, part) for part in ("date", "time"))
    midnight = pc.if_else(pc.equal(time, ""), "00:00", time)
    try:
        return pc.cast(pc.binary_join_element_wise(date, midnight, " "), pa.timestamp("s"))
    except pa.ArrowInvalid:  # a day that the calendar does not have
        return None


def _float(values: pa.ChunkedArray) -> np.ndarray:
    return pc.cast(values, pa.float64()).to_numpy(zero_copy_only=False)
