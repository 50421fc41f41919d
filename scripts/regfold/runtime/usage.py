"""What a process used of time and memory, as the kernel counts it, in the columns of Snakemake's benchmarks.

Snakemake's own `benchmark:` looks now and then at the process that it started, and so misses peaks, and all
that a worker does.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

from regfold import files


@contextmanager
def recorded(path: str | os.PathLike) -> Iterator[None]:
    """Write the file when the block ends, if it ends well: what the process used in the block."""
    with suppress(OSError):  # From here on, the kernel counts the peak of resident memory anew.
        Path("/proc/self/clear_refs").write_text("5")
    begun, clock = _counted(), time.monotonic()
    yield
    used = {name: number - begun.get(name, 0) for name, number in _counted().items()}
    with files.atomic(path) as temporary:
        temporary.write_text(_table(time.monotonic() - clock, used))


def _counted() -> dict[str, float]:
    """What the process has used until now: seconds of processors, children's too; bytes read and written."""
    return {"processor": sum(os.times()[:4]), **_fields("/proc/self/io")}


def _table(seconds: float, used: dict[str, float]) -> str:
    """A header and a line: seconds, MB, and the processor's share in percent; NA: not known here."""
    memory = _fields("/proc/self/status")
    columns = {
        "s": f"{seconds:.4f}",
        "h:m:s": str(timedelta(seconds=int(seconds))),
        "max_rss": _megabytes(memory.get("VmHWM"), 2**10),
        "max_vms": _megabytes(memory.get("VmPeak"), 2**10),
        "max_uss": "NA",
        "max_pss": "NA",
        "io_in": _megabytes(used.get("read_bytes"), 2**20),
        "io_out": _megabytes(used.get("write_bytes"), 2**20),
        "mean_load": f"{100 * used['processor'] / seconds:.2f}",
        "cpu_time": f"{used['processor']:.2f}",
    }
    return "\t".join(columns) + "\n" + "\t".join(columns.values()) + "\n"


def _fields(path: str) -> dict[str, int]:
    """The numbers of a file of `name: number` lines; none where there is no such file."""
    found = {}
    with suppress(OSError):
        for line in Path(path).read_text().splitlines():
            name, _, rest = line.partition(":")
            if rest.split() and rest.split()[0].isdecimal():
                found[name] = int(rest.split()[0])
    return found


def _megabytes(count: int | None, per_megabyte: int) -> str:
    return "NA" if count is None else f"{count / per_megabyte:.2f}"
