"""One GPU for one cell: a lease on a GPU slot, taken before TensorFlow starts.

Snakemake counts GPUs but does not assign them, and TensorFlow takes every GPU that it sees. So each training
process locks the file of one slot on its machine and makes that GPU alone visible to TensorFlow. The kernel
releases the lock when the process ends, however it ends.

Environment variables: CUDA_VISIBLE_DEVICES (only these GPUs are used; numbers as in `nvidia-smi -L`),
REGFOLD_GPUS (all, none, or the most GPUs to use), REGFOLD_JOBS_PER_GPU (slots per GPU, by default 1),
REGFOLD_LEASES (the folder of the locks, local to the machine).
"""

import contextlib
import ctypes
import importlib.util
import os
import platform
import random
import re
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from regfold import locks
from regfold.errors import RegfoldError, quote
from regfold.runtime.nvml import DriverError, Gpu, entries, find_gpus, visible_gpus, warn

if TYPE_CHECKING:
    from filelock import FileLock

# The ID of a scheduler's job. Jobs share no slots, even if their GPUs have the same names.
ALLOCATIONS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "FLUX_JOB_ID")
POLL_SECONDS = (0.2, 0.6)


@dataclass
class Lease:
    """The GPU slot of a training process, or none.

    Attributes:
        device: the GPU or processor, for cell.json, see `lease`.
        lock: the lock of the slot; None on a processor.
    """

    device: dict = field(default_factory=lambda: {"kind": "CPU", "name": processor()})
    lock: "FileLock | None" = None

    def confirm(self, seen: list[str]) -> None:
        """Update `device` after TensorFlow's start, and release the slot if TensorFlow sees no GPU.

        Args:
            seen: the names of the GPUs that TensorFlow sees.
        """
        if seen:
            self.device |= {"kind": "GPU", "name": seen[0]}
        elif self.device["kind"] == "GPU":
            warn(
                f"TensorFlow does not see the GPU {self.device['uuid']}; this cell is trained on the CPU. "
                "`uv sync --extra gpu` installs the CUDA libraries; REGFOLD_GPUS=none asks for no GPU"
            )
            self.device = {"kind": "CPU", "name": processor()}
            self.release()

    def release(self) -> None:
        """Release the slot."""
        if self.lock is not None and self.lock.is_locked:
            # filelock detects that a file was removed before it was locked, and locks the new file instead.
            Path(self.lock.lock_file).unlink(missing_ok=True)
            self.lock.release()


