"""Decide which rows each fold tests, and describe each cell's rows in a file of its own."""

from pathlib import Path

from regfold import log
from regfold.split import split


def main(snakemake) -> None:
    """Write results/folds.csv, the assignment, and results/folds/<repeat>-<fold>.json."""
    with log.job(snakemake.log) as terminal:
        about = split(
            snakemake.params.split,
            Path(snakemake.input.schema).parent,
            table=snakemake.output.table,
            assignment=snakemake.output.assignment,
            folder=snakemake.output.folds,
        )
        print(f"regfold: {about}", file=terminal)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (Snakemake defines it)
