"""Train the network of one cell and predict the rows that it has never seen."""

from pathlib import Path

from regfold.runtime import processors, workers


def main(snakemake) -> None:
    """Write results/cells/<model>/<repeat>-<fold>/, on a GPU of its own where there is one."""
    from regfold.runtime import job, log  # where the work is done: most scripts only wait for a worker

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
        )


def pool(snakemake) -> int:
    """The size of the thread pool that its worker must have."""
    return processors.pool_of(snakemake.params.spec, Path(snakemake.input.fold), Path(snakemake.input.schema))


if __name__ == "__main__":
    workers.run(main, snakemake, workers.TRAINING, pool)  # noqa: F821 (Snakemake defines it)
