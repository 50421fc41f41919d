"""Save a model to a folder of its own, with all that predictions from raw columns need, for `predictor.load`.

Networks are copied and not loaded, so this module does not need Keras.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from regfold import __version__, files
from regfold.errors import RegfoldError, quote
from regfold.formatting import first_few
from regfold.provenance import cell_names, identity
from regfold.results import oos

METADATA, SCORES = "model.json", "scores.npz"
# The entries of the table's schema that are needed to encode new rows and to name their predictions.
SCHEMA = ("path", "task", "target", "classes", "columns", "table_columns", "width")
MOST_NAMED = 8


def network_file(key: tuple[int, int]) -> str:
    """The file of the network of (repeat, fold), or of cell_names.REFIT, in a saved model's folder."""
    return f"networks/{cell_names.name(*key)}.keras"


def build_file(build: str) -> Path:
    """The file of FILE.py:FUNCTION. Its copy keeps the name, by which Keras finds the layers' classes."""
    return Path(build.rpartition(":")[0])


def save(
    prepared: oos.Prepared, model: str, settings: dict, out: Path, chosen_by: Sequence[str] = ()
) -> None:
    """Save a model: its networks, model.json, the scores for intervals and sets, and a README.

    Args:
        prepared: what prepare_data and split_folds wrote.
        model: the model's name.
        settings: `missing` (of the data section), `method` (of the split section), `coverage` (of the predict
            section), and the model's `refit`, `build` (FILE.py:FUNCTION or None), `loss` and `select` (None
            without a path; with a path the chosen strength predicts).
        out: the folder to write.
        chosen_by: the metric that chooses, see `paths.choose`.

    Raises:
        RegfoldError: if a cell is missing or damaged, or was made from other rows or another encoding.
    """
    results = prepared.folder.parent
    keys = [(fold["repeat"], fold["fold"]) for fold in map(files.read_json, results.glob("folds/*-*.json"))]
    folders = {key: results / "cells" / model / cell_names.name(*key) for key in sorted(keys)}
    own, chosen = _predictions(prepared, [*folders.values()], settings["select"], chosen_by)
    truth, predicted, flags = [], [], []
    for key, folder in folders.items():
        if problem := oos.wrong_rows(prepared, *key, *own[key]):
            raise RegfoldError(f"{folder}: {problem}")
        truth.append(prepared.target[prepared.assignment[key[0] - 1] == key[1]])
        predicted.append(own[key][1])
    cells = np.repeat(np.arange(len(truth)), [len(rows) for rows in truth])
    if settings["refit"]:
        folder = folders[cell_names.REFIT] = results / "cells" / model / cell_names.name(*cell_names.REFIT)
        description = files.read_json(results / "folds" / f"{folder.name}.json")
        flags = oos.read_metadata(folder, description)["flags"]
    written = [SCORES, "README.md", *map(network_file, folders)]
    for key, folder in folders.items():
        _copy(folder / "model.keras", out / network_file(key))
    with files.atomic(out / SCORES) as temporary:
        scores = _scores(prepared.schema, np.concatenate(truth), np.concatenate(predicted))
        np.savez(temporary, score=scores, cell=cells)
    if settings["build"]:
        source = build_file(settings["build"])
        _copy(source, out / source.name)
        written.append(source.name)
    metadata = settings | {
        "model": model,
        "schema": {name: prepared.schema[name] for name in SCHEMA},
        "networks": [*folders],
        "chosen": [chosen.get(key) for key in folders],
        "flags": flags,
        "versions": {"regfold": __version__, **identity.versions()},
    }
    with files.atomic(out / "README.md") as temporary:
        temporary.write_text(_readme(metadata, len(prepared.target)), encoding="utf-8")
    # Written last: a folder with this file is complete.
    digests = {name: files.sha256(out / name) for name in written}
    files.write_json(out / METADATA, metadata | {"files": digests})


def damaged(folder: Path, metadata: dict) -> list[str]:
    """The files of a saved model that are missing, or not what its model.json says.

    Args:
        folder: the saved model's folder.
        metadata: the content of its model.json.
    """
    return [
        name
        for name, digest in metadata["files"].items()
        if not (folder / name).is_file() or files.sha256(folder / name) != digest
    ]


def _predictions(
    prepared: oos.Prepared, folders: list[Path], select: str | None, chosen_by: Sequence[str]
) -> tuple[dict, dict]:
    """Each cell's rows and predictions, as for `oos.merge`, and the position of its chosen strength."""
    if select is None:
        return oos.read_cells(prepared, folders), {}
    from regfold.results import paths  # with scikit-learn, which predictions do not need

    cells = paths.read_cells(prepared, folders)
    choice = paths.choose(prepared, cells, select, chosen_by)
    return paths.chosen_predictions(cells, choice), dict(choice.chosen)


def _scores(schema: dict, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """The scores for intervals, (n, n_targets) absolute errors, or for sets, (n,) the truth's probability."""
    if schema["classes"]:
        return predicted[np.arange(len(truth)), truth].astype(np.float64)
    return np.abs(truth - predicted)


def _copy(source: Path, target: Path) -> None:
    with files.atomic(target) as temporary:
        shutil.copyfile(source, temporary)


def _readme(metadata: dict, n_rows: int) -> str:
    schema, n_folds = metadata["schema"], len(metadata["networks"]) - metadata["refit"]
    what = f"{', '.join(map(quote, schema['target']))} of {schema['path']}"
    columns = dict.fromkeys(column["date_of"] or column["name"] for column in schema["columns"])
    named = first_few([quote(name) for name in columns], MOST_NAMED)
    how = (
        f"a network trained on all {n_rows:,} rows"
        if metadata["refit"]
        else f"the mean of {n_folds} networks"
    )
    needs = ", ".join(f"{name} {version}" for name, version in metadata["versions"].items())
    return (
        f"# Model {metadata['model']}: predicts {what}\n\n"
        f"By {how}, from the columns {named}, raw as they are in the table.\n"
        f"With {needs}, and FRAME a pandas data frame with these columns:\n"
        '`import regfold; regfold.load("this folder").predict(FRAME)`\n'
    )
