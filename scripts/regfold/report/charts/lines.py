"""Line charts with a curve for each model, class or target."""

from collections.abc import Mapping, Sequence

import altair as alt
import numpy as np
from scipy.stats import norm
from sklearn.metrics import precision_recall_curve, roc_curve

from regfold.report.charts.common import GREY, label, rows, series_scale
from regfold.results.calibration import BINS

# Curves have at most GRID points, and are computed from at most MOST_ROWS rows.
GRID, MOST_ROWS = 101, 20_000
FEWEST = 10
Curve = Sequence[tuple[float, float]]


def lines(
    curves: Mapping[str, Curve],
    x: str,
    y: str,
    *,
    reference: Curve = (),
    unit_square: bool = False,
    dots: bool = False,
) -> alt.LayerChart:
    """A chart with a line for each series.

    Args:
        curves: series -> its points, in order.
        x, y: the axes' titles.
        reference: the points of a dashed line.
        unit_square: whether both axes go from 0 to 1.
        dots: whether points are marked.
    """
    names = {name: label(name, 24) for name in curves}
    points = [
        {"x": float(a), "y": float(b), "series": names[name], "line": i}
        for name, curve in curves.items()
        for i, (a, b) in enumerate(curve)
    ]
    scale = alt.Scale(domain=[0, 1], nice=False) if unit_square else alt.Scale(zero=False)
    base = alt.Chart().encode(x=alt.X("x:Q", title=x, scale=scale), y=alt.Y("y:Q", title=y, scale=scale))
    shown = list(dict.fromkeys(names.values()))
    color = alt.Color(
        "series:N",
        scale=series_scale(shown),
        legend=alt.Legend(symbolType="stroke", symbolStrokeWidth=3) if len(shown) > 1 else None,
    )
    layers = [
        base.mark_line(strokeWidth=1.8, strokeOpacity=0.9)
        .encode(color=color, order=alt.Order("line:Q"))
        .properties(data=rows(points))
    ]
    if reference:
        ends = [{"x": float(a), "y": float(b)} for a, b in reference]
        layers.insert(
            0, base.mark_line(color=GREY, strokeDash=[4, 3], strokeWidth=1).properties(data=rows(ends))
        )
    if dots:
        layers.append(base.mark_point(filled=True, size=35).encode(color=color).properties(data=rows(points)))
    return alt.layer(*layers, height=270)


def some_rows(n: int) -> slice:
    """At most MOST_ROWS of n rows, evenly spaced."""
    return slice(None, None, -(-n // MOST_ROWS))


def roc(truth: np.ndarray, prediction: np.ndarray) -> Curve:
    """ROC curve: true against false positive rate, of the second of two classes, or mean over more classes.

    Args:
        truth: (n, classes) one-hot.
        prediction: (n, classes) probabilities.
    """
    grid, found = np.linspace(0, 1, GRID), []
    for positive, given in _one_against_rest(truth, prediction):
        false, true, _ = roc_curve(positive, given)
        found.append(np.interp(grid, false, true))
    return [(0.0, 0.0), *zip(grid, np.mean(found, axis=0), strict=True)] if found else []


def precision_recall(truth: np.ndarray, prediction: np.ndarray) -> Curve:
    """Precision against recall, of the second of two classes, or mean over more classes.

    Args: see `roc`.
    """
    grid, found = np.linspace(1 / GRID, 1, GRID), []
    for positive, given in _one_against_rest(truth, prediction):
        precision, recall, _ = precision_recall_curve(positive, given)
        # Recall falls along the curve: this is the last point where it is high enough.
        found.append(precision[len(recall) - 1 - np.searchsorted(recall[::-1], grid - 1e-12)])
    return list(zip(grid, np.mean(found, axis=0), strict=True)) if found else []


def calibration(truth: np.ndarray, prediction: np.ndarray) -> Curve:
    """Accuracy against the probability of the predicted class, in bins of equal width.

    Bins with fewer than FEWEST rows are too uncertain and are left out.

    Args: see `roc`.
    """
    best, at = prediction.argmax(axis=1), np.arange(len(prediction))
    given, right = prediction[at, best], truth[at, best]
    bins = np.clip((given * BINS).astype(int), 0, BINS - 1)
    filled = np.flatnonzero(np.bincount(bins) >= FEWEST)
    return [(given[bins == i].mean(), right[bins == i].mean()) for i in filled]


def normal_quantiles(residuals: np.ndarray) -> Curve:
    """Quantiles of residuals, (n,), in standard deviations, against those of the normal distribution."""
    shares = (np.arange(100) + 0.5) / 100
    centred = residuals - residuals.mean()
    return list(zip(norm.ppf(shares), np.quantile(centred, shares) / (centred.std() or 1.0), strict=True))


def error_by_size(truth: np.ndarray, residuals: np.ndarray) -> Curve:
    """RMSE against the mean true value, in tenths of the rows by true value; truth and residuals are (n,)."""
    tenths = [part for part in np.array_split(np.argsort(truth, kind="stable"), 10) if len(part)]
    return [(truth[part].mean(), np.sqrt(np.mean(np.square(residuals[part])))) for part in tenths]


def _one_against_rest(truth: np.ndarray, prediction: np.ndarray):
    """Yield truth and probability, (n,) each, of each class that some rows have and others do not."""
    part = some_rows(len(truth))
    truth, prediction = truth[part], prediction[part]
    classes = [1] if truth.shape[1] == 2 else range(truth.shape[1])
    for code in classes:
        if 0 < truth[:, code].sum() < len(truth):
            yield truth[:, code], prediction[:, code]
