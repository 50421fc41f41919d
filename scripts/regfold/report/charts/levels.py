"""The chart of each model's score for each level of a column."""

import altair as alt
import pandas as pd

from regfold.formatting import significant
from regfold.report.charts.common import GREY, SERIES, label, rows
from regfold.results.metrics import Metric

# Of more levels, the worst ones are drawn.
MOST_LEVELS = 12


def shown(scores: pd.DataFrame, metric: Metric, best: str) -> list[str]:
    """The levels that are drawn, in their order: those with a score; small ones have to make room for others.

    Args:
        scores: the lines of scores_by.csv of one column.
        metric: the metric that ranks the models.
        best: the model whose worst levels are chosen.
    """
    of_best = scores[scores["model"] == best].dropna(subset=metric.name)
    worst = of_best.sort_values(["small", metric.name], ascending=[True, False])["level"][:MOST_LEVELS]
    return of_best.loc[of_best["level"].isin(worst), "level"].tolist()


def by_level(scores: pd.DataFrame, metric: Metric, best: str, overall: float | None) -> alt.LayerChart:
    """A point with its interval for each level and model, beside the best model's score over all rows.

    Args:
        scores, metric, best: see `shown`.
        overall: the score of `best` over all rows.
    """
    names = shown(scores, metric, best)
    lines = scores[scores["level"].isin(names)].dropna(subset=metric.name).to_dict("records")
    places = {line["level"]: f"{label(line['level'], 24)} ({line['n']:,})" for line in lines}
    models = list(dict.fromkeys(line["model"] for line in lines))
    points = [
        {
            "y": names.index(line["level"]),
            "x": line[metric.name],
            "series": line["model"],
            "state": "small" if line["small"] else "group",
            "text": significant(line[metric.name], 3),
        }
        for line in lines
    ]
    ends = [f"{metric.name}_{end}" for end in ("low", "high")]
    spans = [
        point | {"low": line[ends[0]], "high": line[ends[1]]}
        for point, line in zip(points, lines, strict=True)
        if pd.notna(line[ends[0]])
    ]
    look = {"grid": False, "labelExpr": "names[datum.value]", "labelFontSize": 12, "labelLimit": 180}
    base = alt.Chart().encode(
        y=alt.Y("y:O", title=None, axis=alt.Axis(**look), scale=alt.Scale(domain=list(range(len(names))))),
        yOffset=alt.YOffset("series:N", sort=models),
        color=alt.Color(
            "series:N",
            scale=alt.Scale(domain=models, range=[SERIES[i % len(SERIES)] for i in range(len(models))]),
            legend=alt.Legend() if len(models) > 1 else None,
        ),
        opacity=alt.condition("datum.state === 'small'", alt.value(0.4), alt.value(1)),
    )
    x = alt.X("x:Q", title=metric.label, scale=alt.Scale(zero=False))
    layers = [
        base.mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q").properties(data=rows(spans)),
        base.mark_point(filled=True, size=50)
        .encode(
            x=x,
            tooltip=[alt.Tooltip("series:N", title="model"), alt.Tooltip("text:N", title=metric.label)],
        )
        .properties(data=rows(points)),
    ]
    if overall is not None:
        line = alt.Chart(rows([{"x": overall}])).mark_rule(color=GREY, strokeDash=[4, 3]).encode(x=x)
        layers.insert(0, line)
    height = len(names) * max(24, 10 + 10 * len(models))
    chart = alt.layer(*layers).properties(height=max(70, height))
    return chart.add_params(alt.param(name="names", value=[places[name] for name in names]))
