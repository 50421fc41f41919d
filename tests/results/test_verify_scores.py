"""Guards that verify finds every score of a cell or a model that is not that of the out-of-sample file."""

import json
from pathlib import Path

import pandas as pd
import pytest
from regfold import files
from regfold.errors import RegfoldError
from regfold.results import metrics, predictions, scores, training_rows
from regfold.results.verify import verify
from small_study import Study

TABLE = "x,k,y\n" + "".join(f"{i},{'ab'[i % 2]},{i / 3}\n" for i in range(12))
SCORES, SUMMARY = Path("results/scores.csv"), Path("results/summary.json")


@pytest.fixture(params=["k", "y"])
def study(request, tmp_path, monkeypatch):
    """Two models with all scores: 2 repeats x 3 folds of 4 rows each, of classes or of numbers."""
    monkeypatch.chdir(tmp_path)
    other = {"k": "y", "y": "k"}[request.param]
    study = Study(
        TABLE,
        data={"target": request.param, "exclude": [other]},
        split={"folds": 3, "repeats": 2},
        models={"a": {}, "b": {}},
    )
    for seed, model in enumerate(("a", "b")):
        study.pretend(model, seed)
        study.merge(model)
    score(study, "a", "b")
    return study


def score(study: Study, *models: str) -> None:
    """What score_predictions does, without comparisons and intervals of paths."""
    oos = {model: predictions.read(f"results/oos/{model}.csv", study.schema) for model in models}
    cells = [
        files.read_json(study.folder(*key, model) / "cell.json") for model in models for key in study.cells()
    ]
    table = scores.table(study.schema, oos, cells)
    known = training_rows.known(study.prepared, study.config["split"])
    scores.write(SCORES, table)
    summary = scores.summary(study.schema, oos, table, known, study.config["split"], None, 0.01, {})
    files.write_json(SUMMARY, summary)


def problem(study: Study) -> str:
    with pytest.raises(RegfoldError) as error:
        verify(study.config, Path("results"))
    return str(error.value)


def edit(line: int, column: str, value: str) -> str:
    """Change a value of scores.csv; return the one before."""
    frame = pd.read_csv(SCORES, dtype=str, keep_default_na=False)
    before = frame.at[line - 2, column]
    frame.loc[line - 2, column] = value
    frame.to_csv(SCORES, index=False)
    return before


def names(study: Study) -> list[str]:
    return [metric.name for metric in metrics.of(study.schema["task"])]


def test_scores_that_are_right_are_said_to_be(study):
    assert verify(study.config, Path("results")).startswith("verified: 48 out-of-sample lines and 12 cells")


def test_every_number_of_scores_csv_is_held(study):
    counts = ["n_train", "n_test", "epochs"]
    for column in [*names(study), *counts]:
        before = edit(9, column, "77")
        values = f"{77 if column in counts else 77.0} found, {before or 'nan'} expected"
        assert problem(study) == f"{SCORES}, line 9, model 'b', repeat 1, fold 2: {column}: {values}"
        edit(9, column, before)
    edit(13, "rmse", "nan")
    edit(3, "flags", "a flag")
    said = problem(study)
    assert said.startswith(f"{SCORES}, line 3, model 'a', repeat 1, fold 2: flags: 'a flag' found, '")
    assert f"; {SCORES}, line 13, model 'b', repeat 2, fold 3: rmse: nan found, " in said


def test_the_last_digits_may_differ(study):
    rmse = float(edit(9, "rmse", "0"))
    edit(9, "rmse", repr(rmse * (1 + 1e-13)))
    verify(study.config, Path("results"))
    edit(9, "rmse", repr(rmse * (1 + 1e-6)))
    assert "line 9" in problem(study)


def test_the_score_of_a_model_is_held(study):
    whole = json.loads(SUMMARY.read_text())
    for name in names(study):
        value = whole["models"]["b"][name]
        expected = "nan" if value is None else value
        for wrong, shown in {0.5: "0.5", None: "None", "low": "'low'"}.items():
            if wrong == value:
                continue
            spoilt = {**whole, "models": {**whole["models"], "b": whole["models"]["b"] | {name: wrong}}}
            files.write_json(SUMMARY, spoilt)
            assert problem(study) == f"{SUMMARY}: model 'b': {name}: {shown} found, {expected} expected"
    SUMMARY.write_text("{}")
    assert problem(study).startswith(f"{SUMMARY}: ")


def test_lines_that_are_gone_or_doubled_are_found(study):
    header, *lines = SCORES.read_text().splitlines(keepends=True)
    where = f"{SCORES}: model 'a', repeat 1, fold 2"
    SCORES.write_text("".join([header, lines[0], *lines[2:]]))
    assert problem(study) == f"{where}: 0 lines; expected 1; run snakemake again"
    SCORES.write_text("".join([header, *lines[:2], *lines[1:]]))
    assert problem(study) == f"{where}: 2 lines; expected 1; run snakemake again"
    other = "".join([header, lines[0].replace("a,1,1", "a,one,1"), *lines[1:]])
    for text in ("", "model\n", "\0", other, other.replace("one", "")):
        SCORES.write_text(text)
        assert problem(study).startswith(f"{SCORES}: ")


def test_what_has_no_scores_yet_is_no_violation(study):
    """A model or a metric that came into the config since, or results without scores."""
    score(study, "a")
    verify(study.config, Path("results"))
    frame = pd.read_csv(SCORES).drop(columns=names(study)[-1])
    frame.to_csv(SCORES, index=False)
    verify(study.config, Path("results"))
    SUMMARY.unlink()
    verify(study.config, Path("results"))
    SCORES.unlink()
    verify(study.config, Path("results"))


def test_scores_of_older_predictions_are_found(study):
    study.pretend("b", seed=5)
    study.merge("b")
    assert f"{SCORES}, line 8, model 'b', repeat 1, fold 1: rmse: " in problem(study)
