"""Read and check the table once, and encode it for all cells."""

from pathlib import Path

from regfold.data.prepare import expect_classes, prepare, summary
from regfold.runtime import log


def main(snakemake) -> None:
    """Write results/prepared/ and print a summary of the table."""
    with log.job(snakemake.log) as terminal:
        settings = snakemake.params.data
        folder = Path(snakemake.output.schema).parent
        schema = prepare(settings["data"], settings["split_column"], folder, settings["losses"])
        expect_classes(schema, settings["with_class_weight"])
        for line in summary(schema):
            print(f"regfold: {line}", file=terminal)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (Snakemake defines it)
