"""What regfold asks of Snakemake beyond what Snakemake documents: the one place that a new version may break.

Each function is for a convenience that a run can do without. Where Snakemake does not have what a function
looks for, it says so in one line, once, gives what the run goes on with, and the run goes on.
"""

import functools
import inspect
import logging
import os
import sys
from collections.abc import Callable

from regfold.formatting import visible

_said = set()


def _convenience(what: str, otherwise: object = None) -> Callable:
    """Let a function give `otherwise` where Snakemake lacks something; `what` the run then goes without."""

    def decorate(function: Callable) -> Callable:
        @functools.wraps(function)
        def ask(*arguments):
            try:
                return function(*arguments)
            except (AttributeError, ImportError, KeyError, TypeError) as error:
                if what not in _said:
                    _said.add(what)
                    why = visible(error)
                    print(
                        f"regfold: warning: Snakemake: {why}; the run goes on without {what}", file=sys.stderr
                    )
                return otherwise

        return ask

    return decorate


@_convenience("its use as a module of another workflow", False)
def is_module(workflow) -> bool:
    """Whether another workflow uses this one as a module, while the Snakefile is read."""
    return not workflow.modifier.is_main_snakefile()


@_convenience("the check of its config files for keys that are given twice", ())
def config_files(workflow) -> list[str]:
    """The config files that this workflow reads; none where another workflow gives it its config."""
    return [] if workflow.modifier.skip_configfile else ["config.yaml", *workflow.overwrite_configfiles]


@_convenience("the name of its config file in messages", "config.yaml")
def config_name(workflow) -> str:
    """The config file that was read last, or the module whose config another workflow gave, for messages."""
    if workflow.modifier.namespace and workflow.modifier.skip_configfile:
        return f"config of module {workflow.modifier.namespace}"
    return os.path.relpath(["config.yaml", *workflow.configfiles][-1])


@_convenience("the target init in a folder without a config.yaml")
def read_no_config_file(workflow) -> None:
    """Pass over the Snakefile's `configfile`, as where another workflow gives it its config."""
    workflow.modifier.skip_configfile = True


@_convenience("all targets' names", ())
def targets(workflow) -> list[str]:
    """What the user asked for; nothing: the default."""
    return list(workflow.dag_settings.targets)


@_convenience("what the main process does for its jobs", False)
def is_main(workflow) -> bool:
    """Whether this process runs the workflow, and not one job of it."""
    return workflow.is_main_process


@_convenience("the removal of a killed run's lock", False)
def is_dry(workflow) -> bool:
    return workflow.dryrun


@_convenience("workers, and a limit of jobs by GPUs", False)
def runs_here(workflow) -> bool:
    """Whether jobs run on this machine. The executor itself is not known yet while the Snakefile is read."""
    return workflow.is_main_process and workflow.resource_settings.nodes is None


@_convenience("workers", False)
def runs_scripts(workflow) -> bool:
    """Whether jobs are run, and not only touched, with this Python, and not in environments or containers."""
    return not workflow.touch and not workflow.deployment_settings.deployment_method


@_convenience("workers")
def hand_over(workflow, do: Callable) -> None:
    """Let do(snakemake) do the work of scripts, with what a script has; where it gives False, Snakemake does.

    What a rule runs looks up `script` among the names that all of the workflow has, at each job.
    """
    from snakemake.iocontainers import Snakemake

    run, parts = workflow.globals["script"], list(inspect.signature(Snakemake).parameters)[:10]
    parameters = [part.removesuffix("_") for part in parts]  # input_
    if missing := set(parameters) - set(inspect.signature(run).parameters):
        raise AttributeError(f"script has no {missing.pop()!r}")

    @functools.wraps(run)
    def script(*arguments):
        given = inspect.signature(run).bind(*arguments).arguments
        if not do(Snakemake(*(given[name] for name in parameters))):
            run(*arguments)

    workflow.globals["script"] = script


@_convenience("workers for the jobs of a group", ())
def group(workflow) -> list[str]:
    """The rules of the jobs that a cluster's job runs as a group; none in any other process."""
    jobs = workflow.dag_settings.target_jobs
    group = len(jobs) > 1 and not workflow.is_main_process
    return [job.rulename for job in jobs] if group else []


