"""Results that were copied without Snakemake's metadata (`.snakemake`): compare them by their own.

Snakemake compares settings and checksums with its metadata of the run that made a file. Without metadata it
compares times alone: a changed setting would go unnoticed, and the order in which files were copied would
decide what runs. These functions are called while Snakemake builds its graph.
"""

from pathlib import Path

from regfold import files
from regfold.errors import RegfoldError
from regfold.provenance import changes
from regfold.workflow import adapter


def force_unrecorded(workflow, results: Path) -> None:
    """Make prepare_data run again if its results have no metadata, and with it all cheap rules after it."""
    made = results / "prepared" / "schema.json"
    if _unrecorded(workflow, made):
        adapter.force(workflow, str(made))


def is_current(workflow, results: Path, specification: dict, model: str, name: str) -> bool:
    """Whether a cell without metadata has these rows and settings, by its cell.json; if not, it runs again.

    A refit whose epochs its folds have chosen runs again in any case, and finds its training done.
    """
    cell = results / "cells" / model / name / "cell.json"
    if not _unrecorded(workflow, cell):
        return False
    if _belongs(cell, results / "folds" / f"{name}.json", specification):
        return True
    adapter.force(workflow, str(cell))
    return False


def _unrecorded(workflow, path: Path) -> bool:
    return adapter.is_main(workflow) and path.is_file() and not adapter.is_recorded(workflow, str(path))


def _belongs(cell: Path, description: Path, specification: dict) -> bool:
    try:
        metadata, now = map(files.read_json, (cell, description))
        return (
            changes.belongs(metadata, now)
            and metadata["fold_name"] == now["name"]
            and not changes.settings_changed(metadata, specification)
        )
    except (OSError, RegfoldError, TypeError):
        return False
