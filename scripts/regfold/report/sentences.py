"""The report's sentences: what the number means, what went wrong, and how to cite it."""

import pandas as pd

from regfold.config.headline import RMSES
from regfold.config.split_methods import METHODS
from regfold.formatting import first_few, significant
from regfold.report.charts.common import label
from regfold.report.tables import inputs
from regfold.results import remarks
from regfold.results.study import Study

MOST_WARNINGS = 8
MOST_NAMED = 5


def headline(study: Study) -> dict:
    """The number, its spread, and what it means in plain words."""
    model, metric = study.best, study.ranking.name
    result = study.models[model]
    spread = None
    if result[f"{metric}_fold_sd"] is not None:
        mean = significant(result[f"{metric}_fold_mean"])
        deviation = significant(result[f"{metric}_fold_sd"], 2)
        spread = f"mean of folds {mean} ± {deviation} (standard deviation)"
    several = len(study.models) > 1
    return {
        "model": model if several else None,
        "metric": study.ranking.label,
        "score": significant(remarks.reported(result, metric)),
        "unit": _unit(study),
        "spread": spread,
        "interval": interval(result, metric),
        "meaning": _meaning(study, result),
        "choices": _choices(study, result),
    }


def weights(study: Study) -> str:
    """That rows are weighted, and by which column; "" where they are not."""
    if study.schema["weight"] is None:
        return ""
    return (
        f"Rows are weighted by column {label(study.schema['weight'])}, in training, in all scores and in "
        "their intervals; counts, and pictures and tables of single rows, take each row once."
    )


def _choices(study: Study, result: dict) -> list[str]:
    """What was chosen for its score, in sentences: a strength of the path, the best of several models."""
    strength = remarks.choice(result, study.summary)
    found = [f"Strength of the penalty: {strength}."] if strength else []
    if len(study.networks) > 1:
        best = study.ranking.best
        found.append(f"The {best} of {len(study.networks)} models on the same folds; {remarks.OPTIMISTIC}.")
    return found


def prior(study: Study) -> str:
    """What penalties on weights say about the weights' distribution, and that those on activations do not."""
    text = (
        "An L1 penalty on the weights corresponds to a Laplace prior on them, an L2 penalty to a Gaussian "
        "one. That is what a penalty pulls towards, not what trained weights must look like."
    )
    penalties = {model: study.cells[model][0]["settings"]["penalty"] for model in study.networks}
    if active := [model for model, penalty in penalties.items() if any(penalty["activity"].values())]:
        text += (
            f" It is said of weights: the activity penalty of {first_few(active, MOST_NAMED)} acts on the "
            "outputs of hidden units, and says nothing of the kind about the weights."
        )
    return text


def interval(result: dict, metric: str) -> str:
    """The 95 % interval of a model's score and the method, or why there is none.

    Args:
        result: the model's part of summary.json.
        metric: the metric that ranks models.
    """
    if result[f"{metric}_low"] is None:
        return f"No 95 % interval: {result['interval']}"
    low, high = (significant(result[f"{metric}_{end}"], 3) for end in ("low", "high"))
    return f"95 % interval {low} to {high} ({result['interval']})"


def seeds(study: Study) -> str:
    """What averaging over seeds gains, and the seed's share of the spread; "" without several seeds.

    It is about the best model, or the first one with several seeds if the best has a single one.
    """
    models = {model: result for model, result in study.networks.items() if "seeds" in result}
    if not models:
        return ""
    model = study.best if study.best in models else next(iter(models))
    label, of_seeds = study.rmse.label, models[model]["seeds"]
    if of_seeds["mean"] is None:
        return f"Model {model}: no score of single seeds, as predictions of a fold are not finite."
    low, high = (significant(end(of_seeds["each"])) for end in (min, max))
    text = (
        f"Model {model} is the mean of {of_seeds['n']} networks in each fold, trained on the same rows with "
        f"different seeds: {label} {significant(models[model][study.rmse.name])}. With one of these seeds "
        f"alone the same study scores {significant(of_seeds['mean'])} on average ({low} to {high})."
    )
    if of_seeds["share"] is not None:
        split, seed = (significant(of_seeds[f"sd_{part}"], 2) for part in ("split", "seed"))
        share, *ends = (f"{100 * of_seeds[name]:.0f} %" for name in ("share", "share_low", "share_high"))
        text += (
            f" From fold to fold, the {label} of one network varies with a standard deviation of {split} by "
            f"the split (which rows it is trained on and tested on) and of {seed} by the seed; the seed has "
            f"{share} of the variance (95 % interval {' to '.join(ends)})."
        )
    return text


