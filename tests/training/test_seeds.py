"""Guards `training.seeds`: a cell of several networks predicts their mean, and nothing else of it changes."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from regfold import files
from regfold.errors import RegfoldError
from regfold.provenance import cell_names, identity
from regfold.results import oos, paths, predictor, verify, weights
from regfold.training import cell, seeds, trained_cell
from regfold.training.runner import Interrupted
from regfold.workflow import plan, pruning
from sklearn.metrics import root_mean_squared_error
from small_study import Study

STATES = Path(".regfold/state")
STOPS = {"epochs": 60, "learning_rate": 0.05, "early_stopping": {"fraction": 0.3, "patience": 2}}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def table(task="numbers", n=36):
    random = np.random.default_rng(3)
    x, z = random.normal(size=(2, n)).round(3)
    y = (100 + 7 * x + z).round(2) if task == "numbers" else np.where(x + z > 0, "up", "down")
    return "x,z,y\n" + "".join(f"{a},{b},{c}\n" for a, b, c in zip(x, z, y, strict=True))


def made(n_seeds, task="numbers", training=None, network=None, folds=3, **model):
    """A study whose only model has so many seeds."""
    training = {"epochs": 6, "seeds": n_seeds} | (training or {})
    return Study(table(task), split={"folds": folds}, training=training, network=network, models={"m": model})


def with_seeds(study, n_seeds):
    study.config["models"]["m"]["training"]["seeds"] = n_seeds
    return study


def history():
    with Path("results/cells/m/1-1/history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def alone(study, number):
    """What the network of one seed of a cell predicts: a study with its seed alone.

    `network_key` says which seed that is; validation rows are drawn by the cell's own, so this is without.
    """
    one = with_seeds(study, 1)
    one.config["models"]["m"]["training"]["seed"] = seeds.network_key(42, 1, 1, number)[0]
    about = one.train()
    found = about, one.predictions()[1]
    one.config["models"]["m"]["training"]["seed"] = 42
    return found


CASES = {
    "dropout": ("numbers", {"dropout": 0.3}),
    "path": ("classes", {"kernel": {"l2": [0.0, 0.1]}}),
    "groups": ("numbers", {"kernel": {"group": "input", "strength": [0.001, 0.1]}}),
}


@pytest.mark.parametrize(("task", "penalty"), CASES.values(), ids=CASES)
def test_a_cell_predicts_the_mean_of_networks_that_differ_by_their_seed_alone(task, penalty):
    study = made(3, task, penalty=penalty)
    about, predicted = study.train(), study.predictions()[1]
    lines = history()
    network = keras.models.load_model(study.folder(1, 1) / "model.keras")
    rows = study.features()[study.tested()]
    np.testing.assert_allclose(network(rows), predicted, rtol=1e-5, atol=1e-5)
    each, losses, measures = [], [], []
    for number in (1, 2, 3):
        one, own = alone(study, number)
        each.append(own)
        losses.append([float(line["train_loss"]) for line in history()])
        measures.append((one.get("path") or one)["penalties"])
    assert np.std(each, axis=0).max() > 1e-3
    np.testing.assert_allclose(np.mean(each, axis=0), predicted, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(np.mean(losses, axis=0), [float(line["train_loss"]) for line in lines])
    found = about.get("path") or about
    truth = np.load(study.prepared / "target.npy")[study.tested()]
    truth = truth[:, None] == [0, 1] if task == "classes" else truth
    for place in range(2) if "path" in about else [None]:
        own = found if place is None else {name: found[name][place] for name in ("of_seeds", "penalties")}
        of_place = [one if place is None else one[:, place] for one in each]
        expected = [np.sqrt(np.mean((one - truth) ** 2)) for one in of_place]
        assert [one["rmse"] for one in own["of_seeds"]] == pytest.approx(expected, rel=1e-6)
        sums = [one["kernel_l2"] if place is None else one[place]["kernel_l2"] for one in measures]
        assert own["penalties"]["kernel_l2"] == pytest.approx(np.mean(sums))


def test_the_first_network_is_that_of_one_seed_and_no_number_of_seeds_trains_another_anew():
    study = made(1, training=STOPS, penalty={"dropout": 0.3})
    one, predicted = study.train(), study.predictions()[1]
    assert "of_seeds" not in one
    three = with_seeds(study, 3).train()
    assert three["resumed_from"] == one["epochs"]
    assert (
        len(three["digests"]["states"]) == 3 and three["digests"]["states"][0] == one["digests"]["states"][0]
    )
    epochs = [of_seed["epochs"] for of_seed in three["of_seeds"]]
    assert three["trained_epochs"] == sum(epochs[1:]) and three["epochs"] == max(epochs)
    assert len(set(epochs)) > 1, "each network has stopped by itself"
    assert three["best_epoch"] == np.median([of_seed["best_epoch"] for of_seed in three["of_seeds"]])
    assert three["n_validation"] == one["n_validation"] and three["seeds"] == one["seeds"]
    assert len({of_seed["seed"] for of_seed in three["of_seeds"]}) == 3
    assert [int(line["epoch"]) for line in history()] == [*range(1, max(epochs) + 1)]
    two = with_seeds(study, 2).train()
    assert two["trained_epochs"] == 0 and two["of_seeds"] == three["of_seeds"][:2]
    again = with_seeds(study, 1).train()
    assert again["trained_epochs"] == 0 and again["weights"] == one["weights"]
    assert again.keys() == one.keys() and again["settings"] == one["settings"]
    np.testing.assert_array_equal(study.predictions()[1], predicted)


def test_an_interrupted_cell_goes_on_and_ends_as_if_it_had_not_been():
    study = made(3, training={"epochs": 4}, penalty={"dropout": 0.5})
    whole, predicted, lines = study.train(), study.predictions()[1], history()
    STATES.rename("elsewhere")
    for last in (2, 6, 10):  # in the first, the second and the third network
        seen = []
        with pytest.raises(Interrupted):
            study.train(
                on_epoch=lambda epoch, values, seen=seen: seen.append(epoch),
                stop=lambda last=last, seen=seen: seen[-1] >= last,
            )
        assert seen[-1] == last, "epochs are counted over all networks"
    about = study.train()
    assert (about["resumed_from"], about["trained_epochs"]) == (10, 2)
    assert "2 epochs with 3 seeds trained, after 10 that were found" in trained_cell.sentence(about)
    assert about["weights"] == whole["weights"] and about["of_seeds"] == whole["of_seeds"]
    np.testing.assert_array_equal(study.predictions()[1], predicted)
    assert history() == lines


@pytest.mark.heavy
def test_a_killed_training_costs_no_network_that_was_finished(tmp_path):
    """kill -9 while the second network is trained; a checkpoint follows each epoch."""
    study = made(3, training={"epochs": 5, "checkpoint_seconds": 0})
    whole, predicted = study.train(), study.predictions()[1]
    STATES.rename("elsewhere")
    tests = Path(__file__).parents[1]
    script = f"""
