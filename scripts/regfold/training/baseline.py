"""One cell of a baseline: fit scikit-learn's estimator on the training rows, predict the held-out rows."""

import platform
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV, Ridge, RidgeCV
from threadpoolctl import threadpool_limits

from regfold import __version__, files
from regfold.data import row_weights
from regfold.data.matrix import take_rows
from regfold.provenance import identity
from regfold.splits import folds, inner
from regfold.training import cell_files, standardize
from regfold.training.seeds import derive

# Strengths of the L2 penalty per training row, in descending order, so that of equal scores the strongest is
# chosen. For columns of standard deviation 1 they range from hardly any penalty to coefficients close to 0.
STRENGTHS = np.logspace(3, -5, 17)
MOST_ITERATIONS = 1_000
# scikit-learn's boosting accepts at most this many levels in a categorical column.
MOST_LEVELS = 255


def run(
    name: str,
    repeat: int,
    fold: int,
    specification: dict,
    split: dict,
    prepared: Path,
    description: dict,
    out: Path,
) -> dict:
    """Fit, predict, and write the cell's files: predictions.npz and, last, cell.json.

    Args:
        name: the baseline's name.
        repeat, fold: from 1.
        specification: all that the fit depends on besides its rows, see identity.baseline_specification.
        split: the resolved split section.
        prepared: results/prepared.
        description: the fold's description, results/folds/<repeat>-<fold>.json.
        out: the cell's folder.

    Returns:
        the content of cell.json.
    """
    started, clock = datetime.now(UTC), time.monotonic()
    decided = folds.read(prepared, split)
    held_out = np.flatnonzero(decided.held_out(repeat, fold))
    # One thread: the order of a sum, and with it the last bit, must not depend on the number of processors.
    with threadpool_limits(1):
        predictions, strength, flags = _fit_and_predict(
            specification["baseline"], repeat, fold, split, decided, prepared
        )
    with files.atomic(out / "predictions.npz") as temporary:
        digests = np.load(prepared / "digests.npy", mmap_mode="r")[held_out]
        np.savez(temporary, digest=digests, prediction=predictions)
    metadata = {
        "model": name,
        "repeat": repeat,
        "fold": fold,
        "fold_name": description["name"],
        "n_train": description["n_train"],
        "n_test": len(held_out),
        "epochs": None,
        "strength": strength,
        "settings": {"baseline": specification["baseline"]},
        "versions": {
            "regfold": __version__,
            **specification["versions"],
            "python": platform.python_version(),
        },
        "flags": flags,
        "digests": {
            **{part: description[part] for part in identity.DIGESTS},
            "code": specification["code"],
            "files": cell_files.digests(out),
        },
        "times": {
            "started": started.isoformat(timespec="seconds"),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds_total": round(time.monotonic() - clock, 3),
        },
    }
    files.write_json(out / "cell.json", metadata)
    return metadata


def _fit_and_predict(
    baseline: dict, repeat: int, fold: int, split: dict, decided: folds.Folds, prepared: Path
) -> tuple[np.ndarray, float | None, list[str]]:
    """Fit a baseline on a fold's training rows and predict the rows that the fold holds out.

    Args:
        baseline: its kind and seed, see config.baselines.
        repeat, fold, split, prepared: see `run`.
        decided: the folds of the split.

    Returns:
        the predictions and the strength, see `linear` (None for boosting), and the cell's flags.
    """
    schema, training = files.read_json(prepared / "schema.json"), decided.training(repeat, fold)
    target, weights = np.load(prepared / "target.npy")[training], row_weights.read(prepared)
    if weights is not None:
        weights = weights[training] / weights[training].mean()
    train_rows, test_rows = (
        take_rows(prepared / "features.npy", np.flatnonzero(rows))
        for rows in (training, decided.held_out(repeat, fold))
    )
    if baseline["kind"] == "boosting":
        return boosting(train_rows, target, test_rows, schema, weights), None, []
    seed = derive(baseline["seed"], repeat, fold, "inner folds")
    classes = target if schema["classes"] else None
    inner_folds = inner.folds(split, decided.codes_of(training), classes, seed)
    if weights is not None:  # rows that all have the weight 0 can be neither fitted nor scored
        inner_folds = [pair for pair in inner_folds if all(weights[rows].any() for rows in pair)]
    flags = [] if inner_folds else ["too few training rows to choose the strength of the penalty"]
    return *linear(train_rows, target, test_rows, schema, inner_folds, weights), flags


