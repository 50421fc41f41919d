"""The report's tables: models, folds, the data, settings, and what it all ran on."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_fscore_support

from regfold.formatting import duration, first_few, significant
from regfold.results.remarks import OPTIMISTIC
from regfold.results.study import Study
from regfold.results.weights import closest

TITLES = {"n_train": "training rows", "n_test": "held-out rows"}
MOST_LINES = 200
MOST_UNSEEN, MOST_NAMES, MOST_IMPORTANT = 20, 8, 20
MOST_STRENGTHS = 4


@dataclass(frozen=True)
class Table:
    """Text cells under text heads; the columns named in `text` are aligned left, numbers right."""

    head: Sequence[str]
    lines: Sequence[Sequence[str]]
    text: Sequence[int] = field(default=(0,))
    note: str = ""


def models(study: Study) -> Table:
    """A line per model: its scores, pooled over all rows; an arrow says which way is better."""
    ranking = study.ranking.name
    lines = []
    for model, result in study.models.items():
        spread = "–"
        if result[f"{ranking}_fold_sd"] is not None:
            mean, deviation = result[f"{ranking}_fold_mean"], result[f"{ranking}_fold_sd"]
            spread = f"{significant(mean)} ± {significant(deviation, 2)}"
        interval = "–"
        if result[f"{ranking}_low"] is not None:
            interval = " to ".join(significant(result[f"{ranking}_{end}"], 3) for end in ("low", "high"))
        scores = [_number(result[metric["name"]]) for metric in study.reported]
        lines.append([model, *scores, interval, spread, str(len(result["flagged_cells"]) or "–")])
    head = [f"{metric['label']} {'↑' if metric['greater_is_better'] else '↓'}" for metric in study.reported]
    return Table(
        [
            "model",
            *head,
            f"{study.ranking.label}: 95 % interval",
            f"{study.ranking.label} of folds: mean ± sd",
            "flagged folds",
        ],
        lines,
        note="Pooled over all held-out rows. ↓: lower is better; ↑: higher is better.",
    )


def paths(study: Study) -> Table:
    """A line per model with a path: what was chosen, and what that does to the score."""
    label, metric, lines = study.ranking.label, study.ranking.name, []
    for model in study.paths:
        result = study.models[model]
        chosen = result["chosen_strength"]
        if isinstance(chosen, list):
            chosen = sorted({min(chosen), max(chosen)})
            chosen = " to ".join(f"{strength:.4g}" for strength in chosen)
        else:
            chosen = f"{chosen:.4g}"
        scores = [_number(result[f"{metric}_{which}"]) for which in ("naive", "corrected", "tt")]
        lines.append(
            [model, result["path"], str(len(result["strengths"])), result["select"], chosen, *scores]
        )
    return Table(
        [
            "model",
            "path of",
            "strengths",
            "select",
            "chosen",
            f"{label} there",
            "corrected: BBC-CV",
            "corrected: Tibshirani",
        ],
        lines,
        text=(0, 1),
        note=f"The {label} at the chosen strength is {OPTIMISTIC}; the one to cite is corrected for the "
        "choice (BBC-CV; Tsamardinos et al., 2018). A nested choice, made in each fold on its training rows "
        "alone, needs no correction. Every strength: path/<model>.csv.",
    )


def seeds(study: Study) -> Table | None:
    """A line per model with several seeds, where there are several such models."""
    label, lines = study.rmse.label, []
    for model, result in study.networks.items():
        if "seeds" not in result:
            continue
        of_seeds = result["seeds"]
        cells = ["–"] * 5
        if of_seeds["mean"] is not None:
            ends = (significant(end(of_seeds["each"]), 3) for end in (min, max))
            cells[:2] = significant(of_seeds["mean"]), " to ".join(ends)
        if of_seeds["share"] is not None:
            cells[2:4] = (significant(of_seeds[f"sd_{part}"], 2) for part in ("split", "seed"))
            low, high = (f"{100 * of_seeds[name]:.0f}" for name in ("share_low", "share_high"))
            cells[4] = f"{100 * of_seeds['share']:.0f} % ({low} to {high})"
        lines.append([model, str(of_seeds["n"]), _number(result[study.rmse.name]), *cells])
    head = [
        "model",
        "seeds",
        f"{label} of all together",
        "of one seed",
        "lowest to highest",
        "sd by the split",
        "sd by the seed",
        "the seed's share",
    ]
    note = (
        "The spread of one network from fold to fold, and the seed's share of its variance, in brackets the "
        "95 % interval; docs/statistics.md."
    )
    return Table(head, lines, note=note) if len(lines) > 1 else None


def weights(study: Study) -> Table:
    """A line per model and layer: what its weights look like."""
    lines = [
        [
            model,
            layer,
            f"{fit.n:,}",
            f"{100 * fit.zeros:.1f} %",
            significant(fit.deviation, 3),
            f"{fit.laplace_over_gaussian:+.3f}",
            significant(fit.shape, 3),
            f"{significant(fit.low, 3)} to {significant(fit.high, 3)}",
            closest(fit),
        ]
        for model, fits in study.weight_fits.items()
        for layer, fit in fits.items()
    ]
    lines += [
        [
            model,
            f"{layer}: outputs",
            "–",
            f"{100 * study.activations[model][layer][0]:.1f} %",
            significant(fit.deviation, 3),
            f"{fit.laplace_over_gaussian:+.3f}",
            significant(fit.shape, 3),
            "–",
            "–",
        ]
        for model, fits in study.activation_fits.items()
        for layer, fit in fits.items()
    ]
    return Table(
        [
            "model",
            "layer",
            "weights",
            "exact zeros",
            "standard deviation",
            "Laplace over Gaussian",
            "shape",
            "95 % interval",
            "looks",
        ],
        lines[:MOST_LINES],
        text=(0, 1, 8),
        note="Laplace over Gaussian: the difference of the log-likelihoods of both fits, per weight that is "
        "not zero. Shape: of the generalized Gaussian fit, 1 for Laplace, 2 for Gaussian; its interval takes "
        "the weights for independent."
        + " Outputs: what an activity penalty acts on, on some training rows; exponential where Laplace fits."
        * bool(study.activation_fits),
    )


def comparison(study: Study) -> Table:
    """A line per other model, against the best one: how much they differ, and how surely."""
    metric, best = study.ranking, study.best
    lines = []
    for line in study.against_best():
        cells = ["–" if line["difference"] is None else significant(line["difference"], 3), *["–"] * 4]
        if line["low"] is not None:
            cells[1] = f"{significant(line['low'], 3)} to {significant(line['high'], 3)}"
            cells[2:] = (_share(line[name]) for name in ("p_value", "p_best_better", "p_equivalent"))
        lines.append([line["model"], line["sentence"], *cells])
    n_pairs = len(study.summary["comparison"])
    return Table(
        [
            "model",
            f"against {best}",
            f"{metric.label} {metric.worse} by",
            "95 % interval",
            "p value",
            f"P({best} is better)",
            "P(equivalent)",
        ],
        lines,
        text=(0, 1),
        note="Paired by row, on the same folds: corrected resampled t test, p values corrected for "
        "the number of pairs (Holm), and Bayesian correlated t test."
        + f" All {n_pairs} pairs: comparison.csv."
        * (n_pairs > len(lines)),
    )


def _share(value: float) -> str:
    """A probability in two digits, never rounded to 0 or 1."""
    return "< 0.01" if value < 0.005 else "> 0.99" if value > 0.995 else f"{value:.2f}"


def worst_rows(study: Study) -> Table:
    """A line per row of the worst predicted ones: its truth, what the models say, how many doubt it."""
    schema, lines = study.schema, []
    several, best, shown = len(schema["target"]) > 1, study.best, study.schema["target"][:MOST_NAMES]
    head = [schema["id"] or "row", "true class" if study.classifies else "truth"]
    if several:
        head = [head[0], "error, in standard deviations", *(f"{target}: residual" for target in shown)]
    else:
        head += list(study.models)
    for row in study.rows.to_dict("records"):
        if several:
            cells = [_number(row[name]) for name in ("error", *(f"residual:{best}:{t}" for t in shown))]
        elif study.classifies:
            found = ((row[f"label:{model}"], row[f"p_true:{model}"]) for model in study.models)
            cells = [row["label"], *(f"{label}, {_share(p_true)}" for label, p_true in found)]
        else:
            cells = [_number(row[name]) for name in ("y", *(f"pred:{model}" for model in study.models))]
        lines.append([row["row"], *cells, f"{row['suspects']} of {len(study.models)}"])
    return Table([*head, "suspect for"], lines, text=range(len(head)) if study.classifies else (0,))


def importance(study: Study) -> Table:
    """A line per column of the most important ones to the best model."""
    of_best = study.importance[study.importance["model"] == study.best]
    lines = []
    for line in of_best[:MOST_IMPORTANT].to_dict("records"):
        ends = [significant(line[end], 3) for end in ("low", "high") if not math.isnan(line[end])]
        share = f"{100 * line['top_five']:.0f} %"
        value = significant(line["importance"], 3)
        lines.append([line["column"], value, " to ".join(ends) or "–", share, line["correlated"] or "–"])
    more = f" All {len(of_best):,} columns: importance.csv." * (len(of_best) > MOST_IMPORTANT)
    return Table(
        [
            "column",
            f"{study.rmse.label} higher by",
            "95 % interval",
            "among a fold's five most important",
            "correlates above 0.9 with",
        ],
        lines,
        text=(0, 4),
        note=f"Model {study.best}.{more}",
    )


def calibration(study: Study) -> Table:
    """A line per model: how far its probabilities can be taken at their word."""
    names = ("ece", "calibration_slope", "calibration_intercept")
    lines = [[model, *(_number(result[name]) for name in names)] for model, result in study.models.items()]
    head = ["model", "expected calibration error", "calibration slope", "calibration intercept"]
    note = (
        "Perfect: 0, 1 and 0. A slope below 1 tells of probabilities that are too extreme; none where the "
        "probabilities separate the classes."
    )
    return Table(head, lines, note=note)


def classes(study: Study) -> Table:
    """A line per class: precision, recall and F1 of the best model, and F1 of the others."""
    names, best = study.schema["classes"], study.best
    scores = {}
    for model, oos in study.oos.items():
        known = np.isfinite(oos.prediction).all(axis=1)
        if not known.any():
            scores[model] = np.full((4, len(names)), np.nan)
            continue
        truth, predicted = (values[known].argmax(axis=1) for values in (oos.truth, oos.prediction))
        *shares, _ = precision_recall_fscore_support(
            truth,
            predicted,
            labels=range(len(names)),
            sample_weight=oos.weight_of(known),
            zero_division=np.nan,
        )
        scores[model] = *shares, np.bincount(truth, minlength=len(names))
    others = [model for model in scores if model != best]
    lines = [
        [name, f"{np.nan_to_num(scores[best][3][i]):,.0f}"]
        + [_share_of(scores[best][part][i]) for part in range(3)]
        + [_share_of(scores[model][2][i]) for model in others]
        for i, name in enumerate(names[:MOST_LINES])
    ]
    of = f" ({best})" * bool(others)
    head = ["class", "rows", *(what + of for what in ("precision", "recall", "F1"))]
    repeated = " Each row counts once per repeat." * (study.models[best]["repeats"] > 1)
    return Table([*head, *(f"F1 ({model})" for model in others)], lines, note=repeated.strip())


def _share_of(value: float) -> str:
    """A share in percent, or a dash where it is undefined."""
    return "–" if math.isnan(value) else f"{100 * value:.1f} %"


def targets(study: Study) -> Table | None:
    """A line per model and target, where there are several targets."""
    if len(study.schema["target"]) == 1:
        return None
    metrics = [metric for metric in study.metrics if not metric.standardized]
    lines = [
        [
            model,
            target,
            *(_number(scores[metric.name]) for metric in metrics),
            _number(scores["rmse_of_constant"]),
        ]
        for model, result in study.models.items()
        for target, scores in result["targets"].items()
    ]
    head = ["model", "target", *(metric.label for metric in metrics), "RMSE of the training rows' mean"]
    more = len(lines) - MOST_LINES
    note = f"{more:,} more lines in summary.json." if more > 0 else ""
    return Table(head, lines[:MOST_LINES], text=(0, 1), note=note)


def folds(study: Study) -> Table:
    """A line per cell, as in scores.csv."""
    names = {
        (cell["repeat"], cell["fold"]): cell["fold_name"]
        for cell in study.network_cells
        if str(cell["fold_name"]) != str(cell["fold"])
    }
    titles = TITLES | {metric["name"]: metric["label"] for metric in study.reported}
    numbers = [name for name in study.scores.columns if name not in ("model", "flags")]
    lines = []
    for line in study.scores[:MOST_LINES].to_dict("records"):
        # A metric may be undefined for a fold; where the predictions are not finite, no metric is finite.
        undefined = math.isfinite(line["rmse"])
        cells = [_number(None if undefined and pd.isna(line[name]) else line[name]) for name in numbers]
        name = names.get((line["repeat"], line["fold"]))
        cells[1] += f" ({name})" if name else ""
        lines.append([line["model"], *cells, line["flags"]])
    more = len(study.scores) - MOST_LINES
    note = f"{more:,} more lines in scores.csv." if more > 0 else ""
    head = ["model", *(titles.get(name, name) for name in numbers), "flags"]
    return Table(head, lines, text=(0, len(head) - 1), note=note)


def columns(study: Study) -> Table:
    """A line per feature column: what was read, and what was filled in."""
    imputed: dict[str, list[int]] = {}
    for cell in study.network_cells:
        for name, number in cell["preprocessing"]["imputed"].items():
            imputed.setdefault(name, []).append(number)
    lines = []
    for column in study.schema["columns"][:MOST_LINES]:
        filled = imputed.get(column["name"], [])
        levels = [level if level is not None else "(missing)" for level in column["levels"] or []]
        shown = ", ".join(levels[:8]) + f", … ({len(levels)})" * (len(levels) > 8)
        extent = (
            f"{min(filled)} to {max(filled)}"
            if filled and min(filled) < max(filled)
            else f"{(*filled, 0)[0]}"
        )
        treated = f"median of the training rows, {extent} per fold" if filled else ""
        missing = str(column["n_missing"] or "–")
        lines.append([column["name"], column["kind"], str(column["width"]), missing, treated, shown])
    more = len(study.schema["columns"]) - MOST_LINES
    return Table(
        ["feature column", "kind", "inputs", "missing", "filled in with", "levels"],
        lines,
        text=(0, 1, 4, 5),
        note=f"{more:,} more columns in prepared/schema.json." if more > 0 else "",
    )


def unseen(study: Study) -> list[str]:
    """Levels that only held-out rows have: the network could learn nothing of them."""
    where: dict[tuple[str, str], set[str]] = {}
    for cell in study.network_cells:
        for column, levels in cell["preprocessing"]["unseen"].items():
            for level in levels:
                where.setdefault((column, str(level)), set()).add(f"{cell['repeat']}-{cell['fold']}")
    lines = [
        f"{column} = {level}: no training row has it in fold {first_few(sorted(cells), MOST_NAMES)}"
        for (column, level), cells in sorted(where.items())
    ]
    more = len(lines) - MOST_UNSEEN
    return lines if more <= 1 else [*lines[:MOST_UNSEEN], f"{more:,} more levels that a fold has not seen"]


def left_out(study: Study) -> list[str]:
    """The columns that are no features, and why; the targets are not named again."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in study.schema["left_out"].items():
        if reason != "target":
            by_reason.setdefault(reason, []).append(name)
    return [f"Left out: {first_few(names, MOST_NAMES)} ({reason})" for reason, names in by_reason.items()]


