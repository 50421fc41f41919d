"""Guards that every bad table or choice ends with its own one line: place, finding, expectation."""

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
from regfold.data.prepare import prepare
from regfold.errors import RegfoldError
from small_study import data_section

GOOD = "x,c,y\n1,a,p\n2,b,q\n3,a,p\n4,b,q\n"


def csv(*rows: str) -> str:
    return "\n".join(rows) + "\n"


def names(count: int) -> str:
    return csv("x,c,y", *(f"{i},name{i},{i % 2}" for i in range(count)))


# What is wrong, the file's content, the changes to the config, the message.
TEXT_FILES = [
    ("empty file", "", {}, "t.csv: is empty; expected a header and at least 2 rows"),
    ("blank lines only", "\n\n", {}, "t.csv: is empty; expected a header and at least 2 rows"),
    ("only a header", "x,y\n", {}, "t.csv: has no rows; expected at least 2"),
    (
        "header without line break",
        "x,y",
        {},
        "t.csv: has no rows; expected at least 2",
    ),
    (
        "one row",
        "x,y\n1,2\n",
        {},
        "t.csv: has 1 row; expected at least 2",
    ),
    (
        "too few cells",
        csv("x,y,z", "1,2,3", "1,2", "1,2,3"),
        {},
        "t.csv: row 1: 2 cells in '1,2'; expected 3, as in the header",
    ),
    (
        "too many cells",
        csv("x,y", "1,2", "1,2,3"),
        {},
        "t.csv: row 1: 3 cells in '1,2,3'; expected 2, as in the header",
    ),
    (
        "one cell, after a blank line",
        csv("x,y", "1,2", "", "3,4", "5"),
        {},
        "t.csv: row 2: 1 cell in '5'; expected 2, as in the header",
    ),
    (
        "ragged after a long file",
        csv("x,y", *["1,2"] * 50, "7"),
        {},
        "t.csv: row 50: 1 cell in '7'; expected 2, as in the header",
    ),
    (
        "ragged after a cell with line breaks",
        csv("x,y", '1,"a\nb\nc"', "7"),
        {},
        "t.csv: row 1: 1 cell in '7'; expected 2, as in the header",
    ),
    (
        "open quote at the end",
        csv("x,y", "1,2", '3,"4', "5,6"),
        {},
        "t.csv: row 1: a quoted cell, '4\\n5,6\\n', is never closed; expected a closing quote",
    ),
    (
        "open quote in the middle",
        csv("x,y", "1,2", '"3,4', "5,6"),
        {},
        "t.csv: row 1: a quoted cell, '3,4\\n5,6\\n', is never closed; expected a closing quote",
    ),
    (
        "text behind a closing quote, which makes one row of two",
        csv("x,c,y", "1,a,p", '"5 inch,2,p', '"6 inch,4,q', "2,b,q"),
        {},
        "t.csv: row 1: '6 inch' follows the closing quote of '5 inch,2,p\\n'; expected the end of the "
        'cell, and "" for a quote inside a quoted cell',
    ),
    (
        "text behind a closing quote, and too few cells",
        csv("x,y", "1,p", '"2" or 3', "4,q"),
        {},
        "t.csv: row 1: ' or 3' follows the closing quote of '2'; expected the end of the cell, and "
        '"" for a quote inside a quoted cell',
    ),
    (
        "text behind a closing quote of the header",
        csv('x,"y"z', "1,2", "3,4"),
        {},
        "t.csv: the header: 'z' follows the closing quote of 'y'; expected the end of the cell, and "
        '"" for a quote inside a quoted cell',
    ),
    (
        "not UTF-8",
        b"x,y\n1,a\n2,b\xe4\n",
        {},
        "t.csv: column 'y', row 1: is not UTF-8; if 'bä' is the right text, set data.encoding: cp1252; "
        "otherwise save the table as UTF-8",
    ),
    (
        "header not UTF-8",
        b"x\xe4,y\n1,a\n2,b\n",
        {},
        "t.csv: the header is not UTF-8; if 'xä' is the right text, set data.encoding: cp1252; otherwise "
        "save the table as UTF-8",
    ),
    (
        "UTF-16 without a mark",
        "x,y\n1,2\n".encode("utf-16-le"),
        {},
        "t.csv: is not UTF-8, but looks like UTF-16 without a byte order mark; set data.encoding: utf-16, or "
        "save it as UTF-8",
    ),
    (
        "not cp1252",
        b"x,y\n1,a\n2,b\x81\n",
        {"encoding": "cp1252"},
        "t.csv: is not cp1252; expected another data.encoding, or a table saved as UTF-8",
    ),
    (
        "UTF-8 where latin-1 is said",
        "x,y\n1,a\n2,bä\n".encode(),
        {"encoding": "latin-1"},
        "t.csv: is UTF-8, and data.encoding says latin-1; expected data.encoding: utf-8, or a table saved as "
        "latin-1",
    ),
    (
        "either separator",
        csv("a;x,y", "1;2,3", "4;5,6"),
        {},
        "t.csv: its cells may be separated by ',' or ';': each splits the first rows evenly; set "
        "data.separator to the one that is right",
    ),
    (
        "points and commas",
        csv("x;z;y", "1.5;1,5;a", "2.5;3,5;b"),
        {},
        "t.csv: column 'x', row 0 has a decimal point ('1.5'), and column 'z', row 0 a decimal comma "
        "('1,5'); set data.decimal to the one that is right, '.' or ','",
    ),
    (
        "a comma that may be a decimal one",
        csv("x\tz\ty", "1,5\t1\ta", "2,5\t2\tb"),
        {},
        "t.csv: column 'x', row 0: '1,5' may have a decimal comma; set data.decimal: ',' if so, "
        "otherwise '.'",
    ),
    *(
        (
            f"{cell} with a semicolon",
            csv("x;y", f"{cell};a", "2;b", f"{cell};a"),
            {},
            f"t.csv: column 'x', row 0: '{cell}' has a decimal mark or stands for thousands; set "
            f"data.decimal: '{cell[1]}' for the former, and write no separators for the latter",
        )
        for cell in ("1,234", "1.234")
    ),
    *(
        (
            f"thousands: {cell}",
            csv("x;y", f"{cell};a", "2;b", f"{cell};a"),
            {"decimal": mark},
            f"t.csv: column 'x', row 0: '{cell}' has thousands separators; expected numbers without them, or "
            "the column in data.categorical or data.exclude",
        )
        for cell, mark in (("1.234,5", ","), ("1,234.5", "."), ("1.234", ","), ("12 345", "."))
    ),
    (
        "thousands in the target",
        csv("x;y", *["1;1.234,5", "2;2,5", "3;1.000,0"] * 3),
        {"task": "regression"},
        "t.csv: column 'y', row 0: '1.234,5' has thousands separators; expected numbers without them, or the "
        "column in data.categorical or data.exclude",
    ),
    (
        "no date",
        csv("d,y", "2024-02-29,a", "2023-02-29,b", ",a"),
        {"dates": ["d"]},
        "t.csv: column 'd' (data.dates), row 1: '2023-02-29' is not an ISO date; expected dates such as "
        "2020-05-31 or 2020-05-31T12:00, or the column in data.exclude",
    ),
    (
        "a date's feature that is there",
        csv("d,d_year,y", *["2024-02-29,1,a", "2023-02-28,2,b"] * 2),
        {"dates": ["d"]},
        "t.csv: column 'd' (data.dates) gives 'd_year', the name of another column; rename that one",
    ),
    (
        "a column without a name",
        csv(",x,y", "0,1,a", "1,2,b"),
        {},
        "t.csv: column 1 has no name; expected a header that names every column (pandas: "
        "to_csv(index=False) leaves the unnamed index out)",
    ),
    (
        "a name of blanks",
        csv("x,  ,y", "0,1,a", "1,2,b"),
        {},
        "t.csv: column 2 has no name; expected a header that names every column (pandas: "
        "to_csv(index=False) leaves the unnamed index out)",
    ),
    (
        "two columns of one name",
        csv("x,y,x", "0,1,a", "1,2,b"),
        {},
        "t.csv: columns 1 and 3 are both named 'x'; expected names that differ",
    ),
    (
        "a name that regfold gives",
        csv("x,y,oos_pred_a", "0,1,a", "1,2,b"),
        {},
        "t.csv: column 'oos_pred_a' has a name that regfold gives to its own columns; rename it",
    ),
    (
        "another name that regfold gives",
        csv("oos_row,x,y", "0,1,a", "1,2,b"),
        {},
        "t.csv: column 'oos_row' has a name that regfold gives to its own columns; rename it",
    ),
    (
        "blank line in one column",
        "y\n1\n\n2\n",
        {},
        "t.csv: has a blank line, and in a table of one column that may be a row without a value; "
        'expected "" for such a row, and no blank lines',
    ),
    (
        "semicolons",
        csv("x;y", "1;2", "3;4"),
        {"separator": "tab"},
        "config.yaml: data.target: no column 'y' in t.csv (separated by tabs); it has one column, 'x;y': "
        "expected cells separated by ',', ';', tabs or '|', as data.separator says",
    ),
    (
        "target that is not there",
        GOOD,
        {"target": ["z"]},
        "config.yaml: data.target: no column 'z' in t.csv; its columns are 'x', 'c', 'y'",
    ),
    (
        "target misspelled",
        csv("x,species", "1,a", "2,b"),
        {"target": ["specis"]},
        "config.yaml: data.target: no column 'specis' in t.csv; did you mean 'species'?",
    ),
    (
        "target with blanks around",
        csv("x, y", "1,a", "2,b"),
        {},
        "config.yaml: data.target: no column 'y' in t.csv; its name in the header is ' y', with the blanks",
    ),
    (
        "exclude that is not there",
        GOOD,
        {"exclude": ["cc"]},
        "config.yaml: data.exclude: no column 'cc' in t.csv; did you mean 'c'?",
    ),
    (
        "id that is not there",
        GOOD,
        {"id": "row"},
        "config.yaml: data.id: no column 'row' in t.csv; its columns are 'x', 'c', 'y'",
    ),
    (
        "categorical that is not there",
        GOOD,
        {"categorical": ["C"]},
        "config.yaml: data.categorical: no column 'C' in t.csv; did you mean 'c'?",
    ),
    (
        "split column that is not there",
        GOOD,
        {"split.column": "group"},
        "config.yaml: split.column: no column 'group' in t.csv; its columns are 'x', 'c', 'y'",
    ),
    (
        "categorical that is not a feature",
        GOOD,
        {"categorical": ["c"], "exclude": ["c"]},
        "config.yaml: data.categorical: 'c' is not a feature (data.exclude); expected feature columns",
    ),
    (
        "no feature left",
        GOOD,
        {"exclude": ["x"], "split.column": "c"},
        "t.csv: no feature column is left: 'x' (data.exclude), 'c' (split.column), 'y' (target)",
    ),
    (
        "'nan' in a numeric column",
        csv("x,y", "1,a", "nan,b", "3,a", "4,b"),
        {},
        "t.csv: column 'x', row 1: 'nan' is not a number; if it means missing, add it to data.missing",
    ),
    (
        "infinity",
        csv("x,y", "1,a", "2,b", "-inf,a", "4,b"),
        {},
        "t.csv: column 'x', row 2: '-inf' is infinite; expected a finite number, or add it to data.missing",
    ),
    (
        "beyond float64",
        csv("x,y", "1,a", "2,b", "1e999,a", "4,b"),
        {},
        "t.csv: column 'x', row 2: '1e999' is infinite; expected a finite number, or add it to data.missing",
    ),
    (
        "beyond float32",
        csv("x,y", "1,a", "2,b", "-1e39,a", "4,b"),
        {},
        "t.csv: column 'x', row 2: '-1e39' is too large; expected numbers up to 3.4e38",
    ),
    (
        "text in a column that is not listed",
        csv("x,c,y", "1,a,p", "2,b,q", "tall,a,p"),
        {"categorical": ["c"]},
        "t.csv: column 'x', row 2: 'tall' is not a number; list the column in data.categorical or "
        "data.exclude",
    ),
    (
        "dates",
        csv("d,y", "2024-01-31,a", ",b", "2024-02-01,a", "2024-01-31,b"),
        {},
        "t.csv: column 'd' holds dates or times; list it in data.dates (for its year, "
        "month, weekday and days) or data.exclude",
    ),
    (
        "times beside a list of categories",
        csv("d,c,y", "2024-01-31T12:00:00.5Z,u,a", "2024-01-31 12:00 +0100,v,b", "23:59,u,a", "12:30:01,v,b"),
        {"categorical": ["c"]},
        "t.csv: column 'd' holds dates or times; list it in data.exclude, or make it a number",
    ),
    (
        "dates as target",
        csv("x,y", *["1,2024-01-31", "2,2024-02-01"] * 9),
        {},
        "t.csv: column 'y' (target) holds dates or times; make it a number, or set data.task: classification",
    ),
    (
        "names",
        names(300),
        {},
        "t.csv: column 'c' holds 300 different texts in 300 rows, as names do; list it in "
        "data.exclude, in data.id, or explicitly in data.categorical",
    ),
    (
        "numbers with a typo",
        csv("x,y", *(f"{i},{i % 2}" for i in range(300)), "n/a,1"),
        {},
        "t.csv: column 'x', row 300: 'n/a' is not a number, but most cells are; if it means missing, "
        "add it to data.missing, or list the column in data.categorical or data.exclude",
    ),
    (
        "missing target",
        csv("x,y", "1,a", "2,", "3,NA", "4,b"),
        {},
        "t.csv: column 'y': 2 rows have no target: rows 1 and 2; fill in the cells, or set "
        "data.missing_target: drop",
    ),
    (
        "one missing target",
        csv("x,y", "1,a", "2, ? ", "4,b"),
        {},
        "t.csv: column 'y': 1 row has no target: row 1; fill in the cells, or set data.missing_target: drop",
    ),
    (
        "many missing targets",
        csv("x,y", "1,a", *["2,"] * 9, "4,b"),
        {},
        "t.csv: column 'y': 9 rows have no target: rows 1, 2, 3, 4, 5 and 4 more; fill in the "
        "cells, or set data.missing_target: drop",
    ),
    (
        "one row left",
        csv("x,y", "1,a", "2,", "3,NA"),
        {"missing_target": "drop"},
        "t.csv: has 1 row with a target in column 'y'; expected at least 2",
    ),
    (
        "missing target of several",
        csv("x,y,z", "1,2,3", "2,3,", "3,4,5"),
        {"target": ["y", "z"]},
        "t.csv: columns 'y', 'z': 1 row has no target: row 1; fill in the cells, or set "
        "data.missing_target: drop",
    ),
    (
        "missing target with an id",
        csv("i,x,y", "k1,1,a", "k2,2,", "k3,4,b"),
        {"id": "i"},
        "t.csv: column 'y': 1 row has no target: row 1 (id 'k2'); fill in the cells, or set "
        "data.missing_target: drop",
    ),
    (
        "weight that is not there",
        GOOD,
        {"weight": "w"},
        "config.yaml: data.weight: no column 'w' in t.csv; its columns are 'x', 'c', 'y'",
    ),
    (
        "missing weight",
        csv("w,x,y", "2,1,a", ",2,b", "NA,4,b"),
        {"weight": "w"},
        "t.csv: column 'w' (data.weight): no weight in rows 1 and 2; expected one for every row",
    ),
    *(
        (
            f"weight that is {cell}",
            csv("w,x,y", "2,1,a", f"{cell},2,b", "1,4,b"),
            {"weight": "w"},
            f"t.csv: column 'w' (data.weight), row 1: found '{cell}'; expected a number from 0 to 1e+100",
        )
        for cell in ("much", "nan", "inf", "1e999", "-0.5", "2e100", "2020-01-01")
    ),
    (
        "weights of 0",
        csv("w,x,y", "0,1,a", "3,2,b", "0,4,b"),
        {"weight": "w"},
        "t.csv: column 'w' (data.weight): 1 row with a weight above 0; expected at least 2",
    ),
    (
        "missing id",
        csv("i,x,y", "k1,1,a", ",2,b", "NA,4,b"),
        {"id": "i"},
        "t.csv: column 'i' (data.id): no id in rows 1 and 2; expected one for every row",
    ),
    (
        "an id twice",
        csv("i,x,y", "k1,1,a", "k2,2,b", "k1 ,4,b"),
        {"id": "i"},
        "t.csv: column 'i' (data.id): 'k1' names rows 0 and 2; expected an id of its own for every row",
    ),
    (
        "two ids twice",
        csv("i,x,y", "k1,1,a", "k2,2,b", "k1,4,b", "k2,1,a"),
        {"id": "i"},
        "t.csv: column 'i' (data.id): 'k1' names rows 0 and 2 (2 ids are not unique); expected an "
        "id of its own for every row",
    ),
    (
        "text in a regression target",
        csv("x,y", "1,1.5", "2,tall", "3,2"),
        {"task": "regression"},
        "t.csv: column 'y' (target), row 1: 'tall' is not a number; a regression expects numbers",
    ),
    (
        "text among a target's numbers",
        csv("x,y", *(f"{i},{i}.5" for i in range(30)), "1,low"),
        {},
        "t.csv: column 'y' (target), row 30: 'low' is not a number, but most cells are; if it means "
        "missing, add it to data.missing; if the numbers are classes, set data.task: classification",
    ),
    (
        "infinite target",
        csv("x,y", "1,1.5", "2,inf", "3,2"),
        {},
        "t.csv: column 'y', row 1: 'inf' is infinite; expected a finite number, or add it to data.missing",
    ),
    (
        "'nan' as target",
        csv("x,y", "1,1.5", "2,nan", "3,2"),
        {},
        "t.csv: column 'y', row 1: 'nan' is not a number; if it means missing, add it to data.missing",
    ),
    (
        "target too large to be squared",
        csv("x,y", "1,2.5", "2,1e101", "3,4"),
        {"task": "regression"},
        "t.csv: column 'y' (target), row 1: '1e101' is too large: errors are squared; expected a unit in "
        "which numbers are at most 1e+100",
    ),
    (
        "target too small to be squared",
        csv("x,y", "1,1e-300", "2,2e-300", "3,4e-300"),
        {"task": "regression"},
        "t.csv: column 'y' (target): its standard deviation is too small: errors are squared; expected a "
        "unit in which it is at least 1e-100",
    ),
    (
        "target with hardly any spread",
        csv("x,y", "1,1600000000.0001", "2,1600000000.0002", "3,1600000000.0003"),
        {"task": "regression"},
        "t.csv: column 'y' (target): its values differ by less than 1e-12 of their size, which 64-bit "
        "numbers hardly tell apart; subtract a constant from them",
    ),
    (
        "constant regression target",
        csv("x,y", "1,2", "2,2", "3,2.0"),
        {"task": "regression"},
        "t.csv: column 'y' (target) is '2' in every row; expected values that differ",
    ),
    (
        "constant among several targets",
        csv("x,y,z", "1,2,3", "2,3,3"),
        {"target": ["y", "z"]},
        "t.csv: column 'z' (target) is '3' in every row; expected values that differ",
    ),
    (
        "one class",
        csv("x,y", "1,a", "2,a"),
        {},
        "t.csv: column 'y' (target) is 'a' in every row; expected at least 2 classes",
    ),
    (
        "as many classes as rows",
        csv("x,y", "1,a", "2,b", "3,c"),
        {},
        "t.csv: column 'y' (target) has 3 classes in 3 rows; expected at most 1,000, and several "
        "rows for each",
    ),
    (
        "numbers as classes of one row",
        csv("x,y", "1,1.5", "2,2.5", "3,3.5"),
        {"task": "classification"},
        "t.csv: column 'y' (target) has 3 classes in 3 rows; expected at most 1,000, and several "
        "rows for each; for a regression set data.task: regression",
    ),
    (
        "too many classes",
        csv("x,y", *(f"{i},k{i // 2}" for i in range(2002))),
        {},
        "t.csv: column 'y' (target) has 1,001 classes in 2,002 rows; expected at most 1,000, and "
        "several rows for each",
    ),
    (
        "one class in two spellings",
        csv("x,y", *["1,1", "2,1.0", "3,2"] * 9),
        {},
        "t.csv: column 'y' (target) has the classes '1' and '1.0', which are one number; expected "
        "one spelling for each class",
    ),
    (
        "several targets of classification",
        GOOD,
        {"target": ["y", "c"], "task": "classification"},
        "config.yaml: data.task: classification with 2 target columns; expected one target, or regression",
    ),
    (
        "error in a row with an id",
        csv("i,x,y", "k1,1,a", "k2,inf,b", "k3,4,b"),
        {"id": "i"},
        "t.csv: column 'x', row 1 (id 'k2'): 'inf' is infinite; expected a finite number, or add "
        "it to data.missing",
    ),
    (
        "a cell with a line break",
        csv("x,y", "1,1", '"2\n3",1', "3,2"),
        {"categorical": []},
        "t.csv: column 'x', row 1: '2\\n3' is not a number; list the column in data.categorical or "
        "data.exclude",
    ),
]


