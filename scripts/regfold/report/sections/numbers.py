"""Predictions of numbers."""

import math

import numpy as np

from regfold.formatting import significant
from regfold.report.charts import lines, regression
from regfold.report.charts.common import label
from regfold.report.figure import Figure, beside, of_model
from regfold.results import metrics
from regfold.results.study import Study

# With more than MOST_TARGETS targets, only the MOST_EXTREME worst and best explained ones are drawn.
MOST_TARGETS, MOST_EXTREME = 12, 3
# With more targets, residuals are not drawn.
MOST_RESIDUALS = 4


def figures(study: Study) -> list[Figure]:
    """Predictions against the truth, and the best model's residuals."""
    predicted = [figure for model in beside(study) for figure in _predicted(study, model)]
    return [*predicted, *_residuals(study)]


def _predicted(study: Study, model: str) -> list[Figure]:
    targets, oos, which = study.schema["target"], study.oos[model], ""
    names = [f"{label(target)}{of_model(study, model)}" for target in targets]
    several, shown = len(targets) > 1, range(len(targets))
    if len(targets) > MOST_TARGETS:
        explained = [study.models[model]["targets"][target]["r2"] for target in targets]
        by_r2 = sorted(shown, key=lambda i: -math.inf if explained[i] is None else explained[i])
        shown = by_r2[:MOST_EXTREME] + by_r2[-MOST_EXTREME:]
        names = [f"{name}: R² {significant(r2)}" for name, r2 in zip(names, explained, strict=True)]
        which = (
            f" Of {len(targets):,} targets, the {MOST_EXTREME} worst explained ones (by R²), and the "
            f"{MOST_EXTREME} best."
        )
    return [
        Figure(
            f"predicted-{model}-{i + 1}" if several else f"predicted-{model}",
            "predictions",
            f"Predicted against true {names[i]}",
            "Each held-out row, predicted by the fold that has not seen it. The dashed line is a perfect "
            f"prediction.{which}",
            regression.predicted_against_true(oos.truth[:, i], oos.prediction[:, i], targets[i]),
            420,
        )
        for i in shown
    ]


def _residuals(study: Study) -> list[Figure]:
    """The best model's residuals, and the distribution of those of all models, or of all its targets."""
    targets, best, oos = study.schema["target"], study.best, study.oos[study.best]
    finite = np.isfinite(oos.prediction).all(axis=1)
    if len(targets) > MOST_RESIDUALS or not finite.any():
        return []
    several, suffix = len(targets) > 1, of_model(study, best)
    figures = [
        Figure(
            f"residuals-{i + 1}" if several else "residuals",
            "predictions",
            f"Residuals{f': {label(target)}' * several}{suffix}",
            "True minus predicted values; orange: their median in tenths of the rows, by prediction. Where "
            "it leaves zero, predictions are off in one direction.",
            regression.residuals(oos.truth[:, i], oos.prediction[:, i], target),
            420,
        )
        for i, target in enumerate(targets)
    ]
    if several:
        deviation = metrics.deviations(oos.truth)
        series = {
            target: (truth[finite], truth[finite] - predicted[finite])
            for target, truth, predicted in zip(
                targets, (oos.truth / deviation).T, (oos.prediction / deviation).T, strict=True
            )
        }
        unit = "in the target's standard deviations"
    else:
        series = {
            model: (oos.truth[rows, 0], (oos.truth - oos.prediction)[rows, 0])
            for model, oos in study.oos.items()
            if (rows := np.isfinite(oos.prediction[:, 0])).any()
        }
        unit, suffix = f"in units of {label(targets[0])}", ""
    quantiles = {name: lines.normal_quantiles(residuals) for name, (_, residuals) in series.items()}
    errors = {name: lines.error_by_size(*pair) for name, pair in series.items()}
    x = "true value, in standard deviations" if several else f"true {label(targets[0])}"
    return [
        *figures,
        Figure(
            "quantiles",
            "predictions",
            f"Are the residuals normal?{suffix}",
            "Quantiles of the residuals, in their standard deviations, against those of the normal "
            "distribution. On the dashed line they are normal; steeper ends are heavy tails.",
            lines.lines(
                quantiles, "normal quantile", "quantile of residuals", reference=[(-2.6, -2.6), (2.6, 2.6)]
            ),
            420,
        ),
        Figure(
            "error-by-size",
            "predictions",
            f"Error by the size of the true value{suffix}",
            f"RMSE {unit}, in tenths of the rows by the true value.",
            lines.lines(errors, x, "RMSE", dots=True),
            420,
        ),
    ]
