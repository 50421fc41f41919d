"""Predictions of new rows: the mean over the folds' networks, and how sure it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

import keras
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from regfold import files
from regfold.data.encode import encode
from regfold.data.layout import Layout
from regfold.data.matrix import CHUNK
from regfold.data.table import Table
from regfold.data.write_text import write_csv
from regfold.errors import RegfoldError, quote
from regfold.results import conformal, oos
from regfold.training.network import load_function

# Between the labels of a set of classes; one inside a label has a backslash before it.
SEPARATOR = "|"


def predict_table(
    prepared: oos.Prepared,
    table: Table,
    models: Sequence[str],
    split: dict,
    coverage: float,
    note: Callable[[str], object],
) -> dict[str, dict[str, np.ndarray]]:
    """Predict new rows with every model.

    Args:
        prepared: what prepare_data and split_folds wrote of the study's table.
        table: the new rows, with the study's feature columns in any order.
        models: the models' names.
        split: the resolved split section.
        coverage: of intervals and sets, between 0 and 1.
        note: called with each line on what a reader should know.

    Returns:
        model -> the columns to write behind the table's own, see `predict`.

    Raises:
        RegfoldError: if a column is missing or is not what it is in the study's table, has the name of a
            prediction's column, or a network is damaged or was trained with another encoding.
    """
    schema = prepared.schema
    for name in column_names(schema, split):
        if name in table:
            raise RegfoldError(
                f"{table.path}: column {quote(name)} has the name of a column that is written; rename it"
            )
    features = encoded(schema, table, split, note)
    predicted = {}
    for model in models:
        predicted[model] = predict(prepared, load(prepared, model), features, split, coverage)
        # The means alone: an interval is infinite where the study's rows are few.
        first = 1 if schema["classes"] else 0
        means = list(predicted[model].values())[first : first + len(schema["classes"] or schema["target"])]
        if not np.isfinite(means).all():
            note(f"model {model}: predictions are not finite, as a fold's network diverged")
    return predicted


def encoded(schema: dict, table: Table, split: dict, note: Callable[[str], object]) -> np.ndarray:
    """New rows as networks take them, see `encode`; notes too on what cannot be said of them."""
    features = encode(table, schema, note)
    if split["method"] == "time":
        what = "pred_set" if schema["classes"] else "pred_low and pred_high"
        note(f"{what} left out: they assume exchangeable rows, which split.method time does not")
    return features


def column_names(schema: dict, split: dict) -> list[str]:
    """The names of the columns that `predict` returns.

    Raises:
        RegfoldError: if a class or a target would give two of them one name.
    """
    with_bounds = split["method"] != "time"
    if schema["task"] == "classification":
        names = ["pred_label", *(f"pred_{label}" for label in schema["classes"])]
        names += ["pred_set"] * with_bounds
    else:
        endings = [f"_{name}" for name in schema["target"]] if len(schema["target"]) > 1 else [""]
        stems = ("pred", "pred_low", "pred_high") if with_bounds else ("pred",)
        names = [f"{stem}{ending}" for stem in stems for ending in endings]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        what = "class" if schema["classes"] else "target"
        raise RegfoldError(
            f"{schema['path']}: two columns of predictions would be named {quote(twice)}; rename the {what}"
        )
    return names


@dataclass(frozen=True)
class Ensemble:
    """The networks of a model's cells, and what they predicted of the rows that they had not seen.

    Attributes:
        networks: by (repeat, fold), in this order.
        truth: (n,) class codes or (n, n_targets) numbers: of every tested row, once a repeat.
        predicted: (n, n_outputs), their out-of-sample predictions.
        cells: int64 (n,), which network made each, as a position in `networks`.
    """

    networks: dict[tuple[int, int], keras.Model]
    truth: np.ndarray
    predicted: np.ndarray
    cells: np.ndarray


def load(prepared: oos.Prepared, model: str, root: Path = Path()) -> Ensemble:
    """Load a model's networks.

    Args:
        prepared: of the study.
        model: the model's name.
        root: the study's folder, where the file of network.build is.

    Raises:
        RegfoldError: if a cell is missing or damaged, or was trained with other rows or another encoding.
    """
    schema, networks, truth, predicted = prepared.schema, {}, [], []
    layout = Layout(schema, np.empty((0, schema["width"]), np.float32)).of_table()
    for folder, description in _cells(prepared, model):
        about = files.read_json(folder / "cell.json")
        if about["digests"]["layout"] != layout:
            raise RegfoldError(f"{folder}: {oos.OUTDATED}")
        digests, held_out = oos.read_cell(folder, description)
        key = description["repeat"], description["fold"]
        if problem := oos.wrong_rows(prepared, *key, digests, held_out):
            raise RegfoldError(f"{folder}: {problem}")
        truth.append(prepared.target[prepared.assignment[key[0] - 1] == key[1]])
        predicted.append(held_out)
        if build := about["settings"]["network"].get("build"):
            load_function(str(root / build))  # its layers are known to Keras then
        networks[key] = keras.models.load_model(folder / "model.keras", compile=False)
    cells = np.repeat(np.arange(len(networks)), [len(rows) for rows in truth])
    return Ensemble(networks, np.concatenate(truth), np.concatenate(predicted), cells)


def _cells(prepared: oos.Prepared, model: str) -> list[tuple[Path, dict]]:
    """The folder of each of a model's cells, and what its fold is, by repeat and fold."""
    results = prepared.folder.parent
    folds = [files.read_json(path) for path in results.glob("folds/*.json")]
    folds.sort(key=lambda fold: (fold["repeat"], fold["fold"]))
    cells = [(results / "cells" / model / f"{fold['repeat']}-{fold['fold']}", fold) for fold in folds]
    for folder, _ in cells:
        if not (folder / "cell.json").is_file():
            raise RegfoldError(f"{folder}: has no cell.json; expected a trained cell: run snakemake")
    return cells


