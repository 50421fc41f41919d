"""What all rules share: the checked config, the names of models and baselines, the cells, and how a run begins and ends.

On a cluster only networks and baselines are submitted: for the other rules (`localrule`) a job would cost more than its work.
If another workflow uses this one as a module, Snakemake runs that one's onstart, onsuccess and onerror, not those below: there
are then no workers, no lines of progress and no closing lines (docs/module.md).
"""

import atexit
import re
import sys
from pathlib import Path

from regfold import errors
from regfold.config import baselines, headline, metrics, strengths
from regfold.config.resolve import resolve
from regfold.provenance import cell_names, code, identity
from regfold.runtime import progress, workers
from regfold.runtime.job import STATES
from regfold.training.cell_files import BASELINE_FILES, CELL_FILES, REFIT_FILES
from regfold.workflow import adapter, copied, local_jobs, pruning, run_lock, run_progress, terminal

with errors.ending_the_process():
    run_lock.release_if_orphaned(workflow)
    GPUS = local_jobs.limit_to_gpus(workflow)
    # In a workflow that uses this one as a module, a rule may make the table.
    config = resolve(config, adapter.config_name(workflow), inputs_exist=not adapter.is_module(workflow))
    MODELS, BASELINES = list(config["models"]), baselines.of(config)
    PREDICTORS = baselines.predictors(config)
    SELECTS = strengths.selects(config)  # model -> how a strength is chosen, for the models with a path
    SPECIFICATIONS = identity.specifications(config)

# The files of a whole run, besides those of each model.
RESULT_FILES = ["report.html", "summary.json", "scores.csv", "scores_by.csv", "importance.csv"]
RESULT_FILES += ["comparison.csv", "rows.csv", "folds.csv"]
# Whether this is a cluster's job that runs a group: the group's own jobs must not be submitted again.
IN_GROUP = local_jobs.runs_group(workflow)
reporter = run_progress.RunProgress(workflow)
servers = workers.Workers()
REFIT = cell_names.name(*cell_names.REFIT)


def one_of(names: list[str]) -> str:
    """A pattern that these names match, and nothing else."""
    return "|".join(map(re.escape, names)) or "(?!)"


wildcard_constraints:
    model=one_of(PREDICTORS),
    repeat=r"\d+",
    fold=r"\d+",


def code_digest(rule: str) -> str:
    """A digest of the code of a rule's script, which ignores comments and layout."""
    return code.code_digest(code.SCRIPTS / f"{rule}.py")


def results() -> Path:
    """The results folder, which another workflow may have moved (`prefix`, `pathvars`)."""
    return Path(rules.split_folds.output.table).parent


def chosen_by(wildcards) -> dict:
    """What decides, besides `select`, which strength of a path is chosen: the metric, and the code of a user-defined one."""
    chosen = headline.other_than_rmse(config["metrics"]) if wildcards.model in SELECTS else []
    return {"metrics": chosen, "functions": identity.functions(metrics.own(chosen))}


def file_of_user(path: str | None) -> list[str]:
    """The input file that a key of the config names, without a module's prefix."""
    return [] if path is None or path.startswith("sklearn:") else [local(path)]


def table(wildcards) -> list[str]:
    """The input of prepare_data, which runs again if results were copied without Snakemake's metadata."""
    copied.force_unrecorded(workflow, results())
    return file_of_user(config["data"]["path"])


def rows_of(model: str, cell: str) -> str:
    """The file that describes a cell's rows; `ancient` if the cell, copied without metadata, is known to be current."""
    path = f"<results>/folds/{cell}.json"
    is_current = copied.is_current(workflow, results(), SPECIFICATIONS[model], model, cell)
    return ancient(path) if is_current else path


def fold_of(wildcards) -> str:
    return rows_of(wildcards.model, f"{wildcards.repeat}-{wildcards.fold}")


def cells(model: str, name: str) -> list[str]:
    """The file `name` of every cell of a model or baseline; which cells there are is known after split_folds."""
    folder = Path(checkpoints.split_folds.get().output.folds)
    keys = sorted(tuple(map(int, path.stem.split("-"))) for path in folder.glob("*-*.json"))
    return [f"<results>/cells/{model}/{repeat}-{fold}/{name}" for repeat, fold in keys]


def all_cells(models: list[str], *names: str) -> list[str]:
    """The files `names` of every cell of these models or baselines."""
    return [path for model in models for name in names for path in cells(model, name)]


def every_cell(wildcards) -> list[str]:
    """The files of all cells: of the models, of their refits, and of the baselines."""
    return all_cells(MODELS, *CELL_FILES) + refit_files(MODELS) + all_cells(BASELINES, *BASELINE_FILES)


def all_rows(wildcards) -> str:
    """The file that describes a refit's rows, which split_folds writes."""
    checkpoints.split_folds.get()
    return rows_of(wildcards.model, REFIT)


def stopped_cells(wildcards) -> list[str]:
    """What decides a refit's epochs: with early stopping, its folds' cell.json."""
    stops = config["models"][wildcards.model]["training"]["early_stopping"]
    return cells(wildcards.model, "cell.json") if stops else []


def refit_files(models: list[str]) -> list[str]:
    """The files of the refits of these models, as far as they have one."""
    return [
        f"<results>/cells/{model}/{REFIT}/{name}"
        for model in models
        for name in REFIT_FILES
        if config["models"][model]["refit"]
    ]


def new_data(wildcards) -> list[str]:
    """The table whose rows are predicted; its absence is an error before anything is trained."""
    with errors.ending_the_process():
        if config["new_data"] is None:
            raise errors.RegfoldError("predict: no new rows; expected --config new_data=FILE")
    return file_of_user(config["new_data"])


def conclude() -> None:
    """At the end of a run: stop workers and progress; after a whole run also remove old states and print the scores."""
    servers.end()
    reporter.end(progress.DONE)
    adapter.end_quiet()
    targets = adapter.targets(workflow)
    if not targets or "all" in targets:
        pruning.bound(results(), STATES)
        print(terminal.closing_lines(results()))


def do_in_group(snakemake) -> bool:
    """Let a worker run a job of a group on a cluster; False if this is not a group, and Snakemake has to run it."""
    kinds = local_jobs.group_workers(workflow)
    return bool(kinds) and servers.started(kinds).do(snakemake)


if not adapter.is_main(workflow):  # a process that runs a job, or a group: which one is not known yet
    adapter.hand_over(workflow, do_in_group)


onstart:
    if INIT and adapter.targets(workflow) not in (["init"], ()):
        sys.exit("regfold: error: --config table: unknown key; expected it with the target init alone")
    adapter.lift_rate_limit(workflow)
    adapter.quieten(workflow)
    reporter.start()
    servers.start(local_jobs.run_workers(workflow, GPUS))
    adapter.hand_over(workflow, servers.do)


onsuccess:
    conclude()


onerror:
    servers.end()
    reporter.end(progress.FAILED)
    adapter.end_quiet()
    # At exit, so that the errors come after Snakemake's own last lines.
    atexit.register(terminal.say_errors, Path("logs").absolute(), reporter.state["started"])
