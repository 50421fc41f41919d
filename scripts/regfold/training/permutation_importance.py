"""Permutation importance: how much the RMSE of held-out rows rises once a column is shuffled among them.

As in scikit-learn's `permutation_importance`, in the target's units (Breiman, "Random forests", Machine
Learning 45, 2001; Fisher, Rudin and Dominici, JMLR 20, 2019).
"""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

import keras
import numpy as np

from regfold import files
from regfold.data import row_weights
from regfold.data.layout import inputs_of
from regfold.data.matrix import take_rows
from regfold.splits import folds
from regfold.training.programs import permutation
from regfold.training.seeds import derive

# A cell's importance is measured on at most MOST_ROWS held-out rows, and on fewer, but at least FEWEST_ROWS,
# where these would take more multiplications than this. It depends on data and settings, not on the machine.
MOST_ROWS, FEWEST_ROWS, MOST_MULTIPLICATIONS = 10_000, 100, 10**11
HEADER = ("repeat", "fold", "column", "importance")


def permutations(n: int, number: int, seed: int) -> np.ndarray:
    """Permutations of n rows, int (number, n), the same for all columns.

    They are those of scikit-learn's `permutation_importance(random_state=seed)`, in which each permutation
    shuffles the one before it.
    """
    random = np.random.RandomState(np.random.RandomState(seed).randint(np.iinfo(np.int32).max + 1))
    shuffle, order, orders = np.arange(n), np.arange(n), []
    for _ in range(number):
        random.shuffle(shuffle)
        order = order[shuffle]
        orders.append(order)
    return np.stack(orders)


def increases(
    network: keras.Model,
    rows: np.ndarray,
    truth: np.ndarray,
    inputs: Mapping[str, list[int]],
    orders: np.ndarray,
    deviation: np.ndarray | float = 1.0,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """By how much each column's shuffling raises the RMSE over rows and outputs: float64 (columns, orders).

    Args:
        network, rows, truth, orders: see permutation.squared_errors.
        inputs: column -> its positions in an encoded row, see layout.inputs_of.
        deviation: (n_outputs,), by which each output's errors are divided.
        weights: (n,), of the rows in the mean; None: all rows count the same.
    """
    weights = np.ones(len(rows)) if weights is None else weights
    columns = np.zeros((len(inputs) + 1, rows.shape[1]), bool)  # in the last row nothing is shuffled
    for place, positions in enumerate(inputs.values()):
        columns[place, positions] = True
    errors = permutation.squared_errors(network, rows, truth, orders, columns, weights)
    rmse = np.sqrt(np.mean(errors / np.square(deviation), axis=2) / weights.sum())
    return (rmse[:, :-1] - rmse[:, -1:]).T


def measure(
    networks: Iterable[tuple[tuple[int, int], keras.Model]],
    prepared: Path,
    split: dict,
    number: int,
    out: Path,
) -> None:
    """Write the mean increase of the RMSE over permutations, a line for each cell of a model and column.

    Rows with the weight 0 are left out. With several targets, the errors are in each target's standard
    deviations, so that all targets count the same.

    Args:
        networks: (repeat, fold) and network of each of the model's cells.
        prepared: results/prepared.
        split: the resolved split section, whose seed decides the permutations.
        number: how many permutations.
        out: path of the CSV file, which has the columns of HEADER.
    """
    schema, decided = files.read_json(prepared / "schema.json"), folds.read(prepared, split)
    target, inputs, deviation = np.load(prepared / "target.npy"), inputs_of(schema["columns"]), 1.0
    weights = row_weights.read(prepared)
    weights = np.ones(len(target)) if weights is None else weights
    if schema["classes"]:
        target = np.eye(len(schema["classes"]))[target]
    elif len(schema["target"]) > 1:
        deviation = target[(decided.assignment > 0).any(axis=0)].std(axis=0)
        deviation[deviation == 0] = 1.0
    lines = []
    for (repeat, fold), network in networks:
        seed = derive(split["seed"], repeat, fold, "permutations")
        held_out = np.flatnonzero(decided.held_out(repeat, fold) & (weights > 0))
        work = len(inputs) * number * network.count_params()
        most = min(MOST_ROWS, max(FEWEST_ROWS, MOST_MULTIPLICATIONS // max(1, work)))
        if len(held_out) > most:
            held_out = np.sort(np.random.default_rng(seed).choice(held_out, most, replace=False))
        rows = take_rows(prepared / "features.npy", held_out)
        orders = permutations(len(rows), number, seed)
        own = target[held_out], inputs, orders, deviation, weights[held_out]
        found = increases(network, rows, *own).mean(axis=1)
        lines += [(repeat, fold, *line) for line in zip(inputs, found.tolist(), strict=True)]
    with files.atomic(out) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(lines)
