"""Trains one network: the program for its shapes, and the loop around it."""

import json
from collections.abc import Callable

import keras
import numpy as np

from regfold.training import loop
from regfold.training.network import set_values, variables
from regfold.training.programs import tensorflow
from regfold.training.programs.base import Program, Rows, stacked, strengths
from regfold.training.state import State

# Training rows that the hidden units are looked at with.
SAMPLE = 2048


class Trainer:
    """Trains a network on its training rows; held-out rows never come near it.

    Args:
        core: the network; it begins with its variables' values, and gets those to keep.
        rows: the training rows.
        validation: the validation rows; None: no early stopping.
        task: "classification" (cross-entropy) or "regression" (mean squared error).
        n_outputs: classes, or targets.
        network: the model's resolved network section, of which `core` was built.
        training: the model's resolved training section.
        penalty: the model's resolved penalty section.
        key: (seed, repeat, fold).
    """

    def __init__(
        self,
        core: keras.Model,
        rows: Rows,
        validation: Rows | None,
        *,
        task: str,
        n_outputs: int,
        network: dict,
        training: dict,
        penalty: dict,
        key: tuple[int, int, int],
    ):
        self.core, self.rows, self.validation = core, rows, validation
        self.training, self.penalty, self.key = training, penalty, key
        self.sample = rows.features[: min(SAMPLE, rows.n_rows)].copy()
        self.batch_size = min(training["batch_size"], rows.n_rows)
        self.program = self._program(task, n_outputs, network)

    def _program(self, task: str, n_outputs: int, network: dict) -> Program:
        n_padded = len(self.rows.features)
        shapes = {
            "n_features": self.rows.features.shape[1],
            "n_outputs": n_outputs,
            "task": task,
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
            with_dropout=self.penalty["dropout"] > 0,
            batch_size=min(self.training["batch_size"], n_padded),
            **shapes,
        )

    def fit(self, state: State | None, save: Callable[[State], None], **more) -> State:
        """Train to the end, from the beginning or a state, and leave the network with the weights to keep.

        It can be called once: the training rows are released.

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
        # Nothing looks at the training rows any more, which are most of the memory.
        self.program.end()
        self.rows = self.validation = None
        set_values(self.core, state.kept)
        return state

    def begin(self, state: State | None) -> State:
        """Start the program from a state, which is new where None is given."""
        state = state or State(variables=[v.numpy() for v in variables(self.core)])
        if not state.finished:
            self.program.start(
                self.rows,
                self.validation,
                strengths(self.penalty)[None],
                [value[None] for value in state.variables],
                state.optimizer,
            )
        return state

    def hidden(self, state: State) -> dict[str, np.ndarray]:
        """Hidden layer -> its outputs, (n, units), for some training rows, with the weights to keep."""
        outputs = self.program.hidden(stacked([state.kept]), self.sample)
        return {name: values[0] for name, values in outputs.items()}
