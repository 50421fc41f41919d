"""How the networks were trained."""

from regfold.config import losses
from regfold.report.charts import learning
from regfold.report.figure import Figure
from regfold.results.study import Study

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


def figures(study: Study) -> list[Figure]:
    """Each model's learning curves; models with the same loss share an axis."""
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
