"""The metric that chooses a strength on inner folds under `select: nested`.

Snakemake's process imports this module, so it uses the standard library alone.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class InnerMetric:
    """A metric. The caller passes its function, because training does not import results, which has metrics.

    Attributes:
        name: as in the config's list of metrics.
        greater_is_better: whether a better prediction has a greater value.
        score: takes truth and prediction, (n, outputs) float64 both (classes: one-hot and probabilities), and
            the rows' weights, (n,) float64 or None, and returns a number, NaN where it is undefined.
    """

    name: str
    greater_is_better: bool
    score: Callable[..., float]
