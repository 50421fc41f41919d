"""The feature columns: which they are, which are numeric and which categorical, and their levels."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from regfold.data.decimals import DECIMAL, first, first_text, is_grouped, numbers
from regfold.data.notes import Note
from regfold.data.table import MOST_NAMED, Table, check_finite
from regfold.errors import RegfoldError, quote
from regfold.formatting import first_few

# A column of text with more levels than this, and more than half as many as rows, is refused as names.
MOST_LEVELS = 200
NUMBER = re.compile(DECIMAL["."], re.ASCII)
# ISO dates, times, and both.
_DATE = r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
_TIME = r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d([.,]\d+)?)?"
DATE_OR_TIME = rf"^({_DATE}([T ]{_TIME} ?(Z|[+-]\d\d(:?\d\d)?)?)?|{_TIME})$"
# How other programs write a missing value, in lower case.
DOUBTFUL = {"nan", "n/a", "#n/a", "na", "<na>", "nat", "null", "none", "-", "?"}


@dataclass
class Column:
    """One feature column, read.

    Args:
        name: the column's name.
        kind: numeric or categorical.
        levels: categorical: the levels' texts in order, None (missing) last if it occurs; numeric: None.
        values: numeric: float32 (n,), NaN where missing; categorical: int32 (n,) positions in `levels`, -1
            for a level that is not among them.
        n_missing: the number of cells without a value.
        date_of: the column of dates that the values were derived from, see dates.py; otherwise None.
    """

    name: str
    kind: str
    levels: list[str | None] | None
    values: np.ndarray
    n_missing: int
    date_of: str | None = None

    @property
    def width(self) -> int:
        """The number of matrix columns."""
        return 1 if self.levels is None else len(self.levels)


def feature_names(table: Table, data: dict, split_column: str | None) -> tuple[list[str], dict[str, str]]:
    """The columns that are features, and for each other column why it is not one.

    Args:
        table: the table.
        data: the resolved data section of the config.
        split_column: split.column of the config.

    Raises:
        RegfoldError: if the config names a column that does not exist, lists one that is not a feature as
            categorical or dates, or no feature is left.
    """
    reasons = {name: "the data frame's index" for name, kind in table.kinds.items() if kind == "index"}
    for key, names, reason in (
        ("data.exclude", data["exclude"], "data.exclude"),
        ("split.column", [split_column], "split.column"),
        ("data.id", [data["id"]], "data.id"),
        ("data.weight", [data["weight"]], "data.weight"),
        ("data.target", data["target"], "target"),
    ):
        for name in names:
            if name is not None:
                table.find(name, key)
                reasons[name] = reason
    for key in ("categorical", "dates"):
        for name in data[key] if data[key] != "auto" else ():
            table.find(name, f"data.{key}")
            if name in reasons:
                raise RegfoldError(
                    f"config.yaml: data.{key}: {quote(name)} is not a feature ({reasons[name]}); "
                    "expected feature columns"
                )
    features = [name for name in table.names if name not in reasons]
    if not features:
        named = first_few([f"{quote(name)} ({reasons[name]})" for name in table.names], MOST_NAMED)
        raise RegfoldError(f"{table.path}: no feature column is left: {named}")
    return features, {name: reasons[name] for name in table.names if name in reasons}


def read_column(table: Table, name: str, categorical: Collection[str] | None) -> tuple[Column, list[Note]]:
    """Read one feature column, and return it with notes for the user.

    Args:
        table: the table.
        name: the column.
        categorical: the columns that data.categorical lists; None for auto (text, boolean and category
            columns).

    Raises:
        RegfoldError: if the column cannot be a feature as it is; it names column, row and remedy.
    """
    where = f"{table.path}: column {quote(name)}"
    values = table.values(name)
    listed = categorical is not None and name in categorical
    if values.null_count == len(values) and not listed:
        empty = np.full(len(table), np.nan, np.float32)
        note = Note(name, "has no value at all", "have no value at all")
        return Column(name, "numeric", None, empty, len(table)), [note]
    kind = table.kinds.get(name)
    found = (
        None if listed or kind in ("text", "boolean", "category", "time") else numbers(values, table.decimal)
    )
    if found is not None:
        check_finite(table, name, values, found)
        return read_numeric(table, name, found), _notes_on_numbers(table, name, found)
    levels = sorted_labels(pc.unique(values).drop_null().to_pylist())
    if not listed and hold_times(kind, levels):
        are_dates = all(re.match(_DATE, level) for level in levels)
        features = "data.dates (for its year, month, weekday and days) or data.exclude"
        remedy = features if are_dates else "data.exclude, or make it a number"
        raise RegfoldError(f"{where} holds dates or times; list it in {remedy}")
    if not listed:
        check_thousands(table, name, values)
    if categorical is not None and not listed:
        row = max(0, first_text(values, table.decimal)) if kind is None else first(pc.is_valid(values))
        found_kind = "not a number" if kind is None else f"{kind}, not a number"
        raise RegfoldError(
            f"{where}, {table.row(row)}: {table.cell(name, row)} is {found_kind}; list the column in "
            "data.categorical or data.exclude"
        )
    notes = [] if listed else _check_levels(table, name, values, levels)
    if values.null_count:
        levels.append(None)
    return read_categorical(name, values, levels), notes


def read_numeric(table: Table, name: str, found: np.ndarray) -> Column:
    """A numeric column as float32 from float64 (n,), NaN where missing.

    Raises:
        RegfoldError: if a value is too large for float32.
    """
    with np.errstate(over="ignore", under="ignore"):
        # Adding zero turns -0.0 into 0.0, so that equal numbers have equal bytes.
        values = found.astype(np.float32) + np.float32(0)
    large = np.flatnonzero(np.isinf(values))
    if len(large):
        raise RegfoldError(
            f"{table.path}: column {quote(name)}, {table.row(large[0])}: {table.cell(name, large[0])} is too "
            "large; expected numbers up to 3.4e38"
        )
    return Column(name, "numeric", None, values, int(np.isnan(found).sum()))


def read_categorical(name: str, values: pa.ChunkedArray, levels: list[str | None]) -> Column:
    """A categorical column as positions in `levels`, from trimmed cells."""
    codes = pc.index_in(values, value_set=pa.array(levels, pa.string()))
    codes = pc.fill_null(codes, -1).to_numpy().astype(np.int32)
    return Column(name, "categorical", levels, codes, values.null_count)


def sorted_labels(labels: Iterable[str]) -> list[str]:
    """Distinct levels, classes or names of folds in order: numbers by their value, then texts.

    Equal numbers are ordered as texts. The order of two labels depends on these two alone, so that adding or
    removing a label never reorders the others.
    """

    def place(label: str) -> tuple[bool, Decimal, str]:
        is_number = NUMBER.fullmatch(label) is not None
        return not is_number, exact(label) if is_number else Decimal(0), label

    return sorted(set(labels), key=place)


def check_thousands(table: Table, name: str, values: pa.ChunkedArray) -> None:
    """Refuse a column of a text file if most of its cells are numbers and some have thousands separators.

    Raises:
        RegfoldError: it names the column and the row.
    """
    if name in table.kinds or (row := first(grouped := is_grouped(values, table.decimal))) < 0:
        return
    plain = pc.match_substring_regex(values, DECIMAL[table.decimal])
    if pc.mean(pc.or_(grouped, plain)).as_py() > 0.5:
        raise RegfoldError(
            f"{table.path}: column {quote(name)}, {table.row(row)}: {table.cell(name, row)} has thousands "
            "separators; expected numbers without them, or the column in data.categorical or data.exclude"
        )


def hold_times(kind: str | None, labels: list[str]) -> bool:
    """Whether a column of this kind with these texts holds dates or times: by its type, or in ISO form."""
    if kind not in (None, "text"):
        return kind == "time"
    return pc.all(pc.match_substring_regex(pa.array(labels, pa.string()), DATE_OR_TIME)).as_py()


def doubtful(labels: Iterable[str]) -> list[str]:
    """The levels or classes that other programs use for a missing value."""
    return [label for label in labels if label.lower() in DOUBTFUL]


def exact(number: str) -> Decimal:
    """The exact value of a text that is a number: float64 rounds whole numbers beyond 2**53."""
    try:
        return Decimal(number)
    except InvalidOperation:  # an exponent of 19 digits or more
        return Decimal(float(number))


def share_of_numbers(labels: list[str], decimal: str) -> float:
    """The share of the texts that are numbers."""
    return pc.mean(pc.match_substring_regex(pa.array(labels, pa.string()), DECIMAL[decimal])).as_py()


def _check_levels(table: Table, name: str, values: pa.ChunkedArray, levels: list[str]) -> list[Note]:
    """Refuse a column of text that is most likely names, or numbers with a typo; else return notes."""
    where = f"{table.path}: column {quote(name)}"
    many = len(levels) > MOST_LEVELS and len(levels) > len(table) / 2
    if len(levels) > 2 and share_of_numbers(levels, table.decimal) > 0.5:
        row = first_text(values, table.decimal)
        typo = f"{table.row(row)}: {table.cell(name, row)} is not a number"
        if many:
            raise RegfoldError(
                f"{where}, {typo}, but most cells are; if it means missing, add it to data.missing, or list "
                "the column in data.categorical or data.exclude"
            )
        return [
            Note(
                name,
                f"is categorical with {len(levels)} levels, though most of them are numbers: {typo}; if it "
                "means missing, add it to data.missing",
                "are categorical, though most of their levels are numbers; if the other levels mean missing, "
                "add them to data.missing",
            )
        ]
    if many:
        raise RegfoldError(
            f"{where} holds {len(levels):,} different texts in {len(table):,} rows, as names do; list it in "
            "data.exclude, in data.id, or explicitly in data.categorical"
        )
    if len(levels) > 20 and len(levels) > len(table) / 2:
        return [
            Note(
                name,
                f"holds {len(levels)} different texts in {len(table)} rows; if they are names, list it in "
                "data.exclude or data.id",
                f"hold different texts in more than half of {len(table)} rows; if they are names, list the "
                "columns in data.exclude",
            )
        ]
    texts = [
        f"the level {quote(level)}; if it means missing, add it to data.missing" for level in doubtful(levels)
    ]
    return [Note(name, f"has {text}", f"have {text}") for text in texts]


def _notes_on_numbers(table: Table, name: str, found: np.ndarray) -> list[Note]:
    """Notes on a numeric column that loses values as float32, or that only counts the rows."""
    sample = found[np.linspace(0, len(found) - 1, min(len(found), 10_000)).astype(np.int64)]
    sample = sample[~np.isnan(sample)]
    distinct = len(np.unique(sample))
    with np.errstate(over="ignore", under="ignore"):
        kept = len(np.unique(sample.astype(np.float32)))
    if kept < 0.99 * distinct:
        remedy = "(a network's numbers have 7 digits); subtract a constant from"
        return [
            Note(
                name,
                f"loses detail: {distinct:,} different values of {len(sample):,} are {kept:,} as float32 "
                f"{remedy} it, or leave it out",
                f"lose detail: different values are one as float32 {remedy} them, or leave them out",
            )
        ]
    if len(found) >= 10 and np.ptp(found - table.rows) == 0:  # table.rows has gaps where rows were dropped
        return [
            Note(
                name,
                "counts the rows; if it is not a feature, list it in data.exclude or data.id",
                "count the rows; if they are not features, list them in data.exclude",
            )
        ]
    return []
