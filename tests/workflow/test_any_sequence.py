"""Guards that edits and reruns, in any order, lead to the results of a fresh run in an empty folder.

Tables and edits are drawn at random: once without training, on what networks would be trained on and predict;
and once with tiny networks, on all that cells write. REGFOLD_SEQUENCES scales how many are drawn.
"""

import csv
import hashlib
import io
import json
import os
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from regfold.data import row_weights
from regfold.errors import RegfoldError
from regfold.provenance import identity
from regfold.splits import folds
from regfold.training import standardize
from small_study import Study

DOSE = float(os.environ.get("REGFOLD_SEQUENCES", "1"))
QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}
# The usual cells of a column, by its first letter, one of these sets for each column; and the rare ones.
USUAL = {"c": [("2", "10"), ("a", "b"), ("2", "10", "b")], "y": [("p", "q"), ("2", "10")]}
USUAL |= {"x": [("0.5", "-1", "2.25", "10")], "f": [("2", "10", "a")], "w": [("1", "2", "0.5")]}
RARE = {"c": ("a", "x", "1e1", "9", ""), "y": ("z", "9"), "x": ("-0.0", "0", ""), "f": ("2", "10", "a")}
RARE |= {"w": ("1.0", "0", "-0.0")}
WAYS = [
    "cell",
    "cell",
    "class",
    "fold",
    "weight",
    "new row",
    "no row",
    "new column",
    "no column",
    "columns",
    "rows",
    "level",
]
HOW_IT_CAME_ABOUT = ("times", "device", "trained_epochs", "resumed_from")