def linear(
    train_rows: np.ndarray,
    target: np.ndarray,
    test_rows: np.ndarray,
    schema: dict,
    inner_folds: Sequence[tuple[np.ndarray, np.ndarray]],
    weights: np.ndarray | None = None,
) -> tuple[np.ndarray, float | None]:
    """Ridge or logistic regression on columns that are imputed and standardized as for the networks.

    The strength of the L2 penalty is the one with the lowest squared error (regression) or cross-entropy
    (classification) on the inner folds; without inner folds it is scikit-learn's default.

    Args:
        train_rows, test_rows: float32 (n, width), encoded rows; NaN is a missing number. Changed in place.
        target: of the training rows: (n_train,) class codes, or (n_train, n_targets) numbers.
        schema: the table's schema.
        inner_folds: for each inner fold the positions of its training rows and of its test rows.
        weights: of the training rows, float64 (n_train,) with a mean of 1; used in the fit and in the choice
            of the strength. Statistics of the columns are not weighted. None: all rows count the same.

    Returns:
        the predictions, (n_test, n_outputs): probabilities, float32, or numbers in the targets' units,
        float64; and the strength: `alpha` of the ridge regression, 1 / `C` of the logistic one, None if the
        training rows have a single class, so that nothing is fitted.
    """
    statistics = standardize.fit(train_rows, schema["columns"])
    x, new = (standardize.apply(rows, statistics).astype(np.float64) for rows in (train_rows, test_rows))
    strengths = len(x) * STRENGTHS
    if schema["classes"]:
        if (target == target[0]).all():
            return _probabilities(np.ones((len(new), 1)), target[:1], schema), None
        if not inner_folds:
            model = LogisticRegression(max_iter=MOST_ITERATIONS).fit(x, target, weights)
            return _probabilities(model.predict_proba(new), model.classes_, schema), 1.0
        model = LogisticRegressionCV(
            Cs=1 / strengths,
            cv=inner_folds,
            scoring="neg_log_loss",
            l1_ratios=(0.0,),
            max_iter=MOST_ITERATIONS,
            use_legacy_attributes=False,
        ).fit(x, target, weights)
        return _probabilities(model.predict_proba(new), model.classes_, schema), float(1 / model.C_)
    scale = standardize.fit_target(target)
    y = (target - scale.mean) / scale.deviation
    if inner_folds:
        model = RidgeCV(alphas=strengths, cv=inner_folds, scoring="neg_mean_squared_error").fit(x, y, weights)
    else:
        model = Ridge().fit(x, y, weights)
    strength = model.alpha_ if inner_folds else model.alpha
    return scale.restore(model.predict(new).reshape(len(new), -1)), float(strength)


def boosting(
    train_rows: np.ndarray,
    target: np.ndarray,
    test_rows: np.ndarray,
    schema: dict,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """Histogram gradient boosting with scikit-learn's defaults, but always 100 trees (for each class).

    scikit-learn's own early stopping, on from 10,000 rows, would hold out rows at random, not whole groups.
    The trees handle missing numbers and categories themselves. Each target has a model of its own.

    Args and returns: as `linear`, without the strength.
    """
    x, categorical = _categories(train_rows, train_rows, schema["columns"])
    new, _ = _categories(test_rows, train_rows, schema["columns"])
    options = {"categorical_features": categorical, "early_stopping": False, "random_state": 0}
    if schema["classes"]:
        if (target == target[0]).all():
            return _probabilities(np.ones((len(new), 1)), target[:1], schema)
        model = HistGradientBoostingClassifier(**options).fit(x, target, weights)
        return _probabilities(model.predict_proba(new), model.classes_, schema)
    fitted = (HistGradientBoostingRegressor(**options).fit(x, column, weights) for column in target.T)
    return np.stack([model.predict(new) for model in fitted], axis=1)


def _categories(
    rows: np.ndarray, train_rows: np.ndarray, columns: Sequence[dict]
) -> tuple[np.ndarray, list[bool]]:
    """Replace the one-hot columns of each category by a single one: the position of the row's level.

    A category with more than MOST_LEVELS levels in the training rows keeps its one-hot columns.

    Args:
        rows, train_rows: float32 (n, width), encoded rows.
        columns: the schema's columns.

    Returns:
        float32 (n, n_columns), NaN for a row without a level; and which of its columns are such positions.
    """
    parts, categorical = [], []
    for column in columns:
        block = slice(column["start"], column["start"] + column["width"])
        whole = column["kind"] == "categorical" and (
            np.count_nonzero(train_rows[:, block].any(axis=0)) <= MOST_LEVELS
        )
        part = rows[:, block]
        if whole:
            part = np.where(part.any(axis=1), part.argmax(axis=1), np.nan)[:, None]
        parts.append(part)
        categorical += [whole] * part.shape[1]
    return np.concatenate(parts, axis=1, dtype=np.float32), categorical


def _probabilities(found: np.ndarray, classes: np.ndarray, schema: dict) -> np.ndarray:
    """Probabilities of all classes, float32 (n, n_classes), from those of the training rows' classes.

    Args:
        found: (n, k), the probabilities of k classes.
        classes: (k,), the codes of these classes.
        schema: the table's schema.
    """
    probabilities = np.zeros((len(found), len(schema["classes"])), np.float32)
    probabilities[:, classes] = found
    return probabilities
