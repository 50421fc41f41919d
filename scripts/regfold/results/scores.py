"""Scores of every cell (scores.csv) and of every model as a whole (summary.json)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import median_abs_deviation

from regfold.data.write_text import write_frame
from regfold.errors import RegfoldError, quote
from regfold.formatting import significant
from regfold.results import calibration, comparison, metrics, paths, seeds
from regfold.results.intervals import of_folds, of_mean, sizes
from regfold.results.predictions import Predictions
from regfold.results.training_rows import Known

CELL = ["model", "repeat", "fold"]
COUNTS = ["n_train", "n_test", "epochs"]
SEPARATOR = "; "


def table(
    schema: dict,
    predictions: Mapping[str, Predictions],
    cells: Sequence[dict],
    chosen: Sequence[metrics.Metric] = (),
) -> pd.DataFrame:
    """A line per cell, by model, repeat and fold.

    Args:
        schema: the prepared table's schema.json.
        predictions: model -> its OOS predictions, in the order of models.
        cells: the cells' cell.json, in any order.
        chosen: metrics, see `metrics.reported`; those of the task are included anyway.

    Returns:
        columns model, repeat, fold, n_train, n_test, epochs (missing for a baseline), the metrics (NaN where
        undefined or not finite) and flags (text, "" for none); with data.weight also weight, the sum of the
        held-out rows' weights, whose mean over all rows is 1.

    Raises:
        RegfoldError: if OOS files and cells do not belong together.
    """
    known = metrics.of(schema["task"], len(schema["target"]))
    chosen = (*known, *(metric for metric in chosen if metric not in known))
    ranking = metrics.ranking(known)  # cells are flagged by the RMSE, even if the headline is another metric
    by_name = {(cell["model"], cell["repeat"], cell["fold"]): cell for cell in cells}
    lines = []
    for model, oos in predictions.items():
        of_model, deviation = [], metrics.deviations(oos.truth)
        for repeat, fold, rows in oos.cells():
            cell = by_name.pop((model, repeat, fold), None)
            place = f"results/oos/{model}.csv: repeat {repeat}, fold {fold}"
            if cell is None:
                raise RegfoldError(f"{place}: no such cell; expected the cells of this study, run again")
            if cell["n_test"] != len(rows):
                raise RegfoldError(f"{place}: {len(rows)} rows; expected the cell's {cell['n_test']}")
            cell = paths.at_chosen_strength(cell, oos.strength_of(repeat, fold))
            prediction, weight = oos.prediction[rows], oos.weight_of(rows)
            of_model.append(
                {name: cell[name] for name in CELL + COUNTS}
                | metrics.score(chosen, oos.truth[rows], prediction, deviation, weight)
                | {"flags": [*cell["flags"], *_odd_predictions(schema["task"], prediction)]}
                | ({} if weight is None else {"weight": weight.sum()})
            )
        for line, far in zip(of_model, far_above([line[ranking.name] for line in of_model]), strict=True):
            line["flags"] = SEPARATOR.join(line["flags"] + [f"{ranking.label} {far}"] * bool(far))
        lines += of_model
    if by_name:
        model, repeat, fold = next(iter(by_name))
        raise RegfoldError(
            f"results/oos: no row of model {quote(model)}, repeat {repeat}, fold {fold}; "
            "expected every cell's rows"
        )
    return pd.DataFrame(lines).astype({"epochs": "Int64"})


def _odd_predictions(task: str, prediction: np.ndarray) -> list[str]:
    """Flags for a cell's held-out predictions: not finite, or not probabilities."""
    finite = np.isfinite(prediction).all(axis=1)
    if not finite.all():
        return [f"held-out predictions are not finite in {(~finite).sum()} of {len(finite)} rows"]
    if task == "classification" and not (proper := metrics.are_probabilities(prediction)).all():
        return [
            f"held-out predictions are not probabilities in {(~proper).sum()} of {len(proper)} rows "
            "(numbers from 0 to 1 with a sum of 1)"
        ]
    return []


