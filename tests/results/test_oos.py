"""Guards the row contract: each line of an out-of-sample file has its own row's cells and prediction."""

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from regfold.data.write_text import write_csv
from regfold.errors import RegfoldError
from regfold.formatting import first_few
from regfold.results import oos
from small_study import Study


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def read(path):
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@st.composite
def prepared_tables(draw):
    """A table whose cell names its row, any order and assignment, and predictions that name it too."""
    n, repeats = draw(st.integers(2, 12)), draw(st.integers(1, 3))
    position = np.array(draw(st.permutations(range(n))), np.int64)
    folds = st.lists(st.integers(0, 4), min_size=n, max_size=n)
    assignment = np.array(draw(st.lists(folds, min_size=repeats, max_size=repeats)), np.int32)
    regression = draw(st.booleans())
    schema = {
        "task": "regression" if regression else "classification",
        "classes": None if regression else ["a", "b", "c"],
        "target": ["y"],
        "id": None,
    }
    target = position[:, None] + 0.25 if regression else (position % 3).astype(np.int32)
    table = pa.table({"cell": [f"cell {i}" for i in range(n)]})
    names = pa.array([f"name {i}" for i in position])
    digests = np.repeat(position[:, None].astype(np.uint8), 16, axis=1)
    prepared = oos.Prepared(Path(), schema, table, names, position, digests, target, assignment)
    predictions = {}
    for repeat, tested in enumerate(assignment, start=1):
        for fold in np.unique(tested[tested > 0]):
            rows = np.flatnonzero(tested == fold)
            values = 1000 * repeat + position[rows, None] + np.linspace(0.1, 0.3, 1 if regression else 3)
            values = values.astype(np.float64 if regression else np.float32)
            predictions[repeat, int(fold)] = digests[rows], values
    return prepared, predictions


@given(prepared_tables())
@settings(max_examples=150, deadline=None)
def test_every_prediction_is_joined_to_its_own_row(drawn):
    prepared, predictions = drawn
    lines = oos.merge(prepared, predictions).to_pylist()
    canonical = {int(place): i for i, place in enumerate(prepared.position)}
    expected = [
        (repeat, place)
        for repeat in range(1, len(prepared.assignment) + 1)
        for place in range(len(prepared.position))
        if prepared.assignment[repeat - 1, canonical[place]]
    ]
    assert [(int(line["oos_repeat"]), int(line["cell"][5:])) for line in lines] == expected
    for line, (repeat, place) in zip(lines, expected, strict=True):
        assert line["oos_row"] == f"name {place}"
        assert int(line["oos_fold"]) == prepared.assignment[repeat - 1, canonical[place]]
        if prepared.schema["classes"]:
            assert line["oos_label"] == "c"
            assert [line[f"oos_y_{label}"] for label in "abc"] == [str(int(place % 3 == k)) for k in range(3)]
            found, offsets = [line[f"oos_pred_{label}"] for label in "abc"], np.linspace(0.1, 0.3, 3)
        else:
            assert float(line["oos_y"]) == place + 0.25
            found, offsets = [line["oos_pred"]], [0.1]
        for text, offset in zip(found, offsets, strict=True):
            expected = 1000 * repeat + place + offset
            assert (
                float(text) == expected
                if not prepared.schema["classes"]
                else np.float32(text) == np.float32(expected)
            )


