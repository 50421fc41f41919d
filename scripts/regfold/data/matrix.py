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


def padded_length(n_rows: int) -> int:
    """`n_rows`, or up to 3 % more: the same number for folds that differ by a row or two."""
    step = 1 << max(0, n_rows.bit_length() - 6)
    return -(-n_rows // step) * step


def padded(values: np.ndarray, n_rows: int) -> np.ndarray:
    """A copy of `values`, (n, ...), padded with zeros to (n_rows, ...)."""
    longer = empty((n_rows, *values.shape[1:]), values.dtype)
    longer[: len(values)] = values
    longer[len(values) :] = 0
    return longer


def take_rows(path: str | Path, rows: np.ndarray, n_rows: int | None = None) -> np.ndarray:
    """Rows of a matrix in a .npy file, float32 (len(rows), width), in the order asked for.

    The file is mapped anew for each part, so that what was read of it does not add up in memory.

    Args:
        path: the matrix.
        rows: the rows' indices.
        n_rows: length of the result, where that is to be more: zeros follow the rows.
    """
    taken = empty((n_rows or len(rows), np.load(path, mmap_mode="r").shape[1]))
    taken[len(rows) :] = 0
    for start in range(0, len(rows), CHUNK):
        part = slice(start, start + CHUNK)
        out = taken[: len(rows)][part]
        np.take(np.load(path, mmap_mode="r"), rows[part], axis=0, out=out, mode="clip")
    return taken


def take_columns(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Some columns of float32 rows, as an array of their own."""
    taken = empty((len(rows), len(columns)))
    for start in range(0, len(rows), CHUNK):
        part = slice(start, start + CHUNK)
        np.take(rows[part], columns, axis=1, out=taken[part], mode="clip")
    return taken
