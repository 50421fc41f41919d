"""The target `plan`: what the next run will do with each cell, why, and how long it takes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from regfold import files
from regfold.config import baselines
from regfold.data import row_weights
from regfold.data.prepare import prepare
from regfold.errors import RegfoldError
from regfold.formatting import counted, duration, first_few
from regfold.provenance import cell_names, identity
from regfold.provenance.changes import settings_changed
from regfold.splits import folds
from regfold.splits.split import Split, decide
from regfold.training import cell_files, parts
from regfold.training.state import Store

KEPT, PREDICTS, RESUMES, TRAINS, FITS = "kept", "predicts again", "resumes", "trains", "fits"
# Cells in one line.
MOST_NAMED = 12


@dataclass(frozen=True)
class Step:
    """What the next run does with one cell.

    Attributes:
        model, repeat, fold: the cell.
        what: KEPT, PREDICTS, RESUMES, TRAINS or, for a baseline, FITS.
        why: the reasons, as texts; empty for a cell that is kept.
        epochs: the number of epochs that are trained already.
        network_epochs: at most so many epochs are left, summed over the networks that are trained.
        best: the epoch whose weights were kept; 0 until the training has ended.
    """

    model: str
    repeat: int
    fold: int
    what: str
    why: list[str]
    epochs: int = 0
    network_epochs: int = 0
    best: int = 0


def plan(config: dict, specifications: dict[str, dict], results: Path, states: Path) -> list[Step]:
    """Read the table as it is now, split it, and compare every cell with what is there; refits come last.

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
        schema = prepare(config["data"], config["split"]["column"], fresh)
        split = decide({"split": config["split"], "missing": config["data"]["missing"]}, fresh)
        contents = row_weights.row_contents(fresh)
    n_outputs = len(schema["classes"] or schema["target"])
    planner = _Planner(split, contents, n_outputs, _LastRun(results, config["split"]), results, states)
    steps = [
        planner.step(model, specification, key)
        for model, specification in specifications.items()
        for key in split.cells
    ]
    refits = [model for model, settings in config["models"].items() if settings["refit"]]
    return steps + [
        planner.refit_step(model, specifications[model], [step for step in steps if step.model == model])
        for model in refits
    ]


class _LastRun:
    """The rows of the last run, if they are still there, to count how many of a cell's rows changed."""

    def __init__(self, results: Path, split: dict):
        try:
            self.contents = row_weights.row_contents(results / "prepared")
            self.folds = folds.read(results / "prepared", split)
        except (OSError, ValueError):
            self.contents = None

    def changed(self, cell: dict, now: np.ndarray, part: str) -> str:
        """How many rows of a cell differ from those that its recorded digest stands for.

        Args:
            cell: the content of its cell.json.
            now: the contents of its rows as they are now.
            part: which rows: "training" or "held-out".
        """
        repeat, fold = cell["repeat"], cell["fold"]
        if (
            self.contents is None
            or (repeat, fold) not in [*self.folds.cells(), cell_names.REFIT]
            or len(self.folds.codes) != len(self.contents)
        ):
            return f"{part} rows changed"
        rows_of = self.folds.training if part == "training" else self.folds.held_out
        then = self.contents[rows_of(repeat, fold)]
        if folds.rows_digest(then) != cell["digests"]["train" if part == "training" else "test"]:
            return f"{part} rows changed"
        old, new = (Counter(row.tobytes() for row in rows) for rows in (then, now))
        n_removed, n_added = (old - new).total(), (new - old).total()
        if not n_removed and not n_added:
            return f"{part} rows are in another order"
        n_changed = min(n_removed, n_added)
        counts = [(n_changed, ""), (n_added - n_changed, " added"), (n_removed - n_changed, " removed")]
        texts = [f"{counted(n, 'row')}{how}" for n, how in counts if n]
        return f"{part} rows changed: {', '.join(texts)}"


