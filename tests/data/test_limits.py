"""Guards the bounds: thousands of columns, and notes on as many, cost no more than they must."""

from pathlib import Path

import pytest
from regfold.data import encode, table
from regfold.data.columns import feature_names
from regfold.data.notes import Note, lines
from regfold.data.prepare import prepare


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def section(**keys) -> dict:
    return {
        "path": "t.csv",
        "target": ["y"],
        "task": "auto",
        "id": None,
        "exclude": [],
        "categorical": "auto",
        "missing": ["", "NA"],
        "missing_target": "error",
    } | keys


def wide(n_columns: int) -> list[str]:
    """A table t.csv of numbers with a target y; the other columns' names."""
    names = [f"x{i}" for i in range(n_columns)]
    rows = [",".join(str(0.5 + i * j % 7) for j in range(n_columns + 1)) for i in range(1, 4)]
    Path("t.csv").write_text("\n".join([",".join([*names, "y"]), *rows, ""]))
    return names


@pytest.mark.parametrize("step", ["feature_names", "encode"])
def test_the_list_of_columns_is_not_searched_once_for_each_column(step, monkeypatch):
    reads = []
    names_of = table.Table.names.fget
    monkeypatch.setattr(table.Table, "names", property(lambda read: reads.append(1) or names_of(read)))

    def count(n_columns: int) -> int:
        names = wide(n_columns)
        read = table.read("t.csv", [])
        data = section(exclude=names[1:] if step == "feature_names" else [])
        schema = prepare(data, None, "out")
        reads.clear()
        if step == "feature_names":
            assert feature_names(read, data, None)[0] == ["x0"]
        else:
            assert encode.encode(read, schema).shape == (3, n_columns)
        return len(reads)

    assert count(40) == count(10)


def test_few_notes_of_one_kind_stand_each_in_a_line():
    notes = [Note(f"x{i}", f"has {i} blots", "have blots") for i in range(3)]
    assert lines("t.csv", notes) == [f"t.csv: column 'x{i}' has {i} blots" for i in range(3)]


def test_many_notes_of_one_kind_are_one_line():
    notes = [Note(f"x{i}", f"has {i} blots", "have blots") for i in range(10_000)]
    notes.insert(5, Note("z", "counts the rows", "count the rows"))
    assert lines("t.csv", notes) == [
        "t.csv: columns 'x0', 'x1', 'x2' and 9,997 more have blots",
        "t.csv: column 'z' counts the rows",
    ]


def test_notes_on_many_columns_are_one_line_of_the_table():
    header = ",".join([*(f"e{i}" for i in range(50)), *(f"c{i}" for i in range(50)), "x", "y"])
    rows = [f"{',' * 50}{','.join([('n/a', 'b')[i % 2]] * 50)},{i},{i % 3}.5" for i in (1, 3, 4, 9)]
    Path("t.csv").write_text("\n".join([header, *rows, ""]))
    assert prepare(section(), None, "out")["notes"] == [
        "t.csv: columns 'e0', 'e1', 'e2' and 47 more have no value at all",
        "t.csv: columns 'c0', 'c1', 'c2' and 47 more have the level 'n/a'; if it means missing, add it to "
        "data.missing",
    ]


def test_levels_that_many_columns_do_not_know_are_one_line():
    names = [f"c{i}" for i in range(20)]
    for path, cells in (("t.csv", "aba"), ("new.csv", "azz")):
        rows = [",".join([*[cell] * 20, f"{i}.5"]) for i, cell in enumerate(cells)]
        Path(path).write_text("\n".join([",".join([*names, "y"]), *rows, ""]))
    schema, said = prepare(section(), None, "out"), []
    encode.encode(table.read("new.csv", []), schema, said.append)
    assert said == ["new.csv: columns 'c0', 'c1', 'c2' and 17 more have cells that are no level of t.csv"]
