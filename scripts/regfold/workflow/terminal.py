"""The last lines of a run: the scores with their warnings or, if it failed, the errors.

They are printed by Snakemake's own process, so this module needs the standard library alone.
"""

import csv
import json
import re
import sys
from collections import Counter
from pathlib import Path

from regfold.config import baselines
from regfold.config.headline import RMSES
from regfold.formatting import first_few, significant, visible
from regfold.results import remarks

# Studies with more folds have one line per model, so that all fits on one screen.
MOST_FOLD_LINES = 20
MOST_TARGETS = 5
MOST_NAMED = 5
MOST_ERRORS = 10
ERROR = re.compile(r"regfold: (.*: )?error: ")
TAIL_BYTES = 4096


def closing_lines(results_dir: str | Path) -> str:
    """The scores under `results_dir` as plain text for a narrow terminal; "" if there are none yet."""
    scores, summary = Path(results_dir) / "scores.csv", Path(results_dir) / "summary.json"
    try:
        with scores.open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        found = json.loads(summary.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ""
    names = dict.fromkeys(line["model"] for line in lines)
    own = {name: [line for line in lines if line["model"] == name] for name in names}
    if len(lines) <= MOST_FOLD_LINES and all(line["repeat"] == "1" for line in lines):
        text = "\n\n".join(_folds(name, found, own[name]) for name in names)
    else:
        width = max(map(len, names))
        text = "\n".join(_line(name, width, found, own[name]) for name in names)
    parts = [text, *(f"Note: {remark}." for remark in remarks.duplicates(found))]
    if (report := Path(results_dir) / "report.html").is_file():
        parts.append(f"Report: {visible(report.absolute())}")
    return "\n\n".join(parts) + "\n"


def say_errors(logs: Path, since: float) -> None:
    """Print the errors of jobs that failed since a time, from their logs; equal ones once.

    Args:
        logs: the folder of the logs.
        since: in seconds since 1970-01-01.
    """
    ends = Counter()
    for path in logs.rglob("*.log"):
        with path.open("rb") as file:
            if path.stat().st_mtime >= since:
                file.seek(max(0, path.stat().st_size - TAIL_BYTES))
                last = file.read().decode(errors="backslashreplace").rstrip().rpartition("\n")[2]
                ends.update([last] if ERROR.match(last) else [])
    for line, jobs in ends.most_common(MOST_ERRORS):
        print(visible(line) + (f" ({jobs:,} jobs)" if jobs > 1 else ""), file=sys.stderr)
    if len(ends) > MOST_ERRORS:
        print(f"regfold: error: {len(ends) - MOST_ERRORS:,} more errors are in {logs}", file=sys.stderr)


def _line(name: str, width: int, summary: dict, lines: list[dict]) -> str:
    """A model in one line, and one line for each warning."""
    result = summary["models"][name]
    metric, label = _headline(summary)
    text = [f"{name:<{width}}"]
    text[0] += f"  {label} {significant(remarks.reported(result, metric)):<10}"
    if result[f"{metric}_low"] is not None:
        low, high = (significant(result[f"{metric}_{end}"], 3) for end in ("low", "high"))
        text[0] += f"  95 % interval {low} to {high}"
    if result[f"{metric}_fold_sd"] is not None:
        mean, deviation = result[f"{metric}_fold_mean"], result[f"{metric}_fold_sd"]
        text[0] += (
            f"  fold mean {significant(mean)}, sd {significant(deviation, 2)}, {result['n_cells']} folds"
        )
    if metric != "rmse":
        text[0] += f"  RMSE {significant(result['rmse'])}"
    if chosen := remarks.choice(result, summary):
        text.append(f"  {chosen}")
    flagged = {}
    for line in lines:
        for flag in filter(None, line["flags"].split("; ")):
            flagged.setdefault(flag, []).append(_cell(line, result))
    text += [f"  ! {flag} ({first_few(cells, MOST_NAMED)})" for flag, cells in flagged.items()]
    warnings = remarks.end_of_path(result) + remarks.no_better_than_constant(result, summary)
    return "\n".join(map(visible, [*text, *(f"  ! {remark}" for remark in warnings)]))


def _folds(name: str, summary: dict, lines: list[dict]) -> str:
    """A model with a line for each of its folds."""
    result, (metric, headline) = summary["models"][name], _headline(summary)
    text = [f"{'Baseline' if name in baselines.NAMES else 'Model'} {name}"]
    for line in lines:
        mark = " !" if line["flags"] else ""
        text.append(f"  Fold score ({headline}): {_number(line[metric]):<10} {_cell(line, result)}{mark}")
    for line in lines:
        text += [f"  ! {_cell(line, result)}: {flag}" for flag in line["flags"].split("; ") if flag]
    final = remarks.reported(result, metric)
    text.append(f"  Final, out of sample score ({headline}): {significant(final)} ({name})")
    if result[f"{metric}_low"] is not None:
        low, high = (significant(result[f"{metric}_{end}"], 3) for end in ("low", "high"))
        text.append(f"  95 % interval {low} to {high} ({result['interval']})")
    if chosen := remarks.choice(result, summary):
        text.append(f"  {chosen}")
    if "targets" in result:
        targets = list(result["targets"].items())
        text += [f"  RMSE of {target}: {significant(its['rmse'])}" for target, its in targets[:MOST_TARGETS]]
        text += [f"  and {len(targets) - MOST_TARGETS} more targets"] * (len(targets) > MOST_TARGETS)
        standardized = remarks.reported(result, "rmse_standardized")
        text.append(f"  Standardized RMSE, all targets: {significant(standardized)}")
    if result[f"{metric}_fold_sd"] is not None:
        mean, deviation = result[f"{metric}_fold_mean"], result[f"{metric}_fold_sd"]
        text.append(
            f"  Fold mean {significant(mean)}, standard deviation {significant(deviation, 2)} over "
            f"{result['n_cells']} folds"
        )
    elif result["rmse"] is None:
        text.append("  No score: a fold's predictions are not finite (marked ! above)")
    if metric != "rmse":
        text.append(f"  RMSE {significant(result['rmse'])}")
    warnings = remarks.end_of_path(result) + remarks.no_better_than_constant(result, summary)
    return "\n".join(map(visible, [*text, *(f"  ! {remark}" for remark in warnings)]))


def _headline(summary: dict) -> tuple[str, str]:
    """Name and label of the metric in these lines: the RMSE, or another one if it ranks the models."""
    labels = {metric["name"]: metric["label"] for metric in summary["metrics"]}
    name = "rmse" if summary["ranked_by"] in RMSES else summary["ranked_by"]
    return name, labels[name]


def _cell(line: dict, result: dict) -> str:
    repeat = f"repeat {line['repeat']}, " if result["repeats"] > 1 else ""
    return f"{repeat}fold {line['fold']}"


def _number(text: str) -> str:
    return significant(float(text) if text else None)
