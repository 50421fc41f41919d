"""A run's progress as lines for a log and as a table for a terminal."""

import heapq
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from regfold.formatting import duration, significant, visible
from regfold.provenance import cell_names
from regfold.runtime import process, progress
from regfold.runtime.progress import DONE, FAILED, QUEUED, RUNNING, STOPPED, WAITING

MOST_LINES = 8


@dataclass
class View:
    """The progress at one moment: every cell with its state, and the run, if one was started."""

    cells: list[dict]
    run: dict | None

    def count(self, *states: str) -> int:
        return sum(cell["state"] in states for cell in self.cells)

    @property
    def goes_on(self) -> bool:
        """Whether Snakemake is running, as far as this machine can tell."""
        return self.run is not None and self.run["state"] == RUNNING and process.alive(self.run)


def look(folder: Path = progress.FOLDER) -> View:
    """Read the progress files under `folder`, and which cells the run still has to do."""
    known = {(cell["model"], cell["repeat"], cell["fold"]): cell for cell in progress.read_all(folder)}
    run = progress.read(Path(folder) / "run.json")
    if run is None:
        return View(list(known.values()), None)
    todo = {tuple(cell) for cell in run["todo"]}
    keys = [tuple(key) for key in run["cells"]]
    return View([_cell(key, known.get(key), key in todo, run["started"]) for key in keys], run)


def _cell(key: tuple, state: dict | None, todo: bool, started: float) -> dict:
    """A cell of this run; a state from an earlier run is ignored if the cell has to run again."""
    if state and (state["state"] in (RUNNING, QUEUED) or (todo and state["updated"] >= started)):
        return state
    state = state or {"model": key[0], "repeat": key[1], "fold": key[2], "epoch": None, "train_loss": None}
    return {**state, "state": WAITING if todo else DONE}


def seconds_left(view: View) -> float | None:
    """An estimate of how long the cells still take, as many at a time as now; None without any data.

    A running cell needs its time per epoch for each epoch left; a cell without one, and a waiting cell, as
    long as the finished cells of its model took (if there are none: of any model; if there are none: as the
    running cells will have taken). Early stopping makes it shorter.
    """
    running = [cell for cell in view.cells if cell["state"] == RUNNING]
    waiting = [cell for cell in view.cells if cell["state"] in (WAITING, QUEUED)]
    paced = {id(cell): seconds for cell in running if (seconds := _cell_seconds_left(cell)) is not None}
    took: dict[str, list[float]] = {}
    for cell in view.cells:
        if cell["state"] == DONE and view.run and cell.get("started", 0) >= view.run["started"]:
            took.setdefault(cell["model"], []).append(cell["updated"] - cell["started"])
    every = [seconds for times in took.values() for seconds in times]
    every = every or [
        cell["updated"] - cell["started"] + paced[id(cell)] for cell in running if id(cell) in paced
    ]
    if not every:
        return None
    expected = {cell["model"]: mean(took.get(cell["model"], every)) for cell in running + waiting}
    workers = [
        paced.get(id(cell), max(0.0, expected[cell["model"]] - (time.time() - cell["started"])))
        for cell in running
    ] or [0.0]
    heapq.heapify(workers)
    for cell in waiting:
        heapq.heappush(workers, heapq.heappop(workers) + expected[cell["model"]])
    return max(workers)


def _cell_seconds_left(cell: dict) -> float | None:
    """The seconds that a running cell still takes; None before its first epoch, and for other cells."""
    if cell["state"] != RUNNING or cell["seconds_per_epoch"] is None:
        return None
    return max(0.0, (cell["epochs"] - cell["epoch"]) * cell["seconds_per_epoch"])


def headline(view: View) -> str:
    """`3 of 10 cells done, 2 running, 5 waiting; about 4 min left`."""
    parts = [f"{view.count(DONE)} of {len(view.cells)} cells done"]
    for state in (RUNNING, QUEUED, WAITING, FAILED, STOPPED):
        if number := view.count(state):
            parts.append(f"{number} {state}")
    text = ", ".join(parts)
    left = seconds_left(view)
    if view.goes_on and view.count(RUNNING, WAITING, QUEUED) and left is not None:
        text += f"; about {roughly(left)} left"
    return text


