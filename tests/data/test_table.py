"""Guards that a table's cells come through exactly as written, with their kinds, target, rows and order."""

import csv
import gzip
import io
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import prepare_data
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from regfold import files
from regfold.config import paths
from regfold.data import columns, decimals, notes, quotes, read_text, read_typed, table
from regfold.data.prepare import canonical_order, prepare, summary, with_ids
from regfold.errors import RegfoldError
from regfold.runtime import log
from sklearn import datasets
from small_study import data_section

UGLY = [
    "007",
    "1.50",
    " a ",
    'say "hi"',
    "x,y",
    "two\nlines",
    "crlf\r\nin",
    "Grüße ✓",
    "",
    "  ",
    "NA",
    "\t",
    "1e5",
    "''",
]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(text, name="t.csv"):
    Path(name).write_bytes(text.encode())
    return name


def prepared(text, **changes):
    return prepare(data_section(write(text), **changes), None, "out")


def cells(path):
    return {
        name: column.to_pylist()
        for name, column in zip(*_columns(table.read(path, ["NA"]).text), strict=True)
    }


def _columns(text):
    return text.column_names, text.columns


# Reading text


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.lists(
            st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
            | st.sampled_from(UGLY),
            min_size=3,
            max_size=3,
        ),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([",", "\t"]),
    st.booleans(),
)
def test_every_cell_is_read_as_it_was_written(rows, line_end, separator, mark):
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=separator, lineterminator=line_end, quoting=csv.QUOTE_ALL)
    writer.writerows([["a", " b", "c"], *rows])
    path = Path("t.csv" if separator == "," else "t.tsv")
    path.write_bytes(("\ufeff" * mark + buffer.getvalue()).encode())
    text, _ = read_text.read(str(path))
    assert text.column_names == ["a", " b", "c"]
    assert [list(row.values()) for row in text.to_pylist()] == rows


