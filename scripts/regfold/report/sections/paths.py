"""Scores, gaps and columns along the paths of strengths."""

from regfold.report.charts import strengths
from regfold.report.figure import Figure, of_best, of_model
from regfold.results.study import Study


def figures(study: Study) -> list[Figure]:
    """The scores along each path, and for the best ones also the gap to the training rows, and columns."""
    metric, figures = study.ranking, []
    alone, which = of_best(study, study.paths, "all: path/<model>.csv")
    for model, table in study.paths.items():
        result = study.models[model]
        suffix = of_model(study, model)
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
