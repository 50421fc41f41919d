"""The results of a study in Python: `study = regfold.Study("path/to/study")`."""

import contextlib
import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import yaml

from regfold import files
from regfold.config import baselines, strengths
from regfold.config.resolve import resolve
from regfold.data.oos_names import KEYS, LABEL
from regfold.errors import RegfoldError, nearest, quote, reason
from regfold.provenance import cell_names
from regfold.results import by_level, oos, paths
from regfold.results import importance as importance_file
from regfold.results import rows as rows_file
from regfold.results import scores as scores_file
from regfold.results import study as finished

if TYPE_CHECKING:
    import altair
    import keras

    from regfold.results.predictor import Predictor

CONFIG = "config.yaml"


class Study:
    """A finished study: its scores, its out-of-sample predictions and its networks.

    Results are read on first use; Keras is imported for networks alone.

    Args:
        folder: the study's folder, with config.yaml and results/.

    Raises:
        RegfoldError: if the folder holds no finished study, or its config.yaml is wrong.
    """

    def __init__(self, folder: str | os.PathLike = "."):
        self.folder = Path(folder).absolute()
        self.results = self.folder / "results"
        for path in (self.folder / CONFIG, self.results / "summary.json"):
            if not path.is_file():
                raise RegfoldError(f"{path}: no such file; expected the folder of a finished study")
        try:
            raw = yaml.safe_load((self.folder / CONFIG).read_text(encoding="utf-8"))
        except (ValueError, yaml.YAMLError) as error:
            raise RegfoldError(f"{self.folder / CONFIG}: cannot be read: {reason(error)}") from None
        with contextlib.chdir(self.folder):  # the paths in config.yaml are relative to it
            self.config = resolve(raw, str(self.folder / CONFIG))
        self._predictors: dict[str, Predictor] = {}

    def __repr__(self) -> str:
        return f"Study({str(self.folder)!r})"

    @cached_property
    def summary(self) -> dict:
        """summary.json: {"models": {name: {"rmse": ..., ...}}, ...}."""
        return dict(files.read_json(self.results / "summary.json"))

    @property
    def models(self) -> list[str]:
        """The models' names."""
        return list(self.config["models"])

    @cached_property
    def scores(self) -> pd.DataFrame:
        """scores.csv: a row for each cell, with its model, repeat, fold and scores."""
        return self._read("scores.csv", scores_file.read)

    @cached_property
    def folds(self) -> pd.DataFrame:
        """folds.csv: row (text), repeat and fold (int64), where each row is tested."""
        return self._read(
            "folds.csv", lambda path: pd.read_csv(path, dtype={"row": str}, keep_default_na=False)
        )

    @cached_property
    def comparison(self) -> pd.DataFrame:
        """comparison.csv: a row for each pair of models."""
        names = dict.fromkeys(("model_a", "model_b"), str)
        return self._read("comparison.csv", lambda path: pd.read_csv(path, dtype=names))

    @cached_property
    def scores_by(self) -> pd.DataFrame:
        """scores_by.csv: a row for each model, column of report.by, and level."""
        return self._read("scores_by.csv", by_level.read)

    @cached_property
    def importance(self) -> pd.DataFrame:
        """importance.csv: a row for each model and column, the most important ones first."""
        return self._read("importance.csv", importance_file.read)

    @cached_property
    def rows(self) -> pd.DataFrame:
        """rows.csv: a row for each tested row of the table, the worst predicted first."""
        return self._read("rows.csv", rows_file.read)

    def predictions(self, model: str) -> pd.DataFrame:
        """The out-of-sample file of a model or a baseline, typed.

        Returns:
            the table's own columns (numeric features and regression targets as float64, NaN where missing;
            the others as text, as they stand in the table), then oos_row (text), oos_repeat and oos_fold
            (int64), oos_strength (float64, with a path), oos_label (text), truth and predictions (float64).

        Raises:
            RegfoldError: if there is no such model, or its file is missing.
        """
        self._check(model, baselines.predictors(self.config))
        frame = self._read(
            f"oos/{model}.csv", lambda path: pd.read_csv(path, dtype=str, keep_default_na=False)
        )
        schema = self._prepared.schema
        own = {entry["name"] for entry in schema["columns"] if entry["kind"] == "numeric"}
        own |= set() if schema["classes"] else set(schema["target"])
        missing = [text.strip() for text in self.config["data"]["missing"]]
        for name in frame:
            if name in KEYS[1:]:
                frame[name] = frame[name].astype(np.int64)
            elif name in own:
                cells = frame[name].str.strip()
                # A comma in a column of numbers is the decimal mark.
                cells = cells.mask(cells.isin(missing)).str.replace(",", ".", regex=False)
                frame[name] = cells.astype(np.float64)
            elif name not in (*schema["table_columns"], KEYS[0], LABEL):  # with a path, oos_strength too
                frame[name] = frame[name].astype(np.float64)
        return frame

    def path(self, model: str) -> pd.DataFrame:
        """path/<model>.csv: a row for each strength, ascending, see `paths.read_table`.

        Raises:
            RegfoldError: if there is no such model, or it has no path.
        """
        self._check(model)
        if model not in strengths.selects(self.config):
            raise RegfoldError(f"model {quote(model)} has no path of strengths in {self.folder / CONFIG}")
        return self._read(self._path_table(model), paths.read_table)

    def networks(self, model: str) -> list["keras.Model"]:
        """The networks of a model's folds, by repeat and fold; loaded once.

        Each maps encoded rows, float32 (n, width), NaN where missing, to class probabilities or to numbers in
        the targets' units, (n, n_outputs). `predict` takes rows as they are in the table.

        Raises:
            RegfoldError: if there is no such model, or a network is missing or damaged.
        """
        networks = self._predictor(model).networks
        return [network for key, network in networks.items() if key != cell_names.REFIT]

    def predict(self, model: str, frame: pd.DataFrame) -> pd.DataFrame:
        """Predict new rows with a model, see Predictor.predict."""
        return self._predictor(model).predict(frame)

    def figure(self, name: str) -> "altair.LayerChart":
        """A chart of the report, by the name of its file under results/figures/.

        Raises:
            RegfoldError: if there is no chart of this name.
        """
        found = {figure.name: figure for figure in self._figures}
        if name not in found:
            raise RegfoldError(f"no figure {quote(name)}; expected one of {', '.join(map(quote, found))}")
        return found[name].chart.properties(width=found[name].width)

    @cached_property
    def _figures(self) -> list:
        from regfold.report import figures

        names = baselines.predictors(self.config)
        return list(
            figures.of_study(
                finished.read(
                    models=names,
                    split=self.config["split"],
                    schema=self.results / "prepared" / "schema.json",
                    scores=self.results / "scores.csv",
                    summary=self.results / "summary.json",
                    oos=[self.results / "oos" / f"{name}.csv" for name in names],
                    scores_by=self.results / "scores_by.csv",
                    importance=self.results / "importance.csv",
                    rows=self.results / "rows.csv",
                    cells=sorted(self.results.glob("cells/*/*-*/cell.json")),
                    histories=sorted(self.results.glob("cells/*/*-*/history.csv")),
                    networks=sorted(self.results.glob("cells/*/*-*/model.keras")),
                    paths=[self._path_table(model) for model in strengths.selects(self.config)],
                )
            )
        )

    @cached_property
    def _prepared(self) -> oos.Prepared:
        return self._read("prepared", oos.read_prepared)

    def _predictor(self, model: str) -> "Predictor":
        self._check(model)
        if model not in self._predictors:
            from regfold.results import predictor

            self._predictors[model] = predictor.load(self.results / "models" / model)
        return self._predictors[model]

    def _check(self, model: str, known: list[str] | None = None) -> None:
        """Refuse a name that is not among `known`, by default the models."""
        known = known or self.models
        if model not in known:
            hint = nearest(model, known) or f"; expected {', '.join(map(quote, known))}"
            raise RegfoldError(f"no model {quote(model)} in {self.folder / CONFIG}{hint}")

    def _path_table(self, model: str) -> Path:
        return self.results / "path" / f"{model}.csv"

    def _read(self, name: str | Path, read):
        path = self.results / name
        try:
            return read(path)
        except FileNotFoundError as error:
            raise RegfoldError(f"{error.filename or path}: no such file; run snakemake first") from None
