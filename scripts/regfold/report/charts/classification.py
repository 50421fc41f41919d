"""Predictions of classes against the truth: the confusion matrix, and calibration of the probabilities."""

from collections.abc import Sequence

import altair as alt
import numpy as np

from regfold.report.charts import common
from regfold.report.charts.common import BLUE, GREY, INK, SERIES, label, rows

CALIBRATION_BINS = 10
FEW_CLASSES = 5
# With more than MOST_CLASSES classes, only the MOST_CONFUSED ones are drawn: as many as leave room for names.
MOST_CLASSES, MOST_CONFUSED = 50, 25
TOP_LABEL = "the predicted class"


def confusion_matrix(truth: np.ndarray, prediction: np.ndarray, classes: Sequence[str]) -> alt.LayerChart:
    """The share of each true class's rows that was given each predicted class, with counts.

    With many classes the most confused ones are shown; the shares are of all rows of the true class.

    Args:
        truth: (n, classes) one-hot.
        prediction: (n, classes) probabilities.
        classes: their names.
    """
    finite = np.isfinite(prediction).all(axis=1)
    counts = np.zeros((len(classes), len(classes)), dtype=int)
    np.add.at(counts, (truth[finite].argmax(axis=1), prediction[finite].argmax(axis=1)), 1)
    totals = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    if len(classes) > MOST_CLASSES:
        shown = most_confused(counts)
        counts, totals, classes = counts[np.ix_(shown, shown)], totals[shown], [classes[i] for i in shown]
    shares = counts / totals
    cells = [
        {
            "y": i,
            "x": j,
            "share": float(shares[i, j]),
            "percent": f"{100 * shares[i, j]:.0f}%" if counts[i, j] else "",
            "n": int(counts[i, j]),
            "count": f"{counts[i, j]:,}" if counts[i, j] else "",
        }
        for i in range(len(classes))
        for j in range(len(classes))
    ]
    # Classes are drawn by position, so that two names which are shortened to one text remain two classes.
    names = [label(name, 16) for name in classes]
    look = {"grid": False, "labelExpr": "names[datum.value]", "labelOverlap": True, "labelLimit": 90}
    base = alt.Chart(rows(cells)).encode(
        x=alt.X(
            "x:O", title="predicted class", axis=alt.Axis(**look, labelAngle=0 if len(classes) <= 4 else -45)
        ),
        y=alt.Y("y:O", title="true class", axis=alt.Axis(**look)),
    )
    ink = alt.ColorValue(INK, condition={"test": "datum.share > 0.55", "value": "white"})
    layers = [
        base.mark_rect(stroke="white", strokeWidth=2).encode(
            color=alt.Color("share:Q", scale=alt.Scale(range=["#f3f6f9", BLUE], domain=[0, 1]), legend=None),
            tooltip=[alt.Tooltip("n:Q", title="rows"), alt.Tooltip("percent:N", title="of the true class")],
        )
    ]
    if len(classes) <= 6:
        layers += [
            base.mark_text(dy=-7, fontSize=14, fontWeight="bold").encode(
                text=alt.Text("percent:N"), color=ink
            ),
            base.mark_text(dy=10, fontSize=11).encode(text=alt.Text("count:N"), color=ink),
        ]
    elif len(classes) <= 15:
        layers += [base.mark_text(fontSize=10).encode(text=alt.Text("count:N"), color=ink)]
    chart = alt.layer(*layers, height=max(200, min(420, 68 * len(classes))))
    return _with_lost(chart.add_params(alt.param(name="names", value=names)), finite)


def most_confused(counts: np.ndarray) -> list[int]:
    """The codes of MOST_CONFUSED classes: those of the pairs that are confused most often, ascending.

    Args:
        counts: (classes, classes), the rows of each true class (first axis) by predicted class.
    """
    first, second = np.triu_indices(len(counts), 1)
    mistaken = (counts + counts.T)[first, second]
    # This many pairs contain MOST_CONFUSED classes, even if each class is in a pair with every other.
    pairs = np.argsort(-mistaken, kind="stable")[: MOST_CONFUSED**2]
    found = dict.fromkeys(np.stack([first[pairs], second[pairs]], axis=1).ravel().tolist())
    return sorted(list(found)[:MOST_CONFUSED])


