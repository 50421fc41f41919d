"""A training job: its GPU, threads, signals and progress, around the training of a cell."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

from regfold import files
from regfold.provenance import cell_names, identity
from regfold.runtime import gpu, processors, signals, usage
from regfold.runtime.progress import Reporter
from regfold.training.inner_metric import InnerMetric

STATES = Path(".regfold/state")
# This process' GPU lease and its device, kept from TensorFlow's start to the end of the process: TensorFlow
# does not release its GPU earlier.
_held, _devices = ExitStack(), []


def train(
    model: str,
    specification: dict,
    config: dict,
    *,
    description: Path,
    prepared: Path,
    out: Path,
    used: Path,
    terminal: TextIO,
    cells: Sequence[Path] = (),
    inner_metric: InnerMetric | None = None,
) -> None:
    """Run one cell in this process, which may have run others with the same number of threads.

    Args:
        model: the model's name.
        specification: all that its training depends on besides rows, see provenance.specification.
        config: the resolved config.
        description: the fold's description, results/folds/<repeat>-<fold>.json.
        prepared: results/prepared.
        out: the cell's folder.
        used: path of the file for the time and memory that the cell used, see usage.recorded.
        terminal: the stream for the user's lines.
        cells: for a refit with early stopping, the paths of cell.json of the model's folds.
        inner_metric: see cell.Cell.

    Raises:
        RegfoldError: see cell.run.
    """
    metadata = files.read_json(description)
    if (metadata["repeat"], metadata["fold"]) == cell_names.REFIT:
        specification = identity.refit_specification(specification, [files.read_json(path) for path in cells])
    training = config["models"][model]["training"]
    pool = processors.pool_of(specification, description, prepared / "schema.json")
    with (
        usage.recorded(used),
        Reporter(
            model, metadata["repeat"], metadata["fold"], specification["training"]["epochs"]
        ) as reporter,
    ):
        device = _device(pool, reporter.queue)
        # Imported here, as GPU and threads must be set before TensorFlow starts.
        from regfold.training import cell, parts, trained_cell

        schema = files.read_json(prepared / "schema.json")
        trainings = parts.of_cell(specification, metadata, len(schema["classes"] or schema["target"]))
        reporter.begin(device["name"], trainings=len(trainings))
        with signals.asked_to_stop() as stop:
            result = cell.run(
                cell.Cell(
                    model=model,
                    repeat=metadata["repeat"],
                    fold=metadata["fold"],
                    specification=specification,
                    split=config["split"],
                    checkpoint_seconds=training["checkpoint_seconds"],
                    on_divergence=training["on_divergence"],
                    inner_metric=inner_metric,
                ),
                prepared,
                metadata,
                STATES,
                out,
                device,
                on_epoch=lambda epoch, values: reporter.update(epoch, values[0], values[2]),
                stop=stop,
                say=lambda line: print(line, file=terminal),
            )
        print(f"regfold: {trained_cell.sentence(result)}", file=terminal)


def _device(pool: int, on_wait: Callable[[], None]) -> dict:
    """Start TensorFlow in this process, unless it is started, on a GPU of its own if there is one.

    Args:
        pool: the size of TensorFlow's thread pool, the same in each call.
        on_wait: called once if there is a wait for a GPU.

    Returns:
        the device, see gpu.lease.
    """
    if not _devices:
        lease = _held.enter_context(gpu.lease(on_wait))
        lease.confirm(processors.start(pool))
        _devices.append(lease.device)
    return _devices[0]
