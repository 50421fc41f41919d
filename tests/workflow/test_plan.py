"""Guards that the plan is made where the results are, and leaves nothing behind."""

import json
import tempfile
from pathlib import Path

import pytest
from regfold.errors import RegfoldError
from regfold.provenance import identity
from regfold.results.verify import verify
from regfold.workflow import plan
from small_study import Study


def test_the_table_is_prepared_beside_the_results(tmp_path, monkeypatch):
    """A large table has room where its results have; /tmp may be small, or full."""
    monkeypatch.chdir(tmp_path)
    study = Study("x,y\n" + "".join(f"{i},{i / 3}\n" for i in range(12)), split={"folds": 3})
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "full"))
    specifications = {"m": identity.specification(study.config["models"]["m"])}
    steps = plan.plan(study.config, specifications, study.results, Path(".regfold/state"))
    assert [step.what for step in steps] == [plan.TRAINS] * 3
    assert not any(Path(".regfold").rglob("*.npy"))


@pytest.mark.parametrize("gap", [0, 2])
def test_times_with_a_gap_are_planned_and_verified_as_they_were_split(tmp_path, monkeypatch, gap):
    """Three rows at each time; then some rows' times change, though each row is tested where it was."""
    monkeypatch.chdir(tmp_path)
    lines = [[i // 3, i, i * i % 7 + 0.5] for i in range(36)]

    def text():
        return "t,x,y\n" + "".join(f"{t},{x},{y}\n" for t, x, y in lines)

    split = {"method": "time", "column": "t", "folds": 2, "gap": gap}
    models = {"stops": {"training": {"early_stopping": {"fraction": 0.3, "patience": 1}}}, "runs": {}}
    training = {"optimizer": "sgd"}
    study = Study(text(), split=split, network={"hidden": []}, training=training, models=models)
    specifications = {name: identity.specification(study.config["models"][name]) for name in models}

    def planned():
        found = plan.plan(study.config, specifications, study.results, Path(".regfold/state"))
        return {(step.model, step.fold): (step.what, step.why) for step in found}

    for fold, n_train in ((1, 12 - 3 * gap), (2, 24 - 3 * gap)):
        for model in models:
            assert study.train(1, fold, model)["n_train"] == n_train
    assert all(found == (plan.KEPT, []) for found in planned().values())
    for model in models:
        study.merge(model)
    assert verify(study.config, study.results).startswith("verified: 48 out-of-sample lines and 4 cells")
    lines[0][0], lines[3][0] = 1, 0  # fold 1 trains on times 0 to 3, or 0 and 1
    Path("t.csv").write_text(text())
    said = ["the training rows' groups or times changed"]
    assert planned() == {
        (model, fold): (plan.PREDICTS if model == "runs" else plan.TRAINS, said)
        for model in models
        for fold in (1, 2)
    }
    study.config["split"]["gap"] = 1
    with pytest.raises(RegfoldError, match="1-1: made from other rows"):
        verify(study.config, study.results)


def test_an_epoch_costs_what_it_took_without_compiling(tmp_path):
    cells = []
    for number, (seconds, total) in enumerate([(6.0, 7.0), (0.2, 0.3), (0.1, 0.2)]):
        times = {"seconds_training": seconds, "seconds_total": total, "network_epochs": 20}
        cells.append(tmp_path / f"{number}.json")
        cells[-1].write_text(json.dumps({"model": "m", "times": times}))
    step = plan.Step("m", 1, 1, plan.TRAINS, ["not trained yet"], network_epochs=60_000)
    assert plan.earlier_costs(cells).seconds(step) == pytest.approx(60_000 * 0.1 / 20, rel=0.01)
