"""Guards models with a path: the predictions of the chosen strength and of every one, and honest scores."""

import json
import shutil
from pathlib import Path

import example_results
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from regfold import files
from regfold.data.oos_names import is_reserved
from regfold.errors import RegfoldError
from regfold.formatting import significant
from regfold.results import metrics, oos, paths, predictions
from regfold.results.choice import bootstrap_bias_corrected, path_scores, tibshirani_corrected
from regfold.results.verify import verify
from regfold.workflow import terminal
from small_study import Study

STRENGTHS = [0.1, 0.0, 0.01]
TABLES = {
    "classes with ids": "id,x,y\n" + "".join(f"p{i},{i / 4},{'ab'[i % 2]}\n" for i in range(12)),
    "numbers": "x,y\n" + "".join(f"{i},{i / 3}\n" for i in range(12)),
    "two targets": "x,y,z\n" + "".join(f"{i},{i / 3},{100 * i % 7}\n" for i in range(12)),
}
OOS, PATH, EVERY = Path("results/oos/m.csv"), Path("results/path/m.csv"), Path("results/oos_path/m.parquet")


def made(name: str, select: str = "min", **more) -> Study:
    data = {"classes with ids": {"id": "id"}, "two targets": {"target": ["y", "z"]}}.get(name, {})
    models = {"m": {"penalty": {"kernel": {"l2": STRENGTHS}}, "select": select}}
    study = Study(TABLES[name], data, {"folds": 3, "repeats": 2} | more, models)
    study.pretend()
    study.merge()
    return study


