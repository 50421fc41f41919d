"""Runs the trainings of a cell, each from its saved state, and scores strengths on inner folds."""

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
        trainer: the trainer of the last part; its training rows are released.
        networks: one, or one for each strength of a path.
    """

    trainer: Trainer
    networks: list[Trained]


class Runner:
    """Runs the trainings of a cell.

    Args:
        name: the cell's name in messages.
        stores: digest -> the store of the state; each is locked.
        checkpoint_seconds: the most seconds of training that a killed job loses.
        on_epoch, stop: see loop.fit. Epochs are counted over all trainings of the cell, as if each took the
            most epochs that it may.
        say: prints a line on the terminal.

    Attributes:
        seconds: the time spent on training.
        network_epochs: the sum over trainings of epochs x networks in that time.
        trained, resumed: digest -> the epochs that were trained, and those that the saved state had.
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
        """Train the networks of some parts, each from its saved state if there is one.

        Args:
            parts: in the order of their seeds, see parts.of_cell.
            fitting: of the training rows of these parts.

        Returns:
            the networks of each seed.

        Raises:
            Interrupted: if `stop` returned True.
        """
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
    """The predictions of all networks, (seeds, networks, n_rows, n_outputs), see HeldOut.predict.

    Args:
        seeded: the networks of each seed.
        rows: float32 (n_rows, n_features), standardized.
        target: the scale of a regression's targets; None for classes.
    """
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
    """The metric of each strength, pooled over the test rows of all inner folds.

    Args:
        runner: runs the trainings.
        parts: those of the cell, see parts.of_cell.
        fold: the cell's rows.
        specification: the model's, see identity.specification.
        schema: the table's schema.
        metric: the metric that chooses the strength.

    Returns:
        a number for each strength: NaN where a prediction is not finite, and for all strengths if the
        training rows cannot be divided into inner folds, or if all rows that these test have the weight 0.
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
    pooled = np.concatenate(truth)
    return [metric.score(pooled, one, weight) for one in np.concatenate(predicted, axis=1)]


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