import json, os, signal, sys
sys.path[:0] = [{str(tests.parent / "scripts")!r}, {str(tests)!r}]
from pathlib import Path
from sklearn.metrics import root_mean_squared_error
from small_study import Study
study = Study.__new__(Study)
study.config = json.loads(Path("config.json").read_text())
study.prepared, study.results = Path("results/prepared"), Path("results")
study.train(on_epoch=lambda epoch, values: os.kill(os.getpid(), signal.SIGKILL) if epoch == 8 else None)
"""
    Path("config.json").write_text(json.dumps(study.config))
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    about = study.train()
    assert about["resumed_from"] in (6, 7)  # the last epochs of a call are saved together
    assert about["trained_epochs"] == 15 - about["resumed_from"]
    assert about["weights"] == whole["weights"]
    np.testing.assert_array_equal(study.predictions()[1], predicted)


def test_nested_chooses_by_the_mean_of_the_seeds_in_each_inner_fold():
    study = made(2, penalty={"kernel": {"l2": [0.0, 1.0]}}, select="nested")
    about = study.train()
    assert len(about["digests"]["states"]) == 12, "two seeds, on all training rows and in five inner folds"
    single = with_seeds(study, 1).train()
    assert single["trained_epochs"] == 0
    assert single["path"]["inner_rmse"] != about["path"]["inner_rmse"]
    again = with_seeds(study, 2).train()
    assert again["trained_epochs"] == 0 and again["path"] == about["path"]


def test_the_chosen_strength_has_its_seeds():
    study = made(2, penalty={"kernel": {"l2": [0.0, 1.0]}})
    for key in study.cells():
        about = study.train(*key)
    study.merge()
    assert "verified" in verify.verify(study.config, study.results)
    found = paths.at_chosen_strength(about, 1.0)
    assert found["of_seeds"] == about["path"]["of_seeds"][1]
    assert found["epochs"] == 6 and found["flags"] == []


def test_a_seed_that_diverges_is_named_and_never_averaged_away(monkeypatch):
    """The second network begins with weights that are not a number."""
    build = cell.Fitting.trainer

    def trainer(self, penalties, seed=1):
        made = build(self, penalties, seed)
        if seed == 2:
            made.core.variables[0].assign(np.full(made.core.variables[0].shape, np.nan))
        return made

    monkeypatch.setattr(cell.Fitting, "trainer", trainer)
    study = made(3)
    about = study.train()
    said = "seed 2 of 3: diverged: the loss is not finite in epoch 1"
    assert about["flags"] == [said] and about["ending"] == said and said in trained_cell.sentence(about)
    assert np.isnan(study.predictions()[1]).all()
    assert [one["rmse"] is None for one in about["of_seeds"]] == [False, True, False]
    assert about["penalties"]["kernel_l2"] is None
    assert "NaN" not in (study.folder(1, 1) / "cell.json").read_text()
    study.config["models"]["m"]["training"]["on_divergence"] = "fail"
    with pytest.raises(RegfoldError) as error:
        study.train()
    assert str(error.value) == f"model m, repeat 1, fold 1: {said}; training.on_divergence is fail"


BUILD = """
import keras

