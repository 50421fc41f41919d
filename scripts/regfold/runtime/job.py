"""A training job around its cell: a GPU, threads, signals and progress, before TensorFlow starts."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import TextIO

from regfold.runtime import compiled, gpu, processors, signals, usage
from regfold.runtime.progress import Reporter

STATES = Path(".regfold/state")
PROGRAMS = Path(".regfold/compiled")


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
) -> None:
    """Run one cell in this process.

    Args:
        model: the model's name.
        specification: what its training depends on besides rows, see provenance.specification.
        config: the resolved config.
        description: the fold's description, results/folds/<repeat>-<fold>.json.
        prepared: results/prepared.
        out: the cell's folder.
        used: takes what the process used of time and memory.
        terminal: takes the lines for the user.
    """
    about = json.loads(description.read_text(encoding="utf-8"))
    schema = json.loads((prepared / "schema.json").read_text(encoding="utf-8"))
    training = config["models"][model]["training"]
    pool = processors.pool_size(
        about["width"],  # not the matrix' width, to which held-out rows add their own levels
        len(schema["classes"] or schema["target"]),
        specification["network"].get("hidden"),
        training["batch_size"],
    )
    with (
        usage.recorded(used),
        Reporter(model, about["repeat"], about["fold"], training["epochs"]) as reporter,
        gpu.lease(reporter.queue) as lease,
        compiled.kept(PROGRAMS, pool) if lease.device["kind"] == "CPU" else nullcontext() as programs,
        signals.asked_to_stop() as stop,
    ):
        lease.confirm(processors.start(pool))
        reporter.begin(lease.device["name"])
        # Imported here: TensorFlow must find its GPU and its threads decided.
        from regfold.training import cell

        result = cell.run(
            cell.Cell(
                model=model,
                repeat=about["repeat"],
                fold=about["fold"],
                specification=specification,
                method=config["split"]["method"],
                checkpoint_seconds=training["checkpoint_seconds"],
                on_divergence=training["on_divergence"],
            ),
            prepared,
            about,
            STATES,
            out,
            lease.device,
            on_epoch=lambda epoch, values: reporter.update(epoch, values[0], values[2]),
            stop=stop,
            say=lambda line: print(line, file=terminal),
            programs=programs,
        )
        print(f"regfold: {cell.sentence(result)}", file=terminal)
