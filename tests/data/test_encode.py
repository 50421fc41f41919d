"""Guards the design matrix (against pandas and scikit-learn) and the digests of the rows."""

import math
import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from regfold.data import encode, table
from regfold.data.digests import identical_rows, row_digests
from regfold.data.prepare import prepare
from regfold.errors import RegfoldError
from sklearn.preprocessing import OneHotEncoder
from small_study import data_section

PENGUINS = str(Path(__file__).parents[2] / "data" / "penguins.csv")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def prepared(text, **changes):
    """Schema, matrix and digests of a table."""
    Path("t.csv").write_text(text)
    schema = prepare(data_section("t.csv", **changes), None, "out")
    return schema, np.load("out/features.npy"), np.load("out/digests.npy")


# The matrix


def test_the_matrix_of_the_penguins_is_that_of_pandas():
    frame = pd.read_csv(PENGUINS, keep_default_na=False, na_values=["", "NA", "?"])
    features = frame.drop(columns="species")
    text = [name for name in features if not pd.api.types.is_numeric_dtype(features[name])]
    parts = []
    for name in features:
        if name in text:
            has_missing = bool(features[name].isna().any())
            parts.append(pd.get_dummies(features[name].str.strip(), dummy_na=has_missing, dtype=np.float32))
        else:
            parts.append(features[[name]].astype(np.float32))
    schema = prepare(data_section(PENGUINS, target=["species"]), None, "out")
    matrix = np.load("out/features.npy")
    assert matrix.dtype == np.float32
    assert matrix.flags.c_contiguous
    np.testing.assert_array_equal(matrix, pd.concat(parts, axis=1).to_numpy(np.float32))
    assert schema["width"] == matrix.shape[1]
    assert [schema["classes"][code] for code in np.load("out/target.npy")] == frame["species"].tolist()
    assert {
        entry["name"]: entry["n_missing"] for entry in schema["columns"]
    } == features.isna().sum().to_dict()


def test_the_matrix_is_that_of_scikit_learns_encoder():
    rng = random.Random(0)
    frame = pd.DataFrame({name: rng.choices(["b", "a", "c ü", "10", "9"], k=80) for name in ("u", "v")})
    frame.assign(y=[0.5 * i for i in range(80)]).to_csv("t.csv", index=False)
    schema = prepare(data_section("t.csv"), None, "out")
    order = ["9", "10", "a", "b", "c ü"]  # where scikit-learn has 10 before 9, as texts
    encoder = OneHotEncoder(categories=[order, order], sparse_output=False, dtype=np.float32).fit(frame)
    assert [entry["levels"] for entry in schema["columns"]] == [
        list(levels) for levels in encoder.categories_
    ]
    np.testing.assert_array_equal(np.load("out/features.npy"), encoder.transform(frame))


def test_the_matrix_of_scikit_learns_digits_is_its_frame():
    from sklearn.datasets import load_digits

    prepare(data_section("sklearn:digits", target=["target"]), None, "out")
    data = load_digits()
    np.testing.assert_array_equal(np.load("out/features.npy"), data.data.astype(np.float32))
    np.testing.assert_array_equal(np.load("out/target.npy"), data.target)


def test_blocks_stand_where_the_schema_says():
    schema, matrix, _ = prepared("c,x,d,y\na,1,p,0.5\n,-0.0,p,1.5\nb,NA,q,2.5\n")
    assert schema["columns"] == [
        {
            "name": "c",
            "kind": "categorical",
            "start": 0,
            "width": 3,
            "levels": ["a", "b", None],
            "n_missing": 1,
            "date_of": None,
        },
        {"name": "x", "kind": "numeric", "start": 3, "width": 1, "levels": None, "n_missing": 1}
        | {"date_of": None},
        {"name": "d", "kind": "categorical", "start": 4, "width": 2, "levels": ["p", "q"], "n_missing": 0}
        | {"date_of": None},
    ]
    nan = math.nan
    np.testing.assert_array_equal(matrix, [[1, 0, 0, 1, 1, 0], [0, 0, 1, 0, 1, 0], [0, 1, 0, nan, 0, 1]])
    assert not np.signbit(matrix[1, 3])


# New rows


def test_a_table_is_encoded_again_as_it_was():
    schema = prepare(data_section(PENGUINS, target=["species"]), None, "out")
    again = encode.encode(table.read(PENGUINS, ["", "NA", "?"]), schema)
    np.testing.assert_array_equal(again, np.load("out/features.npy"))


def test_new_rows_take_the_schemas_columns_and_levels():
    schema, _, _ = prepared("c,x,y\na,1,0.5\nb,2,1.5\nb,3,2.5\n")
    Path("new.csv").write_text("x,other,c\n7,1,b\nNA,2,z\n9,3,\n")
    notes = []
    matrix = encode.encode(table.read("new.csv", ["", "NA"]), schema, notes.append)
    np.testing.assert_array_equal(matrix, [[0, 1, 7], [0, 0, math.nan], [0, 0, 9]])
    assert notes == [
        "new.csv: 2 cells of columns 'c', 'x': missing",
        "new.csv: 1 cell of column 'c': levels that t.csv does not have, the first in row 1: 'z'",
        "new.csv: 1 column that t.csv does not have, not used: 'other'",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("c\na\n", "new.csv: has no column 'x'; expected every feature of t.csv"),
        ("c,x\na,1\na,tall\n", "new.csv: column 'x', row 1: 'tall' is not a number; expected numbers, "
         "as in t.csv"),
        ("c,x\na,inf\n", "new.csv: column 'x', row 0: 'inf' is infinite; expected a finite number, "
         "or add it to data.missing"),
    ],
)  # fmt: skip
def test_new_rows_that_do_not_fit_are_refused(text, message):
    schema, _, _ = prepared("c,x,y\na,1,0.5\nb,2,1.5\nb,3,2.5\n")
    Path("new.csv").write_text(text)
    with pytest.raises(RegfoldError) as error:
        encode.encode(table.read("new.csv", []), schema)
    assert str(error.value) == message