@pytest.fixture(params=TABLES)
def study(request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return made(request.param)


def losses_of(study: Study) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Squared errors (n, strengths) of all cells' rows, each row's cell, and each row, by hand."""
    target, losses, cells, rows = np.load(study.prepared / "target.npy"), [], [], []
    if study.schema["classes"]:
        target = np.eye(2)[target]
    scale = target.std(axis=0) if len(study.schema["target"]) > 1 else 1
    for number, key in enumerate(study.cells()):
        tested, predicted = study.predictions(*key)
        losses.append((((predicted - target[tested][:, None]) / scale) ** 2).mean(axis=2))
        cells += [number] * len(tested)
        rows += tested.tolist()
    return np.concatenate(losses), np.array(cells), np.array(rows)


def test_the_table_has_each_strength_once_ascending(study):
    found = paths.read_table(PATH)
    assert found["strength"].tolist() == sorted(STRENGTHS)
    losses, cells, _ = losses_of(study)
    expected = path_scores(losses, cells, np.array(STRENGTHS), 3)
    ranking = "rmse_standardized" if len(study.schema["target"]) > 1 else "rmse"
    order = np.argsort(STRENGTHS)
    for name in ("", "_fold_mean", "_fold_se"):
        assert found[ranking + name].to_numpy() == pytest.approx(expected["rmse" + name][order])
    assert found["is_min"].tolist() == expected["is_min"][order].tolist()
    assert found["is_one_se"].tolist() == expected["is_one_se"][order].tolist()
    # Folds 1, 2 and 3 said fold + place / 3, and have one weight.
    train = [np.sqrt(np.mean(np.square([fold + place / 3 for fold in (1, 2, 3)]))) for place in order]
    assert found["rmse_train"].to_numpy() == pytest.approx(train)
    assert found["nonzero"].tolist() == [100, 99, 90] and found["inputs"].isna().all()
    header = "strength,rmse,rmse_fold_mean,rmse_fold_se,rmse_train,nonzero,inputs,is_min,is_one_se"
    assert PATH.read_text().startswith(header)


@pytest.mark.parametrize("select", ["min", "one_se", "nested"])
def test_the_chosen_strengths_predictions_stand_in_the_out_of_sample_file(tmp_path, monkeypatch, select):
    monkeypatch.chdir(tmp_path)
    study = made("numbers", select)
    table = paths.read_table(PATH)
    lines = pd.read_csv(OOS)
    assert list(lines) == ["x", "y", "oos_row", "oos_repeat", "oos_fold", "oos_strength", "oos_y", "oos_pred"]
    for repeat, fold in study.cells():
        tested, predicted = study.predictions(repeat, fold)
        if select == "nested":
            place = fold % 3  # as `pretend` has it
        else:
            (place,) = (STRENGTHS.index(s) for s in table["strength"][table[f"is_{select}"]])
        own = lines[(lines["oos_repeat"] == repeat) & (lines["oos_fold"] == fold)].set_index("oos_row")
        assert (own["oos_strength"] == STRENGTHS[place]).all()
        assert own.loc[tested, "oos_pred"].tolist() == predicted[:, place, 0].tolist()
    strength = predictions.read(OOS, study.schema).strength
    assert strength.tolist() == lines["oos_strength"].tolist()


def test_every_strengths_predictions_stand_in_the_parquet_file(study):
    frame = pd.read_parquet(EVERY)
    lines = pd.read_csv(OOS, dtype={"oos_row": str})
    outputs = [name for name in lines if name.startswith(("oos_y", "oos_pred"))]
    assert list(frame) == ["row", "repeat", "fold", "strength", *outputs]
    assert frame["strength"].tolist() == np.repeat(sorted(STRENGTHS), 24).tolist()
    assert frame.dtypes[["repeat", "fold"]].tolist() == [np.int32, np.int32]
    wide = np.float32 if study.schema["classes"] else np.float64
    assert set(frame.dtypes[[name for name in outputs if "pred" in name]]) == {np.dtype(wide)}
    chosen = frame[frame["strength"] == lines["oos_strength"][0]].reset_index(drop=True)
    pd.testing.assert_frame_equal(
        chosen.drop(columns="strength"),
        lines[["oos_row", "oos_repeat", "oos_fold", *outputs]].set_axis(
            ["row", "repeat", "fold", *outputs], axis=1
        ),
        check_dtype=False,
        rtol=1e-6,
    )
    for repeat, fold in study.cells():
        tested, predicted = study.predictions(repeat, fold)
        names = oos.read_prepared(study.prepared).names.take(tested).to_pylist()
        for place, strength in enumerate(STRENGTHS):
            own = frame[(frame["repeat"] == repeat) & (frame["fold"] == fold)]
            own = own[own["strength"] == strength].set_index("row").loc[names]
            assert (own[[name for name in outputs if "pred" in name]].to_numpy() == predicted[:, place]).all()


def test_cells_of_other_strengths_are_refused(study):
    path = study.folder(1, 2) / "cell.json"
    about = json.loads(path.read_text())
    about["path"]["strengths"][0] = 0.2
    path.write_text(json.dumps(about))
    with pytest.raises(RegfoldError, match=r"^repeat 1, fold 2: trained with other strengths than other "):
        study.merge()


def test_cells_of_a_model_that_had_no_path_are_refused(study):
    folder = study.folder(1, 2)
    digests, predicted = oos.read_predictions(folder)
    np.savez(folder / "predictions.npz", digest=digests, prediction=predicted[:, 0])
    about = json.loads((folder / "cell.json").read_text())
    about["digests"]["files"]["predictions.npz"] = files.sha256(folder / "predictions.npz")
    (folder / "cell.json").write_text(json.dumps(about))
    with pytest.raises(RegfoldError, match=r"4 rows with predictions of shape \(4, .\); expected"):
        study.merge()


def test_the_name_of_the_new_column_is_reserved():
    assert is_reserved("oos_strength") and not is_reserved("strength")


def problem(study: Study) -> str:
    with pytest.raises(RegfoldError) as error:
        verify(study.config, Path("results"))
    return str(error.value)


def test_files_of_a_path_are_verified(study):
    assert verify(study.config, Path("results")).startswith("verified: 24 out-of-sample lines and 6 cells")
    whole = PATH.read_text()
    PATH.write_text(whole.replace("True", "False", 1))
    assert problem(study) == f"{PATH}: missing, or not what the cells say"
    PATH.unlink()
    assert problem(study) == f"{PATH}: missing, or not what the cells say"
    PATH.write_text(whole)
    table, bytes_of = parquet.read_table(EVERY), EVERY.read_bytes()
    last = table.column_names[-1]
    changed = np.where(np.arange(len(table)) == 25, 0.5, table[last]).astype(table[last].to_numpy().dtype)
    table = table.set_column(table.num_columns - 1, last, pa.array(changed))
    parquet.write_table(table, EVERY, row_group_size=24)
    assert problem(study).startswith(f"{EVERY}: strength 0.01: not the predictions of the cells")
    EVERY.write_bytes(bytes_of[:-9])
    assert problem(study).startswith(f"{EVERY}: cannot be read")
    EVERY.write_bytes(bytes_of)
    lines = OOS.read_text().splitlines(keepends=True)
    chosen = predictions.read(OOS, study.schema).strength[0]
    OOS.write_text("".join([lines[0], lines[1].replace(f",{chosen:g},", ",0.5,", 1), *lines[2:]]))
    assert f"{OOS}, line 2, " in problem(study) and "'oos_strength': '0.5' found" in problem(study)


def test_a_choice_that_is_not_the_configs_is_found(study):
    table = paths.read_table(PATH)
    study.config["models"]["m"]["select"] = "one_se"
    if table["is_min"].equals(table["is_one_se"]):
        assert verify(study.config, Path("results"))
    else:
        assert "'oos_strength'" in problem(study)


def test_damaged_cells_of_a_path_are_set_aside(study):
    path = study.folder(2, 1) / "predictions.npz"
    path.write_bytes(path.read_bytes()[:-1])
    assert problem(study) == f"{path}: damaged or missing; the next run makes it again"
    shutil.move(f"{path}.damaged", path)


def scored(folder: Path, **settings) -> tuple[dict, str]:
    made = example_results.build(folder, n=90, **settings)
    example_results.score(made)
    summary = json.loads((folder / "results" / "summary.json").read_text())
    return summary, terminal.closing_lines(folder / "results")


@pytest.mark.parametrize("task", ["regression", "classification"])
@pytest.mark.parametrize("select", ["min", "one_se"])
def test_the_summary_says_what_the_choice_did_to_the_score(tmp_path, task, select):
    summary, said = scored(tmp_path, task=task, repeats=2, selects={"l2": select})
    result = summary["models"]["l2"]
    frame = pd.read_parquet(tmp_path / "results" / "oos_path" / "l2.parquet")
    strengths = np.array(sorted(example_results.STRENGTHS))
    truth = frame.filter(like="oos_y").to_numpy(np.float64)
    losses = np.square(frame.filter(like="oos_pred").to_numpy() - truth).mean(axis=1)
    losses = losses.reshape(len(strengths), -1).T
    first = frame[: len(losses)]
    cells = (first["repeat"] * 10 + first["fold"]).rank(method="dense").to_numpy(int) - 1
    units = pd.factorize(first["row"])[0]
    assert len(units) == 180 and units.max() == 89  # a row that two repeats test is one unit
    expected = bootstrap_bias_corrected(losses, units, cells, strengths, 5, select, seed=42)
    assert result["rmse_corrected"] == pytest.approx(expected.score)
    assert [result["rmse_low"], result["rmse_high"]] == pytest.approx([expected.low, expected.high])
    assert result["rmse_naive"] == result["rmse"]
    assert result["interval"] == "BBC-CV over 90 rows; Tsamardinos et al., 2018"
    place = int(np.flatnonzero(strengths == result["chosen_strength"])[0])
    assert path_scores(losses, cells, strengths, 5)[f"is_{select}"][place]
    if select == "min":
        assert result["rmse_tt"] == pytest.approx(tibshirani_corrected(losses, cells, place))
    else:
        assert result["rmse_tt"] is None
    assert (
        "optimistic for l2, whose strength was chosen on these rows" in summary["comparison"][0]["sentence"]
    )
    assert f"\nl2  RMSE {significant(expected.score)} " in said
    why = "optimistic: chosen for its score" if select == "min" else "the score on the rows that chose it"
    assert f"; {significant(result['rmse'])} there is {why}, " in said


def test_a_nested_choice_has_nothing_to_correct(tmp_path):
    summary, _ = scored(tmp_path, selects={"l2": "nested"})
    result = summary["models"]["l2"]
    assert result["rmse_corrected"] == result["rmse"] and len(result["chosen_strength"]) == 5
    assert result["rmse_naive"] is None and result["rmse_tt"] is None
    assert result["interval"] == "corrected resampled t over 5 folds; Nadeau and Bengio, 2003"
    assert "optimistic" not in summary["comparison"][0]["sentence"]


def test_several_targets_are_corrected_in_the_score_that_ranks(tmp_path):
    summary, _ = scored(tmp_path, task="regression", n_targets=2, selects={"l2": "min"})
    result = summary["models"]["l2"]
    assert result["rmse_standardized_naive"] == result["rmse_standardized"]
    assert result["rmse_standardized_low"] < result["rmse_standardized"] < result["rmse_standardized_high"]
    assert "rmse_corrected" not in result and result["rmse_low"] is None


def test_groups_are_drawn_and_not_rows(tmp_path, monkeypatch):
    made = example_results.build(tmp_path, n=90, selects={"l2": "min"})
    monkeypatch.setattr(predictions, "groups", lambda path, split: np.arange(90) // 3)
    example_results.score(made)
    result = files.read_json(made.output.summary)["models"]["l2"]
    assert result["interval"] == "BBC-CV over 30 groups; Tsamardinos et al., 2018"


def test_time_allows_no_bootstrap(tmp_path):
    made = example_results.build(tmp_path, task="regression", n=90, selects={"l2": "min"})
    found = predictions.read(made.input.oos[1], files.read_json(made.input.schema))
    cells = [files.read_json(path) for path in made.input.cells]
    (path,) = paths.path_models(made.params.selects, made.input.path_predictions, cells).values()
    split = {"method": "time", "seed": 42}
    result = paths.corrected(
        path, found, metrics.compared(metrics.of("regression")), np.ones(1), np.arange(90), split
    )
    assert result["rmse_corrected"] is None and result["rmse_low"] is None and result["rmse_tt"] is not None
    assert result["interval"] == "BBC-CV cannot resample the rows of time splits"


def test_a_lost_fold_leaves_no_score(tmp_path):
    summary, _ = scored(tmp_path, selects={"l2": "min"}, lost=(1, 2))
    result = summary["models"]["l2"]
    assert result["rmse_naive"] is None and result["rmse_corrected"] is None
    assert result["chosen_strength"] == max(example_results.STRENGTHS)
