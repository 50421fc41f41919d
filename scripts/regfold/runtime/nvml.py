"""The GPUs of this machine from NVIDIA's management library (NVML): names, UUIDs, MIG devices."""

import contextlib
import sys
from dataclasses import dataclass

from regfold.errors import quote
from regfold.formatting import visible

NO_DEVICE = ("", "-1", "NoDevFiles")


@dataclass(frozen=True)
class Gpu:
    """A GPU or a MIG device.

    Attributes:
        uuid: as CUDA_VISIBLE_DEVICES takes it.
        name: the model.
        number: of the GPU, as in nvidia-smi; -1 if it is not known.
        used: the memory in use, in bytes.
    """

    uuid: str
    name: str = "GPU"
    number: int = -1
    used: int = 0


class DriverError(Exception):
    """NVML is installed but does not work: the driver is broken, not loaded, or of another version."""


def find_gpus() -> list[Gpu]:
    """All GPUs of this machine, a GPU in MIG mode as its MIG devices; [] without NVIDIA's driver.

    Raises:
        DriverError: if the driver does not answer.
    """
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError_LibraryNotFound:
        return []
    except pynvml.NVMLError as error:
        raise DriverError(f"the GPU driver does not answer (NVML: {error})") from error
    try:
        return [gpu for number in range(pynvml.nvmlDeviceGetCount()) for gpu in _devices(pynvml, number)]
    except pynvml.NVMLError as error:
        raise DriverError(f"the GPU driver does not answer (NVML: {error})") from error
    finally:
        pynvml.nvmlShutdown()


def visible_gpus(gpus: list[Gpu], listed: str) -> list[Gpu]:
    """The GPUs that a value of CUDA_VISIBLE_DEVICES names, in its order.

    Args:
        gpus: those of the machine. If it is empty, the entries are taken as UUIDs: CUDA_VISIBLE_DEVICES was
            set by a scheduler or user that knows of GPUs which NVML does not show.
        listed: nvidia-smi's numbers, UUIDs or starts of UUIDs. The first entry that does not name one GPU
            ends the list, as in CUDA, with a warning.
    """
    chosen = []
    for entry in entries(listed):
        if not gpus:
            named = [Gpu(uuid=entry)]
        elif entry.isdecimal():
            named = [gpu for gpu in gpus if gpu.number == int(entry)][:1]  # CUDA: a GPU's first MIG device
        else:
            named = [gpu for gpu in gpus if gpu.uuid == entry] or [
                gpu for gpu in gpus if gpu.uuid.lower().startswith(entry.lower())
            ]
        if len(named) != 1:
            warn(
                f"CUDA_VISIBLE_DEVICES: {quote(entry)} names {'no' if not named else 'more than one'} GPU "
                "of this machine (`nvidia-smi -L` lists them)"
            )
            break
        chosen += named
    return list(dict.fromkeys(chosen))


def entries(listed: str) -> list[str]:
    """The entries of CUDA_VISIBLE_DEVICES up to the first one that names no device, as in CUDA."""
    names = [name.strip() for name in listed.split(",")]
    return names[: next((i for i, name in enumerate(names) if name in NO_DEVICE), len(names))]


def _devices(pynvml, number: int) -> list[Gpu]:
    """GPU `number`, or its MIG devices; [], with a warning, if this GPU does not answer."""
    try:
        card = pynvml.nvmlDeviceGetHandleByIndex(number)
        return [
            Gpu(
                _text(pynvml.nvmlDeviceGetUUID(handle)), _text(pynvml.nvmlDeviceGetName(handle)), number, used
            )
            for handle in _handles(pynvml, card)
            for used in [_used(pynvml, handle)]
        ]
    except pynvml.NVMLError as error:
        warn(f"GPU {number} does not answer and is not used (NVML: {error})")
        return []


def _handles(pynvml, card) -> list:
    """The NVML handle of the GPU itself, or in MIG mode those of its MIG devices, which alone can be used."""
    try:
        mig_mode = pynvml.nvmlDeviceGetMigMode(card)[0]
    except pynvml.NVMLError_NotSupported:  # most GPUs do not support MIG
        return [card]
    if not mig_mode:
        return [card]
    handles = []
    for index in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(card)):
        with contextlib.suppress(pynvml.NVMLError_NotFound):
            handles.append(pynvml.nvmlDeviceGetMigDeviceHandleByIndex(card, index))
    return handles


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _used(pynvml, handle) -> int:
    try:
        return pynvml.nvmlDeviceGetMemoryInfo(handle).used
    except pynvml.NVMLError:
        return 0


def warn(text: str) -> None:
    """Print one line to stderr: a job's log, or the terminal."""
    print(f"regfold: warning: {visible(text)}", file=sys.stderr, flush=True)
