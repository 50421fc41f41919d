"""Predictions of classes."""

import numpy as np

from regfold.report.charts import classification, lines
from regfold.report.charts.common import label
from regfold.report.figure import Figure, beside, of_model
from regfold.results.study import Study


def figures(study: Study) -> list[Figure]:
    """Confusion matrices, and the quality of the probabilities."""
    return [*(_confusion(study, model) for model in beside(study)), *_probabilities(study)]


def _confusion(study: Study, model: str) -> Figure:
    classes, repeats, which = study.schema["classes"], study.models[model]["repeats"], ""
    if len(classes) > classification.MOST_CLASSES:
        which = (
            f" Of {len(classes):,} classes, the {classification.MOST_CONFUSED} that are most often taken for "
            "one another; the shares are of all rows of a true class."
        )
    oos = study.oos[model]
    return Figure(
        f"confusion-{model}",
        "predictions",
        f"Confusion matrix{of_model(study, model)}",
        "Of the held-out rows of each true class, the share that was given each class; below it their "
        "number." + f" Each row counts {repeats} times, once per repeat." * (repeats > 1) + which,
        classification.confusion_matrix(oos.truth, oos.prediction, classes),
        420,
    )


def _probabilities(study: Study) -> list[Figure]:
    """Quality of the probabilities: the best model's calibration, and curves of all models."""
    best, classes = study.best, study.schema["classes"]
    oos, repeats = study.oos[best], study.models[best]["repeats"]
    several = len(study.models) > 1
    figures = [
        Figure(
            f"calibration-{best}",
            "predictions",
            f"Calibration{of_model(study, best)}",
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
                # A model whose probabilities all lie in one bin has one point, and no line.
                dots = name == "calibration"
                chart = lines.lines(curves, x, y, reference=reference, unit_square=True, dots=dots)
                figures.append(Figure(name, "predictions", title, caption + sampled, chart, 420))
    return figures
