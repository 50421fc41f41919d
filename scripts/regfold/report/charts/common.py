"""The theme of all charts, and the charts of a study as a whole: fold scores and measured penalties.

Charts are drawn from rows with fixed field names (x, y, series, ...). Names from the user's table are data or
titles, never field names or expressions, so that Vega never interprets them.
"""

import json
import math
from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from regfold.formatting import first_few, significant, visible
from regfold.results.remarks import Headline

# Okabe and Ito's palette, which is safe for colour-blind readers.
INK, GREY, FAINT = "#1f2328", "#8b929c", "#dfe3e8"
BLUE, GREEN, PURPLE, SKY, ORANGE, WARNING = "#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#D55E00"
SERIES = (BLUE, GREEN, PURPLE, ORANGE, SKY, GREY, "#7A4A2B", "#5D3A9B")
FONT = "Helvetica Neue, Helvetica, Arial, Liberation Sans, sans-serif"
LARGE_RATIO = 10
MOST_LABELS = 3

THEME = {
    # To describe each mark, Vega-Lite puts axis titles into expressions without escaping backslashes, so that
    # `\x1b` in a name would become a control character. The page describes each chart as a whole.
    "aria": False,
    "background": "white",
    "font": FONT,
    "padding": 4,
    "view": {"stroke": None},
    "axis": {
        "domain": False,
        "ticks": False,
        "grid": True,
        "gridColor": "#eceff2",
        "labelColor": "#57606a",
        "labelFontSize": 11,
        "labelPadding": 6,
        "labelLimit": 120,
        "titleColor": INK,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 8,
        "titleLimit": 300,
    },
    "axisQuantitative": {"tickCount": 5},
    "legend": {
        "orient": "top",
        "title": None,
        "labelFontSize": 12,
        "labelColor": INK,
        "labelLimit": 150,
        "columns": 3,
        "offset": 4,
    },
    "title": {"anchor": "start", "offset": 6},
    "text": {"font": FONT, "fontSize": 11},
}


def rows(values: Sequence[dict]) -> alt.InlineData:
    """Rows as a chart's data, with numbers rounded to 6 digits, a difference that cannot be seen.

    They are passed as JSON text, because Altair would validate and copy every number several times.
    """
    shown = [
        {key: float(f"{value:.6g}") if isinstance(value, float) else value for key, value in row.items()}
        for row in values
    ]
    return alt.InlineData(json.dumps(shown), format=alt.JsonDataFormat(type="json"))


def label(text: object, most: int = 40) -> str:
    """A name from the user's table as one line of at most `most` characters."""
    line = visible(text).strip()
    return f"{line[: most - 1]}…" if len(line) > most else line


def series_scale(names: Sequence[str]) -> alt.Scale:
    """A colour for each of these series, in their order."""
    names = list(names)
    return alt.Scale(domain=names, range=[SERIES[i % len(SERIES)] for i in range(len(names))])


def spans_magnitudes(values: Sequence[float]) -> bool:
    """Whether a log axis is needed: one of the numbers is an order of magnitude above their median."""
    positive = [value for value in values if math.isfinite(value) and value > 0]
    if any(value < 0 for value in values):  # some metrics, such as R², can be negative
        return False
    return bool(positive) and max(positive) > LARGE_RATIO * float(np.median(positive))


def log_domain(values: Sequence[float]) -> list[float] | None:
    """The range of the positive numbers, slightly widened; None if there are none."""
    positive = [float(value) for value in values if np.isfinite(value) and value > 0]
    return [min(positive) / 1.15, max(positive) * 1.15] if positive else None


def warning(text: str) -> alt.TitleParams:
    """A line above a chart about what the chart cannot show."""
    return alt.TitleParams(text, color=WARNING, fontSize=12, fontWeight="normal", limit=600)


