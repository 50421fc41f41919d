"""The columns that regfold adds to the table's own in an out-of-sample file."""

KEYS = ("oos_row", "oos_repeat", "oos_fold")
STRENGTH = "oos_strength"  # only for a model with a path
LABEL = "oos_label"
TRUTH, PREDICTION = "oos_y", "oos_pred"


def output_names(schema: dict) -> tuple[list[str], list[str]]:
    """The columns of the truth and of the predictions: one per class, or one per target."""
    if schema["task"] == "classification":
        endings = [f"_{name}" for name in schema["classes"]]
    else:
        endings = target_endings(schema["target"])
    return [f"{TRUTH}{ending}" for ending in endings], [f"{PREDICTION}{ending}" for ending in endings]


def target_endings(targets: list[str]) -> list[str]:
    """The suffix of column names for each target: `_<target>`, or nothing for a single target."""
    return [f"_{name}" for name in targets] if len(targets) > 1 else [""]


def is_reserved(name: str) -> bool:
    """Whether a table must not have a column of this name, since regfold may add one."""
    return name in (*KEYS, STRENGTH, LABEL, TRUTH, PREDICTION) or name.startswith(
        (f"{TRUTH}_", f"{PREDICTION}_")
    )
