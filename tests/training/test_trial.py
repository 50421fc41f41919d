"""Guards that the user's own network is tried before anything is trained, and that documented ones train."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import split_folds
from regfold.provenance import identity
from regfold.training import network
from small_study import Study

TESTS = Path(__file__).parents[1]
DOCUMENTED = sorted((TESTS.parent / "docs" / "networks").glob("*.py"))
TABLE = "x,z,y\n" + "".join(f"{i % 7},{i % 5},{'abc'[i % 3]}\n" for i in range(40))
UNSAVED = """
import keras


class Own(keras.layers.Layer):
    def get_config(self):
        raise NotImplementedError("no config")

    def call(self, rows):
        return rows


def build(n_features, n_outputs, output_activation, regularizers):
    return keras.Sequential([Own(), keras.layers.Dense(n_outputs, output_activation)])
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")  # the script sets it too, in the process of its own
    shutil.copy(TESTS / "own_networks.py", "nets.py")


def split(study: Study) -> None:
    """What the rule split_folds does."""
    specifications = identity.specifications(study.config)
    settings = {"split": study.config["split"], "missing": [""], "by": [], "metrics": []}
    output = {"table": "results/folds.csv", "folds": "results/folds"}
    split_folds.main(
        SimpleNamespace(
            params=SimpleNamespace(split=settings | {"builds": identity.builds(specifications)}),
            input=SimpleNamespace(schema="results/prepared/schema.json"),
            output=SimpleNamespace(assignment="assignment.npy", codes="codes.npy", **output),
            log=["split.log"],
        )
    )


def study_of(build: str | None) -> Study:
    own = {"network": {"build": build}} if build else {}
    penalty = {"kernel": {"l2": 1e-3}, "activity": {"l1": 1e-4}}
    return Study(TABLE, models={"plain": {}, "own": own | {"penalty": penalty}})


@pytest.mark.parametrize(
    ("build", "line"),
    [
        ("nets.py:raises", "'nets.py:raises' failed: ValueError: two lines"),
        ("nets.py:nothing", "'nets.py:nothing' returned a NoneType; expected a keras.Model"),
        ("nets.py:wrong_outputs", "output shape (None, 4); expected (None, 3)"),
        ("unsaved.py:build", "returned a network that Keras cannot save: NotImplementedError: no config; "),
    ],
)
def test_what_is_wrong_ends_the_split_in_one_line(build, line, capfd):
    Path("unsaved.py").write_text(UNSAVED)
    with pytest.raises(SystemExit):
        split(study_of(build))
    (said,) = capfd.readouterr().err.splitlines()
    assert said.startswith("regfold: error: network.build: ") and line in said


def test_keras_is_imported_for_such_a_study_alone(monkeypatch):
    asked = []
    monkeypatch.setattr(split_folds.processors, "load", lambda: asked.append(True))
    split(study_of(None))
    assert not asked
    split(study_of("nets.py:sequential"))
    assert asked


@pytest.mark.parametrize("path", DOCUMENTED, ids=lambda path: path.stem)
def test_a_documented_network_trains(path):
    shutil.copy(path, ".")
    study = study_of(f"{path.name}:{path.stem}")
    split(study)
    cell = study.train(model="own")
    assert cell["epochs"] == 3
    _, predictions = study.predictions(model="own")
    np.testing.assert_allclose(predictions.sum(axis=1), 1, atol=1e-5)
    settings = study.config["models"]["own"]
    core = network.build_core(2, 3, "softmax", settings["network"], settings["penalty"], (0, 0, 0))
    assert len(core.losses) > 0  # the penalty of the config acts


def test_the_outputs_of_an_own_network_suit_the_loss():
    Path("seen.py").write_text(
        "import keras\n\n\ndef build(n_features, n_outputs, output_activation, regularizers):\n"
        "    if output_activation != 'exponential':\n        raise ValueError(output_activation)\n"
        "    return keras.Sequential([keras.layers.Dense(n_outputs, output_activation)])\n"
    )
    rows = "".join(f"{i % 7},{i % 5}.5\n" for i in range(40))
    own = {"network": {"build": "seen.py:build"}, "training": {"loss": "poisson"}}
    study = Study("x,y\n" + rows, models={"own": own})
    split(study)
    study.train(model="own")
    assert (study.predictions(model="own")[1] > 0).all()
