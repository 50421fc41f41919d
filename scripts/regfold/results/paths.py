"""Models with a path of strengths: the choice of a strength, and the files of a path.

path/<model>.csv has one line per strength, oos_path/<model>.parquet the predictions of each strength, in one
row group per strength; both ascending by strength.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as parquet

from regfold import files
from regfold.data.oos_names import output_names
from regfold.data.write_text import write_frame
from regfold.errors import RegfoldError
from regfold.results import choice as rules
from regfold.results import metrics, oos
from regfold.results.predictions import Predictions

NESTED = "nested"
MARKS = ("is_min", "is_one_se")
# Entries of cell.json that describe one training, and in its `path` are lists with one entry per strength;
# `of_seeds` only if there are several seeds.
OF_STRENGTH = (
    "epochs",
    "best_epoch",
    "ending",
    "flags",
    "penalties",
    "activations",
    "nonzero",
    "inputs",
    "of_seeds",
)
Key = tuple[int, int]


@dataclass(frozen=True)
class Cell:
    """A cell of a model with a path.

    Attributes:
        digests: uint8 (n_test, 16), of the rows that it predicted.
        predicted: (n_test, strengths, outputs), their predictions.
        path: the entry `path` of cell.json.
        train_weight: the sum of its training rows' weights; without weights their number.
    """

    digests: np.ndarray
    predicted: np.ndarray
    path: Mapping
    train_weight: float


@dataclass(frozen=True)
class Choice:
    """The choice on a path.

    Attributes:
        strengths: float64 (strengths,), in the cells' order.
        chosen: (repeat, fold) -> the position of the chosen strength; the same for all cells unless nested.
        table: the content of path/<model>.csv.
    """

    strengths: np.ndarray
    chosen: Mapping[Key, int]
    table: pd.DataFrame


@dataclass(frozen=True)
class PathModel:
    """What summary.json needs of a model with a path.

    Attributes:
        name: the setting that varies, such as kernel.l2.
        select: the rule that chose.
        strengths: float64 (strengths,), ascending.
        predictions: oos_path/<model>.parquet.
    """

    name: str
    select: str
    strengths: np.ndarray
    predictions: Path


def read_cells(prepared: oos.Prepared, folders: Sequence[Path]) -> dict[Key, Cell]:
    """The cells of a model with a path, by (repeat, fold).

    Raises:
        RegfoldError: if a file is missing or damaged, or a cell does not belong to its fold.
    """
    cells = {}
    for folder, (key, metadata, *own) in zip(folders, oos.each_cell(prepared, folders), strict=True):
        cells[key] = cell(metadata, *own)
        if problem := oos.wrong_rows(prepared, *key, *own, len(metadata["path"]["strengths"])):
            raise RegfoldError(f"{folder}: {problem}")
    return cells


def cell(metadata: Mapping, digests: np.ndarray, predicted: np.ndarray) -> Cell:
    """A cell from the content of its cell.json and its predictions."""
    weight = metadata.get("train_weight") or metadata["n_train"]
    return Cell(digests, predicted, metadata["path"], weight)


def choose(
    prepared: oos.Prepared, cells: Mapping[Key, Cell], select: str, named: Sequence[str] = ()
) -> Choice:
    """Choose a strength by the metric that ranks models, and score all strengths.

    If no strength has a score, the strongest penalty is chosen.

    Args:
        prepared: the table, and which fold tests each row.
        cells: all of a model's cells, see `read_cells`.
        select: min, one_se (see `choice.path_scores`) or nested: each cell has chosen on its inner folds.
        named: the config's list of metrics, which decides the metric, see `metrics.ranking`.

    Raises:
        RegfoldError: if the cells are of different paths.
    """
    keys = sorted(cells)
    strengths = np.array(_same_strengths(cells), np.float64)
    tested = [np.flatnonzero(prepared.assignment[repeat - 1] == fold) for repeat, fold in keys]
    truth = oos.truth(prepared, np.concatenate(tested)).astype(np.float64)
    predicted = np.concatenate([cells[key].predicted for key in keys])
    cell_of = np.repeat(np.arange(len(keys)), list(map(len, tested)))
    folds = len({fold for _, fold in keys})
    deviation, of_metrics = metrics.deviations(truth), []
    weight = None if prepared.weights is None else prepared.weights[np.concatenate(tested)]
    schema = prepared.schema
    for metric in metrics.compared(metrics.reported(schema["task"], len(schema["target"]), named)):
        if metric.row_loss is None:
            values = _values(metric, truth, predicted, deviation, weight)
            scores = rules.function_scores(values, cell_of, strengths, folds, metric)
        else:
            losses = _losses(metric, truth, np.moveaxis(predicted, 1, 0), deviation)
            scores = rules.path_scores(losses, cell_of, strengths, folds, metric, weight)
        of_metrics.append({name: column for name, column in scores.items() if name not in MARKS})
    first, *others = of_metrics
    table = {"strength": strengths} | first | _of_training([cells[key] for key in keys])
    table |= {name: scores[name] for name in MARKS}  # of the last metric, which ranks
    for columns in others:
        table |= columns
    strongest = int(strengths.argmax())
    if select == NESTED:
        chosen = {key: cells[key].path["chosen"] for key in keys}
    else:
        marked = table[f"is_{select}"]
        chosen = dict.fromkeys(keys, int(marked.argmax()) if marked.any() else strongest)
    return Choice(strengths, chosen, pd.DataFrame(table).sort_values("strength", ignore_index=True))


def _same_strengths(cells: Mapping[Key, Cell]) -> list[float]:
    first = next(iter(cells.values())).path["strengths"]
    for (repeat, fold), one in cells.items():
        if one.path["strengths"] != first:
            raise RegfoldError(
                f"repeat {repeat}, fold {fold}: trained with other strengths than other folds; run again"
            )
    return first


def _losses(
    metric: metrics.Metric, truth: np.ndarray, by_strength: Iterable[np.ndarray], deviation: np.ndarray
) -> np.ndarray:
    """`metrics.row_losses` for every strength, (n, strengths), from the predictions (n, outputs) of each."""
    return np.stack([metrics.row_losses(metric, truth, one, deviation) for one in by_strength], axis=1)


def _values(
    metric: metrics.Metric,
    truth: np.ndarray,
    predicted: np.ndarray,
    deviation: np.ndarray,
    weight: np.ndarray | None,
) -> rules.Values:
    """A function that computes a metric for some strengths on some rows, see `choice.Values`.

    Args:
        metric: the metric.
        truth: (n, outputs).
        predicted: (n, strengths, outputs).
        deviation, weight: see `metrics.score`.
    """

    def values(rows: np.ndarray, places: Sequence[int] = range(predicted.shape[1])) -> np.ndarray:
        found = (predicted[rows, place].astype(np.float64) for place in places)
        of_rows = deviation, None if weight is None else weight[rows]
        scores = [metrics.score([metric], truth[rows], one, *of_rows) for one in found]
        return np.array([score[metric.name] for score in scores])

    return values


def _of_training(cells: Sequence[Cell]) -> dict[str, np.ndarray]:
    """`rmse_train` (pooled), `nonzero` and `inputs` (means over cells), (strengths,) each; NaN if unknown."""
    paths, weights = [one.path for one in cells], [one.train_weight for one in cells]
    mse = np.square(np.array([path["rmse_train"] for path in paths], np.float64))
    return {
        "rmse_train": np.sqrt(np.average(mse, axis=0, weights=weights)),
        **{
            name: np.array([path[name] for path in paths], np.float64).mean(axis=0)
            for name in ("nonzero", "inputs")
        },
    }


def merge(prepared: oos.Prepared, cells: Mapping[Key, Cell], choice: Choice) -> pa.Table:
    """The out-of-sample file, with the predictions of the chosen strength; see `oos.merge`."""
    strengths = {key: float(choice.strengths[place]) for key, place in choice.chosen.items()}
    return oos.merge(prepared, chosen_predictions(cells, choice), strengths)


def chosen_predictions(cells: Mapping[Key, Cell], choice: Choice) -> dict[Key, tuple[np.ndarray, np.ndarray]]:
    """Each cell's digests and its predictions of the chosen strength, as `oos.merge` takes them."""
    return {key: (one.digests, one.predicted[:, choice.chosen[key]]) for key, one in cells.items()}


