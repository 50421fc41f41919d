"""Which charts a study has, with titles and captions, and their SVG and PNG copies for papers."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import altair as alt
import numpy as np

from regfold import files
from regfold.config import losses
from regfold.formatting import significant
from regfold.report.charts import (
    classification,
    common,
    differences,
    intervals,
    learning,
    lines,
    regression,
    strengths,
)
from regfold.report.charts import weights as weight_charts
from regfold.report.charts.common import label
from regfold.report.renderer import Renderer
from regfold.results import by_level, metrics, weights
from regfold.results.paths import NESTED
from regfold.results.predictions import Predictions
from regfold.results.remarks import OPTIMISTIC
from regfold.results.study import Study

# Of more targets than MOST_TARGETS, only so many of the worst and of the best explained ones are drawn.
MOST_TARGETS, MOST_EXTREME = 12, 3
# Of more models, the best one alone has pictures of predictions, of the gap along the path, and of weights.
MOST_BESIDE = 4
# Of more targets, residuals have no pictures.
MOST_RESIDUALS = 4
# Metrics that have the target's unit.
IN_UNITS = ("rmse", "mae")
# training.loss -> its name on an axis.
LOSSES = {
    "crossentropy": "cross-entropy",
    "focal": "focal loss",
    "mse": "squared error, standardized",
    "mae": "absolute error, standardized",
    "huber": "Huber loss, standardized",
    "log_cosh": "log-cosh loss, standardized",
    "poisson": "Poisson loss",
}


@dataclass(frozen=True)
class Figure:
    """A chart with its words.

    Args:
        name: the stem of its files, unique in the study.
        section: where it stands on the page: comparison, folds, path, training, predictions, levels,
            importance, penalties.
        title: what it shows, plain text.
        caption: how to read it, plain text.
        chart: without a width.
        width: of its copies for papers, in pixels.
    """

    name: str
    section: str
    title: str
    caption: str
    chart: alt.LayerChart
    width: int

    def spec(self, width: int | str) -> dict:
        """The chart as a Vega-Lite specification of some width, or of its container's ("container")."""
        fit = {"type": "fit-x", "contains": "padding"}
        return self._spec | {"width": width, "autosize": fit, "config": common.THEME}

    @cached_property
    def _spec(self) -> dict:
        with alt.data_transformers.enable(consolidate_datasets=False):
            return self.chart.to_dict(validate=False)


def of_study(study: Study) -> list[Figure]:
    """All figures of a study, in the page's order."""
    schema, models = study.schema, study.models
    figures = [*_differences(study), _folds(study), *_paths(study)]
    figures += _training(study)
    for model in models if len(models) <= MOST_BESIDE else [study.best]:
        suffix = f" of model {model}" * (len(models) > 1)
        predicted = _classes if study.classifies else _numbers
        figures += predicted(schema, model, suffix, study.oos[model], models[model])
    figures += _probabilities(study) if study.classifies else _residuals(study)
    figures += [*_by_level(study), *_importance(study)]
    figures.append(
        Figure(
            "penalties",
            "penalties",
            "What the penalties act on",
            "Sizes of weights, biases and activations of the kept networks, before they are multiplied by a "
            "penalty's strength. Points: folds; bars: their mean. A penalized size stands further left.",
            common.measured_penalties(study.network_cells, list(study.networks)),
            560,
        )
    )
    return [*figures, *_weights(study)]


def write(figures: Sequence[Figure], folder: str | Path, renderer: Renderer) -> dict[str, str]:
    """Writes NAME.svg and NAME.png of each figure, and returns the SVG texts by name."""
    drawn = {figure.name: renderer.draw(figure.spec(figure.width)) for figure in figures}
    texts = {}
    for name, copies in drawn.items():
        texts[name], png = copies.result()
        with files.atomic(Path(folder) / f"{name}.svg") as temporary:
            temporary.write_text(texts[name], encoding="utf-8")
        with files.atomic(Path(folder) / f"{name}.png") as temporary:
            temporary.write_bytes(png)
    return texts


