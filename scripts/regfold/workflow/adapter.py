"""Everything that regfold uses of Snakemake beyond its documented interface, which a new version may change.

Each function provides a convenience that a run can do without. If Snakemake lacks what a function needs, the
function prints one line, once, and returns a value with which the run goes on (docs/internals.md).
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
    """A decorator: if Snakemake lacks something, return `otherwise` and warn that the run has no `what`."""

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
    """Whether another workflow uses this one as a module; known while the Snakefile is read."""
    return not workflow.modifier.is_main_snakefile()


@_convenience("the check of its config files for keys that are given twice", ())
def config_files(workflow) -> list[str]:
    """The config files that this workflow reads; none if another workflow provides its config."""
    return [] if workflow.modifier.skip_configfile else ["config.yaml", *workflow.overwrite_configfiles]


@_convenience("the name of its config file in messages", "config.yaml")
def config_name(workflow) -> str:
    """For messages: the last config file, or the module for which another workflow provides the config."""
    if workflow.modifier.namespace and workflow.modifier.skip_configfile:
        return f"config of module {workflow.modifier.namespace}"
    return os.path.relpath(["config.yaml", *workflow.configfiles][-1])


@_convenience("the target init in a folder without a config.yaml")
def read_no_config_file(workflow) -> None:
    """Ignore the Snakefile's `configfile`, as if another workflow provided the config."""
    workflow.modifier.skip_configfile = True


@_convenience("all targets' names", ())
def targets(workflow) -> list[str]:
    """The targets that the user asked for; empty for the default target."""
    return list(workflow.dag_settings.targets)


@_convenience("what the main process does for its jobs", False)
def is_main(workflow) -> bool:
    """Whether this process runs the workflow, not a job of it."""
    return workflow.is_main_process


@_convenience("the removal of a killed run's lock", False)
def is_dry(workflow) -> bool:
    """Whether this is a dry run."""
    return workflow.dryrun


@_convenience("workers, and a limit of jobs by GPUs", False)
def runs_here(workflow) -> bool:
    """Whether jobs run on this machine; known while the Snakefile is read, unlike the executor."""
    return workflow.is_main_process and workflow.resource_settings.nodes is None


@_convenience("workers", False)
def runs_scripts(workflow) -> bool:
    """Whether scripts run with this Python: not in other environments or containers, and not with --touch."""
    return not workflow.touch and not workflow.deployment_settings.deployment_method


@_convenience("workers")
def hand_over(workflow, do: Callable) -> None:
    """Let do(snakemake) run scripts in place of Snakemake, which runs those for which it returns False.

    Snakemake looks up the function `script` among the workflow's globals at each job, where it is replaced.
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
    """The rules of the jobs that this process runs as a group, in a cluster's job; otherwise none."""
    jobs = workflow.dag_settings.target_jobs
    group = len(jobs) > 1 and not workflow.is_main_process
    return [job.rulename for job in jobs] if group else []


@_convenience("workers for the jobs of a group", False)
def runs_group(workflow) -> bool:
    """Whether a cluster started this process for a group; unlike `group`, known as the Snakefile is read."""
    return not workflow.is_main_process and "--local-groupid" in sys.argv


@_convenience("jobs of a group side by side")
def run_at_once(workflow, jobs: int) -> None:
    """Let the process of a group, started with --jobs 1, run several of its jobs at once."""
    workflow.global_resources["_nodes"] = jobs


@_convenience("the number of jobs at once", os.cpu_count())
def jobs_at_once(workflow) -> int:
    """The number of cores; on a cluster, of jobs."""
    return workflow.resource_settings.cores or workflow.resource_settings.nodes


@_convenience("a limit of jobs by GPUs")
def limit(workflow, resource: str, number: int) -> None:
    """Limit a resource of the jobs that run at once, unless the user has given a limit."""
    if resource not in workflow.resource_settings.resources:
        workflow.register_resource(resource, number)


@_convenience("an end that comes a second earlier")
def lift_rate_limit(workflow) -> None:
    """Remove Snakemake's default limit of 100 jobs per second from a local run that is about to start.

    After each job that it starts, Snakemake sets a timer of one second, and the interpreter does not exit
    before the last one has ended. (With `max-jobs-per-timespan: 100/0s`, Snakemake would poll without pause.)
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
    """Keep Snakemake's lines about each job off the terminal of a local run; its log file has all of them.

    `quiet` in the profile would also hide the list of a dry run, and on a cluster the errors of jobs. With
    another `--quiet` than the profile's, or with `--verbose`, nothing is changed.
    """
    from snakemake.logging import logger
    from snakemake.settings.enums import Quietness

    settings = workflow.output_settings
    if runs_here(workflow) and settings.quiet == {Quietness.HOST} and not settings.verbose:
        for handler in logger.handlers:
            if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
                handler.addFilter(_is_worth_a_line)


@_convenience("Snakemake's last lines")
def end_quiet() -> None:
    """Undo `quieten`."""
    from snakemake.logging import logger

    for handler in logger.handlers:
        handler.removeFilter(_is_worth_a_line)


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    return record.levelno > logging.INFO or str(record.msg).startswith("regfold: ")


@_convenience("progress", ())
def jobs(workflow) -> list[tuple[str, dict[str, str]]]:
    """The rule and the wildcards of each job of the graph.

    Raises:
        RuntimeError: if the graph changed while it was read.
    """
    return [_named(job) for job in workflow.dag.jobs]


@_convenience("progress, and workers", ())
def jobs_to_run(workflow) -> list[tuple[str, dict[str, str]]]:
    """The rule and the wildcards of each job that still has to run; raises as `jobs` does."""
    return [_named(job) for job in workflow.dag.needrun_jobs()]


def _named(job) -> tuple[str, dict[str, str]]:
    return job.rule.name, dict(job.wildcards_dict)


@_convenience("lines of progress")
def say(text: str) -> None:
    """Log a line through Snakemake, with any logger plugin; `--quiet progress` hides it."""
    from snakemake.logging import logger
    from snakemake.settings.enums import Quietness

    logger.info(f"regfold: {text}", extra={"quietness": Quietness.PROGRESS})


@_convenience("the removal of its lock, should it be killed", ())
def lock_files(workflow) -> list[str]:
    """The files of the lock that this run holds."""
    return list(workflow.persistence._lockfile.values())


@_convenience("a look at results that were copied without records", True)
def is_recorded(workflow, path: str) -> bool:
    """Whether Snakemake has metadata of the job that made a file."""
    from snakemake.io import IOFile

    return workflow.persistence.metadata(IOFile(path)) is not None


@_convenience("a look at results that were copied without records")
def force(workflow, path: str) -> None:
    """Make the job run that creates a file; to be called while the graph is built."""
    workflow.dag.forcefiles.add(path)
