"""How much memory there is, so that a table that does not fit is refused before it is unfolded."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

# Of the memory at hand a table may take this share, as text and once more as a matrix: prepare_data holds it
# once, and so does each training job, while the page cache keeps the file.
SHARE = 0.5


def budget() -> int:
    """Bytes that a table may take: a share of what is free, or of a control group's limit where less."""
    return int(SHARE * min(psutil.virtual_memory().available, *group_limits()))


def group_limits(root: Path = Path("/")) -> Iterator[int]:
    """Bytes of each memory limit of this process' control groups, as Slurm and containers set them (Linux).

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
            # A container sees the host's path of its group, but the group itself at the top.
            for folder in (group, *group.parents):
                with suppress(OSError, ValueError):  # "max" is no limit
                    yield int(
                        (folder / ("memory.limit_in_bytes" if controllers else "memory.max")).read_text()
                    )
                if folder == top:
                    break


def size(n_bytes: float) -> str:
    """Bytes for people: `288.0 MB`, `5.1 GB`."""
    return f"{n_bytes / 1e9:,.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:,.1f} MB"