def log_axis(domain: list[float] | None, **look) -> alt.Axis:
    """A log axis with few grid lines: powers of ten, and 2 and 5 times these if there are few.

    Args:
        domain: see `log_domain`.
        look: further arguments of alt.Axis.
    """
    low, high = domain or [0.1, 1]
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if len(powers) <= 4 else (1,)
    every = max(1, len(powers) // 8)
    values = [step * 10.0**power for power in powers[::every] for step in steps]
    plain = low >= 1e-4 and high < 1e10
    values = [value for value in values if low <= value <= high]
    return alt.Axis(
        values=values,
        tickCount=len(values),  # with more values than this count, Vega drops every other one
        format=",~r" if plain else ".0e",
        labelOverlap=True,
        **look,
    )


def fold_strip(scores: pd.DataFrame, models: dict[str, dict], metric: Headline, unit: str) -> alt.LayerChart:
    """Each fold's score as a point and the pooled one as a bar, all models on one axis, flagged folds marked.

    Args:
        scores: scores.csv, see `scores.table`.
        models: the summary's "models".
        metric: the metric that is shown.
        unit: what the metric is measured in, for the axis.
    """
    repeated = any(result["repeats"] > 1 for result in models.values())
    points, not_finite = [], []
    for model in models:
        of_model = scores[scores["model"] == model].to_dict("records")
        worst = sorted((line for line in of_model if line["flags"]), key=lambda line: -line[metric.name])
        for place, line in enumerate(of_model):
            cell = f"repeat {line['repeat']}, fold {line['fold']}" if repeated else f"fold {line['fold']}"
            if math.isfinite(line[metric.name]):
                points.append(
                    {
                        "y": model,
                        "x": line[metric.name],
                        "offset": (0, 1, -1, 0.5, -0.5)[place % 5] if len(of_model) > 1 else 0,
                        "state": "flagged" if line["flags"] else "fold",
                        "label": cell if line in worst[:MOST_LABELS] else "",
                        "cell": cell,
                        "score": significant(line[metric.name]),
                    }
                )
            else:
                not_finite.append(f"{label(model)} ({cell})")
    pooled = [
        {"y": model, "x": result[metric.name], "text": f"pooled {significant(result[metric.name])}"}
        for model, result in models.items()
        if result[metric.name] is not None
    ]
    values = [point["x"] for point in points + pooled]
    log = spans_magnitudes(values)
    scale = alt.Scale(type="log", domain=log_domain(values)) if log else alt.Scale(zero=False, nice=True)
    axis = log_axis(log_domain(values)) if log else alt.Axis()
    x = alt.X("x:Q", scale=scale, axis=axis, title=f"{metric.label}{unit}{', log scale' * log}")
    y = alt.Y("y:N", sort=list(models), title=None, axis=alt.Axis(grid=False, labelFontSize=12))
    flagged = [{**point, "text": point["label"]} for point in points if point["label"]]
    base = alt.Chart().encode(x=x, y=y)
    layers = [
        base.mark_tick(thickness=3, size=34, color=INK).properties(data=rows(pooled)),
        base.mark_point(filled=True, opacity=0.75)
        .encode(
            yOffset=alt.YOffset("offset:Q", scale=alt.Scale(domain=[-4, 4])),
            color=_by_state(alt.Color, BLUE, WARNING, legend=bool(flagged)),
            shape=_by_state(alt.Shape, "circle", "diamond", legend=bool(flagged)),
            size=alt.SizeValue(60, condition={"test": "datum.state === 'flagged'", "value": 130}),
            tooltip=[alt.Tooltip("cell:N", title="fold"), alt.Tooltip("score:N", title=metric.label)],
        )
        .properties(data=rows(points)),
    ]
    # Text stays within the chart: it starts at its mark in the left half, and ends there in the right one.
    middle = (min(values) * max(values)) ** 0.5 if log else (min(values) + max(values)) / 2 if values else 0
    for texts, height, color in ((pooled, -27, INK), (flagged, 27, WARNING)):
        for side, shift in (("left", -4), ("right", 4)):
            of_side = [text for text in texts if (text["x"] > middle) == (side == "right")]
            mark = base.mark_text(
                dy=height, dx=shift, align=side, color=color, fontSize=12, fontWeight="bold"
            )
            layers += [mark.encode(text=alt.Text("text:N")).properties(data=rows(of_side))] if of_side else []
    chart = alt.layer(*layers, height=max(90, 76 * len(models)))
    if not_finite:
        note = f"Not finite, so not on the axis: {first_few(not_finite, MOST_LABELS)}"
        chart = chart.properties(title=warning(note))
    return chart


def _by_state(channel: type, fold: str, flagged: str, legend: bool) -> alt.Color | alt.Shape:
    scale = alt.Scale(domain=["fold", "flagged"], range=[fold, flagged])
    return channel("state:N", scale=scale, legend=alt.Legend() if legend else None)


PENALTIES = {
    "kernel_l1": "weights, Σ|w|",
    "kernel_l2": "weights, Σw²",
    "bias_l1": "biases, Σ|b|",
    "bias_l2": "biases, Σb²",
    "activity_l1": "activations, Σ|a|",
    "activity_l2": "activations, Σa²",
}


def measured_penalties(cells: Sequence[dict], models: Sequence[str]) -> alt.LayerChart:
    """The value of each penalty at strength 1 on the trained weights: a point per fold, a bar at their mean.

    Args:
        cells: the contents of their cell.json.
        models: the models' names, in order.
    """
    points = [
        {"y": text, "x": value, "series": cell["model"], "cell": f"{cell['repeat']}-{cell['fold']}"}
        for key, text in PENALTIES.items()
        for cell in cells
        if (value := cell["penalties"].get(key)) is not None and math.isfinite(value) and value > 0
    ]
    means = []
    for text in PENALTIES.values():
        for model in models:
            values = [point["x"] for point in points if point["y"] == text and point["series"] == model]
            if values:
                means.append({"y": text, "x": float(np.mean(values)), "series": model})
    domain = log_domain([point["x"] for point in points]) or [0.1, 1]
    base = alt.Chart().encode(
        x=alt.X(
            "x:Q",
            title="measured on the kept weights, log scale",
            scale=alt.Scale(type="log", domain=domain),
            axis=log_axis(domain),
        ),
        y=alt.Y("y:N", sort=list(PENALTIES.values()), title=None, axis=alt.Axis(grid=False)),
        yOffset=alt.YOffset("series:N", sort=list(models)),
        color=alt.Color(
            "series:N",
            scale=series_scale(models),
            legend=alt.Legend() if len(models) > 1 else None,
        ),
    )
    return alt.layer(
        base.mark_point(filled=True, size=30, opacity=0.5).properties(data=rows(points)),
        base.mark_tick(thickness=2.5, size=14)
        .encode(tooltip=[alt.Tooltip("series:N", title="model"), alt.Tooltip("x:Q", title="mean over folds")])
        .properties(data=rows(means)),
        height=max(170, len(PENALTIES) * (14 + 14 * len(models))),
    )
