"""Guards who tests what: as scikit-learn's splitters, every row tested, and each refusal in one line."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from regfold.data.layout import Layout
from regfold.errors import RegfoldError
from regfold.splits import folds, methods
from sklearn import model_selection as sklearn
from small_study import Study


def split(method="kfold", n_folds=3, **more):
    return {
        "method": method,
        "folds": n_folds,
        "repeats": 1,
        "seed": 42,
        "column": None,
        "file": None,
        "gap": 0,
    } | more


def assign(
    settings,
    target=None,
    values=None,
    n=None,
    rows=None,
    task="classification",
    with_id=False,
    missing=("", "NA"),
):
    n = len(target) if target is not None else len(values) if values is not None else n
    target = np.zeros(n, np.int32) if target is None else np.asarray(target, np.int32)
    rows = rows or [str(i) for i in range(n)]
    assignment, names, codes = methods.assign(settings, target, task, rows, values, missing, with_id)
    assert codes.dtype == np.int32 and codes.shape == (n,)
    return folds.Folds(assignment, codes, settings["method"], settings["gap"]), names


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
    decided, names = assign(split("kfold", n_folds, seed=seed, repeats=repeats), n=n)
    assert decided.assignment.dtype == np.int32 and decided.assignment.shape == (repeats, n)
    assert names == [str(fold) for fold in range(1, n_folds + 1)]
    for repeat in range(repeats):
        splitter = sklearn.KFold(n_folds, shuffle=True, random_state=seed + repeat)
        np.testing.assert_array_equal(decided.assignment[repeat], as_assignment(splitter, n))
        assert decided.assignment[repeat].min() == 1, "n mod k rows are tested too"
        assert np.ptp(np.bincount(decided.assignment[repeat])[1:]) <= 1


@given(st.lists(st.integers(3, 12), min_size=2, max_size=5), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_stratified_is_that_of_scikit_learn(sizes, seed):
    target = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    decided, _ = assign(split("stratified", 3, seed=seed, repeats=2), target)
    labels = np.array(["b", "a", "d", "c", "e"])[target]
    for repeat in range(2):
        splitter = sklearn.StratifiedKFold(3, shuffle=True, random_state=seed + repeat)
        np.testing.assert_array_equal(
            decided.assignment[repeat], as_assignment(splitter, len(target), labels)
        )


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
        decided, _ = assign(split(method, 4, column="g", repeats=2), target, values)
        for repeat in range(2):
            expected = getattr(sklearn, splitter)(4, shuffle=True, random_state=42 + repeat)
            np.testing.assert_array_equal(
                decided.assignment[repeat], as_assignment(expected, 56, target, groups)
            )
            for group in set(values):
                inside = decided.assignment[repeat][[value == group for value in values]]
                assert len(set(inside)) == 1, "no group is in two folds"


def test_a_group_is_one_however_its_number_is_written():
    decided, _ = assign(split("group", 2, column="g"), values=["1", "1.0", "2", "2.50", "2.5", "2e0"])
    (found,) = decided.assignment.tolist()
    assert found[0] == found[1] and found[2] == found[5] and found[3] == found[4]
    assert decided.codes.tolist() == [0, 0, 1, 2, 2, 1]
    with pytest.raises(RegfoldError, match="column 'g' has 2 groups; expected at least one group"):
        assign(split("group", 3, column="g"), values=["1", "1.0", "2"])


@given(st.lists(st.integers(-3, 3), min_size=6, max_size=40), st.randoms())
@settings(max_examples=60, deadline=None)
def test_groups_that_are_one_number_are_counted_as_scikit_learn_counts_them(numbers, random):
    values = [random.choice(["{}", "{}.0", "{}e0", " {} "]).format(number) for number in numbers]
    for method, name in {"group": "GroupKFold", "stratified_group": "StratifiedGroupKFold"}.items():
        target = np.arange(len(numbers)) % 2
        if len(set(numbers)) < 3:
            with pytest.raises(RegfoldError, match=f"column 'g' has {len(set(numbers))} groups"):
                assign(split(method, 3, column="g"), target, values)
            continue
        decided, _ = assign(split(method, 3, column="g"), target, values)
        splitter = getattr(sklearn, name)(3, shuffle=True, random_state=42)
        expected = as_assignment(splitter, len(numbers), target, np.array(numbers))
        np.testing.assert_array_equal(decided.assignment[0], expected)


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
    decided, _ = assign(split("time", 3, column="t"), values=texts)
    expected = np.zeros(4, np.int32)
    expected[order] = as_assignment(sklearn.TimeSeriesSplit(3), 4)
    np.testing.assert_array_equal(decided.assignment, [expected])


@given(
    st.lists(st.integers(0, 30), min_size=6, max_size=60),
    st.integers(2, 5),
    st.integers(0, 4),
    st.sampled_from(["{}", "{}.0", "2024-03-{:02}", "2024-03-01T00:{:02}"]),
)
@settings(max_examples=150, deadline=None)
def test_time_is_that_of_scikit_learn_on_the_different_times(times, n_folds, gap, spelling):
    """Rows of one time are tested together, and never trained on at once; with a gap, as scikit-learn's."""
    times = np.array(times) + 1
    distinct = np.unique(times)
    splitter = sklearn.TimeSeriesSplit(n_folds, gap=gap)
    try:
        expected = list(splitter.split(distinct))
    except ValueError:
        with pytest.raises(RegfoldError, match=r"^split\.(folds|gap): "):
            assign(split("time", n_folds, column="t", gap=gap), values=[str(t) for t in times])
        return
    values = [spelling.format(t) for t in times]
    if spelling == "{}.0":
        values[::2] = [str(t) for t in times[::2]]
    decided, _ = assign(split("time", n_folds, column="t", gap=gap), values=values)
    for fold, (training, tested) in enumerate(expected, start=1):
        np.testing.assert_array_equal(decided.held_out(1, fold), np.isin(times, distinct[tested]))
        np.testing.assert_array_equal(decided.training(1, fold), np.isin(times, distinct[training]))


