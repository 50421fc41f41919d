"""A process that has imported Keras and forks one process for each call: a cell then starts in no time.

Importing TensorFlow takes longer than training a small network, and on a laptop every cell would pay for it.
So Snakemake's process starts a server, which imports Keras while the table is read and split. A job's script
connects to it, hands over its log and its terminal, and waits for the forked process as it would for itself.
Each cell still has a process of its own, with threads, signals and memory of its own.

    Snakemake -- starts --> server -- forks --> a cell's process
        |                                            |
        +------- starts --> script -- waits for -----+

Whoever dies takes nothing with it that it should not: the server ends with Snakemake, a cell's process saves
its state and ends when its script is gone, and a script without a server does the work itself. That is also
what happens on a cluster, on machines with GPUs (CUDA is not to be forked) and elsewhere than on Linux.
"""

import contextlib
import os
import pickle
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn, TextIO

from regfold.errors import RegfoldError
from regfold.runtime import log
from regfold.runtime.signals import on_request_to_stop

# Names the server's socket for the scripts; "none" from the user: there is to be no server.
VARIABLE = "REGFOLD_FORK_SERVER"
SCRIPT = Path(__file__).parents[2] / "fork_server.py"
LOG = Path(".regfold/fork_server.log")
BEGUN, STOP = "begun", "stop"


class ForkServer:
    """Snakemake's side: starts the server where cells are going to be trained here, and ends it."""

    def __init__(self):
        self.process = self.lifeline = None

    def start(self, workflow, rules: set[str], gpus: int) -> None:
        """Start the server if it is of use.

        Args:
            workflow: Snakemake's, about to run its jobs.
            rules: the server is started where a job of one of these is to run.
            gpus: GPU slots of this machine.
        """
        local = workflow.is_main_process and workflow.resource_settings.nodes is None
        deployed = workflow.deployment_settings.deployment_method
        if os.environ.get(VARIABLE) == "none":
            return
        os.environ.pop(VARIABLE, None)
        if sys.platform != "linux" or gpus or not local or deployed or workflow.touch:
            return
        if rules.isdisjoint(job.rule.name for job in workflow.dag.needrun_jobs()):
            return
        # Without a server every script does its work itself: it must not be what stops a run.
        with contextlib.suppress(OSError):
            self._start()

    def _start(self) -> None:
        LOG.parent.mkdir(parents=True, exist_ok=True)
        # The server reads from the pipe and sees its end when this process ends, however it ends.
        end, self.lifeline = os.pipe()
        with socket.socket(socket.AF_UNIX) as listener, LOG.open("w") as log_file:
            listener.bind("")  # a name that the kernel makes up and no file stands for
            listener.listen(1024)
            self.process = subprocess.Popen(
                [sys.executable, str(SCRIPT), str(listener.fileno()), str(end)],
                pass_fds=(listener.fileno(), end),
                stdin=subprocess.DEVNULL,
                stdout=log_file,
                stderr=log_file,
            )
            os.environ[VARIABLE] = listener.getsockname()[1:].decode()
        os.close(end)

    def end(self) -> None:
        """Let the server end. Processes that it has forked go on."""
        if self.process is not None:
            os.close(self.lifeline)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=1)
            self.process = None


def call(function: Callable[..., None], terminal: TextIO, **arguments: Any) -> None:
    """Call `function(terminal=terminal, **arguments)` in a forked process, or in this one without a server.

    Args:
        function: of a module of this package.
        terminal: a file with a descriptor; like descriptors 1 and 2 it is the forked process' as well.
        arguments: what can be pickled.

    Raises:
        RegfoldError: what the function raised; or its process was killed.
        Exception: what else it raised; the forked process has printed the traceback.
    """
    connection = _connect(terminal, (function, arguments))
    if connection is None:
        function(terminal=terminal, **arguments)
        return
    with connection, on_request_to_stop(lambda: _tell_to_stop(connection)):
        try:
            problem = connection.recv()
        except (EOFError, OSError):
            problem = RegfoldError("the training process was killed; it goes on from its last checkpoint")
    if problem is not None:
        raise problem


def _tell_to_stop(connection: Connection) -> None:
    with contextlib.suppress(OSError):  # it may just have ended, with its answer on the way
        connection.send(STOP)


def _connect(terminal: TextIO, request: tuple) -> Connection | None:
    """A connection to a forked process that has begun with the request; None if there is no server."""
    address = os.environ.get(VARIABLE, "none")
    if address == "none":
        return None
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.connect(f"\0{address}")
            socket.send_fds(server, [b"f"], [1, 2, terminal.fileno()])
            connection = Connection(server.detach())
        connection.send((Path.cwd(), dict(os.environ), pickle.dumps(request)))
        if connection.recv() == BEGUN:
            return connection
    except (EOFError, OSError):
        pass
    return None


def serve(listening: int, lifeline: int) -> NoReturn:
    """Accept connections on a socket until the pipe `lifeline` ends (both are file descriptors)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the cells
    signal.signal(signal.SIGCHLD, _reap)
    from regfold.runtime import processors

    processors.load()
    from regfold.runtime import job  # noqa: F401
    from regfold.training import cell  # noqa: F401

    with socket.socket(fileno=listening) as listener:
        while lifeline not in select.select([listener, lifeline], [], [])[0]:
            script, _ = listener.accept()
            if _is_ours(script) and os.fork() == 0:
                listener.close()
                os.close(lifeline)
                _answer(script)
            script.close()
    os._exit(0)


def _is_ours(script: socket.socket) -> bool:
    """Whether a process of this user is at the other end; it will have us run what it likes."""
    _, user, _ = struct.unpack("3i", script.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return user == os.getuid()


def _reap(*_) -> None:
    """Take note of the forked processes that have ended, so that what they used is counted as the run's."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _answer(script: socket.socket) -> NoReturn:
    """In the forked process: do what the script at the other end asks for, as if it did it itself."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, descriptors, _, _ = socket.recv_fds(script, 1, 3)
    for number, descriptor in zip((1, 2), descriptors, strict=False):
        os.dup2(descriptor, number)
    connection = Connection(script.detach())
    folder, environment, request = connection.recv()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    connection.send(BEGUN)
    threading.Thread(target=_stop_when_told, args=(connection,), daemon=True).start()
    sys.stdout, sys.stderr, terminal = log.stream(1), log.stream(2), log.lines(descriptors[2])
    problem = None
    try:
        function, arguments = pickle.loads(request)
        function(terminal=terminal, **arguments)
    except RegfoldError as error:
        problem = RegfoldError(str(error))
    except BaseException as error:
        traceback.print_exc()
        plain = type(error).__module__ == "builtins" and isinstance(error, Exception)
        problem = error if plain else RuntimeError(f"{type(error).__name__}: {error}")
    for stream in (sys.stdout, sys.stderr, terminal):
        stream.flush()
    with contextlib.suppress(OSError):
        connection.send(problem)
    # No clean-up of what was inherited from the server.
    os._exit(0)


def _stop_when_told(connection: Connection) -> None:
    """A request to stop, or the script's end: for the main thread the same as a scheduler's SIGTERM."""
    with contextlib.suppress(EOFError, OSError):
        connection.recv()
    os.kill(os.getpid(), signal.SIGTERM)