def far_above(values: Sequence[float]) -> list[str | None]:
    """For each fold's score (lower is better) a text if it is far above those of the other folds, else None.

    Far above: more than 3 scaled MADs above the median, and at least 1.5 times the median, of at least 4
    folds. (The MAD is scaled so that it estimates the standard deviation of a normal distribution.)
    """
    numbers = np.asarray(values, dtype=float)
    finite = numbers[np.isfinite(numbers)]
    if len(finite) < 4:
        return [None] * len(numbers)
    median, spread = float(np.median(finite)), median_abs_deviation(finite, scale="normal")
    return [
        f"{significant(value)} is far above this model's other folds (median {significant(median)})"
        if value > median + 3 * spread and value >= 1.5 * median
        else None
        for value in numbers.tolist()
    ]


def write(path: str | Path, scores: pd.DataFrame) -> None:
    """Write scores.csv: an undefined metric is empty, those of a diverged cell are `nan`."""
    names = scores.columns.difference([*CELL, *COUNTS, "flags", "weight"])
    text = scores.astype(dict.fromkeys(names, object))
    text.loc[scores["rmse"].isna(), names] = "nan"
    write_frame(text, path)


def write_comparison(path: str | Path, summary: dict) -> None:
    """Write comparison.csv from the content of summary.json."""
    names = dict.fromkeys([*comparison.COLUMNS, *comparison.columns(summary["ranked_by"])])
    write_frame(pd.DataFrame(summary["comparison"], columns=list(names)), path)


def read(path: str | Path) -> pd.DataFrame:
    """scores.csv as `table` returned it."""
    numeric = pd.read_csv(path, nrows=0).columns.difference(["model", "flags"])
    return pd.read_csv(
        path,
        dtype={"model": str, "flags": str, "epochs": "Int64"},
        keep_default_na=False,  # a model may be called NA
        na_values={name: ["", "nan"] for name in numeric},
    )


def summary(
    schema: dict,
    predictions: Mapping[str, Predictions],
    scores: pd.DataFrame,
    known: Mapping[tuple[int, int], Known],
    split: dict,
    groups: np.ndarray | None,
    rope: float,
    path_models: Mapping[str, paths.PathModel],
    chosen: Sequence[metrics.Metric] = (),
    of_seeds: Mapping[str, np.ndarray] | None = None,
) -> dict:
    """Scores of each model as a whole: pooled over all rows, outputs and repeats, and over its folds.

    A pooled value, a fold mean and a fold deviation are None unless every cell has the value: a fold that
    diverged is never averaged away. Each fold's constant prediction, which a model has to beat, is the mean
    (the class frequencies) of its training rows.

    Args:
        schema: the prepared table's schema.json.
        predictions: model -> its OOS predictions.
        scores: what `table` returned.
        known: (repeat, fold) -> what its training rows alone tell, see `training_rows.known`.
        split: the resolved `split` section.
        groups: (n,) int, from 0 without gaps: the group of each line of an OOS file; None without groups.
        rope: `compare.rope`.
        path_models: the models that have a path, see `paths.path_models`.
        chosen: all metrics, the headline first, see `metrics.reported`; (): those of the task.
        of_seeds: the models with several seeds, see `seeds.of_cells`.

    Returns:
        the content of summary.json.
    """
    task, target, method = schema["task"], schema["target"], split["method"]
    chosen = chosen or metrics.of(task, len(target))
    compared, ranking = metrics.compared(chosen), metrics.ranking(chosen)
    models = {}
    for model, oos in predictions.items():
        of_model = scores[scores["model"] == model]
        deviation, constant = metrics.deviations(oos.truth), np.empty_like(oos.truth)
        for repeat, fold, rows in oos.cells():
            constant[rows] = known[repeat, fold].constant
        result = _of_rows(chosen, compared, oos.truth, oos.prediction, constant, deviation, oos.weight)
        for metric in chosen:
            result |= _over_folds(metric.name, of_model[metric.name])
        result |= _intervals(compared, oos, of_model, deviation, method, groups)
        if task == "classification":
            result |= calibration.measures(oos.truth, oos.prediction, oos.weight)
        if model in path_models:
            # A row is one unit, however many repeats test it.
            units = pd.factorize(oos.row)[0] if groups is None else groups
            result |= paths.corrected(path_models[model], oos, compared, deviation, units, split)
        if of_seeds and model in of_seeds:
            result["seeds"] = seeds.summary(of_seeds[model], sizes(of_model)[0])
        if task == "regression" and len(target) > 1:
            result["targets"] = _of_targets(target, oos, constant)
        models[model] = result | _counts(schema, oos, of_model)
    by = dict.fromkeys([metrics.ranking(metrics.of(task, len(target))), ranking])
    n_tests = len(next(iter(predictions.values())).row)
    n_repeated = sum(fold.n_repeated for fold in known.values())
    optimistic = [model for model, path in path_models.items() if path.select != paths.NESTED]
    return {
        "models": models,
        "task": task,
        "target": target,
        "classes": schema["classes"],
        "path": schema["path"],
        "metrics": [
            {"name": metric.name, "label": metric.label, "greater_is_better": metric.greater_is_better}
            for metric in chosen
        ],
        "ranked_by": ranking.name,
        "rope": rope,
        "comparison": comparison.of_scores(scores, by, method, rope, optimistic),
        "duplicates": {"n_tests": n_tests, "n_in_training": n_repeated, "share": n_repeated / n_tests},
    }


