"""The meaning of the matrix' columns, as digests: for the whole table, and for a subset of its rows."""

import hashlib
import json

import numpy as np

CHUNK = 1 << 16


def inputs_of(columns: list[dict]) -> dict[str, list[int]]:
    """column of the table -> its matrix columns: the levels of a category, the parts of a date.

    Args:
        columns: schema["columns"].
    """
    found: dict[str, list[int]] = {}
    for entry in columns:
        inputs = range(entry["start"], entry["start"] + entry["width"])
        found.setdefault(entry["date_of"] or entry["name"], []).extend(inputs)
    return found


class Layout:
    """The meaning of the matrix' columns, and which level of each categorical column every row has.

    Args:
        schema: the table's schema.
        features: float32 (n, width), the design matrix.
    """

    def __init__(self, schema: dict, features: np.ndarray):
        self.schema = schema
        # The column's position in the schema -> the rows' positions in its levels, int32 (n,).
        self.levels = {
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
        """A digest of all columns (names, kinds, levels, order) and of the outputs."""
        parts = ("name", "kind", "levels")
        return self._digest([[entry[part] for part in parts] for entry in self.schema["columns"]])

    def of_rows(self, rows: np.ndarray) -> tuple[str, int]:
        """How rows, bool (n,), are encoded, independent of the levels that only other rows have.

        Returns:
            a digest of the columns' kinds, the levels that occur in these rows, and the outputs (task,
            classes, number of targets), each in its order; and the number of matrix columns that they use.
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
