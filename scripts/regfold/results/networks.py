"""Load saved networks: those of a model's cells, also with user-defined layer classes."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import keras

from regfold.config import functions
from regfold.errors import RegfoldError, quote, reason
from regfold.training import cell_files


def of_cells(
    folders: Sequence[Path], chosen: Mapping[tuple[int, int], int]
) -> Iterator[tuple[tuple[int, int], keras.Model]]:
    """Load the network of each cell, which takes encoded rows, see network.assemble.

    Args:
        folders: the cells' folders.
        chosen: for a model with a path, (repeat, fold) -> the position of the chosen strength; otherwise {}.

    Yields:
        (repeat, fold), and the network, of the chosen strength.

    Raises:
        RegfoldError: if a file is missing or damaged.
    """
    for folder in folders:
        metadata = cell_files.read(folder)
        build = metadata["settings"]["network"].get("build")
        key = metadata["repeat"], metadata["fold"]
        yield key, load_network(folder / "model.keras", own_classes(build) if build else {}, chosen.get(key))


def own_classes(build: str) -> dict[str, type]:
    """name -> class, for all classes in the file of FILE.py:FUNCTION, which is run."""
    module = sys.modules[functions.load(build, "network.build").__module__]
    return {name: value for name, value in vars(module).items() if isinstance(value, type)}


def load_network(path: Path, own: dict[str, type], place: int | None) -> keras.Model:
    """Load a network.

    Args:
        path: the file.
        own: name -> user-defined class, for layers whose classes are not registered with Keras.
        place: for the networks of a path, which share one file, the position of the strength; None: no path.

    Raises:
        RegfoldError: if Keras cannot load it.
    """
    try:
        network = keras.models.load_model(path, custom_objects=own, compile=False)
        return network if place is None else keras.Model(network.input, network.output[:, place])
    except (TypeError, ValueError) as error:
        raise RegfoldError(f"{path}: Keras cannot load it: {quote(reason(error), 300)[1:-1]}") from error
