"""Verify the results against the table, line by line and cell by cell."""

from regfold.results.verify import verify
from regfold.runtime import log


def main(snakemake) -> None:
    """Print what was checked; raise an error that names the rows of a result that is wrong."""
    with log.job(snakemake.log) as terminal:
        print(f"regfold: {verify(snakemake.config, snakemake.params.results)}", file=terminal)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (Snakemake defines it)
