"""The list `metrics`: metrics that regfold knows, and user-defined functions, FILE.py:FUNCTION."""

from collections.abc import Iterable, Sequence

from regfold.config.paths import check_function
from regfold.errors import RegfoldError, nearest, quote

KNOWN = {
    "classification": ("rmse", "log_loss", "accuracy", "balanced_accuracy", "brier", "roc_auc"),
    "regression": ("rmse", "rmse_standardized", "mae", "r2"),
}
# The other columns of scores.csv and keys of summary.json, which no function's name may repeat.
TAKEN = {
    *("model", "repeat", "fold", "n_train", "n_test", "epochs", "flags", "weight"),
    *("interval", "targets", "n_rows", "n_rows_tested", "n_cells", "repeats", "folds", "flagged_cells"),
    *("ece", "calibration_slope", "calibration_intercept"),
    *("path", "strengths", "select", "chosen_strength"),
    # And the columns of path/<model>.csv, scores_by.csv and comparison.csv.
    *("strength", "rmse_train", "nonzero", "inputs", "is_min", "is_one_se", "column", "level", "n", "small"),
}
ENDINGS = ("_low", "_high", "_of_constant", "_fold_mean", "_fold_sd", "_naive", "_corrected", "_tt")


def name_of(metric: str) -> str:
    """The name of an entry of the list in the files and the report."""
    return metric.rpartition(":")[2]


def own(chosen: Iterable[str]) -> list[str]:
    """The entries that are user-defined functions."""
    return [metric for metric in chosen if ":" in metric]


def check(chosen: Sequence[str], weighted: bool = False) -> None:
    """Check the list as far as that is possible without the table.

    Args:
        chosen: the list.
        weighted: whether rows have weights, which a function then takes as a third argument.

    Raises:
        RegfoldError: naming the first entry that is neither a known metric nor an existing function, or
            whose name is taken.
    """
    known = list(dict.fromkeys(name for names in KNOWN.values() for name in names))
    seen = set()
    for metric in chosen:
        name = name_of(metric)
        if metric in known:
            continue
        if ":" not in metric:
            hint = nearest(metric, known) or f"; expected {', '.join(known)} or FILE.py:FUNCTION"
            raise RegfoldError(f"metrics: no metric {quote(metric)}{hint}")
        check_function(metric, "metrics", ("truth", "prediction") + ("weight",) * weighted)
        if name in TAKEN or name in known or name.endswith(ENDINGS) or name in seen:
            raise RegfoldError(f"metrics: {quote(metric)}: the name {quote(name)} is taken; expected another")
        seen.add(name)
