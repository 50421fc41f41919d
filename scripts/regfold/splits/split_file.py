"""Method `file`: a CSV that says in which repeat and fold each row is tested."""

import csv
import re
from pathlib import Path

import numpy as np

from regfold.errors import RegfoldError, quote


def read(path: str, rows: list[str], what: str) -> tuple[np.ndarray, list[str]]:
    """Read an assignment of rows to folds.

    Args:
        path: a CSV with the columns row, repeat and fold.
        rows: the n rows' names.
        what: what the names are, "row" or "id", for messages.

    Returns:
        the assignment, int32 (repeats, n), folds from 1, 0 for a row not tested; and the folds' names.

    Raises:
        RegfoldError: if it cannot be read, names an unknown row, or leaves a fold without training rows.
    """
    position = {row: i for i, row in enumerate(rows)}
    seen: dict[tuple[int, int], int] = {}
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            if missing := {"row", "repeat", "fold"} - set(reader.fieldnames or []):
                raise RegfoldError(
                    f"{path}: column {quote(sorted(missing)[0])} is missing; expected row, repeat and fold"
                )
            for line in reader:
                where = f"{path}, line {reader.line_num}"
                row = position.get((line["row"] or "").strip())
                if row is None:
                    raise RegfoldError(f"{where}: {what} {quote(line['row'])} is not in the table")
                cell = _count(line["repeat"], "repeat", where), row
                if cell in seen:
                    raise RegfoldError(f"{where}: {what} {line['row']} is tested twice in repeat {cell[0]}")
                seen[cell] = _count(line["fold"], "fold", where)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RegfoldError(f"{path}: cannot be read: {error}") from None
    if not seen:
        raise RegfoldError(f"{path}: no rows; expected where each row is tested")
    present = {repeat for repeat, _ in seen}
    repeats = len(present)
    if gap := next((repeat for repeat in range(1, repeats + 1) if repeat not in present), None):
        raise RegfoldError(f"{path}: repeat {gap} tests no row; expected repeats from 1 without a gap")
    assignment = np.zeros((repeats, len(rows)), np.int32)
    for (repeat, row), fold in seen.items():
        assignment[repeat - 1, row] = fold
    for repeat, tested in enumerate(assignment, start=1):
        for fold in np.unique(tested[tested > 0]):
            if (tested == fold).all():
                raise RegfoldError(
                    f"{path}: repeat {repeat}, fold {fold} tests all rows; expected some rows to train on"
                )
    return assignment, [str(fold) for fold in range(1, assignment.max() + 1)]


def _count(text: str | None, name: str, where: str) -> int:
    text = (text or "").strip()
    if not re.fullmatch("0*[1-9][0-9]{0,5}", text):
        raise RegfoldError(f"{where}: {name} {quote(text)}; expected a whole number from 1")
    return int(text)
