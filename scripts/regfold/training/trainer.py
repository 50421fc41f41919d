"""Trains one network, or several side by side, with the program for their shapes."""

import json
from collections.abc import Callable, Sequence

import keras
import numpy as np

from regfold.config import losses
from regfold.training import loop
from regfold.training.network import variables
from regfold.training.programs import tensorflow
from regfold.training.programs.base import Arrays, Program, Rows, proximal, stacked, strengths
from regfold.training.state import State

# The number of training rows on which hidden units are measured.
SAMPLE = 2048


class Trainer:
    """Trains networks on training rows; it is never given held-out rows.

    Args:
        core: the core network; all lanes start from its variables' values.
        rows: the training rows.
        validation: the validation rows; None without early stopping.
        groups: int32 (n_features,), the table's column of each feature, from 0.
        task: "classification" or "regression", which decides the loss if training.loss is auto.
        n_outputs: the number of classes or of targets.
        network: the model's resolved network section, from which `core` was built.
        training: the model's resolved training section.
        penalties: a resolved penalty section without a path for each lane; they differ in strengths alone.
        key: (seed, repeat, fold).

    Attributes:
        sample: float32 (at most SAMPLE, n_features), the first training rows, standardized; they stay when
            the others are released.
    """

    def __init__(
        self,
        core: keras.Model,
        rows: Rows,
        validation: Rows | None,
        groups: np.ndarray,
        *,
        task: str,
        n_outputs: int,
        network: dict,
        training: dict,
        penalties: Sequence[dict],
        key: tuple[int, int, int],
    ):
        self.core, self.rows, self.validation, self.groups = core, rows, validation, groups
        self.training, self.penalties, self.key = training, penalties, key
        self.sample = rows.features[: min(SAMPLE, rows.n_rows)].copy()
        self.batch_size = min(training["batch_size"], rows.n_rows)
        self.program = self._program(task, n_outputs, network)

    def _program(self, task: str, n_outputs: int, network: dict) -> Program:
        n_padded = len(self.rows.features)
        shapes = {
            "n_features": self.rows.features.shape[1],
            "n_outputs": n_outputs,
            "loss": losses.resolve(self.training["loss"], task),
            "n_padded": n_padded,
            "n_validation": 0 if self.validation is None else len(self.validation.features),
            "weighted": self.rows.weights is not None,
        }
        optimizer = self.training["optimizer"]
        if network["build"]:
            # The user's function may draw random values for each cell, so cells cannot share a program.
            return tensorflow.TensorFlowProgram(
                self.core,
                tensorflow.Traced(),
                optimizer=optimizer,
                batch_size=self.batch_size,
                exact_rows=self.rows.n_rows,
                **shapes,
            )
        return tensorflow.dense_program(
            json.dumps(network, sort_keys=True),
            json.dumps(optimizer, sort_keys=True),
            with_dropout=tensorflow.needs_dropout(penalty["dropout"] for penalty in self.penalties),
            step=proximal(self.penalties[0]),
            lanes=len(self.penalties),
            batch_size=min(self.training["batch_size"], n_padded),
            **shapes,
        )

    def fit(self, state: State | None, save: Callable[[State], None], **more) -> State:
        """Train to the end. It can be called once: it releases the training rows, which take most memory.

        Args:
            state: the state to start from; None for a new training.
            save, more: see loop.fit.

        Returns:
            the last state, which is `finished` unless `stop` returned True.
        """
        state = self.begin(state)
        if not state.finished:
            state = loop.fit(
                self.program,
                state,
                training=self.training,
                key=self.key,
                n_rows=self.rows.n_rows,
                save=save,
                **more,
            )
        self.program.end()
        self.rows = self.validation = None
        return state

    def begin(self, state: State | None) -> State:
        """Start the program from a state, and return the state; None: from a new one."""
        lanes = self.program.lanes
        state = state or State([np.repeat(v.numpy()[None], lanes, axis=0) for v in variables(self.core)])
        if not state.finished:
            self.program.start(
                self.rows,
                self.validation,
                np.stack([strengths(penalty) for penalty in self.penalties]),
                self.groups,
                state.variables,
                state.optimizer,
            )
        return state

    def hidden(self, values: Arrays) -> dict[str, np.ndarray]:
        """Hidden layer -> its outputs, float32 (n, units), for `sample`.

        Args:
            values: the values of the network's variables, trainable ones first.
        """
        outputs = self.program.hidden(stacked([values]), self.sample)
        return {name: values[0] for name, values in outputs.items()}
