"""Identifies a process, so that another process can tell whether it is still alive."""

import os
import socket
from contextlib import suppress
from pathlib import Path

# Processes with equal values of these share one space of process IDs.
PLACE = ("host", "boot", "pid_namespace")


def identity() -> dict:
    """This process, for JSON: host and process ID; on Linux also boot ID, PID namespace and start time.

    Host and process ID are not enough: containers can share a hostname, and each counts process IDs from 1.
    """
    found = {"host": socket.gethostname(), "pid": os.getpid(), "pid_started": _started(os.getpid())}
    with suppress(OSError):
        found["boot"] = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        found["pid_namespace"] = str(Path("/proc/self/ns/pid").readlink())
    return found


def alive(process: dict) -> bool:
    """Whether the process with this `identity` may be alive; True if it cannot be seen from here."""
    here = identity()
    if any(process[name] != here.get(name) for name in PLACE if name in process):
        return True
    try:
        os.kill(process["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it exists, but belongs to another user
        pass
    now = _started(process["pid"])
    return now in (None, process.get("pid_started", now))


def _started(pid: int) -> int | None:
    """The start time of a process, in ticks since the boot; -1 for a zombie, None if it is not known."""
    try:
        # The second field, the program's name in brackets, may itself contain blanks and brackets.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return -1 if fields[0] in "ZX" else int(fields[19])