def _differences(study: Study) -> list[Figure]:
    best, pooled = study.best, {metric.name for metric in study.metrics if metric.row_loss}
    scores = "pooled scores" if study.ranking.name in pooled else "folds' mean scores"
    lines = [
        line | {"rope": study.summary["rope"] * abs(line["score"] + line["score_of_best"]) / 2}
        for line in study.against_best()
        if line["low"] is not None
    ]
    if not lines:
        return []
    return [
        Figure(
            "comparison",
            "comparison",
            f"Every other model against {best}",
            f"Point: difference of the {scores}; line: its 95 % interval, grey where no difference "
            "is measurable (p of 0.05 or more, corrected for the number of pairs). Shaded: differences that "
            "do not matter in practice (compare.rope).",
            differences.against_best(lines, study.ranking),
            640,
        )
    ]


def _paths(study: Study) -> list[Figure]:
    metric, figures = study.ranking, []
    alone, which = _of_best(study, study.paths, "all: path/<model>.csv")
    for model, table in study.paths.items():
        result = study.models[model]
        suffix = f" of model {model}" * (len(study.models) > 1)
        nested = result["select"] == "nested"
        figures += [
            Figure(
                f"path-{model}",
                "path",
                f"Score along the path{suffix}",
                f"{metric.label} of held-out rows at every strength: mean of folds, shaded by one standard "
                f"error (SE). Dashed: the strength with the {metric.best} pooled score, and the strongest "
                "whose mean is within one standard error of it."
                + " Ticks: the choices of the folds."
                * nested,
                strengths.score_along_path(
                    table, result["path"], metric, result["chosen_strength"] if nested else ()
                ),
                480,
            )
        ]
        if model not in alone:
            continue
        figures.append(
            Figure(
                f"gap-{model}",
                "path",
                f"Training and held-out rows along the path{suffix}",
                "Pooled RMSE. Where the curves are far apart, the network fits the noise of its training "
                "rows; where both rise, the penalty keeps it from fitting anything." + which,
                strengths.gap_along_path(table, result["path"], "RMSE"),
                480,
            )
        )
        if norms := study.column_norms(model):
            figures.append(
                Figure(
                    f"columns-{model}",
                    "path",
                    f"Columns along the path{suffix}",
                    "The norm of the weights by which a column enters the network, mean of folds. At 0 the "
                    "column is switched off." + which,
                    strengths.norms_along_path(*norms, result["path"]),
                    480,
                )
            )
    return figures


def _of_best(study: Study, models: Collection[str], where: str) -> tuple[Collection[str], str]:
    """The models that have pictures of their own, and what a caption says where that is one of many."""
    if len(models) <= MOST_BESIDE:
        return models, ""
    return [study.best_of(models)], f" Of {len(models)} models, the best one; {where}."


def _weights(study: Study) -> list[Figure]:
    figures = []
    alone, which = _of_best(study, study.weight_fits, "all: the table")
    for model in alone:
        fits, networks = study.weight_fits[model], study.kernels[model]
        own = study.cells[model][0]["settings"]["network"].get("build")
        limits = {} if own else weights.initial_limits(networks[0])
        if fits:
            figures.append(
                Figure(
                    f"weights-{model}",
                    "weights",
                    f"Weights of model {model}" if len(study.networks) > 1 else "Weights",
                    "Bars: the kernel weights of each layer over all folds, but exact zeros; lines: the most "
                    "likely Gaussian, Laplace and generalized Gaussian distributions, whose shape is 1 for "
                    "Laplace and 2 for Gaussian, and the one that the weights were drawn from before the "
                    "training." + which,
                    weight_charts.layers(weights.pooled(networks), fits, limits),
                    480,
                )
            )
        if outputs := study.activation_fits.get(model):
            sizes = {layer: study.activations[model][layer][1] for layer in outputs}
            mirrored = {layer: np.concatenate([-values, values]) for layer, values in sizes.items()}
            figures.append(
                Figure(
                    f"activations-{model}",
                    "weights",
                    f"Outputs of hidden units{f' of model {model}' if len(study.networks) > 1 else ''}",
                    "What the activity penalty acts on: the sizes of the outputs on some training rows, but "
                    "exact zeros, on both sides of 0; lines as above. A claim about weights does not follow "
                    "from them.",
                    weight_charts.layers(mirrored, outputs, {}, "output", intervals=False),
                    480,
                )
            )
    return figures


