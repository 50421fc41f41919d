"""Guards the network that is trained on all rows: on which rows, for how many epochs, and when again."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from regfold.provenance import cell_names, identity
from regfold.results import verify
from regfold.training.runner import Interrupted
from regfold.workflow import plan, pruning
from small_study import Study

STATES = Path(".regfold/state")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def text(n=23, first=0.0):
    random = np.random.default_rng(0)
    lines = [f"{x:.3f},{y:.3f},{i}\n" for i, (x, y) in enumerate(random.normal(size=(n, 2)))]
    return "x,y,t\n" + f"{first},{first + 1},{n}\n" + "".join(lines)


def made(settings=None, split=None, **more):
    return Study(
        text(), models={"m": {"refit": True} | (settings or {})}, split={"folds": 3} | (split or {}), **more
    )


def refit(study, **more):
    return study.train(*cell_names.REFIT, **more)


def cross_validated(study):
    for key in study.cells():
        study.train(*key)
    return study


@pytest.mark.parametrize(
    "split",
    [{"method": "kfold"}, {"method": "time", "column": "t"}, {"method": "file", "file": "f.csv", "folds": 5}],
    ids=lambda split: split["method"],
)
def test_all_rows_train_and_none_is_predicted(split):
    """Under `time` the latest rows too, and under `file` those that no fold tests.

    A linear network that has hardly learnt anything gives the row of the features' means the targets' mean.
    """
    Path("f.csv").write_text("row,repeat,fold\n0,1,1\n1,1,2\n")
    study = made(split=split, network={"hidden": []}, training={"learning_rate": 1e-30, "epochs": 3})
    metadata = refit(study)
    assert (metadata["n_train"], metadata["n_test"], metadata["epochs"]) == (24, 0, 3)
    assert metadata["flags"] == []
    files = {path.name for path in study.folder(*cell_names.REFIT).iterdir()}
    assert files == {"cell.json", "model.keras", "history.csv"}
    network = keras.models.load_model(study.folder(*cell_names.REFIT) / "model.keras")
    means = study.features().mean(axis=0, dtype=np.float64, keepdims=True).astype(np.float32)
    target = np.load(study.prepared / "target.npy")
    np.testing.assert_allclose(network(means), [target.mean(axis=0)], atol=1e-5)


def test_it_trains_for_the_median_of_the_epochs_that_early_stopping_chose():
    training = {
        "epochs": 200,
        "learning_rate": 0.05,
        "schedule": {"name": "cosine"},
        "early_stopping": {"patience": 2, "fraction": 0.3},
    }
    study = cross_validated(made({"training": training}, split={"folds": 4}))
    chosen = [
        json.loads(path.read_text())["best_epoch"] for path in Path("results/cells/m").glob("*-*/*.json")
    ]
    assert len(set(chosen)) > 1
    metadata = refit(study)
    assert metadata["epochs"] == round(np.median(chosen))
    assert metadata["n_validation"] == 0
    rates, as_folds = (
        np.genfromtxt(study.folder(*key) / "history.csv", delimiter=",", names=True)["learning_rate"]
        for key in (cell_names.REFIT, (1, 1))
    )
    shared = min(len(rates), len(as_folds))
    np.testing.assert_allclose(rates[:shared], as_folds[:shared])


def test_stopped_and_resumed_it_ends_as_if_it_had_not():
    study = made({"training": {"epochs": 40, "checkpoint_seconds": 0}})
    whole = refit(study)
    STATES.rename("elsewhere")
    seen = []
    with pytest.raises(Interrupted, match="model m, refit: stopped after epoch"):
        refit(study, on_epoch=lambda epoch, values: seen.append(epoch), stop=lambda: len(seen) >= 5)
    again = refit(study)
    assert 0 < again["resumed_from"] < 40
    assert again["weights"] == whole["weights"]
    assert refit(study)["trained_epochs"] == 0


@pytest.mark.parametrize("stops", [False, True])
def test_the_plan_says_when_it_runs(stops):
    stopping = {"early_stopping": {"patience": 1, "fraction": 0.3}} if stops else {}
    study = made({"training": {"epochs": 5, **stopping}})
    specifications = identity.specifications(study.config)

    def planned():
        found = plan.plan(study.config, specifications, study.results, STATES)
        return {cell_names.name(step.repeat, step.fold): (step.what, step.why) for step in found}

    first = "its folds train, and decide for how many epochs" if stops else "no results yet"
    assert planned()["refit"] == (plan.TRAINS, [first])
    cross_validated(study)
    assert planned()["refit"] == (plan.TRAINS, ["no results yet"])
    refit(study)
    assert planned()["refit"] == (plan.KEPT, [])
    (study.folder(1, 1) / "history.csv").unlink()
    again = (plan.PREDICTS, ["its folds run again"]) if stops else (plan.KEPT, [])
    assert planned()["refit"] == again
    cross_validated(study)
    (study.folder(*cell_names.REFIT) / "model.keras").unlink()
    assert planned()["refit"] == (plan.PREDICTS, ["model.keras missing"])
    Path("t.csv").write_text(text(first=0.5))
    what, why = planned()["refit"]
    assert what == plan.TRAINS
    assert why[0] == (
        "its folds train, and decide for how many epochs" if stops else "training rows changed: 1 row"
    )


def test_verify_and_prune_know_it():
    study = cross_validated(made())
    study.merge()
    refit(study)
    assert verify.verify(study.config, study.results).startswith(
        "verified: 24 out-of-sample lines and 4 cells"
    )
    pruning.prune(study.results, ["m"], ["m"], STATES)
    assert refit(study)["trained_epochs"] == 0
    (study.folder(*cell_names.REFIT) / "model.keras").write_bytes(b"damaged")
    with pytest.raises(verify.RegfoldError, match=r"refit/model\.keras: damaged or missing; the next run"):
        verify.verify(study.config, study.results)
    pruning.prune(study.results, ["m"], [], STATES)
    assert not study.folder(*cell_names.REFIT).exists()
    assert len(list(STATES.iterdir())) == 3


def test_a_network_that_learnt_nothing_is_flagged():
    study = made({"training": {"learning_rate": 1e30, "epochs": 5}})
    assert any("diverged" in flag or "not finite" in flag for flag in refit(study)["flags"])
    study = made({"penalty": {"kernel": {"l1": 1e4}}, "training": {"optimizer": "sgd", "epochs": 30}})
    assert refit(study)["flags"]
