"""Guards the adapter to Snakemake: whatever a new version has not any more, a run goes on, and says so."""

import ast
import functools
import inspect
import io
import logging
import re
import sys
from functools import reduce
from types import SimpleNamespace

import pytest
from regfold.runtime import processors, workers
from regfold.workflow import adapter, local_jobs
from snakemake.iocontainers import InputFiles, Log, OutputFiles, Params
from snakemake.logging import logger as snakemake_logger
from snakemake.script import script
from snakemake.settings.enums import Quietness
from workflow.real_study import ROOT, Study, copy_project

ADAPTER = ROOT / "scripts/regfold/workflow/adapter.py"
CONFIG = {
    "data": {"path": "t.csv", "target": "y"},
    "split": {"folds": 2},
    "training": {"epochs": 3},
    "models": {"m": {}},
}


def chains() -> set[str]:
    """What the adapter looks for in Snakemake's workflow, as in `dag.jobs`."""
    source = ADAPTER.read_text()
    found = {
        ast.unparse(node).removeprefix("workflow.")
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and ast.unparse(node).startswith("workflow.")
    }
    return {chain for chain in found if not any(other.startswith(f"{chain}.") for other in found)} - {
        "dag.forcefiles.add",
        "persistence._lockfile.values",
    } | {"dag.forcefiles", "persistence._lockfile"}


def job(rule: str, **wildcards: str) -> SimpleNamespace:
    return SimpleNamespace(rule=SimpleNamespace(name=rule), wildcards_dict=wildcards)


def workflow(rules=("train_fold",), main=True, nodes=None, deployed=(), touch=False) -> SimpleNamespace:
    """A workflow that has all that the adapter looks for."""
    jobs = [job(rule, model="m", repeat="1", fold="1") for rule in rules]
    return SimpleNamespace(
        is_main_process=main,
        touch=touch,
        dryrun=False,
        globals={"script": script},
        configfiles=["config.yaml"],
        overwrite_configfiles=["other.yaml"],
        register_resource=lambda name, number: None,
        scheduling_settings=SimpleNamespace(max_jobs_per_timespan=SimpleNamespace(max_jobs=100, timespan=1)),
        scheduler=SimpleNamespace(job_rate_limiter="a limit"),
        modifier=SimpleNamespace(skip_configfile=False, is_main_snakefile=lambda: True, namespace=None),
        dag_settings=SimpleNamespace(targets=["all"], target_jobs=set()),
        output_settings=SimpleNamespace(quiet={Quietness.HOST}, verbose=False),
        resource_settings=SimpleNamespace(nodes=nodes, cores=4, resources={}),
        deployment_settings=SimpleNamespace(deployment_method=set(deployed)),
        global_resources={"_nodes": 1},
        persistence=SimpleNamespace(_lockfile={"input": "0.input.lock"}, metadata=lambda path: None),
        dag=SimpleNamespace(jobs=jobs, needrun_jobs=lambda: jobs, forcefiles=set()),
    )


def hand_over(made: SimpleNamespace, done: bool) -> tuple[list, bool]:
    """What a job's `script` gives to the function that may do its work; whether Snakemake does it then."""
    given, ran = [], []
    made.globals = {"script": functools.wraps(script)(lambda *arguments: ran.append(arguments))}

    def do(snakemake):
        given.append(snakemake)
        return done

    adapter.hand_over(made, do)
    names = list(inspect.signature(script).parameters)
    parts = {
        "input": InputFiles(["a"]),
        "output": OutputFiles(["b"]),
        "params": Params(),
        "log": Log(),
        "rulename": "train_fold",
    }
    made.globals["script"](*(parts.get(name, {}) for name in names))
    return given, bool(ran)


def ask(made: SimpleNamespace) -> dict:
    """Everything that is asked of a workflow."""
    functions = (
        "is_module",
        "config_files",
        "config_name",
        "targets",
        "is_main",
        "is_dry",
        "runs_here",
        "runs_scripts",
    )
    functions += ("group", "runs_group", "jobs_at_once", "jobs", "jobs_to_run", "lock_files")
    answers = {name: getattr(adapter, name)(made) for name in functions}
    answers["run_at_once"] = adapter.run_at_once(made, 2)
    answers["limit"] = adapter.limit(made, "gpu", 2)
    answers["lift_rate_limit"] = adapter.lift_rate_limit(made)
    answers["quieten"] = adapter.quieten(made)
    adapter.end_quiet()
    answers["is_recorded"] = adapter.is_recorded(made, "a.txt")
    answers["hand_over"] = adapter.hand_over(made, lambda snakemake: False)
    answers["force"] = adapter.force(made, "a.txt")
    return answers


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch):
    monkeypatch.setattr(adapter, "_said", set())


