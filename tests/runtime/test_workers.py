"""Guards the workers: a cell in a worker is the cell itself, and whoever dies, nothing else is lost.

Most tests ask one real server for real trainings; what a worker does in between is said by a network of the
user's own. The last ones ask a server that has imported nothing, for what it does with its workers.
"""

import contextlib
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from regfold.provenance import identity
from regfold.runtime import workers
from runtime.test_gpu import THREE, Machine
from small_study import Study
from snakemake.iocontainers import InputFiles, Log, OutputFiles, Params, Snakemake, Wildcards

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers on Linux alone")
SCRIPTS = Path(__file__).parents[2] / "scripts"
ADDRESSES = {}  # "server": where the jobs look for a server
OWN = """
import os, signal, sys, time
from pathlib import Path
import keras

def network(n_features, n_outputs, output_activation, regularizers):
    print("to the log", os.getpid(), flush=True)
    print("to the log too", file=sys.stderr, flush=True)
    WHAT
    return keras.Sequential([keras.Input((n_features,)), keras.layers.Dense(n_outputs, output_activation)])
"""
NOTHING, RAISE, DIE = "pass", "raise ValueError('this network cannot be')", "os.kill(os.getpid(), 9)"
# Snakemake's process: a job asks for a worker, and starts its script where there is none.
SNAKEMAKE = """
import pickle, runpy, subprocess, sys
from pathlib import Path
from regfold.provenance import code
from regfold.runtime import workers

job, servers = pickle.loads(Path(sys.argv[1]).read_bytes()), workers.Workers()
servers.addresses = {workers.TRAINING: sys.argv[2]}
try:
    if not servers.do(job):
        runpy.run_path(str(code.SCRIPTS / f"{job.rule}.py"))["main"](job)
except subprocess.CalledProcessError as error:
    sys.exit(error.returncode)
"""
LONG = {"epochs": 1_000_000, "checkpoint_seconds": 0.2}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server as Snakemake's process has it."""
    here = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("snakemake"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REGFOLD_LEASES", str(tmp_path_factory.mktemp("leases")))
        servers = workers.Workers()
        servers._start({workers.TRAINING: 2})
        patch.setitem(ADDRESSES, "server", servers.addresses[workers.TRAINING])
        yield servers
        servers.end()
    os.chdir(here)


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


def job_of(study: Study, model: str = "m", fold: int = 1) -> Snakemake:
    """What Snakemake gives to train_fold."""
    cell = study.folder(1, fold, model)
    return Snakemake(
        InputFiles(
            fromdict={"fold": f"results/folds/1-{fold}.json", "schema": "results/prepared/schema.json"}
        ),
        OutputFiles(fromdict={"cell": str(cell / "cell.json")}),
        Params(
            fromdict={
                "spec": identity.specification(study.config["models"][model]),
            }
        ),
        Wildcards(fromdict={"model": model, "repeat": "1", "fold": str(fold)}),
        1,
        None,
        Log(fromdict={"log": f"{model}.log", "usage": f"benchmarks/{model}.tsv"}),
        study.config,
        "train_fold",
        None,
        str(SCRIPTS),
    )


def start(study: Study, model: str = "m", fold: int = 1) -> subprocess.Popen:
    """A process that runs a job as Snakemake's does; its stderr is the terminal."""
    job = Path(f"{model}-{fold}.pickle")
    job.write_bytes(pickle.dumps(job_of(study, model, fold)))
    command = [sys.executable, "-c", SNAKEMAKE, str(job), ADDRESSES["server"]]
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def call(study: Study, model: str = "m", fold: int = 1) -> SimpleNamespace:
    """A job, to its end: exit status, log, terminal."""
    job = start(study, model, fold)
    _, terminal = job.communicate(timeout=120)
    return SimpleNamespace(status=job.returncode, log=Path(f"{model}.log").read_text(), terminal=terminal)


def forget(study: Study, fold: int = 1) -> None:
    """Let a cell be trained anew."""
    about = json.loads((study.folder(1, fold) / "cell.json").read_text())
    (Path(".regfold/state") / about["digests"]["states"][0] / "state.npz").unlink()
    for path in study.folder(1, fold).iterdir():
        path.unlink()


def wait_for(what):
    for _ in range(1200):
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError("waited for a minute")


def trainer_pid(fold: int = 1, model: str = "m") -> int:
    return json.loads(Path(f".regfold/progress/{model}/1-{fold}.json").read_text())["pid"]


def saved() -> SimpleNamespace:
    (state,) = Path(".regfold/state").glob("*/state.npz")
    with np.load(state) as archive:
        return SimpleNamespace(**json.loads(archive["header"].tobytes()))


def in_training(study: Study) -> subprocess.Popen:
    """A job whose training has saved a state."""
    job = start(study)
    wait_for(lambda: list(Path(".regfold/state").glob("*/state.npz")))
    return job


def gone(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return True


def test_cells_of_one_worker_are_the_same_to_the_bit_as_in_a_process_of_their_own(study):
    here = {}
    for fold in (1, 2):
        weights = study.train(1, fold)["weights"]
        here[fold] = weights, study.predictions(1, fold)
        forget(study, fold)
    for fold in (1, 2):
        done = call(study, fold=fold)
        assert (done.status, "3 epochs in" in done.terminal) == (0, True), done
    assert trainer_pid(1) == trainer_pid(2) != os.getpid()
    for fold, (weights, predictions) in here.items():
        about = json.loads((study.folder(1, fold) / "cell.json").read_text())
        assert about["weights"] == weights
        assert all(map(np.array_equal, study.predictions(1, fold), predictions))


def test_a_worker_prints_into_the_log_of_its_job_and_keeps_no_pipe_open(study):
    pids = set()
    for fold in (1, 2):
        done = call(study, "own", fold)  # which reads the terminal's pipe to its end
        pids.add(int(done.log.split("to the log ")[1].split()[0]))
        assert "to the log too" in done.log
        assert done.terminal.startswith(f"regfold: own, repeat 1, fold {fold}: ")
    assert len(pids) == 1 and os.getpid() not in pids


def test_what_each_cell_used_is_told_in_the_columns_of_snakemakes_benchmarks(study):
    from snakemake.benchmark import BenchmarkRecord

    used = []
    for fold in (1, 2):
        begun = time.monotonic()
        call(study, fold=fold)
        names, values = (line.split("\t") for line in Path("benchmarks/m.tsv").read_text().splitlines())
        assert names == BenchmarkRecord.get_header()
        used.append(
            {
                name: float(x)
                for name, x in zip(names, values, strict=True)
                if x[:1].isdigit() and ":" not in x
            }
        )
        assert 100 < used[-1]["max_rss"] < 5000
        assert 0 < used[-1]["s"] < time.monotonic() - begun
    about = psutil.Process(trainer_pid())
    assert sum(cell["cpu_time"] for cell in used) <= sum(about.cpu_times()[:2]), "each counts its own"


def test_a_problem_of_the_users_is_the_same_as_without_a_server(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = study_of(RAISE)
    done = call(study, "own")
    monkeypatch.setitem(ADDRESSES, "server", "none")
    alone = call(study, "own")
    assert done.terminal == alone.terminal
    assert "own.py:network' failed: ValueError: this network cannot be\n" in done.terminal
    assert (done.status, alone.status) == (1, 1)
    assert "Traceback" not in done.log


def test_a_bug_leaves_its_traceback_in_the_log(study):
    Path("results/folds/1-1.json").unlink()
    done = call(study)
    assert done.status == 1
    assert "in train\n" in done.log and "FileNotFoundError" in done.log
    assert "the traceback is in m.log" in done.terminal


def test_a_worker_that_always_dies_is_told_in_one_line(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = call(study_of(DIE), "own")
    assert done.status == 1
    cell = "regfold: model own, repeat 1, fold 1"
    assert done.terminal.splitlines() == [
        f"{cell}: the process that worked on this job was killed; another one takes over",
        f"{cell}: error: the process that worked on this job was killed, twice",
    ]
    assert done.log.endswith("twice\n")


def test_a_worker_that_is_killed_costs_its_cell_a_line_and_no_bit(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = study_of(NOTHING, epochs=20_000, checkpoint_seconds=0.1)
    expected = study.train()["weights"]
    forget(study)
    job = in_training(study)
    os.kill(trainer_pid(), signal.SIGKILL)
    _, terminal = job.communicate(timeout=120)
    assert job.returncode == 0
    first, second = terminal.splitlines()
    assert first.endswith("was killed; another one takes over")
    assert " epochs trained, after " in second
    assert json.loads((study.folder(1, 1) / "cell.json").read_text())["weights"] == expected


def test_ctrl_c_lets_the_cell_save_its_state(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    job = in_training(study_of(NOTHING, **LONG))
    os.kill(trainer_pid(), signal.SIGINT)  # as the terminal does, to all processes of a run
    _, said = job.communicate(timeout=60)
    assert job.returncode == 1
    assert f"stopped after epoch {saved().epoch}; the next run goes on from there" in said


def test_a_cell_whose_snakemake_was_killed_saves_and_ends(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    job = in_training(study_of(NOTHING, **LONG))
    pid = trainer_pid()
    job.kill()
    job.wait()
    progress = Path(".regfold/progress/m/1-1.json")
    wait_for(lambda: json.loads(progress.read_text())["state"] == "failed")
    assert json.loads(progress.read_text())["epoch"] <= saved().epoch
    wait_for(lambda: psutil.Process(pid).status() == psutil.STATUS_SLEEPING)  # it waits for its next job
    (tmp_path / "next").mkdir()
    monkeypatch.chdir(tmp_path / "next")
    assert call(study_of(NOTHING)).status == 0
    assert trainer_pid() == pid


def test_the_server_ends_with_snakemake_and_its_cells_go_on(tmp_path, monkeypatch, server):
    monkeypatch.chdir(tmp_path)
    second = workers.Workers()
    second._start({workers.TRAINING: 1})
    address = second.addresses[workers.TRAINING]
    monkeypatch.setitem(ADDRESSES, "server", address)
    job = in_training(study_of(NOTHING, **LONG))
    worker = trainer_pid()
    os.close(second.lifelines.pop())  # as when Snakemake's process is killed
    second.servers[0].wait(timeout=60)
    assert not Path(address).exists()
    before = saved().epoch
    wait_for(lambda: saved().epoch > before)
    job.terminate()
    job.communicate(timeout=60)
    wait_for(lambda: gone(worker))
    assert not list(Path(".regfold/state").glob("*/.*")), "nothing half-written"


# What a server does with its workers, whatever they do: in these tests it has imported nothing.

SERVE = """
import os, socket, sys
from regfold.runtime import worker_server
address, lifeline, most, change = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
exec(change)
with socket.socket(socket.AF_UNIX) as listener:
    listener.bind(address)
    listener.listen(100)
    print(flush=True)
    worker_server.Server(listener, lifeline, most).serve()
"""
JOB = """
import os, sys, time
from pathlib import Path

def main(name):
    WHAT
    Path(name).write_text(str(os.getpid()))
"""
ASK = """
import sys
from pathlib import Path
from regfold.runtime import workers
arguments = sys.argv[1], Path(f"{sys.argv[2]}.py"), sys.argv[2], int(sys.argv[3])
sys.exit(0 if workers.Workers()._run(*arguments) else 3)
"""


class Light:
    """A server that has imported nothing, and jobs that say which process did them."""

    def __init__(self, folder: Path):
        self.folder, self.processes, self.environment = folder, [], os.environ | {"PYTHONPATH": str(SCRIPTS)}

    def serve(self, most: int = 4, change: str = "") -> None:
        end, self.lifeline = os.pipe()
        command = [sys.executable, "-c", SERVE, str(self.folder / "s.light"), str(end), str(most), change]
        self.server = subprocess.Popen(
            command, pass_fds=[end], stdout=subprocess.PIPE, env=self.environment, cwd=self.folder
        )
        os.close(end)
        self.server.stdout.readline()

    def start(self, name: str, pool: int = 1, what: str = "pass") -> subprocess.Popen:
        (self.folder / f"{name}.py").write_text(JOB.replace("WHAT", what))
        command = [sys.executable, "-c", ASK, str(self.folder / "s.light"), name, str(pool)]
        self.processes.append(
            subprocess.Popen(
                command, env=self.environment, cwd=self.folder, stderr=subprocess.PIPE, text=True
            )
        )
        return self.processes[-1]

    def did(self, name: str) -> int | None:
        """The process that did a job; None: it is not done yet."""
        with contextlib.suppress(OSError, ValueError):
            return int((self.folder / name).read_text())
        return None

    def call(self, name: str, **more) -> int | None:
        """The worker that did a job; None: there was none."""
        job = self.start(name, **more)
        _, error = job.communicate(timeout=60)
        assert (job.returncode, error) in ((0, ""), (3, ""))
        found = self.did(name)
        assert (job.returncode == 0) == (found is not None) and found != job.pid
        return found

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()
        os.close(self.lifeline)
        self.server.wait(timeout=60)


@pytest.fixture
def light(tmp_path):
    light = Light(tmp_path)
    yield light
    light.end()


def test_a_worker_serves_its_own_pool_alone_and_makes_room_for_another(light):
    light.serve(most=2)
    first, second = light.call("a", pool=1), light.call("b", pool=2)
    assert first != second
    assert [light.call("c", pool=1), light.call("d", pool=2)] == [first, second]
    third = light.call("e", pool=4)
    assert third not in (first, second)
    assert light.call("f", pool=2) == second, "the one that was idle for longest has made room"
    wait_for(lambda: gone(first))


def test_there_are_no_more_workers_than_jobs_at_once(light):
    light.serve(most=1)
    first = light.start("a", what="Path('on').touch()\n    while not Path('go').exists(): time.sleep(0.01)")
    wait_for((light.folder / "on").exists)
    second = light.start("b", pool=2)
    time.sleep(1)
    assert second.poll() is None and light.did("b") is None
    (light.folder / "go").touch()
    assert (first.wait(60), second.wait(60)) == (0, 0)


def test_a_job_without_a_pool_has_a_process_of_its_own(light):
    light.serve()
    found = {light.call("a", pool=0), light.call("b", pool=0)}
    assert len(found) == 2 and None not in found
    wait_for(lambda: all(map(gone, found)))


def test_a_failing_fork_leaves_the_work_to_the_job_and_the_server_goes_on(light):
    refuse = """
fork = os.fork
def refused():
    if not os.path.exists("go"):
        raise BlockingIOError(11, "Resource temporarily unavailable")
    return fork()
os.fork = refused
"""
    light.serve(change=refuse)
    assert light.call("a") is None
    (light.folder / "go").touch()
    assert light.call("b") is not None


def test_a_worker_that_has_grown_is_replaced(light):
    light.serve(change="worker_server.GROWTH_BYTES = 32 << 20")
    first = light.call("a")
    assert light.call("b") == first
    assert light.call("c", what="sys.kept = bytearray(300 << 20)") == first
    assert light.call("d") != first


def test_an_idle_worker_ends_and_frees_its_gpu(light, tmp_path):
    machine = Machine(tmp_path)
    light.environment = machine.environment(THREE[:1])
    light.serve(change="worker_server.IDLE_SECONDS = 2.0")
    on_gpu = """
    from regfold.runtime import job, processors
    processors.start = lambda pool: ["Fake"]  # in place of TensorFlow, which sees no fake GPU
    assert job._device(1, lambda: None)["uuid"] == os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-aaaaaaaa-1111"
"""
    assert light.call("a", what=on_gpu) == light.call("b", what=on_gpu)
    other_run = machine.start(THREE[:1])
    machine.wait_for("waits", other_run)
    machine.wait_for("holds", other_run)


def test_a_script_that_cannot_be_loaded_is_an_error_of_its_job(light):
    light.serve()
    job = light.start("a", what="pass\nimport no_such_module\nif 1:")
    _, error = job.communicate(timeout=60)
    assert job.returncode == 1
    assert "No module named 'no_such_module'" in error and "killed" not in error


def test_what_no_server_serves_is_left_to_the_job(tmp_path):
    servers = workers.Workers()
    assert not servers.do(SimpleNamespace(rule="train_fold"))
    servers.addresses = {workers.TABLES: str(tmp_path / "gone")}
    assert not servers.do(SimpleNamespace(rule="split_folds"))
    assert not servers.do(SimpleNamespace(rule="render_report")), "nobody listens there"


def test_where_no_server_can_be_had_each_job_does_its_work_itself(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "leases").touch()
    monkeypatch.setenv("REGFOLD_LEASES", str(tmp_path / "leases"))
    servers = workers.Workers()
    servers.start({workers.TRAINING: 1})
    assert servers.addresses == {}
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"regfold: warning: {tmp_path / 'leases'}: ")
    assert line.endswith("; each job does its work itself")


UNTIL_STOPPED = """
    from regfold.runtime import signals
    with signals.asked_to_stop() as stop:
        Path(f"{name} begun").touch()
        while not stop():
            time.sleep(0.01)
    sys.exit(5)
"""


def test_ctrl_c_stops_jobs_that_have_begun_and_those_that_wait(light, monkeypatch):
    """A worker ignores the terminal's signal until its cell has begun: Keras may still be being imported."""
    monkeypatch.chdir(light.folder)
    light.serve(most=1)
    servers, status = workers.Workers(), {}

    def ask(name: str) -> None:
        (light.folder / f"{name}.py").write_text(JOB.replace("WHAT", UNTIL_STOPPED))
        try:
            status[name] = servers._run("s.light", Path(f"{name}.py"), name, 1)
        except subprocess.CalledProcessError as error:
            status[name] = error.returncode

    threads = [threading.Thread(target=ask, args=[name]) for name in ("begun", "waiting")]
    threads[0].start()
    wait_for((light.folder / "begun begun").exists)
    threads[1].start()
    wait_for(lambda: len(servers._connections) == 2)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        servers.start({})
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    for thread in threads:
        thread.join(timeout=60)
    assert status["begun"] == 5
    assert status["waiting"] in (1, 5)
    assert light.did("begun") is light.did("waiting") is None
    servers.addresses = {workers.TABLES: "nobody listens"}
    with pytest.raises(subprocess.CalledProcessError):  # and not False: the job would do its work itself
        servers.do(SimpleNamespace(rule="render_report"))


needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")


@needs_root
def test_another_users_request_is_not_answered(light):
    light.serve()
    (light.folder / "s.light").chmod(0o777)
    for folder in (light.folder, *light.folder.parents):
        if folder.stat().st_mode & 0o1 == 0:
            folder.chmod(0o711)
    ask = """
import os, socket, sys
os.setuid(65534)
with socket.socket(socket.AF_UNIX) as server:
    server.connect(sys.argv[1])
    server.settimeout(30)
    print(server.recv(1))
"""
    command = [sys.executable, "-c", ask, str(light.folder / "s.light")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "b''\n"


@needs_root
def test_another_users_server_is_told_nothing(tmp_path, monkeypatch):
    serve = """
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
os.setuid(65534)
listener.listen(1)
print(flush=True)
print(listener.accept()[0].recv(1), flush=True)
"""
    address = str(tmp_path / f"s.{workers.TRAINING}")
    command = [sys.executable, "-c", serve, address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        other.stdout.readline()
        assert not workers.Workers()._run(address, Path("a.py"), None, 0)
        assert other.stdout.read() == "b''\n"


def test_a_server_that_was_killed_is_no_obstacle(tmp_path, monkeypatch):
    """Its socket stays, and nobody listens there; the next run's server removes it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REGFOLD_LEASES", str(tmp_path / "leases"))
    first, second = workers.Workers(), workers.Workers()
    first._start({"light": 1})
    (left,) = (tmp_path / "leases").iterdir()
    first.servers[0].kill()
    first.end()
    assert left.exists()
    assert not second._run(str(left), Path("a.py"), None, 0)
    second._start({"light": 1})
    assert not left.exists()
    second.end()


@pytest.mark.parametrize(
    ("kinds", "of_the_user", "at_once", "with_a_job"),
    [
        ({workers.TRAINING: 4}, None, [{workers.TRAINING: 4}], []),
        ({workers.TRAINING: 4, workers.TABLES: 2}, None, [{workers.TRAINING: 4}], [{workers.TABLES: 2}]),
        ({workers.TABLES: 2}, None, [], [{workers.TABLES: 2}]),
        ({workers.TRAINING: 4, workers.TABLES: 2}, "none", [], []),
        ({}, None, [], []),
    ],
)
def test_which_servers_are_started_when(kinds, of_the_user, at_once, with_a_job, monkeypatch):
    monkeypatch.setenv(workers.VARIABLE, of_the_user or "")
    if of_the_user is None:
        monkeypatch.delenv(workers.VARIABLE)
    servers, started = workers.Workers(), []
    monkeypatch.setattr(servers, "_start", started.append)
    servers.start(kinds)
    assert not servers.do(SimpleNamespace(rule="prepare_data"))
    assert started == at_once
    for rule in ("train_fold", "merge_predictions"):
        assert not servers.do(SimpleNamespace(rule=rule))
    assert started == at_once + with_a_job


def test_no_job_begins_after_an_interrupt(tmp_path):
    """Not even one whose thread had not yet reached the server when Ctrl-C came."""
    address, jobs = str(tmp_path / "server"), workers.Workers()
    jobs.addresses = {workers.TABLES: address}
    jobs.interrupt()
    with socket.create_server(address, family=socket.AF_UNIX) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError), listener.accept()[0] as job:
                job.recv(1)
                job.sendall(workers.BEGUN + workers.DONE)

        threading.Thread(target=serve, daemon=True).start()
        with pytest.raises(subprocess.CalledProcessError):
            jobs.do(SimpleNamespace(rule="merge_path", wildcards={}, log=[]))
