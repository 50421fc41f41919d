"""How much memory is free, so that a table that does not fit is refused before it is encoded."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

# The share of free memory that a table may take as text, and again as a matrix: prepare_data and each
# training job hold it once, and the page cache holds the file.
SHARE = 0.5


def budget() -> int:
    """Bytes that a table may take: a share of free memory, or of a control group's limit if that is less."""
    return int(SHARE * min(psutil.virtual_memory().available, *group_limits()))


def group_limits(root: Path = Path("/")) -> Iterator[int]:
    """The memory limits, in bytes, of this process' control groups, as Slurm and containers set them (Linux).

    Args:
        root: the folder that holds proc/ and sys/.
    """
    with suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "memory" not in controllers.split(","):
                continue
            top = root / "sys/fs/cgroup" / ("memory" if controllers else "")
            group = top / path.lstrip("/")
            # In a container, the path is the host's, but the group itself is mounted at the top.
            for folder in (group, *group.parents):
                with suppress(OSError, ValueError):  # "max" means no limit
                    yield int(
                        (folder / ("memory.limit_in_bytes" if controllers else "memory.max")).read_text()
                    )
                if folder == top:
                    break


def size(n_bytes: float) -> str:
    """A number of bytes as text: `288.0 MB`, `5.1 GB`."""
    return f"{n_bytes / 1e9:,.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:,.1f} MB"
