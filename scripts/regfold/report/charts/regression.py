"""Predictions of numbers against the truth."""

import altair as alt
import numpy as np

from regfold.report.charts import common
from regfold.report.charts.common import BLUE, INK, WARNING, label, rows

MOST_SCATTERED = 5_000
HISTOGRAM_BINS = 40
MOST_RESIDUALS = 1_500


def predicted_against_true(truth: np.ndarray, prediction: np.ndarray, name: str) -> alt.LayerChart:
    """A point per held-out row, above 5,000 rows a two-dimensional histogram, and the identity line.

    Predictions that are far out do not extend the axis; they are drawn at its edge.

    Args:
        truth: (n,) in the target's own units.
        prediction: (n,) likewise.
        name: the target.
    """
    finite = np.isfinite(prediction)
    lost = int((~finite).sum())
    truth, prediction = truth[finite], prediction[finite]
    low, high = _extent(truth, prediction)
    outside = (prediction < low) | (prediction > high)
    inside = np.clip(prediction, low, high)
    scale = alt.Scale(domain=[low, high], nice=False, zero=False)
    base = alt.Chart().encode(
        x=alt.X("x:Q", scale=scale, title=f"true {label(name)}"),
        y=alt.Y("y:Q", scale=scale, title=f"predicted {label(name)}"),
    )
    identity = base.mark_line(color=INK, strokeDash=[4, 3], strokeWidth=1).properties(
        data=rows([{"x": float(low), "y": float(low)}, {"x": float(high), "y": float(high)}])
    )
    if len(truth) > MOST_SCATTERED:
        marks = [
            base.mark_rect()
            .encode(
                x2=alt.X2("x2:Q"),
                y2=alt.Y2("y2:Q"),
                color=alt.Color(
                    "n:Q",
                    scale=alt.Scale(type="log", scheme="blues"),
                    legend=alt.Legend(title="rows", orient="top", gradientLength=120),
                ),
                tooltip=[alt.Tooltip("n:Q", title="rows")],
            )
            .properties(data=rows(_histogram(truth, inside, low, high)))
        ]
        shown = np.flatnonzero(outside)[:MOST_SCATTERED]
    else:
        shown = np.arange(len(truth))
        marks = []
    points = [
        {"x": float(truth[i]), "y": float(inside[i]), "outside": bool(outside[i]), "p": float(prediction[i])}
        for i in shown
    ]
    scattered = base.mark_point(filled=True, opacity=0.5 if len(truth) < 1000 else 0.25).encode(
        color=alt.ColorValue(BLUE, condition={"test": "datum.outside", "value": WARNING}),
        size=alt.SizeValue(28, condition={"test": "datum.outside", "value": 60}),
        tooltip=[alt.Tooltip("x:Q", title="true"), alt.Tooltip("p:Q", title="predicted")],
    )
    chart = alt.layer(*marks, scattered.properties(data=rows(points)), identity, height=330)
    tested = len(finite)
    notes = [f"{int(outside.sum()):,} of {tested:,} rows far outside, drawn at the edge"] * bool(
        outside.any()
    )
    notes += [f"{lost:,} of {tested:,} rows not finite"] * bool(lost)
    return chart.properties(title=common.warning("; ".join(notes))) if notes else chart


def residuals(truth: np.ndarray, prediction: np.ndarray, name: str) -> alt.LayerChart:
    """Residuals (truth minus prediction) against the prediction, and their median in tenths of the rows.

    At most MOST_RESIDUALS rows are drawn, evenly spaced by prediction; the line is that of all rows.

    Args:
        truth, prediction, name: see `predicted_against_true`.
    """
    finite = np.isfinite(prediction)
    order = np.flatnonzero(finite)[np.argsort(prediction[finite], kind="stable")]
    residual = truth - prediction
    drawn = order[:: -(-len(order) // MOST_RESIDUALS) or 1]
    points = [{"x": float(prediction[i]), "y": float(residual[i])} for i in drawn]
    tenths = [part for part in np.array_split(order, 10) if len(part)]
    medians = [{"x": float(prediction[t].mean()), "y": float(np.median(residual[t]))} for t in tenths]
    base = alt.Chart().encode(
        x=alt.X("x:Q", title=f"predicted {label(name)}", scale=alt.Scale(zero=False)),
        y=alt.Y("y:Q", title="true minus predicted"),
    )
    return alt.layer(
        base.mark_point(filled=True, size=22, opacity=0.35, color=BLUE).properties(data=rows(points)),
        alt.Chart(rows([{"y": 0.0}])).mark_rule(color=INK, strokeDash=[4, 3]).encode(y=alt.Y("y:Q")),
        base.mark_line(color=WARNING, strokeWidth=2).properties(data=rows(medians)),
        height=270,
    )


def _extent(truth: np.ndarray, prediction: np.ndarray) -> tuple[float, float]:
    """The range of both axes: that of truth and predictions, unless a prediction is far outside the truth."""
    if not len(truth):
        return 0.0, 1.0
    span = float(np.ptp(truth)) or 1.0
    low, high = float(truth.min()), float(truth.max())
    if prediction.min() < low - span or prediction.max() > high + span:
        margin = 0.2 * span
    else:
        low, high = min(low, float(prediction.min())), max(high, float(prediction.max()))
        margin = 0.03 * (high - low)
    return low - margin, high + margin


def _histogram(truth: np.ndarray, prediction: np.ndarray, low: float, high: float) -> list[dict]:
    """The cells of the two-dimensional histogram that have rows."""
    edges = np.linspace(low, high, HISTOGRAM_BINS + 1)
    counts, _, _ = np.histogram2d(truth, prediction, bins=[edges, edges])
    return [
        {
            "x": float(edges[i]),
            "x2": float(edges[i + 1]),
            "y": float(edges[j]),
            "y2": float(edges[j + 1]),
            "n": int(counts[i, j]),
        }
        for i, j in np.argwhere(counts > 0)
    ]
