"""Workers: processes that live as long as a run and do the work of many jobs' scripts, one after another.

Importing TensorFlow takes longer than training a small network, and so does tracing and compiling it. So
Snakemake's process starts a server, which imports Keras while the table is read and split, and forks workers
when they are needed, at most as many as jobs run at once. A job's thread in Snakemake's process connects to
the server, hands over its descriptors and arguments, and waits. A worker keeps what it has compiled, and on a
GPU the device. No job has to start Python and to import anything.

    Snakemake -- starts --> server -- forks --> worker, another worker, ...
        |                                          |
        +---- a job's thread -- waits for ---------+

Failure isolation: at Ctrl-C, or when Snakemake's process ends, each cell saves its state and stops, and a job
that waits for a worker is not begun. A worker that dies costs its job one line and a second try. The server
ends with Snakemake, and the workers end with the server. Without a server (on a cluster, in containers, on
macOS, or if one cannot be started) Snakemake starts the job's script, which does the same work itself.

multiprocessing's forkserver cannot be used: it ends when a fork fails, and makes every child import
Snakemake.
"""

import contextlib
import errno
import os
import pickle
import secrets
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

from regfold.errors import RegfoldError
from regfold.formatting import visible
from regfold.provenance.code import SCRIPTS
from regfold.runtime import gpu, processors

# The environment variable with which the user turns workers off ("none").
VARIABLE = "REGFOLD_WORKERS"
# One server is for the rules that train, the other for those that use pandas, scikit-learn and Altair.
TRAINING, TABLES = "training", "tables"
RULES = {
    TRAINING: {"train_fold", "refit_model", "measure_importance"},
    TABLES: {
        "fit_baseline",
        "merge_predictions",
        "merge_path",
        "save_model",
        "score_predictions",
        "render_report",
    },
}
# A worker answers BEGUN, and at the end the exit status of the script as one byte.
BEGUN, DONE = b"b", b"\0"


class Workers:
    """Snakemake's side: starts the servers, hands jobs over, and ends the servers.

    Attributes:
        servers: the servers' processes.
        addresses: kind of server -> the path of its socket.
        lifelines: descriptors of pipes whose other ends the servers read; they end with this process.
    """

    def __init__(self):
        self.servers, self.addresses, self.lifelines = [], {}, []
        self._later, self._lock = {}, threading.Lock()
        self._connections, self._interrupted = set(), False

    def started(self, kinds: dict[str, int]) -> "Workers":
        """Start the servers if they are not started; called for each job of a group, from any thread.

        They are not started earlier, as some of the processes that read the Snakefile run no job.

        Args:
            kinds: see `start`.
        """
        with self._lock:
            if not self.servers:
                self.start(kinds)
        return self

    def start(self, kinds: dict[str, int]) -> None:
        """Start the servers, on Linux, unless the user turned workers off.

        The server for tables starts with the first job that a server does. Until then the processors are left
        to what all jobs wait for: the table's preparation, and the import of Keras.

        Args:
            kinds: kind of server -> the most jobs that it runs at once.
        """
        if sys.platform == "linux" and os.environ.get(VARIABLE) != "none":
            self._stop_at_ctrl_c()
            self._later = {kind: most for kind, most in kinds.items() if kind != TRAINING}
            self._try_to_start({kind: kinds[kind] for kind in kinds if kind == TRAINING})

    def _stop_at_ctrl_c(self) -> None:
        """Have a Ctrl-C, which a worker ignores between two jobs, stop all jobs before anything else."""
        before = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is threading.main_thread() and callable(before):

            def interrupted(*arguments) -> None:
                self.interrupt()
                before(*arguments)

            signal.signal(signal.SIGINT, interrupted)

    def _try_to_start(self, kinds: dict[str, int]) -> None:
        try:
            if kinds:
                self._start(kinds)
        except (OSError, RegfoldError) as error:
            self._later = {}  # nor could the other one be started
            print(f"regfold: warning: {visible(error)}; each job does its work itself", file=sys.stderr)

    def _start(self, kinds: dict[str, int]) -> None:
        folder = gpu.lease_folder()
        _remove_orphans(folder)
        address = str(folder / secrets.token_hex(8))
        Path(".regfold").mkdir(exist_ok=True)
        # The servers read from the pipe and see its end when this process ends, however it ends.
        end, lifeline = os.pipe()
        self.lifelines.append(lifeline)
        try:
            for kind, most in kinds.items():
                path = Path(f".regfold/{kind}-workers.log")
                with socket.socket(socket.AF_UNIX) as listener, path.open("w") as log_file:
                    listener.bind(f"{address}.{kind}")
                    listener.listen(1024)
                    command = [sys.executable, SCRIPTS / "workers.py", kind, listener.fileno(), end, most]
                    server = subprocess.Popen(
                        list(map(str, command)),
                        pass_fds=(listener.fileno(), end),
                        stdin=subprocess.DEVNULL,
                        stdout=log_file,
                        stderr=log_file,
                    )
                    self.servers.append(server)
                    self.addresses[kind] = f"{address}.{kind}"
        finally:
            os.close(end)

    def do(self, snakemake) -> bool:
        """Let a worker do a job's work, and wait for it.

        Args:
            snakemake: the object that Snakemake passes to the job's script.

        Returns:
            True if the work is done; False if there is no worker for it, so that the job has to do it itself.

        Raises:
            subprocess.CalledProcessError: if the work failed, as when a script fails.
        """
        kind = next((kind for kind, rules in RULES.items() if snakemake.rule in rules), None)
        if kind is None:
            return False
        with self._lock:
            later, self._later = self._later, {}
            self._try_to_start(later)
        if kind not in self.addresses:
            return False
        script = "train_fold" if snakemake.rule == "refit_model" else snakemake.rule
        try:
            pool = _pool(snakemake) if script == "train_fold" else 0
        except (OSError, RegfoldError):
            return False  # the job itself will report in its log what is wrong with the file
        done = self._run(self.addresses[kind], SCRIPTS / f"{script}.py", snakemake, pool)
        if self._interrupted and not done:
            raise subprocess.CalledProcessError(1, script)
        return done

    def interrupt(self) -> None:
        """Stop all jobs, also those that wait for a worker: each saves its state, and fails."""
        self._interrupted = True
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_WR)

    def _run(self, address: str, script: Path, snakemake, pool: int) -> bool:
        """Let a worker do the work of a job's script.

        Args:
            address: path of the server's socket.
            script: a file with a function main(snakemake).
            snakemake: the object that Snakemake passes to the script.
            pool: the size of TensorFlow's thread pool, which a process sets once; 0 for a worker that does
                this one job.

        Returns:
            True if the work is done; False if there is no worker, so that the job has to do it itself.

        Raises:
            subprocess.CalledProcessError: if the work failed.
        """
        for attempt in (1, 2):
            with socket.socket(socket.AF_UNIX) as connection:
                try:
                    connection.connect(address)
                except OSError:
                    return False
                self._connections.add(connection)
                try:
                    if self._interrupted:  # before the connection was there to be stopped
                        raise subprocess.CalledProcessError(1, str(script))
                    status = _ask(connection, script, snakemake, pool)
                finally:
                    self._connections.discard(connection)
            if status is None or status == DONE:
                return status == DONE
            if status or self._interrupted:
                raise subprocess.CalledProcessError(status[0] if status else 1, str(script))
            if attempt == 1:
                _say(snakemake, "the process that worked on this job was killed; another one takes over")
        _say(snakemake, "error: the process that worked on this job was killed, twice")
        raise subprocess.CalledProcessError(1, str(script))

    def end(self) -> None:
        """End the servers, and with them the workers, each after its current job."""
        for lifeline in self.lifelines:
            os.close(lifeline)
        until = time.monotonic() + 1
        while any(server.poll() is None for server in self.servers) and time.monotonic() < until:
            time.sleep(0.005)  # `Popen.wait` polls only every 50 ms
        self.servers, self.addresses, self.lifelines, self._later = [], {}, [], {}