def run(path: str, changes: dict) -> dict:
    changes = dict(changes)
    split_column = changes.pop("split.column", None)
    return prepare(data_section(path, **changes), split_column, "out")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("content", "changes", "message"), [pytest.param(*case[1:], id=case[0]) for case in TEXT_FILES]
)
def test_a_bad_text_file_ends_with_one_line(content, changes, message):
    Path("t.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(RegfoldError) as error:
        run("t.csv", changes)
    assert str(error.value) == message
    assert not list(Path().glob("out/*")), "a table that was refused leaves nothing behind"


DATES = np.array(["2020-01-01", "2020-01-02", "2020-01-01", "2020-01-02"], "datetime64[ms]")
TYPED_FILES = [
    (
        "lists",
        {"x": [[1], [2], [3], [4]]},
        {},
        "t.parquet: column 'x' holds lists or structures; expected numbers, text, booleans, "
        "categories or dates",
    ),
    (
        "structures",
        {"x": [{"a": 1}] * 4},
        {},
        "t.parquet: column 'x' holds lists or structures; expected numbers, text, booleans, categories "
        "or dates",
    ),
    (
        "bytes",
        {"x": [b"a", b"b"] * 2},
        {},
        "t.parquet: column 'x' holds bytes; expected numbers, text, booleans, categories or dates",
    ),
    (
        "dates",
        {"x": DATES},
        {},
        "t.parquet: column 'x' holds dates or times; list it in data.dates (for its year, "
        "month, weekday and days) or data.exclude",
    ),
    *(
        (
            f"dates in a column named {name}",  # 'auto' is no list of names
            {"x": [1, 2, 3, 4], name: DATES},
            {},
            f"t.parquet: column '{name}' holds dates or times; list it in data.dates (for its year, "
            "month, weekday and days) or data.exclude",
        )
        for name in ("t", "a", "u", "o", "auto")
    ),
    (
        "dates as text",
        {"x": ["2020-01-01", "2020-01-02"] * 2},
        {},
        "t.parquet: column 'x' holds dates or times; list it in data.dates (for its year, "
        "month, weekday and days) or data.exclude",
    ),
    (
        "dates as target",
        {"x": [1, 2, 3, 4], "y": DATES},
        {},
        "t.parquet: column 'y' (target) holds dates or times; make it a number, or set data.task: "
        "classification",
    ),
    (
        "text that is not listed",
        {"x": [1, 2, 3, 4], "c": [None, "7", "8", "9"]},
        {"categorical": []},
        "t.parquet: column 'c', row 1: '7' is text, not a number; list the column in data.categorical "
        "or data.exclude",
    ),
    (
        "booleans that are not listed",
        {"x": [1, 2, 3, 4], "c": [True, False] * 2},
        {"categorical": []},
        "t.parquet: column 'c', row 0: 'True' is boolean, not a number; list the column in "
        "data.categorical or data.exclude",
    ),
    (
        "infinity",
        {"x": [1.0, np.inf, 2.0, 3.0]},
        {},
        "t.parquet: column 'x', row 1: 'inf' is infinite; expected a finite number, or add it to "
        "data.missing",
    ),
    (
        "null in the target",
        {"x": [1, 2, 3, 4], "y": ["a", "b", "a", None]},
        {},
        "t.parquet: column 'y': 1 row has no target: row 3; fill in the cells, or set "
        "data.missing_target: drop",
    ),
    (
        "NaN in the target",
        {"x": [1, 2, 3, 4], "y": [1.5, 2.5, np.nan, 3]},
        {},
        "t.parquet: column 'y': 1 row has no target: row 2; fill in the cells, or set "
        "data.missing_target: drop",
    ),
    (
        "dates as target of a regression",
        {"x": [1, 2, 3, 4], "y": DATES},
        {"task": "regression"},
        "t.parquet: column 'y' (target), row 0: '2020-01-01T00:00:00.000' is not a number; a "
        "regression expects numbers",
    ),
    (
        "no rows",
        {"x": pa.array([], pa.int64()), "y": pa.array([], pa.string())},
        {},
        "t.parquet: has no rows; expected at least 2",
    ),
    (
        "a name twice",
        None,
        {},
        "t.parquet: columns 1 and 2 are both named 'x'; expected names that differ",
    ),
]


@pytest.mark.parametrize("ending", ["parquet", "feather"])
@pytest.mark.parametrize(
    ("content", "changes", "message"), [pytest.param(*case[1:], id=case[0]) for case in TYPED_FILES]
)
def test_a_bad_typed_file_ends_with_one_line(ending, content, changes, message):
    if content is None:
        table = pa.Table.from_arrays([pa.array([1, 2]), pa.array([3, 4])], names=["x", "x"])
    else:
        table = pa.table({"y": ["a", "b", "a", "b"]} | content)
    write = pa.parquet.write_table if ending == "parquet" else pa.feather.write_feather
    write(table, f"t.{ending}")
    with pytest.raises(RegfoldError) as error:
        run(f"t.{ending}", changes)
    assert str(error.value) == message.replace("t.parquet", f"t.{ending}")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            pa.array([(1, 2, 3)] * 4, pa.month_day_nano_interval()),
            "t.feather: column 'x' holds intervals; expected numbers, text, booleans, categories or dates",
        ),
        (
            pa.array(range(4), pa.duration("ms")),
            "t.feather: column 'x' holds dates or times; list it in data.exclude, or make it a number",
        ),
        (
            pa.array(range(4), pa.timestamp("ms", "Mars/Base")),
            "t.feather: column 'x' (timestamp[ms, tz=Mars/Base]) cannot be read: Cannot locate or parse "
            "timezone 'Mars/Base': Mars/Base not found in timezone database; expected numbers, text, "
            "booleans, categories or dates",
        ),
    ],
    ids=["intervals", "durations", "unknown time zone"],
)
def test_a_column_of_an_odd_type_ends_with_one_line(values, message):
    pa.feather.write_feather(pa.table({"y": ["a", "b", "a", "b"], "x": values}), "t.feather")
    with pytest.raises(RegfoldError) as error:
        run("t.feather", {})
    assert str(error.value) == message