@keras.saving.register_keras_serializable("own")
class Own(keras.Model):
    def __init__(self, n_outputs, activation, **more):
        super().__init__(**more)
        self.of = {"n_outputs": n_outputs, "activation": activation}
        self.inner = keras.layers.Dense(4, activation="tanh")
        self.drop = keras.layers.Dropout(0.1)
        self.last = keras.layers.Dense(n_outputs, activation=activation)

    def call(self, x, training=False):
        return self.last(self.drop(self.inner(x), training=training))

    def get_config(self):
        return {**self.of, "name": self.name}

def subclassed(n_features, n_outputs, output_activation, regularizers):
    return Own(n_outputs, output_activation, name="own")

def functional(n_features, n_outputs, output_activation, regularizers):
    x = keras.Input((n_features,))
    hidden = keras.layers.Dense(4, "relu", name="first", **regularizers)(x)
    return keras.Model(x, keras.layers.Dense(n_outputs, output_activation, name="last")(hidden), name="own")
"""


@pytest.mark.parametrize("function", ["functional", pytest.param("subclassed", marks=pytest.mark.heavy)])
def test_networks_of_ones_own_are_averaged_too(function):
    Path("own.py").write_text(BUILD)
    study = made(2, "classes", network={"build": f"own.py:{function}"}, folds=2)
    for key in study.cells():
        study.train(*key)
    saved = predictor.load(study.save())
    for key in study.cells():
        rows, predicted = study.predictions(*key)
        found = predictor.forward(saved.networks[key], study.features()[rows])
        np.testing.assert_allclose(found, predicted, rtol=1e-5, atol=1e-6)


def test_the_kernels_of_all_seeds_are_read():
    study = made(3)
    study.train()
    found = weights.kernels(study.folder(1, 1) / "model.keras")
    kernels = [v.numpy() for v in keras.models.load_model(study.folder(1, 1) / "model.keras").weights]
    kernels = [kernel for kernel in kernels if kernel.ndim == 2]
    assert [list(one) for one in found] == [["hidden_1", "output"]] * 3
    for one, expected in zip(found, zip(kernels[::2], kernels[1::2], strict=True), strict=True):
        for kernel, value in zip(one.values(), expected, strict=True):
            np.testing.assert_array_equal(kernel, value)


def test_a_refit_has_seeds_and_the_epochs_that_the_plan_says():
    study = made(2, training=STOPS, refit=True)
    for key in study.cells():
        study.train(*key)
    about = study.train(*cell_names.REFIT)
    best = [files.read_json(study.folder(*key) / "cell.json")["best_epoch"] for key in study.cells()]
    assert about["epochs"] == identity.usual_epoch(best)
    assert [one["rmse"] for one in about["of_seeds"]] == [None, None]
    specifications = identity.specifications(study.config)
    steps = plan.plan(study.config, specifications, study.results, STATES)
    assert {step.what for step in steps} == {plan.KEPT}
    with_seeds(study, 3)
    steps = plan.plan(study.config, identity.specifications(study.config), study.results, STATES)
    of_folds, refit = steps[:-1], steps[-1]
    for step in of_folds:
        assert (step.what, step.why) == (plan.RESUMES, ["settings changed: training.seeds 2 -> 3"])
        assert step.network_epochs == STOPS["epochs"], "the third network alone"
    assert refit.what == plan.TRAINS
    for key in study.cells():
        study.train(*key)
    steps = plan.plan(study.config, identity.specifications(study.config), study.results, STATES)
    assert [step.what for step in steps] == [plan.KEPT] * 3 + [steps[-1].what]
    new = study.train(*cell_names.REFIT)
    assert new["epochs"] == identity.usual_epoch([step.best for step in steps[:-1]])


def test_prune_keeps_the_states_of_all_seeds_and_removes_those_of_no_seed():
    study = made(3)
    about = study.train()
    pruning.prune(study.results, ["m"], [], STATES)
    assert {path.name for path in STATES.iterdir()} == set(about["digests"]["states"])
    with_seeds(study, 2).train()
    pruning.prune(study.results, ["m"], [], STATES)
    assert {path.name for path in STATES.iterdir()} == set(about["digests"]["states"][:2])
    assert with_seeds(study, 3).train()["trained_epochs"] == 6, "the third alone"


def test_a_changed_number_of_seeds_runs_a_cell_again_and_none_of_its_trainings():
    study = made(1)
    one, two = (identity.specification(with_seeds(study, n).config["models"]["m"]) for n in (1, 2))
    description = study.description(1, 1)
    assert one != two
    assert identity.state_digest(one, description) == identity.state_digest(two, description)
    digests = {
        identity.state_digest(two | {"nested": "n"}, description, inner, seed)
        for inner in range(3)
        for seed in (1, 2, 3)
    }
    assert len(digests) == 9
    assert study.rerun() == set(study.cells()) and study.rerun() == set()
    with_seeds(study, 1)
    assert study.rerun() == set(study.cells())
    prepared = oos.read_prepared(study.prepared)
    assert set(oos.read_cells(prepared, [study.folder(*key) for key in study.cells()])) == set(study.cells())


def test_the_score_of_a_seed_weighs_rows_as_all_scores_do():
    lines = table().splitlines()
    text = "\n".join([f"{lines[0]},w", *(f"{line},{1 + i % 5}" for i, line in enumerate(lines[1:])), ""])
    study = Study(text, {"weight": "w"}, {"folds": 3}, training={"seeds": 2})
    about, tested = study.train(), study.tested()
    for number, of_seed in enumerate(about["of_seeds"], start=1):
        _, predicted = alone(study, number)
        truth = np.load(study.prepared / "target.npy")[tested]
        expected = root_mean_squared_error(truth, predicted, sample_weight=1 + tested % 5)
        assert of_seed["rmse"] == pytest.approx(expected, rel=1e-6)
