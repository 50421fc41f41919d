"""Time and memory that a process used, as the kernel counts it, in the columns of Snakemake's benchmarks.

Snakemake's own `benchmark:` samples the process that it started, so it misses peaks, and everything that a
worker does.
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
    """Write what the process uses in the block to the file `path`, unless the block raises.

    Raises:
        RegfoldError: if the file cannot be written.
    """
    with suppress(OSError):  # resets the kernel's peak of resident memory
        Path("/proc/self/clear_refs").write_text("5")
    begun, clock = _counted(), time.monotonic()
    yield
    used = {name: number - begun.get(name, 0) for name, number in _counted().items()}
    with files.atomic(path) as temporary:
        temporary.write_text(_table(time.monotonic() - clock, used))


def _counted() -> dict[str, float]:
    """What the process has used so far: processor seconds (children's too), bytes read and written."""
    return {"processor": sum(os.times()[:4]), **_fields("/proc/self/io")}


def _table(seconds: float, used: dict[str, float]) -> str:
    """The file's header and line: seconds, MB, processor load in percent; NA for what is not known."""
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
    """The numbers of a file with lines `name: number`; {} if it does not exist."""
    found = {}
    with suppress(OSError):
        for line in Path(path).read_text().splitlines():
            name, _, rest = line.partition(":")
            if rest.split() and rest.split()[0].isdecimal():
                found[name] = int(rest.split()[0])
    return found


def _megabytes(count: int | None, per_megabyte: int) -> str:
    return "NA" if count is None else f"{count / per_megabyte:.2f}"
