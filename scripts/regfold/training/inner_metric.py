"""The metric that chooses a strength on inner folds under `select: nested`.

Snakemake's own process reads it, so it needs nothing but the standard library.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class InnerMetric:
    """A metric, handed down by whoever knows metrics, which training does not.

    Attributes:
        name: as in the config's list of metrics.
        greater_is_better: whether a better prediction has a greater value.
        score: takes truth and prediction, (n, outputs) float64 both (classes: one-hot and probabilities), and
            the rows' weights, (n,) float64 or None, and returns a number, NaN where it is undefined.
    """

    name: str
    greater_is_better: bool
    score: Callable[..., float]
