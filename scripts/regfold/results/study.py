"""A finished study, read from results/ for the report."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from regfold import files
from regfold.config import baselines
from regfold.results import by_level, comparison, metrics, predictions, remarks, weights
from regfold.results import importance as importance_file
from regfold.results import paths as path_files
from regfold.results import rows as rows_file
from regfold.results import scores as scores_file
from regfold.results.history import read_history
from regfold.results.metrics import Metric
from regfold.results.predictions import Predictions
from regfold.results.remarks import Headline

WORST_ROWS = 20


@dataclass(frozen=True)
class Study:
    """The content of the report; all mappings are in the order of models, baselines last.

    Args:
        schema: the prepared table's schema.json.
        split: the resolved `split` section of the config.
        scores: scores.csv, see `scores.table`.
        summary: summary.json.
        oos: model or baseline -> its out-of-sample predictions.
        by: scores_by.csv, see `by_level.table`.
        importance: importance.csv, see `importance.table`.
        rows: the first lines of rows.csv, the worst predicted rows, see `rows.table`.
        cells: model or baseline -> its cells' cell.json, by repeat and fold; with a path, as if the chosen
            strength had been trained alone.
        histories: model -> its cells' histories, in the order of `cells`; with a path, the chosen strength's.
        paths: model with a path -> path/<model>.csv, see `paths.read_table`.
        kernels: model -> the kernels of its cells' networks, see `weights.kernels`.
    """

    schema: dict
    split: dict
    scores: pd.DataFrame
    summary: dict
    oos: Mapping[str, Predictions]
    by: pd.DataFrame
    importance: pd.DataFrame
    rows: pd.DataFrame
    cells: Mapping[str, Sequence[dict]]
    histories: Mapping[str, Sequence[Mapping[str, np.ndarray]]]
    paths: Mapping[str, pd.DataFrame]
    kernels: Mapping[str, Sequence[Mapping[str, np.ndarray]]]

    @cached_property
    def weight_fits(self) -> dict[str, dict[str, weights.Fit]]:
        """model -> layer -> the fit of its weights in all cells, without layers that cannot be fitted."""
        return _fits({model: weights.pooled(networks) for model, networks in self.kernels.items()})

    @cached_property
    def activations(self) -> dict[str, dict[str, tuple[float, np.ndarray]]]:
        """Model with an activity penalty -> hidden layer -> share of zeros, and sizes of the other outputs.

        The sizes are quantiles over the rows, of all cells together, (n,) float64.
        """
        found = {}
        for model in self.networks:
            cells = [cell["activations"] for cell in self.cells[model]]
            for layer in dict.fromkeys(layer for cell in cells for layer in cell):
                own = [cell[layer] for cell in cells if layer in cell]
                zeros = float(np.mean([one["zeros"] for one in own]))
                sizes = np.concatenate([one["quantiles"] for one in own])
                found.setdefault(model, {})[layer] = zeros, sizes
        return found

    @cached_property
    def activation_fits(self) -> dict[str, dict[str, weights.Fit]]:
        """Model -> hidden layer -> the fit of `activations`; as these are quantiles, ignore its interval."""
        return _fits(
            {
                model: {layer: sizes for layer, (_, sizes) in layers.items()}
                for model, layers in self.activations.items()
            }
        )

    def column_norms(self, model: str) -> tuple[np.ndarray, pd.DataFrame] | None:
        """For a path of a `group: input` penalty: its strengths, ascending, and each column's mean norm.

        None for other paths. The mean is over the cells that used the column, which are those whose training
        rows differ in it.
        """
        paths = [cell["path"] for cell in self.cells[model]]
        if not all("column_norms" in path for path in paths):
            return None
        order = np.argsort(paths[0]["strengths"])
        cells = [pd.DataFrame(path["column_norms"]).iloc[order] for path in paths]
        mean = pd.concat(cells).groupby(level=0, sort=False).mean()
        return np.sort(paths[0]["strengths"]), mean

    @property
    def models(self) -> dict[str, dict]:
        """model or baseline -> its part of summary.json."""
        return {model: self.summary["models"][model] for model in self.oos}

    @property
    def networks(self) -> dict[str, dict]:
        """model -> its part of summary.json, without the baselines."""
        return {model: result for model, result in self.models.items() if model in self.histories}

    @property
    def baselines(self) -> dict[str, dict]:
        """baseline -> its part of summary.json."""
        return {model: result for model, result in self.models.items() if model not in self.histories}

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics of the task, in the order of scores.csv."""
        return metrics.of(self.schema["task"], len(self.schema["target"]))

    @property
    def reported(self) -> tuple[dict, ...]:
        """Name, label and greater_is_better of all metrics, the headline first."""
        return self.summary["metrics"]

    @cached_property
    def ranking(self) -> Headline:
        """The metric that ranks the models."""
        return remarks.ranking(self.summary)

    @property
    def rmse(self) -> Metric:
        """The RMSE, or for several targets the standardized RMSE: the default headline."""
        return metrics.ranking(self.metrics)

    @property
    def best(self) -> str:
        """The model with the best score, see `remarks.reported`; the first one if none has a score."""
        return self.best_of(self.networks)

    def best_of(self, models: Iterable[str]) -> str:
        """The best of some models or baselines, as `best`."""
        scores = {model: remarks.reported(self.models[model], self.ranking.name) for model in models}
        sign = self.ranking.sign
        return min(scores, key=lambda model: math.inf if scores[model] is None else sign * scores[model])

    def against_best(self) -> list[dict]:
        """A line for each other model: how much worse its score is than that of `best`, from `comparison`.

        Returns:
            model, score, score_of_best, difference (above 0: worse), low, high, p_value, p_best_better,
            p_equivalent, sentence.
        """
        lines, names = [], comparison.COLUMNS
        of_metric = dict(zip(names, [*names[:2], *comparison.columns(self.ranking.name)], strict=True))
        for found in self.summary["comparison"]:
            pair = {name: found[column] for name, column in of_metric.items()}
            if self.best == pair["model_a"]:
                own, other, sign = "a", "b", -1
            elif self.best == pair["model_b"]:
                own, other, sign = "b", "a", 1
            else:
                continue
            sign *= self.ranking.sign
            line = {name: pair[name] for name in ("p_value", "p_equivalent")} | {
                "sentence": found["sentence"]
            }
            line |= {"model": pair[f"model_{other}"], "p_best_better": pair[f"p_{own}_better"]}
            line |= {"score": pair[f"rmse_{other}"], "score_of_best": pair[f"rmse_{own}"]}
            signed = {name: pair[name] for name in ("difference", "low", "high")}
            line |= {name: None if value is None else sign * value for name, value in signed.items()}
            if sign < 0:
                line["low"], line["high"] = line["high"], line["low"]
            lines.append(line)
        return lines

    @property
    def classifies(self) -> bool:
        return self.schema["task"] == "classification"

    @property
    def network_cells(self) -> list[dict]:
        return [cell for model in self.networks for cell in self.cells[model]]


