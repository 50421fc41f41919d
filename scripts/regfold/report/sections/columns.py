"""Scores by the levels of columns, and the importance of columns."""

from regfold.report.charts import intervals
from regfold.report.charts.common import label
from regfold.report.figure import Figure
from regfold.results import by_level
from regfold.results.study import Study


def figures(study: Study) -> list[Figure]:
    """The score by the levels of each column of `report.by`, and the importance of columns."""
    return [*_by_level(study), *_importance(study)]


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
