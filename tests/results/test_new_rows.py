"""Guards predictions of new rows: equal to the fold's own for the study's rows; bad input is one line."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from regfold.data import table
from regfold.errors import RegfoldError
from regfold.provenance import cell_names
from regfold.results import conformal, new_rows, oos, predictor
from small_study import Study

MISSING = ["", "NA"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def text(n=24, two=False, classes=False):
    random = np.random.default_rng(0)
    lines = ["i,c,x,z,y" + ",w" * two]
    for i in range(n):
        c, x, z = "ab"[i % 2], "" if i == 3 else f"{random.normal():.3f}", f"{random.normal():.3f}"
        y = "pqr"[i % 3] if classes else f"{random.normal():.4f}"
        lines.append(f"r{i},{c},{x},{z},{y}" + f",{100 + i}.5" * two)
    return "\n".join(lines) + "\n"


def trained(content, **settings):
    settings["data"] = {"id": "i"} | settings.get("data", {})
    study = Study(content, split={"folds": 2} | settings.pop("split", {}), **settings)
    refit = [cell_names.REFIT] * study.config["models"]["m"]["refit"]
    for key in study.cells() + refit:
        study.train(*key)
    return study


def predicted(study, path="new.csv", notes=None):
    note = (lambda line: None) if notes is None else notes.append
    return new_rows.predict([study.save()], table.read(path, MISSING), note)["m"]


@pytest.mark.parametrize(
    ("content", "data"),
    [
        (text(classes=True), {}),
        (text(), {"task": "regression"}),
        (text(two=True), {"target": ["y", "w"]}),
    ],
    ids=["classes", "regression", "two targets"],
)
def test_a_fold_predicts_its_own_rows_as_it_did(content, data):
    study = trained(content, data=data)
    prepared = oos.read_prepared(study.prepared)
    model = predictor.load(study.save())
    features = model.encode(table.read("t.csv", MISSING), print)
    for (repeat, fold), network in model.networks.items():
        rows, expected = study.predictions(repeat, fold)
        again = predictor.forward(network, features)[prepared.position[rows]]
        np.testing.assert_allclose(again, expected, rtol=1e-6, atol=1e-6)
    Path("new.csv").write_text(content)
    columns = predicted(study)
    each = np.stack([predictor.forward(network, features) for network in model.networks.values()])
    names = [f"pred_{c}" for c in "pqr"] if "p\n" in content else None
    names = names or (["pred_y", "pred_w"] if len(study.schema["target"]) == 2 else ["pred"])
    np.testing.assert_array_equal(np.stack([columns[name] for name in names], axis=1), each.mean(axis=0))


def test_order_of_columns_target_and_extra_columns_change_nothing():
    study = trained(text())
    Path("new.csv").write_text("c,x,z\na,1,2\nb,,3\n")
    plain = predicted(study)
    Path("new.csv").write_text("note,z,x,c\n!,2,1,a\n?,3,,b\n")
    notes = []
    other = predicted(study, notes=notes)
    assert notes == [
        "new.csv: 1 cell of column 'x': missing",
        "new.csv: 1 column that t.csv does not have, not used: 'note'",
    ]
    assert list(plain) == ["pred", "pred_low", "pred_high"]
    for name in plain:
        np.testing.assert_array_equal(plain[name], other[name])
    assert (plain["pred_low"] < plain["pred_high"]).all()


def test_the_file_holds_its_own_cells_and_the_predictions(tmp_path):
    study = trained(text(classes=True))
    Path("new.tsv").write_text('x\tc\tz\n 1.50\ta\t007\n\t"b, ""so"""\t1e3\n')
    columns = predicted(study, "new.tsv")
    lines = new_rows.write({"m": columns}, table.read("new.tsv", MISSING), Path("results/predictions"))
    assert lines == ["results/predictions/m.csv: 2 rows predicted"]
    written = table.read("results/predictions/m.csv", []).text
    assert written.column_names == ["x", "c", "z", "pred_label", "pred_p", "pred_q", "pred_r", "pred_set"]
    assert written.select(["x", "c", "z"]).to_pydict() == {
        "x": [" 1.50", ""],
        "c": ["a", 'b, "so"'],
        "z": ["007", "1e3"],
    }
    assert [float(v) for v in written["pred_p"].to_pylist()] == columns["pred_p"].tolist()
    assert set(written["pred_label"].to_pylist()) <= set("pqr")


def test_labels_in_a_set_can_be_told_apart():
    sets = predictor._sets(["a|b", "c\\", "d"], np.array([[1, 1, 0], [0, 0, 1], [0, 0, 0]], bool))
    assert sets.tolist() == ["a\\|b|c\\\\", "d", ""]