def lines(view: View) -> list[str]:
    """The headline, and a line for every cell that runs or has failed."""
    shown = [cell for cell in view.cells if cell["state"] in (RUNNING, QUEUED, FAILED, STOPPED)]
    text = [headline(view)]
    for cell in shown[:MOST_LINES]:
        text.append(f"  {name(cell)}: {', '.join(filter(None, (_where(cell), _losses(cell), _news(cell))))}")
    if len(shown) > MOST_LINES:
        text.append(f"  and {len(shown) - MOST_LINES} more")
    return text


def name(cell: dict) -> str:
    """`l1 2-4`: model, repeat and fold, as under results/cells/; or `l1 refit`."""
    return f"{cell['model']} {cell_names.name(cell['repeat'], cell['fold'])}"


def roughly(seconds: float) -> str:
    """A duration with the precision of an estimate."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{significant(seconds / 3600, 2)} h"


def _where(cell: dict) -> str:
    if not cell["epoch"]:
        return "starting" if cell["state"] == RUNNING else cell["state"]
    epoch = f"epoch {cell['epoch']} of {cell['epochs']}"
    return epoch if cell["state"] == RUNNING else f"{cell['state']}, {epoch}"


def _losses(cell: dict) -> str:
    if not cell["epoch"]:
        return ""
    text = f"loss {significant(cell['train_loss'])}" if cell["train_loss"] is not None else "loss not finite"
    if cell["validation_loss"] is not None:
        text += f" (validation {significant(cell['validation_loss'])})"
    return text


def _news(cell: dict) -> str:
    if cell["state"] == RUNNING and cell["silent"] > progress.SILENT_SECONDS:
        return f"no news for {duration(cell['silent'])}"
    return ""


def render(view: View):
    """The progress as a rich renderable: a bar of all cells, a table of the current ones."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    def plain(text: str, style: str = "") -> Text:
        """Text in which neither Rich's markup nor control sequences take effect."""
        return Text(visible(text), style)

    bar = Table.grid(expand=True)
    bar.add_row(ProgressBar(total=max(1, len(view.cells)), completed=view.count(DONE)))
    colours = {RUNNING: "green", QUEUED: "yellow", FAILED: "red", STOPPED: "red"}
    shown = [cell for cell in view.cells if cell["state"] in colours]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), expand=True)
    table.add_column("cell", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("epoch", justify="right", no_wrap=True)
    table.add_column(width=8)
    for title in ("loss", "validation", "left"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("device", ratio=1, no_wrap=True, overflow="ellipsis")
    for cell in shown:
        left = _cell_seconds_left(cell)
        table.add_row(
            plain(name(cell)),
            plain(_news(cell) or cell["state"], colours[cell["state"]]),
            f"{cell['epoch']} of {cell['epochs']}",
            ProgressBar(total=max(1, cell["epochs"]), completed=cell["epoch"]),
            _number(cell["train_loss"]),
            _number(cell["validation_loss"]),
            "" if left is None else roughly(left),
            plain(f"{cell['host']}: {cell['device'] or ''}"),
        )
    text = plain(headline(view), "bold"), plain(_run(view), "dim")
    return Group(text[0], bar, table, text[1]) if shown else Group(text[0], bar, text[1])


def _number(value: float | None) -> str:
    return "" if value is None else significant(value)


def _run(view: View) -> str:
    """The state of the run itself, in one line."""
    if view.run is None:
        return "no run has been started here"
    place = f"{view.run['host']}, process {view.run['pid']}"
    if view.goes_on:
        silent = time.time() - view.run["updated"]
        late = f", no news for {duration(silent)}" if silent > progress.SILENT_SECONDS else ""
        return f"running for {duration(time.time() - view.run['started'])} ({place}{late})"
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(view.run["updated"]))
    state = "was broken off" if view.run["state"] == RUNNING else f"ended ({view.run['state']})"
    return f"the run of {when} {state} ({place})"
