"""Train the network of one cell and predict its held-out rows; for refit_model one on all rows."""

from pathlib import Path

from regfold.runtime import job, log


def main(snakemake) -> None:
    """Write results/cells/<model>/<repeat>-<fold>/ or refit/, on a GPU of its own where there is one."""
    with log.job(snakemake.log) as terminal:
        job.train(
            model=snakemake.wildcards.model,
            specification=snakemake.params.spec,
            config=snakemake.config,
            description=Path(snakemake.input.fold),
            prepared=Path(snakemake.input.schema).parent,
            out=Path(snakemake.output.cell).parent,
            used=Path(snakemake.log.usage),
            terminal=terminal,
            cells=[Path(path) for path in getattr(snakemake.input, "cells", [])],
        )


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (Snakemake defines it)
