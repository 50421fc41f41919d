"""What a run prints when it is done: each fold's score, what went wrong, the final score.

Called in Snakemake's own process, so it reads the two small result files with the standard library alone.
"""

import csv
import json
import math
from pathlib import Path

from regfold.config import baselines
from regfold.formatting import significant, visible
from regfold.results import remarks

MOST_FOLD_LINES = 20
MOST_TARGETS = 5


def closing_lines(results_dir: str | Path) -> str:
    """The scores under `results_dir` as plain text for a narrow terminal; "" where there are none yet."""
    scores, summary = Path(results_dir) / "scores.csv", Path(results_dir) / "summary.json"
    try:
        with scores.open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        found = json.loads(summary.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ""
    names = dict.fromkeys(line["model"] for line in lines)
    parts = [_model(name, found, [line for line in lines if line["model"] == name]) for name in names]
    parts += [f"Note: {text}." for text in remarks.duplicates(found)]
    return "\n\n".join(parts) + "\n"


def _model(name: str, summary: dict, lines: list[dict]) -> str:
    result = summary["models"][name]
    text = [f"{'Baseline' if name in baselines.NAMES else 'Model'} {name}"]
    if len(lines) <= MOST_FOLD_LINES:
        for line in lines:
            mark = " !" if line["flags"] else ""
            text.append(f"  Fold score (RMSE): {_number(line['rmse']):<10} {_cell(line, result)}{mark}")
    else:
        for repeat in dict.fromkeys(line["repeat"] for line in lines):
            values = [float(line["rmse"]) for line in lines if line["repeat"] == repeat]
            finite = sorted(value for value in values if math.isfinite(value))
            extent = f"{significant(finite[0])} to {significant(finite[-1])}" if finite else "not finite"
            text.append(f"  Fold scores (RMSE): {extent} (repeat {repeat}, {len(values)} folds)")
    for line in lines:
        text += [f"  ! {_cell(line, result)}: {flag}" for flag in line["flags"].split("; ") if flag]
    final = remarks.reported(result, "rmse")
    text.append(f"  Final, out of sample score (RMSE): {significant(final)} ({name})")
    if result["rmse_low"] is not None:
        low, high = significant(result["rmse_low"], 3), significant(result["rmse_high"], 3)
        text.append(f"  95 % interval {low} to {high} ({result['interval']})")
    if chosen := remarks.choice(result, summary["ranked_by"]):
        text.append(f"  {chosen}")
    if "targets" in result:
        targets = list(result["targets"].items())
        text += [f"  RMSE of {target}: {significant(its['rmse'])}" for target, its in targets[:MOST_TARGETS]]
        text += [f"  and {len(targets) - MOST_TARGETS} more targets"] * (len(targets) > MOST_TARGETS)
        standardized = remarks.reported(result, "rmse_standardized")
        text.append(f"  Standardized RMSE, all targets: {significant(standardized)}")
    if result["rmse_fold_sd"] is not None:
        mean, deviation = significant(result["rmse_fold_mean"]), significant(result["rmse_fold_sd"], 2)
        text.append(f"  Fold mean {mean}, standard deviation {deviation} over {result['n_cells']} folds")
    elif result["rmse"] is None:
        text.append("  No score: a fold's predictions are not finite (marked ! above)")
    warnings = remarks.end_of_path(result) + remarks.no_better_than_constant(result, summary["ranked_by"])
    return "\n".join(map(visible, [*text, *(f"  ! {remark}" for remark in warnings)]))


def _cell(line: dict, result: dict) -> str:
    repeat = f"repeat {line['repeat']}, " if result["repeats"] > 1 else ""
    return f"{repeat}fold {line['fold']}"


def _number(text: str) -> str:
    return significant(float(text) if text else None)
