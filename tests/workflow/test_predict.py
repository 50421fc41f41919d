"""Guards the target `predict` and regfold.Study on a real study: new rows, raw, to predictions."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import regfold
from regfold.errors import RegfoldError
from workflow.real_study import ROOT, Study

ROWS = 30


def table() -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "c": np.array(["a", "b"])[np.arange(ROWS) % 2],
            "x": random.normal(size=ROWS).round(3),
            "y": random.normal(size=ROWS).round(3),
            "note": [f"n{i}" for i in range(ROWS)],
        }
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Trained by the target predict itself. A single fold tests the rows below 20, and only once."""
    config = {
        "data": {"path": "t.csv", "target": "y", "exclude": ["note"], "task": "regression"},
        "split": {"method": "file", "file": "folds.csv"},
        "training": {"epochs": 3},
        "models": {"l1": {"penalty": {"activity": {"l1": 1e-4}}}, "plain": {"network": {"hidden": []}}},
    }
    made = Study(tmp_path_factory.mktemp("predict") / "study", ROOT, config)
    made.write(
        "t.csv", table().to_csv(index=False, sep=";", decimal=",")
    )  # the new rows are written otherwise
    made.write("folds.csv", "row,repeat,fold\n" + "".join(f"{i},1,1\n" for i in range(20)))
    made.write("new.csv", table().drop(columns="y").iloc[:, ::-1].to_csv(index=False))
    made.said = made.snakemake("predict", "all", "--config", "new_data=new.csv")
    return made


def test_keras_multiplies_as_in_training_and_its_lines_are_in_the_log(study):
    assert "absl" not in study.said.text and "oneDNN" not in study.said.text
    assert "oneDNN" not in study.read("logs/predict/predict.log")


def test_the_command_trains_what_is_missing_and_predicts(study):
    assert study.said.code == 0, study.said.text
    assert study.said.cells == {"l1 1-1", "plain 1-1"}
    assert "regfold: results/predictions/l1.csv: 30 rows predicted" in study.said.lines
    written = pd.read_csv(study.folder / "results/predictions/l1.csv")
    assert list(written) == ["note", "x", "c", "pred", "pred_low", "pred_high"]
    pd.testing.assert_frame_equal(written[["c", "x"]], table()[["c", "x"]])
    assert (written["pred_low"] < written["pred_high"]).all()


def test_the_fold_predicts_its_own_rows_as_it_did_and_nothing_trains_again(study):
    for model in ("l1", "plain"):
        tested = pd.read_csv(study.folder / f"results/oos/{model}.csv")
        written = pd.read_csv(study.folder / f"results/predictions/{model}.csv")
        np.testing.assert_allclose(
            written["pred"][tested["oos_row"]], tested["oos_pred"], rtol=1e-6, atol=1e-6
        )
    assert "Nothing to be done" in study.snakemake("--dry-run", "all").text


def test_python_predicts_as_the_command_does(study):
    opened = regfold.Study(study.folder)
    written = pd.read_csv(study.folder / "results/predictions/l1.csv")
    frame = table().drop(columns="y").set_index(np.arange(100, 100 + ROWS))
    predicted = opened.predict("l1", frame)
    assert (predicted.index == frame.index).all()
    np.testing.assert_allclose(predicted, written[list(predicted)], rtol=1e-6, atol=1e-6)
    assert list(opened.scores["model"]) == ["l1", "plain", "baseline_linear"]
    assert opened.summary["models"]["l1"]["rmse"] == pytest.approx(opened.scores["rmse"][0])
    assert len(opened.folds) == 20
    oos = opened.predictions("l1")
    assert oos.dtypes[["x", "y", "oos_y", "oos_pred"]].eq(np.float64).all()
    assert oos["x"].tolist() == table()["x"][:20].tolist()
    assert oos["oos_repeat"].dtype == np.int64
    assert oos["oos_row"].tolist() == [str(i) for i in range(20)]
    assert list(opened.predictions("baseline_linear")) == list(oos)
    assert opened.figure("predicted-baseline_linear").to_dict()["width"] == 420
    (network,) = opened.networks("l1")
    assert network.output_shape == (None, 1)
    assert opened.figure("folds").to_dict()["width"] == 640
    with pytest.warns(UserWarning, match="frame: 1 cell of column 'c': levels that t.csv does not have"):
        opened.predict("plain", frame[:1].assign(c="new"))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda opened: opened.predict("l2", table()),
            "no model 'l2' in .*config.yaml; expected 'l1', 'plain'",
        ),
        (lambda opened: opened.predict("l1", table()[["c"]]), "frame: has no column 'x'"),
        (lambda opened: opened.predict("l1", table()[:0]), "frame: has no rows"),
        (
            lambda opened: opened.predict("l1", table().assign(x="tall")),
            "frame: column 'x', row 0: 'tall' is",
        ),
        (lambda opened: opened.predict("l1", table().assign(x=[1, "tall"] * 15)), "frame: "),
        (lambda opened: opened.figure("no"), "no figure 'no'; expected one of 'folds'"),
        (lambda opened: regfold.Study(opened.folder / "results"), "no such file; expected the folder of a"),
    ],
)
def test_what_python_cannot_do_is_one_line(call, message, study):
    opened = regfold.Study(study.folder)
    with pytest.raises(RegfoldError, match=message) as error:
        call(opened)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("new_data", "message"),
    [
        (None, "predict: no new rows; expected --config new_data=FILE"),
        ("gone", "config.yaml: new_data: 'gone' has an unknown ending; expected .csv, .tsv, .csv.gz, "
         ".tsv.gz, .xlsx, .parquet or .feather, or sklearn:NAME"),
        ("bad.csv", "bad.csv: has no column 'x'; expected every feature of t.csv"),
    ],
)  # fmt: skip
def test_bad_new_data_ends_with_one_line_and_leaves_what_there_is(new_data, message, study):
    study.write("bad.csv", "c\na\n")
    before = study.read("results/predictions/l1.csv")
    said = study.snakemake("predict", *(["--config", f"new_data={new_data}"] if new_data else []))
    assert said.code != 0
    assert said.errors == [f"regfold: error: {message}"] == said.text.splitlines()[-1:]
    assert study.read("results/predictions/l1.csv") == before


def test_import_is_light():
    code = (
        "import sys, regfold; sys.exit(bool({'tensorflow', 'keras', 'pandas', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT / "scripts").returncode == 0