def _by_level(study: Study) -> list[Figure]:
    metric, best, figures = study.ranking, study.best, []
    for i, (column, scores) in enumerate(study.by.groupby("column", sort=False), start=1):
        n_levels, n_shown = scores["level"].nunique(), len(intervals.shown_levels(scores, metric, best))
        if not n_shown:
            continue
        with_lines = " lines are 95 % intervals;" * bool(scores[f"{metric.name}_low"].notna().any())
        figures.append(
            Figure(
                f"by-{i}",
                "levels",
                f"{metric.label} by {label(column)}",
                f"In brackets the number of rows;{with_lines} levels of fewer than {by_level.SMALL} rows are "
                f"pale. Dashed: model {best} over all rows."
                + f" The worst {n_shown} of {n_levels:,} levels; all: scores_by.csv."
                * (n_shown < n_levels),
                intervals.by_level(scores, metric, best, study.models[best][metric.name]),
                560,
            )
        )
    return figures


def _importance(study: Study) -> list[Figure]:
    if not (study.importance["model"] == study.best).any():
        return []
    metric, repeats = study.rmse, study.models[study.best]["repeats"] > 1
    n_columns = study.importance["column"].nunique()
    which = f" The {intervals.MOST_COLUMNS} most important of {n_columns:,} columns; all: importance.csv."
    return [
        Figure(
            "importance",
            "importance",
            "What the columns are worth",
            f"How much higher the {metric.label} of held-out rows is once the column is shuffled among them, "
            f"mean over {'repeats and ' * repeats}folds; lines are 95 % intervals."
            + which
            * (n_columns > intervals.MOST_COLUMNS),
            intervals.importance(study.importance, study.best, f"{metric.label} higher by"),
            560,
        )
    ]


def _folds(study: Study) -> Figure:
    metric, unit, flagged = study.ranking, "", bool((study.scores["flags"] != "").any())
    if not study.classifies and len(study.schema["target"]) == 1 and metric.name in IN_UNITS:
        unit = f" in units of {label(study.schema['target'][0], 24)}"
    optimistic = any(study.models[model]["select"] != NESTED for model in study.paths)
    return Figure(
        "folds",
        "folds",
        "Score of each fold",
        f"A point is the {metric.label} of one fold's held-out rows, the bar the {metric.label} pooled over "
        f"all of them. {'Higher' if metric.greater_is_better else 'Lower'} is better."
        + " Flagged folds are diamonds in orange." * flagged
        + f" With a path: at the chosen strength, {OPTIMISTIC}." * optimistic,
        common.fold_strip(study.scores, study.models, metric, unit),
        640,
    )


def _training(study: Study) -> list[Figure]:
    named = {model: study.cells[model][0]["settings"]["training"]["loss"] for model in study.networks}
    named = {model: losses.resolve(loss, study.schema["task"]) for model, loss in named.items()}
    same = {
        loss: [history for model in named if named[model] == loss for history in study.histories[model]]
        for loss in named.values()
    }
    domains = {loss: learning.loss_domain(histories) for loss, histories in same.items()}
    return [_curves(study, model, LOSSES[loss], domains[loss]) for model, loss in named.items()]


def _curves(study: Study, model: str, loss: str, domain: list[float] | None) -> Figure:
    models, result = study.networks, study.networks[model]
    flagged = {(cell["repeat"], cell["fold"]) for cell in result["flagged_cells"]}
    return Figure(
        f"learning-{model}",
        "training",
        f"Learning curves of model {model}" if len(models) > 1 else "Learning curves",
        "Losses without penalties: median and quartiles of the folds, and faintly each fold. Those of "
        "held-out rows are computed when the training is over and decide nothing, not even the epoch.",
        learning.learning_curves(study.cells[model], study.histories[model], flagged, loss, domain),
        480,
    )


