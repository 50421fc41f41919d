"""The server that forks workers, and the workers themselves; see regfold.runtime.workers."""

import collections
import contextlib
import functools
import gc
import importlib
import os
import pickle
import runpy
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from regfold.runtime import log, workers

# The modules that a server imports for its workers while it serves.
MODULES = {
    workers.TABLES: (
        "regfold.training.baseline",
        "regfold.data.write_text",
        "regfold.results.oos",
        "regfold.results.saved_model",
        "regfold.results.predictions",
        "regfold.results.training_rows",
        "regfold.results.scores",
        "altair",
        "regfold.report.page",
        "regfold.results.study",
    )
}
# An idle worker ends after this time, as it may hold a GPU that another run waits for.
IDLE_SECONDS = 30.0
# A worker ends once its memory exceeds that after its first job by this factor and by this many bytes.
GROWTH_FACTOR, GROWTH_BYTES = 1.5, 200 << 20


class Server:
    """Passes each job that connects to an idle worker, or to a new one.

    Args:
        listener: the socket to which jobs connect.
        lifeline: the descriptor of a pipe that ends with Snakemake's process.
        most: the most jobs that run at once, and so the most workers.
    """

    def __init__(self, listener: socket.socket, lifeline: int, most: int):
        self.listener, self.lifeline, self.most = listener, lifeline, most
        # A worker is the server's end of its connection.
        self.waiting = collections.deque()  # (job's connection, pool size)
        self.workers = {}  # worker -> pool size
        self.pids = {}  # worker -> process ID
        self.idle = {}  # worker -> since when it is idle, the longest idle one first

    def serve(self, modules: tuple[str, ...] = ()) -> None:
        """Import the modules, serve from the first one on, and end with the lifeline.

        Baselines, which need the first one, are the first jobs of a run: each would import it by itself.
        """
        waiting = collections.deque(modules)
        while True:
            if waiting:
                with contextlib.suppress(ImportError):
                    importlib.import_module(waiting.popleft())
            timeout = 0 if waiting else self._seconds_left()
            ready = select.select([self.listener, self.lifeline, *self.workers], [], [], timeout)[0]
            if self.lifeline in ready:
                return
            for worker in [worker for worker in self.workers if worker in ready]:
                self._hear(worker)
            if self.listener in ready:
                self._accept()
            while self.waiting and self._assign(*self.waiting[0]):
                self.waiting.popleft()
            while self._seconds_left() == 0:
                self._dismiss(next(iter(self.idle)))

    def end(self) -> None:
        """End the idle workers and wait, so that their usage counts as the run's and GPUs are free."""
        pids = [self.pids[worker] for worker in self.idle]
        for worker in list(self.idle):
            self._dismiss(worker)
        for pid in pids:
            with contextlib.suppress(ChildProcessError):  # reaped already
                os.waitpid(pid, 0)

    def _seconds_left(self) -> float | None:
        """Seconds until the next idle worker has to end; None without idle workers."""
        since = next(iter(self.idle.values()), None)
        return None if since is None else max(0.0, since + IDLE_SECONDS - time.monotonic())

    def _accept(self) -> None:
        """Accept a job's connection; its first byte is the size of the thread pool."""
        with contextlib.suppress(OSError):
            job, _ = self.listener.accept()
            job.settimeout(1)  # a job sends its first byte at once
            pool = b""
            with contextlib.suppress(OSError):
                pool = job.recv(1) if workers.is_ours(job) else b""
            job.settimeout(None)
            if pool:
                self.waiting.append((job, pool[0]))
            else:
                job.close()

    def _hear(self, worker: socket.socket) -> None:
        """Read a worker's message that its job is done, or the end of its connection if it has ended."""
        try:
            done = worker.recv(1)
        except OSError:
            done = b""
        if done:
            self.idle[worker] = time.monotonic()
        else:
            self._dismiss(worker)

    def _dismiss(self, worker: socket.socket) -> None:
        """Close the connection to a worker, at which it ends."""
        self.idle.pop(worker, None)
        del self.workers[worker], self.pids[worker]
        worker.close()

    def _assign(self, job: socket.socket, pool: int) -> bool:
        """Pass a job to a worker; False if it has to wait for one."""
        fitting = [worker for worker in self.idle if pool and self.workers[worker] == pool]
        if not fitting and len(self.workers) >= self.most:
            if not self.idle:
                return False
            self._dismiss(next(iter(self.idle)))
        # If no worker can be forked, the end of the connection tells the job to do its work itself.
        with job, contextlib.suppress(OSError):
            worker = fitting[-1] if fitting else self._fork(pool)
            socket.send_fds(worker, [b"s"], [job.fileno()])
            self.idle.pop(worker, None)
        return True

    def _fork(self, pool: int) -> socket.socket:
        """Fork a worker; with a pool size of 0 it does a single job."""
        ours, theirs = socket.socketpair()
        try:
            child = os.fork()
        except OSError:
            ours.close()
            theirs.close()
            raise
        if child == 0:
            for end in (self.listener, ours, *self.workers, *(job for job, _ in self.waiting)):
                end.close()
            os.close(self.lifeline)
            _work(theirs, keep=pool > 0)
        theirs.close()
        self.workers[ours], self.pids[ours] = pool, child
        return ours


