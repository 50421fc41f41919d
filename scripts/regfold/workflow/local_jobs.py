"""Jobs that run on this machine: one cell per GPU slot at a time, and workers that run the jobs."""

import os

from regfold.runtime import gpu, processors, workers
from regfold.workflow import adapter


def limit_to_gpus(workflow) -> int:
    """Let a local run start one cell per GPU slot, so that no cell holds a core while it waits for a GPU.

    Snakemake counts the resource `gpu` only if there is a limit. Without GPUs no limit is set, so that the
    cores decide; on a cluster none is set either, since it would apply to the whole cluster. A limit that the
    user has given (`--resources gpu=2`, a profile) stays.

    Args:
        workflow: Snakemake's workflow, while it reads the Snakefile.

    Returns:
        the GPU slots of this machine; 0 if jobs do not run here.
    """
    slots = gpu.local_gpus() if adapter.runs_here(workflow) else 0
    if slots:
        adapter.limit(workflow, "gpu", slots)
    return slots


def run_workers(workflow, gpus: int) -> dict[str, int]:
    """kind of worker -> the largest number at once, for the kinds that can run jobs of this run.

    Args:
        workflow: Snakemake's workflow, about to run its jobs.
        gpus: GPU slots of this machine, each for one cell at a time; 0: the cores decide.
    """
    if not (adapter.runs_here(workflow) and adapter.runs_scripts(workflow)):
        return {}
    rules = {rule for rule, _ in adapter.jobs_to_run(workflow)}
    if "split_folds" in rules:  # a checkpoint: which cells there are is not known yet
        rules |= workers.RULES[workers.TRAINING]
    return _kinds(rules, gpus, adapter.jobs_at_once(workflow))


def runs_group(workflow) -> bool:
    """Whether this process runs the jobs of a group on a cluster; it then runs them itself, side by side.

    Slurm's plugin would start a job step for each of them, with a Snakemake and Keras of its own, one after
    the other.
    """
    if not adapter.runs_group(workflow):
        return False
    adapter.run_at_once(workflow, _at_once(workflow))
    return True


def _at_once(workflow) -> int:
    """The number of cells that a cluster's job has GPUs or processors for."""
    cores = adapter.jobs_at_once(workflow)
    return gpu.local_gpus() or min(cores, int(os.environ.get("SLURM_CPUS_PER_TASK", cores)))


def group_workers(workflow) -> dict[str, int]:
    """`run_workers` for the jobs of a group on a cluster; none in any other process."""
    rules = set(adapter.group(workflow))
    if not rules or not adapter.runs_scripts(workflow):
        return {}
    return _kinds(rules, gpu.local_gpus(), _at_once(workflow))


def _kinds(rules: set[str], gpus: int, cores: int) -> dict[str, int]:
    # More workers than processors would each compile the same programs: the other jobs wait for one.
    cores = min(cores, processors.available())
    most = {workers.TRAINING: gpus or cores, workers.TABLES: cores}
    return {kind: most[kind] for kind, served in workers.RULES.items() if served & rules}
