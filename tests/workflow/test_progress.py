"""Guards the progress of a run: files that are never torn, states that are true, a time left that adds up."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from regfold.runtime import progress
from regfold.runtime.progress import Reporter
from regfold.workflow import progress_view
from rich.console import Console

ROOT = Path(__file__).parents[2]


class Unread:
    """A loss that must not be looked at, as doing so would wait for the GPU."""

    def __float__(self):
        raise AssertionError("a throttled update looked at the loss")


def cell_file(folder, model="l1", repeat=1, fold=1, **changes):
    """Write a cell's file as a reporter of a process that is still there would have, with changes."""
    now = time.time()
    state = {
        "model": model,
        "repeat": repeat,
        "fold": fold,
        "state": "running",
        "epoch": 50,
        "epochs": 200,
        "train_loss": 0.25,
        "validation_loss": None,
        "seconds_per_epoch": 2.0,
        "started": now - 100,
        "updated": now,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "device": "Fake GPU",
    } | changes
    progress.write(folder / model / f"{repeat}-{fold}.json", state)


def run_file(folder, cells, todo, **changes):
    now = time.time()
    state = {"state": "running", "started": now - 1000, "updated": now, "host": socket.gethostname()}
    progress.write(folder / "run.json", state | {"pid": os.getpid(), "cells": cells, "todo": todo} | changes)


def only(folder) -> dict:
    (state,) = progress.read_all(folder)
    return state


def test_a_cell_from_the_queue_to_its_end(tmp_path):
    with Reporter("l1", 2, 3, epochs=500, folder=tmp_path, seconds=0) as reporter:
        assert only(tmp_path)["state"] == "running"
        reporter.queue()
        assert only(tmp_path)["state"] == "waiting for a GPU"
        reporter.begin("NVIDIA H200", epoch=100, trainings=3)
        state = only(tmp_path)
        assert (state["state"], state["epoch"], state["device"]) == ("running", 100, "NVIDIA H200")
        reporter.update(101, 0.5, 0.75)
        state = only(tmp_path)
        assert (state["epoch"], state["epochs"]) == (101, 1500)
        assert (state["train_loss"], state["validation_loss"]) == (0.5, 0.75)
        assert (state["host"], state["pid"]) == (socket.gethostname(), os.getpid())
        reporter.update(102, 0.25)
    state = only(tmp_path)
    assert (state["model"], state["repeat"], state["fold"]) == ("l1", 2, 3)
    assert (state["state"], state["epoch"], state["train_loss"]) == ("done", 102, 0.25)
    assert state["started"] <= state["updated"] <= time.time()
    assert [path.name for path in (tmp_path / "l1").iterdir()] == ["2-3.json"]


def test_a_cell_that_raises_has_failed(tmp_path):
    with pytest.raises(ValueError), Reporter("l1", 1, 1, epochs=5, folder=tmp_path) as reporter:
        reporter.update(3, 0.5)
        raise ValueError
    assert (only(tmp_path)["state"], only(tmp_path)["epoch"]) == ("failed", 3)


def test_updates_in_quick_succession_cost_no_write_and_the_last_one_counts(tmp_path):
    with Reporter("l1", 1, 1, epochs=500, folder=tmp_path, seconds=3600) as reporter:
        reporter.update(1, 0.5)
        reporter.update(2, Unread())
        assert only(tmp_path)["epoch"] == 1
        reporter.update(500, 0.125)
    assert (only(tmp_path)["epoch"], only(tmp_path)["train_loss"]) == (500, 0.125)


def test_the_pace_leaves_out_what_was_trained_before(tmp_path, monkeypatch):
    clock = iter([1000.0, 1010.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with Reporter("l1", 1, 1, epochs=500, folder=tmp_path) as reporter:
        reporter.begin("CPU", epoch=300)
        reporter.update(301, 0.5)
        assert only(tmp_path)["seconds_per_epoch"] is None
        reporter.update(306, 0.5)
        assert only(tmp_path)["seconds_per_epoch"] == pytest.approx(2.0)


def test_a_loss_that_is_not_finite_is_still_json(tmp_path):
    with Reporter("l1", 1, 1, epochs=5, folder=tmp_path) as reporter:
        reporter.update(3, float("nan"), float("inf"))
    text = (tmp_path / "l1" / "1-1.json").read_text()
    state = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert (state["train_loss"], state["validation_loss"]) == (None, None)


def test_a_reader_never_sees_a_part_of_a_file(tmp_path):
    over, read = threading.Event(), []
    path = tmp_path / "l1" / "1-1.json"

    def follow():
        while not over.is_set():
            read.append(json.loads(path.read_text()))

    with Reporter("l1", 1, 1, epochs=2000, folder=tmp_path, seconds=0) as reporter:
        reader = threading.Thread(target=follow)
        reader.start()
        for epoch in range(1, 2001):
            reporter.update(epoch, 1 / epoch)
        over.set()
        reader.join()
    epochs = [state["epoch"] for state in read]
    assert len(set(epochs)) > 1
    assert epochs == sorted(epochs)


def test_a_folder_that_cannot_be_written_stops_no_training(tmp_path):
    (tmp_path / "file").write_text("")
    with Reporter("l1", 1, 1, epochs=5, folder=tmp_path / "file") as reporter:
        reporter.update(3, 0.5)
    assert progress.read_all(tmp_path / "file") == []


def test_a_killed_process_is_stopped_and_not_running_for_ever(tmp_path):
    code = (
        "import sys, time; from regfold.runtime.progress import Reporter\n"
        "with Reporter('l1', 1, 1, 5, sys.argv[1]): time.sleep(300)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts")}
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], env=environment)
    try:
        end = time.monotonic() + 60
        while not progress.read_all(tmp_path) and time.monotonic() < end:
            time.sleep(0.02)
        path = tmp_path / "l1" / "1-1.json"
        progress.write(path, json.loads(path.read_text()) | {"updated": time.time() - 120})
        assert only(tmp_path)["state"] == "running"
        assert only(tmp_path)["silent"] >= 120
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert only(tmp_path)["state"] == "stopped"


