"""The files of a cell, under results/cells/<model>/<repeat>-<fold>/."""

from pathlib import Path

from regfold import files
from regfold.config import baselines
from regfold.errors import RegfoldError
from regfold.provenance import cell_names

# The files that a cell produces; cell.json, which is written last, holds their digests.
PRODUCTS = ("model.keras", "history.csv", "predictions.npz")
CELL_FILES = ("cell.json", *PRODUCTS)
# A baseline's cell keeps neither its estimator nor a history.
BASELINE_PRODUCTS = ("predictions.npz",)
BASELINE_FILES = ("cell.json", *BASELINE_PRODUCTS)
# A refit is trained on all rows, so it has no held-out rows to predict.
REFIT_PRODUCTS = ("model.keras", "history.csv")
REFIT_FILES = ("cell.json", *REFIT_PRODUCTS)


def products(folder: Path) -> tuple[str, ...]:
    """The names of the files that the cell of this folder produces."""
    if folder.name == cell_names.name(*cell_names.REFIT):
        return REFIT_PRODUCTS
    return BASELINE_PRODUCTS if folder.parent.name in baselines.NAMES else PRODUCTS


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of each product in a cell's folder."""
    return {name: files.sha256(folder / name) for name in products(folder)}


def read(folder: Path) -> dict:
    """Read a cell's cell.json and check that its files are those that the cell wrote.

    Args:
        folder: results/cells/<model>/<repeat>-<fold>.

    Returns:
        the content of cell.json.

    Raises:
        RegfoldError: if a file is missing or damaged.
    """
    try:
        metadata = files.read_json(folder / "cell.json")
    except FileNotFoundError:
        raise RegfoldError(f"{folder}: has no cell.json; expected a trained cell: run snakemake") from None
    if names := damaged(folder, metadata["digests"]["files"]):
        raise RegfoldError(f"{folder / names[0]}: damaged since it was written; remove it and run again")
    return metadata


def damaged(folder: Path, recorded: dict[str, str]) -> list[str]:
    """The names of the products that are missing or whose digests differ from the recorded ones.

    Args:
        folder: the cell's folder.
        recorded: name -> SHA-256, see `digests`.

    Raises:
        KeyError: if the digest of a product was not recorded.
    """
    return [
        name
        for name in products(folder)
        if not (folder / name).is_file() or files.sha256(folder / name) != recorded[name]
    ]
