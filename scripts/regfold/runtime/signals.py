"""Ctrl-C and a scheduler's SIGTERM: a request to stop, which a training meets by saving its state."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

REQUESTS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def on_request_to_stop(act: Callable[[], object]) -> Iterator[None]:
    """Call `act` for each request that comes while the block runs, in place of ending the process."""
    before = {number: signal.signal(number, lambda *_: act()) for number in REQUESTS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Give a function that says whether a request has come."""
    received = []
    with on_request_to_stop(lambda: received.append(True)):
        yield lambda: bool(received)
