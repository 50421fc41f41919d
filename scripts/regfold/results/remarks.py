"""What a reader must know before believing the scores, in sentences, from summary.json alone.

They stand in the report and on the terminal, where Snakemake's own process reads them: so this needs nothing
but the standard library.
"""

from regfold.formatting import significant


def no_better_than_constant(result: dict, ranked_by: str) -> list[str]:
    """Where a model is no better than the mean (the class frequencies) of the training rows.

    Args:
        result: the model's part of summary.json.
        ranked_by: the metric that ranks models.
    """
    found = []
    parts = [("", ranked_by, result)]
    parts += [(f" of target {name}", "rmse", scores) for name, scores in result.get("targets", {}).items()]
    for where, metric, scores in parts:
        value, constant = scores[metric], scores[f"{metric}_of_constant"]
        if None not in (value, constant) and value >= constant:
            found.append(
                f"no better than one constant answer for every row{where} "
                f"({significant(value)} against {significant(constant)})"
            )
    return found


def duplicates(summary: dict) -> list[str]:
    """How many held-out rows were in training too, as another row with the same content, and the remedy."""
    found = summary["duplicates"]
    if not found["n_in_training"]:
        return []
    percent = significant(100 * found["share"], 2)
    return [
        f"{found['n_in_training']:,} of {found['n_tests']:,} held-out rows ({percent} %) equal one of their "
        "fold's training rows in all features and the target. If these are copies of one observation, the "
        "score is too good: set split.method: group, with a column that says which rows belong together"
    ]
