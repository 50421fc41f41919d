"""Charts along a path of strengths: scores, the gap between training and held-out rows, and columns."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt
import numpy as np
import pandas as pd

from regfold.formatting import first_few
from regfold.report.charts import common
from regfold.report.charts.common import (
    BLUE,
    GREY,
    INK,
    SERIES,
    WARNING,
    label,
    log_axis,
    log_domain,
    rows,
)
from regfold.results.remarks import Headline

# As many counts as fit on a phone's screen without overlap, and as many strengths as a warning names.
MOST_COUNTS, MOST_NAMED = 7, 3
OTHERS = "other columns"


@dataclass(frozen=True)
class Places:
    """The positions of strengths on an axis.

    The axis is logarithmic, with the strength 0 at some distance before the smallest other one; or linear.

    Attributes:
        at: (strengths,), their positions.
        title: of the axis.
        axis: the lower axis.
        scale: its scale.
    """

    at: list[float]
    title: str
    axis: alt.Axis
    scale: alt.Scale

    @property
    def x(self) -> alt.X:
        return alt.X("x:Q", title=self.title, scale=self.scale, axis=self.axis)


def places(strengths: np.ndarray, name: str) -> Places:
    """The positions of ascending strengths; dropout rates, and less than a power of ten, on a linear axis."""
    positive = strengths[strengths > 0]
    title = "dropout rate" if name == "dropout" else f"strength of {name.removesuffix('.strength')}"
    if name == "dropout" or len(positive) < 2 or positive[-1] < 10 * positive[0]:
        scale = alt.Scale(zero=False, nice=False, padding=8)
        return Places(strengths.tolist(), title, alt.Axis(grid=False), scale)
    at = positive.tolist()
    axis = log_axis([at[0], at[-1]], grid=False)
    if len(positive) < len(strengths):
        # Far enough from the next strength for both labels, even on a phone.
        zero = at[0] / max(at[1] / at[0], (at[-1] / at[0]) ** 0.12)
        at = [zero, *at]
        axis.values, axis.tickCount = [zero, *axis.values], axis.tickCount + 1
        axis.labelExpr = f"datum.value < {math.sqrt(zero * at[1])!r} ? '0' : datum.label"
    domain = [at[0] / (at[-1] / at[0]) ** 0.02, at[-1] * (at[-1] / at[0]) ** 0.02]
    return Places(at, f"{title}, log scale", axis, alt.Scale(type="log", domain=domain, nice=False))


def score_along_path(
    table: pd.DataFrame, name: str, metric: Headline, chosen: Sequence[float]
) -> alt.LayerChart:
    """The mean score of the folds at each strength, with a band of one standard error, as cv.glmnet has it.

    The number of columns in use, or else of weights that are not zero, is written along the top if it
    changes. The best score and the choice of the one-standard-error rule are marked.

    Args:
        table: path/<model>.csv.
        name: of the strength that varies, such as kernel.l2.
        metric: the metric that ranks models.
        chosen: under `select: nested` each fold's strength; otherwise empty.
    """
    where = places(table["strength"].to_numpy(), name)
    mean, se = (table[f"{metric.name}_fold_{which}"].to_numpy() for which in ("mean", "se"))
    points = [
        {
            "x": where.at[i],
            "y": float(mean[i]),
            "low": float(mean[i] - np.nan_to_num(se[i])),
            "high": float(mean[i] + np.nan_to_num(se[i])),
            "strength": f"{table['strength'][i]:g}",
        }
        for i in np.flatnonzero(np.isfinite(mean))
    ]
    scale, axis = _score_scale([point[key] for point in points for key in ("low", "high")])
    y = alt.Y("y:Q", title=f"{metric.label}, mean of folds", scale=scale, axis=axis)
    base = alt.Chart(rows(points)).encode(x=where.x, y=y)
    marks = {
        f"{text}: {table['strength'][i]:.3g}": (where.at[i], color)
        for text, column, color in ((metric.best, "is_min", INK), ("within 1 SE", "is_one_se", WARNING))
        for i in np.flatnonzero(table[column])
    }
    colors = alt.Scale(domain=list(marks), range=[color for _, color in marks.values()])
    legend = alt.Legend(columns=2, symbolType="stroke", symbolStrokeWidth=2) if marks else None
    rules = [{"x": at, "series": text} for text, (at, _) in marks.items()]
    layers = [
        base.mark_area(color=BLUE, opacity=0.15).encode(y=alt.Y("low:Q"), y2=alt.Y2("high:Q")),
        alt.Chart(rows(rules))
        .mark_rule(strokeWidth=1.5, strokeDash=[4, 3])
        .encode(x=alt.X("x:Q"), color=alt.Color("series:N", scale=colors, legend=legend)),
        base.mark_line(color=BLUE, strokeWidth=1.5),
        base.mark_point(filled=True, color=BLUE, size=32, opacity=1).encode(
            tooltip=[
                alt.Tooltip("strength:N", title=name),
                alt.Tooltip("y:Q", title=f"{metric.label}, mean of folds"),
            ]
        ),
    ]
    if len(chosen):
        at = dict(zip(table["strength"], where.at, strict=True))
        ticks = rows([{"x": at[strength]} for strength in chosen])
        layers.append(
            alt.Chart(ticks)
            .mark_tick(color=INK, opacity=0.5, thickness=2, size=12)
            .encode(x=alt.X("x:Q"), y=alt.YValue(244))
        )
    chart = alt.layer(*layers)
    if counts := _counts(table):
        what, values = counts
        shown = np.unique(np.linspace(0, len(values) - 1, MOST_COUNTS).round().astype(int))
        at = [where.at[i] for i in shown]
        top = alt.Axis(
            orient="top",
            values=at,
            labelExpr="counts[indexof(places, datum.value)]",
            title=what,
            grid=False,
            labelOverlap=True,
            tickCount=len(at),  # with more values than this count, Vega drops every other one
        )
        invisible = base.mark_point(opacity=0).encode(x=alt.X("x:Q", scale=where.scale, axis=top))
        chart = (
            alt.layer(chart, invisible)
            .resolve_axis(x="independent")
            .add_params(
                alt.param(name="places", value=at),
                alt.param(name="counts", value=[f"{values[i]:,.0f}" for i in shown]),
            )
        )
    return _with_lost(chart.properties(height=250), table, mean)


def gap_along_path(table: pd.DataFrame, name: str, metric: str) -> alt.LayerChart:
    """The pooled RMSE of training rows and of held-out rows at each strength.

    Args:
        table: path/<model>.csv.
        name: of the strength that varies.
        metric: the label of the score.
    """
    where = places(table["strength"].to_numpy(), name)
    series = {"training rows": ("rmse_train", GREY), "held-out rows": ("rmse", BLUE)}
    points = [
        {"x": where.at[i], "y": float(values[i]), "series": text, "strength": f"{table['strength'][i]:g}"}
        for text, (column, _) in series.items()
        for values in [table[column].to_numpy()]
        for i in np.flatnonzero(np.isfinite(values))
    ]
    scale, axis = _score_scale([point["y"] for point in points])
    colors = alt.Scale(domain=list(series), range=[color for _, color in series.values()])
    base = alt.Chart(rows(points)).encode(
        x=where.x,
        y=alt.Y("y:Q", title=metric, scale=scale, axis=axis),
        color=alt.Color("series:N", scale=colors, legend=alt.Legend(symbolType="circle")),
    )
    tooltip = [alt.Tooltip("strength:N", title=name), alt.Tooltip("y:Q", title=metric)]
    layers = [base.mark_line(strokeWidth=1.5), base.mark_point(filled=True, size=32, opacity=1)]
    chart = alt.layer(layers[0], layers[1].encode(tooltip=tooltip), height=250)
    return _with_lost(chart, table, table["rmse"].to_numpy())


def norms_along_path(strengths: np.ndarray, norms: pd.DataFrame, name: str) -> alt.LayerChart:
    """The norm of each column's weights at each strength: which columns remain as the penalty grows.

    Those that remain longest have a colour and a name, the others are grey.

    Args:
        strengths: (strengths,), ascending.
        norms: (strengths, columns), mean over cells.
        name: of the strength that varies.
    """
    where = places(strengths, name)
    order = np.lexsort((-norms.to_numpy().sum(axis=0), -(norms.to_numpy() > 0).sum(axis=0)))
    names = [label(column, 24) for column in norms]
    palette = [color for color in SERIES if color != GREY]
    named = order[: len(palette)]
    points = [
        {"x": where.at[i], "y": float(norms.iloc[i, column]), "series": series, "line": int(column)}
        for column in order[::-1]  # the named ones last, on top
        for series in [names[column] if column in named else OTHERS]
        for i in np.flatnonzero(np.isfinite(norms.iloc[:, column]))
    ]
    domain = [names[column] for column in named] + [OTHERS] * (len(order) > len(named))
    colors = alt.Scale(domain=domain, range=[*palette[: len(named)], GREY])
    legend = alt.Legend(columns=3, symbolType="stroke", symbolStrokeWidth=2)
    lines = (
        alt.Chart(rows(points))
        .mark_line(strokeWidth=1.5, point=alt.OverlayMarkDef(size=20))
        .encode(
            x=where.x,
            y=alt.Y("y:Q", title="norm of a column's weights"),
            detail=alt.Detail("line:O"),
            color=alt.Color("series:N", scale=colors, legend=legend),
        )
    )
    return alt.layer(lines, height=250)


def _score_scale(values: Sequence[float]) -> tuple[alt.Scale, alt.Axis]:
    """A linear scale; a logarithmic one if a score is an order of magnitude above the median."""
    if common.spans_magnitudes(values):
        domain = log_domain(values)
        return alt.Scale(type="log", domain=domain), log_axis(domain)
    return alt.Scale(zero=False), alt.Axis()


def _counts(table: pd.DataFrame) -> tuple[str, np.ndarray] | None:
    """The count that is written along the path: its name and its values; None if no count changes."""
    for column, text in (("inputs", "columns in use"), ("nonzero", "weights that are not zero")):
        values = table[column].to_numpy()
        if np.isfinite(values).all() and np.ptp(values) > 0:
            return text, values
    return None


def _with_lost(chart: alt.LayerChart, table: pd.DataFrame, scores: np.ndarray) -> alt.LayerChart:
    """The chart with a warning that names the strengths without a finite score."""
    lost = [f"{strength:g}" for strength in table["strength"][~np.isfinite(scores)]]
    if not lost:
        return chart
    note = f"No finite score, so not drawn: {first_few(lost, MOST_NAMED)}"
    return chart.properties(title=common.warning(note))