def test_time_has_no_intervals():
    study = trained(text(), data={"exclude": []}, split={"method": "time", "column": "z"})
    Path("new.csv").write_text("c,x\na,1\n")
    notes = []
    assert list(predicted(study, notes=notes)) == ["pred"]
    assert notes == [
        "pred_low and pred_high left out: they assume exchangeable rows, which split.method time does not"
    ]


FINE = "c,x,z\na,1,2\nb,2,3\n"
BAD = [
    ("no column", "c,x\na,1\n", "new.csv: has no column 'z'; expected every feature of t.csv"),
    ("text", "c,x,z\na,1,2\na,tall,2\n", "new.csv: column 'x', row 1: 'tall' is not a number; expected "
     "numbers, as in t.csv"),
    ("infinite", "c,x,z\na,inf,2\n", "new.csv: column 'x', row 0: 'inf' is infinite; expected a finite "
     "number, or add it to data.missing"),
    ("nan", "c,x,z\na,nan,2\n", "new.csv: column 'x', row 0: 'nan' is not a number; if it means missing, "
     "add it to data.missing"),
    ("too large", "c,x,z\na,1e39,2\n", "new.csv: column 'x', row 0: '1e39' is too large; expected numbers "
     "up to 3.4e38"),
    ("decimal comma", 'c,x,z\na,"1,5",2\n', "new.csv: column 'x', row 0: '1,5' may have a decimal "
     "comma; set data.decimal: ',' if so, otherwise '.'"),
    ("two of a name", "c,x,z,x\na,1,2,3\n", "new.csv: columns 2 and 4 are both named 'x'; expected names "
     "that differ"),
    ("no name", "c,x,z,\na,1,2,3\n", "new.csv: column 4 has no name; expected a header that names every "
     "column (pandas: to_csv(index=False) leaves the unnamed index out)"),
    ("ragged", "c,x,z\na,1\n", "new.csv: row 0: 2 cells in 'a,1'; expected 3, as in the header"),
    ("no rows", "c,x,z\n", "new.csv: has no rows"),
    ("empty", "", "new.csv: is empty"),
    ("open quote", 'c,x,z\n"a,1,2\n', "new.csv: row 0: a quoted cell"),
    ("a column of a prediction", "c,x,z,pred_low\na,1,2,3\n", "new.csv: column 'pred_low' has the name of a "
     "column that is written; rename it"),
    ("a column of regfold", "c,x,z,oos_row\na,1,2,3\n", "new.csv: column 'oos_row' has a name that regfold "
     "gives to its own columns; rename it"),
    ("percent", "c,x,z\na,5%,2\n", "new.csv: column 'x', row 0: '5%' is not a number; expected numbers, "
     "as in t.csv"),
    ("boolean", "c,x,z\na,true,2\n", "new.csv: column 'x', row 0: 'true' is not a number; expected numbers, "
     "as in t.csv"),
    ("date", "c,x,z\na,2020-01-02,2\n", "new.csv: column 'x', row 0: '2020-01-02' is not a number"),
    ("thousands", 'c,x,z\na,"1,234.5",2\n', "new.csv: column 'x', row 0: '1,234.5' is not a number"),
    ("beyond numbers", "c,x,z\na,1e400,2\n", "new.csv: column 'x', row 0: '1e400' is infinite"),
    ("a cell too many", "c,x,z\na,1,2,3\n", "new.csv: row 0: 4 cells in 'a,1,2,3'; expected 3"),
    ("behind a quote", 'c,x,z\n"a"b,1,2\n', "new.csv: row 0: 'b' follows the closing quote of 'a'"),
    ("zero byte", "c,x,z\na,1\x00,2\n", "new.csv: column 'x', row 0: '1\\x00' is not a number"),
    ("other case", "C,x,z\na,1,2\n", "new.csv: has no column 'c'; expected every feature of t.csv"),
]  # fmt: skip


@pytest.fixture(scope="module")
def regression(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("study"))
        yield trained(text()), Path.cwd()


