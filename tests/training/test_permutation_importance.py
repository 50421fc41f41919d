"""Guards permutation importance: scikit-learn's numbers, a category as one column, the true columns found."""

import csv

import keras
import numpy as np
import pytest
from regfold.data.layout import inputs_of
from regfold.results import networks
from regfold.training import permutation_importance, standardize
from regfold.training.network import assemble
from regfold.training.programs import permutation
from sklearn import inspection
from sklearn.base import BaseEstimator
from small_study import Study


class Predictor(BaseEstimator):
    """A network as an estimator of scikit-learn's, on the table's columns, of categories the codes."""

    def __init__(self, network=None, columns=()):
        self.network, self.columns = network, columns

    def fit(self, x, y):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def encode(self, x):
        parts = [
            np.eye(column["width"])[values.astype(int)]
            if column["kind"] == "categorical"
            else values[:, None]
            for column, values in zip(self.columns, x.T, strict=True)
        ]
        return np.concatenate(parts, axis=1, dtype=np.float32)

    def predict(self, x):
        return self.network(self.encode(x)).numpy().astype(np.float64)


def entry(name, start, width=1, date_of=None):
    kind = "numeric" if width == 1 else "categorical"
    return {"name": name, "kind": kind, "start": start, "width": width, "date_of": date_of}


COLUMNS = [entry("a", 0), entry("b", 1, 3), entry("c", 4), entry("d", 5)]


def network_of(rows, truth, activation, seed=0):
    """An untrained network around the statistics of its rows."""
    keras.utils.set_random_seed(seed)
    statistics = standardize.fit(rows.copy(), COLUMNS)
    core = keras.Sequential(
        [
            keras.Input((len(statistics.keep),)),
            keras.layers.Dense(7, "relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(truth.shape[1], activation),
        ]
    )
    target = None if activation == "softmax" else standardize.fit_target(truth)
    return assemble([core], rows.shape[1], statistics, target)


@pytest.mark.parametrize("task", ["regression", "classification"])
@pytest.mark.parametrize(("missing", "weighted"), [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("few_rows", [permutation.FEW_ROWS, 0])
def test_importance_is_that_of_scikit_learn(task, missing, weighted, few_rows, monkeypatch):
    monkeypatch.setattr(permutation, "FEW_ROWS", few_rows)
    random = np.random.default_rng(0)
    n = 61
    x = np.stack([random.normal(size=n), random.integers(3, size=n), random.normal(5, 2, n), np.arange(n)], 1)
    if missing:
        x[::7, 0] = np.nan
    regression = task == "regression"
    truth = random.normal(1000, 50, size=(n, 1)) if regression else np.eye(4)[random.integers(4, size=n)]
    rows = Predictor(None, COLUMNS).encode(x)
    network = network_of(rows, truth, "linear" if regression else "softmax")

    def score(estimator, x, y, sample_weight=None):
        errors = np.mean((estimator.predict(x) - y) ** 2, axis=1)
        return -np.sqrt(np.average(errors, weights=sample_weight))

    weights = random.integers(4, size=n).astype(float) if weighted else None
    theirs = inspection.permutation_importance(
        Predictor(network, COLUMNS),
        x,
        truth,
        scoring=score,
        n_repeats=4,
        random_state=17,
        sample_weight=weights,
    )
    orders = permutation_importance.permutations(n, 4, 17)
    ours = permutation_importance.increases(network, rows, truth, inputs_of(COLUMNS), orders, weights=weights)
    scale = 50 if regression else 1
    np.testing.assert_allclose(ours, theirs.importances, rtol=0, atol=1e-6 * scale)
    assert np.abs(ours).max() > 1e-3 * scale


def test_levels_of_a_category_and_parts_of_a_date_are_one_column():
    dates = [entry(f"day_{part}", 6 + i, date_of="day") for i, part in enumerate(("year", "month"))]
    found = inputs_of([*COLUMNS, *dates])
    assert found == {"a": [0], "b": [1, 2, 3], "c": [4], "d": [5], "day": [6, 7]}


def measured(study: Study, number: int = 5) -> dict[str, list[float]]:
    """Column -> its importance in each cell of model m."""
    folders = [study.folder(*key) for key in study.cells()]
    path = study.results / "importance" / "m.csv"
    permutation_importance.measure(
        networks.of_cells(folders, {}), study.prepared, study.config["split"], number, path
    )
    found = {}
    with path.open(newline="") as file:
        for line in csv.DictReader(file):
            found.setdefault(line["column"], []).append(float(line["importance"]))
    return found


def test_the_true_columns_are_found_among_noise(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    x = random.normal(size=(300, 50))
    true = [3, 11, 20, 33, 48]
    y = x[:, true] @ [3.0, -2.0, 2.0, 1.5, -1.5] + 0.1 * random.normal(size=300)
    header = ",".join([*(f"x{i}" for i in range(50)), "y"])
    lines = [",".join(f"{value:.5f}" for value in [*row, t]) for row, t in zip(x, y, strict=True)]
    study = Study(
        "\n".join([header, *lines, ""]),
        split={"folds": 3},
        network={"hidden": []},
        training={"epochs": 60, "learning_rate": 0.02},
    )
    for key in study.cells():
        study.train(*key)
    found = measured(study)
    means = {name: np.mean(values) for name, values in found.items()}
    assert {len(values) for values in found.values()} == {3} and len(found) == 50
    assert set(sorted(means, key=means.get)[-5:]) == {f"x{i}" for i in true}
    # A linear model that is right: shuffling x raises the MSE by 2 b^2, here from nearly nothing.
    assert means["x3"] == pytest.approx(np.sqrt(2) * 3, rel=0.25)


def test_many_rows_are_sampled_and_the_file_is_the_same_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [f"{i % 17},{'uv'[i % 2]},{i % 17 + (i % 2)}" for i in range(120)]
    study = Study("\n".join(["x,kind,y", *lines, ""]), data={"categorical": ["kind"], "task": "regression"})
    for key in study.cells():
        study.train(*key)
    whole = measured(study)
    assert list(whole) == ["x", "kind"]
    text = (study.results / "importance" / "m.csv").read_text()
    assert measured(study) == whole and (study.results / "importance" / "m.csv").read_text() == text
    monkeypatch.setattr(permutation_importance, "MOST_ROWS", 10)
    sampled = measured(study)
    assert sampled != whole and sampled == measured(study)