def read(
    models: Sequence[str],
    split: dict,
    schema: str | Path,
    scores: str | Path,
    summary: str | Path,
    oos: Sequence[str | Path],
    scores_by: str | Path,
    importance: str | Path,
    rows: str | Path,
    cells: Sequence[str | Path],
    histories: Sequence[str | Path],
    paths: Sequence[str | Path],
    networks: Sequence[str | Path],
) -> Study:
    """Read a study from the files that the other rules wrote; lists of files may be in any order.

    Args:
        models: the names of models and baselines.
        split: the resolved `split` section.
        schema, scores, summary, scores_by, importance, rows: the files of these names.
        oos: oos/<model>.csv of all models and baselines.
        cells: cell.json of all their cells.
        histories, networks: history.csv and model.keras of all models' cells.
        paths: path/<model>.csv of the models with a path.
    """
    schema = files.read_json(schema)
    oos_of = {Path(path).stem: path for path in oos}
    oos = {model: predictions.read(oos_of[model], schema) for model in models}
    history_of = {Path(path).parent: path for path in histories}
    network_of = {Path(path).parent: path for path in networks}
    found, kernels = [], {}
    for path, cell in ((Path(path), files.read_json(path)) for path in cells):
        model, key = cell["model"], (cell["repeat"], cell["fold"])
        if model in oos:
            strength = oos[model].strength_of(*key)
            history = history_of.get(path.parent)
            history = None if history is None else read_history(history, strength)
            found.append((model, key, path_files.at_chosen_strength(cell, strength), history))
            if path.parent in network_of:
                place = None if strength is None else cell["path"]["strengths"].index(strength)
                own = weights.kernels(network_of[path.parent], place)
                kernels.setdefault(model, {})[key] = own
    found.sort(key=lambda item: item[:2])
    return Study(
        schema=schema,
        split=split,
        scores=scores_file.read(scores),
        summary=files.read_json(summary),
        oos=oos,
        by=by_level.read(scores_by),
        importance=importance_file.read(importance),
        rows=rows_file.read(rows, WORST_ROWS),
        cells={model: [cell for name, _, cell, _ in found if name == model] for model in models},
        histories={
            model: [history for name, *_, history in found if name == model]
            for model in models
            if model not in baselines.NAMES
        },
        paths={Path(path).stem: path_files.read_table(path) for path in paths},
        kernels={
            model: [network for _, own in sorted(kernels[model].items()) for network in own]
            for model in models
            if model in kernels
        },
    )


def _fits(values: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, dict[str, weights.Fit]]:
    """model -> layer -> the fit of its values, without layers that cannot be fitted."""
    fits = {
        model: {layer: weights.fit(own) for layer, own in layers.items()} for model, layers in values.items()
    }
    return {model: {layer: fit for layer, fit in own.items() if fit} for model, own in fits.items()}