@given(prepared_tables(), st.data())
@settings(max_examples=100, deadline=None)
def test_predictions_of_other_rows_are_refused(drawn, data):
    prepared, predictions = drawn
    if not predictions:
        return
    key = data.draw(st.sampled_from(sorted(predictions)))
    digests, values = predictions[key]
    n, n_outputs = values.shape
    where = f"repeat {key[0]}, fold {key[1]}: "
    ways = {
        "missing row": (digests[1:], values[1:]),
        "twice": (np.append(digests, digests[:1], axis=0), np.append(values, values[:1], axis=0)),
        "too few values": (digests, values[1:]),
        "too many outputs": (digests, np.hstack([values, values])),
    }
    for found in ways.values():
        with pytest.raises(RegfoldError) as error:
            oos.merge(prepared, predictions | {key: found})
        assert str(error.value) == (
            f"{where}{len(found[0])} rows with predictions of shape {found[1].shape}; "
            f"expected those of the {n} rows that are tested, {(n, n_outputs)}"
        )
    # Of the right number, but of other rows: replaced, or in another order.
    wrong = data.draw(st.lists(st.booleans(), min_size=n, max_size=n).filter(any), label="replaced")
    order = data.draw(st.permutations(range(n)), label="order")
    tested = np.flatnonzero(prepared.assignment[key[0] - 1] == key[1])
    for changed in (np.where(np.array(wrong)[:, None], np.uint8(200), digests), digests[order]):
        rows = [f"'name {prepared.position[row]}'" for row in tested[(changed != digests).any(axis=1)]]
        if rows:
            with pytest.raises(RegfoldError) as error:
                oos.merge(prepared, predictions | {key: (changed, values)})
            named = f"{where}row {first_few(rows, 10)}"
            assert str(error.value) == f"{named}: predicted from other contents than the table has now"
    predictions.pop(key)
    with pytest.raises(RegfoldError) as error:
        oos.merge(prepared, predictions)
    assert str(error.value) == f"{where}no predictions"


UGLY = [
    ["plain", "1", "a"],
    ["with, comma", "2", "b"],
    ['with "quotes"', "3", "a"],
    [" blanks around ", " 4 ", "b"],
    ["two\nlines", "5.0", "a"],
    ["two\r\nlines", "1e3", "b"],
    ["=1+1", "007", "a"],
    ["it's \\ and \t tab", "NA", "b"],
    ["", "+.5", "a"],
    ["é 😀 \u2028", "0.10000000000000001", " b "],
    ['"', "-0", "a"],
    ['""', "1E5", "b"],
]


