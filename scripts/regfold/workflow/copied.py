"""Results that came without Snakemake's records of them: compare them by what they say of themselves.

Snakemake holds settings and checksums against its records (`.snakemake`) of the run that made a file. Where
results were copied without them it compares times alone: a changed setting would go unnoticed, and the order
in which files were copied would decide what runs. Each function is asked while Snakemake builds its graph.
"""

from pathlib import Path

from regfold import files
from regfold.errors import RegfoldError
from regfold.splits import folds
from regfold.workflow import adapter
from regfold.workflow.plan import settings_changed

FIRST = "results/prepared/schema.json"


def of_prepare_data(workflow, table: str) -> list[str]:
    """The input of prepare_data. Without a record it runs again, and all that is cheap behind it."""
    if _unrecorded(workflow, FIRST):
        adapter.force(workflow, FIRST)
    return [] if table.startswith("sklearn:") else [table]


def of_cell(workflow, specification: dict, model: str, repeat: str, fold: str) -> str:
    """The input `fold` of a cell. Without a record it runs again if cell.json tells of another training."""
    description = f"results/folds/{repeat}-{fold}.json"
    cell = f"results/cells/{model}/{repeat}-{fold}/cell.json"
    if not _unrecorded(workflow, cell):
        return description
    if _belongs(Path(cell), Path(description), specification):
        return adapter.of_any_age(description) or description
    adapter.force(workflow, cell)
    return description


def _unrecorded(workflow, path: str) -> bool:
    return adapter.is_main(workflow) and Path(path).is_file() and not adapter.is_recorded(workflow, path)


def _belongs(cell: Path, description: Path, specification: dict) -> bool:
    try:
        metadata, now = map(files.read_json, (cell, description))
        return (
            folds.belongs(metadata, now)
            and metadata["fold_name"] == now["name"]
            and not settings_changed(metadata, specification)
        )
    except (OSError, RegfoldError, TypeError):
        return False
