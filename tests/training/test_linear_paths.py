"""Guards paths of linear networks: against R's glmnet, algebra, and the conditions of a minimum."""

import os
import shutil
import subprocess
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from regfold.config import strengths
from regfold.data.matrix import padded, padded_length
from regfold.results import choice
from regfold.training.fitting import Fitting
from regfold.training.heldout import HeldOut
from sklearn.datasets import load_diabetes
from small_study import model

pytest.importorskip("tensorflow")
R = shutil.which("Rscript")
KEY = (42, 1, 1)


@cache
def table(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Diabetes, or a simulated table: x (n, n_features) and y (n,)."""
    if name == "diabetes":
        return load_diabetes(return_X_y=True)
    random = np.random.default_rng({"sparse": 1, "correlated": 2, "wide": 3}[name])
    n, n_features = {"sparse": (200, 20), "correlated": (150, 10), "wide": (150, 200)}[name]
    x = random.normal(size=(n, n_features))
    if name == "correlated":
        x = 0.7 * x[:, [0]] + 0.7 * x
    coefficients = np.zeros(n_features)
    coefficients[:5] = [3, -2, 1.5, 1, -0.5]
    return x * random.uniform(0.5, 5, n_features), x @ coefficients + random.normal(size=n) + 7


def schema(n_features: int, widths: list[int] | None = None) -> dict:
    starts = np.cumsum([0, *(widths or [1] * n_features)])
    columns = [
        {
            "name": f"x{i}",
            "kind": "numeric" if widths is None else "category",
            "start": int(a),
            "width": int(b - a),
        }
        for i, (a, b) in enumerate(pairwise(starts))
    ]
    return {"classes": None, "target": ["y"], "task": "regression", "columns": columns}


def trained(x, y, kernel: dict, described: dict, epochs=8000, **training) -> SimpleNamespace:
    """A path of linear networks on all of these rows, by full batches; weights (strengths, n_features)."""
    n = len(x)
    largest = np.linalg.eigvalsh(np.cov(((x - x.mean(0)) / x.std(0)).T))[-1]
    settings = model(
        network={"hidden": []},
        training={
            "epochs": epochs,
            "batch_size": n,
            "optimizer": "sgd",
            "learning_rate": float(0.45 / largest),
            "checkpoint_seconds": 1000,
        }
        | training,
        penalty={"kernel": kernel},
    )
    rows = padded(x.astype(np.float32), padded_length(n))
    fitting = Fitting(settings, KEY, described, rows, y[:, None].astype(float), 0)
    path = strengths.path_of(settings["penalty"])
    trainer = fitting.trainer([strengths.at(settings["penalty"], strength) for strength in path.strengths])
    networks = trainer.fit(None, save=lambda state: None).trained()
    held = HeldOut(trainer.program, None, fitting.target)

    def predict(rows: np.ndarray) -> np.ndarray:
        from regfold.training import standardize

        held.features = standardize.apply(rows.astype(np.float32), fitting.statistics)
        return held.predict([network.variables for network in networks])[..., 0]

    weights = np.stack([network.variables[0][:, 0] for network in networks])
    return SimpleNamespace(weights=weights, predict=predict, fitting=fitting)


@pytest.mark.skipif(
    R is None and not os.environ.get("REGFOLD_REQUIRE_R"), reason="needs R with glmnet (r-cran-glmnet)"
)
@pytest.mark.parametrize("l1_ratio", [1.0, pytest.param(0.5, marks=pytest.mark.heavy)])
@pytest.mark.parametrize("name", ["diabetes", "sparse", "correlated", "wide"])
def test_a_linear_path_is_that_of_glmnet(name, l1_ratio, tmp_path):
    """The strength is 2 lambda / sd(y): glmnet halves the squared error, and regfold scales the target."""
    x, y = table(name)
    given = np.geomspace(1.0, 0.02, 12)
    folds = np.random.default_rng(0).permutation(np.arange(len(y)) % 5) + 1
    kernel = {"strength": given.tolist(), "l1_ratio": l1_ratio, "proximal": True}
    predicted, first = np.empty((len(given), len(y))), None
    for fold in range(1, 6):
        # The first fold's coefficients are compared; for the others' predictions fewer epochs will do.
        epochs = 8000 if fold == 1 else 2000
        part = trained(x[folds != fold], y[folds != fold], kernel, schema(x.shape[1]), epochs)
        predicted[:, folds == fold] = part.predict(x[folds == fold])
        first = first or part
    columns = {"rows": np.column_stack([y, x]), "folds": folds, "settings": [l1_ratio]}
    scales = [y[folds != fold].std() for fold in range(1, 6)]
    columns |= {"lambda": given * np.mean(scales) / 2, "own": given * scales[0] / 2}
    for file, values in columns.items():
        pd.DataFrame(values).to_csv(tmp_path / f"{file}.csv", index=False)
    subprocess.run([R, Path(__file__).with_name("glmnet.R"), tmp_path], check=True, timeout=300)
    theirs = pd.read_csv(tmp_path / "path.csv")

    coefficients = pd.read_csv(tmp_path / "coefficients.csv").to_numpy().T
    scale = x[folds != 1].std(axis=0) / scales[0]
    difference = np.abs(first.weights - coefficients * scale).max()
    assert difference < 1e-3 * np.abs(first.weights).max()
    zero = np.abs(coefficients) == 0
    assert (first.weights[zero] == 0).mean() > 0.99, "what glmnet drops is exactly zero"

    losses = np.square(predicted - y).T
    np.testing.assert_allclose(np.sqrt(losses.mean(axis=0)), theirs["rmse"], rtol=0.01)
    ours = choice.path_scores(losses, folds - 1, given, 5)
    for mine, other in (("is_min", "min"), ("is_one_se", "one_se")):
        assert abs(ours[mine].argmax() - theirs[other].to_numpy().argmax()) <= 1, mine


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_an_l2_path_is_the_closed_form(optimizer):
    x, y = table("correlated")
    given = [0.01, 0.1, 1.0]
    training = {"schedule": "cosine", "learning_rate": 0.02} if optimizer == "adam" else {}
    found = trained(x, y, {"l2": given}, schema(10), optimizer=optimizer, **training)
    x, y = (x - x.mean(0)) / x.std(0), (y - y.mean()) / y.std()
    for weights, strength in zip(found.weights, given, strict=True):
        expected = np.linalg.solve(x.T @ x / len(y) + strength * np.eye(10), x.T @ y / len(y))
        np.testing.assert_allclose(weights, expected, atol=1e-4)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_groups_of_input_columns_minimize_what_they_are_to_minimize(optimizer):
    """Ten columns as groups of 1, 2, 3 and 4: the conditions of a minimum (Yuan and Lin, 2006) hold.

    Where a group is zero, the norm of the mean squared error's gradient is at most strength * sqrt(n_g);
    elsewhere the gradient is -strength * sqrt(n_g) * w / ||w||.
    """
    x, y = table("correlated")
    widths, given = [1, 2, 3, 4], [0.05, 0.3, 0.8]
    training = {"schedule": "cosine", "learning_rate": 0.02} if optimizer == "adam" else {}
    kernel = {"group": "input", "strength": given}
    found = trained(x, y, kernel, schema(10, widths), optimizer=optimizer, **training)
    x, y = (x - x.mean(0)) / x.std(0), (y - y.mean()) / y.std()
    n_zero = 0
    for weights, strength in zip(found.weights.astype(float), given, strict=True):
        gradient = 2 * x.T @ (x @ weights - y) / len(y)
        for part in np.split(np.arange(10), np.cumsum(widths)[:-1]):
            most, norm = strength * np.sqrt(len(part)), np.linalg.norm(weights[part])
            if norm == 0:
                n_zero += 1
                assert np.linalg.norm(gradient[part]) <= most * (1 + 1e-3)
            else:
                expected = -most * weights[part] / norm
                np.testing.assert_allclose(gradient[part], expected, atol=2e-3 * most)
    assert 0 < n_zero < 12


@pytest.mark.parametrize(("proximal", "exact"), [(True, True), (False, False)])
def test_zeros_are_exact_with_a_proximal_step_alone(proximal, exact):
    x, y = table("sparse")
    found = trained(x, y, {"l1": [0.1, 0.3], "proximal": proximal}, schema(20), epochs=500)
    assert (found.weights == 0).any() == exact


def test_input_groups_find_the_columns_that_matter():
    """5 of 50 columns, through a hidden layer, by Adam. (Small batches' noise would keep others alive.)"""
    random = np.random.default_rng(4)
    x = random.normal(size=(600, 50))
    y = 2 * x[:, 0] - 1.5 * x[:, 1] + x[:, 2] + 2 * np.tanh(2 * x[:, 3]) + 2 * np.exp(x[:, 4] / 2)
    y += 0.5 * random.normal(size=600)
    settings = model(
        network={"hidden": [20]},
        training={"epochs": 300, "batch_size": 200, "learning_rate": 0.005},
        penalty={"kernel": {"group": "input", "strength": [0.1, 0.2, 0.25, 0.3]}},
    )
    rows = padded(x.astype(np.float32), padded_length(600))
    fitting = Fitting(settings, KEY, schema(50), rows, y[:, None], 0)
    path = strengths.path_of(settings["penalty"])
    trainer = fitting.trainer([strengths.at(settings["penalty"], strength) for strength in path.strengths])
    used = [
        set(np.flatnonzero(np.any(network.variables[0] != 0, axis=1)))
        for network in trainer.fit(None, save=lambda state: None).trained()
    ]
    assert any(columns == {0, 1, 2, 3, 4} for columns in used), used
