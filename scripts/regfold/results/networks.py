"""The networks of a model's cells, one after the other."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import keras

from regfold import files
from regfold.errors import RegfoldError
from regfold.training import cell_files
from regfold.training.network import load_function


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
        metadata = files.read_json(folder / "cell.json")
        if damaged := cell_files.damaged(folder, metadata["digests"]["files"]):
            path = folder / damaged[0]
            raise RegfoldError(f"{path}: damaged since it was written; remove it and run again")
        if build := metadata["settings"]["network"].get("build"):
            load_function(build)  # its layers are known to Keras then
        network = keras.models.load_model(folder / "model.keras", compile=False)
        key = metadata["repeat"], metadata["fold"]
        if chosen:
            network = keras.Model(network.input, network.output[:, chosen[key]])
        yield key, network
