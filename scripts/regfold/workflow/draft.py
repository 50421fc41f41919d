"""The target `init`: a first config.yaml for a table, with comments on what each column looks like."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import yaml

from regfold import files
from regfold.config.resolve import resolve
from regfold.data import dates
from regfold.data.columns import doubtful, hold_times, read_column, share_of_numbers
from regfold.data.prepare import FORM, prepare
from regfold.data.table import Table, read
from regfold.data.target import Target, read_target
from regfold.errors import RegfoldError, quote
from regfold.splits.split import decide

KEYS = ("table", "target", *FORM)
USUAL_MISSING = ["", "NA", "?"]
FOLDS = 5
# A categorical feature with so many levels may be a group of rows, such as a country observed over years.
MANY_LEVELS = 20
GROUP_NAME = re.compile(
    r"(?i)(^|[_. ])(patient|subject|person|participant|user|customer|client|group|site|hospital|center|"
    r"centre|family|household|school|plot|batch|cluster|animal|device|station)s?($|[_. ])|(.+[_. ]|^)id$"
)


@dataclass(frozen=True)
class Found:
    """What a column looks like.

    Args:
        name: the column.
        role: feature, id, group, dates, exclude, or index (a data frame's, which is not a feature).
        why: the reason, as text.
        n_levels: the number of levels of a categorical feature; otherwise 0.
    """

    name: str
    role: str
    why: str
    n_levels: int = 0


def write(request: dict, path: Path) -> str:
    """Write a commented config.yaml for a table, after a trial up to the folds; return a line that says so.

    Args:
        request: {"table": its path, "target": a column or a list of columns}, and optionally the keys of the
            data section in FORM.
        path: the file to write.

    Raises:
        RegfoldError: if the file exists already, a key is not known, or the table cannot be used as it is.
    """
    if path.exists():
        raise RegfoldError(f"{path}: exists already and is not changed; move it, or use --directory STUDY")
    if odd := [key for key in request if key not in KEYS]:
        raise RegfoldError(f"init: --config {odd[0]}: unknown key; expected {', '.join(KEYS)}")
    if absent := [key for key in ("table", "target") if not request.get(key)]:
        raise RegfoldError(
            f"init: --config {absent[0]} is missing; expected --config table=FILE target=COLUMN"
        )
    form = {key: request[key] for key in FORM if key in request}
    targets = request["target"] if isinstance(request["target"], list) else [request["target"]]
    text = draft(str(request["table"]), [str(name) for name in targets], form)
    # A config that is written has to work, so it is tried first, up to the folds.
    config = resolve(yaml.safe_load(text), source="init")
    with files.scratch() as folder:
        prepare(config["data"], config["split"]["column"], folder)
        decide({"split": config["split"], "missing": config["data"]["missing"]}, folder)
    with files.atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return f"{path} is written: read its comments, then run the same command without init and --config"


def draft(path: str, targets: list[str], form: dict) -> str:
    """The text of config.yaml for the table at `path`."""
    table = read(path, USUAL_MISSING, **form)
    for name in targets:
        table.find(name, "data.target")
    missing = [*USUAL_MISSING, *_spelled_missing(table)]
    table = replace(table, missing=tuple(missing))
    has_target = np.all([pc.is_valid(table.values(name)).to_numpy() for name in targets], axis=0)
    n_dropped = int((~has_target).sum())
    kept = table.keep(has_target) if n_dropped else table
    target = read_target(kept, targets, "auto")
    found = [_look_at(kept, name) for name in table.names if name not in targets]
    found = _one_id(found)
    split = _split(kept, target, found)
    exclude = [one.name for one in found if one.role == "exclude"]
    id_ = next((one.name for one in found if one.role == "id"), None)
    listed_dates = [one.name for one in found if one.role == "dates"]
    lines = [
        f"# A first config for {quote(path)}: {len(table):,} rows, {len(table.names):,} columns.",
        "# Written by `snakemake init`; docs/config.md says what each key means, and which others there are.",
        "",
        "data:",
        f"  path: {_value(path)}" + (f"   # {table.form}" if table.form else ""),
        f"  target: {_value(targets if len(targets) > 1 else targets[0])}   # {_comment(target.reason)}",
        f"  id: {_value(id_)}",
        f"  exclude: {_value(exclude)}",
        f"  dates: {_value(listed_dates)}",
        f"  missing: {_value(missing)}",
        *([f"  missing_target: drop   # rows without a target: {n_dropped:,}"] if n_dropped else []),
        *(f"  {key}: {_value(value)}" for key, value in form.items()),
        "  # What the columns look like:",
        *(f"  #   {_comment(quote(one.name))}: {_comment(one.why)}" for one in found),
        "",
        *split,
        "",
        "models:   # each is cross-validated on the same folds, from the same seeds",
        "  plain: {}",
        "  l2:",
        "    penalty: {kernel: {l2: 1.0e-3}}",
        "",
    ]
    return "\n".join(lines)


def _spelled_missing(table: Table) -> list[str]:
    """Texts in columns of numbers that other programs use for a missing value."""
    found = {}
    for name in table.names if not table.kinds else ():
        levels = pc.unique(table.values(name)).drop_null().to_pylist()
        if len(levels) > 2 and share_of_numbers(levels, table.decimal) > 0.5:
            found |= dict.fromkeys(doubtful(levels))
    return list(found)


def _look_at(table: Table, name: str) -> Found:
    """What a column, not a target, looks like."""
    if table.kinds.get(name) == "index":
        return Found(name, "index", "the data frame's index: not a feature")
    values = table.values(name)
    levels = pc.unique(values).drop_null().to_pylist()
    n, n_missing = len(table), values.null_count
    if len(levels) < 2:
        return Found(name, "exclude", "one value, or none: it does not distinguish rows")
    if hold_times(table.kinds.get(name), levels):
        try:
            dates.read(table, name)
        except RegfoldError:
            return Found(name, "exclude", "times, or dates and times: not a feature as it is")
        return Found(name, "dates", "dates: year, month, weekday, day of the year and days become features")
    is_unique = len(levels) == n and not n_missing
    try:
        column, notes = read_column(table, name, None)
    except RegfoldError as error:
        if is_unique:
            return Found(name, "id", "a text of its own for each row: names the rows")
        reason = str(error).removeprefix(f"{table.path}: column {quote(name)}").lstrip(" ,:")
        return Found(
            name, "exclude", f"left out, as it {reason}" if reason[:4] in ("hold", "has ") else reason
        )
    is_named = GROUP_NAME.search(name) and not n_missing
    is_whole = column.kind == "categorical" or np.all(np.nan_to_num(column.values) % 1 == 0)
    if is_unique and is_whole and (is_named or column.kind == "categorical" or _rise(column.values)):
        return Found(name, "id", "a value of its own for each row: names or counts the rows")
    if is_named and is_whole and FOLDS <= len(levels) <= n / 2:
        return Found(name, "group", f"{len(levels):,} values in {n:,} rows, and the name of a group")
    said = f"{len(levels):,} levels" if column.kind == "categorical" else "numbers"
    said += f", {n_missing:,} missing" if n_missing else ""
    why = "; ".join([f"a feature: {said}", *(note.one for note in notes)])
    return Found(name, "feature", why, len(levels) * (column.kind == "categorical"))


def _rise(values: np.ndarray) -> bool:
    """Whether numbers increase from each row to the next, as the row numbers of a sample of rows do."""
    return len(values) >= 10 and bool((np.diff(values) > 0).all())


def _one_id(found: list[Found]) -> list[Found]:
    """The first column that may be the id is it; further ones are excluded."""
    out, has_id = [], False
    for one in found:
        if one.role == "id" and has_id:
            one = replace(one, role="exclude", why=f"{one.why}; left out, since there is an id already")
        has_id |= one.role == "id"
        out.append(one)
    return out


def _split(table: Table, target: Target, found: list[Found]) -> list[str]:
    """The lines of the split section."""
    group = next((one.name for one in found if one.role == "group"), None)
    time = next((one.name for one in found if one.role == "dates"), None)
    lines, folds = ["split:"], min(FOLDS, len(table))
    if group is not None:
        lines.append(f"  method: group   # rows of one {_comment(quote(group))} stay together")
        lines.append(f"  column: {_value(group)}")
    elif target.classes is not None and (smallest := int(np.bincount(target.values).min())) >= 2:
        lines.append("  method: stratified   # each class is spread evenly")
        folds = min(folds, smallest)
    else:
        lines.append("  method: kfold")
    lines.append(f"  folds: {folds}")
    levels = {one.name: one.n_levels for one in found if one.role == "feature"}
    most = max(levels, key=levels.get, default=None)
    if group is None and most is not None and MANY_LEVELS <= levels[most] <= len(table) / 2:
        lines.append(
            f"  # To predict rows of other {_comment(quote(most))} than these {levels[most]:,}: "
            f"method: group, column: {_value(most)}"
        )
    if time is not None:
        lines.append(f"  # To predict later rows from earlier ones: method: time, column: {_value(time)}")
    return lines


def _value(value: object) -> str:
    """A value in YAML on one line."""
    line = yaml.safe_dump([value], default_flow_style=True, allow_unicode=True, width=10**9).strip()
    return line[1:-1]


def _comment(text: str) -> str:
    return " ".join(text.split())
