"""A model in a folder of its own: all that predictions from raw columns need, and nothing of Snakemake.

`predictor.load` reads what is written here. Networks are copied and not loaded, so nothing here needs Keras.
"""

import shutil
from pathlib import Path

import numpy as np

from regfold import __version__, files
from regfold.errors import RegfoldError, quote
from regfold.formatting import first_few
from regfold.provenance import cell_names, identity
from regfold.results import oos

METADATA, SCORES = "model.json", "scores.npz"
# Of the table's schema, what encoding new rows and naming their predictions takes.
SCHEMA = ("path", "task", "target", "classes", "columns", "table_columns", "width")
MOST_NAMED = 8


def network_file(key: tuple[int, int]) -> str:
    """The file of the network of (repeat, fold), or of cell_names.REFIT, in a saved model's folder."""
    return f"networks/{cell_names.name(*key)}.keras"


def build_file(build: str) -> Path:
    """The file of FILE.py:FUNCTION. It keeps its name: Keras finds the classes of its layers by it."""
    return Path(build.rpartition(":")[0])


def save(prepared: oos.Prepared, model: str, settings: dict, out: Path) -> None:
    """Copy a model's networks, and write what goes with them.

    Args:
        prepared: what prepare_data and split_folds wrote of the study's table.
        model: the model's name.
        settings: `missing` (of the data section), `method` (of the split section), `coverage` (of the predict
            section), and the model's `refit` and `build` (FILE.py:FUNCTION or null).
        out: the folder to write.

    Raises:
        RegfoldError: if a cell is missing or damaged, or was made from other rows or another encoding.
    """
    results = prepared.folder.parent
    keys = [(fold["repeat"], fold["fold"]) for fold in map(files.read_json, results.glob("folds/*-*.json"))]
    keys = sorted(keys) + [cell_names.REFIT] * settings["refit"]
    written, truth, predicted, flags = [SCORES, "README.md"], [], [], []
    for key in keys:
        folder = results / "cells" / model / cell_names.name(*key)
        metadata = oos.read_metadata(folder, files.read_json(results / "folds" / f"{folder.name}.json"))
        _copy(folder / "model.keras", out / network_file(key))
        written.append(network_file(key))
        if key == cell_names.REFIT:
            flags = metadata["flags"]
            continue
        digests, held_out = oos.read_predictions(folder)
        if problem := oos.wrong_rows(prepared, *key, digests, held_out):
            raise RegfoldError(f"{folder}: {problem}")
        truth.append(prepared.target[prepared.assignment[key[0] - 1] == key[1]])
        predicted.append(held_out)
    cells = np.repeat(np.arange(len(truth)), [len(rows) for rows in truth])
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
        "networks": keys,
        "flags": flags,
        "versions": {"regfold": __version__, **identity.versions()},
    }
    with files.atomic(out / "README.md") as temporary:
        temporary.write_text(_readme(metadata, len(prepared.target)), encoding="utf-8")
    # Last: a folder that has it is whole.
    digests = {name: files.sha256(out / name) for name in written}
    files.write_json(out / METADATA, metadata | {"files": digests})


def _scores(schema: dict, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """What intervals and sets go by: (n, n_targets) absolute errors, or (n,) the true class's probability."""
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
