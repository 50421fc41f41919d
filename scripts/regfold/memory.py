"""A large matrix in memory once: rows taken from a file into an array that TensorFlow can use as it is."""

from pathlib import Path

import numpy as np

# Bytes; what TensorFlow demands of the start of an array that it is to share.
ALIGNMENT = 64
CHUNK = 1 << 16


def empty(shape: tuple[int, ...], dtype: type = np.float32) -> np.ndarray:
    """An array without content that starts at a multiple of ALIGNMENT bytes."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    buffer = np.empty(size + ALIGNMENT, np.uint8)
    start = -buffer.ctypes.data % ALIGNMENT
    return buffer[start : start + size].view(dtype).reshape(shape)


def take_rows(path: str | Path, rows: np.ndarray) -> np.ndarray:
    """Rows of a matrix in a .npy file, float32 (len(rows), width), in the order asked for.

    The file is mapped anew for each part, so that what was read of it does not add up in memory.
    """
    taken = empty((len(rows), np.load(path, mmap_mode="r").shape[1]))
    for start in range(0, len(rows), CHUNK):
        part = slice(start, start + CHUNK)
        np.take(np.load(path, mmap_mode="r"), rows[part], axis=0, out=taken[part], mode="clip")
    return taken


def take_columns(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Some columns of float32 rows, as an array of their own."""
    taken = empty((len(rows), len(columns)))
    for start in range(0, len(rows), CHUNK):
        part = slice(start, start + CHUNK)
        np.take(rows[part], columns, axis=1, out=taken[part], mode="clip")
    return taken
