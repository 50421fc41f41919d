"""Write a first config.yaml for a table."""

from pathlib import Path

from regfold.runtime import log
from regfold.workflow import draft


def main(snakemake) -> None:
    """Write config.yaml into the study's folder, and say so."""
    with log.job(snakemake.log) as terminal:
        print(f"regfold: {draft.write(snakemake.params.request, Path('config.yaml'))}", file=terminal)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (Snakemake defines it)
