"""The user's own networks, tried before anything is trained: a mistake is one line, and not one a cell."""

from collections.abc import Iterable

from regfold import files
from regfold.config import functions, losses
from regfold.errors import RegfoldError, quote
from regfold.training import network


def try_builds(models: Iterable[dict], widths: Iterable[int], schema: dict) -> None:
    """Build each network as cells will, and save it.

    Args:
        models: of each model with a network of its own, its resolved `network` and `penalty`, and its `loss`.
        widths: the numbers of features that cells have.
        schema: results/prepared/schema.json.

    Raises:
        RegfoldError: if a function fails, or returns no fitting network, or one that cannot be saved.
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
        except Exception as error:  # of a layer of the user's
            what = functions.on_one_line(error)
            raise RegfoldError(
                f"network.build: {quote(build)} returned a network that Keras cannot save: {what}; expected "
                "layers of Keras, or of your own with get_config"
            ) from error