@given(st.permutations(range(20)), st.integers(2, 6), st.integers(0, 2))
@settings(max_examples=30, deadline=None)
def test_different_times_are_split_as_rows_by_scikit_learn(times, n_folds, gap):
    decided, _ = assign(split("time", n_folds, column="t", gap=gap), values=[str(t) for t in times])
    order = np.argsort(times)
    for fold, (training, tested) in enumerate(sklearn.TimeSeriesSplit(n_folds, gap=gap).split(order), 1):
        np.testing.assert_array_equal(np.sort(order[tested]), np.flatnonzero(decided.held_out(1, fold)))
        np.testing.assert_array_equal(np.sort(order[training]), np.flatnonzero(decided.training(1, fold)))


def test_one_moment_is_one_time_however_it_is_written():
    values = ["2024-05-31", "2024-05-31T00:00", "2024-05-31 00:00:00.000", "2024-06-01", "2024-06-01T01"]
    decided, _ = assign(split("time", 2, column="t"), values=values)
    assert decided.codes.tolist() == [0, 0, 0, 1, 2]
    assert decided.assignment.tolist() == [[0, 0, 0, 1, 2]]


def test_other_methods_learn_from_all_rows_that_the_fold_does_not_test():
    for method in ("kfold", "group", "column", "file"):
        decided = folds.Folds(np.array([[1, 2, 0, 1]]), np.zeros(4, np.int32), method, 0)
        assert decided.training(1, 1).tolist() == [False, True, True, False]


@pytest.mark.parametrize(
    ("values", "names", "expected"),
    [
        (["b", "a", " b", "c"], ["a", "b", "c"], [2, 1, 2, 3]),
        (["10", "9", "10", "1"], ["1", "9", "10"], [3, 2, 3, 1]),
        (["x", "10", "9", "x"], ["9", "10", "x"], [3, 2, 1, 3]),
    ],
)
def test_a_column_names_the_folds(values, names, expected):
    decided, found = assign(split("column", column="site"), values=values)
    assert (decided.assignment.tolist(), found) == ([expected], names)


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text):
        Path("f.csv").write_text(text, encoding="utf-8", newline="")
        return split("file", file="f.csv")

    return write


