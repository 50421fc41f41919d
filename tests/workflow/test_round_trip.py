"""Guards that new rows are predicted as held-out rows were: by the command, in Python, and by a saved model.

Each study has one fold, so that the mean of the folds' networks is that fold's network.
"""

import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import regfold
from workflow.real_study import ROOT, Study

ROWS = 24
TASKS = {"classes": "k", "regression": "y", "two targets": ["y", "w"]}
# In an environment without Snakemake: where regfold's package alone is on the path.
FRESH = """
import sys
sys.path.insert(0, {package!r})
import pandas, regfold
for name in sys.argv[1:]:
    model = regfold.load(name)
    print(model)
    table = pandas.read_csv("t.csv", dtype=str, keep_default_na=False)
    model.predict(table).to_csv(name + ".csv", index=False)
sys.exit(bool({{"snakemake", "altair", "jsonschema", "yaml"}} & set(sys.modules)))
"""
OWN = """
import keras

class Doubled(keras.layers.Layer):
    def call(self, rows):
        return 2 * rows

def build(n_features, n_outputs, output_activation, regularizers):
    return keras.Sequential(
        [keras.layers.Input((n_features,)), Doubled(), keras.layers.Dense(n_outputs, output_activation)]
    )
"""


def table() -> pd.DataFrame:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(ROWS, 3)).round(3), columns=["x", "y", "w"]).astype(str)
    frame.loc[3, "x"] = ""
    return frame.assign(
        c=np.array(["a", "b"])[np.arange(ROWS) % 2], k=np.array(["p", "q", "r|s"])[np.arange(ROWS) % 3]
    )


@pytest.mark.heavy
@pytest.mark.parametrize("task", TASKS)
def test_a_fold_predicts_its_own_rows_again(task, tmp_path):
    targets = [TASKS[task]] if isinstance(TASKS[task], str) else TASKS[task]
    left_out = [name for name in ("k", "y", "w") if name not in targets]
    config = {
        "data": {"path": "t.csv", "target": TASKS[task], "exclude": left_out},
        "split": {"method": "file", "file": "folds.csv"},
        "training": {"epochs": 3},
        "baselines": [],
        "models": {"m": {}, "all": {"refit": True}, "own": {"network": {"build": "own.py:build"}}},
    }
    study = Study(tmp_path / "study", ROOT, config)
    study.write("t.csv", table().to_csv(index=False))
    study.write("own.py", OWN)
    study.write("folds.csv", "row,repeat,fold\n" + "".join(f"{i},1,1\n" for i in range(0, ROWS, 2)))
    said = study.snakemake("predict", "all", "--config", "new_data=t.csv")
    assert said.code == 0, said.text
    predicted, opened = {}, regfold.Study(study.folder)
    study.folder.joinpath("own.py").unlink()  # a saved model has its own copy
    elsewhere = shutil.copytree(study.folder / "results/models", tmp_path / "elsewhere")
    (elsewhere / "t.csv").write_text(study.read("t.csv"))
    code = FRESH.format(package=str(ROOT / "scripts"))
    command = [sys.executable, "-c", code, *config["models"]]
    done = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for model in config["models"]:
        tested = pd.read_csv(study.folder / f"results/oos/{model}.csv")
        of_fold = tested.filter(regex="^oos_pred").to_numpy()
        rows = tested["oos_row"].to_numpy()

        def outputs(frame):
            return frame.filter(regex="^pred(?!_low|_high|_label|_set)").to_numpy(np.float64)

        written = pd.read_csv(study.folder / f"results/predictions/{model}.csv")
        with pytest.warns(UserWarning, match="1 cell of column 'x': missing"):
            in_python = opened.predict(model, table())
        np.testing.assert_allclose(outputs(in_python), outputs(written), rtol=1e-6, atol=1e-6)
        assert f"model '{model}': {', '.join(map(repr, targets))}" in done.stdout
        fresh = pd.read_csv(elsewhere / f"{model}.csv")
        np.testing.assert_allclose(outputs(fresh), outputs(written), rtol=1e-6, atol=1e-6)
        assert list(fresh) == list(in_python)
        same = np.allclose(outputs(written)[rows], of_fold, rtol=1e-6, atol=1e-6)
        assert same == (model != "all"), model
        predicted[model] = written
    # Bounds and sets come from the folds' networks in any case.
    bounds = predicted["m"].filter(regex="_low|_high|_set")
    assert bounds.equals(predicted["all"][list(bounds)])
