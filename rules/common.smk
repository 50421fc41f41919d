"""What all rules share: the checked config, the models and baselines, which cells there are, and how a run begins and ends.

On a cluster only train_fold and fit_baseline are sent away: for the others (`localrule`) a job would cost more than its work.
Where another workflow uses this one as a module, its own onstart, onsuccess and onerror hold: there are no workers then, so
each job does its work itself, no lines of progress and no closing lines (docs/module.md).
"""

import atexit
import re
import sys
from pathlib import Path

from regfold.workflow import adapter, copied, local_jobs, pruning, run_lock, run_progress, terminal
from regfold import errors
from regfold.runtime import workers
from regfold.provenance import cell_names
from regfold.provenance import code, identity
from regfold.config import baselines, headline, metrics, strengths
from regfold.config.resolve import resolve
from regfold.runtime.job import STATES
from regfold.training.cell_files import BASELINE_FILES, CELL_FILES, REFIT_FILES

with errors.ending_the_process():
    run_lock.release_if_orphaned(workflow)
    GPUS = local_jobs.limit_to_gpus(workflow)
    # In a workflow that uses this one as a module, a rule may make the table.
    config = resolve(config, adapter.config_name(workflow), inputs_exist=not adapter.is_module(workflow))
    MODELS, BASELINES = list(config["models"]), baselines.of(config)
    PREDICTORS = baselines.predictors(config)
    SELECTS = strengths.selects(config)  # model -> how a strength is chosen, of the models with a path
    SPECIFICATIONS = identity.specifications(config)

# What a whole run makes beside the files of its models.
RESULT_FILES = ["report.html", "summary.json", "scores.csv", "scores_by.csv", "importance.csv"]
RESULT_FILES += ["comparison.csv", "rows.csv", "folds.csv"]
# Such jobs have been sent away already, as a group.
IN_GROUP = local_jobs.runs_group(workflow)
following = run_progress.RunProgress(workflow)
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
    """A digest of the code of a rule's script, in which comments and layout do not count."""
    return code.code_digest(code.SCRIPTS / f"{rule}.py")


def results() -> Path:
    """The results folder, which a module's user may have placed elsewhere (`prefix`, `pathvars`)."""
    return Path(rules.split_folds.output.table).parent


def chosen_by(wildcards) -> dict:
    """What decides, besides a model's rule, which strength of its path is chosen: the metric, and what it does."""
    chosen = headline.other_than_rmse(config["metrics"]) if wildcards.model in SELECTS else []
    return {"metrics": chosen, "functions": identity.functions(metrics.own(chosen))}


def file_of_user(path: str | None) -> list[str]:
    """The input that a key of the config names; no module's prefix stands before it."""
    return [] if path is None or path.startswith("sklearn:") else [local(path)]


def table(wildcards) -> list[str]:
    """The input of prepare_data, which runs again where results came without Snakemake's records."""
    copied.force_unrecorded(workflow, results())
    return file_of_user(config["data"]["path"])


def rows_of(model: str, cell: str) -> str:
    """The file of a cell's rows; its age means nothing where the cell is known to be of this very training."""
    path = f"<results>/folds/{cell}.json"
    is_current = copied.is_current(workflow, results(), SPECIFICATIONS[model], model, cell)
    return ancient(path) if is_current else path


def fold_of(wildcards) -> str:
    return rows_of(wildcards.model, f"{wildcards.repeat}-{wildcards.fold}")


def cells(model: str, name: str) -> list[str]:
    """The file `name` of every cell of a model or baseline, once split_folds has said which cells there are."""
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
    """The file of a refit's rows, once split_folds has written it."""
    checkpoints.split_folds.get()
    return rows_of(wildcards.model, REFIT)


def stopped_cells(wildcards) -> list[str]:
    """What decides a refit's epochs: its folds' cell.json, where early stopping chose theirs."""
    stops = config["models"][wildcards.model]["training"]["early_stopping"]
    return cells(wildcards.model, "cell.json") if stops else []


def refit_files(models: list[str]) -> list[str]:
    """The files of the refits of those of these models that have one."""
    return [
        f"<results>/cells/{model}/{REFIT}/{name}"
        for model in models
        for name in REFIT_FILES
        if config["models"][model]["refit"]
    ]


def new_data(wildcards) -> list[str]:
    """The table whose rows are to be predicted; it must be given before anything is trained for it."""
    with errors.ending_the_process():
        if config["new_data"] is None:
            raise errors.RegfoldError("predict: no new rows; expected --config new_data=FILE")
    return file_of_user(config["new_data"])


def conclude() -> None:
    """At the end of a whole run: bound what old trainings take up, and say the scores."""
    servers.end()
    following.end("done")
    adapter.speak_again()
    targets = adapter.targets(workflow)
    if not targets or "all" in targets:
        pruning.bound(results(), STATES)
        print(terminal.closing_lines(results()))


def do_in_group(snakemake) -> bool:
    """Have a worker do a job that a cluster runs in a group with others; False: it is alone."""
    kinds = local_jobs.workers_of_group(workflow)
    return bool(kinds) and servers.started(kinds).do(snakemake)


if not adapter.is_main(workflow):  # what it runs, it does not know yet
    adapter.hand_over(workflow, do_in_group)


onstart:
    if INIT and adapter.targets(workflow) not in (["init"], ()):
        sys.exit("regfold: error: --config table: unknown key; expected it with the target init alone")
    adapter.lift_rate_limit(workflow)
    adapter.quieten(workflow)
    following.start()
    servers.start(local_jobs.workers_of_use(workflow, GPUS))
    adapter.hand_over(workflow, servers.do)


onsuccess:
    conclude()


onerror:
    servers.end()
    following.end("failed")
    adapter.speak_again()
    # Snakemake has more to say after this, from the folder where it was started; what went wrong comes last.
    atexit.register(terminal.say_errors, Path("logs").absolute(), following.state["started"])
