"""Trains one network, or several side by side: the program for their shapes, and the loop around it."""

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

# Training rows that the hidden units are looked at with.
SAMPLE = 2048


class Trainer:
    """Trains networks on their training rows; held-out rows never come near them.

    Args:
        core: the network; all lanes begin with its variables' values.
        rows: the training rows.
        validation: the validation rows; None: no early stopping.
        groups: int32 (n_features,), the table's column of each feature, from 0.
        task: "classification" or "regression", which decides the loss that training.loss leaves open.
        n_outputs: classes, or targets.
        network: the model's resolved network section, of which `core` was built.
        training: the model's resolved training section.
        penalties: a resolved penalty section without a path for each lane; they differ in strengths alone.
        key: (seed, repeat, fold).
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
            # It may hold what its function has drawn for this cell: no other cell's network can stand for it.
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
        """Train to the end, from the beginning or a state.

        It can be called once: the training rows, which are most of the memory, are let go of.

        Args:
            state: where to go on; None: from the beginning.
            save, more: see loop.fit.

        Returns:
            the last state; `finished` unless it was stopped.
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
        """Start the program from a state, which is new where None is given."""
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
        """Hidden layer -> its outputs, (n, units), for some training rows, with these variables."""
        outputs = self.program.hidden(stacked([values]), self.sample)
        return {name: values[0] for name, values in outputs.items()}