def _numbers(schema: dict, model: str, suffix: str, oos: Predictions, result: dict) -> list[Figure]:
    targets, which = schema["target"], ""
    names = [f"{label(target)}{suffix}" for target in targets]
    several, shown = len(targets) > 1, range(len(targets))
    if len(targets) > MOST_TARGETS:
        explained = [result["targets"][target]["r2"] for target in targets]
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


def _classes(schema: dict, model: str, suffix: str, oos: Predictions, result: dict) -> list[Figure]:
    classes, repeats, which = schema["classes"], result["repeats"], ""
    if len(classes) > classification.MOST_CLASSES:
        which = (
            f" Of {len(classes):,} classes, the {classification.MOST_CONFUSED} that are most often taken for "
            "one another; the shares are of all rows of a true class."
        )
    return [
        Figure(
            f"confusion-{model}",
            "predictions",
            f"Confusion matrix{suffix}",
            "Of the held-out rows of each true class, the share that was given each class; below it their "
            "number." + f" Each row counts {repeats} times, once per repeat." * (repeats > 1) + which,
            classification.confusion_matrix(oos.truth, oos.prediction, classes),
            420,
        ),
    ]


def _probabilities(study: Study) -> list[Figure]:
    """How good the probabilities are: the best model's calibration, and curves of all models."""
    best, classes = study.best, study.schema["classes"]
    oos, repeats = study.oos[best], study.models[best]["repeats"]
    several = len(study.models) > 1
    figures = [
        Figure(
            f"calibration-{best}",
            "predictions",
            "Calibration" + f" of model {best}" * several,
            "Where points lie on the dashed line, a probability of 0.8 comes true in 8 rows of 10. Larger "
            "points stand for more rows; upright bars are 95 % intervals."
            + " Of each row, the predicted class is shown."
            * (len(classes) > classification.FEW_CLASSES),
            classification.calibration(oos.truth, oos.prediction, classes, repeats),
            420,
        )
    ]
    finite = {
        model: (oos.truth[rows], oos.prediction[rows])
        for model, oos in study.oos.items()
        if (rows := np.isfinite(oos.prediction).all(axis=1)).any()
    }
    if not finite:
        return figures
    of = (
        f"Class {label(classes[1])}"
        if len(classes) == 2
        else "Each class against the rest, mean over classes"
    )
    sampled = f" Of at most {lines.MOST_ROWS:,} rows." * (len(oos.row) > lines.MOST_ROWS)
    diagonal = [(0, 0), (1, 1)]
    for name, title, caption, curve, x, y, reference in (
        (
            "calibration",
            "Calibration, all models",
            "Share of right answers against the predicted class's probability, in bins of ten rows or more.",
            lines.calibration,
            "probability of the predicted class",
            "share of right answers",
            diagonal,
        ),
        ("roc", "ROC curves", f"{of}.", lines.roc, "false positive rate", "true positive rate", diagonal),
        (
            "precision-recall",
            "Precision and recall",
            f"{of}.",
            lines.precision_recall,
            "recall",
            "precision",
            (),
        ),
    ):
        if several or name != "calibration":
            curves = {model: points for model, pair in finite.items() if (points := curve(*pair))}
            if curves:
                chart = lines.lines(curves, x, y, reference=reference, unit_square=True)
                figures.append(Figure(name, "predictions", title, caption + sampled, chart, 420))
    return figures


def _residuals(study: Study) -> list[Figure]:
    """The best model's residuals, and how those of all models, or of its targets, are distributed."""
    targets, best, oos = study.schema["target"], study.best, study.oos[study.best]
    finite = np.isfinite(oos.prediction).all(axis=1)
    if len(targets) > MOST_RESIDUALS or not finite.any():
        return []
    several, suffix = len(targets) > 1, f" of model {best}" * (len(study.models) > 1)
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