def settings(study: Study) -> Table:
    """A line per setting that all networks share."""
    by_model, shared = _settings(study)
    values = next(iter(by_model.values()))
    lines = [[key, values[key]] for key in shared]
    lines += [["split." + key, str(value)] for key, value in study.split.items() if value is not None]
    return Table(["setting", "value"], lines, text=range(2))


def differing_settings(study: Study) -> Table:
    """A line per network, and a column per setting that they do not share."""
    by_model, shared = _settings(study)
    keys = [
        key for key in dict.fromkeys(key for own in by_model.values() for key in own) if key not in shared
    ]
    lines = [[model, *(own.get(key, "–") for key in keys)] for model, own in by_model.items()]
    return Table(["model", *keys], lines if keys else [], text=range(len(keys) + 1))


def _settings(study: Study) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Each network's settings, see `flatten`, and the keys of those that all share."""
    by_model = {model: flatten(study.cells[model][0]["settings"]) for model in study.networks}
    first, *others = by_model.values()
    return by_model, [key for key, value in first.items() if all(own.get(key) == value for own in others)]


def flatten(values: Mapping, prefix: str = "") -> dict[str, str]:
    """Nested settings as dotted keys and text: `penalty.kernel.l1` -> `0.0001`."""
    flat = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = _setting(value)
    return flat


