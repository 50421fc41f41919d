"""Guards the fork server: a cell in a forked process is the cell itself, and whoever dies, nothing is lost.

One real server for all tests; what the forked process does is said by a network of the user's own.
"""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from regfold.errors import RegfoldError
from regfold.provenance import identity
from regfold.runtime import fork_server, job
from small_study import Study

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux alone")
SCRIPTS = Path(__file__).parents[2] / "scripts"
OWN = """
import os, signal, sys, time
import keras

def network(n_features, n_outputs, output_activation, regularizers):
    print("to the log", os.getpid(), flush=True)
    print("to the log too", file=sys.stderr, flush=True)
    WHAT
    return keras.Sequential([keras.Input((n_features,)), keras.layers.Dense(n_outputs, output_activation)])
"""
NOTHING, RAISE, DIE = "pass", "raise ValueError('this network cannot be')", "os.kill(os.getpid(), 9)"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server as Snakemake's process has it."""
    here = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("snakemake"))
    server = fork_server.ForkServer()
    server._start()
    yield server
    server.end()
    os.chdir(here)
    os.environ.pop(fork_server.VARIABLE, None)


@pytest.fixture
def study(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return study_of(NOTHING)


def study_of(what: str, **training) -> Study:
    generator = np.random.default_rng(1)
    rows = [",".join(f"{x:.3f}" for x in row) for row in generator.normal(size=(40, 3))]
    Path("own.py").write_text(OWN.replace("WHAT", what))
    models = {"m": {}, "own": {"network": {"build": "own.py:network"}}}
    return Study("\n".join(["x,z,y", *rows, ""]), models=models, training=training)


def request(study: Study, model: str = "m") -> dict:
    """What train_fold asks for."""
    return {
        "model": model,
        "specification": identity.specification(study.config["models"][model]),
        "config": study.config,
        "description": Path("results/folds/1-1.json"),
        "prepared": study.prepared,
        "out": study.folder(1, 1, model),
        "threads": 1,
        "used": Path(f"benchmarks/{model}.tsv"),
    }


@contextlib.contextmanager
def descriptors(log: Path):
    """Descriptors 1 and 2 are the log, as in a job; gives the terminal."""
    kept = os.dup(1), os.dup(2)
    with log.open("w") as file, Path("terminal").open("w") as terminal:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield terminal
        finally:
            for number, descriptor in zip((1, 2), kept, strict=True):
                os.dup2(descriptor, number)
                os.close(descriptor)


def call(study: Study, model: str = "m") -> tuple[str, str]:
    """A call as a job makes it; the log, and the terminal."""
    with descriptors(Path("log")) as terminal:
        fork_server.call(job.train, terminal, **request(study, model))
    return Path("log").read_text(), Path("terminal").read_text()


def wait_for(what):
    for _ in range(600):
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError("waited for half a minute")


def test_a_forked_process_trains_the_same_network_to_the_bit(study):
    here = study.train()
    found = study.predictions()
    for path in study.folder(1, 1).iterdir():
        path.unlink()
    _, said = call(study)
    there = json.loads((study.folder(1, 1) / "cell.json").read_text())
    # The state is found; what is compared is a training, so that goes too.
    assert "0 epochs to train" in said
    (Path(".regfold/state") / there["digests"]["state"] / "state.npz").unlink()
    _, said = call(study)
    there = json.loads((study.folder(1, 1) / "cell.json").read_text())
    assert "3 epochs in" in said
    assert there["weights"] == here["weights"]
    assert all(map(np.array_equal, study.predictions(), found))


def test_each_call_has_a_process_of_its_own_which_prints_into_its_log(study):
    pids = set()
    for _ in range(2):
        log, said = call(study, "own")
        pids.add(int(log.split("to the log ")[1].split()[0]))
        assert "to the log too" in log
        assert said.startswith("regfold: own, repeat 1, fold 1: ")
    assert len(pids) == 2 and os.getpid() not in pids


def test_what_it_used_is_told_in_the_columns_of_snakemakes_benchmarks(study):
    call(study)
    names, values = (line.split("\t") for line in Path("benchmarks/m.tsv").read_text().splitlines())
    from snakemake.benchmark import BenchmarkRecord

    assert names == BenchmarkRecord.get_header()
    used = dict(zip(names, values, strict=True))
    assert 100 < float(used["max_rss"]) < 5000
    assert 0 < float(used["cpu_time"]) < 60 and 0 < float(used["s"]) < 60


def test_a_problem_of_the_users_is_the_same_as_without_a_server(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = study_of(RAISE)
    with pytest.raises(RegfoldError, match=r"own.py:network' failed: ValueError: this network cannot be"):
        call(study, "own")
    assert "Traceback" not in Path("log").read_text()


def test_a_bug_leaves_its_traceback_in_the_log(study):
    study.folder(1, 1).mkdir(parents=True)
    Path("results/folds/1-1.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"1-1\.json"):
        call(study)
    assert "in train\n" in Path("log").read_text()


def test_a_killed_process_is_told_in_one_line(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RegfoldError, match="the training process was killed"):
        call(study_of(DIE), "own")


def script_of(study: Study) -> subprocess.Popen:
    """A long training, asked for by a process of its own; returns once it has saved a state."""
    ask = f"""
import json, sys
sys.path.insert(0, {str(SCRIPTS)!r})
from pathlib import Path
from regfold import errors
from regfold.runtime import fork_server, job
request = json.loads(sys.argv[1])
for name in ("description", "prepared", "out", "used"):
    request[name] = Path(request[name])
with errors.ending_the_process():
    fork_server.call(job.train, sys.stderr, **request)
"""
    asked = json.dumps(request(study), default=str)
    script = subprocess.Popen([sys.executable, "-c", ask, asked], stderr=subprocess.PIPE, text=True)
    wait_for(lambda: list(Path(".regfold/state").glob("*/state.npz")))
    return script


def trainer_pid() -> int:
    return json.loads(Path(".regfold/progress/m/1-1.json").read_text())["pid"]


def saved() -> SimpleNamespace:
    (state,) = Path(".regfold/state").glob("*/state.npz")
    with np.load(state) as archive:
        return SimpleNamespace(**json.loads(archive["about"].tobytes()))


LONG = {"epochs": 1_000_000, "checkpoint_seconds": 0.2}


def test_ctrl_c_of_the_script_lets_the_cell_save_its_state(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    script = script_of(study_of(NOTHING, **LONG))
    script.send_signal(signal.SIGINT)
    _, said = script.communicate(timeout=60)
    assert script.returncode == 1
    assert f"stopped after epoch {saved().epoch}; the next run goes on from there" in said


def test_a_cell_whose_script_was_killed_saves_its_state_and_ends(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    script = script_of(study_of(NOTHING, **LONG))
    trainer = psutil.Process(trainer_pid())
    script.kill()
    script.wait()
    wait_for(lambda: not trainer.is_running())
    progress = json.loads(Path(".regfold/progress/m/1-1.json").read_text())
    assert progress["state"] == "failed" and progress["epoch"] <= saved().epoch


def test_the_server_ends_with_snakemake_and_its_cells_go_on(tmp_path, monkeypatch, server):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(fork_server.VARIABLE, os.environ[fork_server.VARIABLE])
    second = fork_server.ForkServer()
    second._start()
    script = script_of(study_of(NOTHING, **LONG))
    process = psutil.Process(trainer_pid()).parent()
    os.close(second.lifeline)  # as when Snakemake's process is killed
    wait_for(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)
    before = saved().epoch
    wait_for(lambda: saved().epoch > before)
    script.terminate()
    script.communicate(timeout=60)
    assert not list(Path(".regfold/state").glob("*/.*")), "nothing half-written"


@pytest.mark.parametrize("address", ["none", "gone", None])
def test_without_a_server_the_script_does_the_work_itself(address, tmp_path, monkeypatch):
    if address is None:
        monkeypatch.delenv(fork_server.VARIABLE, raising=False)
    else:
        monkeypatch.setenv(fork_server.VARIABLE, address)
    done = []
    fork_server.call(lambda terminal, number: done.append((os.getpid(), number)), io.StringIO(), number=3)
    assert done == [(os.getpid(), 3)]


def test_another_users_request_is_not_answered(server):
    """Asked from a process that is nobody's: the server closes the connection."""
    if os.getuid():
        pytest.skip("only root can become another user")
    ask = """
import os, socket, sys
os.setuid(65534)
with socket.socket(socket.AF_UNIX) as server:
    server.connect(chr(0) + sys.argv[1])
    server.settimeout(30)
    print(server.recv(1))
"""
    command = [sys.executable, "-c", ask, os.environ[fork_server.VARIABLE]]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "b''\n"


def workflow(rules=("train_fold",), main=True, nodes=None, deployed=(), touch=False):
    jobs = [SimpleNamespace(rule=SimpleNamespace(name=name)) for name in rules]
    return SimpleNamespace(
        is_main_process=main,
        touch=touch,
        resource_settings=SimpleNamespace(nodes=nodes),
        deployment_settings=SimpleNamespace(deployment_method=set(deployed)),
        dag=SimpleNamespace(needrun_jobs=lambda: jobs),
    )


@pytest.mark.parametrize(
    ("made", "gpus", "of_the_user", "starts"),
    [
        (workflow(), 0, None, True),
        (workflow(), 0, "/an/older/socket", True),
        (workflow(), 0, "none", False),
        (workflow(), 1, None, False),
        (workflow(rules=("render_report", "all")), 0, None, False),
        (workflow(nodes=4), 0, None, False),
        (workflow(main=False), 0, None, False),
        (workflow(deployed=("conda",)), 0, None, False),
        (workflow(touch=True), 0, None, False),
    ],
)
def test_where_a_server_is_of_use(made, gpus, of_the_user, starts, monkeypatch):
    monkeypatch.setenv(fork_server.VARIABLE, of_the_user or "")
    if of_the_user is None:
        monkeypatch.delenv(fork_server.VARIABLE)
    server, started = fork_server.ForkServer(), []
    monkeypatch.setattr(server, "_start", lambda: started.append(True))
    server.start(made, {"train_fold"}, gpus)
    assert bool(started) == starts
    assert os.environ.get(fork_server.VARIABLE) == ("none" if of_the_user == "none" else None)