def test_the_tables_cells_come_back_letter_for_letter():
    header = ["te,xt", 'num"ber', "y"]
    with Path("in.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *UGLY])
    study = Study(Path("in.csv").read_bytes().decode(), split={"folds": 3, "repeats": 2})
    study.pretend()
    with study.merge().open(newline="", encoding="utf-8") as file:
        found = list(csv.reader(file))
    assert found[0][:3] == header
    assert [line[:3] for line in found[1:]] == UGLY * 2
    assert found[0][3:7] == ["oos_row", "oos_repeat", "oos_fold", "oos_label"]
    assert found[0][7:] == ["oos_y_a", "oos_y_b", "oos_pred_a", "oos_pred_b"]


def test_the_text_of_a_line_is_exact():
    study = Study(
        't,"x,y",y\n1," ""q"" ",0.1\n2,b,0.30000000000000004\n3,c,1e22\n4,d,-5\n', split={"folds": 2}
    )
    assignment = np.load(study.prepared / "assignment.npy")[0]
    values = np.array([[0.1], [1 / 3], [1e-20], [-16777216]])
    prepared = oos.read_prepared(study.prepared)
    predictions = {
        (1, fold): (prepared.digests[assignment == fold], values[assignment == fold]) for fold in (1, 2)
    }
    write_csv(oos.merge(prepared, predictions), "out.csv")
    folds = assignment.tolist()
    lines = [
        't,"x,y",y,oos_row,oos_repeat,oos_fold,oos_y,oos_pred',
        f'1," ""q"" ",0.1,0,1,{folds[0]},0.1,0.1',
        f"2,b,0.30000000000000004,1,1,{folds[1]},0.30000000000000004,0.3333333333333333",
        f"3,c,1e22,2,1,{folds[2]},1e+22,1e-20",
        f"4,d,-5,3,1,{folds[3]},-5,-16777216",
        "",
    ]
    assert Path("out.csv").read_bytes().decode() == "\n".join(lines)


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
@settings(max_examples=100, deadline=None)
def test_a_prediction_reads_back_to_the_same_float(values):
    text = oos._text(np.array(values, np.float32)).to_pylist()
    assert [np.float32(cell) for cell in text] == values
    assert all(len(cell) <= len(repr(float(value))) + 2 for cell, value in zip(text, values, strict=True))


def test_what_is_not_finite_stays_visible():
    study = Study("x,y\n1,a\n2,b\n3,a\n4,b\n", split={"folds": 2})
    prepared = oos.read_prepared(study.prepared)
    predictions = {
        (1, fold): (prepared.digests[study.tested(1, fold)], np.full((2, 2), [np.nan, np.inf], np.float32))
        for fold in (1, 2)
    }
    write_csv(oos.merge(prepared, predictions), "out.csv")
    for line in read("out.csv"):
        assert (line["oos_label"], line["oos_pred_a"], line["oos_pred_b"]) == ("", "nan", "inf")


def test_rows_stay_with_their_ids_however_the_table_is_sorted():
    rows = [(f"p{i}", i, i % 2) for i in np.random.default_rng(0).permutation(20)]
    lines = {}
    for name, order in {"as is": rows, "sorted": sorted(rows), "reversed": rows[::-1]}.items():
        text = "\n".join(["id,x,y", *(f"{a},{b},{'ab'[c]}" for a, b, c in order), ""])
        study = Study(text, data={"id": "id"}, split={"folds": 4})
        study.pretend()
        lines[name] = read(study.merge())
        assert [line["id"] for line in lines[name]] == [row[0] for row in order]
        assert all(line["id"] == line["oos_row"] for line in lines[name])
    by_id = [sorted(map(tuple, (line.items() for line in found))) for found in lines.values()]
    assert by_id[0] == by_id[1] == by_id[2]


def test_a_kept_cell_finds_its_rows_again_when_others_came_before_them():
    """Under `time`, a late row at the table's top changes no earlier cell, but all rows' numbers."""
    lines = [f"{i},{i * i % 7},{0.5 * i}" for i in range(12)]
    study = Study("\n".join(["t,x,y", *lines, ""]), split={"method": "time", "folds": 3, "column": "t"})
    study.pretend()
    before = {line["t"]: line["oos_pred"] for line in read(study.merge())}
    described = study.description(1, 1)
    Path("t.csv").write_text("\n".join(["t,x,y", "99,1,0.5", *lines[:11], ""]))
    study.prepare()
    assert study.description(1, 1) == described
    prepared = oos.read_prepared(study.prepared)
    assert study.tested(1, 1).tolist() == [4, 5, 6]
    (cell,) = oos.read_cells(prepared, [study.folder(1, 1)]).values()
    np.testing.assert_array_equal(cell[0], prepared.digests[4:7])
    assert [str(value) for value in cell[1][:, 0]] == [before[t] for t in "345"]


def test_a_cell_that_is_not_what_it_was_is_refused():
    study = Study("x,y\n1,a\n2,b\n3,a\n4,b\n", split={"folds": 2})
    study.pretend()
    prepared = oos.read_prepared(study.prepared)
    target = study.folder(1, 2) / "predictions.npz"
    content = target.read_bytes()
    target.write_bytes(content[:-1])
    with pytest.raises(RegfoldError) as error:
        study.merge()
    assert str(error.value) == f"{target}: damaged since it was written; remove it and run again"
    target.write_bytes(content)
    Path("t.csv").write_text("x,y\n1,a\n2,b\n3,a\n5,b\n")
    study.prepare()
    with pytest.raises(RegfoldError) as error:
        oos.read_cells(prepared, [study.folder(1, 1)])
    assert str(error.value) == (
        f"{study.folder(1, 1)}: made from other rows, columns or levels than the table has now; run again"
    )


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"digests": {"train": "x"}}'])
@pytest.mark.parametrize("name", ["results/cells/m/1-2/cell.json", "results/folds/1-2.json"])
def test_a_damaged_file_that_the_merge_reads_is_named_with_the_remedy(name, content):
    study = Study("x,y\n1,a\n2,b\n3,a\n4,b\n", split={"folds": 2})
    study.pretend()
    Path(name).write_text(content)
    remove = "results/folds" if "folds" in name else name
    with pytest.raises(RegfoldError, match=rf"^{name}: is damaged: .*; remove {remove} and run again$"):
        study.merge()