def forward(network: keras.Model, features: np.ndarray) -> np.ndarray:
    """A network's predictions of encoded rows, float32 (n, width): (n, n_outputs), float64."""
    parts = [
        keras.ops.convert_to_numpy(network(features[start : start + CHUNK], training=False))
        for start in range(0, len(features), CHUNK)
    ]
    return np.concatenate(parts).astype(np.float64)


def predict(
    prepared: oos.Prepared, ensemble: Ensemble, features: np.ndarray, split: dict, coverage: float
) -> dict[str, np.ndarray]:
    """Predict encoded rows with the networks of a model.

    Args:
        prepared: of the study.
        ensemble: the model's, see `load`.
        features: float32 (n, width), see `encode`.
        split: the resolved split section; under method time there are neither intervals nor sets.
        coverage: of intervals and sets.

    Returns:
        column -> (n,) values. Classes: pred_label (text, the class of the highest mean probability),
        pred_<class> (float64), pred_set (text). Regression: pred, pred_low and pred_high (float64), with
        _<target> behind where there are several.
    """
    schema, repeats = prepared.schema, len(prepared.assignment)
    each = np.stack([forward(network, features) for network in ensemble.networks.values()])
    mean, values = each.mean(axis=0), []
    with_bounds = split["method"] != "time"
    if classes := schema["classes"]:
        broken = np.isnan(mean).any(axis=1)
        values = [np.array([*classes, ""], object)[np.where(broken, -1, mean.argmax(axis=1))], *mean.T]
        if with_bounds:
            true_class = ensemble.predicted[np.arange(len(ensemble.truth)), ensemble.truth]
            chosen = conformal.prediction_sets(true_class, ensemble.cells, each, coverage, repeats)
            values.append(_sets(classes, chosen))
    else:
        values = [*mean.T]
        if with_bounds:
            residuals = np.abs(ensemble.truth - ensemble.predicted)
            ends = [
                conformal.cv_plus(residuals[:, j], ensemble.cells, each[:, :, j], coverage, repeats)
                for j in range(each.shape[2])
            ]
            values += [*(low for low, _ in ends), *(high for _, high in ends)]
    return dict(zip(column_names(schema, split), values, strict=True))


def _sets(classes: list[str], chosen: np.ndarray) -> np.ndarray:
    """The labels of each row's set as one text, (n,), from bool (n, n_classes)."""
    labels = [label.replace("\\", r"\\").replace(SEPARATOR, f"\\{SEPARATOR}") for label in classes]
    return np.array([SEPARATOR.join(compress(labels, row)) for row in chosen], object)


def write(predicted: dict[str, dict[str, np.ndarray]], table: Table, folder: Path) -> list[str]:
    """Write <model>.csv for each model: the new table's own columns, cell for cell, then the predictions.

    Returns:
        a line for each file, for the terminal.
    """
    own = {name: pc.fill_null(table.text[name], "") for name in table.names}
    lines = []
    for model, columns in predicted.items():
        path = folder / f"{model}.csv"
        write_csv(pa.table(own | {name: pa.array(v).cast(pa.string()) for name, v in columns.items()}), path)
        lines.append(f"{path}: {len(table):,} row{'s' * (len(table) != 1)} predicted")
    return lines
