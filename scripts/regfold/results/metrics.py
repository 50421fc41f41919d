"""The metrics: scikit-learn's, computed from truth and predictions as the out-of-sample files hold them."""

import math
import numbers
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from sklearn import metrics

from regfold.config import functions
from regfold.config import metrics as metric_list
from regfold.errors import RegfoldError, quote
from regfold.training.inner_metric import InnerMetric


@dataclass(frozen=True)
class Metric:
    """One metric of a task.

    Attributes:
        name: as in scores.csv and summary.json.
        label: as in the report.
        function: takes truth and prediction, (n, outputs) float64 both (classes: one-hot and probabilities;
            regression: the targets' own units), and the rows' weights, (n,) float64 above 0, or None, and
            returns a number, not finite if it is undefined.
        greater_is_better: whether a better prediction has a greater value.
        standardized: whether truth and prediction are divided by each target's standard deviation over the
            tested rows before the function is called; such a metric is computed for several targets only.
        row_loss: for a metric that is a mean over rows: takes truth and prediction (if standardized, the
            deviations too) and returns the rows' losses, (n,) float64, not finite where undefined. None for
            other metrics.
        root: whether the metric is the square root of the mean.
        limits: the least and the greatest value of the metric (of the mean, before the root).
    """

    name: str
    label: str
    function: Callable[[np.ndarray, np.ndarray, np.ndarray | None], float]
    greater_is_better: bool = False
    standardized: bool = False
    row_loss: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    root: bool = False
    limits: tuple[float, float] = (-math.inf, math.inf)


def rmse(truth: np.ndarray, prediction: np.ndarray, weight: np.ndarray | None = None) -> float:
    """sqrt(mean((prediction - truth)^2)) over rows and outputs; the mean over rows is weighted.

    (scikit-learn's `root_mean_squared_error` averages the roots of the outputs instead.)
    """
    return math.sqrt(metrics.mean_squared_error(truth, prediction, sample_weight=weight))


