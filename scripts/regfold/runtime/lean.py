"""Keeps optional libraries that a job does not use from being imported, which shortens its start."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Make these libraries look not installed to imports in the block, unless they are imported already."""
    finder = _NotInstalled(names)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _NotInstalled:
    """A finder that raises ModuleNotFoundError for some libraries.

    (None in `sys.modules` would do the same, but PyArrow takes it for an imported module.)
    """

    def __init__(self, names: tuple[str, ...]):
        self.names = names

    def find_spec(self, name: str, path=None, target=None) -> None:
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
