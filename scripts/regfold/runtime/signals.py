"""Ctrl-C and a scheduler's SIGTERM: requests to stop, on which a training saves its state and ends."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

REQUESTS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Catch requests to stop in the block, so that they do not end the process.

    Yields:
        a function that returns whether a request has come.
    """
    received = []
    before = {number: signal.signal(number, lambda *_: received.append(True)) for number in REQUESTS}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
