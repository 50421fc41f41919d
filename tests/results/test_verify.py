"""Guards verify: it finds every edit of a result, of the table and of a cell's files, and names the rows."""

import json
import re
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from regfold import files
from regfold.errors import RegfoldError
from regfold.results import oos
from regfold.results.verify import verify
from small_study import Study

CLASSES = "id,x,note,y\n" + "".join(f"p{i},{i / 4},n{i},{'ab'[i % 2]}\n" for i in range(12))
NUMBERS = "x,note,y\n" + "".join(f"{i},m{i % 3},{i / 3}\n" for i in range(12))


@pytest.fixture(scope="module", params=["classes with ids", "numbers"])
def finished(request, tmp_path_factory):
    """A study with results, to be copied and spoilt: (folder, Study)."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        if request.param == "numbers":
            study = Study(NUMBERS, split={"folds": 3, "repeats": 2})
        else:
            study = Study(CLASSES, data={"id": "id"}, split={"folds": 3})
        study.pretend()
        study.merge()
    return folder, study


@pytest.fixture
def study(finished, tmp_path, monkeypatch):
    shutil.copytree(finished[0], tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return finished[1]


OOS = Path("results/oos/m.csv")
SAVED = Path("results/models/m")


def problem(study):
    with pytest.raises(RegfoldError) as error:
        verify(study.config, Path("results"))
    assert "\n" not in str(error.value)
    return str(error.value)


def names(study):
    return "id p" if study.schema["id"] else "row "


def test_results_that_are_right_are_said_to_be(study):
    repeats = study.config["split"]["repeats"]
    assert verify(study.config, Path("results")) == (
        f"verified: {12 * repeats} out-of-sample lines and {3 * repeats} cells agree with t.csv"
    )


@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_edited_cell_is_found_with_its_row(study, data):
    whole = OOS.read_text()
    lines = [line.split(",") for line in whole.splitlines()]
    line = data.draw(st.integers(1, len(lines) - 1))
    column = data.draw(st.integers(0, len(lines[0]) - 1))
    key = lines[0].index("oos_row")
    row, old = lines[line][key], lines[line][column]
    new = data.draw(st.sampled_from(["", f"{old}0", f" {old}", "x", "1", old[:-1], old.upper()]))
    if new == old:
        return
    lines[line][column] = new
    OOS.write_text("\n".join(map(",".join, lines)) + "\n")
    found = problem(study)
    OOS.write_text(whole)
    what = names(study).split()[0]
    assert found == (
        f"{OOS}, line {line + 1}, {what} {row}: '{lines[0][column]}': '{new}' found, '{old}' expected"
    )


def test_swapped_lines_are_found(study):
    lines = OOS.read_text().splitlines(keepends=True)
    lines[3], lines[6] = lines[6], lines[3]
    OOS.write_text("".join(lines))
    found = problem(study)
    for line, row in ((4, 2), (7, 5)):
        assert f"line {line}, {names(study)}{row}: " in found
    assert found.count("line ") == 2


@pytest.mark.parametrize("part", ["x", "oos_"])
def test_cells_that_changed_places_are_found(study, part):
    """The row contract's own failure: whole predictions, or cells, that belong to other lines."""
    header, *lines = (line.split(",") for line in OOS.read_text().splitlines())
    wanted = [i for i, name in enumerate(header) if name.startswith("oos_pred" if part == "oos_" else part)]
    for i in wanted:
        lines[2][i], lines[9][i] = lines[9][i], lines[2][i]
    OOS.write_text("\n".join(map(",".join, [header, *lines])) + "\n")
    found = problem(study)
    assert f"line 4, {names(study)}2: " in found and f"line 11, {names(study)}9: " in found


def test_dropped_and_doubled_lines_are_found(study):
    lines = OOS.read_text().splitlines(keepends=True)
    total = len(lines) - 1
    OOS.write_text("".join(lines[:5] + lines[6:]))
    assert problem(study) == (
        f"{OOS}: {total - 1} lines, but {total} rows are tested; "
        f"{OOS}: {names(study)}4, repeat 1: 0 lines; expected 1"
    )
    OOS.write_text("".join(lines[:6] + lines[5:]))
    assert problem(study) == (
        f"{OOS}: {total + 1} lines, but {total} rows are tested; "
        f"{OOS}: {names(study)}4, repeat 1: 2 lines; expected 1"
    )
    OOS.write_text("".join(lines[:5] + lines[4:5] + lines[6:]))
    assert f"line 6, {names(study)}4: " in problem(study)


