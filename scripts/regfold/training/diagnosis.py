"""Diagnosis of a cell: what its preprocessing did, and what is wrong with its network."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from regfold.training.standardize import TargetScale
from regfold.training.state import DIVERGED

# An activity penalty is meant to silence some units; with this share of silent units a layer is called dead.
DEAD_SHARE = 0.9
# The midpoints of 50 equal shares, so that each quantile stands for 2 % of the values.
QUANTILES = (np.arange(50) + 0.5) / 50


def flags(
    ending: str,
    hidden: Mapping[str, np.ndarray],
    predictions: np.ndarray,
    target: TargetScale | None = None,
) -> list[str]:
    """Reasons to mistrust a network; [] if there are none.

    Args:
        ending: "" or the reason of an early end of the training, in words.
        hidden: hidden layer -> its outputs, (n, units), for some training rows.
        predictions: (n, n_outputs), of the held-out rows, or of some training rows where there are none:
            probabilities or numbers in the targets' units.
        target: the scale of a regression's targets; None for classes.
    """
    found = []
    if ending.startswith(DIVERGED):
        found.append(ending)
    if not np.isfinite(predictions).all():
        if not found:
            found.append("predictions are not finite")
        return found
    spread = np.ptp(predictions, axis=0) / (1.0 if target is None else target.deviation)
    if len(predictions) > 1 and (spread <= 1e-6).all():
        found.append("constant predictor: all rows get the same prediction")
    dead = [
        f"{np.count_nonzero((outputs == 0).all(axis=0))} of {outputs.shape[1]} in {name}"
        for name, outputs in hidden.items()
        if (outputs == 0).all(axis=0).mean() >= DEAD_SHARE
    ]
    if dead:
        found.append(f"dead hidden units: {', '.join(dead)} are 0 for every sampled training row")
    return found


def activity(hidden: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Sum over hidden units of |a| and a^2, mean over rows: the value of an activity penalty of strength 1.

    Args:
        hidden: hidden layer -> its outputs, (n, units).
    """
    outputs = [values.astype(np.float64) for values in hidden.values()]
    return {
        "activity_l1": float(sum(np.abs(values).sum(axis=1).mean() for values in outputs)),
        "activity_l2": float(sum(np.square(values).sum(axis=1).mean() for values in outputs)),
    }


def distribution(hidden: Mapping[str, np.ndarray]) -> dict[str, dict]:
    """How the outputs of hidden layers are distributed, for the report's picture of activations.

    Args:
        hidden: hidden layer -> its outputs, (n, units).

    Returns:
        layer -> {"zeros": the share of outputs that are 0, "quantiles": those of QUANTILES of the absolute
        values of the others}; without layers whose outputs are all 0.
    """
    found = {}
    for name, outputs in hidden.items():
        sizes = np.abs(outputs[np.isfinite(outputs)].astype(np.float64))
        others = sizes[sizes > 0]
        if len(others):
            quantiles = [float(f"{value:.4g}") for value in np.quantile(others, QUANTILES)]
            found[name] = {"zeros": 1 - len(others) / len(sizes), "quantiles": quantiles}
    return found


def preprocessing(rows: np.ndarray, features: Path, held_out: np.ndarray, schema: dict) -> dict:
    """What imputation and standardization do to a cell's rows, for the report.

    Args:
        rows: float32 (n_train, width), encoded training rows.
        features: the file of all encoded rows.
        held_out: int64 (n_test,), the rows that are tested.
        schema: the table's schema.

    Returns:
        {"imputed": {column: missing cells}, "constant": [column], "unseen": {column: [level]}}, the last for
        levels that only held-out rows have.
    """
    imputed, constant, unseen = {}, [], {}
    for column in schema["columns"]:
        name, start = column["name"], column["start"]
        if column["kind"] == "numeric":
            values = rows[:, start]
            missing = int(np.isnan(values).sum())
            if missing:
                imputed[name] = missing
            if missing == len(values) or np.nanmin(values) == np.nanmax(values):
                constant.append(name)
            continue
        block = slice(start, start + column["width"])
        present = rows[:, block].any(axis=0)
        if np.count_nonzero(present) == 1:
            constant.append(name)
        if not present.all():
            only = ~present & np.load(features, mmap_mode="r")[held_out, block].any(axis=0)
            if only.any():
                unseen[name] = [column["levels"][i] for i in np.flatnonzero(only)]
    return {"imputed": imputed, "constant": constant, "unseen": unseen}
