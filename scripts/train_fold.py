"""Train the network of one cell and predict its held-out rows; for refit_model one on all rows."""

from pathlib import Path

from regfold.runtime import job, log


def main(snakemake) -> None:
    """Write results/cells/<model>/<repeat>-<fold>/ or refit/, on a GPU of its own where there is one."""
    specification, inner_metric = snakemake.params.spec, None
    with log.job(snakemake.log) as terminal:
        if specification["headline"]:
            from regfold.results import metrics  # imports scikit-learn, which only such a model needs here

            inner_metric = metrics.inner(specification["headline"][0])
        job.train(
            model=snakemake.wildcards.model,
            specification=specification,
            config=snakemake.config,
            description=Path(snakemake.input.fold),
            prepared=Path(snakemake.input.schema).parent,
            out=Path(snakemake.output.cell).parent,
            used=Path(snakemake.log.usage),
            terminal=terminal,
            cells=[Path(path) for path in getattr(snakemake.input, "cells", [])],
            inner_metric=inner_metric,
        )


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (Snakemake defines it)
