"""Learning curves: the loss of training and held-out rows by epoch, in every fold."""

import math
from collections.abc import Mapping, Sequence

import altair as alt
import numpy as np

from regfold.report.charts.common import BLUE, GREY, INK, WARNING, log_axis, log_domain, rows

MOST_POINTS = 200
# Points of the folds' own lines, which are faint: at most of all folds together, and at least of one fold.
MOST_FAINT_POINTS, FEWEST_FAINT_POINTS = 700, 20
SMALLEST_LOSS = 1e-9


def thin(epochs: np.ndarray, values: np.ndarray, most: int) -> np.ndarray:
    """Choose at most `most` points of a curve: the first, the last, and the extremes in between.

    Args:
        epochs, values: (n,), the curve.
        most: how many points.

    Returns:
        the positions of the points: in each stretch of epochs those of its lowest and its highest value.
    """
    if len(epochs) <= most:
        return np.arange(len(epochs))
    stretches = np.array_split(np.arange(1, len(epochs) - 1), max(1, most // 2 - 1))
    kept = {0, len(epochs) - 1}
    for stretch in stretches:
        kept |= {int(stretch[values[stretch].argmin()]), int(stretch[values[stretch].argmax()])}
    return np.array(sorted(kept))


def quartiles(curves: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[dict]:
    """Median (y) and quartiles (low, high) of the folds' curves, up to the median of their last epochs.

    Args:
        curves: for each fold the epochs and the values, (n,) each.
    """
    end = np.median([epochs[-1] for epochs, _ in curves])
    grid = np.unique(np.linspace(min(epochs[0] for epochs, _ in curves), end, MOST_POINTS // 4).round())
    values = [np.interp(grid, *curve, left=np.nan, right=np.nan) for curve in curves]
    of_folds = np.nanquantile(values, [0.25, 0.5, 0.75], axis=0).T
    return [
        {"x": x, "low": low, "y": y, "high": high}
        for x, (low, y, high) in zip(grid.tolist(), of_folds.tolist(), strict=True)
    ]


def loss_domain(histories: Sequence[Mapping[str, np.ndarray]]) -> list[float] | None:
    """The range of all losses, so that the curves of all models with the same loss share an axis.

    The axis is linear where a loss is negative, as the Poisson loss may be; else logarithmic.
    """
    losses = [
        history[key] for history in histories for key in ("train_loss", "heldout_loss") if key in history
    ]
    values = np.concatenate(losses) if losses else np.array([])
    values = values[np.isfinite(values)]
    if len(values) and values.min() < 0:
        return [float(values.min()), float(values.max())]
    return log_domain(np.maximum(values, SMALLEST_LOSS))


def learning_curves(
    cells: Sequence[dict],
    histories: Sequence[Mapping[str, np.ndarray]],
    flagged: set[tuple[int, int]],
    loss: str,
    domain: list[float] | None,
) -> alt.LayerChart:
    """One model's curves for training and held-out rows: the folds' median and quartiles, and kept epochs.

    The folds' own lines are faint, except those of flagged folds.

    Args:
        cells: the model's cell.json, with `histories` in the same order.
        histories: the columns of their history.csv.
        flagged: (repeat, fold) of the cells whose lines are drawn in the warning colour.
        loss: the loss's name, for the axis.
        domain: see `loss_domain`.
    """
    is_linear = domain is not None and domain[0] < 0
    least = -math.inf if is_linear else SMALLEST_LOSS
    most = max(FEWEST_FAINT_POINTS, min(MOST_POINTS, MOST_FAINT_POINTS // max(1, 2 * len(cells))))
    points: dict[str, list[dict]] = {"training rows": [], "held-out rows": [], "flagged fold": []}
    curves: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {"training rows": [], "held-out rows": []}
    kept = []
    for cell, history in zip(cells, histories, strict=True):
        name = (cell["repeat"], cell["fold"])
        for key, series in (("train_loss", "training rows"), ("heldout_loss", "held-out rows")):
            values = history.get(key, np.array([]))
            finite = np.isfinite(values)
            epochs, values = history["epoch"][finite], np.maximum(values[finite], least)
            if not len(epochs):
                continue
            curves[series].append((epochs, values))
            points["flagged fold" if name in flagged else series] += [
                {"x": int(epochs[i]), "y": float(values[i]), "line": f"{name[0]}-{name[1]}{key[0]}"}
                for i in thin(epochs, values, most)
            ]
        at = np.flatnonzero(history["epoch"] == cell["best_epoch"]) if history else []
        if len(at) and math.isfinite(history["train_loss"][at[0]]):
            loss_there = float(max(history["train_loss"][at[0]], least))
            where = f"repeat {name[0]}, fold {name[1]}"
            kept.append({"x": int(cell["best_epoch"]), "y": loss_there, "cell": where})
    colors = {"training rows": GREY, "held-out rows": BLUE, "kept epoch": INK}
    colors |= {"flagged fold": WARNING} if flagged else {}
    color_of_kept = alt.ColorDatum(
        "kept epoch",
        scale=alt.Scale(domain=list(colors), range=list(colors.values())),
        legend=alt.Legend(
            symbolType="circle", symbolStrokeWidth=0, symbolOpacity=1, columns=2 if flagged else 3
        ),
    )
    if is_linear:
        look = {"title": loss, "scale": alt.Scale(domain=domain)}
    else:
        scale = alt.Scale(type="log", domain=domain or [0.1, 1])
        look = {"title": f"{loss}, log scale", "scale": scale, "axis": log_axis(domain)}
    x = alt.X("x:Q", title="epoch", scale=alt.Scale(nice=False))
    base = alt.Chart().encode(x=x, y=alt.Y("y:Q", **look))
    lines = []
    for state in colors:
        strong = state == "flagged fold" or len(cells) == 1
        if points.get(state):
            mark = base.mark_line(strokeWidth=1.5 if strong else 1, strokeOpacity=0.8 if strong else 0.25)
            encoded = mark.encode(detail=alt.Detail("line:N"), color=alt.ColorDatum(state))
            lines.append(encoded.properties(data=rows(points[state])))
    for state, found in curves.items():
        if len(found) > 1:
            over_folds = base.encode(color=alt.ColorDatum(state)).properties(data=rows(quartiles(found)))
            lines += [
                over_folds.mark_area(fillOpacity=0.15, strokeOpacity=0).encode(
                    y=alt.Y("low:Q", **look), y2=alt.Y2("high:Q")
                ),
                over_folds.mark_line(strokeWidth=2.2),
            ]
    return alt.layer(
        *lines,
        base.mark_point(filled=True, size=38, opacity=1)
        .encode(
            color=color_of_kept,
            tooltip=[
                alt.Tooltip("cell:N", title="fold"),
                alt.Tooltip("x:Q", title="weights kept from epoch"),
            ],
        )
        .properties(data=rows(kept)),
        height=250,
    )
