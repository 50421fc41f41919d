"""The held-out rows, once the training is over: predictions, and the picture of how they came about."""

import keras
import numpy as np
import tensorflow as tf

from regfold.training.standardize import TargetScale

CHUNK = 8192


class HeldOut:
    """Predicts a fold's held-out rows with whatever weights its network has at the moment.

    Args:
        body: the network that was trained.
        rows: float32 (n_rows, n_features), standardized as the training rows were.
        target: the scale of a regression's targets; None for classes.
    """

    def __init__(self, body: keras.Model, rows: np.ndarray, target: TargetScale | None):
        self.target = target
        self.chunks = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
        # Not compiled: these rows pass through it too seldom.
        features = tf.TensorSpec((None, rows.shape[1]))
        self.program = tf.function(lambda rows: body(rows, training=False), [features], autograph=False)

    def predict(self) -> np.ndarray:
        """(n_rows, n_outputs): probabilities, float32, or numbers in the targets' own units, float64."""
        outputs = np.concatenate([self.program(chunk).numpy() for chunk in self.chunks])
        return outputs if self.target is None else self.target.restore(outputs)

    def score(self, truth: np.ndarray) -> tuple[float, float]:
        """Loss without penalties, as training has it, and RMSE.

        Args:
            truth: (n_rows,) class codes, or float64 (n_rows, n_targets) numbers in units.
        """
        predicted = self.predict().astype(np.float64)
        if self.target is None:
            truth = np.eye(predicted.shape[1])[truth]
        rmse = float(np.sqrt(np.mean((predicted - truth) ** 2)))
        if self.target is not None:
            return float(np.mean(((predicted - truth) / self.target.deviation) ** 2)), rmse
        # As Keras' categorical cross-entropy on probabilities.
        probability = np.clip((predicted * truth).sum(axis=1), 1e-7, 1 - 1e-7)
        return float(-np.log(probability).mean()), rmse