def calibration(
    truth: np.ndarray, prediction: np.ndarray, classes: Sequence[str], repeats: int = 1
) -> alt.LayerChart:
    """Reliability diagram: the observed frequency of a class against its predicted probability.

    Ten bins of equal width; the size of a point is its number of rows. The bars are Wilson's 95 % intervals
    (Wilson, 1927) of the predicted class, with the number of rows divided by the number of repeats, since
    the repeats test the same rows.

    Args:
        truth: (n, classes) one-hot.
        prediction: (n, classes) probabilities.
        classes: their names; if they are few, each has points of its own.
        repeats: how often each row was tested.
    """
    finite = np.isfinite(prediction).all(axis=1)
    truth, prediction = truth[finite], prediction[finite]
    best = prediction.argmax(axis=1)
    at = np.arange(len(best))
    series = {TOP_LABEL: (prediction[at, best], truth[at, best])}
    if len(classes) == 2:
        series[f"class {label(classes[1], 16)}"] = prediction[:, 1], truth[:, 1]
    elif len(classes) <= FEW_CLASSES:
        series |= {
            f"class {label(name, 16)}": (prediction[:, i], truth[:, i]) for i, name in enumerate(classes)
        }
    points = [
        {"series": name, **point}
        for name, (given, observed) in series.items()
        for point in _reliability(given, observed, repeats)
    ]
    names = list(series)
    colors = [INK, *(SERIES[i % len(SERIES)] for i in range(len(names) - 1))]
    scale = alt.Scale(domain=[0, 1], nice=False)
    base = alt.Chart(rows(points)).encode(
        x=alt.X("x:Q", title="predicted probability", scale=scale),
        y=alt.Y("y:Q", title="observed frequency", scale=scale),
        color=alt.Color(
            "series:N",
            scale=alt.Scale(domain=names, range=colors),
            legend=alt.Legend(columns=2, symbolOpacity=1, symbolType="circle"),
        ),
    )
    top = base.transform_filter(alt.FieldEqualPredicate(field="series", equal=TOP_LABEL))
    identity = (
        alt.Chart(rows([{"x": 0, "y": 0}, {"x": 1, "y": 1}]))
        .mark_line(color=GREY, strokeDash=[4, 3], strokeWidth=1)
        .encode(x=alt.X("x:Q"), y=alt.Y("y:Q"))
    )
    chart = alt.layer(
        identity,
        top.mark_rule(strokeWidth=1.5, opacity=0.5).encode(y=alt.Y("low:Q"), y2=alt.Y2("high:Q")),
        base.mark_point(filled=True, opacity=0.85).encode(
            size=alt.Size("n:Q", scale=alt.Scale(range=[20, 260]), legend=None),
            tooltip=[
                alt.Tooltip("n:Q", title="rows"),
                alt.Tooltip("x:Q", title="predicted", format=".3f"),
                alt.Tooltip("y:Q", title="observed", format=".3f"),
            ],
        ),
        height=270,
    )
    return _with_lost(chart, finite)


def _with_lost(chart: alt.LayerChart, finite: np.ndarray) -> alt.LayerChart:
    """The chart with a warning about rows without a finite prediction."""
    lost = int((~finite).sum())
    note = f"{lost:,} of {len(finite):,} rows have no finite prediction and are not counted"
    return chart.properties(title=common.warning(note)) if lost else chart


def _reliability(given: np.ndarray, observed: np.ndarray, repeats: int) -> list[dict]:
    """The points of one class: a point per bin with rows.

    Args:
        given: (n,), predicted probabilities.
        observed: (n,), 1 where the prediction came true, otherwise 0.
        repeats: how often each row was tested.
    """
    bins = np.clip((given * CALIBRATION_BINS).astype(int), 0, CALIBRATION_BINS - 1)
    points = []
    for chosen in (bins == i for i in range(CALIBRATION_BINS)):
        if chosen.any():
            share = float(observed[chosen].mean())
            low, high = wilson(share, max(1.0, chosen.sum() / repeats))
            points.append(
                {
                    "x": float(given[chosen].mean()),
                    "y": share,
                    "low": low,
                    "high": high,
                    "n": int(chosen.sum()),
                }
            )
    return points


def wilson(share: float, n: float, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's score interval of a share among n rows."""
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    return max(0.0, centre - half), min(1.0, centre + half)