def test_other_columns_and_files_that_are_no_table_are_found(study):
    whole = OOS.read_text()
    wrong = f"{OOS}: its columns are not the table's columns and those of regfold"
    OOS.write_text(whole.replace("note", "Note", 1))
    assert problem(study) == wrong
    OOS.write_text("")
    assert problem(study).startswith(f"{OOS}: cannot be read: ")
    OOS.write_text(whole[:-20])
    assert str(OOS) in problem(study)
    OOS.write_bytes(b"\xff\xfe" + whole.encode())
    assert str(OOS) in problem(study)
    OOS.unlink()
    assert problem(study) == f"{OOS}: missing; run snakemake first"


def test_folds_csv_is_held_too(study):
    path = Path("results/folds.csv")
    lines = path.read_text().splitlines()
    row, repeat, fold = lines[3].split(",")
    path.write_text("\n".join([*lines[:3], f"{row},{repeat},{int(fold) % 3 + 1}", *lines[4:], ""]))
    assert problem(study) == (
        f"{path}, line 4, row {row}: 'fold': '{int(fold) % 3 + 1}' found, '{fold}' expected"
    )


def test_a_changed_table_is_found(study):
    text = Path("t.csv").read_text()
    Path("t.csv").write_text(re.sub(r"\n([^\n]*),([^,\n]*)\n$", r"\n\1x,\2\n", text))
    said = problem(study)
    assert "made from other rows, columns or levels than the table has now; run again" in said
    last = "'p11'" if study.schema["id"] else "'11'"
    assert f"/predictions.npz: {names(study).split()[0]} {last}: predicted from other contents than" in said
    Path("t.csv").write_text("\n".join(text.splitlines()[:-1]) + "\n")
    assert problem(study) == "t.csv: 11 rows, but the results are of 12; run snakemake again"
    Path("t.csv").unlink()
    assert "t.csv" in problem(study)


def test_a_cell_of_the_table_that_is_no_feature_is_held_too(finished, tmp_path, monkeypatch):
    """An id's spelling changes no network, and its column in the file is still held to the table."""
    monkeypatch.chdir(tmp_path)
    study = Study(CLASSES, data={"exclude": ["id"]}, split={"folds": 3})
    study.pretend()
    study.merge()
    Path("t.csv").write_text(CLASSES.replace("p3,", "P3,"))
    assert problem(study) == f"{OOS}, line 5, row 3: 'id': 'p3' found, 'P3' expected"


@pytest.mark.parametrize("name", ["model.keras", "predictions.npz", "history.csv"])
def test_a_damaged_file_of_a_cell_is_set_aside(study, name):
    path = study.folder(1, 2) / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    assert problem(study) == f"{path}: damaged or missing; the next run makes it again"
    assert not path.exists()
    assert path.with_name(f"{name}.damaged").read_bytes() == content
    assert problem(study) == f"{path}: damaged or missing; the next run makes it again"


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"digests": 3}', '{"digests": {"files": {}}}'])
def test_a_damaged_cell_json_is_set_aside(study, content):
    path = study.folder(1, 2) / "cell.json"
    path.write_text(content)
    assert problem(study).startswith(f"{path}: damaged or missing")
    assert not path.exists()


@pytest.mark.parametrize("name", ["../../../../precious", "/precious", "../1-1/model.keras", "other.txt"])
def test_what_a_foreign_cell_json_names_is_left_alone(study, tmp_path, name):
    """A study may come from anybody: its cell.json has no say about files that are not the cell's own."""
    precious = Path(f"{tmp_path}{name}") if name.startswith("/") else study.folder(1, 2) / name
    if not precious.exists():
        precious.write_text("precious")
    before = precious.read_bytes()
    path = study.folder(1, 2) / "cell.json"
    about = json.loads(path.read_text())
    about["digests"]["files"][str(precious if name.startswith("/") else name)] = "another digest"
    path.write_text(json.dumps(about))
    verify(study.config, Path("results"))
    assert precious.read_bytes() == before
    about["digests"]["files"] = {name: "another digest"}
    path.write_text(json.dumps(about))
    assert problem(study).startswith(f"{path}: damaged or missing")
    assert precious.read_bytes() == before and not path.exists()


