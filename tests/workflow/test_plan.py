"""Guards that the plan is made where the results are, and leaves nothing behind."""

import tempfile
from pathlib import Path

from regfold.provenance import identity
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