def _unit(study: Study) -> str:
    targets, metric = study.schema["target"], study.ranking
    if metric.name not in RMSES:
        better = "higher is better" if metric.greater_is_better else "lower is better"
        alone = metric.name == "mae" and len(targets) == 1
        return f"in units of {label(targets[0])}, {better}" if alone else better
    if study.classifies:
        return "of class probabilities"
    return f"in units of {label(targets[0])}" if len(targets) == 1 else "in each target's standard deviations"


def _meaning(study: Study, result: dict) -> str:
    if result["rmse"] is None:
        return "There is no score: the predictions of a fold are not finite. See the warnings."
    return _against_constant(study, result) + _in_rmse(study, result)


def _against_constant(study: Study, result: dict) -> str:
    """The headline metric of a constant prediction; "" if the headline is the RMSE, see `_in_rmse`."""
    metric = study.ranking
    constant = result[f"{metric.name}_of_constant"]
    if metric.name in RMSES or constant is None:
        return ""
    what = f"the {'class frequencies' if study.classifies else 'mean'} of the training rows"
    return f"{metric.label} of always answering with {what}: {significant(constant, 3)}. "


def _in_rmse(study: Study, result: dict) -> str:
    """The RMSE of the model and of a constant prediction."""
    if study.classifies:
        constant = significant(result["rmse_of_constant"], 3)
        return (
            f"On rows that the network had not seen: accuracy {100 * result['accuracy']:.1f} %, RMSE of "
            f"class probabilities {significant(remarks.reported(result, 'rmse'), 3)} (0 is perfect). RMSE of "
            f"always answering with the class frequencies of the training rows: {constant}."
        )
    targets = result.get("targets", {study.schema["target"][0]: result})
    each = [
        f"{label(name)} {significant(remarks.reported(scores, 'rmse'), 3)} "
        f"({significant(scores['rmse_of_constant'], 3)})"
        for name, scores in targets.items()
    ]
    more = f" and {len(each) - MOST_NAMED} more targets, in the table below" * (len(each) > MOST_NAMED)
    return (
        "RMSE on rows that the network had not seen, in the target's own units, and in brackets that of "
        f"always answering with the mean of the training rows: {', '.join(each[:MOST_NAMED])}{more}."
    )


def facts(study: Study) -> list[tuple[str, str]]:
    """The few counts that stand beside the headline."""
    result = study.models[study.best]
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
    """Reasons to mistrust the number: models no better than a constant, ends of paths, flagged folds."""
    found = []
    for model, result in study.models.items():
        if result["rmse"] is None:
            found.append(f"Model {model} has no score: the predictions of a fold are not finite.")
        for remark in remarks.no_better_than_constant(result, study.summary):
            found.append(f"Model {model} is {remark}.")
        for remark in remarks.end_of_path(result):
            found.append(f"Model {model}: {remark}.")
        for cell in result["flagged_cells"]:
            repeat = f"repeat {cell['repeat']}, " * (result["repeats"] > 1)
            found.append(f"Model {model}, {repeat}fold {cell['fold']}: {'; '.join(cell['flags'])}.")
    more = len(found) - MOST_WARNINGS
    return found if more <= 1 else [*found[:MOST_WARNINGS], f"And {more} more: see scores.csv."]


def hard_rows(study: Study) -> str:
    """What the table of the worst predicted rows shows, and when a row is suspect."""
    tested = study.models[study.best]["n_rows_tested"]
    several = len(study.models) > 1
    means = ["models"] * several + ["repeats"] * (study.models[study.best]["repeats"] > 1)
    text = f"The {len(study.rows)} worst predicted of {tested:,} rows"
    text += f", by the mean error over {' and '.join(means)}" * bool(means)
    text += "; rows.csv has all, in this order. "
    if study.classifies:
        return text + (
            "Of each model, the most probable class and the probability of the true one. A row is suspect if "
            "its label is probably wrong: confident learning (Northcutt et al., 2021)."
        )
    which = f"Residuals are model {study.best}'s. " * (several and len(study.schema["target"]) > 1)
    return text + (
        f"{which}A row is suspect if its residual is beyond the conformal bound of predict.coverage, as some "
        "rows always are: the bound says which."
    )


