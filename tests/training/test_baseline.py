"""Guards that a baseline's cell is what scikit-learn's own pipeline gives on the same fold."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from regfold.errors import RegfoldError
from regfold.provenance import identity
from regfold.results.verify import verify
from regfold.splits import inner
from regfold.training.baseline import STRENGTHS
from regfold.training.seeds import derive
from regfold.workflow.plan import settings_changed
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegressionCV, RidgeCV
from sklearn.model_selection import KFold, StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from small_study import Study

KINDS = ("linear", "boosting")
NAMES = [f"baseline_{kind}" for kind in KINDS]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def table(n: int = 90, classes: tuple[str, ...] = (), seed: int = 0) -> str:
    """Columns x0 to x2 (x0 with missing cells), a category c, a group g, the targets y (or classes) and z."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, 3))
    level, group = random.integers(3, size=n), random.integers(12, size=n)
    y = x @ [2.0, -1.0, 0.5] + level + random.normal(size=n)
    z = 1000 * (y - x[:, 1]) + 5e4
    label = [classes[int(code)] for code in np.digitize(y, [0, 2])] if classes else y
    lines = ["x0,x1,x2,c,g,y,z"]
    for i in range(n):
        first = "" if i % 11 == 3 else x[i, 0]
        lines.append(f"{first},{x[i, 1]},{x[i, 2]},{'uvw'[level[i]]},{group[i]},{label[i]},{z[i]}")
    return "\n".join([*lines, ""])


def rows(study: Study, fold: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The training rows' features and target, the tested rows' features, and the training rows' indices."""
    tested = study.tested(1, fold)
    training = np.setdiff1d(np.arange(study.schema["n_rows"]), tested)
    features, target = study.features().astype(np.float64), np.load(study.prepared / "target.npy")
    return features[training], target[training], features[tested], training


def columns_as_networks_have_them() -> ColumnTransformer:
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    return ColumnTransformer([("numbers", numbers, slice(3))], remainder="passthrough")


def test_classes_are_what_logistic_regression_says_with_inner_folds_of_whole_groups():
    split = {"method": "stratified_group", "folds": 3, "column": "g"}
    study = Study(table(classes=("a", "b", "c")), {"exclude": ["z"]}, split, baselines=["linear"])
    cell = study.fit()
    x, y, new, training = rows(study)
    codes = np.load(study.prepared / "codes.npy")[training]
    _, first, groups = np.unique(codes, return_index=True, return_inverse=True)
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=derive(42, 1, 1, "inner folds"))
    model = LogisticRegressionCV(
        Cs=1 / (len(x) * STRENGTHS),
        cv=list(folds.split(x, y, np.argsort(np.argsort(first))[groups])),
        scoring="neg_log_loss",
        l1_ratios=(0.0,),
        max_iter=1000,
        use_legacy_attributes=False,
    )
    expected = make_pipeline(columns_as_networks_have_them(), model).fit(x, y)
    found = study.predictions(model="baseline_linear")[1]
    np.testing.assert_allclose(found, expected.predict_proba(new), atol=2e-4)
    assert cell["strength"] == pytest.approx(1 / model.C_)
    assert STRENGTHS.min() < cell["strength"] / len(x) < STRENGTHS.max()


@pytest.mark.parametrize("target", ["y", ["y", "z"]])
def test_numbers_are_what_ridge_regression_says(target):
    data = {"target": target, "exclude": ["g"] if len(target) > 1 else ["g", "z"]}
    study = Study(table(), data, baselines=["linear"])
    cell = study.fit(fold=2)
    x, y, new, _ = rows(study, fold=2)
    folds = KFold(5, shuffle=True, random_state=derive(42, 1, 2, "inner folds"))
    ridge = RidgeCV(alphas=len(x) * STRENGTHS, cv=folds, scoring="neg_mean_squared_error")
    scaler = StandardScaler().fit(y)
    expected = make_pipeline(columns_as_networks_have_them(), ridge).fit(x, scaler.transform(y))
    predicted = scaler.inverse_transform(expected.predict(new).reshape(len(new), -1))
    np.testing.assert_allclose(study.predictions(1, 2, "baseline_linear")[1], predicted, rtol=1e-4)
    assert cell["strength"] == pytest.approx(ridge.alpha_)


@pytest.mark.parametrize("target", ["y", ["y", "z"]])
def test_boosting_is_scikit_learns_with_categories_and_missing_numbers_left_to_it(target):
    data = {"target": target, "exclude": ["g"] if len(target) > 1 else ["g", "z"]}
    study = Study(table(), data, baselines=["boosting"])
    study.fit(name="baseline_boosting")
    x, y, new, _ = rows(study)
    assert np.isnan(x).any()
    x, new = (np.column_stack([part[:, :3], part[:, 3:].argmax(axis=1)]) for part in (x, new))
    for column, predicted in zip(y.T, study.predictions(model="baseline_boosting")[1].T, strict=True):
        model = HistGradientBoostingRegressor(categorical_features=[3]).fit(x, column)
        np.testing.assert_allclose(predicted, model.predict(new), rtol=1e-9)


