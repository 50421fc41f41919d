"""Guards data.weight in training: what a row's loss counts, and which cells depend on a row's weight."""

from pathlib import Path

import numpy as np
import pytest
from regfold.errors import RegfoldError
from regfold.results.verify import verify
from regfold.training.baseline import STRENGTHS
from regfold.training.fitting import Fitting
from regfold.training.fold_rows import FoldRows
from regfold.workflow.plan import plan
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, mean_squared_error
from sklearn.utils.class_weight import compute_class_weight
from small_study import Study

STOPPING = {"early_stopping": {"fraction": 0.3, "patience": 2}}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def table(weights: np.ndarray, classes: bool = False) -> str:
    """Columns x, z, w (the weights), v (the same but for the first) and y."""
    random = np.random.default_rng(3)
    x, z = random.normal(size=(2, len(weights)))
    y = x - z + random.normal(size=len(weights))
    target = np.array(["a", "b"])[(y > 0).astype(int)] if classes else y
    other = np.concatenate([[weights[0] + 1], weights[1:]])
    columns = zip(x, z, weights, other, target, strict=True)
    return "\n".join(["x,z,w,v,y", *(",".join(map(str, line)) for line in columns), ""])


def weights_of(n: int = 40) -> np.ndarray:
    return np.random.default_rng(5).uniform(0.5, 3, n).round(2)


def study(weights: np.ndarray, classes: bool = False, weight: str | None = "w", **more) -> Study:
    return Study(table(weights, classes), {"weight": weight, "exclude": ["w", "v"]}, **more)


def test_a_rows_weight_is_an_input_of_exactly_the_cells_that_have_the_row():
    weights = weights_of()
    made = study(weights, split={"folds": 4})
    before = {key: made.description(*key) for key in made.cells()}
    weights[7] = 9
    Path("t.csv").write_text(table(weights))
    made.prepare()
    for key in made.cells():
        changed = {name for name, value in made.description(*key).items() if value != before[key][name]}
        assert changed == {"test" if 7 in made.tested(*key) else "train"}


def test_cells_train_again_where_a_training_row_weighs_more_and_predict_again_where_a_held_out_one_does():
    weights = weights_of()
    made = study(weights, split={"folds": 4})
    made.rerun()
    weights[7] = 9
    Path("t.csv").write_text(table(weights))
    steps = plan(made.config, {"m": made.made[1, 1, "m"][1]}, made.results, Path(".regfold/state"))
    tests = [7 in made.tested(step.repeat, step.fold) for step in steps]
    words = [("predicts again", "held-out") if one else ("trains", "training") for one in tests]
    assert [(step.what, *step.why) for step in steps] == [
        (what, f"{part} rows changed: 1 row") for what, part in words
    ]
    made.prepare()
    assert made.rerun() == set(made.cells())


def test_weights_of_1_share_no_training_with_a_study_without_weights():
    weights = np.ones(40)
    made = study(weights, split={"folds": 2}, weight=None)
    without, trained = made.description(1, 1), made.train()
    made.config["data"]["weight"] = "w"
    made.prepare()
    assert made.description(1, 1)["train"] != without["train"]
    again = made.train()
    assert again["trained_epochs"] == 3 and again["digests"]["states"] != trained["digests"]["states"]
    # Another column, and the same weights but for the first row's.
    before = {key: made.description(*key) for key in made.cells()}
    made.config["data"]["weight"] = "v"
    made.prepare()
    assert all(made.description(*key) != before[key] for key in made.cells())


