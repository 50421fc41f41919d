"""rows.csv: each row's mean prediction, its error, and whether its truth is suspect."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from regfold.data.write_text import write_csv
from regfold.results import conformal
from regfold.results.metrics import deviations
from regfold.results.predictions import Predictions

TEXTS = ("row", "label")


def table(schema: dict, predictions: Mapping[str, Predictions], coverage: float) -> pd.DataFrame:
    """A line per tested row, the worst predicted first.

    Columns of one model end in `:<model>`, followed by `:<target>` if there are several targets; a model's
    name has no colon. Predictions are means over the repeats that test the row.

    Args:
        schema: the prepared table's schema.json.
        predictions: model -> its OOS predictions.
        coverage: `predict.coverage`; a residual beyond the conformal bound at it makes a row suspect.

    Returns:
        row (text), tests (number of repeats that test it), the truth (`y`, or `label`), `error` (mean over
        models, see `_regression` and `_classification`; NaN if no prediction is finite), `suspects` (the
        number of models for which the row is suspect), then for each model

        - regression: `pred`, `residual` (truth minus prediction), `spread` (the standard deviation of the
          prediction over the repeats; NaN for a single one), and `suspect` (bool);
        - classes: `label` (the most probable class; "" if not finite), `p_true` (the probability of the
          truth), `spread` (its standard deviation over the repeats), and `suspect`.
    """
    first = next(iter(predictions.values()))
    codes, names = pd.factorize(first.row)
    start = np.unique(codes, return_index=True)[1]
    columns: dict[str, np.ndarray] = {"row": names, "tests": np.bincount(codes)}
    of_models, errors, suspects = {}, [], []
    columns_of = _classification if schema["classes"] else partial(_regression, coverage=coverage)
    for model, oos in predictions.items():
        found, error, suspect = columns_of(schema, oos, codes, start)
        for name, values in found.items():
            what, colon, target = name.partition(":")
            of_models[f"{what}:{model}{colon}{target}"] = values
        of_models[f"suspect:{model}"] = suspect
        errors.append(error)
        suspects.append(suspect)
    if schema["classes"]:
        columns["label"] = np.array(schema["classes"], object)[first.truth[start].argmax(axis=1)]
    else:
        endings = _endings(schema["target"])
        columns |= {f"y{ending}": first.truth[start, i] for i, ending in enumerate(endings)}
    columns["error"] = pd.DataFrame(errors).mean().to_numpy()
    columns["suspects"] = np.sum(suspects, axis=0)
    frame = pd.DataFrame(columns | of_models)
    return frame.sort_values("error", ascending=False, kind="stable", ignore_index=True)


def _endings(targets: list[str]) -> list[str]:
    return [f":{target}" for target in targets] if len(targets) > 1 else [""]


def _regression(schema: dict, oos: Predictions, codes: np.ndarray, start: np.ndarray, coverage: float):
    """Columns of one model, errors, and which rows are suspect: residuals beyond the conformal bound.

    The error is the absolute residual, in the target's units; for several targets the root mean square of the
    residuals, each in standard deviations of the target's true values.
    """
    mean, spread = _over_repeats(oos.prediction, codes)
    residual, columns = oos.truth[start] - mean, {}
    suspect = np.zeros(len(start), bool)
    for i, ending in enumerate(_endings(schema["target"])):
        of_target = {"pred": mean, "residual": residual, "spread": spread}
        columns |= {f"{what}{ending}": values[:, i] for what, values in of_target.items()}
        size = np.abs(residual[:, i])
        # False for NaN: a prediction that is not finite tells about the network, not about the row.
        suspect |= size > conformal.bound(size[np.isfinite(size)], coverage)
    if len(schema["target"]) == 1:
        return columns, np.abs(residual[:, 0]), suspect
    return columns, np.sqrt(np.mean(np.square(residual / deviations(oos.truth)), axis=1)), suspect


def _classification(schema: dict, oos: Predictions, codes: np.ndarray, start: np.ndarray):
    """Columns of one model, errors (one minus the probability of the truth), and which labels are suspect."""
    truth = oos.truth.argmax(axis=1)
    of_truth = oos.prediction[np.arange(len(truth)), truth]
    (p_true,), (spread,) = (values.T for values in _over_repeats(of_truth[:, None], codes))
    mean, _ = _over_repeats(oos.prediction, codes)
    finite = np.isfinite(mean).all(axis=1)
    labels = np.array([*schema["classes"], ""], object)[np.where(finite, mean.argmax(axis=1), -1)]
    suspect = np.zeros(len(start), bool)
    suspect[finite] = label_issues(truth[start][finite], mean[finite])
    return {"label": labels, "p_true": p_true, "spread": spread}, 1 - p_true, suspect


def label_issues(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Which labels are probably wrong, by confident learning: bool (n,).

    A row belongs confidently to a class if the class's probability for it is at least the mean of that
    probability over the rows with this label. A label is an issue if the row belongs confidently to another
    class, or to several, and its own label is not the most probable one. Northcutt, Jiang and Chuang,
    "Confident learning: estimating uncertainty in dataset labels", JAIR 70 (2021), section 3.1, with the
    details of cleanlab's `find_label_issues(filter_by="confident_learning")`.

    Args:
        labels: (n,) class codes.
        probabilities: float64 (n, n_classes), out of sample.
    """
    n_classes = probabilities.shape[1]
    counts = np.bincount(labels, minlength=n_classes)
    own = np.bincount(labels, probabilities[np.arange(len(labels)), labels], minlength=n_classes)
    thresholds = np.where(counts > 0, own / np.maximum(counts, 1), np.inf)
    confident = probabilities >= thresholds - 1e-6
    n_confident, likeliest = confident.sum(axis=1), probabilities.argmax(axis=1)
    guess = np.where(n_confident > 1, likeliest, confident.argmax(axis=1))
    return (n_confident > 0) & (guess != labels) & (likeliest != labels)


def _over_repeats(values: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (NaN for a single number) by row, (rows, k) each, of (n, k) numbers."""
    counts = np.bincount(codes)
    mean = np.stack([np.bincount(codes, column) / counts for column in values.T], axis=1)
    squares = np.square(values - mean[codes])
    sums = np.stack([np.bincount(codes, column) for column in squares.T], axis=1)
    degrees = np.where(counts > 1, counts - 1, np.nan)[:, None]
    return mean, np.sqrt(sums / degrees)


def write(path: str | Path, frame: pd.DataFrame) -> None:
    """Write rows.csv; undefined values are empty."""
    text = pa.Table.from_pandas(frame, preserve_index=False)
    columns = [pc.fill_null(column.cast(pa.string()), "") for column in text.columns]
    write_csv(pa.table(columns, names=text.column_names), path)


def read(path: str | Path, most: int | None = None) -> pd.DataFrame:
    """rows.csv as `table` returned it, or only its first `most` lines."""
    frame = pd.read_csv(path, dtype=str, keep_default_na=False, nrows=most)
    for name in frame.columns:
        what = name.partition(":")[0]
        if what == "suspect":
            frame[name] = frame[name] == "true"
        elif what not in TEXTS:
            frame[name] = pd.to_numeric(frame[name])
    return frame
