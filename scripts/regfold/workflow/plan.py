"""What the next run will do with each cell, and why, said before anything runs."""

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
from regfold.formatting import duration
from regfold.provenance import cell_names, identity
from regfold.provenance.changes import settings_changed
from regfold.splits import folds
from regfold.splits.split import Split, decide
from regfold.training import cell_files, parts
from regfold.training.state import Store

KEPT, PREDICTS, RESUMES, TRAINS, FITS = "kept", "predicts again", "resumes", "trains", "fits"


@dataclass(frozen=True)
class Step:
    """What happens to one cell.

    Attributes:
        what: one of kept, predicts again, resumes, trains, and fits for a baseline.
        why: the reasons, in words; empty for a cell that is kept.
        epochs: how many epochs are found already.
        network_epochs: how many are to be trained, of each network that is trained, at most.
        best: of a training that is over, the epoch whose weights were kept; 0 before.
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
    before = _Before(results, config["split"])
    there = split, schema, contents, before, results, states
    steps = [
        _step(model, specification, key, *there)
        for model, specification in specifications.items()
        for key in split.cells
    ]
    refits = [model for model, settings in config["models"].items() if settings["refit"]]
    return steps + [
        _refit_step(model, specifications[model], [step for step in steps if step.model == model], there)
        for model in refits
    ]


class _Before:
    """The rows of the last run, where they are still there, to say how many of a cell's rows changed."""

    def __init__(self, results: Path, split: dict):
        try:
            self.contents = row_weights.row_contents(results / "prepared")
            self.folds = folds.read(results / "prepared", split)
        except (OSError, ValueError):
            self.contents = None

    def changed(self, cell: dict, now: np.ndarray, part: str) -> str:
        """How many rows of a cell differ from those that its recorded digest stands for."""
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
        gone, come = (old - new).total(), (new - old).total()
        if not gone and not come:
            return f"{part} rows are in another order"
        changed = min(gone, come)
        counts = [(changed, ""), (come - changed, " added"), (gone - changed, " removed")]
        said = [f"{n:,} row{'s' if n != 1 else ''}{how}" for n, how in counts if n]
        return f"{part} rows changed: {', '.join(said)}"


def _refit_step(model: str, specification: dict, of_folds: list[Step], there: tuple) -> Step:
    """The step of a network on all rows; where early stopping chose its folds' epochs, it follows these."""
    follows = specification["training"]["early_stopping"]
    if follows and not all(step.best for step in of_folds):
        return Step(model, *cell_names.REFIT, TRAINS, ["its folds train, and decide for how many epochs"])
    specification = identity.refit_specification(
        specification, [{"best_epoch": step.best} for step in of_folds]
    )
    again = follows and any(step.what != KEPT for step in of_folds)
    return _step(model, specification, cell_names.REFIT, *there, ["its folds run again"] * bool(again))


def _step(
    model: str,
    specification: dict,
    key: tuple[int, int],
    split: Split,
    schema: dict,
    contents: np.ndarray,
    before: _Before,
    results: Path,
    states: Path,
    why: Sequence[str] = (),
) -> Step:
    description = split.refit if key == cell_names.REFIT else split.cells[key]
    folder, best, why = results / "cells" / model / cell_names.name(*key), 0, [*why]
    try:
        cell = files.read_json(folder / "cell.json")
        why += settings_changed(cell, specification)
        if cell["digests"]["train"] != description["train"]:
            why.append(before.changed(cell, contents[split.folds.training(*key)], "training"))
        elif cell["digests"]["validation"] != description["validation"]:
            why.append("the training rows' groups or times changed")
        if cell["digests"]["test"] != description["test"]:
            why.append(before.changed(cell, contents[split.folds.held_out(*key)], "held-out"))
        if any(cell["digests"][name] != description[name] for name in ("encoding", "layout")):
            why.append("the table's columns, levels or classes changed")
        if cell["fold_name"] != description["name"]:
            why.append(f"the fold's name changed: {cell['fold_name']} -> {description['name']}")
        if absent := [
            name for name in ("cell.json", *cell_files.products(folder)) if not (folder / name).is_file()
        ]:
            why.append(f"{', '.join(absent)} missing")
        best = cell["best_epoch"] if model not in baselines.NAMES else 0
    except FileNotFoundError:
        why = ["no results yet"]
    except (OSError, RegfoldError, TypeError):
        why = ["cell.json is damaged or from another version"]
    if not why:
        return Step(model, *key, KEPT, [], best=best)
    if model in baselines.NAMES:
        return Step(model, *key, FITS, why)
    trainings = parts.of_cell(specification, description, len(schema["classes"] or schema["target"]))
    found = [Store(states, part.digest).progress() or (0, False, 0) for part in trainings]
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


@dataclass(frozen=True)
class Costs:
    """What cells took in earlier runs, in seconds; a mean over no cells is None.

    Attributes:
        fit: of a baseline's cell.
        predict: of a network's cell, without training.
        epoch: of an epoch of one network, by model, in the fastest cell.
    """

    fit: float | None
    predict: float | None
    epoch: dict[str, float]

    def seconds(self, step: Step) -> float | None:
        """How long a step takes, at most; None where that is not known."""
        if step.what == FITS or not step.network_epochs:
            return self.fit if step.what == FITS else self.predict
        if not self.epoch:
            return None
        epoch = self.epoch.get(step.model, max(self.epoch.values()))
        return self.predict + epoch * step.network_epochs


def lines(steps: list[Step], costs: Costs, cores: int) -> list[str]:
    """The plan as text: a line for each cell that runs, equal ones together, and how long it will take.

    Args:
        steps: what `plan` found.
        costs: of earlier cells.
        cores: how many cells run at once.
    """
    groups: dict[tuple, list[Step]] = {}
    for step in steps:
        groups.setdefault((step.model, step.what, step.epochs, tuple(step.why)), []).append(step)
    text = []
    for (model, what, epochs, why), members in groups.items():
        names = ", ".join(cell_names.name(step.repeat, step.fold) for step in members[:12])
        names += f" and {len(members) - 12} more" if len(members) > 12 else ""
        found = f" from epoch {epochs}" if what == RESUMES else ""
        text.append(f"{model} {names}: {what}{found}" + (f" ({'; '.join(why)})" if why else ""))
    counts = Counter(step.what for step in steps)
    kinds = [KEPT, PREDICTS, RESUMES, TRAINS] + [FITS] * (counts[FITS] > 0)
    text.append("; ".join(f"{counts[what]:,} {what}" for what in kinds))
    running = [step for step in steps if step.what != KEPT]
    seconds = [costs.seconds(step) for step in running]
    if running and None not in seconds:
        about = duration(sum(seconds) / min(cores, len(running)))
        text.append(f"at most about {about} on {cores} core{'s' * (cores != 1)}, as earlier cells took")
    elif running:
        text.append("how long that takes is not known before the first run")
    return text


def earlier_costs(cells: list[Path]) -> Costs:
    """What the cells that are there took; an epoch of a model, what it took in the fastest cell.

    (In some cells the epochs' time is also that of compiling, or of waiting for the processor.)
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