def test_a_process_on_another_machine_is_given_the_benefit_of_the_doubt(tmp_path):
    cell_file(tmp_path, host="another-node", pid=2**22 + 1, updated=time.time() - 240)
    assert only(tmp_path)["state"] == "running"
    view = progress_view.look(tmp_path)
    assert progress_view.lines(view)[1] == "  l1 1-1: epoch 50 of 200, loss 0.2500, no news for 4 min 0 s"


def test_cells_of_this_run_and_of_earlier_ones(tmp_path):
    cells = [["l1", 1, fold] for fold in range(1, 8)]
    before = {"started": time.time() - 9000, "updated": time.time() - 8000}
    cell_file(tmp_path, fold=1, state="done", **before)  # up to date
    cell_file(tmp_path, fold=2, state="done", **before)  # has to run again
    cell_file(tmp_path, fold=3, state="failed", **before)  # has to run again
    cell_file(tmp_path, fold=4, state="running")
    cell_file(tmp_path, fold=5, state="waiting for a GPU")
    cell_file(tmp_path, fold=6, state="done")  # just now; Snakemake has not noticed
    cell_file(tmp_path, model="of_an_earlier_config", state="done", **before)
    run_file(tmp_path, cells, todo=cells[1:])
    view = progress_view.look(tmp_path)
    assert [cell["state"] for cell in view.cells] == [
        "done",
        "waiting",
        "waiting",
        "running",
        "waiting for a GPU",
        "done",
        "waiting",
    ]
    assert progress_view.headline(view).startswith(
        "2 of 7 cells done, 1 running, 1 waiting for a GPU, 3 waiting; about "
    )


def test_the_time_left_by_hand(tmp_path):
    now = time.time()
    cell_file(tmp_path, fold=1, state="done", started=now - 400, updated=now - 100)  # took 300 s
    cell_file(tmp_path, fold=2, epoch=50, epochs=200, seconds_per_epoch=2.0)  # 300 s left
    cell_file(tmp_path, fold=3, epoch=150, epochs=200, seconds_per_epoch=2.0)  # 100 s left
    cells = [["l1", 1, fold] for fold in range(1, 6)]
    run_file(tmp_path, cells, todo=cells[1:])
    # Two at a time: the fourth begins in 100 s and takes 300 s, the fifth begins in 300 s and ends at 600 s.
    assert progress_view.seconds_left(progress_view.look(tmp_path)) == pytest.approx(600)
    # A model that has finished no cell takes as long as the others did.
    cells[4] = ["l2", 1, 5]
    run_file(tmp_path, cells, todo=cells[1:])
    assert progress_view.seconds_left(progress_view.look(tmp_path)) == pytest.approx(600)


def test_the_time_left_is_not_made_up(tmp_path):
    cells = [["l1", 1, 1], ["l1", 1, 2]]
    run_file(tmp_path, cells, todo=cells)
    assert progress_view.seconds_left(progress_view.look(tmp_path)) is None
    cell_file(tmp_path, epoch=0, seconds_per_epoch=None)
    view = progress_view.look(tmp_path)
    assert progress_view.seconds_left(view) is None
    assert progress_view.headline(view) == "0 of 2 cells done, 1 running, 1 waiting"


def test_the_first_cells_are_a_measure_for_the_others(tmp_path):
    cells = [["l1", 1, 1], ["l1", 1, 2]]
    now = time.time()
    cell_file(tmp_path, epoch=50, epochs=200, seconds_per_epoch=2.0, started=now - 100, updated=now)
    run_file(tmp_path, cells, todo=cells)
    # The running cell: 300 s left of 400 s in all; then the other one.
    assert progress_view.seconds_left(progress_view.look(tmp_path)) == pytest.approx(700)