@pytest.mark.parametrize("class_weight", [None, "balanced"])
@pytest.mark.parametrize("training", [{}, STOPPING])
def test_a_loss_counts_the_rows_weight_over_the_training_rows_mean_times_the_classes(class_weight, training):
    weights = weights_of()
    settings = training | {"class_weight": class_weight}
    made = study(weights, classes=True, split={"folds": 4}, training=settings)
    specification = made.config["models"]["m"]
    fold = FoldRows(made.prepared, specification["training"], made.config["split"], (42, 1, 1))
    rows, truth, n_validation, relative = fold.rows(fold.key)
    fitting = Fitting(specification, fold.key, made.schema, rows, truth, n_validation, relative)
    indices = [np.flatnonzero((made.features() == row).all(axis=1))[0] for row in _raw(fold, len(truth))]
    n = len(truth) - n_validation
    expected = weights[indices] / weights[indices[:n]].mean()
    if class_weight:
        of_class = compute_class_weight("balanced", classes=np.arange(2), y=truth[:n])
        expected *= of_class[truth]
    np.testing.assert_allclose(fitting.rows.weights[:n], expected[:n], rtol=1e-6)
    assert bool(n_validation) == bool(training)
    if n_validation:
        np.testing.assert_allclose(fitting.validation.weights[:n_validation], expected[n:], rtol=1e-6)


def _raw(fold: FoldRows, n: int) -> np.ndarray:
    """The encoded rows of a cell, as they were before a fitting standardized them."""
    return fold.rows(fold.key)[0][:n]


def test_only_ratios_of_weights_count():
    weights = weights_of()
    made = study(weights, split={"folds": 2})
    made.train()
    before = made.predictions()[1]
    Path("t.csv").write_text(table(4 * weights))
    made.prepare()
    assert made.train()["trained_epochs"] == 3
    np.testing.assert_array_equal(made.predictions()[1], before)


def test_the_held_out_scores_of_a_history_and_of_inner_folds_are_weighted():
    weights = weights_of()
    path = {"penalty": {"kernel": {"l2": [0.0, 0.1]}}, "select": "nested"}
    models = {"m": path, "one": {}, "two": {"training": {"seeds": 2}}}
    made = study(weights, split={"folds": 2}, models=models)
    about = made.train(model="one")
    rows, predicted = made.predictions(model="one")
    truth = np.load(made.prepared / "target.npy")
    expected = np.sqrt(mean_squared_error(truth[rows], predicted, sample_weight=weights[rows]))
    last = Path(made.folder(1, 1, "one") / "history.csv").read_text().splitlines()[-1]
    assert float(last.split(",")[5]) == pytest.approx(expected, rel=1e-6)
    assert about["n_test"] == len(rows)
    of_seeds = made.train(model="two")["of_seeds"]
    assert of_seeds[0]["rmse"] == pytest.approx(expected, rel=1e-6)
    path = made.train()["path"]
    Path("t.csv").write_text(table(np.ones(40)))
    made.prepare()
    unweighted = made.train()["path"]
    for name in ("rmse_train", "inner_rmse"):
        assert np.all(np.abs(np.subtract(path[name], unweighted[name])) > 1e-4)


def test_verify_reads_the_weights_anew():
    weights = weights_of()
    made = study(weights, split={"folds": 2}, models={"m": {}})
    made.rerun()
    made.merge()
    assert verify(made.config, made.results).startswith("verified")
    weights[7] += 1
    Path("t.csv").write_text(table(weights))
    with pytest.raises(RegfoldError, match=r"oos/m\.csv"):
        verify(made.config, made.results)


