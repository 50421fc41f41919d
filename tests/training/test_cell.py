"""Guards a cell: nothing of a held-out row reaches its network, and nothing goes wrong unsaid."""

import csv
import json
from pathlib import Path

import keras
import numpy as np
import pytest
from regfold.errors import RegfoldError
from regfold.provenance import identity
from regfold.provenance.changes import settings_changed
from regfold.results import metrics
from regfold.splits import folds
from regfold.training import cell, diagnosis, runner, standardize, trained_cell, validation
from regfold.training import parts as trainings
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_class_weight
from small_study import Study


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def table(n=36, task="classes"):
    """Two numeric columns, one with gaps, and a category, as lists of text."""
    random = np.random.default_rng(7)
    x, z = random.normal(size=n), random.normal(size=n)
    y = ["abc"[int(k)] for k in np.digitize(x, [-0.4, 0.5])] if task == "classes" else 100 + 7 * x + z
    lines = [
        [f"{x[i]:.4f}", "" if i % 7 == 3 else f"{z[i]:.4f}", "red" if i % 3 else "blue", str(y[i])]
        for i in range(n)
    ]
    return [["x", "z", "colour", "y"], *lines]


def text(lines):
    return "\n".join([*map(",".join, lines), ""])


def history(path):
    with (path / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def statistics(monkeypatch):
    """The statistics of each network that is made, in turn."""
    seen = []

    class Fitting(cell.Fitting):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            seen.append(self.statistics)

    monkeypatch.setattr(cell, "Fitting", Fitting)
    return seen


def test_a_held_out_rows_features_change_nothing_but_its_own_prediction(statistics):
    lines = table()
    training = {"epochs": 12, "early_stopping": {"fraction": 0.2, "patience": 3}}
    study = Study(
        text(lines), split={"folds": 3}, training=training, models={"m": {"penalty": {"dropout": 0.2}}}
    )
    before = study.train()
    rows, predicted = study.predictions()
    assert before["trained_epochs"] == before["epochs"] and before["resumed_from"] == 0
    row = int(rows[4])
    edits = {0: "123.5", 1: "", 2: "green"}
    for n_edit, (column, new) in enumerate(edits.items(), start=1):
        edited = [line.copy() for line in lines]
        edited[1 + row][column] = new
        Path("t.csv").write_text(text(edited))
        study.prepare()
        described = study.description(1, 1)
        assert described["train"] == before["digests"]["train"]
        assert described["test"] != before["digests"]["test"]
        assert study.description(1, 2)["train"] != described["train"]
        after = study.train()
        assert after["trained_epochs"] == 0 and after["resumed_from"] == before["epochs"]
        assert "0 epochs to train" in trained_cell.sentence(after)
        assert_same_training(before, after, statistics[0], statistics[n_edit])
        found_rows, found = study.predictions()
        np.testing.assert_array_equal(found_rows, rows)
        np.testing.assert_array_equal(np.delete(found, 4, axis=0), np.delete(predicted, 4, axis=0))
        assert np.abs(found[4] - predicted[4]).max() > 1e-4
    assert after["preprocessing"]["unseen"] == {"colour": ["green"]}
    # Not only found again: trained again from nothing, with the edited table, it is the same network too.
    Path(".regfold/state").rename("elsewhere")
    again = study.train()
    assert again["trained_epochs"] == before["epochs"]
    assert_same_training(before, again, statistics[0], statistics[-1])
    np.testing.assert_array_equal(study.predictions()[1], found)


def assert_same_training(before, after, old, new):
    for key in ("weights", "epochs", "best_epoch", "ending", "seeds", "penalties", "settings"):
        assert before[key] == after[key], key
    assert before["digests"]["states"] == after["digests"]["states"]
    assert before["preprocessing"]["imputed"] == after["preprocessing"]["imputed"]
    for name in ("median", "mean", "scale"):
        np.testing.assert_array_equal(getattr(old, name), getattr(new, name))


def test_a_training_row_changes_the_network():
    lines = table()
    study = Study(text(lines), split={"folds": 3})
    before = study.train()
    learnt = np.flatnonzero(np.load(study.prepared / "assignment.npy")[0] != 1)[0]
    lines[1 + learnt][0] = "0.1"
    Path("t.csv").write_text(text(lines))
    study.prepare()
    after = study.train()
    assert after["resumed_from"] == 0 and after["weights"] != before["weights"]
    assert after["digests"]["states"] != before["digests"]["states"]


@pytest.mark.parametrize("task", ["classes", "numbers"])
def test_history_has_the_held_out_loss_of_the_weights_that_are_kept(task):
    training = {"epochs": 15, "learning_rate": 0.1, "early_stopping": {"fraction": 0.3, "patience": 2}}
    models = {"m": {"penalty": {"kernel": {"l2": 0.01}}}}
    study = Study(text(table(task=task)), split={"folds": 3}, training=training, models=models)
    about = study.train()
    assert about["best_epoch"] < about["epochs"], "the case must not keep its last weights"
    line = history(study.folder(1, 1))[about["best_epoch"] - 1]
    rows, predicted = study.predictions()
    target = np.load(study.prepared / "target.npy")[rows]
    if task == "classes":
        truth = np.eye(3)[target]
        exact = predicted.astype(np.float64)
        loss = log_loss(target, exact / exact.sum(axis=1, keepdims=True), labels=[0, 1, 2])
    else:
        truth = target
        optimized, _ = parts(study)
        scale = np.load(study.prepared / "target.npy")[optimized].std()
        loss = np.mean(((predicted - truth) / scale) ** 2)
    assert float(line["heldout_loss"]) == pytest.approx(loss, rel=1e-5)
    assert float(line["heldout_rmse"]) == pytest.approx(np.sqrt(np.mean((predicted - truth) ** 2)), rel=1e-5)
    assert float(line["train_objective"]) > float(line["train_loss"])
    assert [int(line["epoch"]) for line in history(study.folder(1, 1))] == [*range(1, about["epochs"] + 1)]


def test_the_saved_network_reproduces_the_predictions_in_units():
    study = Study(text(table(task="numbers")), split={"folds": 3}, training={"epochs": 40})
    study.train()
    rows, predicted = study.predictions()
    loaded = keras.saving.load_model(study.folder(1, 1) / "model.keras")
    found = loaded(study.features()[rows]).numpy()
    assert found.dtype == predicted.dtype == np.float64
    np.testing.assert_allclose(found, predicted, rtol=1e-6)
    target = np.load(study.prepared / "target.npy")[rows]
    assert abs(predicted.mean() - target.mean()) < 10, "in the target's own units"


@pytest.mark.parametrize(("mean", "deviation"), [(1.7e9, 1800), (0, 1e-46), (-3e30, 1e30), (1e99, 1e97)])
def test_the_unit_of_a_target_and_its_zero_change_no_prediction(mean, deviation):
    """The predictions, in the OOS file and by the saved network, are the same once they are standardized."""
    lines = table(task="numbers")
    plain = Study(text(lines), split={"folds": 3}, training={"epochs": 40})
    plain.train()
    rows, expected = plain.predictions()
    for line in lines[1:]:
        line[3] = repr(mean + deviation * float(line[3]))
    other = Study(text(lines), split={"folds": 3}, training={"epochs": 40})
    about = other.train()
    found = other.predictions()[1]
    loaded = keras.saving.load_model(other.folder(1, 1) / "model.keras")
    np.testing.assert_allclose(loaded(other.features()[rows]).numpy(), found, rtol=1e-6)
    np.testing.assert_allclose((found - mean) / deviation, expected, rtol=1e-4)
    assert about["flags"] == []
    last = history(other.folder(1, 1))[-1]
    truth = np.load(other.prepared / "target.npy")[rows]
    assert float(last["heldout_rmse"]) == pytest.approx(np.sqrt(np.mean((found - truth) ** 2)), rel=1e-9)


def test_a_class_that_is_absent_from_the_training_rows_has_its_column():
    lines = table()
    for line in lines[1:]:
        line[2] = "c only" if line[3] == "c" else line[2]
    study = Study(text(lines), split={"method": "column", "column": "colour"}, data={"exclude": ["colour"]})
    fold = next(fold for _, fold in study.cells() if study.description(1, fold)["name"] == "c only")
    about = study.train(1, fold)
    rows, predicted = study.predictions(1, fold)
    assert predicted.shape == (about["n_test"], 3) and np.isfinite(predicted).all()
    assert set(np.load(study.prepared / "target.npy")[rows]) == {2}
    assert about["fold_name"] == "c only"


def test_folds_of_one_row():
    training = {"early_stopping": {"fraction": 0.1, "patience": 1}}
    study = Study(text(table(9)), split={"folds": 9}, training=training)
    about = study.train(1, 4)
    rows, predicted = study.predictions(1, 4)
    assert (about["n_train"], about["n_test"], len(rows), predicted.shape) == (8, 1, 1, (1, 3))
    assert about["flags"] == [] and np.isfinite(predicted).all()


def test_one_training_row_and_early_stopping():
    """No row is left for validation, and a single row has no deviation."""
    study = Study(
        "x,y\n1,2\n3,5\n", split={"folds": 2}, training={"early_stopping": {"fraction": 0.5, "patience": 1}}
    )
    about = study.train()
    assert about["n_train"] == 1 and np.isfinite(study.predictions()[1]).all()
    assert about["n_validation"] == 0 and about["epochs"] == 3
    assert about["flags"][-1:] == ["no early stopping: a single row, group or time leaves no validation rows"]


def parts(study, repeat=1, fold=1, model="m"):
    """The training rows that the optimizer sees, and the validation rows."""
    decided = folds.read(study.prepared, study.config["split"])
    rows, training = decided.training(repeat, fold), study.config["models"][model]["training"]
    target = np.load(study.prepared / "target.npy")[rows]
    key = training["seed"], repeat, fold
    classes = target if target.ndim == 1 else None
    order, n = validation.arrange(training, study.config["split"], decided.codes_of(rows), classes, key)
    order = np.flatnonzero(rows)[order]
    return order[: len(order) - n], order[len(order) - n :]


GROUPED = {"method": "group", "column": "group", "folds": 3}
STOPPING = {"epochs": 8, "early_stopping": {"fraction": 0.25, "patience": 2}}


def grouped(task="classes", groups="pqrstuvwx"):
    lines = table(task=task)
    return [[*lines[0], "group"], *([*line, groups[i // 4 % 9]] for i, line in enumerate(lines[1:]))]


def test_no_statistic_comes_from_validation_rows(statistics):
    lines = grouped("numbers")
    study = Study(text(lines), split=GROUPED, training=STOPPING)
    about = study.train()
    optimized, validation_rows = parts(study)
    assert about["n_validation"] == len(validation_rows) and about["n_train"] == 24
    groups = np.array([line[-1] for line in lines[1:]])
    assert not set(groups[optimized]) & set(groups[validation_rows])
    columns = study.schema["columns"]
    expected = standardize.fit(study.features()[optimized], columns)
    everything = standardize.fit(study.features()[np.concatenate([optimized, validation_rows])], columns)
    assert (expected.mean != everything.mean).any()
    for name in ("keep", "median", "mean", "scale"):
        np.testing.assert_array_equal(getattr(statistics[0], name), getattr(expected, name))
    loaded = keras.saving.load_model(study.folder(1, 1) / "model.keras")
    rows, predicted = study.predictions()
    np.testing.assert_allclose(loaded(study.features()[rows]).numpy(), predicted, rtol=1e-6)


def test_the_validation_loss_has_the_weights_of_the_training_loss():
    training = {"epochs": 1, "class_weight": "balanced", "early_stopping": {"fraction": 0.4, "patience": 2}}
    study = Study(text(table()), split={"method": "stratified", "folds": 3}, training=training)
    study.train()
    optimized, rows = parts(study)
    target = np.load(study.prepared / "target.npy")
    weights = compute_class_weight("balanced", classes=np.arange(3), y=target[optimized])[target[rows]]
    assert np.ptp(weights) > 0.1
    loaded = keras.saving.load_model(study.folder(1, 1) / "model.keras")
    probabilities = loaded(study.features()[rows]).numpy()[np.arange(len(rows)), target[rows]]
    expected = np.mean(weights * -np.log(probabilities))
    assert float(history(study.folder(1, 1))[0]["validation_loss"]) == pytest.approx(expected, rel=1e-5)


def test_a_model_with_early_stopping_alone_depends_on_the_groups_of_its_training_rows():
    models = {"stops": {"training": STOPPING}, "runs": {"training": {"epochs": 2}}}
    study = Study(text(grouped()), data={"exclude": ["group"]}, split=GROUPED, models=models)
    before, described = {model: study.train(model=model) for model in models}, study.description(1, 1)
    Path("folds.csv").write_text(Path("results/folds.csv").read_text())

    def again(lines, split=None):
        Path("t.csv").write_text(text(lines))
        study.config["split"] |= split or {}
        study.prepare()
        return {model: study.train(model=model) for model in models}

    header, *lines = grouped()
    after = again([header, *([*line[:-1], f"group {line[-1]}"] for line in lines)])
    assert study.description(1, 1) == described
    assert [about["trained_epochs"] for about in after.values()] == [0, 0]
    assert all(after[model]["weights"] == before[model]["weights"] for model in models)
    # The same training rows in other groups, then in none.
    lines, (one, *others) = grouped(), np.concatenate(parts(study, model="stops")) + 1
    lines[one][-1] = next(lines[i][-1] for i in others if lines[i][-1] != lines[one][-1])
    no_groups = {"method": "file", "file": "folds.csv", "column": None}
    for changed, split in ((lines, {}), (grouped(), no_groups)):
        after = again(changed, split)
        assert study.description(1, 1)["train"] == described["train"]
        assert study.description(1, 1)["validation"] != described["validation"]
        assert after["runs"]["trained_epochs"] == 0 and after["stops"]["trained_epochs"] > 0


DIVERGES = {"optimizer": "sgd", "learning_rate": 1e8, "epochs": 30}


def test_a_diverged_fold_is_flagged_and_its_predictions_are_visibly_none():
    study = Study(text(table(task="numbers")), split={"folds": 3}, training=DIVERGES)
    about = study.train()
    assert about["epochs"] < 30
    assert (
        about["flags"]
        == [about["ending"]]
        == [f"diverged: the loss is not finite in epoch {about['epochs']}"]
    )
    assert np.isnan(study.predictions()[1]).all()
    assert about["flags"][0] in trained_cell.sentence(about)
    on_disk = (study.folder(1, 1) / "cell.json").read_text()
    assert json.loads(on_disk) == about and "NaN" not in on_disk
    assert history(study.folder(1, 1))[-1]["heldout_rmse"] == "nan"


def test_a_diverged_fold_ends_the_run_if_the_config_says_so():
    study = Study(text(table(task="numbers")), training=DIVERGES | {"on_divergence": "fail"})
    for _ in range(2):  # found again, it fails again
        with pytest.raises(RegfoldError) as error:
            study.train(1, 2)
        assert str(error.value).startswith(
            "model m, repeat 1, fold 2: diverged: the loss is not finite in epoch "
        )
        assert str(error.value).endswith("; training.on_divergence is fail")
    assert not study.folder(1, 2).exists()


def test_weights_that_diverge_in_the_last_step_are_noticed_too():
    """The last epoch's loss was taken before its last step."""
    training = DIVERGES | {"epochs": 1, "batch_size": 64, "learning_rate": 1e30}
    study = Study(text(table(task="numbers")), split={"folds": 3}, training=training)
    assert study.train()["flags"] == ["predictions are not finite"]
    settings = study.config["models"]["m"]["training"]
    settings["on_divergence"] = "fail"
    with pytest.raises(RegfoldError) as error:
        study.train()
    assert str(error.value) == (
        "model m, repeat 1, fold 1: predictions are not finite; training.on_divergence is fail"
    )


def hidden(n_dead):
    """What 10 hidden units put out for 100 rows; `n_dead` of them are 0 for every row."""
    outputs = np.abs(np.random.default_rng(0).normal(size=(100, 10))).astype(np.float32)
    outputs[:, :n_dead] = 0
    return {"first": outputs}


def test_dead_units_and_constant_predictors_are_flagged():
    several, few = np.array([[1], [2]], np.float32), hidden(8)
    said = "dead hidden units: {} of 10 in first are 0 for every sampled training row"
    assert diagnosis.flags("", hidden(10), several) == [said.format(10)]
    assert diagnosis.flags("", hidden(9), several) == [said.format(9)]
    assert diagnosis.flags("", few, several) == []
    constant = ["constant predictor: all rows get the same prediction"]
    for same in (np.full((5, 1), 3), np.zeros((5, 1)), np.tile([0.2, 0.8], (5, 1))):
        assert diagnosis.flags("", few, same.astype(np.float32)) == constant
    assert diagnosis.flags("", few, np.full((1, 1), 3, np.float32)) == []
    assert diagnosis.flags("", few, np.full((2, 1), np.inf, np.float32)) == ["predictions are not finite"]
    ending = "diverged: the loss is not finite in epoch 3"
    assert diagnosis.flags(ending, few, np.full((2, 1), np.nan, np.float32)) == [ending]


def test_an_interrupted_cell_goes_on_and_ends_as_if_it_had_not_been():
    training = {"epochs": 8, "schedule": "cosine", "early_stopping": {"fraction": 0.2, "patience": 5}}
    study = Study(text(table()), training=training, models={"m": {"penalty": {"dropout": 0.5}}})
    whole, expected = study.train(), study.predictions()[1]
    lines = history(study.folder(1, 1))
    Path(".regfold/state").rename("elsewhere")
    seen = []
    with pytest.raises(runner.Interrupted) as error:
        study.train(on_epoch=lambda epoch, values: seen.append(epoch), stop=lambda: len(seen) >= 2)
    assert (
        str(error.value)
        == "model m, repeat 1, fold 1: stopped after epoch 2; the next run goes on from there"
    )
    # What a process that is killed amid a write leaves behind.
    (state,) = Path(".regfold/state").iterdir()
    left = [state / ".0123abcd.state.npz", study.folder(1, 1) / ".89abcdef.model.keras"]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    about = study.train()
    assert not any(path.exists() for path in left)
    assert (about["resumed_from"], about["trained_epochs"]) == (2, whole["epochs"] - 2)
    assert f"{whole['epochs'] - 2} epochs trained, after 2 that were found" in trained_cell.sentence(about)
    assert about["weights"] == whole["weights"]
    np.testing.assert_array_equal(study.predictions()[1], expected)
    assert history(study.folder(1, 1)) == lines


def test_a_damaged_state_is_said_and_trained_anew():
    study = Study(text(table()), split={"folds": 3})
    whole = study.train()
    path = Path(".regfold/state") / whole["digests"]["states"][0] / "state.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    said = []
    about = study.train(say=said.append)
    assert about["weights"] == whole["weights"] and about["trained_epochs"] == whole["epochs"]
    (line,) = said
    assert line.startswith(f"regfold: warning: model m, repeat 1, fold 1: {path} is damaged")


def test_models_differ_by_their_settings_and_not_by_their_names():
    models = {"one": {}, "other": {}, "third": {"penalty": {"kernel": {"l2": 0.1}}}}
    study = Study(text(table()), split={"folds": 3}, models=models)
    weights = [study.train(model=name)["weights"] for name in models]
    assert weights[0] == weights[1] != weights[2]
    study.train(fold=2, model="one")
    assert study.train(fold=2, model="other")["trained_epochs"] == 0, "found: it is the same training"


def test_what_the_statistics_did_is_counted():
    lines = table(12)
    assignment = np.load(Study(text(lines), split={"folds": 3}).prepared / "assignment.npy")[0]
    tested = np.flatnonzero(assignment == 1)
    for i, line in enumerate(lines[1:]):
        line[1] = "" if i in (tested[0], tested[1], (tested[0] + 1) % 12) else line[1]
        line[2] = "rare" if i == tested[0] else "red"
    lines = [[*line, "7" if i else "fixed"] for i, line in enumerate(lines)]
    study = Study(text(lines), data={"target": "y"}, split={"folds": 3})
    missing = sum(lines[1 + i][1] == "" for i in np.flatnonzero(assignment != 1))
    found = study.train()["preprocessing"]
    assert missing >= 1 and found["imputed"] == {"z": missing}
    assert found["unseen"] == {"colour": ["rare"]}
    assert "colour" in found["constant"]


PATH = {"kernel": {"l2": [0.0, 0.01, 1.0]}}


def path_study(**more):
    return Study(text(table()), models={"m": {"penalty": PATH} | more}, training={"epochs": 6})


def test_a_cell_of_a_path_holds_every_strength():
    study = path_study()
    about = study.train()
    path, alone = about["path"], Study(text(table()), models={"m": {}}, training={"epochs": 6})
    assert (path["name"], path["strengths"]) == ("kernel.l2", [0.0, 0.01, 1.0])
    for name in ("rmse_train", "nonzero", "inputs", "epochs", "best_epoch", "ending", "flags", "penalties"):
        assert len(path[name]) == 3, name
    assert path["chosen"] is None and path["epochs"] == [6, 6, 6]
    sums = [one["kernel_l2"] for one in path["penalties"]]
    assert sums == sorted(sums, reverse=True) and sums[2] < 0.9 * sums[0]
    predicted = study.predictions()[1]
    assert predicted.shape == (about["n_test"], 3, 3)
    lines = history(study.folder(1, 1))
    assert [(float(line["strength"]), int(line["epoch"])) for line in lines] == [
        (strength, epoch) for strength in path["strengths"] for epoch in range(1, 7)
    ]
    stack = keras.models.load_model(study.folder(1, 1) / "model.keras", compile=False)
    rows = study.features()[study.tested()]
    np.testing.assert_allclose(stack(rows).numpy(), predicted, rtol=1e-5, atol=1e-5)
    # The strength 0 is the network without a penalty.
    alone.train()
    np.testing.assert_allclose(predicted[:, 0], alone.predictions()[1], rtol=1e-4, atol=1e-4)


def test_a_long_path_is_cut_into_chunks_whose_trainings_are_kept(monkeypatch):
    monkeypatch.setattr(trainings, "MOST_LANES", 2)
    study = path_study()
    about = study.train()
    assert len(about["digests"]["states"]) == 2 and about["trained_epochs"] == 12
    whole = study.predictions()[1]
    study.config["models"]["m"]["penalty"]["kernel"]["l2"].append(2.0)
    about = study.train()
    assert (about["trained_epochs"], about["resumed_from"]) == (6, 6), "the first chunk is found again"
    np.testing.assert_array_equal(study.predictions()[1][:, :2], whole[:, :2])
    monkeypatch.setattr(trainings, "MOST_LANES", 64)
    at_once = path_study()
    at_once.train()
    np.testing.assert_allclose(at_once.predictions()[1], whole, rtol=1e-4, atol=1e-4)


def test_an_interrupted_path_goes_on_and_ends_as_if_it_had_not_been():
    study = path_study(training={"early_stopping": {"fraction": 0.2, "patience": 2}, "learning_rate": 0.05})
    expected, predicted = study.train(), study.predictions()[1]
    Path(".regfold/state").rename("elsewhere")
    seen = []
    with pytest.raises(runner.Interrupted):
        study.train(on_epoch=lambda epoch, values: seen.append(epoch), stop=lambda: len(seen) >= 2)
    about = study.train()
    assert about["resumed_from"] == 2
    assert about["path"] == expected["path"] and about["weights"] == expected["weights"]
    np.testing.assert_array_equal(study.predictions()[1], predicted)


def test_nested_chooses_inside_the_training_rows():
    study = path_study(select="nested")
    about = study.train()
    path = about["path"]
    assert len(path["inner_rmse"]) == 3
    assert path["inner_rmse"][path["chosen"]] == min(path["inner_rmse"])
    assert len(about["digests"]["states"]) == 6, "the path and five inner folds"
    again = study.train()
    assert again["trained_epochs"] == 0 and again["path"] == path
    # What a held-out row holds plays no part in the choice, nor in any training.
    row = study.tested()[0]
    lines = Path("t.csv").read_text().splitlines()
    lines[row + 1] = lines[row + 1].replace(lines[row + 1].split(",")[0], "99", 1)
    Path("t.csv").write_text("\n".join(lines) + "\n")
    study.prepare()
    assert study.train()["path"]["inner_rmse"] == path["inner_rmse"]
    plain = path_study()
    assert plain.train()["trained_epochs"] == 0, "without nested the training is the same one"


def test_nested_chooses_by_the_headline(monkeypatch):
    """Another headline trains nothing: it chooses among what the inner folds have trained."""
    given = {"models": {"m": {"penalty": PATH, "select": "nested"}}, "training": {"epochs": 30}}
    first = Study(text(table()), **given).train()
    plain = identity.specification(Study(text(table()), **given).config["models"]["m"])
    for name in ("log_loss", "accuracy", "roc_auc"):
        study = Study(text(table()), metrics=[name], **given)
        about = study.train()
        assert about["trained_epochs"] == 0 and about["digests"]["states"] == first["digests"]["states"]
        path = about["path"]
        scores = np.array(path[f"inner_{name}"])
        best = scores.min() if name == "log_loss" else scores.max()
        of_best = [
            strength for strength, score in zip(path["strengths"], scores, strict=True) if score == best
        ]
        assert path["strengths"][path["chosen"]] == max(of_best), "of equal ones the strongest"
        assert settings_changed(about, identity.specification(study.config["models"]["m"], [name])) == []
        assert settings_changed(about, plain) == [
            "the metric that chooses inside the training rows (select: nested) changed"
        ]
    by_rmse = metrics.inner("rmse")
    monkeypatch.setattr(metrics, "inner", lambda name: by_rmse)
    again = study.train()["path"]
    assert again["inner_rmse"] == pytest.approx(first["path"]["inner_rmse"])
    assert again["chosen"] == first["path"]["chosen"]


def test_nested_counts_each_of_several_targets_the_same():
    """The unit of a target, here a power of two so that no rounding differs, changes no choice."""
    random = np.random.default_rng(5)
    rows = random.normal(size=(40, 4)).round(3)

    def path(unit: float) -> dict:
        lines = [f"{a},{b},{a + c},{unit * (b + d)}" for a, b, c, d in rows.tolist()]
        study = Study(
            "\n".join(["a,b,y,z", *lines, ""]),
            {"target": ["y", "z"]},
            {"folds": 2},
            models={"m": {"penalty": PATH, "select": "nested"}},
            training={"epochs": 20},
        )
        return study.train()["path"]

    one, other = path(1.0), path(1024.0)
    assert one["chosen"] == other["chosen"]
    assert one["inner_rmse_standardized"] == pytest.approx(other["inner_rmse_standardized"])


def test_nested_takes_the_strongest_where_training_rows_cannot_be_divided():
    study = Study(
        "x,y\n1,2.5\n3,5\n", split={"folds": 2}, models={"m": {"penalty": PATH, "select": "nested"}}
    )
    for fold in (1, 2):
        path = study.train(1, fold)["path"]
        assert path["strengths"][path["chosen"]] == 1.0 and path["inner_rmse"] == [None] * 3
    with study.merge().open() as file:
        assert [float(line["oos_strength"]) for line in csv.DictReader(file)] == [1.0, 1.0]


@pytest.mark.heavy
def test_nested_takes_the_strongest_where_all_rows_of_the_inner_folds_have_the_weight_0():
    """Forward in time the inner folds hold out no row of the first times."""
    lines = [f"{i},{i % 5},{i % 5 + i % 3},{int(i == 0 or i >= 8)}" for i in range(24)]
    study = Study(
        "\n".join(["t,x,y,w", *lines, ""]),
        {"weight": "w"},
        {"method": "time", "column": "t", "folds": 2},
        models={"m": {"penalty": PATH, "select": "nested"}},
    )
    path = study.train()["path"]
    assert path["strengths"][path["chosen"]] == 1.0 and path["inner_rmse"] == [None] * 3


def test_input_columns_are_switched_off_and_counted():
    penalty = {"kernel": {"group": "input", "strength": [0.0, 0.05, 5.0]}}
    study = Study(text(table()), models={"m": {"penalty": penalty}}, training={"epochs": 40})
    path = study.train()["path"]
    assert path["inputs"][0] == len(study.schema["columns"]) and path["inputs"][2] == 0
    assert path["nonzero"] == sorted(path["nonzero"], reverse=True)
    norms = path["column_norms"]
    assert list(norms) == [column["name"] for column in study.schema["columns"]]
    for place, n_inputs in enumerate(path["inputs"]):
        assert sum(of_column[place] > 0 for of_column in norms.values()) == n_inputs


def test_outputs_of_hidden_units_are_described_where_a_penalty_acts_on_them():
    outputs = {"hidden_1": np.array([[0.0, -1.0], [3.0, np.nan]]), "dead": np.zeros((2, 2))}
    found = diagnosis.distribution(outputs)
    assert list(found) == ["hidden_1"] and found["hidden_1"]["zeros"] == pytest.approx(1 / 3)
    assert (found["hidden_1"]["quantiles"][0], found["hidden_1"]["quantiles"][-1]) == (1.02, 2.98)
    without = Study(text(table())).train()
    study = Study(text(table()), models={"m": {"penalty": {"activity": {"l1": [0.0, 0.01]}}}})
    assert without["activations"] == {}
    for strength in study.train()["path"]["activations"]:
        (layer,) = strength.values()
        assert len(layer["quantiles"]) == len(diagnosis.QUANTILES) and 0 <= layer["zeros"] < 1


@pytest.mark.parametrize("penalty", [{}, {"kernel": {"l2": [0.001, 0.1]}}])
def test_the_poisson_loss_predicts_positive_numbers_in_the_targets_unit(penalty):
    random = np.random.default_rng(1)
    x = random.normal(size=200)
    y = 1000 * random.poisson(np.exp(x))
    study = Study(
        "x,y\n" + "".join(f"{a:.4f},{b}\n" for a, b in zip(x, y, strict=True)),
        data={"task": "regression"},
        training={"loss": "poisson", "epochs": 60},
        models={"m": {"penalty": penalty}},
    )
    study.train()
    rows, predicted = study.predictions()
    (predicted,) = predicted.reshape(len(rows), -1).T[:1]
    assert (predicted > 0).all()
    assert predicted.mean() == pytest.approx(1000 * np.exp(x[rows]).mean(), rel=0.3)
    assert np.corrcoef(np.log(predicted), x[rows])[0, 1] > 0.95
    network = keras.models.load_model(study.folder(1, 1) / "model.keras")
    again = np.asarray(network(study.features()[rows])).reshape(len(rows), -1)[:, 0]
    np.testing.assert_allclose(again, predicted, rtol=1e-5)


def test_counts_that_are_all_zero_are_divided_by_nothing():
    scale = standardize.fit_counts(np.array([[0.0, 2.0], [0.0, 4.0]]))
    np.testing.assert_array_equal(scale.deviation, [1, 3])
    np.testing.assert_array_equal(scale.standardize(np.array([[0.0, 3.0]])), [[0, 1]])
