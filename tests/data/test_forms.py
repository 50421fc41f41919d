"""Guards that a table comes in as it was meant, however its file is written; and its columns of dates."""

import csv
import datetime as dt
import io
import sys
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from regfold.data import encode, table
from regfold.data.decimals import numbers
from regfold.data.prepare import prepare, summary
from regfold.errors import RegfoldError
from small_study import data_section

UTF8_LEADS = bytes(range(0xC2, 0xF5)).decode("cp1252")
CELLS = st.text(st.characters(codec="cp1252", exclude_categories=["Cc", "Zs"]), max_size=6)
NUMBERS = st.floats(-1e6, 1e6).map(lambda value: float(f"{value:.3g}") + 0.25)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(rows, separator=",", encoding="utf-8", name="t.csv"):
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=separator, lineterminator="\n").writerows(rows)
    Path(name).write_bytes(buffer.getvalue().encode(encoding))
    return name


def matrix(text, **changes):
    Path("t.csv").write_text(text)
    schema = prepare(data_section("t.csv", **changes), None, "out")
    return schema, np.load("out/features.npy")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(NUMBERS, CELLS, st.integers(-999, 999)), min_size=2, max_size=8),
    st.sampled_from([",", ";", "tab", "|"]),
    st.sampled_from([".", ","]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    st.booleans(),
)
def test_a_table_is_one_table_in_every_form(rows, separator, decimal, encoding, is_told):
    assume(separator != decimal)
    # Such texts as 'Ã¤' alone would be UTF-8, were they saved as cp1252.
    assume(encoding != "cp1252" or not any(c in label for _, label, _ in rows for c in UTF8_LEADS))
    character = "\t" if separator == "tab" else separator
    texts = [[str(x).replace(".", decimal), label, str(n)] for x, label, n in rows]
    write([["x", "c", "n"], *texts], character, encoding)
    # Decimal commas are certain beside semicolons only, and cp1252 never is.
    told = {"encoding": "cp1252"} if encoding == "cp1252" else {}
    if is_told or (decimal == "," and separator != ";"):
        told |= {"separator": separator, "decimal": decimal}
    read = table.read("t.csv", [], **told)
    assert [list(row.values()) for row in read.text.to_pylist()] == texts
    assert numbers(read.values("x"), read.decimal).tolist() == [x for x, _, _ in rows]


def test_a_form_that_is_told_changes_nothing_against_the_one_that_is_recognized():
    rows = "x;c;y\n1,5;a,b;p\n2,25;c;q\n1,5;a,b;p\n-3;c;q\n"
    schema, features = matrix(rows)
    names = ("schema.json", "digests.npy", "target.npy", "rows.parquet", "table.parquet")
    before = [Path("out", name).read_bytes() for name in names]
    told = matrix(rows, separator=";", decimal=",", encoding="utf-8")
    assert [Path("out", name).read_bytes() for name in names] == before
    assert told[0] == schema
    assert features[:, 0].tolist() == [1.5, 2.25, 1.5, -3]
    assert summary(schema)[0].endswith("; separated by ';', decimal comma")
    assert (features == matrix(rows.replace("a,b", "a:b").replace(",", ".").replace(";", ","))[1]).all()


def test_what_is_written_as_its_ending_promises_stays_as_it_is():
    schema, features = matrix("x,c,y\n1.234,a;b,p\n2.5,|,q\n3,b,p\n0,b,q\n")
    assert summary(schema)[0].endswith("2 classes")
    assert features[:, 0].tolist() == [np.float32(1.234), 2.5, 3, 0]
    schema, _ = matrix('x,c,y\n1.5,"1,2",p\n2.5,"3,4",q\n3,"1,2",p\n')
    assert schema["columns"][1]["levels"] == ["1,2", "3,4"]


# Dates


