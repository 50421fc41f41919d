"""Guards what the matrix' columns stand for: for the table, and for the rows that a fold learns from."""

import string
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from regfold.data.columns import sorted_labels
from regfold.data.layout import Layout
from small_study import Study

BASE = "c,x,y\na,1,p\nb,2,q\na,3,p\nb,4,q\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def layout(text, **data) -> Layout:
    study = Study(text, data=data, split={"folds": 2})
    return Layout(study.schema, study.features())


# The order of labels

NUMBERS = st.sampled_from(["2", "10", "1e1", "10.0", "-3", "+.5", "1e400", "007", "9007199254740993"])
LABELS = st.lists(NUMBERS | st.text(string.ascii_letters + "é٣ _-.", min_size=1, max_size=3), unique=True)


def test_numbers_come_first_and_by_their_value():
    assert sorted_labels(["x", "10", "9", "-1", "1e1", "X", "1_0", "nan", "٣"]) == [
        *("-1", "9", "10", "1e1"),
        *("1_0", "X", "nan", "x", "٣"),
    ]


@given(LABELS, LABELS)
@settings(max_examples=200, deadline=None)
def test_a_new_label_never_moves_the_others(labels, new):
    together = sorted_labels(labels + new)
    assert [label for label in together if label in labels] == sorted_labels(labels)
    assert sorted(together) == sorted({*labels, *new})


# The whole table


@pytest.mark.parametrize(
    ("text", "same"),
    [
        (BASE, True),
        (BASE.replace("a,3", "b,7"), True),
        (BASE + "a,5,p\n", True),
        (BASE.replace("c,x,y", "c,z,y"), False),
        (BASE.replace("b,4", "d,4"), False),
        (BASE.replace("b", "d"), False),
        (BASE.replace("q", "r"), False),
        (BASE.replace("b,4", ",4"), False),
        (BASE.replace("b,4,q", "b,4,r"), False),
        ("x,c,y\n1,a,p\n2,b,q\n3,a,p\n", False),
    ],
)
def test_the_layout_is_what_a_cell_writes_by(text, same):
    digest = layout(BASE).of_table()
    assert len(digest) == 32
    assert (layout(text).of_table() == digest) == same


def test_the_layout_tells_tasks_apart():
    text = "x,y,z\n1,1,5\n2,2,6\n3,3,7\n"
    one, two = layout(text, exclude=["z"]), layout(text, target=["y", "z"])
    assert one.of_table() != two.of_table()
    assert one.of_rows(np.ones(3, bool))[0] != two.of_rows(np.ones(3, bool))[0]


# Some rows


def encoding(text, rows, **data):
    found = layout(text, **data)
    mask = np.zeros(len(text.splitlines()) - 1, bool)
    mask[list(rows)] = True
    return found.of_rows(mask)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        (BASE.replace("b,4", "d,4"), True),  # a level that other rows alone have
        (BASE.replace("b,4", ",4"), True),
        (BASE.replace("c,x,y", "k,z,y"), True),
        (BASE.replace("b,4,q", "b,4,r"), False),  # a class is an output of every network
        (BASE.replace("b,2", "d,2"), False),
        (BASE.replace("b,2", "a,2"), False),
        (BASE.replace("b,2", ",2"), False),
        (BASE.replace("a,3", "b,3"), True),  # the rows' contents are in their digests
        (BASE.replace("a,", "9,"), False),
        ("x,c,y\n1,a,p\n2,b,q\n3,a,p\n4,b,q\n", False),
    ],
)
def test_the_encoding_of_rows_is_what_a_network_trained_on_them_depends_on(text, same):
    rows = [0, 1, 2]
    assert (encoding(text, rows)[0] == encoding(BASE, rows)[0]) == same


def test_the_width_counts_what_the_rows_use():
    text = "c,x,y\na,1,p\n,2,q\nb,3,p\nd,4,q\n"
    assert [encoding(text, rows)[1] for rows in ([0], [0, 1], [0, 1, 2], range(4))] == [2, 3, 4, 5]
    assert Path("results/prepared/features.npy").is_file() and layout(text).schema["width"] == 5


CELLS = st.sampled_from(["a", "b", "2", "10", ""])


@given(st.lists(st.tuples(CELLS, CELLS), min_size=4, max_size=9), st.data())
@settings(max_examples=50, deadline=None)
def test_other_rows_never_matter(tmp_path_factory, lines, data):
    rows = sorted(data.draw(st.sets(st.integers(0, len(lines) - 1), min_size=1)))
    other = [
        line if i in rows else tuple(data.draw(st.sampled_from(["a", "c", "9", "10", ""])) for _ in line)
        for i, line in enumerate(lines)
    ]

    def text(lines):
        return "\n".join(["c,k,y", *(f"{a},{b},{i}.5" for i, (a, b) in enumerate(lines)), ""])

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("rows"))
        found = [encoding(text(some), rows, categorical=["c", "k"]) for some in (lines, other)]
    assert found[0] == found[1]