@_convenience("workers for the jobs of a group", False)
def runs_group(workflow) -> bool:
    """Whether a cluster started this process for a group; unlike `group`, while the Snakefile is read."""
    return not workflow.is_main_process and "--local-groupid" in sys.argv


@_convenience("jobs of a group side by side")
def run_at_once(workflow, jobs: int) -> None:
    """Let the process of a group run so many of its jobs at once, where the cluster said --jobs 1."""
    workflow.global_resources["_nodes"] = jobs


@_convenience("the number of jobs at once", os.cpu_count())
def jobs_at_once(workflow) -> int:
    """The number of cores, or on a cluster of jobs."""
    return workflow.resource_settings.cores or workflow.resource_settings.nodes


@_convenience("a limit of jobs by GPUs")
def limit(workflow, resource: str, number: int) -> None:
    """Let the jobs that run at once have so much of a resource, unless the user has said how much."""
    if resource not in workflow.resource_settings.resources:
        workflow.register_resource(resource, number)


@_convenience("an end that comes a second earlier")
def lift_rate_limit(workflow) -> None:
    """Take Snakemake's own limit of 100 jobs per second away from a local run, about to run its jobs.

    Behind each job that it starts, Snakemake sets a timer of that second, and the interpreter does not end
    before the last one has. (`max-jobs-per-timespan: 100/0s` would have Snakemake choose jobs without pause.)
    """
    limit, local = (
        workflow.scheduling_settings.max_jobs_per_timespan,
        workflow.resource_settings.nodes is None,
    )
    own = limit and (limit.max_jobs, limit.timespan) == (100, 1)
    if local and own and workflow.scheduler.job_rate_limiter:
        workflow.scheduler.job_rate_limiter = None


@_convenience("a terminal of its own lines alone")
def quieten(workflow) -> None:
    """Keep what Snakemake tells of each job from the terminal of a local run; its log file has all of it.

    A quietness in the profile would also hide what a dry run lists, and on a cluster how a job failed.
    Whoever asks for another `--quiet` than the profile's, or for `--verbose`, has what was asked for.
    """
    from snakemake.logging import logger
    from snakemake.settings.enums import Quietness

    settings = workflow.output_settings
    if runs_here(workflow) and settings.quiet == {Quietness.HOST} and not settings.verbose:
        for handler in logger.handlers:
            if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
                handler.addFilter(_is_worth_a_line)


@_convenience("Snakemake's last lines")
def speak_again() -> None:
    """End what `quieten` began."""
    from snakemake.logging import logger

    for handler in logger.handlers:
        handler.removeFilter(_is_worth_a_line)


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    return record.levelno > logging.INFO or str(record.msg).startswith("regfold: ")


@_convenience("progress", ())
def jobs(workflow) -> list[tuple[str, dict[str, str]]]:
    """The rule and the wildcards of each job of the graph.

    Raises:
        RuntimeError: the graph changed while it was read.
    """
    return [_named(job) for job in workflow.dag.jobs]


@_convenience("progress, and workers", ())
def jobs_to_run(workflow) -> list[tuple[str, dict[str, str]]]:
    """The rule and the wildcards of each job that has still to run; raises as `jobs` does."""
    return [_named(job) for job in workflow.dag.needrun_jobs()]


def _named(job) -> tuple[str, dict[str, str]]:
    return job.rule.name, dict(job.wildcards_dict)


@_convenience("lines of progress")
def say(text: str) -> None:
    """A line in the terminal and in Snakemake's log, whatever its plugins; `--quiet progress` hides it."""
    from snakemake.logging import logger
    from snakemake.settings.enums import Quietness

    logger.info(f"regfold: {text}", extra={"quietness": Quietness.PROGRESS})


@_convenience("the removal of its lock, should it be killed", ())
def lock_files(workflow) -> list[str]:
    """The files of the lock that this run holds."""
    return list(workflow.persistence._lockfile.values())


@_convenience("a look at results that were copied without records", True)
def is_recorded(workflow, path: str) -> bool:
    """Whether Snakemake has a record of the job that made a file."""
    from snakemake.io import IOFile

    return workflow.persistence.metadata(IOFile(path)) is not None


@_convenience("a look at results that were copied without records")
def force(workflow, path: str) -> None:
    """Let the job run that makes a file, while the graph is built."""
    workflow.dag.forcefiles.add(path)