class Table:
    """Rows and columns of text that are edited at random."""

    def __init__(self, chance: random.Random):
        self.chance, self.regression, self.n_names = chance, chance.random() < 0.5, 0
        self.usual: dict[str, tuple[str, ...]] = {}
        self.columns = ["id", "c1", "x1", "c2", "f", "w", "y"]
        self.rows = [self.row() for _ in range(chance.randint(9, 14))]
        self.earlier = []

    def name(self, letter: str) -> str:
        self.n_names += 1
        return f"{letter}{self.n_names}"

    def row(self) -> dict[str, str]:
        return {name: self.name("r") if name == "id" else self.cell(name) for name in self.columns}

    def cell(self, column: str) -> str:
        if column == "y" and self.regression:
            return f"{self.chance.uniform(-5, 5):.3f}"
        usual = self.usual.setdefault(column, self.chance.choice(USUAL[column[0]]))
        return self.chance.choice(usual if self.chance.random() < 0.95 else RARE[column[0]])

    @property
    def text(self) -> str:
        out = io.StringIO()
        writer = csv.DictWriter(out, self.columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return out.getvalue()

    def undo(self) -> None:
        self.columns, self.rows = self.earlier.pop()

    def edit(self) -> None:
        """One edit, or the last one undone."""
        chance = self.chance
        if self.earlier and chance.random() < 0.2:
            self.undo()
            return
        self.earlier.append((self.columns.copy(), [row.copy() for row in self.rows]))
        features = [name for name in self.columns if name[0] in "cx"]
        way, row = chance.choice(WAYS), chance.choice(self.rows)
        if way in ("cell", "class", "fold", "weight"):
            column = {"cell": chance.choice(features), "class": "y", "fold": "f", "weight": "w"}[way]
            is_rare = chance.random() < 0.5 and not (way == "class" and self.regression)
            row[column] = chance.choice(RARE[column[0]]) if is_rare else self.cell(column)
        elif way == "new row":
            self.rows.insert(chance.randint(0, len(self.rows)), self.row())
        elif way == "no row":
            self.rows.remove(row)
        elif way == "new column":
            column = self.name(chance.choice("cx") + "_")
            self.columns.insert(chance.randint(0, len(self.columns)), column)
            self.rows = [row | {column: self.cell(column)} for row in self.rows]
        elif way == "no column":
            self.columns.remove(chance.choice(features))
        elif way == "level":  # it vanishes
            column = chance.choice(features)
            gone, other = row[column], self.cell(column)
            self.rows = [row | {column: other} if row[column] == gone else row for row in self.rows]
        else:
            chance.shuffle({"columns": self.columns, "rows": self.rows}[way])


class Edited(Study):
    """A study whose table is edited; it is made in an empty folder, which the process goes to."""

    def __init__(
        self,
        folder: Path,
        table: Table,
        by_column: bool,
        with_ids: bool,
        listed: bool,
        weighted: bool,
        model: dict | None = None,
    ):
        folder.mkdir(parents=True)
        os.chdir(folder)
        self.table, self.listed = table, listed
        super().__init__(
            table.text,
            {
                "id": "id" if with_ids else None,
                "weight": "w" if weighted else None,
                "exclude": ["id"] * (not with_ids) + ["f"] * (not by_column) + ["w"] * (not weighted),
                "task": "regression" if table.regression else "classification",
                "categorical": self.categorical(),
            },
            {"method": "column", "column": "f"} if by_column else {"folds": 3},
            network={"hidden": [3]},
            training={"epochs": 2, "optimizer": "sgd"},
            models={"m": model or {}},
        )

    def categorical(self) -> str | list[str]:
        return [name for name in self.table.columns if name[0] == "c"] if self.listed else "auto"

    def edit(self, times: int) -> None:
        """Edit the table; where it then is refused, as a user would, back to the one before."""
        before = self.table.columns.copy(), [row.copy() for row in self.table.rows]
        for _ in range(times):
            self.table.edit()
        try:
            self.write()
        except RegfoldError:
            self.table.columns, self.table.rows = before
            self.write()

    def write(self) -> None:
        self.config["data"]["categorical"] = self.categorical()
        Path("t.csv").write_text(self.table.text)
        self.prepare()


@st.composite
def beginnings(draw) -> tuple[Table, dict[str, bool]]:
    options = {name: draw(st.booleans()) for name in ("by_column", "with_ids", "listed", "weighted")}
    return Table(draw(st.randoms(use_true_random=True))), options


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Wherever the studies lead, the next test begins where this one did."""
    monkeypatch.chdir(tmp_path)


def seen(study: Study, key: tuple[int, int]) -> tuple[str, str]:
    """Digests of what a fold's network would be trained on, and of all that its cell would be made from."""
    schema, features = study.schema, study.features()
    target, weights = np.load(study.prepared / "target.npy"), row_weights.read(study.prepared)
    decided = folds.read(study.prepared, study.config["split"])
    learnt, tested = decided.training(*key), decided.held_out(*key)
    meanings = [
        (place, entry["levels"] and entry["levels"][j])
        for place, entry in enumerate(schema["columns"])
        for j in range(entry["width"])
    ]
    kept = standardize.fit(features[learnt], schema["columns"]).keep
    outputs = schema["task"], schema["classes"], len(schema["target"])
    training = (
        features[learnt][:, kept].tobytes(),
        target[learnt].tobytes(),
        None if weights is None else weights[learnt].tobytes(),
        [meanings[j] for j in kept],
        outputs,
    )
    names = [entry["name"] for entry in schema["columns"]], study.description(*key)["name"]
    held_out = features[tested].tobytes(), target[tested].tobytes()
    held_out += (None if weights is None else weights[tested].tobytes(),)
    whole = training, held_out, meanings, names
    return tuple(hashlib.sha256(repr((key, parts)).encode()).hexdigest() for parts in (training, whole))


@given(beginnings(), st.integers(1, 8))
@settings(max_examples=int(30 * DOSE), **QUIET)
def test_what_is_the_same_has_one_name_and_what_differs_has_two(tmp_path_factory, beginning, n_edits):
    """A state's name says what was trained on, no more and no less; a description, what a cell comes from."""
    table, options = beginning
    try:
        study = Edited(tmp_path_factory.mktemp("tables") / "study", table, **options)
    except RegfoldError:
        return
    specification = identity.specification(study.config["models"]["m"])
    names: dict[str, str] = {}
    for _ in range(n_edits):
        for key in study.cells():
            description = study.description(*key)
            state = identity.state_digest(specification, description)
            for name, content in zip((state, json.dumps(description)), seen(study, key), strict=True):
                assert names.setdefault(name, content) == content
                assert names.setdefault(content, name) == name
        study.edit(1)


def content(study: Study) -> dict[str, object]:
    """What a finished study holds, but for how it came about."""
    found = {"oos": study.merge().read_bytes()}
    for key in study.cells():
        about = json.loads((study.folder(*key) / "cell.json").read_text())
        del about["digests"]["files"]  # model.keras has times in it
        found[f"{key}"] = {name: value for name, value in about.items() if name not in HOW_IT_CAME_ABOUT}
        for name in ("predictions.npz", "history.csv"):
            found[f"{key} {name}"] = (study.folder(*key) / name).read_bytes()
    return found


MODELS = {}, {"penalty": {"kernel": {"l2": [0.0, 0.1, 1.0]}}, "select": "nested"}


@pytest.mark.parametrize(
    "model", [MODELS[0], pytest.param(MODELS[1], marks=pytest.mark.heavy)], ids=["network", "path"]
)
@given(beginning=beginnings(), reruns=st.lists(st.integers(1, 3), min_size=1, max_size=3))
@settings(max_examples=max(1, int(DOSE)), **QUIET)
def test_after_any_edits_and_reruns_the_results_are_those_of_a_fresh_run(
    tmp_path_factory, model, beginning, reruns
):
    (table, options), folder = beginning, tmp_path_factory.mktemp("sequences")
    options["model"] = model
    try:
        study = Edited(folder / "edited", table, **options)
    except RegfoldError:
        return
    study.rerun()
    for n_edits in reruns:
        study.edit(n_edits)
        study.rerun()
    found = content(study)
    fresh = Edited(folder / "fresh", table, **options)
    fresh.rerun()
    assert found == content(fresh)