# The digests

CELLS = st.sampled_from(["a", "b", "c", "", "NA", "missing", "é", "a b"])
ROWS = st.lists(
    st.tuples(st.floats(-1e6, 1e6, width=32) | st.none(), CELLS, CELLS, st.sampled_from("pq")),
    min_size=4,
    max_size=12,
)


def digests_by_id(rows, order):
    lines = [f"{number},{'' if x is None else x},{c},{d},{y}" for number, (x, c, d, y) in enumerate(rows)]
    # Rows 900 and 901 see to it that there are two classes, and a number and text in every column.
    lines += ["900,1.5,a,a,p", "901,2.5,b,b,q", "902,1.5,a,a,p", "903,2.5,b,b,q"]
    order.shuffle(lines)
    _, _, digests = prepared("i,x,c,d,y\n" + "\n".join(lines) + "\n", id="i")
    ids = [*range(len(rows)), 900, 901, 902, 903]
    return dict(zip(ids, map(bytes, digests), strict=True))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS, st.randoms(use_true_random=False), st.integers(1, 4))
def test_a_digest_depends_on_its_row_alone(rows, order, fewer):
    all_rows = digests_by_id(rows, order)
    assert digests_by_id(rows, order) == all_rows, "the order of lines counts for nothing"
    some = digests_by_id(rows[:-fewer], order)
    assert all(all_rows[key] == some[key] for key in some), "other rows count for nothing"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS, st.randoms(use_true_random=False))
def test_equal_digests_mean_equal_rows(rows, order):
    found = digests_by_id(rows, order)
    for one in range(len(rows)):
        for other in range(len(rows)):
            same = [None if cell in ("", "NA") else cell for cell in rows[one]] == [
                None if cell in ("", "NA") else cell for cell in rows[other]
            ]
            assert (found[one] == found[other]) == same


DIGEST_BASE = "x,c,y\n1,a,p\n2,b,q\n,NA,p\n4,b,q\n"


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        (DIGEST_BASE.replace("x,c,y", "u,v,y"), []),
        (DIGEST_BASE.replace("1,a", " 1.0, a "), []),
        (DIGEST_BASE.replace(",NA,", "NA,,"), []),
        (DIGEST_BASE.replace("1,a", "1.00000001,a"), []),
        (DIGEST_BASE.replace("1,a", "1.5,a"), [0]),
        (DIGEST_BASE.replace("4,b", "4,z"), [3]),
        (DIGEST_BASE.replace("4,b,q", "4,b,p"), [3]),
        (DIGEST_BASE.replace(",NA,", "0,NA,"), [2]),
        (DIGEST_BASE.replace(",NA,", ",missing,"), [2]),
    ],
)
def test_a_digest_changes_with_its_rows_content_alone(text, changed):
    before, after = prepared(DIGEST_BASE)[2], prepared(text)[2]
    assert np.flatnonzero((before != after).any(axis=1)).tolist() == changed


def test_a_digest_tells_kinds_and_targets_apart():
    rows = "x,c,y\n1,1,0.5\n2,2,1.5\n3,1,2.5\n"
    as_numbers, as_levels = prepared(rows)[2], prepared(rows, categorical=["c"])[2]
    two_targets = prepared(rows, target=["y", "c"])[2]
    changed = prepared(rows.replace("0.5", "0.5000000001"))[2]
    assert not set(map(bytes, as_numbers)) & set(map(bytes, as_levels))
    assert not set(map(bytes, as_numbers)) & set(map(bytes, two_targets))
    assert (as_numbers != changed).any(axis=1).tolist() == [True, False, False]


def test_digests_are_canonical_and_the_same_in_chunks(monkeypatch):
    nan = np.array([0x7FC00001, 0xFFC00000], np.uint32).view(np.float32)
    schema = {
        "columns": [{"kind": "numeric", "start": 0, "width": 1, "levels": None}],
        "classes": None,
        "task": "regression",
        "target": ["y"],
    }
    features = np.array([[nan[0]], [nan[1]], [0.0], [-0.0]], np.float32)
    target = np.array([[0.0], [-0.0], [1.0], [1.0]])
    digests = row_digests(features, schema, target)
    assert digests.shape == (4, 16)
    assert digests.dtype == np.uint8
    assert np.array_equal(digests[0], digests[1])
    assert np.array_equal(digests[2], digests[3])
    monkeypatch.setattr("regfold.data.digests.CHUNK_BYTES", 1)
    assert np.array_equal(row_digests(features, schema, target), digests)


def test_the_digests_of_version_1_stay_as_they_are():
    _, _, digests = prepared(DIGEST_BASE)
    assert [bytes(digest).hex()[:8] for digest in digests] == ["83be12b5", "a72f1e7c", "7710466b", "6fab23cc"]


@given(arrays(np.uint8, st.tuples(st.integers(1, 12), st.just(16)), elements=st.integers(0, 1)))
def test_rows_are_identical_by_all_bytes_of_their_digests(digests):
    """Zeros at the end too, which NumPy's texts of a fixed length take for nothing."""
    digests[::3, :15] = 0
    same = (digests[:, None] == digests[None]).all(axis=2)
    group = identical_rows(digests)
    assert np.array_equal(group[:, None] == group[None], same)