def test_a_file_names_the_folds(file):
    text = "\ufefffold,row,repeat,note\r\n2,a,1,x\r\n1, c ,1,\r\n1,a,2,\r\n3,b,2,\r\n"
    decided, names = assign(file(text), n=4, rows=["a", "b", "c", "d"], with_id=True)
    assert decided.assignment.tolist() == [[2, 0, 1, 0], [1, 3, 0, 0]]
    assert names == ["1", "2", "3"]
    assert decided.cells() == [(1, 1), (1, 2), (2, 1), (2, 3)]


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
        "split.folds: 4 folds, but column 't' has 4 different times; expected more times than folds",
    ),
    (
        split("time", 2, column="t"),
        {"values": list("1122112211")},
        "split.folds: 2 folds, but column 't' has 2 different times; expected more times than folds",
    ),
    (
        split("time", 2, column="t", gap=2),
        {"values": list("112233445566")},
        "split.gap: 2, but before the first of 2 folds column 't' has 2 different times; expected at most 1",
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
        split("group", 2, column="g"),
        {"values": ["a", "\t", "b"], "missing": ["?"]},
        "split.column: column 'g', row 1: the cell is missing; every row needs a value to be split by",
    ),
    (
        split("time", 2, column="t"),
        {"values": ["1", "2", ""], "missing": []},
        "split.column: column 't', row 2: the cell is missing; every row needs a value to be split by",
    ),
    (
        split("group", 2, column="g", repeats=3),
        {"values": list("aabb")},
        "split.repeats: 3 repeats of 2 folds, but column 'g' has 2 groups: all repeats would have the same "
        "folds; expected 1 repeat, or fewer folds",
    ),
    (
        split("stratified_group", 2, column="g", repeats=2),
        {"target": [0, 1, 0, 1], "values": ["1", "1.0", "2", "2"]},
        "split.repeats: 2 repeats of 2 folds, but column 'g' has 2 groups: all repeats would have the same "
        "folds; expected 1 repeat, or fewer folds",
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
        "split.column: column 't' is not a time: 'now'; "
        "expected numbers or ISO dates such as 2024-05-31 or 2024-05-31T12:00",
    ),
    (
        split("time", 2, column="t"),
        {"values": ["2024-01-01", "2024-31-01", "2024-01-02"]},
        "split.column: column 't' is not a time: Month out of range in datetime string \"2024-31-01\"; "
        "expected numbers or ISO dates such as 2024-05-31 or 2024-05-31T12:00",
    ),
]


@pytest.mark.parametrize(("settings", "table", "message"), REFUSED)
def test_what_cannot_be_split_is_said_in_one_line(settings, table, message):
    with pytest.raises(RegfoldError) as error:
        assign(settings, **table)
    assert str(error.value) == message


@pytest.mark.parametrize("method", ["group", "time"])
def test_a_typed_table_without_a_group_or_time_in_some_row_is_refused(method, tmp_path, monkeypatch):
    """Whatever data.missing says."""
    monkeypatch.chdir(tmp_path)
    table = pa.table({"g": [1.0, 2.0, None, 3.0, 4.0], "x": [1.0, 2, 3, 4, 5], "y": [0.5, 1, 2, 3, 4]})
    pa.parquet.write_table(table, "t.parquet")
    data = {"path": "t.parquet", "missing": []}
    with pytest.raises(RegfoldError, match=r"^split\.column: column 'g', row 2: the cell is missing; "):
        Study("", data=data, split={"method": method, "column": "g", "folds": 2})


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
    HEAD + "0,1,2\n1,1,2\n2,1,2\n": "f.csv: repeat 1, fold 2 tests all rows; expected some rows to train on",
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

    def described(fold, digests=digests, method="kfold", levels="ab", codes=(0, 0, 1, 1, 2, 2), gap=0):
        columns = [{"name": "c", "kind": "categorical", "start": 0, "width": 2, "levels": list(levels)}]
        schema = {"columns": columns, "task": "regression", "classes": None, "target": ["y"]}
        layout = Layout(schema, np.eye(2, dtype=np.float32)[[0, 0, 1, 1, 1, 1]])
        decided = folds.Folds(assignment, np.array(codes, np.int32), method, gap)
        return decided.describe(1, fold, digests, layout)

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


def test_a_fold_depends_on_the_groups_and_times_of_its_training_rows_and_not_on_their_names():
    layout = Layout({"columns": [], "task": "regression", "classes": None, "target": ["y"]}, np.empty((6, 0)))
    digests, assignment = np.zeros((6, 16), np.uint8), np.array([[1, 1, 2, 2, 3, 3]], np.int32)

    def validation(method, codes, gap=0):
        decided = folds.Folds(assignment, np.array(codes, np.int32), method, gap)
        return decided.describe(1, 3, digests, layout)["validation"]

    groups = validation("group", [0, 1, 0, 2, 3, 3])
    assert validation("group", [5, 2, 5, 0, 1, 1]) == groups, "other names"
    assert validation("group", [0, 1, 0, 2, 3, 4]) == groups, "other groups among the rows that are tested"
    assert validation("group", [0, 1, 1, 2, 3, 3]) != groups
    assert validation("stratified_group", [0, 1, 0, 2, 3, 3]) != groups
    times = validation("time", [0, 1, 0, 2, 3, 3])
    assert validation("time", [0, 1, 0, 2, 3, 4]) == times
    assert validation("time", [1, 0, 0, 2, 3, 3]) != times
    assert validation("time", [1, 2, 1, 3, 4, 4], gap=1) != validation("time", [1, 2, 1, 3, 4, 4])
    assert validation("kfold", [0] * 6) == validation("column", [0] * 6) == validation("file", [0] * 6)
    assert validation("kfold", [0] * 6) != validation("stratified", [0] * 6)
