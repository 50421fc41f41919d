"""Imputation and standardization of rows and targets, by statistics of the cell's training rows alone."""

from dataclasses import dataclass

import numpy as np

from regfold.data.matrix import CHUNK, take_columns


@dataclass(frozen=True)
class Standardization:
    """Median imputation and z-scores of the features; binary features (0 and 1) are not standardized.

    The z-score of a level that one row in 100,000 has would be 316.

    Attributes:
        keep: int64 (n_kept,), the columns of the design matrix that are features: every numeric column, and
            the levels that occur in the training rows. A level that only held-out rows have leaves all
            columns of its category at zero there, and has no influence on the training.
        median: float32 (n_kept,), replaces a missing number; 0 where no training row has a number.
        mean: float32 (n_kept,), after imputation; 0 for a column of 0 and 1.
        scale: float32 (n_kept,), one over the standard deviation; 1 for a column of 0 and 1 (each level of a
            category, and a number that is 0 or 1 in all training rows), 0 for a constant column.
    """

    keep: np.ndarray
    median: np.ndarray
    mean: np.ndarray
    scale: np.ndarray


def fit(rows: np.ndarray, columns: list[dict]) -> Standardization:
    """Compute the statistics of training rows.

    Args:
        rows: float32 (n_rows, width), encoded rows; NaN is a missing number.
        columns: the schema's columns, each with its kind, its first matrix column and its width.
    """
    keep = []
    for column in columns:
        block = range(column["start"], column["start"] + column["width"])
        keep += [j for j in block if column["kind"] == "numeric" or rows[:, j].any()]
    median, mean, scale = (np.zeros(len(keep), np.float32) for _ in range(3))
    for position, j in enumerate(keep):
        values = rows[:, j].astype(np.float64)
        missing = np.isnan(values)
        if missing.all():
            continue
        is_binary = np.all((values == 0) | (values == 1) | missing)
        median[position] = np.median(values[~missing]) if missing.any() else np.median(values)
        values[missing] = median[position]
        if is_binary:
            scale[position] = values.min() < values.max()
            continue
        mean[position] = values.mean()
        # A smaller deviation is not a normal float32: its reciprocal overflows, or loses digits.
        if values.min() < values.max() and values.std() > np.finfo(np.float32).tiny:
            scale[position] = 1.0 / values.std()
    return Standardization(np.asarray(keep, np.int64), median, mean, scale)


def apply(rows: np.ndarray, statistics: Standardization) -> np.ndarray:
    """Select columns, impute and standardize rows as the saved network does.

    Args:
        rows: float32 (n_rows, width), encoded rows. Changed in place if all columns are kept, so that the
            training matrix is in memory once.
        statistics: of the training rows.

    Returns:
        float32 (n_rows, n_kept).
    """
    if len(statistics.keep) != rows.shape[1]:
        rows = take_columns(rows, statistics.keep)
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        np.copyto(part, statistics.median, where=np.isnan(part))
        part -= statistics.mean
        part *= statistics.scale
    return rows


@dataclass(frozen=True)
class TargetScale:
    """The shift (`mean`) and the divisor (`deviation`) of each regression target, float64 (n_targets,).

    They are mean and standard deviation of the training rows; for positive outputs 0 and the mean, see
    `fit_counts`. The network computes with standardized targets in float32. Numbers in the targets' units are
    float64, so that no digits are lost where the mean is large against the deviation (a time in seconds since
    1970).
    """

    mean: np.ndarray
    deviation: np.ndarray

    def standardize(self, target: np.ndarray) -> np.ndarray:
        """Standardize targets in their own units, float64 (n, n_targets), to float32 for the network."""
        return self.scaled(target).astype(np.float32)

    def scaled(self, target: np.ndarray) -> np.ndarray:
        """As `standardize`, but float64."""
        return (target - self.mean) / self.deviation

    def restore(self, outputs: np.ndarray) -> np.ndarray:
        """Bring a network's outputs, float32 (..., n_targets), to the targets' own units, float64."""
        return outputs.astype(np.float64) * self.deviation + self.mean


def fit_target(target: np.ndarray) -> TargetScale:
    """The scale of targets, float64 (n_rows, n_targets), by mean and standard deviation of training rows."""
    deviation = target.std(axis=0)
    # Dividing by a smaller number than the least normal one loses digits or overflows.
    constant = (target.min(axis=0) == target.max(axis=0)) | (deviation < np.finfo(np.float64).tiny)
    deviation[constant] = 1.0
    return TargetScale(target.mean(axis=0), deviation)


def fit_counts(target: np.ndarray) -> TargetScale:
    """The scale of targets that are never negative, float64 (n_rows, n_targets): their mean, without a shift.

    So positive outputs are positive in the targets' units too, and an output of 1 is the mean.
    """
    mean = target.mean(axis=0)
    mean[mean < np.finfo(np.float64).tiny] = 1.0
    return TargetScale(np.zeros_like(mean), mean)