def test_what_is_asked_of_a_workflow(capsys):
    made = workflow()
    one = [("train_fold", {"model": "m", "repeat": "1", "fold": "1"})]
    assert ask(made) == {
        "is_module": False,
        "config_files": ["config.yaml", "other.yaml"],
        "config_name": "config.yaml",
        "targets": ["all"],
        "is_main": True,
        "is_dry": False,
        "runs_here": True,
        "runs_scripts": True,
        "group": [],
        "runs_group": False,
        "jobs_at_once": 4,
        "jobs": one,
        "jobs_to_run": one,
        "lock_files": ["0.input.lock"],
        "hand_over": None,
        "run_at_once": None,
        "limit": None,
        "lift_rate_limit": None,
        "quieten": None,
        "is_recorded": False,
        "force": None,
    }
    assert made.global_resources == {"_nodes": 2}
    assert made.dag.forcefiles == {"a.txt"}
    assert made.scheduler.job_rate_limiter is None
    assert capsys.readouterr().err == ""


def test_a_jobs_work_is_handed_over_with_what_its_script_has():
    for done in (True, False):
        ((given,), ran) = hand_over(workflow(), done)
        assert (given.rule, list(given.input), list(given.output)) == ("train_fold", ["a"], ["b"])
        assert ran != done


@pytest.mark.parametrize(
    "scripts",
    [{}, {"script": lambda path, basedir: None}],
    ids=["no script", "a script that is called in another way"],
)
def test_scripts_that_cannot_be_handed_over_are_left_as_they_are(scripts, capsys):
    made = workflow()
    made.globals = dict(scripts)
    adapter.hand_over(made, lambda snakemake: True)
    assert made.globals == scripts
    assert capsys.readouterr().err.endswith("; the run goes on without workers\n")


@pytest.mark.parametrize("gone", sorted(chains()))
def test_what_snakemake_has_not_any_more_is_said_once(gone, capsys):
    made = workflow()
    *path, name = gone.split(".")
    delattr(reduce(getattr, path, made), name)
    expected, answers = ask(workflow()), ask(made)
    assert ask(made) == answers
    lines = capsys.readouterr().err.splitlines()
    assert lines, "the test's workflow has what the adapter looks for"
    assert all(
        re.fullmatch(rf"regfold: warning: .*'{name}'; the run goes on without .*", line) for line in lines
    )
    assert len(lines) == len(set(lines)) <= 4
    changed = {question for question, answer in answers.items() if answer != expected[question]}
    assert len(changed) <= 2 and not any(answers[question] is None for question in changed)


def test_all_that_is_asked_for_is_listed_with_its_reason():
    listed = (ROOT / "docs" / "internals.md").read_text()
    places = {cell for line in listed.splitlines() if line.startswith("| `") for cell in line.split("|")[1:2]}
    named = set(re.findall(r"`([^`]+)`", " ".join(places)))
    tree = ast.parse(ADAPTER.read_text())
    imports = {
        f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("snakemake")
        for alias in node.names
    }
    settings = {f"output_settings.{name}" for name in ("quiet", "verbose")}
    of_job = {"rule.name", "wildcards_dict"}
    assert named == (chains() - {"output_settings"}) | settings | of_job | imports


