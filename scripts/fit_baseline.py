"""Fit a baseline on one fold's training rows and predict the rows that it has never seen."""

from pathlib import Path

from regfold import files
from regfold.runtime import log, usage
from regfold.training import baseline


def main(snakemake) -> None:
    """Write results/cells/<baseline>/<repeat>-<fold>/."""
    with log.job(snakemake.log), usage.recorded(snakemake.log.usage):
        baseline.run(
            name=snakemake.wildcards.model,
            repeat=int(snakemake.wildcards.repeat),
            fold=int(snakemake.wildcards.fold),
            specification=snakemake.params.spec,
            split=snakemake.config["split"],
            prepared=Path(snakemake.input.schema).parent,
            description=files.read_json(snakemake.input.fold),
            out=Path(snakemake.output.cell).parent,
        )


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (Snakemake defines it)
