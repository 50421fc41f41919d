"""The interface of a program: the training of networks of one shape, compiled once and run for many cells.

A program depends on shapes alone: the network's architecture, the optimizer's kind, the loss, the number of
rows in a batch. Everything else is its input: rows, truth, batches, initial values, learning rates, strengths
of the penalties. So all folds and repeats, and models that differ by strengths alone, share one program.

A program trains *lanes*: networks of one architecture side by side, with the same rows and batches and with
strengths of their own. The lane is the first axis of every array of variables or losses, or the second one
behind the epoch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from regfold.config.strengths import norms
from regfold.data.matrix import padded

# The strengths that a program takes, in this order.
STRENGTHS = (
    "kernel_l1",
    "kernel_l2",
    "bias_l1",
    "bias_l2",
    "activity_l1",
    "activity_l2",
    "weight_decay",
    "dropout",
    "group",
)
Arrays = list[np.ndarray]
# What a proximal step acts on: nothing, single weights, or the group of weights of each input column.
GRADIENTS_ALONE, WEIGHTS, GROUPS = "", "weights", "groups"


def strengths(penalty: dict) -> np.ndarray:
    """The strengths of a resolved penalty section without a path, float32 (len(STRENGTHS),)."""
    found = {"group": penalty["kernel"]["strength"] if penalty["kernel"]["group"] else 0.0}
    for part in ("kernel", "bias", "activity"):
        found[f"{part}_l1"], found[f"{part}_l2"] = norms(penalty, part)
    return np.array([(found | penalty)[name] for name in STRENGTHS], np.float32)


def proximal(penalty: dict) -> str:
    """What the proximal step of a resolved penalty section acts on."""
    if penalty["kernel"]["group"]:
        return GROUPS
    return WEIGHTS if penalty["kernel"]["proximal"] else GRADIENTS_ALONE


@dataclass(frozen=True)
class Rows:
    """Rows as a program takes them: padded, so that folds of nearly equal size have one shape.

    Attributes:
        features: float32 (n_padded, n_features), standardized; rows from `n_rows` on are padding.
        truth: int32 (n_padded,) class codes, or float32 (n_padded, n_outputs) standardized targets.
        weights: float32 (n_padded,), by which the rows' losses are multiplied; None: 1.
        n_rows: the number of rows without padding.
    """

    features: np.ndarray
    truth: np.ndarray
    weights: np.ndarray | None
    n_rows: int


def padded_rows(features: np.ndarray, truth: np.ndarray, weights: np.ndarray | None = None) -> Rows:
    """Rows from features that are padded, (n_padded, n_features), and truth and weights that are not.

    Args:
        features: float32 (n_padded, n_features).
        truth: (n_rows,) or (n_rows, n_outputs).
        weights: (n_rows,); None: all rows count the same.
    """
    n_padded = len(features)
    weights = None if weights is None else padded(weights, n_padded)
    return Rows(features, padded(truth, n_padded), weights, len(truth))


def stacked(networks: Sequence[Arrays]) -> Arrays:
    """The variables of k networks as arrays (k, ...)."""
    return [np.stack(values) for values in zip(*networks, strict=True)]


class Epochs(Protocol):
    """Losses and variables of the epochs of one call.

    Attributes:
        losses: float64 (n_epochs, lanes), the loss of each epoch without penalties, mean over rows.
        objectives: the same with penalties, which is what the optimizer minimizes.
        validation_losses: the same as `losses` on the validation rows after each epoch; NaN without them.
    """

    losses: np.ndarray
    objectives: np.ndarray
    validation_losses: np.ndarray

    def variables(self, index: int) -> Arrays:
        """All variables of the networks, (lanes, ...) each, after the epoch `index` of the call, from 0."""


class Program(Protocol):
    """Trains and predicts with networks of one shape. It holds one training at a time.

    The variables of a network are listed as Keras does: trainable ones, then the others, among them the
    states of random generators.

    Attributes:
        lanes: the number of networks trained side by side.
        n_outputs: the number of classes or of targets.
        loss: a resolved loss, see config.losses.
        most_epochs: the most epochs that one call can run; it changes no result.
    """

    lanes: int
    n_outputs: int
    loss: str
    most_epochs: int

    def start(
        self,
        rows: Rows,
        validation: Rows | None,
        strengths: np.ndarray,
        groups: np.ndarray,
        variables: Arrays,
        optimizer: Arrays,
    ) -> None:
        """Begin a training, or resume one.

        Args:
            rows: the training rows.
            validation: the validation rows; None if the program was compiled without any.
            strengths: float32 (lanes, len(STRENGTHS)).
            groups: int32 (n_features,), the table's column of each feature, from 0, for group penalties.
            variables: the networks' variables, (lanes, ...) each.
            optimizer: the optimizer's variables, as `values` returned them; [] at the beginning.
        """

    def epochs(self, orders: Sequence[np.ndarray], rates: np.ndarray) -> Epochs:
        """Run some epochs in one call.

        Args:
            orders: for each epoch the order of its rows, int32 (n_rows,).
            rates: float32 (n_epochs, n_steps), the learning rate of each step.
        """

    def end(self) -> None:
        """Release the rows of a training."""

    def values(self) -> tuple[Arrays, Arrays]:
        """The current variables of the networks, (lanes, ...) each, and those of the optimizer."""

    def predict(self, variables: Arrays, features: np.ndarray) -> np.ndarray:
        """The outputs of k networks, float32 (k, n_rows, n_outputs), given their variables, (k, ...) each."""

    def hidden(self, variables: Arrays, features: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs of k networks' hidden layers, (k, n_rows, units) each, by the layers' names."""