def predictions(prepared: oos.Prepared, cells: Mapping[Key, Cell]) -> Iterator[pa.Table]:
    """The content of oos_path/<model>.parquet, one table for each strength, ascending.

    Columns: row (text), repeat, fold (int32), as in folds.csv, and strength (float64); then truth and
    predictions, with names and types as in the out-of-sample file, and its order of lines.
    """
    strengths = _same_strengths(cells)
    own = {key: (one.digests, one.predicted) for key, one in cells.items()}
    parts = list(oos.joined(prepared, own, len(strengths)))
    repeat = np.concatenate([np.full(len(rows), repeat, np.int32) for repeat, rows, *_ in parts])
    rows, fold, predicted = (np.concatenate([part[i] for part in parts]) for i in (1, 2, 3))
    shared = dict(
        zip(("row", "repeat", "fold"), (prepared.names.take(pa.array(rows)), repeat, fold), strict=True)
    )
    truth_names, prediction_names = output_names(prepared.schema)
    truth = dict(zip(truth_names, map(np.ascontiguousarray, oos.truth(prepared, rows).T), strict=True))
    for place in np.argsort(strengths):
        strength = {"strength": np.full(len(rows), strengths[place])}
        columns = map(np.ascontiguousarray, predicted[:, place].T)
        yield pa.table(shared | strength | truth | dict(zip(prediction_names, columns, strict=True)))