def serve(kind: str, listening: int, lifeline: int, most: int) -> NoReturn:
    """Run a server until Snakemake's process ends, and end this process.

    Args:
        kind: of server, see workers.RULES.
        listening: the descriptor of the socket to which jobs connect.
        lifeline, most: see Server.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a worker's cell has a handler of its own
    signal.signal(signal.SIGCHLD, _reap)
    if kind == workers.TRAINING:
        from regfold.runtime import job, processors  # noqa: F401

        processors.load()
        from regfold.training import cell  # noqa: F401
    with socket.socket(fileno=listening) as listener:
        server = Server(listener, lifeline, most)
        try:
            server.serve(MODULES.get(kind, ()))
        finally:
            Path(listener.getsockname()).unlink(missing_ok=True)
    server.end()
    os._exit(0)


def _reap(*_) -> None:
    """Reap the workers that have ended, so that their usage counts as the run's."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _work(server: socket.socket, keep: bool) -> NoReturn:
    """Run a worker until the server closes its connection, and end this process.

    Args:
        server: the connection to the server, through which it passes the jobs' connections.
        keep: whether to do several jobs, one after another.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        first = None
        while descriptors := socket.recv_fds(server, 1, 1)[1]:
            with socket.socket(fileno=descriptors[0]) as job:
                _do(job)
            gc.collect()
            if first is None:
                gc.freeze()  # Looking for garbage in what stays would take 10 ms in each job.
                first = _resident_bytes()
            if not keep or _resident_bytes() > max(GROWTH_FACTOR * first, first + GROWTH_BYTES):
                break
            server.send(b"d")
    finally:
        # Without the clean-up of what was inherited from the server.
        os._exit(0)


def _do(job: socket.socket) -> None:
    """Do a job's work as its script would, with Snakemake's descriptors, folder and environment."""
    try:
        _, (out, error), _, _ = socket.recv_fds(job, 1, 2)
        with job.makefile("rb") as request:
            folder, environment, path, snakemake = pickle.load(request)
        os.chdir(folder)
    except (OSError, ValueError, EOFError, pickle.UnpicklingError):
        return  # Snakemake is gone
    os.environ.update(environment)
    with contextlib.suppress(OSError):  # Snakemake may end at any time
        job.sendall(workers.BEGUN)
        with _descriptors(out, error), _stopping_with(job):
            status = _status(path, snakemake)
        job.sendall(bytes([status]))


@functools.cache
def _main(path: str) -> Callable:
    return runpy.run_path(path)["main"]


def _status(path: str, snakemake) -> int:
    """Call a script's `main`, and return the exit status that its own process would have."""
    try:
        _main(path)(snakemake)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


@contextlib.contextmanager
def _descriptors(out: int, error: int) -> Iterator[None]:
    """Redirect descriptors 1 and 2 to Snakemake's in the block.

    Snakemake's are closed, since their readers wait for their end.
    """
    kept = os.dup(1), os.dup(2)
    for number, given in ((1, out), (2, error)):
        os.dup2(given, number)
        os.close(given)
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = log.stream(1), log.stream(2)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = streams
        for number, own in zip((1, 2), kept, strict=True):
            os.dup2(own, number)
            os.close(own)


@contextlib.contextmanager
def _stopping_with(job: socket.socket) -> Iterator[None]:
    """Treat the end of Snakemake's process in the block as a SIGTERM to this one."""
    lock, over = threading.Lock(), False

    def watch() -> None:
        with contextlib.suppress(OSError):
            job.recv(1)  # a job sends nothing more
        with lock:
            if not over:
                os.kill(os.getpid(), signal.SIGTERM)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        with lock:
            over = True
        job.shutdown(socket.SHUT_RD)
        watcher.join()


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
