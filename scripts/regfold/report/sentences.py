"""The report's sentences: what the number means, what went wrong, and how to cite it."""

import math

from regfold.formatting import significant
from regfold.report.charts.common import label
from regfold.results.study import Study

MOST_WARNINGS = 8
METHODS = {
    "kfold": "cross-validation",
    "stratified": "stratified cross-validation",
    "group": "cross-validation by groups",
    "stratified_group": "stratified cross-validation by groups",
    "time": "cross-validation forward in time",
    "column": "cross-validation over the values of a column",
    "file": "cross-validation on given folds",
}


def best_model(study: Study) -> str:
    """The model with the lowest pooled RMSE; the first where none has a score."""
    scores = {model: result["rmse"] for model, result in study.models.items()}
    return min(scores, key=lambda model: math.inf if scores[model] is None else scores[model])


def headline(study: Study) -> dict:
    """The number, its spread, and what it means in plain words."""
    model = best_model(study)
    result = study.models[model]
    spread = None
    if result["rmse_fold_sd"] is not None:
        mean, deviation = significant(result["rmse_fold_mean"]), significant(result["rmse_fold_sd"], 2)
        spread = f"mean of folds {mean} ± {deviation} (standard deviation)"
    choice = ""
    if len(study.models) > 1:
        choice = (
            f"The lowest of {len(study.models)} models, all on the same folds. Being chosen for its score "
            "makes that score a little too good."
        )
    return {
        "model": model if len(study.models) > 1 else None,
        "rmse": significant(result["rmse"]),
        "unit": _unit(study),
        "spread": spread,
        "meaning": _meaning(study, result),
        "choice": choice,
    }


def _unit(study: Study) -> str:
    targets = study.schema["target"]
    if study.classifies:
        return "of class probabilities"
    return f"in units of {label(targets[0])}" if len(targets) == 1 else f"over {len(targets)} targets"


def _meaning(study: Study, result: dict) -> str:
    constant = significant(result["rmse_of_constant"], 3)
    target = label(study.schema["target"][0])
    if result["rmse"] is None:
        return "There is no score: the predictions of a fold are not finite. See the warnings."
    if study.classifies:
        return (
            f"For rows that it had not seen, the network named the right {target} in "
            f"{100 * result['accuracy']:.1f} % of cases, and its probabilities were off by "
            f"{significant(result['rmse'], 3)} (root mean square; 0 is perfect). "
            f"Always answering with the class frequencies would be off by {constant}."
        )
    what = target if len(study.schema["target"]) == 1 else "the targets, each in its own units,"
    return (
        f"For rows that it had not seen, the network's predictions of {what} were off by "
        f"{significant(result['rmse'], 3)} (root mean square). "
        f"Always answering with the mean would be off by {constant}."
    )


def facts(study: Study) -> list[tuple[str, str]]:
    """The few counts that stand beside the headline."""
    result = study.models[best_model(study)]
    rows = f"{result['n_rows_tested']:,}"
    if result["n_rows_tested"] < result["n_rows"]:
        rows += f" of {result['n_rows']:,}"
    columns = study.schema["columns"]
    return [
        ("rows tested", rows),
        ("folds", str(result["folds"])),
        *([("repeats", str(result["repeats"]))] if result["repeats"] > 1 else []),
        ("feature columns", f"{len(columns):,}"),
        *([("classes", str(len(study.schema["classes"])))] if study.classifies else []),
    ]


def warnings(study: Study) -> list[str]:
    """What a reader must know before believing the number: flagged folds, no better than a constant."""
    found = []
    for model, result in study.models.items():
        if result["rmse"] is None:
            found.append(f"Model {model} has no score: the predictions of a fold are not finite.")
        elif result["rmse"] >= result["rmse_of_constant"]:
            found.append(
                f"Model {model} is no better than one constant answer for every row "
                f"({significant(result['rmse'])} against {significant(result['rmse_of_constant'])})."
            )
        for cell in result["flagged_cells"]:
            repeat = f"repeat {cell['repeat']}, " * (result["repeats"] > 1)
            found.append(f"Model {model}, {repeat}fold {cell['fold']}: {'; '.join(cell['flags'])}.")
    more = len(found) - MOST_WARNINGS
    return found if more <= 1 else [*found[:MOST_WARNINGS], f"And {more} more: see scores.csv."]


def method(study: Study) -> str:
    """How the folds were made, in a few words."""
    split = study.split
    result = study.models[best_model(study)]
    text = f"{result['folds']}-fold {METHODS[split['method']]}"
    if split["column"]:
        text += f" ({label(split['column'])})"
    if result["repeats"] > 1:
        text += f", repeated {result['repeats']} times"
    return text


def citation(study: Study) -> str:
    """A sentence for a paper's methods section."""
    model = best_model(study)
    result = study.models[model]
    versions = study.cells[model][0]["versions"]
    seed = study.cells[model][0]["settings"]["training"]["seed"]
    return (
        f"Out-of-sample RMSE {significant(result['rmse'])}, pooled over {result['n_rows_tested']:,} rows "
        f"({method(study)}, split seed {study.split['seed']}), of a regularized neural network "
        f"(model {model}, training seed {seed}), with regfold {versions['regfold']}, "
        f"Keras {versions['keras']} and TensorFlow {versions['tensorflow']}."
    )
