"""Scores of out-of-sample predictions: for a set of rows, for every cell, and for a model as a whole.

The metrics are scikit-learn's, held to it by a test; to import it would take longer than to score.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from regfold.errors import RegfoldError, quote
from regfold.formatting import significant
from regfold.results.predictions import Predictions

METRICS = {
    "classification": ("rmse", "log_loss", "accuracy", "balanced_accuracy", "brier", "roc_auc"),
    "regression": ("rmse", "mae", "r2"),
}
FIXED_COLUMNS = ("model", "repeat", "fold", "n_train", "n_test", "epochs")


def rmse(truth: np.ndarray, prediction: np.ndarray) -> float:
    """sqrt(mean((prediction - truth)^2)) over rows and outputs.

    (scikit-learn's `root_mean_squared_error` averages the roots of the outputs instead.)
    """
    return float(np.sqrt(np.mean(np.square(prediction - truth))))


def rmse_of_constant(truth: np.ndarray) -> float:
    """RMSE of one answer for every row, the best there is: the mean (classes: the class frequencies)."""
    return rmse(truth, truth.mean(axis=0))


def score(task: str, truth: np.ndarray, prediction: np.ndarray) -> dict[str, float | None]:
    """All metrics of a task on a set of rows.

    Args:
        task: "classification" or "regression".
        truth: (n, outputs); one-hot for classes, the target's own units in a regression.
        prediction: (n, outputs); probabilities, or the target's own units.

    Returns:
        metric -> value. None where a metric is undefined on these rows, NaN for all of them if any prediction
        is not finite. The Brier score is the multi-class one (mean over rows of the sum over classes; Brier,
        1950), ROC AUC is one-vs-rest with equal weight of classes (Hanley and McNeil, 1982), the log loss
        clips probabilities at float32's epsilon, R2 is the mean over outputs, all as in scikit-learn.
    """
    if not np.isfinite(prediction).all():
        return dict.fromkeys(METRICS[task], math.nan)
    further = _score_classes if task == "classification" else _score_regression
    return {"rmse": rmse(truth, prediction)} | further(truth, prediction)


def _score_classes(truth: np.ndarray, prediction: np.ndarray) -> dict[str, float | None]:
    codes, labels = truth.argmax(axis=1), prediction.argmax(axis=1)
    smallest = float(np.finfo(np.float32).eps)
    of_truth = prediction.astype(np.float32)[np.arange(len(codes)), codes].astype(np.float64)
    members, hits = truth.sum(axis=0), truth[codes == labels].sum(axis=0)
    columns = range(1) if truth.shape[1] == 2 else range(truth.shape[1])
    all_present = (members > 0).all() and (members < len(truth)).all()
    return {
        "log_loss": float(-np.log(of_truth.clip(smallest, 1 - smallest)).mean()),
        "accuracy": float((codes == labels).mean()),
        "balanced_accuracy": float((hits[members > 0] / members[members > 0]).mean()),
        "brier": float(np.mean(np.sum(np.square(prediction - truth), axis=1))),
        "roc_auc": float(np.mean([_roc_auc(truth[:, j], prediction[:, j]) for j in columns]))
        if all_present
        else None,
    }


def _roc_auc(truth: np.ndarray, score: np.ndarray) -> float:
    """How often a row of the class (truth 1) scores higher than one without (0); ties count one half."""
    _, place, ties = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(ties) - (ties - 1) / 2)[place]
    n_in, n_out = truth.sum(), (1 - truth).sum()
    return (rank @ truth - n_in * (n_in + 1) / 2) / (n_in * n_out)


def _score_regression(truth: np.ndarray, prediction: np.ndarray) -> dict[str, float | None]:
    residual = np.square(prediction - truth).sum(axis=0)
    total = np.square(truth - truth.mean(axis=0)).sum(axis=0)
    varied = np.ptp(truth, axis=0) > 0
    return {
        "mae": float(np.abs(prediction - truth).mean()),
        "r2": float((1 - residual / total).mean()) if varied.all() else None,
    }


def flags(values: Sequence[float]) -> list[str | None]:
    """For each fold's RMSE, why it is far outside the others of its model, or None.

    Far outside: more than 3 scaled MADs above the median, and at least 1.5 times the median, of at least 4
    folds. (The MAD is scaled by 1.4826, so that it estimates a normal distribution's standard deviation.)
    """
    numbers = np.asarray(values, dtype=float)
    finite = numbers[np.isfinite(numbers)]
    if len(finite) < 4:
        return [None] * len(numbers)
    median = float(np.median(finite))
    spread = 1.4826 * float(np.median(np.abs(finite - median)))
    return [
        f"RMSE {significant(value)} is far above this model's other folds (median {significant(median)})"
        if value > median + 3 * spread and value >= 1.5 * median
        else None
        for value in numbers
    ]


def scores(task: str, predictions: Mapping[str, Predictions], cells: Sequence[dict]) -> list[dict]:
    """A line per cell, by model, repeat and fold.

    Args:
        task: "classification" or "regression".
        predictions: model -> its OOS predictions, in the order of models.
        cells: what the cells wrote into their cell.json, in any order.

    Returns:
        lines with model, repeat, fold, n_train, n_test, epochs, the task's metrics, `flags` (list of text).

    Raises:
        RegfoldError: OOS files and cells do not belong together.
    """
    by_name = {(cell["model"], cell["repeat"], cell["fold"]): cell for cell in cells}
    lines = []
    for model, made in predictions.items():
        of_model = []
        for repeat, fold, rows in made.cells():
            cell = by_name.pop((model, repeat, fold), None)
            place = f"results/oos/{model}.csv: repeat {repeat}, fold {fold}"
            if cell is None:
                raise RegfoldError(f"{place}: no such cell; expected the cells of this study, run again")
            if cell["n_test"] != len(rows):
                raise RegfoldError(f"{place}: {len(rows)} rows; expected the cell's {cell['n_test']}")
            line = {"model": model, "repeat": repeat, "fold": fold}
            line |= {"n_train": cell["n_train"], "n_test": len(rows), "epochs": cell["epochs"]}
            line |= score(task, made.truth[rows], made.prediction[rows])
            line["flags"] = list(cell["flags"])
            bad = int((~np.isfinite(made.prediction[rows])).any(axis=1).sum())
            if bad:
                line["flags"].append(f"held-out predictions are not finite in {bad} of {len(rows)} rows")
            of_model.append(line)
        for line, far in zip(of_model, flags([line["rmse"] for line in of_model]), strict=True):
            line["flags"] += [far] if far else []
        lines += of_model
    if by_name:
        model, repeat, fold = next(iter(by_name))
        raise RegfoldError(
            f"results/oos: no row of model {quote(model)}, repeat {repeat}, fold {fold}; "
            "expected every cell's rows"
        )
    return lines


def summary(schema: dict, predictions: Mapping[str, Predictions], lines: Sequence[dict]) -> dict:
    """Scores of each model as a whole: pooled over all rows, outputs and repeats, and over its folds.

    A pooled value, a fold mean and a fold deviation exist (are not None) only where every cell has the value:
    a fold that diverged is never averaged away.

    Args:
        schema: the prepared table's schema.json.
        predictions: model -> its OOS predictions.
        lines: what `scores` returned.
    """
    task = schema["task"]
    models = {}
    for model, made in predictions.items():
        of_model = [line for line in lines if line["model"] == model]
        pooled = score(task, made.truth, made.prediction)
        result: dict = {}
        for metric in METRICS[task]:
            result[metric] = _finite(pooled[metric])
            result |= _over_folds(metric, [line[metric] for line in of_model])
        result["rmse_of_constant"] = rmse_of_constant(made.truth)
        if task == "regression" and len(schema["target"]) > 1:
            result["targets"] = {
                name: {
                    metric: _finite(value)
                    for metric, value in score(task, made.truth[:, [i]], made.prediction[:, [i]]).items()
                }
                for i, name in enumerate(schema["target"])
            }
        result |= {
            "n_rows": schema["n_rows"],
            "n_rows_tested": len(set(made.row)),
            "n_cells": len(of_model),
            "repeats": len({line["repeat"] for line in of_model}),
            "folds": len({line["fold"] for line in of_model}),
            "flagged_cells": [
                {"repeat": line["repeat"], "fold": line["fold"], "flags": line["flags"]}
                for line in of_model
                if line["flags"]
            ],
        }
        models[model] = result
    return {
        "models": models,
        "task": task,
        "target": schema["target"],
        "classes": schema["classes"],
        "path": schema["path"],
        "metrics": list(METRICS[task]),
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _over_folds(metric: str, values: Sequence[float | None]) -> dict[str, float | None]:
    whole = all(_finite(value) is not None for value in values)
    return {
        f"{metric}_fold_mean": float(np.mean(values)) if whole else None,
        f"{metric}_fold_sd": float(np.std(values, ddof=1)) if whole and len(values) > 1 else None,
    }