def test_dates_become_the_numbers_that_pandas_makes_of_them():
    dates = pd.to_datetime(
        ["2020-02-29", "1969-12-31", "2024-12-30", "2021-01-03T18:00:30"], format="ISO8601"
    )
    cells = ["2020-02-29", "1969-12-31", "2024-12-30T00:00Z", "2021-01-03 18:00:30.25"]
    text = "d,x,y\n" + "".join(f"{cell},1,{'ab'[i % 2]}\n" for i, cell in enumerate(cells)) + "NA,2,a\n"
    schema, features = matrix(text, dates=["d"])
    names = ["d_year", "d_month", "d_weekday", "d_dayofyear", "d_days"]
    assert [entry["name"] for entry in schema["columns"]] == [*names, "x"]
    days = (dates - pd.Timestamp("1970-01-01")) / pd.Timedelta(days=1)
    expected = [dates.year, dates.month, dates.isocalendar().day, dates.day_of_year, days]
    assert np.array_equal(features[:4, :5], np.array(expected, np.float32).T)
    assert np.isnan(features[4, :5]).all()
    again = encode.encode(table.read("t.csv", ["NA"]), schema)
    assert np.array_equal(again, features, equal_nan=True)


def test_dates_of_a_typed_file_count_as_well():
    frame = pd.DataFrame({"d": pd.to_datetime(["2020-02-29T12:00", None, None]), "y": ["a", "b", "a"]})
    frame.to_parquet("t.parquet")
    prepare(data_section("t.parquet", dates=["d"]), None, "out")
    features = np.load("out/features.npy")
    assert features[0].tolist() == [2020, 2, 6, 60, 18321.5]
    assert np.isnan(features[1]).all()


# Excel


def sheet(rows, name="t.xlsx", merge=None):
    book = openpyxl.Workbook()
    book.active.title = "First"
    for row in rows:
        book.active.append(row)
    if merge:
        book.active.merge_cells(merge)
    book.create_sheet("Other").append(["a", "y"])
    book["Other"].append([1, 2])
    book.save(name)
    return name


def test_a_sheet_is_read_cell_by_cell():
    day = dt.datetime(2020, 2, 29)
    rows = [["x", "d", 2020, "y"], [1.5, day, True, "a"], [], [2.0, day.replace(hour=6), None, "007"]]
    read = table.read(sheet(rows), [])
    assert read.text.to_pylist() == [
        {"x": "1.5", "d": "2020-02-29", "2020": "True", "y": "a"},
        {"x": "2", "d": "2020-02-29T06:00:00", "2020": "", "y": "007"},
    ]
    assert read.form == "sheet 'First', the first of 2"
    with pytest.raises(RegfoldError, match=r"no column 'a' in t.xlsx \(sheet 'First', the first of 2\); its"):
        read.find("a", "data.target")
    other = table.read("t.xlsx", [], sheet="Other")
    assert (other.names, other.form) == (["a", "y"], "")


@pytest.mark.parametrize(
    ("rows", "changes", "message"),
    [
        (
            [["x", "y"], [1, "a"]],
            {"sheet": "Othr"},
            "data.sheet: no sheet 'Othr' in t.xlsx; did you mean 'Other'?",
        ),
        ([["x", "y"], ["=1+1", "a"]], {}, "the formula in A2 has no stored value; open the file in"),
        (
            [["x", "y"], [dt.timedelta(1.5), "a"]],
            {},
            "a cell holds the duration 1 day, 12:00:00; expected a number",
        ),
        (
            [["A title", None], ["x", "y"], [1, "a"]],
            {},
            "t.xlsx: column 2 has no name; expected a header that names every column (the first row that is "
            "not blank, without a title above it)",
        ),
        ([], {}, "t.xlsx: sheet 'First' is empty; expected a header"),
    ],
)
def test_a_sheet_that_is_no_table_ends_with_one_line(rows, changes, message):
    with pytest.raises(RegfoldError) as error:
        table.read(sheet(rows), [], **changes)
    assert message in str(error.value)


def test_merged_cells_end_with_one_line():
    with pytest.raises(RegfoldError, match="the cells A2:A3 are merged; expected a value in every cell"):
        table.read(sheet([["x", "y"], [1, "a"], [2, "b"]], merge="A2:A3"), [])


def test_without_openpyxl_one_line_says_what_to_do(monkeypatch):
    sheet([["x", "y"], [1, "a"]])
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(RegfoldError, match="run uv sync --extra excel, or save the sheet as CSV UTF-8"):
        table.read("t.xlsx", [])
