"""A saved model that predicts new rows, with prediction intervals or sets of classes."""

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from regfold import files
from regfold.data import frames
from regfold.data.encode import encode
from regfold.data.matrix import CHUNK
from regfold.data.oos_names import target_endings
from regfold.data.table import Table
from regfold.errors import RegfoldError, quote
from regfold.provenance import cell_names
from regfold.results import conformal, saved_model
from regfold.results.networks import load_network, own_classes

# Separates the labels of a set of classes; inside a label it is escaped by a backslash.
SEPARATOR = "|"


def load(folder: str | os.PathLike) -> "Predictor":
    """Load a saved model, a folder under results/models/. If the model has a network.build, its file is run.

    Raises:
        RegfoldError: if the folder is not a saved model, or a file in it is missing or damaged.
    """
    folder = Path(folder)
    path = folder / saved_model.METADATA
    try:
        metadata = files.read_json(path, remove=folder)
    except (FileNotFoundError, NotADirectoryError):
        raise RegfoldError(f"{path}: no such file; expected a model under results/models/") from None
    for name in saved_model.damaged(folder, metadata):
        raise RegfoldError(f"{folder / name}: missing or damaged; remove {folder} and run again")
    own = {}
    if build := metadata["build"]:
        own = own_classes(f"{folder / saved_model.build_file(build).name}:{build.rpartition(':')[2]}")
    networks = {
        key: load_network(folder / saved_model.network_file(key), own, place)
        for key, place in zip(map(tuple, metadata["networks"]), metadata["chosen"], strict=True)
    }
    with np.load(folder / saved_model.SCORES) as archive:
        return Predictor(metadata, networks, archive["score"], archive["cell"])


@dataclass(frozen=True)
class Predictor:
    """Predicts raw rows with a model's networks.

    Attributes:
        metadata: the content of model.json, see saved_model.save.
        networks: by (repeat, fold), in this order, and by cell_names.REFIT the one trained on all rows.
        scores: float64, out-of-sample scores of the study's rows, once for each repeat: absolute errors
            (n, n_targets), or the true class's probability (n,).
        cells: int64 (n,), the network that the row was held out from, as a position in `networks`.
    """

    metadata: dict
    networks: dict[tuple[int, int], keras.Model]
    scores: np.ndarray
    cells: np.ndarray

    def __repr__(self) -> str:
        schema = self.metadata["schema"]
        return f"<regfold model {self.metadata['model']!r}: {', '.join(map(quote, schema['target']))}>"

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Predict new rows. Warnings count missing cells, unknown levels and unused columns.

        Args:
            frame: (n, columns), the feature columns as in the study's table, in any order; no target needed.

        Returns:
            the columns that `snakemake predict` appends to a file's own, with the frame's index: pred,
            pred_low and pred_high (several targets: each with the suffix _<target>); for classes pred_label,
            pred_<class> and pred_set. No bounds and no sets under split.method time.

        Raises:
            RegfoldError: if a column is missing, or a numeric column holds text.
        """
        table = frames.table(frame, self.metadata["missing"])
        notes: list[str] = []
        features = self.encode(table, notes.append)
        for line in notes:
            warnings.warn(line, stacklevel=2)
        return pd.DataFrame(self.predict_encoded(features), index=frame.index)

    def encode(self, table: Table, note: Callable[[str], object]) -> np.ndarray:
        """Encode new rows, see `encode.encode`; also notes that intervals or sets are left out."""
        schema = self.metadata["schema"]
        features = encode(table, schema, note)
        if not self.with_bounds:
            what = "pred_set" if schema["classes"] else "pred_low and pred_high"
            note(f"{what} left out: they assume exchangeable rows, which split.method time does not")
        return features

    def predict_encoded(self, features: np.ndarray) -> dict[str, np.ndarray]:
        """Predict encoded rows, float32 (n, width): column -> (n,) values, see `predict`.

        The prediction is that of the network trained on all rows if there is one, else the mean of the folds'
        networks. Intervals and sets always come from the folds' networks, whose out-of-sample errors are
        known.
        """
        schema = self.metadata["schema"]
        outputs = {key: forward(network, features) for key, network in self.networks.items()}
        refit = outputs.pop(cell_names.REFIT, None)
        each = np.stack([*outputs.values()])
        best = each.mean(axis=0) if refit is None else refit
        bounds = self.metadata["coverage"], len({repeat for repeat, _ in outputs})
        if classes := schema["classes"]:
            broken = np.isnan(best).any(axis=1)
            values = [np.array([*classes, ""], object)[np.where(broken, -1, best.argmax(axis=1))], *best.T]
            if self.with_bounds:
                chosen = conformal.prediction_sets(self.scores, self.cells, each, *bounds)
                values.append(_sets(classes, chosen))
        else:
            values = [*best.T]
            if self.with_bounds:
                ends = [
                    conformal.cv_plus(scores, self.cells, each[:, :, j], *bounds)
                    for j, scores in enumerate(self.scores.T)
                ]
                # Counts are never below 0, so their intervals need not be either.
                least = 0.0 if self.metadata.get("loss") == "poisson" else -np.inf
                values += [*(np.maximum(low, least) for low, _ in ends), *(high for _, high in ends)]
        return dict(zip(column_names(schema, self.with_bounds), values, strict=True))

    @property
    def with_bounds(self) -> bool:
        """Whether there are intervals or sets."""
        return self.metadata["method"] != "time"


def column_names(schema: dict, with_bounds: bool) -> list[str]:
    """The names of the columns that are predicted.

    Args:
        schema: the schema of the study's table.
        with_bounds: whether there are intervals or sets.

    Raises:
        RegfoldError: if the name of a class or target makes two of them equal.
    """
    if schema["task"] == "classification":
        names = ["pred_label", *(f"pred_{label}" for label in schema["classes"])]
        names += ["pred_set"] * with_bounds
    else:
        endings = target_endings(schema["target"])
        stems = ("pred", "pred_low", "pred_high") if with_bounds else ("pred",)
        names = [f"{stem}{ending}" for stem in stems for ending in endings]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        what = "class" if schema["classes"] else "target"
        raise RegfoldError(
            f"{schema['path']}: two columns of predictions would be named {quote(twice)}; rename the {what}"
        )
    return names


def forward(network: keras.Model, features: np.ndarray) -> np.ndarray:
    """A network's predictions of encoded rows, float32 (n, width): (n, n_outputs), float64."""
    parts = [
        keras.ops.convert_to_numpy(network(features[start : start + CHUNK], training=False))
        for start in range(0, len(features), CHUNK)
    ]
    return np.concatenate(parts).astype(np.float64)


def _sets(classes: list[str], chosen: np.ndarray) -> np.ndarray:
    """The labels of each row's set as one text, (n,), from bool (n, n_classes)."""
    labels = [label.replace("\\", r"\\").replace(SEPARATOR, f"\\{SEPARATOR}") for label in classes]
    return np.array([SEPARATOR.join(compress(labels, row)) for row in chosen], object)
