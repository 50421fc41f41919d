"""Which process wrote a file, in such a way that another one can tell whether it is still there."""

import os
import socket
from contextlib import suppress
from pathlib import Path

# Where process IDs mean the same.
PLACE = ("host", "boot", "pid_namespace")


def identity() -> dict:
    """This process, for JSON: host and process ID; on Linux also the kernel's boot, namespace and start time.

    Hostnames repeat, as in pods and containers, and so do process IDs, which count anew in each container.
    """
    found = {"host": socket.gethostname(), "pid": os.getpid(), "pid_started": _started(os.getpid())}
    with suppress(OSError):
        found["boot"] = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        found["pid_namespace"] = str(Path("/proc/self/ns/pid").readlink())
    return found


def alive(process: dict) -> bool:
    """Whether the process of an `identity` may still be there; elsewhere it may, for nobody can tell."""
    here = identity()
    if any(process[name] != here.get(name) for name in PLACE if name in process):
        return True
    try:
        os.kill(process["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    now = _started(process["pid"])
    return now in (None, process.get("pid_started", now))


def _started(pid: int) -> int | None:
    """When a process started, in ticks since the boot; -1 for a zombie, None where it is not known."""
    try:
        # The second field, the program's name, may hold blanks and brackets.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return -1 if fields[0] in "ZX" else int(fields[19])