@contextlib.contextmanager
def lease(on_wait: Callable[[], None] = lambda: None) -> Iterator[Lease]:
    """Hold one GPU slot of this machine in the block; wait for one if all are taken.

    Enter it before TensorFlow is imported and leave it when the process ends, as TensorFlow keeps its GPU
    memory until then.

    Args:
        on_wait: called once if all slots are taken.

    Yields:
        The lease. Its `device` is `{"kind": "GPU", "name", "uuid", "slot"}` (slots count from 1), or, without
        a wait, `{"kind": "CPU", "name"}` if there is no GPU to use.

    Raises:
        RegfoldError: if REGFOLD_GPUS or REGFOLD_JOBS_PER_GPU is invalid, or if there are GPUs but the folder
            of their locks cannot be used.
    """
    held, environment = Lease(), {}
    try:
        gpus = usable_gpus()
    except DriverError as error:
        warn(f"{error}; this cell is trained on the CPU")
        gpus, environment = [], {"CUDA_VISIBLE_DEVICES": "-1"}
    if gpus:
        held = _take(gpus, jobs_per_gpu(), on_wait)
        environment = {"CUDA_VISIBLE_DEVICES": held.device["uuid"], "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    elif gpu_limit() == 0:
        environment = {"CUDA_VISIBLE_DEVICES": "-1"}
    before = {name: os.environ.get(name) for name in environment}
    os.environ |= environment
    try:
        yield held
    finally:
        held.release()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def local_gpus() -> int:
    """How many cells may train at once on this machine's GPUs; 0 without GPUs, where the cores decide."""
    try:
        slots = len(usable_gpus()) * jobs_per_gpu()
    except DriverError as error:
        warn(f"{error}; cells are trained on the CPU")
        return 0
    except ModuleNotFoundError:  # no pynvml beside Snakemake: jobs have environments of their own, or dry run
        return 0
    if slots and not cuda_libraries():
        warn("there are GPUs, but TensorFlow's CUDA libraries are not installed (`uv sync --extra gpu`)")
        return 0
    return slots


def usable_gpus() -> list[Gpu]:
    """The GPUs that cells may use, those with the least memory in use first.

    Raises:
        DriverError: if the driver does not answer.
    """
    limit, listed = gpu_limit(), os.environ.get("CUDA_VISIBLE_DEVICES")
    if limit == 0 or (listed is not None and not entries(listed)):
        return []
    gpus = find_gpus()
    if listed is not None:
        gpus = visible_gpus(gpus, listed)
    return sorted(gpus[:limit], key=lambda gpu: gpu.used >> 30)  # in GiB, to ignore a desktop's few MiB


def _take(gpus: list[Gpu], slots: int, on_wait: Callable[[], None]) -> Lease:
    """Lock the first free slot; every GPU gets one cell before any gets two.

    Args:
        gpus: see `usable_gpus`.
        slots: the number of slots of each GPU.
        on_wait: called once if all slots are taken.
    """
    folder, scope = lease_folder(), _allocation()
    places = [(gpu, slot) for slot in range(1, slots + 1) for gpu in gpus]
    paths = [folder / _file_name(scope, gpu.uuid, slot) for gpu, slot in places]
    waiting = False
    while True:
        for (gpu, slot), path in zip(places, paths, strict=True):
            if lock := locks.acquire(path, wait=False):
                return Lease({"kind": "GPU", "name": gpu.name, "uuid": gpu.uuid, "slot": slot}, lock)
        if not waiting:
            waiting = True
            known = [f"process {pid}" for pid in map(locks.holder, paths) if pid]
            holders = ", ".join(known) or "other processes"
            print(f"regfold: waiting for a GPU: all {len(paths)} slots are taken, by {holders}", flush=True)
            on_wait()
        time.sleep(random.uniform(*POLL_SECONDS))


def _allocation() -> str:
    """The ID of the scheduler's job if it has chosen the GPUs; else "", the scope of all cells of a user."""
    if "CUDA_VISIBLE_DEVICES" not in os.environ:
        return ""
    return next((os.environ[name] for name in ALLOCATIONS if os.environ.get(name)), "")


def _file_name(scope: str, uuid: str, slot: int) -> str:
    return re.sub(r"[^A-Za-z0-9-]", "_", f"{scope}_{uuid}".lstrip("_")) + f".{slot}.lock"


def lease_folder() -> Path:
    """The folder of the locks, which only this user can open; it is made if it does not exist.

    It is on the machine itself, since a study's folder may be shared by several machines.

    Raises:
        RegfoldError: if it cannot be made; or if it is a symbolic link, belongs to another user, or is open
            to other users, who could then have files of this user overwritten, or hold all locks.
    """
    user = os.getuid() if hasattr(os, "getuid") else None  # Windows has temporary folders for each user.
    # The same for every process of a user, unlike TMPDIR and XDG_RUNTIME_DIR.
    parent = Path("/tmp") if os.access("/tmp", os.W_OK) else Path(tempfile.gettempdir())
    folder = Path(os.environ.get("REGFOLD_LEASES") or parent / f"regfold-gpu-{user}")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise RegfoldError(
            f"{folder}: {error.strerror}; expected a folder for the locks of GPUs; "
            "another one can be named in REGFOLD_LEASES"
        ) from error
    # Checked after it was made, as no other user can replace a folder that belongs to this user.
    if user is not None and (
        not stat.S_ISDIR(found.st_mode) or found.st_uid != user or found.st_mode & 0o077
    ):
        raise RegfoldError(
            f"{folder}: {stat.filemode(found.st_mode)} of user {found.st_uid} found; expected a folder for "
            f"the locks of GPUs that user {user} alone may open (drwx------); another one can be named in "
            "REGFOLD_LEASES"
        )
    return folder


def jobs_per_gpu() -> int:
    """REGFOLD_JOBS_PER_GPU: how many cells share a GPU.

    Raises:
        RegfoldError: if it is not an integer of at least 1.
    """
    text = os.environ.get("REGFOLD_JOBS_PER_GPU", "").strip() or "1"
    if not text.isdecimal() or int(text) < 1:
        raise RegfoldError(f"REGFOLD_JOBS_PER_GPU: {quote(text)} found; expected an integer of at least 1")
    return int(text)


def gpu_limit() -> int | None:
    """REGFOLD_GPUS: the most GPUs to use; None for all.

    Raises:
        RegfoldError: if it is not all, none or a number.
    """
    text = os.environ.get("REGFOLD_GPUS", "").strip().lower() or "all"
    if text in ("all", "none"):
        return None if text == "all" else 0
    if not text.isdecimal():
        raise RegfoldError(
            f"REGFOLD_GPUS: {quote(text)} found; expected all, none or the number of GPUs "
            "(CUDA_VISIBLE_DEVICES selects which ones)"
        )
    return int(text)


def cuda_libraries() -> bool:
    """Whether cuDNN, without which TensorFlow uses no GPU, is installed (by pip, conda or the system)."""
    with contextlib.suppress(ModuleNotFoundError):
        if importlib.util.find_spec("nvidia.cudnn") is not None:
            return True
    if any(Path(sys.prefix, "lib").glob("libcudnn.so*")):
        return True
    for version in (9, 10, 8):
        with contextlib.suppress(OSError):
            ctypes.CDLL(f"libcudnn.so.{version}")
            return True
    return False


def processor() -> str:
    """The processor model, such as 'AMD EPYC 7763 64-Core Processor', on which results repeat to the bit."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
