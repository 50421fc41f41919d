"""What the columns of the matrix stand for, as digests: in the whole table, and in some of its rows."""

import hashlib
import json

import numpy as np

CHUNK = 1 << 16


def inputs_of(columns: list[dict]) -> dict[str, list[int]]:
    """The matrix columns of each column of the table: all levels of a category, all that was made of a date.

    Args:
        columns: the schema's.
    """
    found: dict[str, list[int]] = {}
    for entry in columns:
        inputs = range(entry["start"], entry["start"] + entry["width"])
        found.setdefault(entry["date_of"] or entry["name"], []).extend(inputs)
    return found


class Layout:
    """The matrix' columns, and which level of each categorical column every row has.

    Args:
        schema: the table's schema.
        features: float32 (n, width), the design matrix.
    """

    def __init__(self, schema: dict, features: np.ndarray):
        self.schema = schema
        self.levels = {  # the column's place in the schema: the rows' positions in its levels, int32 (n,)
            place: np.empty(len(features), np.int32)
            for place, entry in enumerate(schema["columns"])
            if entry["kind"] == "categorical"
        }
        for begin in range(0, len(features), CHUNK) if self.levels else ():
            rows = features[begin : begin + CHUNK]
            for place, codes in self.levels.items():
                entry = schema["columns"][place]
                block = rows[:, entry["start"] : entry["start"] + entry["width"]]
                codes[begin : begin + CHUNK] = block.argmax(axis=1)

    def of_table(self) -> str:
        """A digest of all columns, their names, levels and order, and of the outputs: what a cell goes by."""
        parts = ("name", "kind", "levels")
        return self._digest([[entry[part] for part in parts] for entry in self.schema["columns"]])

    def of_rows(self, rows: np.ndarray) -> tuple[str, int]:
        """How the rows, bool (n,), are encoded, whatever levels other rows have.

        Returns:
            a digest of the columns' kinds, of the levels that occur in these rows, and of what the outputs
            stand for (task, classes, targets), each in its order; and how many matrix columns that makes.
        """
        columns, width = [], 0
        for place, entry in enumerate(self.schema["columns"]):
            occurring = None
            if place in self.levels:
                counts = np.bincount(self.levels[place][rows], minlength=entry["width"])
                occurring = [entry["levels"][i] for i in np.flatnonzero(counts)]
            columns.append([entry["kind"], occurring])
            width += 1 if occurring is None else len(occurring)
        return self._digest(columns), width

    def _digest(self, columns: list) -> str:
        outputs = [self.schema["task"], self.schema["classes"], len(self.schema["target"])]
        text = json.dumps([columns, outputs], ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:32]
