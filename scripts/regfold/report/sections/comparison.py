"""How the models compare, over all rows and in each fold."""

from regfold.report.charts import common, differences
from regfold.report.charts.common import label
from regfold.report.figure import Figure
from regfold.results.paths import NESTED
from regfold.results.remarks import OPTIMISTIC
from regfold.results.study import Study

# Metrics in the target's unit.
IN_UNITS = ("rmse", "mae")


def figures(study: Study) -> list[Figure]:
    """Differences from the best model, and the score of each fold."""
    return [*_differences(study), _folds(study)]


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
