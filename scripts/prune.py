"""Remove training states that no cell refers to, and cells that are no longer part of the study."""

from regfold.config import baselines
from regfold.runtime import job, log
from regfold.workflow import pruning


def main(snakemake) -> None:
    """Print how much was removed."""
    with log.job(snakemake.log) as terminal:
        config = snakemake.config
        refits = [name for name, model in config["models"].items() if model["refit"]]
        removed = pruning.prune(snakemake.params.results, baselines.predictors(config), refits, job.STATES)
        print(f"regfold: {removed}", file=terminal)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (Snakemake defines it)