@pytest.mark.parametrize(("content", "message"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_bad_new_data_is_one_line(content, message, regression, monkeypatch):
    study, where = regression
    monkeypatch.chdir(where)
    Path("new.csv").write_text(content)
    with pytest.raises(RegfoldError) as error:
        predicted(study)
    assert str(error.value).startswith(message)
    assert len(str(error.value).splitlines()) == 1


def parquet(**columns) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue().to_pybytes()


BAD_FILES = [
    ("no text", "new.csv", b"c,x,z\n\xff,1,2\n", "column 'c', row 0: is not UTF-8"),
    ("cut gzip", "new.csv.gz", b"\x1f\x8b\x08\x00garbage", "cannot be read: Compressed file ended"),
    ("no gzip", "new.csv.gz", b"c,x,z\na,1,2\n", "cannot be read: Not a gzipped file"),
    ("no Parquet", "new.parquet", b"PAR1garbage", "cannot be read as Parquet"),
    ("no Excel", "new.xlsx", b"PK\x03\x04garbage", "cannot be read as Excel"),
    ("lists", "new.parquet", parquet(c=["a"], x=[[1.0]], z=[1.0]), "column 'x' holds lists or structures"),
    ("typed text", "new.parquet", parquet(c=["a"], x=["tall"], z=[1.0]), "column 'x', row 0: 'tall' is not"),
    ("typed infinity", "new.parquet", parquet(c=["a"], x=[np.inf], z=[1.0]), "column 'x', row 0: 'inf' is"),
    ("typed, no rows", "new.parquet", parquet(c=[], x=[], z=[]), "has no rows"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "message"), [case[1:] for case in BAD_FILES], ids=[case[0] for case in BAD_FILES]
)
def test_a_bad_file_is_one_line(name, content, message, regression, monkeypatch):
    study, where = regression
    monkeypatch.chdir(where)
    Path(name).write_bytes(content)
    with pytest.raises(RegfoldError) as error:
        predicted(study, name)
    assert str(error.value).startswith(f"{name}: {message}")
    assert len(str(error.value).splitlines()) == 1


def test_a_network_of_another_encoding_is_refused():
    study = trained(text())
    Path("new.csv").write_text(FINE)
    Path("t.csv").write_text(text().replace("r5,b", "r5,new level"))
    study.prepare()
    with pytest.raises(RegfoldError, match=r"^results/cells/m/1-1: made from other rows, columns or levels"):
        predicted(study)


def test_a_damaged_network_is_refused():
    study = trained(text())
    Path("new.csv").write_text(FINE)
    Path("results/cells/m/1-2/model.keras").write_bytes(b"no network")
    with pytest.raises(RegfoldError, match=r"^results/cells/m/1-2/model\.keras: damaged"):
        predicted(study)
    Path("results/cells/m/1-2/cell.json").unlink()
    with pytest.raises(RegfoldError, match=r"^results/cells/m/1-2: has no cell\.json"):
        predicted(study)


@pytest.mark.parametrize("select", ["min", "nested"])
def test_of_a_path_the_chosen_strengths_predict(select):
    models = {"m": {"penalty": {"kernel": {"l2": [1e-3, 10.0]}}, "select": select}}
    study = trained(text(), models=models, split={"folds": 3})
    tested = pd.read_csv(study.merge(), dtype=str)
    model = predictor.load(study.save())
    features = model.encode(table.read("t.csv", MISSING), print)
    for (_, fold), network in model.networks.items():
        rows = tested[tested["oos_fold"] == str(fold)]
        again = predictor.forward(network, features)[rows["oos_row"].str[1:].astype(int), 0]
        np.testing.assert_allclose(again, rows["oos_pred"].astype(float), rtol=1e-6, atol=1e-6)
    assert len(model.scores) == len(tested) == 24
    assert model.predict_encoded(features)["pred"].shape == (24,)


def test_names_of_classes_that_collide_are_refused():
    schema = {"task": "classification", "classes": ["label", "x"], "target": ["y"], "path": "t.csv"}
    with pytest.raises(RegfoldError, match="named 'pred_label'; rename the class"):
        predictor.column_names(schema, with_bounds=True)


def test_intervals_of_counts_are_never_below_0():
    random = np.random.default_rng(0)
    lines = [
        f"r{i},{'ab'[i % 2]},{random.normal():.3f},{i % 5 / 7:.3f},{random.poisson(0.7)}" for i in range(40)
    ]
    content = "\n".join(["i,c,x,z,y", *lines, ""])
    study = trained(content, data={"task": "regression"}, training={"loss": "poisson"})
    model = predictor.load(study.save())
    Path("new.csv").write_text(content)
    columns, features = predicted(study), model.encode(table.read("t.csv", MISSING), print)
    each = np.stack([predictor.forward(network, features)[:, 0] for network in model.networks.values()])
    low, high = conformal.cv_plus(model.scores[:, 0], model.cells, each, 0.9)
    assert (low < 0).any()
    np.testing.assert_array_equal(columns["pred_low"], np.maximum(low, 0))
    np.testing.assert_array_equal(columns["pred_high"], high)
