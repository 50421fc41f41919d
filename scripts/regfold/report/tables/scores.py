"""Tables of scores: models, comparison, paths, seeds, targets and folds."""

import math

import pandas as pd

from regfold.formatting import significant
from regfold.report.tables.table import MOST_LINES, Table, number, probability
from regfold.results.remarks import OPTIMISTIC
from regfold.results.study import Study

TITLES = {"n_train": "training rows", "n_test": "held-out rows"}


def models(study: Study) -> Table:
    """A line per model: its scores, pooled over all rows, with arrows for the direction that is better."""
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
        scores = [number(result[metric["name"]]) for metric in study.reported]
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
    """A line per model with a path: the chosen strength, and the score corrected for the choice."""
    label, metric, lines = study.ranking.label, study.ranking.name, []
    for model in study.paths:
        result = study.models[model]
        chosen = result["chosen_strength"]
        if isinstance(chosen, list):
            chosen = sorted({min(chosen), max(chosen)})
            chosen = " to ".join(f"{strength:.4g}" for strength in chosen)
        else:
            chosen = f"{chosen:.4g}"
        scores = [number(result[f"{metric}_{which}"]) for which in ("naive", "corrected", "tt")]
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
    """A line per model with several seeds; None with fewer than two such models."""
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
        lines.append([model, str(of_seeds["n"]), number(result[study.rmse.name]), *cells])
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


def comparison(study: Study) -> Table:
    """A line per model other than the best one: the difference from the best one, with interval and tests."""
    metric, best = study.ranking, study.best
    lines = []
    for line in study.against_best():
        cells = ["–" if line["difference"] is None else significant(line["difference"], 3), *["–"] * 4]
        if line["low"] is not None:
            cells[1] = f"{significant(line['low'], 3)} to {significant(line['high'], 3)}"
            cells[2:] = (probability(line[name]) for name in ("p_value", "p_best_better", "p_equivalent"))
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


def targets(study: Study) -> Table | None:
    """A line per model and target; None with a single target."""
    if len(study.schema["target"]) == 1:
        return None
    metrics = [metric for metric in study.metrics if not metric.standardized]
    lines = [
        [
            model,
            target,
            *(number(scores[metric.name]) for metric in metrics),
            number(scores["rmse_of_constant"]),
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
        cells = [number(None if undefined and pd.isna(line[name]) else line[name]) for name in numbers]
        name = names.get((line["repeat"], line["fold"]))
        cells[1] += f" ({name})" if name else ""
        lines.append([line["model"], *cells, line["flags"]])
    more = len(study.scores) - MOST_LINES
    note = f"{more:,} more lines in scores.csv." if more > 0 else ""
    head = ["model", *(titles.get(name, name) for name in numbers), "flags"]
    return Table(head, lines, text=(0, len(head) - 1), note=note)