def test_a_cell_that_has_just_started_takes_as_long_as_the_finished_ones(tmp_path):
    now = time.time()
    cells = [["l1", 1, 1], ["l1", 1, 2]]
    cell_file(tmp_path, fold=1, state="done", started=now - 300, updated=now - 100)  # took 200 s
    cell_file(tmp_path, fold=2, epoch=0, seconds_per_epoch=None, started=now - 50)
    run_file(tmp_path, cells, todo=cells[1:])
    view = progress_view.look(tmp_path)
    assert progress_view.seconds_left(view) == pytest.approx(150, abs=30)
    assert progress_view.lines(view)[1] == "  l1 1-2: starting"


def test_lines_say_what_runs_and_what_failed(tmp_path):
    cells = [["l1", 1, fold] for fold in range(1, 4)]
    cell_file(tmp_path, fold=1, train_loss=None)
    cell_file(tmp_path, fold=2, state="failed", validation_loss=0.5)
    cell_file(tmp_path, fold=3, state="waiting for a GPU", epoch=0, train_loss=None)
    run_file(tmp_path, cells, todo=cells)
    assert progress_view.lines(progress_view.look(tmp_path))[1:] == [
        "  l1 1-1: epoch 50 of 200, loss not finite",
        "  l1 1-2: failed, epoch 50 of 200, loss 0.2500 (validation 0.5000)",
        "  l1 1-3: waiting for a GPU",
    ]


def test_a_hundred_running_cells_are_no_hundred_lines(tmp_path):
    cells = [["l1", 1, fold] for fold in range(1, 101)]
    for _, _, fold in cells:
        cell_file(tmp_path, fold=fold)
    run_file(tmp_path, cells, todo=cells)
    lines = progress_view.lines(progress_view.look(tmp_path))
    assert len(lines) == progress_view.MOST_LINES + 2
    assert lines[-1] == f"  and {100 - progress_view.MOST_LINES} more"


@pytest.mark.parametrize("width", [80, 120])
def test_the_picture_fits_the_terminal_and_tells_the_same(tmp_path, width):
    cells = [["l1", 1, fold] for fold in range(1, 6)]
    cell_file(tmp_path, fold=1)
    cell_file(tmp_path, fold=2, state="failed")
    run_file(tmp_path, cells, todo=cells)
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(progress_view.render(progress_view.look(tmp_path)))
    text = console.export_text()
    assert "0 of 5 cells done, 1 running, 3 waiting, 1 failed" in text
    assert "l1 1-1" in text and "failed" in text
    assert "50 of 200" in text and "0.2500" in text and "5 min" in text
    assert max(len(line) for line in text.splitlines()) <= width


def test_the_picture_takes_nothing_for_markup_or_commands(tmp_path):
    cell_file(tmp_path, model="[bold]m", device="[red]GPU[/red] [/nothing] \x1b[2J\u202e")
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(progress_view.render(progress_view.look(tmp_path)))
    text = console.export_text()
    assert r"[red]GPU[/red] [/nothing] \x1b[2J\u202e" in text and "[bold]m 1-1" in text


def test_a_run_that_was_killed_is_not_said_to_go_on(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    run_file(tmp_path, [["l1", 1, 1]], todo=[["l1", 1, 1]], pid=gone.pid)
    view = progress_view.look(tmp_path)
    assert not view.goes_on
    assert progress_view.headline(view) == "0 of 1 cells done, 1 waiting"


def show(*arguments):
    command = [sys.executable, ROOT / "scripts" / "progress.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_the_command_shows_a_study_from_anywhere(tmp_path):
    folder = tmp_path / progress.FOLDER
    cell_file(folder)
    run_file(folder, [["l1", 1, 1], ["l1", 1, 2]], todo=[["l1", 1, 1], ["l1", 1, 2]], state="failed")
    for arguments in ([tmp_path], [tmp_path, "--watch"]):
        result = show(*arguments)
        assert result.returncode == 0, result.stderr
        assert "0 of 2 cells done, 1 running, 1 waiting" in result.stdout
        assert "ended (failed)" in result.stdout


def test_the_command_on_a_folder_without_a_run(tmp_path):
    result = show(tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"regfold: error: {tmp_path}")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"todo": []}'])
def test_a_damaged_file_of_the_run_is_named_with_the_remedy(content, tmp_path):
    folder = tmp_path / progress.FOLDER
    cell_file(folder)
    path = folder / "run.json"
    path.write_text(content)
    result = show(tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"regfold: error: {path}: is damaged: ")
    assert result.stderr.endswith(f"; remove {path} and run again\n")


def test_of_a_cell_whose_file_is_damaged_nothing_is_known(tmp_path):
    cell_file(tmp_path)
    path = tmp_path / "l1" / "1-1.json"
    for content in ("", "{}", "[]"):
        path.write_text(content)
        assert progress.read_all(tmp_path) == []