@settings(max_examples=500, deadline=None)
@given(st.text('"",\n\ra ', max_size=30), st.integers(1, 9), st.booleans())
def test_quotes_are_at_fault_where_the_csv_module_says_so_in_strict_mode(text, size, mark):
    content = ("\ufeff" * mark + text).encode()
    scan = quotes.QuoteScan(",")
    for block in [content[:8], *(content[i : i + size] for i in range(8, len(content), size)), b""]:
        scan.feed(block)
    try:
        list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error:
        assert scan.faulty
        assert quotes.first_fault(content, ",")
    else:
        assert not scan.faulty
        assert not quotes.first_fault(content, ",")


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_quotes_at_fault_are_found_far_into_a_file_with_their_row(name, monkeypatch):
    monkeypatch.setattr(read_text, "BLOCK_SIZE", 1 << 12)
    rows = [f'{i},"a ""b"" {i}\n"\n' for i in range(5000)]
    rows[4321] = '1,"5 inch\n'
    rows[4322] = '"6 inch,2\n'
    content = "".join(["x,y\n", *rows]).encode()
    Path(name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    with pytest.raises(RegfoldError, match=r"row 4321: '6 inch' follows the closing quote"):
        read_text.read(name)


def test_ugly_cells_reach_the_prepared_table_unchanged():
    rows = [[cell, str(i), "ab"[i % 2]] for i, cell in enumerate(UGLY)]
    with Path("t.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["c", "x", "y"], *rows])
    schema = prepare(data_section("t.csv"), None, "out")
    kept = parquet.read_table("out/table.parquet")
    assert [list(row.values()) for row in kept.to_pylist()] == rows
    assert set(map(str, kept.schema.types)) == {"string"}
    assert schema["table_columns"] == ["c", "x", "y"]


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\n\n", "\n\r\n\n"])
def test_what_follows_the_last_row_makes_no_row(ending):
    assert cells(write("x,y\n1,a\n\n2,b" + ending)) == {"x": ["1", "2"], "y": ["a", "b"]}


def test_a_quoted_empty_cell_is_a_row_of_a_single_column():
    assert cells(write('x\n1\n""\n2\n')) == {"x": ["1", "", "2"]}


def test_a_last_cell_with_line_breaks_is_whole():
    assert cells(write('x,y\n1,"a\n"')) == {"x": ["1"], "y": ["a\n"]}
    assert cells(write('x,y\n1,"""\na"\n')) == {"x": ["1"], "y": ['"\na']}


def test_a_row_longer_than_a_block_is_read(monkeypatch):
    monkeypatch.setattr(read_text, "BLOCK_SIZE", 64)
    names = [f"column{j}" for j in range(200)]
    text, _ = read_text.read(write(",".join(names) + "\n" + ",".join(["12.5" * 50] * 200) + "\n"))
    assert text.column_names == names
    assert text.to_pylist() == [dict.fromkeys(names, "12.5" * 50)]
    assert read_text.read(write(",".join(names)))[0].num_rows == 0


def test_a_fault_far_into_a_file_names_its_row(monkeypatch):
    monkeypatch.setattr(read_text, "BLOCK_SIZE", 256)
    rows = [f"{i},name{i}" for i in range(500)]
    with pytest.raises(RegfoldError, match="row 432: 1 cell"):
        read_text.read(write("\n".join(["x,y", *rows[:432], "7", *rows[433:]]) + "\n"))
    Path("u.csv").write_bytes("\n".join(["x,y", *rows[:321]]).encode() + b"\n1,\xff\n" + b"1,2\n" * 100)
    with pytest.raises(RegfoldError, match="column 'y', row 321: is not UTF-8"):
        read_text.read("u.csv")


@pytest.mark.parametrize("name", ["t.csv.gz", "T.CSV.GZ", "t.csv.Gz"])
def test_gzip_reads_as_the_plain_file(name):
    text = 'x,y\n1,"a\nb"\n2,"c\nd"\n'
    Path(name).write_bytes(gzip.compress(text.encode()))
    assert cells(name) == cells(write(text))


def test_an_open_quote_in_a_gzip_file_is_found():
    Path("t.csv.gz").write_bytes(gzip.compress(b'x,y\n1,a\n2,"c\nd\n'))
    with pytest.raises(RegfoldError, match="never closed"):
        table.read("t.csv.gz", [])


# Reading typed files


@pytest.mark.parametrize("ending", ["parquet", "feather"])
def test_typed_cells_become_the_text_that_reads_back(ending):
    frame = pd.DataFrame(
        {
            "whole": [1, -2, 9007199254740993],
            "double": [0.1, 1e-7, np.nan],
            "single": np.array([0.1, 1 / 3, 16777216], np.float32),
            "flag": [True, False, True],
            "kind": pd.Categorical(["b", "a", None]),
            "code": pd.Categorical([3, 1, 3]),
            "name": ["x", None, " z "],
            "day": pd.to_datetime(["2020-01-02", "2020-01-03", None]),
        }
    )
    getattr(frame, f"to_{ending}")(f"t.{ending}")
    read = table.read(f"t.{ending}", ["NA"])
    text = read.text.to_pydict()
    assert text["whole"] == ["1", "-2", "9007199254740993"]
    assert text["double"] == ["0.1", "1e-7", None]
    assert [np.float32(cell) for cell in text["single"]] == frame["single"].tolist()
    assert text["single"][0] == "0.1"
    assert text["flag"] == ["True", "False", "True"]
    assert text["kind"] == ["b", "a", None]
    assert text["code"] == ["3", "1", "3"]
    assert text["name"] == ["x", None, " z "]
    assert text["day"][0].startswith("2020-01-02T00:00:00")
    assert read.kinds == {
        "whole": "number",
        "double": "number",
        "single": "number",
        "flag": "boolean",
        "kind": "category",
        "code": "category",
        "name": "text",
        "day": "time",
    }


@given(st.lists(st.floats(allow_nan=False), min_size=1))
def test_doubles_survive_as_text(values):
    text, _ = read_typed.as_text(pa.table({"x": values}), "t.parquet")
    assert [float(cell) for cell in text["x"].to_pylist()] == values


def test_a_data_frames_index_is_no_feature():
    frame = pd.DataFrame({"x": [4.0, 3, 2, 1], "y": ["a", "b", "a", "b"]}, index=[7, 3, 5, 1])
    frame.to_parquet("t.parquet")
    schema = prepare(data_section("t.parquet"), None, "out")
    assert schema["left_out"] == {"y": "target", "__index_level_0__": "the data frame's index"}


def test_a_folder_named_like_a_partition_adds_no_column():
    Path("year=2020").mkdir()
    pd.DataFrame({"x": [1, 2]}).to_parquet("year=2020/t.parquet", index=False)
    assert table.read("year=2020/t.parquet", []).names == ["x"]


@pytest.mark.parametrize("name", paths.SKLEARN_TABLES)
def test_scikit_learns_tables_are_read(name):
    frame = getattr(datasets, f"load_{name}")(as_frame=True).frame
    read = table.read(f"sklearn:{name}", [])
    assert read.names == list(frame.columns)
    for column in frame.columns:
        assert np.array_equal(decimals.numbers(read.values(column), "."), frame[column].to_numpy(float))


# Kinds of columns


def kinds(text, categorical=None, missing=("", "NA", "?")):
    read = table.read(write(text), missing)
    out = {}
    for name in read.names:
        column, found = columns.read_column(read, name, categorical)
        out[name] = (column.kind, column.levels, notes.lines(read.path, found))
    return out


@pytest.mark.parametrize("cell", ["1", "-1.5", "+2", ".5", "5.", "1e5", "-1E-3", " 3 ", "007", "\u00a04"])
def test_decimal_numbers_make_a_numeric_column(cell):
    read = table.read(write(f"x\n{cell}\n1\nNA\n"), ["NA"])
    column, found = columns.read_column(read, "x", None)
    assert column.kind == "numeric"
    assert column.values[0] == np.float32(float(cell))
    assert np.isnan(column.values[2])
    assert column.n_missing == 1
    assert found == []


@pytest.mark.parametrize("cell", ["0x1A", "1_000", "1d3", "--1", "1 2", "٣", "true", "½"])
def test_anything_else_makes_a_categorical_column(cell):
    assert kinds(f'x\n"{cell}"\n1\n')["x"][:2] == ("categorical", ["1", cell])


def test_levels_are_trimmed_sorted_and_missing_comes_last():
    found = kinds("t,n,b\n b,10,True\na,9,false\nNA,9,True\n b ,-1,\n", ["t", "n", "b"])
    assert found["t"][:2] == ("categorical", ["a", "b", None])
    assert found["n"][:2] == ("categorical", ["-1", "9", "10"])
    assert found["b"][:2] == ("categorical", ["True", "false", None])


def test_a_column_without_values_stays_and_is_noted():
    assert kinds("x,z\nNA,1\n,2\n")["x"] == ("numeric", None, ["t.csv: column 'x' has no value at all"])


def test_names_may_be_listed_as_categorical():
    rows = "\n".join(f"name{i}" for i in range(300))
    assert len(kinds(f"x\n{rows}\n", ["x"])["x"][1]) == 300


def test_dates_may_be_listed_as_categorical():
    assert kinds("d\n2024-01-31\n2024-02-01\n", ["d"])["d"][1] == ["2024-01-31", "2024-02-01"]


@pytest.mark.parametrize("cell", ["2024-1-31", "2024-13-01", "24:00", "12:30 h", "v2024-01-31", "31.01.2024"])
def test_what_is_no_date_in_iso_form_is_a_level(cell):
    assert kinds(f"d\n2024-01-31\n{cell}\n")["d"][0] == "categorical"


def test_numbers_that_float32_cannot_tell_apart_are_noted():
    rows = "\n".join(f"{1_700_000_000 + i}" for i in range(100))
    (note,) = kinds(f"x\n{rows}\n")["x"][2]
    assert note == (
        "t.csv: column 'x' loses detail: 100 different values of 100 are 2 as float32 (a network's numbers "
        "have 7 digits); subtract a constant from it, or leave it out"
    )


def test_ordinary_numbers_are_not_noted():
    rng = np.random.default_rng(0)
    rows = "\n".join(map(repr, rng.normal(size=20_000).tolist()))
    assert kinds(f"x\n{rows}\n")["x"][2] == []


@pytest.mark.parametrize(
    ("cells_of_x", "note"),
    [
        (range(12), "counts the rows; if it is not a feature, list it in data.exclude or data.id"),
        (
            ["1", "2", "3", "n/a"],
            "is categorical with 4 levels, though most of them are numbers: row 3: 'n/a' is not a number; "
            "if it means missing, add it to data.missing",
        ),
        (
            [f"name{i}" for i in range(30)],
            "holds 30 different texts in 30 rows; if they are names, list it in data.exclude or data.id",
        ),
        (["a", "N/A", "a", "a"], "has the level 'N/A'; if it means missing, add it to data.missing"),
    ],
)
def test_doubtful_columns_are_noted(cells_of_x, note):
    assert kinds("x\n" + "\n".join(map(str, cells_of_x)) + "\n")["x"][2] == [f"t.csv: column 'x' {note}"]


def test_a_column_counts_the_rows_though_some_are_dropped():
    read = table.read(write("x\n" + "\n".join(map(str, range(12))) + "\n"), [])
    kept = read.keep(np.arange(12) != 5)
    assert columns.read_column(kept, "x", None)[1][0].one.startswith("counts the rows")


def test_no_cell_is_missing_unless_it_is_listed():
    read = table.read(write("x,y\nNA,1\n,2\n"), [])
    assert read.values("x").null_count == 0


# Target


def with_target(cells_of_y, **changes):
    rows = "\n".join(f"{i * 1.5},{cell}" for i, cell in enumerate(cells_of_y))
    return prepared(f"x,y\n{rows}\n", **changes)


@pytest.mark.parametrize(
    ("cells_of_y", "reason"),
    [
        (["b", "a"] * 5, "target 'y' holds text: classification with 2 classes"),
        (
            ["1", "0"] * 5,
            "target 'y' holds 2 different whole numbers, 5 rows for each: classification with 2 classes",
        ),
        (["1.0", "0.0"] * 4, "target 'y' holds 2 different whole numbers, 4 rows for each: regression"),
        (["1.5", "0"] * 50, "target 'y' holds numbers with decimals: regression"),
        (range(21), "target 'y' holds 21 different whole numbers: regression"),
    ],
)
def test_the_task_is_decided_and_explained(cells_of_y, reason):
    assert with_target(cells_of_y)["task_reason"] == reason


def test_a_given_task_is_obeyed():
    schema = with_target(["1", "0"] * 4, task="classification")
    assert (schema["task"], schema["classes"]) == ("classification", ["0", "1"])
    assert schema["task_reason"] == "as data.task says of target 'y': classification with 2 classes"
    assert with_target(["1", "0"] * 50, task="regression")["classes"] is None


def test_classes_are_sorted_by_number_or_as_text():
    assert with_target([10, 9, -1] * 5)["classes"] == ["-1", "9", "10"]
    assert with_target(["b10", "b9", "B1 "] * 5)["classes"] == ["B1", "b10", "b9"]
    assert np.load("out/target.npy")[:3].tolist() == [1, 2, 0]
    assert np.load("out/target.npy").dtype == np.int32


def test_a_class_of_one_row_is_noted():
    assert with_target(["a", "a", "b"])["notes"] == [
        "t.csv: column 'y': the class 'b' has one row only: no fold both trains on it and tests it"
    ]


@pytest.mark.parametrize("label", ["nan", "NaN", "None", "null", "N/A", "<NA>"])
def test_a_class_that_may_mean_missing_is_noted(label):
    assert with_target(["a", label] * 5)["notes"] == [
        f"t.csv: column 'y' has the class '{label}'; if it means missing, add it to data.missing"
    ]


def test_whole_numbers_that_float64_cannot_tell_apart_are_different_classes_in_their_order():
    labels = [str(2**53 + 1), str(2**53), "99999999999999999999", "100000000000000000000", "7"]
    schema = with_target(labels * 5)
    assert schema["classes"] == ["7", labels[1], labels[0], labels[2], labels[3]]
    assert "5 different whole numbers, 5 rows for each" in schema["task_reason"]
    assert np.load("out/target.npy").tolist() == [2, 1, 3, 4, 0] * 5


def test_typed_targets_follow_their_type():
    frame = pd.DataFrame({"x": np.arange(8) / 3, "y": [True, False] * 4, "z": pd.Categorical([1, 2] * 4)})
    frame.to_parquet("t.parquet")
    one = prepare(data_section("t.parquet", exclude=["z"]), None, "out")
    two = prepare(data_section("t.parquet", target=["z"]), None, "out")
    assert one["task_reason"] == "target 'y' holds booleans: classification with 2 classes"
    assert one["classes"] == ["False", "True"]
    assert two["task_reason"] == "target 'z' holds categories: classification with 2 classes"


def test_several_targets_are_a_regression():
    schema = prepared("x,y,z\n1,1.5,-0.0\n2,2,3\n", target=["z", "y"])
    assert schema["task_reason"] == "2 targets: regression"
    truth = np.load("out/target.npy")
    assert truth.dtype == np.float64
    assert truth.tolist() == [[0.0, 1.5], [3.0, 2.0]]
    assert not np.signbit(truth[0, 0])


# Rows and their order


def test_rows_without_a_target_are_dropped_and_keep_the_numbers_of_the_others():
    text = "x,c,y\n1,only,\n2,a,p\n3,a,NA\n4,b,q\n5,a,p\n"
    schema = prepared(text, missing_target="drop")
    assert (schema["n_read"], schema["n_rows"], schema["n_dropped"]) == (5, 3, 2)
    rows = parquet.read_table("out/rows.parquet").to_pydict()
    assert rows == {"row": ["1", "3", "4"], "position": [0, 1, 2]}
    assert parquet.read_table("out/table.parquet")["x"].to_pylist() == ["2", "4", "5"]
    assert schema["columns"][1]["levels"] == ["a", "b"], "a dropped row leaves no level"
    assert summary(schema)[1] == "t.csv: 2 of 5 rows dropped: no target"
    with pytest.raises(RegfoldError, match="column 'x', row 3: 'inf'"):
        prepared(text.replace("4,b", "inf,b"), missing_target="drop")


@pytest.mark.parametrize(
    ("ids", "order"),
    [
        (["10", "9", "-1", "+3"], [2, 3, 1, 0]),
        (["b", "a10", "a9", "B"], [3, 1, 2, 0]),
        (["10", "9", "x", "1"], [3, 0, 1, 2]),
        (["7", "007", "1", "07"], [2, 1, 3, 0]),
        (["1.5", "10", "9", "2"], [0, 1, 3, 2]),
        ([str(2**70), "9", str(2**65), "1"], [3, 1, 2, 0]),
        (["1" * 5001, "9" * 5000, "2"], [2, 1, 0]),
    ],
)
def test_the_canonical_order_follows_the_ids(ids, order):
    read = table.read(write("i,x\n" + "".join(f" {i} ,1\n" for i in ids)), [])
    assert canonical_order(with_ids(read, "i"), "i").tolist() == order


def test_rows_name_the_ids_in_canonical_order():
    schema = prepared("i,x,y\nk3,3,a\n k1 ,1,b\nk2,2,a\n", id="i")
    assert parquet.read_table("out/rows.parquet").to_pydict() == {
        "row": ["k1", "k2", "k3"],
        "position": [1, 2, 0],
    }
    assert np.load("out/features.npy").tolist() == [[1], [2], [3]]
    assert np.load("out/target.npy").tolist() == [1, 0, 0]
    assert parquet.read_table("out/table.parquet")["i"].to_pylist() == ["k3", " k1 ", "k2"]
    assert schema["left_out"] == {"i": "data.id", "y": "target"}


def test_what_is_no_feature_is_left_out_with_the_reason():
    schema = prepare(
        data_section(write("i,g,x,z,y\n1,a,1,1,p\n2,b,2,2,q\n3,a,3,1,q\n"), id="i", exclude=["z"]), "g", "out"
    )
    assert schema["left_out"] == {"i": "data.id", "g": "split.column", "z": "data.exclude", "y": "target"}
    assert [entry["name"] for entry in schema["columns"]] == ["x"]


# The entry point, the log, the files


def snakemake(data, logs=("logs/prepare_data.log",)):
    endings = {"table": "parquet", "features": "npy", "target": "npy", "weights": "npy"}
    endings |= {"digests": "npy", "rows": "parquet", "schema": "json"}
    return SimpleNamespace(
        params=SimpleNamespace(
            data={"data": data, "split_column": None, "with_class_weight": [], "losses": {}}
        ),
        output=SimpleNamespace(**{name: f"out/{name}.{ending}" for name, ending in endings.items()}),
        log=list(logs),
    )


@pytest.mark.parametrize("logs", [["logs/prepare_data.log"], []])
def test_the_entry_point_says_one_line(capfd, logs):
    job = snakemake(data_section("sklearn:digits", target=["target"]), logs)
    prepare_data.main(job)
    assert capfd.readouterr().err == (
        "regfold: sklearn:digits: 1,797 rows, 64 features (64 columns encoded), target 'target' holds 10 "
        "different whole numbers, 180 rows for each: classification with 10 classes\n"
    )
    assert all(Path(path).exists() for path in vars(job.output).values())
    assert sorted(path.name for path in Path("out").iterdir()) == sorted(
        Path(path).name for path in vars(job.output).values()
    )


def test_the_entry_point_ends_with_one_line_and_status_1(capfd):
    with pytest.raises(SystemExit) as end:
        prepare_data.main(snakemake(data_section("t.csv")))
    where = "expected a file, relative to the folder where snakemake runs"
    line = f"regfold: error: config.yaml: data.path: no file 't.csv'; {where}\n"
    assert end.value.code == 1
    assert capfd.readouterr().err == line
    assert Path("logs/prepare_data.log").read_text() == line


def test_a_log_takes_descriptors_and_tracebacks(capfd):
    import os

    streams = sys.stdout, sys.stderr
    with pytest.raises(SystemExit) as end, log.job(["a/b/x.log"]) as terminal:
        print("from Python")
        os.write(1, b"from C, 1\n")
        os.write(2, b"from C, 2\n")
        print("to the user", file=terminal)
        raise ValueError("a\nbug")
    assert end.value.code == 1
    text = Path("a/b/x.log").read_text()
    for part in ("from Python\n", "from C, 1\n", "from C, 2\n", "Traceback", "ValueError: a\nbug"):
        assert part in text
    assert (
        capfd.readouterr().err
        == "to the user\nregfold: error: ValueError: a bug; the traceback is in a/b/x.log\n"
    )
    assert (sys.stdout, sys.stderr) == streams
    os.write(2, b"again\n")
    assert capfd.readouterr().err == "again\n"


def test_a_file_is_whole_or_not_there():
    files.write_json("new/folder/x.json", {"b": 1, "a": "ü"})
    assert Path("new/folder/x.json").read_text() == '{\n  "a": "ü",\n  "b": 1\n}\n'
    with pytest.raises(KeyError), files.atomic("new/folder/x.json") as temporary:
        assert temporary.parent == Path("new/folder")
        assert temporary.suffix == ".json"
        temporary.write_text("half")
        raise KeyError
    assert [path.name for path in Path("new/folder").iterdir()] == ["x.json"]
    assert (
        files.sha256("new/folder/x.json")
        == files.hashlib.sha256(Path("new/folder/x.json").read_bytes()).hexdigest()
    )


def test_a_file_that_cannot_be_written_is_one_line():
    Path("file").write_text("")
    with pytest.raises(
        RegfoldError, match=r"^file/x\.json: cannot be written: (Not a directory|File exists)$"
    ):
        files.write_json("file/x.json", {})
    with (
        pytest.raises(RegfoldError, match=r"^x\.npy: cannot be written: 100 requested and 7 written$"),
        files.atomic("x.npy"),
    ):
        raise OSError("100 requested and 7 written")
    with pytest.raises(FileNotFoundError), files.atomic("x.npy"):
        Path("another file").read_text()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_one_line():
    with (
        pytest.raises(RegfoldError, match="cannot be written: No space left on device"),
        files.atomic("x") as temporary,
    ):
        temporary.symlink_to("/dev/full")
        temporary.write_text("text")
    assert not list(Path().iterdir())


def test_class_weights_need_classes():
    from regfold.data.prepare import expect_classes
    from regfold.errors import RegfoldError

    schema = {"task": "regression", "task_reason": "target 'y' holds numbers with decimals: regression"}
    expect_classes(schema, [])
    expect_classes({"task": "classification"}, ["m"])
    with pytest.raises(RegfoldError) as error:
        expect_classes(schema, ["m"])
    assert str(error.value) == (
        "config.yaml: models.m: training.class_weight is balanced, but target 'y' holds numbers with "
        "decimals: regression; expected null"
    )


@pytest.mark.parametrize(
    "y, loss, message",
    [
        (
            ["1.5", "2", "-3"],
            "poisson",
            "t.csv: column 'y' (target), row 2: '-3' is negative, but models.m: training.loss is poisson; "
            "expected numbers of at least 0, or another loss",
        ),
        (
            ["1.5", "2", "3"],
            "focal",
            "config.yaml: models.m: training.loss is focal, but target 'y' holds numbers with decimals: "
            "regression; focal needs classes; expected auto, mse, mae, huber, log_cosh or poisson",
        ),
        (
            ["a", "b", "a"],
            "huber",
            "config.yaml: models.m: training.loss is huber, but target 'y' holds text: classification with 2 "
            "classes; huber needs numbers; expected auto, crossentropy or focal",
        ),
    ],
)
def test_losses_suit_the_target(y, loss, message):
    from regfold.data.prepare import prepare
    from regfold.errors import RegfoldError

    Path("t.csv").write_text("x,y\n" + "".join(f"{i},{cell}\n" for i, cell in enumerate(y)))
    with pytest.raises(RegfoldError) as error:
        prepare(data_section(), None, "out", {"other": "auto", "m": loss})
    assert str(error.value) == message
    assert not list(Path("out").glob("*"))


def test_report_by_names_columns_of_the_table():
    from regfold.data.prepare import expect_columns
    from regfold.errors import RegfoldError

    schema = {"path": "t.csv", "table_columns": ["sex", "island", "y"]}
    expect_columns(schema, [])
    expect_columns(schema, ["island", "y"])
    with pytest.raises(RegfoldError) as error:
        expect_columns(schema, ["sex", "Islnd"])
    expected = "config.yaml: report.by: no column 'Islnd' in t.csv; did you mean 'island'?"
    assert str(error.value) == expected