@pytest.mark.parametrize("gone", ["snakemake.io", "snakemake.logging"])
def test_a_module_that_snakemake_has_not_any_more_is_said_once(gone, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, gone, None)
    for _ in range(2):
        assert adapter.is_recorded(workflow(), "a.txt") == (gone == "snakemake.io")
        adapter.say("a line")
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    ("made", "quiet", "said"),
    [
        (workflow(), {Quietness.HOST}, ["regfold: a line", "an error", "at last"]),
        (workflow(), {Quietness.REASON}, ["a job", "regfold: a line", "an error", "at last"]),
        (workflow(nodes=4), {Quietness.HOST}, ["a job", "regfold: a line", "an error", "at last"]),
    ],
)
def test_the_terminal_of_a_local_run_has_its_own_lines_and_the_log_file_all(
    made, quiet, said, tmp_path, monkeypatch
):
    made.output_settings.quiet = quiet
    stream = io.StringIO()
    handlers = [logging.StreamHandler(stream), logging.FileHandler(tmp_path / "all.log")]
    monkeypatch.setattr(snakemake_logger, "handlers", handlers)
    snakemake_logger.setLevel(logging.INFO)
    adapter.quieten(made)
    snakemake_logger.info("a job")
    adapter.say("a line")
    snakemake_logger.error("an error")
    adapter.end_quiet()
    snakemake_logger.info("at last")
    assert stream.getvalue().splitlines() == said
    handlers[1].close()
    assert len((tmp_path / "all.log").read_text().splitlines()) == 4


@pytest.mark.heavy
def test_a_run_without_any_of_it_has_the_same_results(tmp_path):
    table = "x,z,y\n" + "".join(f"{i % 7},{i % 5},{i % 3}.5\n" for i in range(40))
    project = copy_project(tmp_path / "project")
    source = project / ADAPTER.relative_to(ROOT)
    studies = {}
    for name in ("all of it", "none of it"):
        if name == "none of it":
            # A chain's first name is enough: all that is behind it is gone as well.
            source.write_text(re.sub(r"\bworkflow\.(?=\w)", "workflow.gone_", source.read_text()))
        studies[name] = Study(tmp_path / name.replace(" ", "-"), project, CONFIG)
        studies[name].write("t.csv", table)
        done = studies[name].snakemake(cores=2)
        assert done.code == 0, done.text
        assert ("; the run goes on without workers" in done.text) == (name == "none of it")
    assert studies["all of it"].oos("m") == studies["none of it"].oos("m")
    assert (studies["all of it"].folder / ".regfold/training-workers.log").exists()
    assert not (studies["none of it"].folder / ".regfold/training-workers.log").exists()


@pytest.mark.parametrize(
    ("made", "gpus", "expected"),
    [
        (workflow(), 0, {workers.TRAINING: 3}),
        (workflow(), 2, {workers.TRAINING: 2}),
        (workflow(), 8, {workers.TRAINING: 8}),
        (workflow(rules=("split_folds",)), 0, {workers.TRAINING: 3}),
        (workflow(rules=("split_folds", "render_report")), 2, {workers.TRAINING: 2, workers.TABLES: 3}),
        (workflow(rules=("all",)), 0, {}),
        (workflow(nodes=4), 0, {}),
        (workflow(main=False), 0, {}),
        (workflow(deployed=("conda",)), 0, {}),
        (workflow(touch=True), 0, {}),
    ],
)
def test_where_workers_are_of_use(made, gpus, expected, monkeypatch):
    monkeypatch.setattr(processors, "available", lambda: 3)
    assert local_jobs.run_workers(made, gpus) == expected


@pytest.mark.parametrize(
    ("made", "targets", "expected"),
    [
        (
            workflow(main=False),
            ["train_fold", "train_fold"],
            {workers.TRAINING: 3},
        ),
        (workflow(main=False), ["fit_baseline", "fit_baseline"], {workers.TABLES: 3}),
        (workflow(main=False), ["train_fold"], {}),
        (workflow(), ["train_fold", "train_fold"], {}),
        (workflow(main=False, deployed=("conda",)), ["train_fold", "train_fold"], {}),
    ],
)
def test_a_group_of_a_clusters_jobs_has_workers_once_a_job_asks(made, targets, expected, monkeypatch):
    monkeypatch.setenv("REGFOLD_GPUS", "none")
    monkeypatch.setattr(processors, "available", lambda: 3)
    made.dag_settings.target_jobs = [SimpleNamespace(rulename=rule) for rule in targets]
    assert local_jobs.group_workers(made) == expected
    started = []
    monkeypatch.setattr(
        workers.Workers, "_start", lambda self, kinds: started.append(kinds) or self.servers.append(1)
    )
    servers = workers.Workers()
    assert servers.started({workers.TRAINING: 2}) is servers.started({workers.TRAINING: 2}) is servers
    assert started == [{workers.TRAINING: 2}]
