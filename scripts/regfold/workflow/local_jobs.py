"""Jobs that run on this machine: as many cells at once as it has GPU slots, and workers for them."""

import os

from regfold.runtime import gpu, workers
from regfold.workflow import adapter


def limit_to_gpus(workflow) -> int:
    """Let a local run start one cell per GPU slot, so that no cell holds a core while it waits for a GPU.

    Snakemake counts `gpu` only where a limit is given. Without a GPU there is none, and the cores decide; on
    a cluster there is none either, for it would hold the whole cluster to this machine's number. A limit that
    the user has given (`--resources gpu=2`, a profile) stays.

    Args:
        workflow: Snakemake's, while it reads the Snakefile.

    Returns:
        the GPU slots of this machine, 0 where jobs do not run here.
    """
    slots = gpu.local_gpus() if adapter.runs_here(workflow) else 0
    if slots:
        adapter.limit(workflow, "gpu", slots)
    return slots


def workers_of_use(workflow, gpus: int) -> dict[str, int]:
    """The kinds of workers that the run's jobs can be handed to, and how many of each there may be at once.

    Args:
        workflow: Snakemake's, about to run its jobs.
        gpus: GPU slots of this machine, each of which is for one cell; 0: the cores decide.
    """
    if not (adapter.runs_here(workflow) and adapter.runs_scripts(workflow)):
        return {}
    rules = {rule for rule, _ in adapter.jobs_to_run(workflow)}
    if "split_folds" in rules:  # a checkpoint: which cells there are is not known yet
        rules |= workers.RULES[workers.TRAINING]
    return _kinds(rules, gpus, adapter.jobs_at_once(workflow))


def runs_group(workflow) -> bool:
    """Whether this process runs the jobs of a group on a cluster: it then does so itself, side by side.

    Slurm's plugin would start a step of its job for each of them, with a Snakemake and Keras of its own, one
    after the other.
    """
    if not adapter.runs_group(workflow):
        return False
    adapter.run_at_once(workflow, _at_once(workflow))
    return True


def _at_once(workflow) -> int:
    """How many cells a cluster's job has GPUs or processors for."""
    cores = adapter.jobs_at_once(workflow)
    return gpu.local_gpus() or min(cores, int(os.environ.get("SLURM_CPUS_PER_TASK", cores)))


def workers_of_group(workflow) -> dict[str, int]:
    """The same for jobs that a cluster runs as one, a group; none in any other process."""
    rules = set(adapter.group(workflow))
    if not rules or not adapter.runs_scripts(workflow):
        return {}
    return _kinds(rules, 0, _at_once(workflow))


def _kinds(rules: set[str], gpus: int, cores: int) -> dict[str, int]:
    most = {workers.TRAINING: gpus or cores, workers.TABLES: cores}
    return {kind: most[kind] for kind, served in workers.RULES.items() if served & rules}