def _of_rows(
    chosen: Sequence[metrics.Metric],
    compared: Sequence[metrics.Metric],
    truth: np.ndarray,
    prediction: np.ndarray,
    constant: np.ndarray,
    deviation: np.ndarray | float = 1.0,
    weight: np.ndarray | None = None,
) -> dict[str, float | None]:
    """Metrics `chosen`, and `compared` of the constant prediction, on the same rows; None if undefined."""
    values = metrics.score(chosen, truth, prediction, deviation, weight)
    of_constant = metrics.score(compared, truth, constant, deviation, weight)
    values |= {f"{name}_of_constant": value for name, value in of_constant.items()}
    return {name: metrics.finite_or_none(value) for name, value in values.items()}


def _of_targets(targets: Sequence[str], oos: Predictions, constant: np.ndarray) -> dict[str, dict]:
    """target -> `_of_rows` for it alone."""
    single = metrics.of("regression")
    columns = {name: [i] for i, name in enumerate(targets)}
    return {
        name: _of_rows(
            single,
            metrics.compared(single),
            oos.truth[:, column],
            oos.prediction[:, column],
            constant[:, column],
            weight=oos.weight,
        )
        for name, column in columns.items()
    }


def _counts(schema: dict, oos: Predictions, of_model: pd.DataFrame) -> dict:
    """Numbers of rows, cells, repeats and folds, and the cells with flags."""
    return {
        "n_rows": schema["n_rows"],
        "n_rows_tested": len(set(oos.row)),
        "n_cells": len(of_model),
        "repeats": of_model["repeat"].nunique(),
        "folds": of_model["fold"].nunique(),
        "flagged_cells": [
            {"repeat": line.repeat, "fold": line.fold, "flags": line.flags.split(SEPARATOR)}
            for line in of_model[of_model["flags"] != ""].itertuples()
        ],
    }


def _intervals(
    compared: Sequence[metrics.Metric],
    oos: Predictions,
    cells: pd.DataFrame,
    deviation: np.ndarray,
    method: str,
    groups: np.ndarray | None,
) -> dict:
    """The 95 % interval of each metric; `interval` is the method for the last one, or why it has none."""
    found = {}
    units = np.arange(len(oos.row)) if groups is None else groups
    for metric in compared:
        values = cells[metric.name].to_numpy()
        if metric.row_loss is None:
            interval = of_folds(metric, values, *sizes(cells), method)
        else:
            losses = metrics.row_losses(metric, oos.truth, oos.prediction, deviation)
            means = np.square(values) if metric.root else values
            how = cells["repeat"].nunique(), method, oos.weight
            interval = of_mean(metric, losses, units, means, *sizes(cells), *how)
        found |= {f"{metric.name}_low": interval.low, f"{metric.name}_high": interval.high}
    return found | {"interval": interval.method}


def _over_folds(metric: str, values: pd.Series) -> dict[str, float | None]:
    return {
        f"{metric}_fold_mean": metrics.finite_or_none(values.mean(skipna=False)),
        f"{metric}_fold_sd": metrics.finite_or_none(values.std(skipna=False)),
    }