@pytest.mark.parametrize("classes", [False, True])
def test_the_linear_baseline_weighs_its_fit_and_what_chooses_its_strength(classes):
    weights = np.random.default_rng(1).choice([0.0, 0.1, 1.0, 8.0], 120)
    made = study(weights, classes, split={"folds": 3}, baselines=["linear"])
    cell = made.fit()
    tested = made.tested()
    training = np.setdiff1d(np.arange(120), tested)
    x, w = made.features()[training].astype(float), weights[training] / weights[training].mean()
    y = np.load(made.prepared / "target.npy")[training]
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    x, new = (x - mean) / deviation, (made.features()[tested] - mean) / deviation
    scale = (y.mean(axis=0), y.std(axis=0)) if not classes else (0, 1)
    y = y if classes else ((y - scale[0]) / scale[1])[:, 0]
    fold = FoldRows(made.prepared, made.config["models"]["m"]["training"], made.config["split"], (42, 1, 1))
    position = {row: place for place, row in enumerate(training)}
    folds = [tuple(np.array([position[row] for row in part]) for part in pair) for pair in fold.inner()]

    def fit(strength, rows):
        model = LogisticRegression(C=1 / strength, max_iter=1000) if classes else Ridge(strength)
        return model.fit(x[rows], y[rows], w[rows])

    def loss(strength, a, b):
        model = fit(strength, a)
        if classes:
            return log_loss(y[b], model.predict_proba(x[b]), sample_weight=w[b])
        return mean_squared_error(y[b], model.predict(x[b]), sample_weight=w[b])

    strengths = len(x) * STRENGTHS
    losses = [np.mean([loss(strength, *pair) for pair in folds]) for strength in strengths]
    best = strengths[int(np.argmin(losses))]
    assert cell["strength"] == pytest.approx(best)
    model, predicted = fit(best, slice(None)), made.predictions(model="baseline_linear")[1]
    expected = model.predict_proba(new) if classes else (model.predict(new) * scale[1] + scale[0])[:, None]
    np.testing.assert_allclose(predicted, expected, rtol=1e-3, atol=2e-4)


def test_the_boosting_baseline_is_fitted_with_the_weights():
    weights = np.random.default_rng(1).choice([0.0, 1.0, 8.0], 120)
    made = study(weights, split={"folds": 3}, baselines=["boosting"])
    made.fit(name="baseline_boosting")
    training = np.setdiff1d(np.arange(120), made.tested())
    w, y = weights[training] / weights[training].mean(), np.load(made.prepared / "target.npy")[training, 0]
    model = HistGradientBoostingRegressor().fit(made.features()[training], y, w)
    predicted = made.predictions(model="baseline_boosting")[1][:, 0]
    np.testing.assert_allclose(predicted, model.predict(made.features()[made.tested()]), rtol=1e-9)


@pytest.mark.parametrize("zero", ["trains on", "tests"])
def test_a_cell_in_which_no_row_weighs_anything_is_an_error_before_any_training(zero):
    weights, fold = np.ones(12), "fold\n" + "\n".join("ab"[i % 2] for i in range(12))
    weights[0 if zero == "tests" else 1 :: 2] = 0
    lines = zip(table(weights).splitlines(), fold.splitlines(), strict=True)
    text = "\n".join([*(f"{line},{name}" for line, name in lines), ""])
    with pytest.raises(RegfoldError) as caught:
        Study(text, {"weight": "w", "exclude": ["v"]}, {"method": "column", "column": "fold"})
    assert str(caught.value) == (
        f"split: repeat 1, fold 1: every row that it {zero} has the weight 0 (column 'w', data.weight); "
        "expected a row with a weight above 0"
    )


def test_validation_rows_without_weight_are_an_error():
    weights = np.zeros(40)
    made = study(weights_of(), split={"folds": 2}, training=STOPPING)
    fold = FoldRows(made.prepared, made.config["models"]["m"]["training"], made.config["split"], (42, 1, 1))
    n_validation = fold.rows(fold.key)[2]
    kept = FoldRows(made.prepared, made.config["models"]["m"]["training"], made.config["split"], (42, 1, 1))
    order = [np.flatnonzero((made.features() == row).all(axis=1))[0] for row in _raw(kept, 20)]
    weights[order[: 20 - n_validation]] = 1
    weights[made.tested()] = 1
    Path("t.csv").write_text(table(weights))
    made.prepare()
    with pytest.raises(RegfoldError, match="repeat 1, fold 1: all validation rows of a training have the we"):
        made.train()