def _setting(value: object) -> str:
    if isinstance(value, list) and len(value) > MOST_STRENGTHS and isinstance(value[0], float):
        return f"{len(value)} from {min(value):g} to {max(value):g}"
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def provenance(study: Study) -> list[tuple[str, str]]:
    """Versions, devices, seeds and times over the networks' cells; each with its count where they differ."""
    cells = study.network_cells
    found = [
        (name, _counted([str(cell["versions"].get(name, "–")) for cell in cells]))
        for name in dict.fromkeys(name for cell in cells for name in cell["versions"])
    ]
    own = {
        name: version
        for baseline in study.baselines
        for name, version in study.cells[baseline][0]["versions"].items()
    }
    found += [(name, version) for name, version in own.items() if name not in dict(found)]
    found.append(
        ("device", _counted([f"{c['device']['kind']} {c['device']['name'] or ''}".strip() for c in cells]))
    )
    times = [cell["times"] for cell in cells]
    started = min(datetime.fromisoformat(time["started"]) for time in times)
    finished = max(datetime.fromisoformat(time["finished"]) for time in times)
    found.append(
        ("trained", f"{started:%Y-%m-%d %H:%M} to {finished:%Y-%m-%d %H:%M} ({started.tzname() or 'local'})")
    )
    training = sum(time["seconds_training"] or 0 for time in times)
    total = sum(time["seconds_total"] or 0 for time in times)
    found.append(("time", f"{duration(total)} over all jobs, {duration(training)} of it training"))
    resumed = sum(bool(cell["resumed_from"]) for cell in cells)
    if resumed:
        found.append(("resumed", f"{resumed} of {len(cells)} cells went on from a checkpoint"))
    found.append(("code", _counted([str(cell["digests"]["code"])[:12] for cell in cells])))
    notes = dict.fromkeys(cell["activity_note"] for cell in cells if cell.get("activity_note"))
    return found + [("activity penalty", note) for note in notes]


def _counted(values: Sequence[str]) -> str:
    counts = Counter(values)
    if len(counts) == 1:
        return values[0]
    return ", ".join(f"{value} ({number} cells)" for value, number in counts.most_common())


def _number(value: float | None) -> str:
    return "–" if value is None else str(value) if isinstance(value, int) else significant(value)
