"""A digest of each row's content, by which a change of rows is noticed."""

import hashlib
from collections.abc import Sequence

import numpy as np

DIGEST_SIZE = 16
CHUNK_BYTES = 32 << 20


def row_digests(features: np.ndarray, schema: dict, target: np.ndarray) -> np.ndarray:
    """The digest of each row's numbers, levels and target.

    It depends on the row and the kinds of the columns alone: not on other rows or their levels, not on the
    names of columns, not on the order of rows.

    Args:
        features: float32 (n, width), the design matrix; every categorical block has exactly one 1.
        schema: the schema that describes it.
        target: classification: int32 (n,) positions in schema["classes"]; regression: float64 (n, targets).

    Returns:
        uint8 (n, 16): BLAKE2b of the row's canonical bytes, whose length is the same for all rows: a prefix
        that encodes the kinds, 4 bytes for a number, 16 (the digest of its text) for a level or class, 8 for
        each target of a regression.
    """
    kinds = "".join(entry["kind"][0] for entry in schema["columns"])
    prefix = _digest(f"regfold row 1 {kinds} {schema['task']} {len(schema['target'])}".encode())
    labels = None if schema["classes"] is None else _label_digests(schema["classes"])
    levels = {
        entry["start"]: _label_digests(entry["levels"])
        for entry in schema["columns"]
        if entry["levels"] is not None
    }
    target_width = DIGEST_SIZE if labels is not None else 8 * target.shape[1]
    width = DIGEST_SIZE + sum(DIGEST_SIZE if e["levels"] else 4 for e in schema["columns"]) + target_width
    out = bytearray()
    step = max(1, CHUNK_BYTES // width)
    for begin in range(0, len(features), step):
        rows = features[begin : begin + step]
        record = np.empty((len(rows), width), np.uint8)
        record[:, :DIGEST_SIZE] = np.frombuffer(prefix, np.uint8)
        offset = DIGEST_SIZE
        for start, stop, block in _runs(schema["columns"]):
            if block:
                codes = rows[:, start:stop].argmax(axis=1)
                part = levels[start][codes]
            else:
                part = _canonical(rows[:, start:stop])
            record[:, offset : offset + part.shape[1]] = part
            offset += part.shape[1]
        truth = target[begin : begin + step]
        record[:, offset:] = _canonical(truth) if labels is None else labels[truth]
        view = record.tobytes()
        out += b"".join(
            [
                hashlib.blake2b(view[at : at + width], digest_size=DIGEST_SIZE).digest()
                for at in range(0, len(view), width)
            ]
        )
    return np.frombuffer(bytes(out), np.uint8).reshape(len(features), DIGEST_SIZE)


def identical_rows(digests: np.ndarray) -> np.ndarray:
    """A number from 0 for each row, int64 (n,), equal for rows with equal digests, uint8 (n, 16)."""
    # As texts of 16 bytes, which NumPy sorts much faster than rows of a matrix.
    texts = np.ascontiguousarray(digests).view(f"S{DIGEST_SIZE}").ravel()
    return np.unique(texts, return_inverse=True)[1]


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=DIGEST_SIZE).digest()


def _label_digests(labels: Sequence[str | None]) -> np.ndarray:
    """uint8 (labels, 16): each label's digest; a prefix tells the missing one from every text."""
    digests = [_digest(b"missing" if label is None else b"text:" + label.encode()) for label in labels]
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, DIGEST_SIZE)


def _canonical(numbers: np.ndarray) -> np.ndarray:
    """Floats (n, k) as bytes, little-endian, with a single NaN and a single zero."""
    numbers = (numbers + numbers.dtype.type(0)).astype(numbers.dtype.newbyteorder("<"))
    numbers[np.isnan(numbers)] = np.nan
    return np.ascontiguousarray(numbers).view(np.uint8)


def _runs(columns: Sequence[dict]) -> list[tuple[int, int, bool]]:
    """(start, stop, is categorical) of matrix columns that are copied together.

    These are runs of numeric columns, and the columns of each categorical one.
    """
    runs: list[tuple[int, int, bool]] = []
    for entry in columns:
        start, stop = entry["start"], entry["start"] + entry["width"]
        if entry["kind"] == "numeric" and runs and not runs[-1][2]:
            runs[-1] = (runs[-1][0], stop, False)
        else:
            runs.append((start, stop, entry["kind"] == "categorical"))
    return runs
