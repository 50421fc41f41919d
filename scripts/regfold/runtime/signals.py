"""Ctrl-C and a scheduler's SIGTERM: a request to stop, which a training meets by saving its state."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

REQUESTS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Give a function that says whether a request has come while the block runs; none ends the process."""
    received = []
    before = {number: signal.signal(number, lambda *_: received.append(True)) for number in REQUESTS}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