def test_nothing_is_renamed_behind_a_link(study, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    study.folder(1, 2).rename(elsewhere)
    study.folder(1, 2).symlink_to(elsewhere)
    (elsewhere / "model.keras").write_text("damaged")
    before = sorted(path.name for path in elsewhere.iterdir())
    said = f"damaged or missing; left as it is, behind a link to {elsewhere}"
    assert problem(study) == f"{study.folder(1, 2) / 'model.keras'}: {said}"
    assert sorted(path.name for path in elsewhere.iterdir()) == before


def test_a_link_in_place_of_a_cells_file_is_set_aside_and_not_what_it_names(study, tmp_path):
    precious, path = tmp_path / "precious", study.folder(1, 2) / "history.csv"
    precious.write_text("precious")
    path.unlink()
    path.symlink_to(precious)
    assert problem(study) == f"{path}: damaged or missing; the next run makes it again"
    assert precious.read_text() == "precious" and not path.is_symlink()


def test_the_table_is_prepared_beside_the_results(study, tmp_path, monkeypatch):
    """A large table has room where its results have; /tmp may be small, or full."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "full"))
    verify(study.config, Path("results"))
    assert not any(Path(".regfold").rglob("*.npy"))


def test_predictions_that_were_exchanged_between_cells_are_found(study):
    """Whole and well formed, with digests to match, but of another fold."""
    one, other = study.folder(1, 1), study.folder(1, 2)
    for name in ("cell.json", "predictions.npz", "model.keras", "history.csv"):
        shutil.copy(one / name, other / name)
    assert problem(study).startswith(
        f"{other}: made from other rows, columns or levels than the table has now; run again; "
        f"{other / 'predictions.npz'}: {names(study).split()[0]} "
    )


@pytest.mark.parametrize("way", ["of other rows", "in another order", "of no rows"])
def test_predictions_of_other_rows_are_found_though_all_digests_of_files_match(study, way):
    folder, tested = study.folder(1, 2), study.tested(1, 2)
    digests, predicted = oos.read_predictions(folder)
    every = np.load(study.prepared / "digests.npy")
    changed = {
        "of other rows": np.concatenate([digests[:2], every[study.tested(1, 1)][:1], digests[3:]]),
        "in another order": digests[[0, 2, 1, *range(3, len(digests))]],
        "of no rows": np.zeros_like(digests),
    }[way]
    np.savez(folder / "predictions.npz", digest=changed, prediction=predicted)
    about = json.loads((folder / "cell.json").read_text())
    about["digests"]["files"]["predictions.npz"] = files.sha256(folder / "predictions.npz")
    (folder / "cell.json").write_text(json.dumps(about))
    what, name = ("id", "p{}") if study.schema["id"] else ("row", "{}")
    # Canonical order is that of ids as text.
    order = sorted(range(12), key=name.format) if study.schema["id"] else range(12)
    rows = [f"'{name.format(order[i])}'" for i in tested[(changed != digests).any(axis=1)]]
    said = f"{what} {', '.join(rows)}: predicted from other contents than the table has now"
    assert problem(study) == f"{folder / 'predictions.npz'}: {said}"
    with pytest.raises(RegfoldError, match=f"^repeat 1, fold 2: {what} {rows[0]}"):
        study.merge()


def test_only_the_first_problems_are_told_and_how_many_more_there_are(study):
    header, *lines = OOS.read_text().splitlines()
    OOS.write_text("\n".join([header, *(line.replace("n", "N").replace("m", "M") for line in lines), ""]))
    more = len(lines) - 10
    assert problem(study).endswith(f" (and {more} more)")


def test_no_results_yet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = Study(NUMBERS)
    shutil.rmtree("results")
    assert problem(study) == "results: there are no results yet; run snakemake first"


def test_results_are_left_as_they_are(study):
    before = {path: path.read_bytes() for path in Path("results").rglob("*") if path.is_file()}
    verify(study.config, Path("results"))
    assert before == {path: path.read_bytes() for path in Path("results").rglob("*") if path.is_file()}
    assert np.load("results/prepared/assignment.npy").shape[1] == 12


@pytest.mark.parametrize("name", ["model.json", "scores.npz", "README.md", "networks/1-2.keras"])
@pytest.mark.parametrize("spoil", [lambda path: path.write_text("{}"), Path.unlink], ids=["changed", "gone"])
def test_a_saved_model_is_whole_and_of_its_cells(study, name, spoil):
    study.save()
    verify(study.config, Path("results"))
    spoil(SAVED / name)
    found = problem(study)
    assert found.startswith(f"{SAVED / name}: ") and f"remove {SAVED} and run again" in found
    shutil.rmtree(SAVED)
    verify(study.config, Path("results"))


def test_a_saved_model_of_other_networks_is_found(study):
    study.save()
    study.pretend(seed=1)
    path = Path("results/cells/m/1-2/model.keras")
    path.write_text("another")
    about = json.loads(path.with_name("cell.json").read_text())
    about["digests"]["files"]["model.keras"] = files.sha256(path)
    path.with_name("cell.json").write_text(json.dumps(about))
    study.merge()
    assert (
        problem(study) == f"{SAVED}/networks/1-2.keras: not the network of {path.parent}; run snakemake again"
    )
