"""Tries the user's own networks before any training, so that a mistake is one error, not one in each cell."""

from collections.abc import Iterable

from regfold import files
from regfold.config import functions, losses
from regfold.errors import RegfoldError, quote
from regfold.training import network


def try_builds(models: Iterable[dict], widths: Iterable[int], schema: dict) -> None:
    """Build each network as the cells will, and save it.

    Args:
        models: for each model with network.build its resolved `network` and `penalty`, and its `loss`.
        widths: the numbers of features that cells have.
        schema: the table's schema, results/prepared/schema.json.

    Raises:
        RegfoldError: if a function fails, or returns anything but a network of the right output shape, or one
            that Keras cannot save.
    """
    n_outputs = len(schema["classes"] or schema["target"])
    for model in models:
        outputs = n_outputs, losses.output_activation(losses.resolve(model["loss"], schema["task"]))
        for width in widths:
            core = network.build_core(width, *outputs, model["network"], model["penalty"], key=(0, 0, 0))
            _try_to_save(core, model["network"]["build"])


def _try_to_save(core, build: str) -> None:
    with files.scratch() as folder:
        try:
            core.save(folder / "network.keras")
        except Exception as error:  # a layer of the user's own can raise anything
            what = functions.on_one_line(error)
            raise RegfoldError(
                f"network.build: {quote(build)} returned a network that Keras cannot save: {what}; expected "
                "layers of Keras, or of your own with get_config"
            ) from error
