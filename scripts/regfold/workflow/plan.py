"""What the next run will do with each cell, and why, said before anything runs."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from regfold import files
from regfold.config import baselines
from regfold.data.prepare import prepare
from regfold.errors import RegfoldError
from regfold.formatting import duration
from regfold.provenance import identity
from regfold.provenance.changes import settings_changed
from regfold.splits import folds
from regfold.splits.split import Split, decide
from regfold.training import cell_files
from regfold.training.state import Store

KEPT, PREDICTS, RESUMES, TRAINS, FITS = "kept", "predicts again", "resumes", "trains", "fits"


@dataclass(frozen=True)
class Step:
    """What happens to one cell.

    Attributes:
        what: one of kept, predicts again, resumes, trains, and fits for a baseline.
        why: the reasons, in words; empty for a cell that is kept.
        epochs: how many epochs are found already.
    """

    model: str
    repeat: int
    fold: int
    what: str
    why: list[str]
    epochs: int = 0


def plan(config: dict, specifications: dict[str, dict], results: Path, states: Path) -> list[Step]:
    """Read the table as it is now, split it, and compare every cell with what is there.

    Nothing below results is written.

    Args:
        config: the resolved config.
        specifications: each model's and baseline's, see identity.specifications.
        results: the results folder.
        states: the folder of training states.

    Raises:
        RegfoldError: if the table or its split is not as the config says.
    """
    with files.scratch() as fresh:
        prepare(config["data"], config["split"]["column"], fresh)
        split = decide({"split": config["split"], "missing": config["data"]["missing"]}, fresh)
        digests = np.load(fresh / "digests.npy")
    before = _Before(results, config["split"])
    return [
        _step(model, specification, key, split, digests, before, results, states)
        for model, specification in specifications.items()
        for key in split.cells
    ]


class _Before:
    """The rows of the last run, where they are still there, to say how many of a cell's rows changed."""

    def __init__(self, results: Path, split: dict):
        try:
            self.digests = np.load(results / "prepared" / "digests.npy")
            self.folds = folds.read(results / "prepared", split)
        except (OSError, ValueError):
            self.digests = None

    def changed(self, cell: dict, now: np.ndarray, part: str) -> str:
        """How many rows of a cell differ from those that its recorded digest stands for."""
        repeat, fold = cell["repeat"], cell["fold"]
        if (
            self.digests is None
            or (repeat, fold) not in self.folds.cells()
            or len(self.folds.codes) != len(self.digests)
        ):
            return f"{part} rows changed"
        rows_of = self.folds.training if part == "training" else self.folds.held_out
        then = self.digests[rows_of(repeat, fold)]
        if folds.rows_digest(then) != cell["digests"]["train" if part == "training" else "test"]:
            return f"{part} rows changed"
        old, new = (Counter(row.tobytes() for row in rows) for rows in (then, now))
        gone, come = (old - new).total(), (new - old).total()
        if not gone and not come:
            return f"{part} rows are in another order"
        changed = min(gone, come)
        counts = [(changed, ""), (come - changed, " added"), (gone - changed, " removed")]
        said = [f"{n:,} row{'s' if n != 1 else ''}{how}" for n, how in counts if n]
        return f"{part} rows changed: {', '.join(said)}"


def _step(
    model: str,
    specification: dict,
    key: tuple[int, int],
    split: Split,
    digests: np.ndarray,
    before: _Before,
    results: Path,
    states: Path,
) -> Step:
    description, folder = split.cells[key], results / "cells" / model / f"{key[0]}-{key[1]}"
    why = []
    try:
        cell = files.read_json(folder / "cell.json")
        why += settings_changed(cell, specification)
        if cell["digests"]["train"] != description["train"]:
            why.append(before.changed(cell, digests[split.folds.training(*key)], "training"))
        elif cell["digests"]["validation"] != description["validation"]:
            why.append("the training rows' groups or times changed")
        if cell["digests"]["test"] != description["test"]:
            why.append(before.changed(cell, digests[split.folds.held_out(*key)], "held-out"))
        if any(cell["digests"][name] != description[name] for name in ("encoding", "layout")):
            why.append("the table's columns, levels or classes changed")
        if cell["fold_name"] != description["name"]:
            why.append(f"the fold's name changed: {cell['fold_name']} -> {description['name']}")
        if absent := [
            name for name in ("cell.json", *cell_files.products(folder)) if not (folder / name).is_file()
        ]:
            why.append(f"{', '.join(absent)} missing")
    except FileNotFoundError:
        why = ["no results yet"]
    except (OSError, RegfoldError, TypeError):
        why = ["cell.json is damaged or from another version"]
    if not why:
        return Step(model, *key, KEPT, [])
    if model in baselines.NAMES:
        return Step(model, *key, FITS, why)
    digest = identity.state_digest(specification, description)
    epochs, finished = Store(states, digest).progress() or (0, False)
    return Step(model, *key, PREDICTS if finished else RESUMES if epochs else TRAINS, why, epochs)


def lines(steps: list[Step], seconds: dict[str, float], cores: int) -> list[str]:
    """The plan as text: a line for each cell that runs, equal ones together, and how long it will take.

    Args:
        steps: what `plan` found.
        seconds: for each kind of step, how long one takes, from earlier runs; what is unknown is not there.
        cores: how many cells run at once.
    """
    groups: dict[tuple, list[Step]] = {}
    for step in steps:
        groups.setdefault((step.model, step.what, step.epochs, tuple(step.why)), []).append(step)
    text = []
    for (model, what, epochs, why), members in groups.items():
        names = ", ".join(f"{step.repeat}-{step.fold}" for step in members[:12])
        names += f" and {len(members) - 12} more" if len(members) > 12 else ""
        found = f" from epoch {epochs}" if what == RESUMES else ""
        text.append(f"{model} {names}: {what}{found}" + (f" ({'; '.join(why)})" if why else ""))
    counts = Counter(step.what for step in steps)
    kinds = [KEPT, PREDICTS, RESUMES, TRAINS] + [FITS] * (counts[FITS] > 0)
    text.append("; ".join(f"{counts[what]:,} {what}" for what in kinds))
    running = [step for step in steps if step.what != KEPT]
    if running and all(step.what in seconds for step in running):
        total = sum(seconds[step.what] for step in running)
        text.append(
            f"about {duration(total / min(cores, len(running)))} on {cores} cores, as earlier cells took"
        )
    elif running:
        text.append("how long that takes is not known before the first run")
    return text


def earlier_seconds(cells: list[Path]) -> dict[str, float]:
    """How long a cell of each kind took in earlier runs: the mean over the cells that are there."""
    trained, predicted, fitted = [], [], []
    for path in cells:
        try:
            cell = files.read_json(path)
            times = cell["times"]
            if cell["model"] in baselines.NAMES:
                fitted.append(times["seconds_total"])
                continue
            predicted.append(times["seconds_total"] - times["seconds_training"])
            if cell["trained_epochs"]:
                per_epoch = times["seconds_training"] / cell["trained_epochs"]
                trained.append(predicted[-1] + per_epoch * cell["epochs"])
        except (OSError, RegfoldError, TypeError):
            continue
    found = {PREDICTS: predicted, TRAINS: trained, RESUMES: trained, FITS: fitted}
    return {what: sum(values) / len(values) for what, values in found.items() if values}