def worst_levels(study: Study) -> list[str]:
    """For each column of report.by the level that the best model predicts worst, small levels left out."""
    metric, found = study.ranking, []
    of_best = study.by[(study.by["model"] == study.best) & ~study.by["small"]]
    overall = study.models[study.best][metric.name]
    for column, scores in of_best.dropna(subset=metric.name).groupby("column", sort=False):
        values = scores[metric.name]
        worst = scores.loc[values.idxmin() if metric.greater_is_better else values.idxmax()]
        low, high = (worst[f"{metric.name}_{end}"] for end in ("low", "high"))
        text = (
            f"{label(column)}: model {study.best} is worst for {label(worst['level'])} "
            f"({worst['n']:,} rows), {metric.label} {significant(float(worst[metric.name]), 3)}"
        )
        if pd.notna(low):
            text += f" (95 % interval {significant(float(low), 3)} to {significant(float(high), 3)})"
        if overall is not None:
            text += f", against {significant(overall, 3)} over all rows"
            text += ", which the interval contains: it may be chance" * bool(low <= overall <= high)
        found.append(f"{text}.")
    return found


def notes(study: Study) -> list[str]:
    """Notes on the data: from its preparation, on duplicates, and on levels that only held-out rows have."""
    return [
        *study.schema["notes"],
        *(f"{text}." for text in remarks.duplicates(study.summary)),
        *inputs.unseen(study),
    ]


def method(study: Study) -> str:
    """How the folds were made, in a few words."""
    split = study.split
    result = study.models[study.best]
    text = f"{result['folds']}-fold {METHODS[split['method']]}"
    if split["column"]:
        text += f" ({label(split['column'])})"
    if result["repeats"] > 1:
        text += f", repeated {result['repeats']} times"
    return text


def citation(study: Study) -> str:
    """Sentences for a paper's methods section, which also tell if a model was chosen for its score."""
    model, metric = study.best, study.ranking.name
    result = study.models[model]
    versions = study.cells[model][0]["versions"]
    seed = study.cells[model][0]["settings"]["training"]["seed"]
    between, score = "", remarks.reported(result, metric)
    if result[f"{metric}_low"] is not None:
        between = f", {interval(result, metric)}"
    text = (
        f"Out-of-sample {study.ranking.label} {significant(score)}{between}, pooled over "
        f"{result['n_rows_tested']:,} rows ({method(study)}, split seed {study.split['seed']}), of a "
        f"regularized neural network (model {model}, training seed {seed}), with regfold "
        f"{versions['regfold']}, Keras {versions['keras']} and TensorFlow {versions['tensorflow']}."
    )
    if study.schema["weight"] is not None:
        text += f" Rows were weighted by {label(study.schema['weight'])}, in training and in all scores."
    if "targets" in result:
        each = [f"{label(name)} {significant(scores['rmse'])}" for name, scores in result["targets"].items()]
        text += f" RMSE in each target's own units: {first_few(each, MOST_NAMED)}."
    if strength := remarks.choice(result, study.summary):
        text += f" Strength of the penalty: {strength}."
    if len(study.networks) > 1:
        text += (
            f" Model {model} is the best of {len(study.networks)} models that were compared on the same "
            f"folds ({study.ranking.label} {_all_scores(study)}); {remarks.OPTIMISTIC}."
        )
    if study.baselines:
        scores = [f"{name} {significant(result[metric])}" for name, result in study.baselines.items()]
        version = study.cells[next(iter(study.baselines))][0]["versions"]["scikit-learn"]
        text += (
            f" {study.ranking.label} of scikit-learn's estimators on the same folds: {', '.join(scores)} "
            f"(scikit-learn {version})."
        )
    return text


def _all_scores(study: Study) -> str:
    """Every network's score; their range where there are many."""
    metric = study.ranking.name
    scores = {model: remarks.reported(result, metric) for model, result in study.networks.items()}
    if len(scores) <= MOST_NAMED:
        return ", ".join(f"{model} {significant(score)}" for model, score in scores.items())
    found = [score for score in scores.values() if score is not None]
    return f"{significant(min(found))} to {significant(max(found))}" if found else "none"
