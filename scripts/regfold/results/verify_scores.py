"""Verify scores.csv and summary.json: their scores are those of the out-of-sample files."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from regfold import files
from regfold.errors import RegfoldError, quote, reason
from regfold.provenance import cell_names
from regfold.results import metrics, predictions, scores
from regfold.results.predictions import Predictions

AGAIN = "run snakemake again"


def differences(results: Path, schema: dict, models: Sequence[str], named: Sequence[str]) -> list[str]:
    """Where the scores that are there differ from those of the out-of-sample files.

    Models and metrics that came into the config since have no scores yet, which is no difference.

    Args:
        results: the results folder.
        schema: the prepared table's schema.json.
        models: those whose out-of-sample files and cells are right.
        named: the config's `metrics`.

    Returns:
        a sentence for each wrong value, in the order of the files.

    Raises:
        RegfoldError: if a user-defined metric fails.
    """
    path, summary = results / "scores.csv", results / "summary.json"
    if not models or not path.is_file():
        return []
    chosen = metrics.reported(schema["task"], len(schema["target"]), named)
    oos = {model: predictions.read(results / "oos" / f"{model}.csv", schema) for model in models}
    cells = [
        files.read_json(results / "cells" / model / cell_names.name(repeat, fold) / "cell.json")
        for model, found in oos.items()
        for repeat, fold, _ in found.cells()
    ]
    expected = scores.table(schema, oos, cells, chosen).set_index(scores.CELL)
    problems = _of_cells(path, expected)
    return problems + _of_models(summary, oos, chosen) if summary.is_file() else problems


def _of_cells(path: Path, expected: pd.DataFrame) -> list[str]:
    """Where scores.csv differs from the scores of cells, indexed by model, repeat and fold."""
    try:
        found = scores.read(path).astype({"repeat": int, "fold": int}).set_index(scores.CELL)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [f"{path}: cannot be read: {reason(error)}; {AGAIN}"]
    line = {key: number for number, key in enumerate(found.index, start=2)}
    models = found.index.unique("model").intersection(expected.index.unique("model"))
    found, expected = (frame[frame.index.isin(models, "model")] for frame in (found, expected))
    have, want = Counter(found.index), Counter(expected.index)
    if wrong := sorted(key for key in have.keys() | want.keys() if have[key] != want[key]):
        return [f"{path}: {_cell(key)}: {have[key]} lines; expected {want[key]}; {AGAIN}" for key in wrong]
    there, right = found.to_dict("index"), expected.to_dict("index")
    return [
        f"{path}, line {line[key]}, {_cell(key)}: {_difference(name, there[key][name], value)}"
        for key in found.index
        for name, value in right[key].items()
        if name in there[key] and not _same(there[key][name], value)
    ]


def _of_models(path: Path, oos: Mapping[str, Predictions], chosen: Sequence[metrics.Metric]) -> list[str]:
    """Where summary.json differs from the scores of models over all of their rows."""
    try:
        found = files.read_json(path)["models"]
        problems = []
        for model, of_model in oos.items():
            if model not in found:
                continue
            deviation = metrics.deviations(of_model.truth)
            values = metrics.score(chosen, of_model.truth, of_model.prediction, deviation, of_model.weight)
            problems += [
                f"{path}: model {quote(model)}: {_difference(name, found[model][name], value)}"
                for name, value in values.items()
                if name in found[model] and not _same(found[model][name], value)
            ]
    except (RegfoldError, OSError, KeyError, TypeError, AttributeError) as error:
        return [f"{path}: cannot be read: {reason(error)}; {AGAIN}"]
    return problems


def _cell(key: tuple[str, int, int]) -> str:
    return f"model {quote(key[0])}, repeat {key[1]}, fold {key[2]}"


def _difference(name: str, found: object, expected: object) -> str:
    found, expected = (quote(value) if isinstance(value, str) else value for value in (found, expected))
    return f"{name}: {found} found, {expected} expected"


def _same(found: object, expected: object) -> bool:
    """Whether two texts are equal, or two numbers; missing, None and NaN are the same.

    The last digits of long sums may differ between processors.
    """
    if isinstance(expected, str):
        return found == expected
    try:
        numbers = [np.nan if pd.isna(value) else float(value) for value in (found, expected)]
    except (TypeError, ValueError):
        return False
    return bool(np.isclose(*numbers, rtol=1e-9, atol=1e-12, equal_nan=True))
