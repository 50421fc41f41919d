"""Guards who tests what: as scikit-learn's splitters, every row tested, and each refusal in one line."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from regfold.data.layout import Layout
from regfold.errors import RegfoldError
from regfold.splits import folds, methods
from sklearn import model_selection as sklearn


def split(method="kfold", n_folds=3, **more):
    return {
        "method": method,
        "folds": n_folds,
        "repeats": 1,
        "seed": 42,
        "column": None,
        "file": None,
    } | more


def assign(settings, target=None, values=None, n=None, rows=None, task="classification", with_id=False):
    n = len(target) if target is not None else len(values) if values is not None else n
    target = np.zeros(n, np.int32) if target is None else np.asarray(target, np.int32)
    rows = rows or [str(i) for i in range(n)]
    return methods.assign(settings, target, task, rows, values, ["", "NA"], with_id)


def as_assignment(splitter, n, y=None, groups=None):
    """The same in scikit-learn's words."""
    expected = np.zeros(n, np.int32)
    for fold, (_, tested) in enumerate(splitter.split(np.zeros(n), y, groups), start=1):
        expected[tested] = fold
    return expected


@given(st.integers(2, 9), st.integers(0, 50), st.integers(1, 3), st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_kfold_is_that_of_scikit_learn(n_folds, more, repeats, seed):
    n = n_folds + more
    assignment, names = assign(split("kfold", n_folds, seed=seed, repeats=repeats), n=n)
    assert assignment.dtype == np.int32 and assignment.shape == (repeats, n)
    assert names == [str(fold) for fold in range(1, n_folds + 1)]
    for repeat in range(repeats):
        splitter = sklearn.KFold(n_folds, shuffle=True, random_state=seed + repeat)
        np.testing.assert_array_equal(assignment[repeat], as_assignment(splitter, n))
        assert assignment[repeat].min() == 1, "n mod k rows are tested too"
        assert np.ptp(np.bincount(assignment[repeat])[1:]) <= 1


@given(st.lists(st.integers(3, 12), min_size=2, max_size=5), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_stratified_is_that_of_scikit_learn(sizes, seed):
    target = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    assignment, _ = assign(split("stratified", 3, seed=seed, repeats=2), target)
    labels = np.array(["b", "a", "d", "c", "e"])[target]
    for repeat in range(2):
        splitter = sklearn.StratifiedKFold(3, shuffle=True, random_state=seed + repeat)
        np.testing.assert_array_equal(assignment[repeat], as_assignment(splitter, len(target), labels))


GROUPS = {
    "text": ["c", "a", "b", "ab", "d e", "é"],
    "whole numbers": [10, 9, -3, 100, 1, 2],
    "numbers": [1.5, 10.25, -2.0, 1e3, 0.1, 3.0],
    "19 digits": [2**62 + i for i in range(6)],
    "names like numbers": ["1_2", "12_", "1_21", "12_1", "3", "4"],
}


@pytest.mark.parametrize("kind", GROUPS)
def test_groups_are_those_of_scikit_learn(kind):
    random = np.random.default_rng(1)
    which = np.concatenate([np.arange(6), random.integers(0, 6, 50)])
    groups = np.array(GROUPS[kind])[which]
    target = random.integers(0, 2, 56)
    values = [f" {value} " for value in groups.tolist()]
    for method, splitter in {"group": "GroupKFold", "stratified_group": "StratifiedGroupKFold"}.items():
        assignment, _ = assign(split(method, 4, column="g", repeats=2), target, values)
        for repeat in range(2):
            expected = getattr(sklearn, splitter)(4, shuffle=True, random_state=42 + repeat)
            np.testing.assert_array_equal(assignment[repeat], as_assignment(expected, 56, target, groups))
            for group in set(values):
                inside = assignment[repeat][[value == group for value in values]]
                assert len(set(inside)) == 1, "no group is in two folds"


def test_a_group_is_one_however_its_number_is_written():
    assignment, _ = assign(split("group", 2, column="g"), values=["1", "1.0", "2", "2.50", "2.5", "2e0"])
    (found,) = assignment.tolist()
    assert found[0] == found[1] and found[2] == found[5] and found[3] == found[4]


TIMES = {
    "whole numbers": ["9", "10", "-1", "100"],
    "numbers": ["9.5", "10", "-1e3", "1e2"],
    "nanoseconds since 1970": [
        "1700000000000000001",
        "1700000000000000002",
        "1700000000000000000",
        "1700000000000000003",
    ],
    "dates": ["2024-05-31", "2024-06-01", "1999-12-31", "2024-06-02"],
    "old dates": ["1600-01-01", "1750-06-01", "1066-10-14", "2024-06-02"],
    "times": ["2024-05-31T09:00", "2024-05-31T10:00", "2024-05-31 08:59:59.999", "2024-05-31 10:01"],
    "fractions": [f"2024-05-31T09:00:00.12345678{digit}" for digit in (4, 5, 3, 6)],
}


@pytest.mark.parametrize("kind", TIMES)
def test_time_is_that_of_scikit_learn_on_sorted_rows(kind):
    texts, order = TIMES[kind], np.array([2, 0, 1, 3])
    assignment, _ = assign(split("time", 3, column="t"), values=texts)
    expected = np.zeros(4, np.int32)
    expected[order] = as_assignment(sklearn.TimeSeriesSplit(3), 4)
    np.testing.assert_array_equal(assignment, [expected])


def test_time_learns_from_the_past_only_and_equal_times_keep_their_order():
    times = np.random.default_rng(0).integers(0, 20, 101)
    assignment, _ = assign(split("time", 4, column="t"), values=[str(t) for t in times])
    order = np.argsort(times, kind="stable")
    for fold, (learnt, tested) in enumerate(sklearn.TimeSeriesSplit(4).split(order), start=1):
        np.testing.assert_array_equal(np.sort(order[tested]), np.flatnonzero(assignment[0] == fold))
        mine = folds.training_rows(assignment[0], fold, "time")
        np.testing.assert_array_equal(np.sort(order[learnt]), np.flatnonzero(mine))
        assert times[mine].max() <= times[assignment[0] == fold].min()


def test_other_methods_learn_from_all_rows_that_the_fold_does_not_test():
    tested = np.array([1, 2, 0, 1])
    for method in ("kfold", "group", "column", "file"):
        assert folds.training_rows(tested, 1, method).tolist() == [False, True, True, False]


@pytest.mark.parametrize(
    ("values", "names", "expected"),
    [
        (["b", "a", " b", "c"], ["a", "b", "c"], [2, 1, 2, 3]),
        (["10", "9", "10", "1"], ["1", "9", "10"], [3, 2, 3, 1]),
        (["x", "10", "9", "x"], ["9", "10", "x"], [3, 2, 1, 3]),
    ],
)
def test_a_column_names_the_folds(values, names, expected):
    assignment, found = assign(split("column", column="site"), values=values)
    assert (assignment.tolist(), found) == ([expected], names)


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text):
        Path("f.csv").write_text(text, encoding="utf-8", newline="")
        return split("file", file="f.csv")

    return write


def test_a_file_names_the_folds(file):
    text = "\ufefffold,row,repeat,note\r\n2,a,1,x\r\n1, c ,1,\r\n1,a,2,\r\n3,b,2,\r\n"
    assignment, names = assign(file(text), n=4, rows=["a", "b", "c", "d"], with_id=True)
    assert assignment.tolist() == [[2, 0, 1, 0], [1, 3, 0, 0]]
    assert names == ["1", "2", "3"]
    assert folds.cells(assignment) == [(1, 1), (1, 2), (2, 1), (2, 3)]


ROWS_12 = {"n": 12}
REFUSED = [
    (
        split("kfold", 13),
        ROWS_12,
        "split.folds: 13 folds, but the table has 12 rows; expected at most as many folds as rows",
    ),
    (
        split("time", 4, column="t"),
        {"values": list("1234")},
        "split.folds: 4 folds, but the table has 4 rows; expected at most as many folds as rows",
    ),
    (
        split("stratified", 3),
        {"target": [0] * 9 + [1, 1]},
        "split.folds: 3 folds, but the smallest class has 2 rows; "
        "method stratified needs at least as many rows of each class as folds",
    ),
    (
        split("stratified_group", 3, column="g"),
        {"target": [0, 0, 1, 1], "values": list("abcd")},
        "split.folds: 3 folds, but the smallest class has 2 rows; "
        "method stratified_group needs at least as many rows of each class as folds",
    ),
    (
        split("stratified", 3),
        {"n": 9, "task": "regression"},
        "split.method: stratified needs classes, but the task is regression; expected kfold or group",
    ),
    (
        split("group", 3, column="g"),
        {"values": list("aabb")},
        "split.folds: 3 folds, but column 'g' has 2 groups; expected at least one group for each fold",
    ),
    (
        split("group", 2, column="g"),
        {"values": ["a", " NA ", "b"]},
        "split.column: column 'g', row 1: the cell is missing; every row needs a value to be split by",
    ),
    (
        split("column", column="g"),
        {"values": ["a", ""], "rows": ["x", "y"], "with_id": True},
        "split.column: column 'g', id y: the cell is missing; every row needs a value to be split by",
    ),
    (
        split("column", column="g"),
        {"values": ["a", "a "]},
        "split.column: column 'g' has one value only, 'a'; expected one value for each fold",
    ),
    (
        split("time", 2, column="t"),
        {"values": ["2024-01-01", "now", "2024-01-02"]},
        "split.column: column 't' is no time: 'now'; "
        "expected numbers or ISO dates such as 2024-05-31 or 2024-05-31T12:00",
    ),
    (
        split("time", 2, column="t"),
        {"values": ["2024-01-01", "2024-31-01", "2024-01-02"]},
        "split.column: column 't' is no time: Month out of range in datetime string \"2024-31-01\"; "
        "expected numbers or ISO dates such as 2024-05-31 or 2024-05-31T12:00",
    ),
]


@pytest.mark.parametrize(("settings", "table", "message"), REFUSED)
def test_what_cannot_be_split_is_said_in_one_line(settings, table, message):
    with pytest.raises(RegfoldError) as error:
        assign(settings, **table)
    assert str(error.value) == message


HEAD = "row,repeat,fold\n"
REFUSED_FILES = {
    "": "f.csv: column 'fold' is missing; expected row, repeat and fold",
    "row,fold\n1,1\n": "f.csv: column 'repeat' is missing; expected row, repeat and fold",
    HEAD: "f.csv: no rows; expected where each row is tested",
    HEAD + "0,1,1\n9,1,2\n": "f.csv, line 3: row '9' is not in the table",
    HEAD + "0,1,1\n0,1,2\n": "f.csv, line 3: row 0 is tested twice in repeat 1",
    HEAD + "0,1\n": "f.csv, line 2: fold ''; expected a whole number from 1",
    HEAD + "0,1,0\n": "f.csv, line 2: fold '0'; expected a whole number from 1",
    HEAD + "0,1.0,1\n": "f.csv, line 2: repeat '1.0'; expected a whole number from 1",
    HEAD + f"0,1,{'1' * 5000}\n": f"f.csv, line 2: fold '{'1' * 60}...'; expected a whole number from 1",
    HEAD + "0,1,-1\n": "f.csv, line 2: fold '-1'; expected a whole number from 1",
    HEAD + '"0"x,1,1\n': "f.csv: cannot be read: ',' expected after '\"'",
    HEAD + "0,1,²\n": "f.csv, line 2: fold '²'; expected a whole number from 1",
    HEAD + "0,1,1\n0,3,1\n": "f.csv: repeat 2 tests no row; expected repeats from 1 without a gap",
    HEAD + "0,999999,1\n": "f.csv: repeat 1 tests no row; expected repeats from 1 without a gap",
    HEAD + "0,1,2\n1,1,2\n2,1,2\n": "f.csv: repeat 1, fold 2 tests all rows; none is left to learn from",
}


@pytest.mark.parametrize("text", REFUSED_FILES)
def test_what_is_wrong_with_a_split_file_is_said_in_one_line(file, text):
    with pytest.raises(RegfoldError) as error:
        assign(file(text), n=3)
    assert str(error.value) == REFUSED_FILES[text]


def test_a_split_file_that_is_no_text_is_said_in_one_line(file):
    settings = file("")
    Path("f.csv").write_bytes(b"row,repeat,fold\n\xff\xfe\x00,1,1\n")
    with pytest.raises(RegfoldError, match=r"^f\.csv: cannot be read: .*utf-8.*$"):
        assign(settings, n=3)


def test_a_fold_depends_on_the_content_and_the_order_of_its_rows():
    digests = np.random.default_rng(0).integers(0, 256, (6, 16), np.uint8)
    assignment = np.array([[1, 1, 2, 2, 3, 3]], np.int32)

    def described(fold, digests=digests, method="kfold", levels="ab"):
        columns = [{"name": "c", "kind": "categorical", "start": 0, "width": 2, "levels": list(levels)}]
        schema = {"columns": columns, "task": "regression", "classes": None, "target": ["y"]}
        layout = Layout(schema, np.eye(2, dtype=np.float32)[[0, 0, 1, 1, 1, 1]])
        return folds.describe(assignment, 1, fold, method, digests, layout)

    first = described(1)
    assert {key: first[key] for key in ("repeat", "fold", "n_train", "n_test")} == {
        "repeat": 1,
        "fold": 1,
        "n_train": 4,
        "n_test": 2,
    }
    changed = digests.copy()
    changed[0, 5] ^= 1
    assert described(1, changed)["train"] == first["train"]
    assert described(1, changed)["test"] != first["test"]
    assert described(2, changed)["train"] != described(2)["train"]
    assert described(2, changed)["test"] == described(2)["test"]
    assert described(2, digests[[1, 0, 2, 3, 4, 5]])["train"] != described(2)["train"]
    other = described(1, levels="xb")  # fold 1 tests the rows of the first level
    assert other["encoding"] == first["encoding"] and other["layout"] != first["layout"]
    assert described(1, levels="ax")["encoding"] != first["encoding"]
    assert (first["width"], described(2)["width"]) == (1, 2)
    assert described(3, method="time")["n_train"] == 4
    with pytest.raises(RegfoldError, match=r"^split: repeat 1, fold 1 has no training rows$"):
        described(1, method="time")
