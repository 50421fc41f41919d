"""Networks as they were saved: those of a model's cells, and with classes of the user's own."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import keras

from regfold.config import functions
from regfold.errors import RegfoldError, quote
from regfold.training import cell_files


def of_cells(
    folders: Sequence[Path], chosen: Mapping[tuple[int, int], int]
) -> Iterator[tuple[tuple[int, int], keras.Model]]:
    """Load the network of each cell, which takes encoded rows, see network.assemble.

    Args:
        folders: the cells'.
        chosen: (repeat, fold) -> the place of the chosen strength, of a model with a path; {} of others.

    Returns:
        (repeat, fold) and the network, with the chosen strength, for each cell.

    Raises:
        RegfoldError: if a file is missing or damaged.
    """
    for folder in folders:
        metadata = cell_files.read(folder)
        build = metadata["settings"]["network"].get("build")
        key = metadata["repeat"], metadata["fold"]
        yield key, load_network(folder / "model.keras", own_classes(build) if build else {}, chosen.get(key))


def own_classes(build: str) -> dict[str, type]:
    """The classes of the file that is given as FILE.py:FUNCTION, by name; the file is run."""
    module = sys.modules[functions.load(build, "network.build").__module__]
    return {name: value for name, value in vars(module).items() if isinstance(value, type)}


def load_network(path: Path, own: dict[str, type], place: int | None) -> keras.Model:
    """Load a network, which may have layers of the classes `own` that are not registered with Keras.

    Of a path's networks, which stand side by side in one file, it is the one at `place`.
    """
    try:
        network = keras.models.load_model(path, custom_objects=own, compile=False)
        return network if place is None else keras.Model(network.input, network.output[:, place])
    except (TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise RegfoldError(f"{path}: Keras cannot load it: {quote(reason, 300)[1:-1]}") from error
