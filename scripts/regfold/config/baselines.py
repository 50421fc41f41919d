"""The names of the baselines: scikit-learn's estimators that are fitted on the same folds as the networks."""

# The name in the results (oos/, scores.csv, ...) -> the name in config.yaml.
NAMES = {"baseline_linear": "linear", "baseline_boosting": "boosting"}


def of(config: dict) -> list[str]:
    """The names of a resolved config's baselines."""
    return [name for name, kind in NAMES.items() if kind in config["baselines"]]


def predictors(config: dict) -> list[str]:
    """The names of everything that is cross-validated: the models, then the baselines."""
    return [*config["models"], *of(config)]
