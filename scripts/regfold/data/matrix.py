"""Rows of a matrix on disk, read into an array that TensorFlow can share: large data is in memory once."""

from pathlib import Path

import numpy as np

# In bytes: the alignment that TensorFlow needs to share an array's memory.
ALIGNMENT = 64
CHUNK = 1 << 16


def empty(shape: tuple[int, ...], dtype: type = np.float32) -> np.ndarray:
    """An uninitialized array whose memory starts at a multiple of ALIGNMENT bytes."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    buffer = np.empty(size + ALIGNMENT, np.uint8)
    start = -buffer.ctypes.data % ALIGNMENT
    return buffer[start : start + size].view(dtype).reshape(shape)


def padded_length(n_rows: int) -> int:
    """`n_rows` rounded up by at most 3 %, so that folds that differ by a row or two have equal shapes."""
    step = 1 << max(0, n_rows.bit_length() - 6)
    return -(-n_rows // step) * step


def padded(values: np.ndarray, n_rows: int) -> np.ndarray:
    """A copy of `values`, (n, ...), padded with zeros to (n_rows, ...)."""
    longer = empty((n_rows, *values.shape[1:]), values.dtype)
    longer[: len(values)] = values
    longer[len(values) :] = 0
    return longer


def take_rows(path: str | Path, rows: np.ndarray, n_rows: int | None = None) -> np.ndarray:
    """Rows of a matrix in a .npy file, float32 (n_rows, width), in the given order.

    The file is mapped again for each chunk, so that the pages that were read do not add up in memory.

    Args:
        path: the matrix.
        rows: the rows' indices.
        n_rows: length of the result, which is padded with rows of zeros; by default len(rows).
    """
    taken = empty((n_rows or len(rows), np.load(path, mmap_mode="r").shape[1]))
    taken[len(rows) :] = 0
    for start in range(0, len(rows), CHUNK):
        part = slice(start, start + CHUNK)
        out = taken[: len(rows)][part]
        np.take(np.load(path, mmap_mode="r"), rows[part], axis=0, out=out, mode="clip")
    return taken


def take_columns(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Some columns of float32 rows, copied to an array of their own."""
    taken = empty((len(rows), len(columns)))
    for start in range(0, len(rows), CHUNK):
        part = slice(start, start + CHUNK)
        np.take(rows[part], columns, axis=1, out=taken[part], mode="clip")
    return taken