def write_predictions(path: str | Path, tables: Iterator[pa.Table]) -> None:
    """Write oos_path/<model>.parquet."""
    first = next(tables)
    with files.atomic(path) as temporary, parquet.ParquetWriter(temporary, first.schema) as writer:
        for table in (first, *tables):
            writer.write_table(table, row_group_size=len(table))


def write_table(path: str | Path, table: pd.DataFrame) -> None:
    """Write path/<model>.csv; values that are undefined or not finite are empty."""
    write_frame(finite(table), path)


def finite(table: pd.DataFrame) -> pd.DataFrame:
    """The table as it is read back from path/<model>.csv: NaN for values that are not finite."""
    return table.replace([np.inf, -np.inf], np.nan)


def read_table(path: str | Path) -> pd.DataFrame:
    """Read path/<model>.csv: float64 columns, but is_min and is_one_se bool."""
    return pd.read_csv(path).astype({"strength": np.float64} | dict.fromkeys(MARKS, bool))


def path_models(
    selects: Mapping[str, str], predictions: Sequence[str | Path], cells: Sequence[Mapping]
) -> dict[str, PathModel]:
    """model -> what summary.json needs of it, for the models with a path.

    Args:
        selects: model -> its rule, for the models with a path.
        predictions: their oos_path/<model>.parquet.
        cells: the content of cell.json of all models' cells.
    """
    files_of = {Path(path).stem: Path(path) for path in predictions}
    path_of = {cell["model"]: cell["path"] for cell in cells if cell["model"] in selects}
    return {
        model: PathModel(
            path_of[model]["name"], select, np.sort(path_of[model]["strengths"]), files_of[model]
        )
        for model, select in selects.items()
    }


def at_chosen_strength(cell: dict, strength: float | None) -> dict:
    """The content of a cell's cell.json as if the cell had trained the chosen strength alone.

    Args:
        cell: the content.
        strength: the chosen one; None without a path, where the content stays as it is.
    """
    if strength is None:
        return cell
    path = cell["path"]
    place = path["strengths"].index(strength)
    own = {name: path[name][place] for name in OF_STRENGTH if name in path}
    return cell | own | {"flags": own["flags"] + cell["flags"]}


