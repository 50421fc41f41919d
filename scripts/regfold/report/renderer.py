"""Draws the report's charts, in processes of their own."""

import hashlib
import os
import queue
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from importlib.metadata import version
from multiprocessing import Pipe
from pathlib import Path

from regfold import files
from regfold.errors import RegfoldError
from regfold.report import vega
from regfold.runtime import processors

# A process takes as long to start as to draw four charts.
MOST_PROCESSES = 2


class Renderer:
    """Draws charts side by side in two processes, or in one if there is one processor.

    vl-convert takes a while to start, and holds the interpreter's lock while it draws. So it runs in
    processes of its own, which start while this one still reads the results and end with it, however it ends.

    Attributes:
        javascript: the result of `vega.javascript`.
    """

    def __init__(self):
        self._processes, self._idle = [], queue.SimpleQueue()
        for _ in range(min(MOST_PROCESSES, processors.available())):
            ours, theirs = Pipe()
            with theirs:
                command = [sys.executable, "-P", vega.__file__, str(theirs.fileno())]
                self._processes.append(subprocess.Popen(command, pass_fds=[theirs.fileno()]))
            self._idle.put(ours)
        self._threads = ThreadPoolExecutor(len(self._processes))
        self.javascript: Future[str] = self._threads.submit(self._javascript)

    def __enter__(self) -> "Renderer":
        return self

    def __exit__(self, *_) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        self._threads.shutdown(cancel_futures=True)

    def draw(self, spec: dict) -> Future[tuple[str, bytes]]:
        """Draw a Vega-Lite specification, see `vega.draw`."""
        return self._threads.submit(self._ask, spec)

    def _ask(self, request: dict | None) -> object:
        connection = self._idle.get()
        try:
            connection.send(request)
            answer = connection.recv()
        except (EOFError, OSError) as error:
            raise RuntimeError("the process that draws the charts has ended") from error
        finally:
            self._idle.put(connection)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _javascript(self) -> str:
        """The program from the user's cache; or else made, which takes a second, and cached if possible."""
        path = cache_file()
        with suppress(OSError, ValueError):
            digest, _, text = path.read_text(encoding="utf-8").partition("\n")
            if digest == _sha256(text):
                return text
        text = self._ask(None)
        with suppress(RegfoldError), files.atomic(path) as temporary:
            temporary.write_text(f"{_sha256(text)}\n{text}", encoding="utf-8")
        return text


def cache_file() -> Path:
    """The cache file of the program, shared by a user's studies; it begins with the digest of the program.

    It is not kept in the study, whose files may come from another person: browsers run this program.
    """
    named = os.environ.get("XDG_CACHE_HOME", "")
    try:  # The XDG Base Directory Specification has a relative path ignored.
        folder = Path(named if Path(named).is_absolute() else "~/.cache").expanduser()
    except RuntimeError:  # a user without a home, as in some containers
        folder = Path(os.devnull)
    return folder / "regfold" / f"vega-lite-{vega.LITE_VERSION}-vl-convert-{version('vl-convert-python')}.txt"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
