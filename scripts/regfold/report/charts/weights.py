"""Histograms of each layer's weights, with the distributions that were fitted to them."""

from collections.abc import Mapping

import altair as alt
import numpy as np
from scipy import stats

from regfold.formatting import significant
from regfold.report.charts.common import BLUE, GREY, INK, ORANGE, SKY, label, rows
from regfold.results.weights import Fit

EXTENT, BINS, POINTS = 4.0, 48, 65  # in standard deviations
# The histogram is cut at ROOM times the height of the curves; rows are PITCH times their height apart.
ROOM, PITCH = 1.4, 1.25
DASHED = "datum.series === 'generalized'"  # as it would hide a curve that it is close to
SERIES = {"Gaussian": BLUE, "Laplace": ORANGE, "generalized": INK, "initial": GREY}


def layers(
    weights: Mapping[str, np.ndarray],
    fits: Mapping[str, Fit],
    limits: Mapping[str, float],
    title: str = "weight",
    intervals: bool = True,
) -> alt.LayerChart:
    """A row per layer, each in its own standard deviations and with its own height.

    Args:
        weights: layer -> (n,), its weights in all folds.
        fits: layer -> the fitted distributions.
        limits: layer -> the bound of the uniform distribution of its initial weights, if it is known.
        title: of the axis: what the weights are.
        intervals: whether to write the intervals of the shapes.
    """
    bars, lines, texts, grid = [], [], [], np.linspace(-EXTENT, EXTENT, POINTS)
    bottoms = [PITCH * place for place in reversed(range(len(fits)))]
    for (layer, fit), bottom in zip(fits.items(), bottoms, strict=True):
        values = weights[layer][weights[layer] != 0] / fit.deviation
        counts, edges = np.histogram(values, BINS, (-EXTENT, EXTENT))
        density = counts / (len(values) * (edges[1] - edges[0]))
        curves = {
            "Gaussian": stats.norm.pdf(grid),
            "Laplace": stats.laplace.pdf(grid, scale=fit.laplace_scale / fit.deviation),
            "generalized": stats.gennorm.pdf(grid, fit.shape, scale=fit.scale / fit.deviation),
        }
        if layer in limits:
            limit = limits[layer] / fit.deviation
            curves["initial"] = stats.uniform.pdf(grid, -limit, 2 * limit)
        top = ROOM * max(curves["Gaussian"].max(), curves["Laplace"].max())
        bars += [
            {"x": float(low), "x2": float(high), "y": bottom, "y2": bottom + float(min(height / top, 1))}
            for low, high, height in zip(edges[:-1], edges[1:], density, strict=True)
            if height
        ]
        lines += [
            {"x": float(x), "y": bottom + float(min(y / top, 1)), "series": name, "line": f"{name} {bottom}"}
            for name, curve in curves.items()
            for x, y in zip(grid, curve, strict=True)
        ]
        extent = f" ({significant(fit.low, 2)} to {significant(fit.high, 2)})" if intervals else ""
        texts.append({"y": bottom + 0.95, "text": f"shape {significant(fit.shape, 2)}{extent}"})
    scale = alt.Scale(domain=[-EXTENT, EXTENT], nice=False)
    y = alt.Y(
        "y:Q",
        title=None,
        scale=alt.Scale(domain=[0, PITCH * len(fits)], nice=False),
        axis=alt.Axis(
            values=bottoms,
            tickCount=len(bottoms),
            labelExpr="layers[indexof(bottoms, datum.value)]",
            labelBaseline="bottom",
        ),
    )
    x = alt.X(
        "x:Q", title=f"{title}, in standard deviations of its layer", scale=scale, axis=alt.Axis(grid=False)
    )
    series = [name for name in SERIES if name != "initial" or limits]
    colors = alt.Scale(domain=series, range=[SERIES[name] for name in series])
    legend = alt.Legend(columns=4, symbolType="stroke", symbolStrokeWidth=2)
    names = [label(layer, 14) for layer in fits]
    return (
        alt.layer(
            alt.Chart(rows(bars))
            .mark_rect(color=SKY, opacity=0.35)
            .encode(x=x, x2=alt.X2("x2:Q"), y=y, y2=alt.Y2("y2:Q")),
            alt.Chart(rows(lines))
            .mark_line(strokeWidth=1.3)
            .encode(
                x=x,
                y=y,
                detail=alt.Detail("line:N"),
                color=alt.Color("series:N", scale=colors, legend=legend),
                strokeDash=alt.StrokeDashValue([1, 0], condition={"test": DASHED, "value": [4, 3]}),
            ),
            alt.Chart(rows(texts))
            .mark_text(align="right", color=INK)
            .encode(x=alt.XDatum(EXTENT), y=y, text=alt.Text("text:N")),
        )
        .add_params(alt.param(name="layers", value=names), alt.param(name="bottoms", value=bottoms))
        .properties(height=92 * len(fits))
    )
