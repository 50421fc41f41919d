"""Charts of values with intervals: a line for each level or column, with a point for each model."""

from collections.abc import Mapping, Sequence

import altair as alt
import pandas as pd

from regfold.formatting import significant
from regfold.report.charts.common import GREY, label, rows, series_scale
from regfold.results.remarks import Headline

# At most this many levels, the worst ones, and columns, the most important ones, are drawn.
MOST_LEVELS, MOST_COLUMNS = 12, 15


def shown_levels(scores: pd.DataFrame, metric: Headline, best: str) -> list[str]:
    """The levels that are drawn, in the table's order: the worst ones, small ones only if there is room.

    Args:
        scores: the lines of scores_by.csv of one column.
        metric: the metric that ranks the models.
        best: the model whose worst levels are chosen.
    """
    of_best = scores[scores["model"] == best].dropna(subset=metric.name)
    worst = of_best.sort_values(["small", metric.name], ascending=[True, metric.greater_is_better])["level"][
        :MOST_LEVELS
    ]
    return of_best.loc[of_best["level"].isin(worst), "level"].tolist()


def by_level(scores: pd.DataFrame, metric: Headline, best: str, overall: float | None) -> alt.LayerChart:
    """Each model's score with its interval for each level; small levels are pale.

    Args:
        scores, metric, best: see `shown_levels`.
        overall: the score of `best` over all rows, drawn as a dashed line.
    """
    levels = shown_levels(scores, metric, best)
    ends = {f"{metric.name}_{end}": end for end in ("low", "high")}
    lines = scores[scores["level"].isin(levels)]
    lines = lines.rename(columns={"level": "name", metric.name: "value"} | ends)
    counts = dict(zip(lines["name"], lines["n"], strict=True))
    names = {level: f"{label(level, 24)} ({counts[level]:,})" for level in levels}
    return _intervals(lines.to_dict("records"), names, metric.label, overall)


def importance(columns: pd.DataFrame, best: str, title: str) -> alt.LayerChart:
    """How much shuffling a column raises the error, for the columns that are most important to one model.

    Args:
        columns: importance.csv, see results.importance.table.
        best: the model that decides which columns are drawn, and in what order.
        title: of the axis.
    """
    lines = columns.rename(columns={"column": "name", "importance": "value"})
    first = lines.loc[lines["model"] == best, "name"][:MOST_COLUMNS]
    lines = lines[lines["name"].isin(first)].assign(small=False)
    return _intervals(lines.to_dict("records"), {name: label(name, 24) for name in first}, title, 0.0)


def _intervals(
    lines: Sequence[Mapping], names: Mapping[str, str], title: str, reference: float | None
) -> alt.LayerChart:
    """A point for each line's `value` and a rule from `low` to `high`, where these are not NaN.

    Args:
        lines: with `name`, `model`, `small` (pale), and the numbers above.
        names: name -> its text on the axis, in order.
        title: of the axis.
        reference: the position of a dashed line; None for no line.
    """
    places, models = list(names), list(dict.fromkeys(line["model"] for line in lines))
    points, spans = [], []
    for line in lines:
        if pd.notna(line["value"]):
            points.append(
                {
                    "y": places.index(line["name"]),
                    "x": line["value"],
                    "series": line["model"],
                    "state": "small" if line["small"] else "usual",
                    "text": significant(line["value"], 3),
                }
            )
            spans += [points[-1] | {"low": line["low"], "high": line["high"]}] * pd.notna(line["low"])
    look = {"grid": False, "labelExpr": "names[datum.value]", "labelFontSize": 12, "labelLimit": 180}
    base = alt.Chart().encode(
        y=alt.Y("y:O", title=None, axis=alt.Axis(**look), scale=alt.Scale(domain=list(range(len(names))))),
        yOffset=alt.YOffset("series:N", sort=models),
        color=alt.Color(
            "series:N",
            scale=series_scale(models),
            legend=alt.Legend() if len(models) > 1 else None,
        ),
        opacity=alt.OpacityValue(1, condition={"test": "datum.state === 'small'", "value": 0.4}),
    )
    x = alt.X("x:Q", title=title, scale=alt.Scale(zero=False))
    tooltip = [alt.Tooltip("series:N", title="model"), alt.Tooltip("text:N", title=title)]
    point = base.mark_point(filled=True, size=50).encode(x=x, tooltip=tooltip)
    layers = [point.properties(data=rows(points))]
    if spans:  # Vega warns of an empty layer
        rule = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q"), x2=alt.X2("high:Q"))
        layers.insert(0, rule.properties(data=rows(spans)))
    if reference is not None:
        line = alt.Chart(rows([{"x": reference}])).mark_rule(color=GREY, strokeDash=[4, 3]).encode(x=x)
        layers.insert(0, line)
    height = len(names) * max(24, 8 + 8 * len(models))
    chart = alt.layer(*layers, height=max(70, height))
    return chart.add_params(alt.param(name="names", value=list(names.values())))