def _pool(snakemake) -> int:
    """The size of the thread pool that a worker must have for this training, see processors.pool_of."""
    return processors.pool_of(snakemake.params.spec, Path(snakemake.input.fold), Path(snakemake.input.schema))


def _remove_orphans(folder: Path) -> None:
    """Remove the sockets of servers that were killed, which refuse connections."""
    for path in [path for path in folder.iterdir() if path.is_socket()]:
        with socket.socket(socket.AF_UNIX) as connection, contextlib.suppress(OSError):
            if connection.connect_ex(str(path)) == errno.ECONNREFUSED:
                path.unlink()


def _say(snakemake, text: str) -> None:
    """Print one line on the terminal and append it to the job's log."""
    values = ", ".join(f"{name} {value}" for name, value in snakemake.wildcards.items())
    line = visible(f"regfold: {f'{values}: ' if values else ''}{text}")
    print(line, file=sys.stderr, flush=True)
    with contextlib.suppress(OSError), Path(snakemake.log[0]).open("a", encoding="utf-8") as log:
        print(line, file=log)


def _ask(connection: socket.socket, script: Path, snakemake, pool: int) -> bytes | None:
    """Let a worker do a job, and wait for its answer; arguments as of `Workers._run`.

    Returns:
        DONE, an exit status as one byte, or b"" if the worker was killed; None if the server is another
        user's, or has no worker.
    """
    begun = False
    try:
        if is_ours(connection):
            connection.sendall(bytes([pool]))
            socket.send_fds(connection, [b"f"], [1, 2])
            connection.sendall(pickle.dumps((Path.cwd(), dict(os.environ), str(script), snakemake)))
            begun = connection.recv(1) == BEGUN
        return connection.recv(1) if begun else None
    except OSError:
        return b"" if begun else None


def is_ours(connection: socket.socket) -> bool:
    """Whether the process at the other end is this user's; no other one is trusted."""
    _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return user == os.getuid()