@dataclass(frozen=True)
class _Planner:
    """Compares each cell with what it would be now.

    Attributes:
        split: of the table as it is now.
        contents: uint8 (n, 16 or 24), of its rows, see row_weights.row_contents.
        n_outputs: the number of classes, or of targets.
        last_run: the rows of the last run.
        results: the results folder.
        states: the folder of training states.
    """

    split: Split
    contents: np.ndarray
    n_outputs: int
    last_run: _LastRun
    results: Path
    states: Path

    def refit_step(self, model: str, specification: dict, of_folds: list[Step]) -> Step:
        """The step of a network on all rows; with early stopping it depends on the steps of the folds."""
        follows = specification["training"]["early_stopping"]
        if follows and not all(step.best for step in of_folds):
            why = "its folds train, and decide for how many epochs"
            return Step(model, *cell_names.REFIT, TRAINS, [why])
        cells = [{"best_epoch": step.best} for step in of_folds]
        specification = identity.refit_specification(specification, cells)
        again = follows and any(step.what != KEPT for step in of_folds)
        return self.step(model, specification, cell_names.REFIT, ["its folds run again"] * bool(again))

    def step(self, model: str, specification: dict, key: tuple[int, int], why: Sequence[str] = ()) -> Step:
        """The step of a cell; `why` are reasons to run that do not lie in the cell itself."""
        description = self.split.refit if key == cell_names.REFIT else self.split.cells[key]
        folder, best = self.results / "cells" / model / cell_names.name(*key), 0
        try:
            cell = files.read_json(folder / "cell.json")
            why = [*why, *self._changes(cell, folder, specification, description)]
            best = cell["best_epoch"] if model not in baselines.NAMES else 0
        except FileNotFoundError:
            why = ["no results yet"]
        except (OSError, RegfoldError, TypeError):
            why = ["cell.json is damaged or from another version"]
        if not why:
            return Step(model, *key, KEPT, [], best=best)
        if model in baselines.NAMES:
            return Step(model, *key, FITS, why)
        trainings = parts.of_cell(specification, description, self.n_outputs)
        found = [Store(self.states, part.digest).progress() or (0, False, 0) for part in trainings]
        epochs, most = sum(epoch for epoch, *_ in found), specification["training"]["epochs"]
        left = sum(
            (most - epoch) * len(part.penalties)
            for part, (epoch, finished, _) in zip(trainings, found, strict=True)
            if not finished
        )
        finished = all(finished for _, finished, _ in found)
        best = identity.usual_epoch([best or epoch for epoch, _, best in found]) if finished else 0
        what = PREDICTS if finished else RESUMES if epochs else TRAINS
        return Step(model, *key, what, why, epochs, left, best)

    def _changes(self, cell: dict, folder: Path, specification: dict, description: dict) -> list[str]:
        """How a cell, by its cell.json and files, differs from what it would be now."""
        why, digests = settings_changed(cell, specification), cell["digests"]
        key = description["repeat"], description["fold"]
        if digests["train"] != description["train"]:
            rows = self.contents[self.split.folds.training(*key)]
            why.append(self.last_run.changed(cell, rows, "training"))
        elif digests["validation"] != description["validation"]:
            why.append("the training rows' groups or times changed")
        if digests["test"] != description["test"]:
            rows = self.contents[self.split.folds.held_out(*key)]
            why.append(self.last_run.changed(cell, rows, "held-out"))
        if any(digests[name] != description[name] for name in ("encoding", "layout")):
            why.append("the table's columns, levels or classes changed")
        if cell["fold_name"] != description["name"]:
            why.append(f"the fold's name changed: {cell['fold_name']} -> {description['name']}")
        names = "cell.json", *cell_files.products(folder)
        if missing := [name for name in names if not (folder / name).is_file()]:
            why.append(f"{', '.join(missing)} missing")
        return why


@dataclass(frozen=True)
class Costs:
    """What cells took in earlier runs, in seconds; a mean over no cells is None.

    Attributes:
        fit: of a baseline's cell.
        predict: of a network's cell, without training.
        epoch: model -> of one epoch of one network, in the fastest cell.
    """

    fit: float | None
    predict: float | None
    epoch: dict[str, float]

    def seconds(self, step: Step) -> float | None:
        """How long a step takes at most; None if that is not known."""
        if step.what == FITS or not step.network_epochs:
            return self.fit if step.what == FITS else self.predict
        if not self.epoch:
            return None
        epoch = self.epoch.get(step.model, max(self.epoch.values()))
        return self.predict + epoch * step.network_epochs


def lines(steps: list[Step], costs: Costs, cores: int) -> list[str]:
    """The plan as text: a line for each step, cells with equal steps in one line, then counts and duration.

    Args:
        steps: what `plan` found.
        costs: of earlier cells.
        cores: the number of cells that run at once.
    """
    groups: dict[tuple, list[Step]] = {}
    for step in steps:
        groups.setdefault((step.model, step.what, step.epochs, tuple(step.why)), []).append(step)
    text = []
    for (model, what, epochs, why), members in groups.items():
        names = first_few([cell_names.name(step.repeat, step.fold) for step in members], MOST_NAMED)
        found = f" from epoch {epochs}" if what == RESUMES else ""
        text.append(f"{model} {names}: {what}{found}" + (f" ({'; '.join(why)})" if why else ""))
    counts = Counter(step.what for step in steps)
    kinds = [KEPT, PREDICTS, RESUMES, TRAINS] + [FITS] * (counts[FITS] > 0)
    text.append("; ".join(f"{counts[what]:,} {what}" for what in kinds))
    running = [step for step in steps if step.what != KEPT]
    seconds = [costs.seconds(step) for step in running]
    if running and None not in seconds:
        about = duration(sum(seconds) / min(cores, len(running)))
        text.append(f"at most about {about} on {counted(cores, 'core')}, as earlier cells took")
    elif running:
        text.append("how long that takes is not known before the first run")
    return text


def earlier_costs(cells: list[Path]) -> Costs:
    """The costs of cells, from the times in their cell.json.

    An epoch costs what it took in the model's fastest cell: in others its time may include compilation.
    """
    fits, predicts, epochs = [], [], {}
    for path in cells:
        try:
            cell = files.read_json(path)
            times = cell["times"]
            if cell["model"] in baselines.NAMES:
                fits.append(times["seconds_total"])
                continue
            predicts.append(times["seconds_total"] - times["seconds_training"])
            if times["network_epochs"]:
                epoch = times["seconds_training"] / times["network_epochs"]
                epochs.setdefault(cell["model"], []).append(epoch)
        except (OSError, RegfoldError, TypeError):
            continue

    def mean(values: list[float]) -> float | None:
        return sum(values) / len(values) if values else None

    return Costs(mean(fits), mean(predicts), {model: min(values) for model, values in epochs.items()})
