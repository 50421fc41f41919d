"""Runs the trainings of a cell, each from its state, and those of the inner folds that choose a strength."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

import numpy as np

from regfold.config import strengths
from regfold.errors import RegfoldError
from regfold.training.fitting import Fitting
from regfold.training.fold_rows import FoldRows
from regfold.training.heldout import HeldOut, as_outputs
from regfold.training.inner_metric import InnerMetric
from regfold.training.parts import Part
from regfold.training.seeds import inner_key
from regfold.training.standardize import TargetScale
from regfold.training.state import Store, Trained
from regfold.training.trainer import Trainer


class Interrupted(RegfoldError):
    """The training was asked to stop; its state is saved."""


@dataclass(frozen=True)
class Seeded:
    """The networks of one of a cell's seeds.

    Attributes:
        trainer: the last one; its training rows are released.
        networks: one, or one for each strength of a path.
    """

    trainer: Trainer
    networks: list[Trained]


class Runner:
    """Runs the trainings of a cell.

    Args:
        name: the cell's name in messages.
        stores: the states, by their digests; each is locked.
        checkpoint_seconds: at most so many seconds of training are ever lost.
        on_epoch, stop: see loop.fit; epochs are counted over all trainings of the cell, as if each had
            taken all that it may.
        say: takes a line for the terminal.

    Attributes:
        seconds: spent on training.
        network_epochs: how many epochs of how many networks that was, multiplied and added up.
        trained, resumed: for each state the epochs that were trained, and those that were found.
    """

    def __init__(
        self,
        name: str,
        stores: dict[str, Store],
        checkpoint_seconds: float,
        on_epoch: Callable[[int, np.ndarray], None],
        stop: Callable[[], bool],
        say: Callable[[str], None],
    ):
        self.name, self.stores, self.on_epoch, self.say = name, stores, on_epoch, say
        self.options = {"save_seconds": checkpoint_seconds, "stop": stop}
        self.seconds, self.network_epochs, self.trained, self.resumed = 0.0, 0, {}, {}

    def run(self, parts: Iterable[Part], fitting: Fitting) -> list[Seeded]:
        """Train the networks of parts, which come by seed, or go on with them, or find them trained."""
        found = []
        for _, of_seed in groupby(parts, attrgetter("seed")):
            networks = []
            for part in of_seed:
                trainer, trained = self._run(part, fitting)
                networks += trained
            found.append(Seeded(trainer, networks))
        return found

    def _run(self, part: Part, fitting: Fitting) -> tuple[Trainer, list[Trained]]:
        store, clock = self.stores[part.digest], time.monotonic()
        found = store.load()
        if store.damage:
            self.say(f"regfold: warning: {self.name}: {store.damage}")
        begun = found.epoch if found else 0
        before = len(self.trained) * fitting.specification["training"]["epochs"]
        trainer = fitting.trainer(part.penalties, part.seed)
        state = trainer.fit(
            found,
            save=store.save,
            on_epoch=lambda epoch, values: self.on_epoch(before + epoch, values),
            **self.options,
        )
        self.seconds += time.monotonic() - clock
        self.trained[part.digest], self.resumed[part.digest] = state.epoch - begun, begun
        self.network_epochs += (state.epoch - begun) * len(part.penalties)
        if not state.finished:
            raise Interrupted(
                f"{self.name}: stopped after epoch {state.epoch}; the next run goes on from there"
            )
        return trainer, state.trained()


def predict(seeded: Sequence[Seeded], rows: np.ndarray, target: TargetScale | None) -> np.ndarray:
    """What the networks of each seed predict, (seeds, networks, n_rows, n_outputs); see HeldOut."""
    return np.stack(
        [
            HeldOut(one.trainer.program, rows, target).predict(
                [network.variables for network in one.networks]
            )
            for one in seeded
        ]
    )


def inner_scores(
    runner: Runner,
    parts: list[Part],
    fold: FoldRows,
    specification: dict,
    schema: dict,
    metric: InnerMetric,
) -> list[float]:
    """The metric of each strength over the held-out rows of all inner folds together.

    NaN if the training rows cannot be divided or all rows held out have the weight 0; also where a prediction
    is not finite.
    """
    truth, predicted, lines = [], [], []
    for number, (rows, tested) in enumerate(fold.inner(), start=1):
        key = inner_key(*fold.key, number)
        fitting = Fitting(specification, key, schema, *fold.rows(key, rows))
        seeded = runner.run((part for part in parts if part.inner == number), fitting)
        fitting.release()
        predictions = predict(seeded, fold.as_trained(fitting, tested), fitting.target).mean(axis=0)
        predicted.append(predictions.astype(np.float64))
        truth.append(as_outputs(fold.target[tested], fitting.target, predictions.shape[2]))
        lines.append(tested)
    weight = fold.weights_of(np.concatenate(lines)) if lines else None
    if not lines or (weight is not None and not weight.any()):
        return [math.nan] * len(strengths.path_of(specification["penalty"]).strengths)
    everything = np.concatenate(truth)
    return [metric.score(everything, one, weight) for one in np.concatenate(predicted, axis=1)]


def inner_rmse(schema: dict) -> InnerMetric:
    """The metric of `inner_scores` unless the config names another one.

    For several targets it is the standardized RMSE, in which each counts the same, as in metrics.ranking.
    """
    several = schema["task"] == "regression" and len(schema["target"]) > 1

    def score(truth: np.ndarray, prediction: np.ndarray, weight: np.ndarray | None) -> float:
        deviation = np.where(np.ptp(truth, axis=0) > 0, truth.std(axis=0), 1.0) if several else 1.0
        errors = np.square((prediction - truth) / deviation).mean(axis=1)
        return math.sqrt(np.average(errors, weights=weight))

    return InnerMetric("rmse_standardized" if several else "rmse", False, score)