def log_loss(truth: np.ndarray, prediction: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Mean negative logarithm of the true class's probability; undefined unless all are probabilities."""
    if not are_probabilities(prediction).all():
        return math.nan
    labels = range(truth.shape[1])
    return metrics.log_loss(truth.argmax(axis=1), prediction, sample_weight=weight, labels=labels)


def brier(truth: np.ndarray, prediction: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Brier score (1950); undefined unless all predictions are probabilities.

    Two classes: the mean squared error of one class's probability, from 0 to 1. More classes: the mean over
    rows of the sum over classes, from 0 to 2.
    """
    if not are_probabilities(prediction).all():
        return math.nan
    labels = range(truth.shape[1])
    return metrics.brier_score_loss(truth.argmax(axis=1), prediction, sample_weight=weight, labels=labels)


def roc_auc(truth: np.ndarray, prediction: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Mean over classes of the area under the curve of one class against the rest; needs rows of each."""
    return metrics.roc_auc_score(truth, prediction, average="macro", sample_weight=weight)


def accuracy(truth: np.ndarray, prediction: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Share of rows whose most probable class is the true one."""
    codes = truth.argmax(axis=1), prediction.argmax(axis=1)
    return metrics.accuracy_score(*codes, sample_weight=weight)


def balanced_accuracy(truth: np.ndarray, prediction: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Mean recall over the classes that occur in the rows."""
    codes = truth.argmax(axis=1), prediction.argmax(axis=1)
    return metrics.balanced_accuracy_score(*codes, sample_weight=weight)


def mae(truth: np.ndarray, prediction: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Mean absolute error over rows and outputs."""
    return metrics.mean_absolute_error(truth, prediction, sample_weight=weight)


def r2(truth: np.ndarray, prediction: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Coefficient of determination, mean over targets; undefined where a target does not vary."""
    return metrics.r2_score(truth, prediction, sample_weight=weight, force_finite=False)


def squared_errors(
    truth: np.ndarray, prediction: np.ndarray, deviation: np.ndarray | float = 1.0
) -> np.ndarray:
    """The squared error of each row, mean over outputs, (n,), in units of `deviation`."""
    return np.square((prediction - truth) / deviation).mean(axis=1)


def absolute_errors(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """The absolute error of each row, mean over outputs, (n,)."""
    return np.abs(prediction - truth).mean(axis=1)


def log_losses(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """The losses whose mean is `log_loss`, (n,); clipped as in scikit-learn, so finite at probability 0."""
    of_truth = np.maximum((truth * prediction).sum(axis=1), np.finfo(np.float64).eps)
    return np.where(are_probabilities(prediction), -np.log(of_truth), math.nan)


def brier_losses(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """The losses whose mean is `brier`, (n,)."""
    squares = np.square(prediction - truth).sum(axis=1) / (2 if truth.shape[1] == 2 else 1)
    return np.where(are_probabilities(prediction), squares, math.nan)


def hits(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """The values whose mean is `accuracy`, (n,): 1 where the most probable class is the true one, else 0."""
    right = truth.argmax(axis=1) == prediction.argmax(axis=1)
    return np.where(np.isfinite(prediction).all(axis=1), right, math.nan)


LOSS, SHARE, SKILL = (0.0, math.inf), (0.0, 1.0), (-math.inf, 1.0)
RMSE = Metric("rmse", "RMSE", rmse, row_loss=squared_errors, root=True, limits=LOSS)
METRICS = {
    "classification": (
        RMSE,
        Metric("log_loss", "log loss", log_loss, row_loss=log_losses, limits=LOSS),
        Metric("accuracy", "accuracy", accuracy, greater_is_better=True, row_loss=hits, limits=SHARE),
        Metric(
            "balanced_accuracy", "balanced accuracy", balanced_accuracy, greater_is_better=True, limits=SHARE
        ),
        Metric("brier", "Brier score", brier, row_loss=brier_losses, limits=LOSS),
        Metric("roc_auc", "ROC AUC", roc_auc, greater_is_better=True, limits=SHARE),
    ),
    "regression": (
        RMSE,
        replace(RMSE, name="rmse_standardized", label="standardized RMSE", standardized=True),
        Metric("mae", "MAE", mae, row_loss=absolute_errors, limits=LOSS),
        Metric("r2", "R²", r2, greater_is_better=True, limits=SKILL),
    ),
}


def of(task: str, n_targets: int = 1) -> tuple[Metric, ...]:
    """The metrics of a task, in the order of scores.csv."""
    return tuple(metric for metric in METRICS[task] if n_targets > 1 or not metric.standardized)


def reported(task: str, n_targets: int, named: Sequence[str]) -> tuple[Metric, ...]:
    """All metrics of a study: those of the task, and user-defined ones, whose files are run.

    Args:
        task: the task.
        n_targets: the number of targets.
        named: the config's list.

    Returns:
        those that the list names, in its order, then the others of the task.

    Raises:
        RegfoldError: if the list names a metric of the other task, or a file fails.
    """
    known = {metric.name: metric for metric in of(task, n_targets)}
    chosen = []
    for name in named:
        if ":" not in name and name not in known:
            raise RegfoldError(
                f"config.yaml: metrics: {name} is not a metric of this {task}; expected "
                f"{', '.join(known)} or FILE.py:FUNCTION"
            )
        chosen.append(_own(name) if ":" in name else known.pop(name))
    return (*chosen, *known.values())


def inner(name: str) -> InnerMetric:
    """A known metric in the form that training uses to choose a strength on inner folds."""
    metric = next(metric for known in METRICS.values() for metric in known if metric.name == name)

    def of_rows(truth: np.ndarray, prediction: np.ndarray, weight: np.ndarray | None) -> float:
        return score([metric], truth, prediction, weight=weight)[name]

    return InnerMetric(name, metric.greater_is_better, of_rows)


def _own(named: str) -> Metric:
    """A user-defined metric, given as FILE.py:FUNCTION."""
    where = f"metrics: {quote(named)}"
    function = functions.load(named, "metrics")

    def checked(truth: np.ndarray, prediction: np.ndarray, weight: np.ndarray | None = None) -> float:
        try:
            value = function(truth, prediction, *([] if weight is None else [weight]))
        except (Exception, SystemExit) as error:
            raise RegfoldError(f"{where} failed: {functions.on_one_line(error)}") from error
        if not isinstance(value, numbers.Real) or isinstance(value, bool):
            raise RegfoldError(f"{where} returned a {type(value).__name__}; expected a number")
        return float(value)

    name = metric_list.name_of(named)
    return Metric(name, name, checked, bool(getattr(function, "higher_is_better", False)))


def try_own(
    named: Sequence[str],
    task: str,
    n_outputs: int,
    n_targets: int,
    truth: np.ndarray,
    weight: np.ndarray | None = None,
) -> None:
    """Try every metric before anything is trained, on the truth and on made-up predictions.

    Args:
        named: the config's list.
        task: the task.
        n_outputs: the number of classes, or of targets.
        n_targets: the number of targets.
        truth: (n,) class codes, or (n, n_targets) numbers.
        weight: (n,) float64; None without data.weight.

    Raises:
        RegfoldError: if the list does not suit the task, or a function fails or does not return a number.
    """
    chosen = reported(task, n_targets, named)
    if task == "classification":
        truth = np.eye(n_outputs)[truth]
    mean = truth.mean(axis=0)
    score(chosen, truth, 0.9 * np.roll(truth, 1, axis=0) + 0.1 * mean, deviations(truth), weight)
    # The headline is also computed for the constant prediction.
    score(chosen[:1], truth, np.tile(mean, (len(truth), 1)), deviations(truth), weight)


def row_losses(
    metric: Metric, truth: np.ndarray, prediction: np.ndarray, deviation: np.ndarray | float = 1.0
) -> np.ndarray:
    """The losses of rows whose mean is the metric (before the root, if it has one), float64 (n,).

    Greater is better if that is so for the metric. Arguments as for `score`.
    """
    return metric.row_loss(truth, prediction, *[deviation] * metric.standardized)


def ranking(chosen: Sequence[Metric]) -> Metric:
    """The metric by which strengths are chosen and models ranked and compared.

    Args:
        chosen: all metrics of a study, see `reported`. The first one ranks; if that is the RMSE and there are
            several targets, the standardized RMSE, in which each target counts the same.
    """
    return chosen[0] if chosen[0].function is not rmse else compared(chosen)[-1]


def compared(chosen: Sequence[Metric]) -> tuple[Metric, ...]:
    """The metrics that have intervals: the RMSEs; the last one is that which ranks models, see `ranking`."""
    order = sorted((metric for metric in chosen if metric.function is rmse), key=lambda m: m.standardized)
    return (*order, chosen[0]) if chosen[0].function is not rmse else tuple(order)


def deviations(truth: np.ndarray) -> np.ndarray:
    """Each output's standard deviation over the tested rows, float64 (outputs,); 1 for a constant output."""
    deviation = truth.std(axis=0)
    return np.where(np.ptp(truth, axis=0) > 0, deviation, 1.0)


def score(
    chosen: Sequence[Metric],
    truth: np.ndarray,
    prediction: np.ndarray,
    deviation: np.ndarray | float = 1.0,
    weight: np.ndarray | None = None,
) -> dict[str, float]:
    """Metrics on a set of rows; NaN where undefined, and NaN for all if any prediction is not finite.

    A row of weight 2 counts as two equal rows, a row of weight 0 as none.

    Args:
        chosen: the metrics.
        truth: (n, outputs) float64; one-hot for classes, the targets' own units in a regression.
        prediction: (n, outputs) float64; probabilities, or the targets' own units.
        deviation: (outputs,), the divisor of truth and prediction in standardized metrics; never weighted.
        weight: (n,) float64, each row's; None: all the same.
    """
    finite = np.isfinite(prediction).all()
    if weight is not None:
        truth, prediction, weight = (values[weight > 0] for values in (truth, prediction, weight))
    if not finite or not len(truth):
        return {metric.name: math.nan for metric in chosen}
    values = {}
    # scikit-learn warns of undefined values, which the result shows as NaN.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for metric in chosen:
            unit = deviation if metric.standardized else 1.0
            value = float(metric.function(truth / unit, prediction / unit, weight))
            values[metric.name] = value if math.isfinite(value) else math.nan
    return values


def are_probabilities(prediction: np.ndarray) -> np.ndarray:
    """Which rows, bool (n,), of class predictions are probabilities: from 0 to 1, with a sum of 1."""
    within = ((prediction >= 0) & (prediction <= 1)).all(axis=1)
    return within & np.isclose(prediction.sum(axis=1), 1, rtol=0, atol=1e-4)


def finite_or_none(value: float) -> float | None:
    """A value for JSON, which has no NaN."""
    return float(value) if math.isfinite(value) else None
