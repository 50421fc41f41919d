"""The chart of how every other model differs from the best one."""

import altair as alt

from regfold.formatting import significant
from regfold.report.charts.common import BLUE, FAINT, GREY, INK, rows
from regfold.results.intervals import LEVEL
from regfold.results.remarks import Headline


def against_best(lines: list[dict], metric: Headline) -> alt.LayerChart:
    """How much worse each other model scores, with an interval; grey if the difference is not significant.

    Args:
        lines: for each other model `model`, `difference`, `low`, `high`, `p_value`, and `rope`, half the
            width of the region of practical equivalence, which is shaded.
        metric: the metric that ranks models.
    """
    shown = [
        {
            "y": line["model"],
            "x": line["difference"],
            "low": line["low"],
            "high": line["high"],
            "state": "apart" if line["p_value"] < 1 - LEVEL else "not apart",
            "text": f"{significant(line['low'], 3)} to {significant(line['high'], 3)}",
        }
        for line in lines
    ]
    bands = [{"y": line["model"], "low": -line["rope"], "high": line["rope"]} for line in lines]
    y = alt.Y("y:N", sort=[line["model"] for line in lines], title=None, axis=alt.Axis(grid=False))
    x = alt.X("x:Q", title=f"{metric.label} {metric.worse} by")
    color = alt.Color(
        "state:N", scale=alt.Scale(domain=["apart", "not apart"], range=[BLUE, GREY]), legend=None
    )
    tooltip = [alt.Tooltip("y:N", title="model"), alt.Tooltip("text:N", title="95 % interval")]
    base = alt.Chart(rows(shown)).encode(y=y)
    band = (
        alt.Chart(rows(bands))
        .mark_bar(color=FAINT, height=24)
        .encode(y=y, x=alt.X("low:Q"), x2=alt.X2("high:Q"))
    )
    return alt.layer(
        band,
        alt.Chart(rows([{"x": 0.0}])).mark_rule(color=INK).encode(x=x),
        base.mark_rule(strokeWidth=3).encode(
            x=alt.X("low:Q"), x2=alt.X2("high:Q"), color=color, tooltip=tooltip
        ),
        base.mark_point(filled=True, size=80, opacity=1).encode(x=x, color=color, tooltip=tooltip),
        height=max(60, 34 * len(shown)),
    )
