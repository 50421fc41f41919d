"""Snakemake's limit on jobs per second: of no use to a local run, which it keeps from ending for a second."""

DEFAULT = (100, 1)


def lift(workflow) -> None:
    """Take the limit away from a local run, unless it is not Snakemake's own 100 jobs per second.

    Behind each job that it starts, Snakemake sets a timer of that second, and the interpreter does not end
    before the last one has.

    Args:
        workflow: Snakemake's, about to run its jobs.
    """
    limit = workflow.scheduling_settings.max_jobs_per_timespan
    if limit and workflow.resource_settings.nodes is None and (limit.max_jobs, limit.timespan) == DEFAULT:
        workflow.scheduler.job_rate_limiter = None
