"""Workers: processes that live as long as a run, and do the work of one job's script after another.

Importing TensorFlow takes longer than training a small network, and so does tracing and compiling it. So
Snakemake's process starts a server, which imports Keras while the table is read and split, and forks workers
when they are needed, at most as many as jobs run at once. A job's script connects to the server, hands over
its descriptors and arguments, and waits. A worker keeps what it has compiled, and on a GPU the device.

    Snakemake -- starts --> server -- forks --> worker, another worker, ...
        |                                          |
        +------- starts --> script -- waits for ---+

Failure isolation: a script that ends or is asked to stop lets its cell save and stop; its worker goes on. A
worker that dies costs its job one line and a second try. The server ends with Snakemake, and the workers end
with the server, each after its job. Without a server (on a cluster, in containers, on macOS, or where one
cannot be had) a script does the work itself, which is the same work.

multiprocessing's forkserver does not carry: it serves descendants alone and not the scripts that Snakemake
starts, does not outlive a fork that fails, and has every child import Snakemake.
"""

import contextlib
import errno
import os
import pickle
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from regfold.errors import RegfoldError
from regfold.formatting import visible
from regfold.runtime.signals import on_request_to_stop

# Where the servers' sockets are, for the scripts; "none" from the user: there are to be no workers.
VARIABLE = "REGFOLD_WORKERS"
# A server for the rules that train, and one for those that need pandas, scikit-learn and Altair.
TRAINING, TABLES = "training", "tables"
RULES = {
    TRAINING: {"train_fold"},
    TABLES: {"fit_baseline", "merge_predictions", "merge_path", "score_predictions", "render_report"},
}
SCRIPT = Path(__file__).parents[2] / "workers.py"
BEGUN = b"b"


class Workers:
    """Snakemake's side: starts the servers, and ends them."""

    def __init__(self):
        self.servers, self.lifeline = [], None

    def start(self, kinds: dict[str, int]) -> None:
        """Start a server of each kind, for as many jobs at once; on Linux, unless the user wants none."""
        if os.environ.get(VARIABLE) == "none":
            return
        os.environ.pop(VARIABLE, None)
        if not kinds or sys.platform != "linux":
            return
        try:
            self._start(kinds)
        except (OSError, RegfoldError) as error:
            print(f"regfold: warning: {visible(error)}; each job does its work itself", file=sys.stderr)

    def _start(self, kinds: dict[str, int]) -> None:
        import secrets  # here: not what every script needs

        from regfold.runtime import gpu

        folder = gpu.lease_folder()
        _remove_orphans(folder)
        address = str(folder / secrets.token_hex(8))
        Path(".regfold").mkdir(exist_ok=True)
        # The servers read from the pipe and see its end when this process ends, however it ends.
        end, self.lifeline = os.pipe()
        try:
            for kind, most in kinds.items():
                path = Path(f".regfold/{kind}-workers.log")
                with socket.socket(socket.AF_UNIX) as listener, path.open("w") as log_file:
                    listener.bind(f"{address}.{kind}")
                    listener.listen(1024)
                    server = subprocess.Popen(
                        [sys.executable, str(SCRIPT), kind, str(listener.fileno()), str(end), str(most)],
                        pass_fds=(listener.fileno(), end),
                        stdin=subprocess.DEVNULL,
                        stdout=log_file,
                        stderr=log_file,
                    )
                    self.servers.append(server)
        finally:
            os.close(end)
        os.environ[VARIABLE] = address

    def end(self) -> None:
        """Let the servers end, and with them the workers, each after its job."""
        if self.lifeline is not None:
            os.close(self.lifeline)
            self.lifeline = None
        for server in self.servers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(timeout=1)
        self.servers = []


def _remove_orphans(folder: Path) -> None:
    """Remove the sockets of servers that were killed: nobody listens there any more."""
    for path in [path for path in folder.iterdir() if path.is_socket()]:
        with socket.socket(socket.AF_UNIX) as connection, contextlib.suppress(OSError):
            if connection.connect_ex(str(path)) == errno.ECONNREFUSED:
                path.unlink()


def run(main: Callable, snakemake, kind: str, pool: Callable = lambda snakemake: 0) -> None:
    """Do the work of a job's script: in a worker, or in this process where there is none.

    Args:
        main: of a script, which can be loaded from its file: main(snakemake).
        snakemake: what Snakemake gives to the script.
        kind: of server.
        pool: pool(snakemake) is the size of TensorFlow's thread pool, which a process decides once; 0: the
            worker has none, and does this one job.
    """
    for attempt in (1, 2):
        connection = _connect(main, snakemake, kind, pool)
        if connection is None:
            main(snakemake)
            return
        asked = []
        with connection, on_request_to_stop(lambda: _ask_to_stop(connection, asked)):  # noqa: B023
            try:
                status = connection.recv(1)
            except OSError:
                status = b""
        if status:
            if status[0]:
                sys.exit(status[0])
            return
        if asked:
            _say(snakemake, "error: stopped before its work was done")
            sys.exit(1)
        if attempt == 1:
            _say(snakemake, "the process that worked on this job was killed; another one takes over")
    _say(snakemake, "error: the process that worked on this job was killed, twice")
    sys.exit(1)


def _say(snakemake, text: str) -> None:
    """One line, on the terminal and in the job's log."""
    values = ", ".join(f"{name} {value}" for name, value in snakemake.wildcards.items())
    line = visible(f"regfold: {f'{values}: ' if values else ''}{text}")
    print(line, file=sys.stderr, flush=True)
    with contextlib.suppress(OSError), Path(snakemake.log[0]).open("a", encoding="utf-8") as log:
        print(line, file=log)


def _ask_to_stop(connection: socket.socket, asked: list) -> None:
    asked.append(True)
    with contextlib.suppress(OSError):  # it may just have ended, with its answer on the way
        connection.shutdown(socket.SHUT_WR)


def _connect(main: Callable, snakemake, kind: str, pool: Callable) -> socket.socket | None:
    """A connection to a worker that has begun; None if there is no server, or it has no worker to give."""
    address = os.environ.get(VARIABLE, "none")
    if address == "none":
        return None
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(f"{address}.{kind}")
        if is_ours(connection):
            connection.sendall(bytes([pool(snakemake)]))
            socket.send_fds(connection, [b"f"], [1, 2])
            script = main.__globals__["__file__"]
            connection.sendall(pickle.dumps((Path.cwd(), dict(os.environ), script, snakemake)))
            if connection.recv(1) == BEGUN:
                return connection
    except (OSError, ValueError, KeyError):
        pass  # what is wrong with a file, the work itself will say, in its log
    connection.close()
    return None


def is_ours(connection: socket.socket) -> bool:
    """Whether a process of this user is at the other end: only then is anything given or believed."""
    _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return user == os.getuid()
