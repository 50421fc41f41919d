"""Print what the next run will do with each cell, and why."""

from regfold.runtime import job, log
from regfold.workflow import plan


def main(snakemake) -> None:
    """Print the plan; no file is written but the log."""
    with log.job(snakemake.log) as terminal:
        results = snakemake.params.results
        steps = plan.plan(snakemake.config, snakemake.params.specifications, results, job.STATES)
        costs = plan.earlier_costs(sorted(results.glob("cells/*/*/cell.json")))
        for line in plan.lines(steps, costs, snakemake.params.cores):
            print(f"regfold: {line}", file=terminal)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (Snakemake defines it)
