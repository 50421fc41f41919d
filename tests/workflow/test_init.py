"""Guards that the config.yaml which `init` writes runs as it is, on tables that are not tidy."""

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest
import yaml
from regfold.config.resolve import resolve
from regfold.errors import RegfoldError
from regfold.workflow import draft
from workflow.real_study import ROOT

N = 60
R = random.Random(0)
X = [round(R.gauss(0, 1), 2) for _ in range(N)]
LABELS = ["yes" if x > 0 else "no" for x in X]


def csv(columns: dict, separator=",", decimal=".") -> str:
    frame = pd.DataFrame(columns)
    return frame.to_csv(index=False, sep=separator, decimal=decimal)


def times(i: int) -> str:
    return str(np.datetime64("2020-01-01") + i)


BASE = {"x": X, "y": LABELS}
TABLES = {
    "semicolons and decimal commas": (csv(BASE, ";", ","), {}),
    "an id and names": (
        csv({"key": [f"k{i}" for i in range(N)], "who": [f"p {i}" for i in range(N)], **BASE}),
        {"id": "key"},
    ),
    "rows that count, and one without a target": (
        csv({"rownames": range(1, N + 1), "x": X, "y": [None, *LABELS[1:]]}),
        {"id": "rownames"},
    ),
    "numbers of rows that were picked": (csv({"n": [i * i for i in range(N)], **BASE}), {"id": "n"}),
    "ids in no order": (csv({"patient_id": [i * 7 % N for i in range(N)], **BASE}), {"id": "patient_id"}),
    "a group": (csv({"patient": [f"p{i % 12}" for i in range(N)], **BASE}), {"split": "group"}),
    "dates": (csv({"day": [times(i) for i in range(N)], **BASE}), {"dates": ["day"]}),
    "other missing cells": (
        csv({"z": ["n/a" if i % 9 == 0 else i / 7 for i in range(N)], **BASE}),
        {"missing": "n/a"},
    ),
    "a constant, an empty column": (csv({"k": 1, "e": None, **BASE}), {"exclude": ["k", "e"]}),
    "a target with gaps": (csv({"x": X, "y": [None if i % 7 == 0 else v for i, v in enumerate(LABELS)]}), {}),
    "thousands and times": (
        csv({"t": ["12:30", "9:00"] * 30, "q": ["1,234", "2,500.5"] * 30, **BASE}),
        {"exclude": ["q"]},
    ),
    "a class of one row": (csv({"x": X, "y": ["odd", *LABELS[1:]]}), {"split": "kfold"}),
    "names that YAML misreads": (
        csv({"no": X, "a: b #c": LABELS[::-1], "2020": X[::-1], "x\ny": X, "y": LABELS}),
        {},
    ),
    "few rows, a regression": (csv({"x": X[:4], "y": [1.5, 2.5, 3.25, 1]}), {"split": "kfold"}),
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("text", "expected"), TABLES.values(), ids=TABLES)
def test_what_init_writes_runs_as_it_is(text, expected):
    Path("t.csv").write_text(text, encoding="utf-8")
    said = draft.write({"table": "t.csv", "target": "y"}, Path("config.yaml"))  # prepares and splits as well
    assert said.startswith("config.yaml is written")
    written = yaml.safe_load(Path("config.yaml").read_text(encoding="utf-8"))
    resolve(written)
    assert written["data"]["id"] == expected.get("id")
    assert written["data"]["dates"] == expected.get("dates", [])
    assert set(expected.get("exclude", [])) <= set(written["data"]["exclude"])
    assert expected.get("missing", "NA") in written["data"]["missing"]
    assert written["split"]["method"] == expected.get("split", "stratified")


def test_a_column_of_many_levels_may_be_what_new_rows_are_of_another_of():
    Path("t.csv").write_text(csv({"land": [f"l {i % 20}" for i in range(N)], **BASE}))
    assert "  # To predict rows of other 'land' than these 20: method: group, column: land\n" in draft.draft(
        "t.csv", ["y"], {}
    )


def test_a_sheet_and_several_targets():
    book = openpyxl.Workbook()
    for row in [["a", "b", "c"], *([i % 3, i * 1.5, i % 7 + 0.5] for i in range(20))]:
        book.active.append(row)
    book.save("t.xlsx")
    draft.write({"table": "t.xlsx", "target": ["b", "c"]}, Path("config.yaml"))
    assert yaml.safe_load(Path("config.yaml").read_text())["data"]["target"] == ["b", "c"]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"table": "t.csv", "target": "yy"}, "no column 'yy' in t.csv"),
        ({"table": "t.csv"}, "init: --config target is missing"),
        ({"table": "t.csv", "target": "y", "sep": ";"}, "init: --config sep: unknown key"),
    ],
)
def test_a_request_that_cannot_be_met_is_one_line_and_writes_nothing(request_, message):
    Path("t.csv").write_text(csv(BASE))
    with pytest.raises(RegfoldError, match=message):
        draft.write(request_, Path("config.yaml"))
    assert not Path("config.yaml").exists()


@pytest.mark.heavy
def test_a_real_run_writes_it_into_an_empty_folder_and_never_again():
    Path("t.csv").write_text(csv(BASE, ";", ","))

    def snakemake(*arguments):
        command = [
            sys.executable,
            "-m",
            "snakemake",
            "-s",
            str(ROOT / "Snakefile"),
            "--cores",
            "1",
            *arguments,
        ]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        return run.returncode, run.stdout + run.stderr

    code, said = snakemake()
    assert code != 0
    assert "regfold: error: no config.yaml in this folder" in said
    code, said = snakemake("init", "--config", "table=t.csv", "target=y")
    assert code == 0, said
    assert "regfold: config.yaml is written" in said
    text = Path("config.yaml").read_text()
    assert "separated by ';', decimal comma" in text
    code, said = snakemake("init", "--config", "table=t.csv", "target=y")
    assert code != 0
    assert "config.yaml: exists already and is not changed" in said
    code, said = snakemake("--config", "table=t.csv", "target=y")
    assert code != 0
    assert "--config table: unknown key; expected it with the target init alone" in said
    code, said = snakemake("results/folds.csv")
    assert code == 0, said
    assert Path("config.yaml").read_text() == text