def test_boosting_of_classes_is_scikit_learns():
    study = Study(table(classes=("a", "b", "c")), {"exclude": ["g", "z"]}, baselines=["boosting"])
    study.fit(name="baseline_boosting")
    x, y, new, _ = rows(study)
    x, new = (np.column_stack([part[:, :3], part[:, 3:].argmax(axis=1)]) for part in (x, new))
    model = HistGradientBoostingClassifier(categorical_features=[3]).fit(x, y)
    predicted = study.predictions(model="baseline_boosting")[1]
    np.testing.assert_allclose(predicted, model.predict_proba(new), atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_class_that_no_training_row_has_gets_the_probability_0(name):
    lines = ["x,c,y", *(f"{i % 7},{'uv'[i % 2]},{'ab'[i % 3 > 0]}" for i in range(30)), "3,w,new", ""]
    study = Study("\n".join(lines), {"task": "classification"}, {"folds": 3}, baselines=KINDS)
    fold = int(np.load(study.prepared / "assignment.npy")[0, 30])
    study.fit(1, fold, name)
    predicted = study.predictions(1, fold, name)[1]
    np.testing.assert_allclose(predicted.sum(axis=1), 1, atol=1e-6)
    assert (predicted[:, study.schema["classes"].index("new")] == 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_training_rows_of_one_class_predict_that_class(name):
    lines = ["t,x,y", *(f"{i},{i % 5},{'a' if i < 10 else 'b'}" for i in range(20)), ""]
    split = {"method": "time", "column": "t", "folds": 3}
    study = Study("\n".join(lines), {"task": "classification"}, split, baselines=KINDS)
    study.fit(name=name)
    assert (study.predictions(model=name)[1] == [1, 0]).all()


def test_too_few_times_to_choose_a_strength_are_said():
    lines = ["t,x,y", *(f"{i // 8},{i % 5},{i % 7}.5" for i in range(24)), ""]
    split = {"method": "time", "column": "t", "folds": 2}
    study = Study("\n".join(lines), None, split, baselines=["linear"])
    cell = study.fit()
    assert cell["strength"] == 1.0
    assert cell["flags"] == ["too few training rows to choose the strength of the penalty"]


def test_inner_folds_keep_the_order_of_time_and_its_gap():
    times = np.repeat(np.arange(20), 3)
    found = inner.folds({"method": "time", "gap": 2}, times, None, 0)
    assert len(found) == 5
    for training, tested in found:
        assert times[training].max() < times[tested].min() - 2


def test_held_out_features_change_their_own_predictions_alone():
    study = Study(table(), {"exclude": ["g", "z"]}, baselines=KINDS)
    before = {}
    for name in NAMES:
        study.fit(name=name)
        before[name] = study.predictions(model=name)[1]
    lines = Path("t.csv").read_text().splitlines()
    row = int(study.tested()[0])
    lines[1 + row] = ",".join(["9", "9", "9", "new", *lines[1 + row].split(",")[4:]])
    Path("t.csv").write_text("\n".join([*lines, ""]))
    study.prepare()
    for name in NAMES:
        study.fit(name=name)
        after = study.predictions(model=name)[1]
        assert (after[1:] == before[name][1:]).all()
        assert (after[0] != before[name][0]).any()


def test_verify_holds_a_baselines_file_against_the_table():
    study = Study(table(), {"exclude": ["g", "z"]}, {"folds": 2}, baselines=["linear"])
    study.pretend("m")
    for key in study.cells():
        study.fit(*key)
    study.merge("m")
    path = study.merge("baseline_linear")
    assert verify(study.config, study.results).startswith("verified: 180 out-of-sample lines and 4 cells")
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], lines[2], lines[1], *lines[3:], ""]))
    with pytest.raises(RegfoldError, match=r"baseline_linear\.csv, line 2, row 0"):
        verify(study.config, study.results)


def test_another_seed_of_the_split_or_version_of_scikit_learn_is_another_fit():
    study = Study(table(), {"exclude": ["g", "z"]}, baselines=["linear"])
    cell, own = study.fit(), identity.specifications(study.config)["baseline_linear"]
    assert settings_changed(cell, own) == []
    other = own | {"versions": own["versions"] | {"scikit-learn": "0.1"}}
    assert settings_changed(cell, other) == [f"scikit-learn {own['versions']['scikit-learn']} -> 0.1"]
    other = identity.baseline_specification("linear", 43)
    assert settings_changed(cell, other) == ["settings changed: baseline.seed 42 -> 43"]


def test_neither_keras_nor_tensorflow_is_imported():
    code = "import sys, regfold.training.baseline; sys.exit(bool({'keras', 'tensorflow'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})
