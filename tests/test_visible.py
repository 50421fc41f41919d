"""Guards the terminal: no name, path or message of others steers it, forges a line, or turns its writing."""

import json
import subprocess
import sys
import unicodedata
from pathlib import Path
from types import SimpleNamespace

import prepare_data
import pytest
from hypothesis import given
from hypothesis import strategies as st
from regfold.errors import RegfoldError
from regfold.formatting import visible
from regfold.runtime import log, nvml
from regfold.workflow import run_progress, terminal
from small_study import data_section

CLEAR, RIGHT_TO_LEFT = "\x1b[2J", "\u202e"
FORGED = f"{CLEAR}x\nregfold: all is well\r{RIGHT_TO_LEFT}"
SHOWN = r"\x1b[2Jx\nregfold: all is well\r\u202e"


@given(st.text(st.characters()))
def test_what_is_visible_is_one_line_without_controls_and_the_rest_as_it_was(text):
    shown = visible(text)
    hidden = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert not hidden & {unicodedata.category(c) for c in shown}
    assert len(shown.splitlines()) <= 1
    assert visible(shown) == shown
    if text.isprintable():
        assert shown == text


def test_the_text_of_an_error_is_one_line():
    assert str(RegfoldError(f"results/{FORGED}: cannot be read")) == f"results/{SHOWN}: cannot be read"
    assert f"{RegfoldError(FORGED)}" == SHOWN


@pytest.mark.parametrize("logs", [["logs/x.log"], []])
def test_each_print_of_a_job_is_one_line_of_the_terminal(tmp_path, monkeypatch, capfd, logs):
    monkeypatch.chdir(tmp_path)
    with log.job(logs) as lines:
        print(f"regfold: {FORGED}", file=lines)
        print(file=lines)
    assert capfd.readouterr().err == f"regfold: {SHOWN}\n\n"


def test_the_message_of_anothers_exception_is_one_line(tmp_path, capfd):
    with pytest.raises(SystemExit), log.job(tmp_path / "x.log"):
        raise ValueError(FORGED)
    (line,) = capfd.readouterr().err.split("\n")[:-1]
    assert line.startswith(r"regfold: error: ValueError: \x1b[2Jx regfold: all is well \u202e; the traceback")


def test_the_name_of_a_column_and_of_a_table_is_said_without_its_controls(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    name = f"t{CLEAR}.csv"
    (tmp_path / name).write_text("x,y\n" + "".join(f"{i % 7}.5,a{i % 2}{RIGHT_TO_LEFT}\n" for i in range(20)))
    data = {"data": data_section(name), "split_column": None, "with_class_weight": [], "losses": {}}
    params = SimpleNamespace(data=data)
    output = SimpleNamespace(schema="out/schema.json")
    prepare_data.main(SimpleNamespace(params=params, output=output, log=["x.log"]))
    assert capfd.readouterr().err.startswith(r"regfold: t\x1b[2J.csv: 20 rows, 1 feature")
    # What is a result is as it was.
    assert json.loads((tmp_path / "out/schema.json").read_text())["classes"] == [
        f"a0{RIGHT_TO_LEFT}",
        f"a1{RIGHT_TO_LEFT}",
    ]


def test_a_drivers_message_is_one_line(capsys):
    nvml.warn(FORGED)
    assert capsys.readouterr().err == f"regfold: warning: {SHOWN}\n"


def test_the_flags_of_a_cell_are_lines_of_their_own(tmp_path):
    (tmp_path / "scores.csv").write_text(f'model,repeat,fold,rmse,flags\nm,1,1,0.5,"{FORGED}"\n', newline="")
    result = {"rmse": 0.5, "rmse_of_constant": 1.0, "rmse_fold_sd": None, "rmse_low": None, "repeats": 1}
    summary = {"models": {"m": result}, "ranked_by": "rmse", "duplicates": {"n_in_training": 0}}
    summary["metrics"] = [{"name": "rmse", "label": "RMSE", "greater_is_better": False}]
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    assert f"  ! fold 1: {SHOWN}\n" in terminal.closing_lines(tmp_path)


def test_a_progress_file_of_others_forges_no_line(tmp_path, monkeypatch):
    (tmp_path / "m").mkdir()
    cell = {"model": "m", "repeat": 1, "fold": 1, "state": FORGED, "updated": 0, "epoch": 0, "host": "h"}
    (tmp_path / "m" / "1-1.json").write_text(json.dumps(cell | {"state": "failed", "model": FORGED}))
    said = []
    monkeypatch.setattr("snakemake.logging.logger.info", lambda text, **_: said.append(text))
    progress = run_progress.RunProgress(SimpleNamespace(), tmp_path)
    progress.state["cells"] = [[FORGED, 1, 1]]
    progress._say()
    assert said == [f"regfold: 0 of 1 cells done, 1 failed\n  {SHOWN} 1-1: failed"]


def test_the_progress_command_says_its_error_on_one_line(tmp_path):
    script = Path(__file__).parents[1] / "scripts" / "progress.py"
    command = [sys.executable, script, tmp_path / FORGED]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and SHOWN in done.stderr