def corrected(
    path: PathModel,
    found: Predictions,
    compared: Sequence[metrics.Metric],
    deviation: np.ndarray,
    units: np.ndarray,
    split: dict,
) -> dict:
    """A model's score corrected for the choice of a strength on the rows that are scored, for summary.json.

    Args:
        path: the model's.
        found: its out-of-sample predictions, of the chosen strength.
        compared: the metrics that have intervals, see `metrics.compared`; the last one chose the strength.
        deviation: (outputs,), see `metrics.score`.
        units: (n,) int, from 0 without gaps: the independent unit of each line, which is its group or its row
            (one unit even if several repeats test it).
        split: the resolved split section.

    Returns:
        path, strengths (ascending), select, chosen_strength (nested: of each cell, by repeat and fold), and
        for the metric `_naive` (the score of the chosen strength), `_corrected`, `_low` and `_high` (BBC-CV)
        and `_tt` (Tibshirani and Tibshirani), each None if it is not justified; `interval`, the method or
        the reason as text. A nested choice uses no held-out row, so there is nothing to correct:
        `_corrected` is the score, and its interval that of any model.
    """
    metric, name = compared[-1], compared[-1].name
    score = metrics.score([metric], found.truth, found.prediction, deviation, found.weight)[name]
    score = metrics.finite_or_none(score)
    figures = {"path": path.name, "strengths": path.strengths.tolist(), "select": path.select}
    figures |= {f"{name}_naive": score, f"{name}_corrected": None, f"{name}_tt": None}
    if path.select == NESTED:
        each = [float(found.strength[rows[0]]) for *_, rows in found.cells()]
        return figures | {"chosen_strength": each, f"{name}_naive": None, f"{name}_corrected": score}
    figures |= dict.fromkeys(f"{one.name}_{end}" for one in compared for end in ("low", "high"))
    figures["chosen_strength"] = float(found.strength[0])
    if score is None:
        undefined = f"no strength has a {metric.label} over all rows"
        why = "no strength has finite predictions in all folds" if metric.root else undefined
        return figures | {"interval": why}
    cells = np.empty(len(found.truth), np.int64)
    for number, (*_, rows) in enumerate(found.cells()):
        cells[rows] = number
    by_strength = _read_predictions(path.predictions, found.truth.shape[1])
    if metric.row_loss:
        scored = _losses(metric, found.truth, by_strength, deviation)
        tibshirani = partial(rules.tibshirani_corrected, weight=found.weight)
    else:
        scored = _values(metric, found.truth, np.stack([*by_strength], axis=1), deviation, found.weight)
        tibshirani = rules.function_tibshirani_corrected
    if path.select == "min":
        chosen = int(np.flatnonzero(path.strengths == found.strength[0])[0])
        figures[f"{name}_tt"] = tibshirani(scored, cells, chosen, metric)
    bbc_cv, figures["interval"] = _bbc_cv(path, found, metric, scored, units, cells, split)
    if bbc_cv:
        names = f"{name}_corrected", f"{name}_low", f"{name}_high"
        figures |= dict(zip(names, (bbc_cv.score, bbc_cv.low, bbc_cv.high), strict=True))
    return figures


def _bbc_cv(
    path: PathModel,
    found: Predictions,
    metric: metrics.Metric,
    scored: np.ndarray | rules.Values,
    units: np.ndarray,
    cells: np.ndarray,
    split: dict,
) -> tuple[rules.Corrected | None, str]:
    """The score corrected by BBC-CV, and the method as text; or None, and the reason.

    Args:
        path, found, metric, units, split: see `corrected`.
        scored: what `_losses` or, for a metric that is not a mean over rows, `_values` returned.
        cells: (n,) int, from 0 without gaps: the cell of each line.
    """
    if split["method"] == "time":
        return None, "BBC-CV cannot resample the rows of time splits"
    n_units, rule = int(units.max()) + 1, (path.strengths, len(np.unique(found.fold)), path.select)
    if metric.row_loss:
        bags = rules.BAGS
        options = split["seed"], bags, metric, found.weight
        score = rules.bootstrap_bias_corrected(scored, units, cells, *rule, *options)
    elif bags := rules.bags_of_function(len(cells), len(path.strengths), path.select):
        score = rules.function_bias_corrected(scored, units, path.strengths, split["seed"], bags, metric)
    else:
        return None, f"BBC-CV would have to compute the {metric.label} too often"
    if score is None and n_units == 1:
        return None, "BBC-CV cannot resample a single group"
    if score is None:
        return None, f"the {metric.label} of every bag is undefined"
    kind = "rows" if n_units == len(set(found.row)) else "groups"
    fewer = f", {bags} bags" * (bags != rules.BAGS)
    return score, f"BBC-CV over {n_units:,} {kind}{fewer}; Tsamardinos et al., 2018"


def _read_predictions(path: Path, n_outputs: int) -> Iterator[np.ndarray]:
    """The predictions (n, outputs) of each strength, ascending; lines as in the out-of-sample file."""
    source = parquet.ParquetFile(path)
    names = source.schema_arrow.names[-n_outputs:]
    for place in range(source.num_row_groups):
        table = source.read_row_group(place, columns=names)
        yield np.stack([table[name].to_numpy() for name in names], axis=1)
