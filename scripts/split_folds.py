"""Decide which rows each fold tests, and describe each cell's rows in a file of its own."""

from pathlib import Path

from regfold import files
from regfold.data.prepare import expect_columns
from regfold.runtime import log
from regfold.splits import split


def main(snakemake) -> None:
    """Write results/folds.csv, the assignment, and results/folds/<repeat>-<fold>.json."""
    with log.job(snakemake.log) as terminal:
        settings, output = snakemake.params.split, snakemake.output
        expect_columns(files.read_json(snakemake.input.schema), settings["by"])
        decided = split.decide(settings, Path(snakemake.input.schema).parent)
        split.write(decided, output.table, output.assignment, output.codes, output.folds)
        print(f"regfold: {split.sentence(settings['split']['method'], decided)}", file=terminal)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (Snakemake defines it)
