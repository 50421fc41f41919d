"""Save a model's networks to a folder of its own, with all that predictions from raw columns need."""

from pathlib import Path

from regfold.results import oos, saved_model
from regfold.runtime import log, usage


def main(snakemake) -> None:
    """Write results/models/<model>/."""
    with log.job(snakemake.log), usage.recorded(snakemake.log.usage):
        prepared = oos.read_prepared(Path(snakemake.input.schema).parent)
        params, out = snakemake.params, Path(snakemake.output.model)
        saved_model.save(
            prepared, snakemake.wildcards.model, params.settings, out, params.chosen_by["metrics"]
        )


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (Snakemake defines it)
