"""Sentences about the scores that the report and the terminal share, from summary.json alone.

Snakemake's own process prints them on the terminal, so this module needs the standard library alone.
"""

from dataclasses import dataclass

from regfold.formatting import significant

OPTIMISTIC = "optimistic: chosen for its score"
OWN_ROWS = "the score on the rows that chose it"
RULES = {
    "min": "the {best} score",
    "one_se": "the strongest penalty within one standard error of the {best} score",
}


@dataclass(frozen=True)
class Headline:
    """The metric that ranks the models, as summary.json describes it; `metrics.Metric` has its function."""

    name: str
    label: str
    greater_is_better: bool

    @property
    def best(self) -> str:
        return "highest" if self.greater_is_better else "lowest"

    @property
    def worse(self) -> str:
        return "lower" if self.greater_is_better else "higher"

    @property
    def sign(self) -> int:
        """The factor that turns the metric into a loss."""
        return -1 if self.greater_is_better else 1


def ranking(summary: dict) -> Headline:
    """The metric that ranks the models of a summary.json."""
    return next(Headline(**one) for one in summary["metrics"] if one["name"] == summary["ranked_by"])


def reported(result: dict, metric: str) -> float | None:
    """A model's score as it should be cited: with a path, corrected for the choice of a strength.

    Args:
        result: the model's part of summary.json.
        metric: the name of the score.
    """
    corrected = result.get(f"{metric}_corrected")
    return result[metric] if corrected is None else corrected


def choice(result: dict, summary: dict) -> str:
    """How a strength was chosen, and the effect on the score; "" for a model without a path.

    Args:
        result: the model's part of the summary.
        summary: summary.json.
    """
    if "path" not in result:
        return ""
    name, chosen, n = result["path"], result["chosen_strength"], len(result["strengths"])
    if result["select"] == "nested":
        extent = " to ".join(f"{strength:.4g}" for strength in sorted({min(chosen), max(chosen)}))
        return f"{name} {extent} of {n} strengths, chosen in each fold on its training rows alone"
    metric = ranking(summary)
    text = f"{name} {chosen:.4g}, {RULES[result['select']].format(best=metric.best)} of {n} strengths"
    naive, corrected = result[f"{metric.name}_naive"], result[f"{metric.name}_corrected"]
    if naive is not None:
        text += f"; {significant(naive)} there is {OPTIMISTIC if result['select'] == 'min' else OWN_ROWS}"
    if corrected is not None:
        text += f", {significant(corrected)} is corrected for the choice (BBC-CV)"
    return text


def end_of_path(result: dict) -> list[str]:
    """A warning if the chosen strength is at an end of its path, beyond which there may be a better one."""
    if "path" not in result or result["select"] == "nested":
        return []
    chosen, strengths = result["chosen_strength"], result["strengths"]
    which = {strengths[0]: "smallest", strengths[-1]: "largest"}.get(chosen)
    if which is None or chosen == 0:
        return []
    return [f"the chosen {result['path']}, {chosen:.4g}, is the {which} of its path, which may end too early"]


def no_better_than_constant(result: dict, summary: dict) -> list[str]:
    """Warnings if a model is no better than the mean (the class frequencies) of the training rows.

    Args:
        result: the model's part of the summary.
        summary: summary.json.
    """
    found, headline = [], ranking(summary)
    parts = [("", headline.name, headline.sign, result)]
    parts += [(f" of target {name}", "rmse", 1, scores) for name, scores in result.get("targets", {}).items()]
    for where, metric, sign, scores in parts:
        value, constant = reported(scores, metric), scores[f"{metric}_of_constant"]
        if None not in (value, constant) and sign * value >= sign * constant:
            found.append(
                f"no better than one constant answer for every row{where} "
                f"({significant(value)} against {significant(constant)})"
            )
    return found


def duplicates(summary: dict) -> list[str]:
    """A warning if held-out rows equal training rows of their fold, with the remedy."""
    found = summary["duplicates"]
    if not found["n_in_training"]:
        return []
    percent = significant(100 * found["share"], 2)
    return [
        f"{found['n_in_training']:,} of {found['n_tests']:,} held-out rows ({percent} %) equal one of their "
        "fold's training rows in all features and the target. If these are copies of one observation, the "
        "score is too good: set split.method: group, with a column that says which rows belong together"
    ]