@pytest.mark.parametrize(
    "metadata", [b"{", b"[]", b"null", b"\xff", b'{"index_columns": 3}', b'{"columns": [1]}', b"[" * 10**6]
)
def test_damaged_pandas_metadata_end_with_one_line(metadata):
    table = pa.table({"y": ["a", "b", "a", "b"], "x": [1, 2, 3, 4]})
    pa.parquet.write_table(table.replace_schema_metadata({b"pandas": metadata}), "t.parquet")
    with pytest.raises(RegfoldError) as error:
        run("t.parquet", {})
    assert str(error.value) == (
        "t.parquet: its pandas metadata are damaged; expected a file as pandas or pyarrow writes it"
    )


PATHS = [
    (
        "no file",
        "data/u.csv",
        "config.yaml: data.path: no file 'data/u.csv'; expected a file, relative to the folder where "
        "snakemake runs",
    ),
    (
        "misspelled",
        "peguins.csv",
        "config.yaml: data.path: no file 'peguins.csv'; did you mean 'penguins.csv'?",
    ),
    (
        "a folder",
        "folder.csv",
        "config.yaml: data.path: 'folder.csv' is a folder; expected a file",
    ),
    (
        "an unknown ending",
        "t.xls",
        "config.yaml: data.path: 't.xls' has an unknown ending; save it as .xlsx or as CSV UTF-8; expected "
        ".csv, .tsv, .csv.gz, .tsv.gz, .xlsx, .parquet or .feather, or sklearn:NAME",
    ),
    (
        "no Parquet",
        "bad.parquet",
        "bad.parquet: cannot be read as Parquet: Parquet magic bytes not found in footer. Either "
        "the file is corrupted or this is not a parquet file.",
    ),
    (
        "no Feather",
        "bad.feather",
        "bad.feather: cannot be read as Feather: Not a Feather V1 or Arrow IPC file",
    ),
    (
        "no gzip",
        "bad.csv.gz",
        "bad.csv.gz: cannot be read: Not a gzipped file (b'x,'); expected a complete file",
    ),
    (
        "half a gzip",
        "half.csv.gz",
        "half.csv.gz: cannot be read: Truncated compressed stream; expected a complete file",
    ),
    (
        "damaged gzip",
        "damaged.csv.gz",
        "damaged.csv.gz: cannot be read: zlib inflate failed: incorrect data check; expected a complete file",
    ),
    (
        "unknown scikit-learn table",
        "sklearn:irish",
        "config.yaml: data.path: scikit-learn has no table 'irish'; did you mean 'iris'?",
    ),
    (
        "nothing like a scikit-learn table",
        "sklearn:boston",
        "config.yaml: data.path: scikit-learn has no table 'boston'; expected iris, wine, "
        "breast_cancer, digits, diabetes or linnerud",
    ),
]


def write_paths() -> None:
    whole = gzip.compress(GOOD.encode() * 10_000)
    Path("folder.csv").mkdir()
    for name in ("t.xls", "bad.parquet", "bad.feather", "bad.csv.gz", "penguins.csv"):
        Path(name).write_text(GOOD)
    Path("half.csv.gz").write_bytes(whole[: len(whole) // 2])
    Path("damaged.csv.gz").write_bytes(whole[:-8] + bytes(8))


@pytest.mark.parametrize(("path", "message"), [pytest.param(*case[1:], id=case[0]) for case in PATHS])
def test_a_bad_path_ends_with_one_line(path, message):
    write_paths()
    with pytest.raises(RegfoldError) as error:
        run(path, {})
    assert str(error.value) == message
