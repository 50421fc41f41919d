"""Tables of predictions (rows, probabilities, classes) and of what they come from (columns, weights)."""

import math

import numpy as np
from sklearn.metrics import precision_recall_fscore_support

from regfold.formatting import significant
from regfold.report.tables.table import MOST_LINES, Table, number, percent, probability
from regfold.results.study import Study
from regfold.results.weights import closest

MOST_NAMES, MOST_IMPORTANT = 8, 20


def worst_rows(study: Study) -> Table:
    """A line for each of the worst predicted rows: truth, predictions, number of models that suspect it."""
    schema, lines = study.schema, []
    several, best, shown = len(schema["target"]) > 1, study.best, study.schema["target"][:MOST_NAMES]
    head = [schema["id"] or "row", "true class" if study.classifies else "truth"]
    if several:
        head = [head[0], "error, in standard deviations", *(f"{target}: residual" for target in shown)]
    else:
        head += list(study.models)
    for row in study.rows.to_dict("records"):
        if several:
            cells = [number(row[name]) for name in ("error", *(f"residual:{best}:{t}" for t in shown))]
        elif study.classifies:
            found = ((row[f"label:{model}"], row[f"p_true:{model}"]) for model in study.models)
            cells = [row["label"], *(f"{label}, {probability(p_true)}" for label, p_true in found)]
        else:
            cells = [number(row[name]) for name in ("y", *(f"pred:{model}" for model in study.models))]
        lines.append([row["row"], *cells, f"{row['suspects']} of {len(study.models)}"])
    return Table([*head, "suspect for"], lines, text=range(len(head)) if study.classifies else (0,))


def calibration(study: Study) -> Table:
    """A line per model: how well its probabilities are calibrated."""
    names = ("ece", "calibration_slope", "calibration_intercept")
    lines = [[model, *(number(result[name]) for name in names)] for model, result in study.models.items()]
    head = ["model", "expected calibration error", "calibration slope", "calibration intercept"]
    note = (
        "Perfect: 0, 1 and 0. A slope below 1 tells of probabilities that are too extreme; none where the "
        "probabilities separate the classes."
    )
    return Table(head, lines, note=note)


def classes(study: Study) -> Table:
    """A line per class: precision, recall and F1 of the best model, and F1 of the others."""
    names, best = study.schema["classes"], study.best
    scores = {}
    for model, oos in study.oos.items():
        known = np.isfinite(oos.prediction).all(axis=1)
        if not known.any():
            scores[model] = np.full((4, len(names)), np.nan)
            continue
        truth, predicted = (values[known].argmax(axis=1) for values in (oos.truth, oos.prediction))
        *shares, _ = precision_recall_fscore_support(
            truth,
            predicted,
            labels=range(len(names)),
            sample_weight=oos.weight_of(known),
            zero_division=np.nan,
        )
        scores[model] = *shares, np.bincount(truth, minlength=len(names))
    others = [model for model in scores if model != best]
    lines = [
        [name, f"{np.nan_to_num(scores[best][3][i]):,.0f}"]
        + [percent(scores[best][part][i]) for part in range(3)]
        + [percent(scores[model][2][i]) for model in others]
        for i, name in enumerate(names[:MOST_LINES])
    ]
    of = f" ({best})" * bool(others)
    head = ["class", "rows", *(what + of for what in ("precision", "recall", "F1"))]
    repeated = " Each row counts once per repeat." * (study.models[best]["repeats"] > 1)
    return Table([*head, *(f"F1 ({model})" for model in others)], lines, note=repeated.strip())


def importance(study: Study) -> Table:
    """A line for each of the most important columns to the best model."""
    of_best = study.importance[study.importance["model"] == study.best]
    lines = []
    for line in of_best[:MOST_IMPORTANT].to_dict("records"):
        ends = [significant(line[end], 3) for end in ("low", "high") if not math.isnan(line[end])]
        share = f"{100 * line['top_five']:.0f} %"
        value = significant(line["importance"], 3)
        lines.append([line["column"], value, " to ".join(ends) or "–", share, line["correlated"] or "–"])
    more = f" All {len(of_best):,} columns: importance.csv." * (len(of_best) > MOST_IMPORTANT)
    return Table(
        [
            "column",
            f"{study.rmse.label} higher by",
            "95 % interval",
            "among a fold's five most important",
            "correlates above 0.9 with",
        ],
        lines,
        text=(0, 4),
        note=f"Model {study.best}.{more}",
    )


def weights(study: Study) -> Table:
    """A line per model and layer: the distribution of its weights, and of outputs that are penalized."""
    lines = [
        [
            model,
            layer,
            f"{fit.n:,}",
            f"{100 * fit.zeros:.1f} %",
            significant(fit.deviation, 3),
            f"{fit.laplace_over_gaussian:+.3f}",
            significant(fit.shape, 3),
            f"{significant(fit.low, 3)} to {significant(fit.high, 3)}",
            closest(fit),
        ]
        for model, fits in study.weight_fits.items()
        for layer, fit in fits.items()
    ]
    lines += [
        [
            model,
            f"{layer}: outputs",
            "–",
            f"{100 * study.activations[model][layer][0]:.1f} %",
            significant(fit.deviation, 3),
            f"{fit.laplace_over_gaussian:+.3f}",
            significant(fit.shape, 3),
            "–",
            "–",
        ]
        for model, fits in study.activation_fits.items()
        for layer, fit in fits.items()
    ]
    return Table(
        [
            "model",
            "layer",
            "weights",
            "exact zeros",
            "standard deviation",
            "Laplace over Gaussian",
            "shape",
            "95 % interval",
            "looks",
        ],
        lines[:MOST_LINES],
        text=(0, 1, 8),
        note="Laplace over Gaussian: the difference of the log-likelihoods of both fits, per weight that is "
        "not zero. Shape: of the generalized Gaussian fit, 1 for Laplace, 2 for Gaussian; its interval takes "
        "the weights for independent."
        + " Outputs: what an activity penalty acts on, on some training rows; exponential where Laplace fits."
        * bool(study.activation_fits),
    )
