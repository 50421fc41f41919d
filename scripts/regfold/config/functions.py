"""User-defined functions, given as FILE.py:FUNCTION."""

import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path

from regfold.errors import RegfoldError, quote


def load(named: str, where: str) -> Callable:
    """Run the file and return its function.

    Args:
        named: FILE.py:FUNCTION.
        where: the key that names it, for messages.

    Raises:
        RegfoldError: if the file fails or has no such function.
    """
    file, _, name = named.rpartition(":")
    specification = importlib.util.spec_from_file_location(f"regfold_build_{Path(file).stem}", file)
    module = importlib.util.module_from_spec(specification)
    # As `import` does: dataclasses, for example, look up their module while it runs.
    sys.modules[specification.name] = module
    try:
        specification.loader.exec_module(module)
        return getattr(module, name)
    except (Exception, SystemExit) as error:
        del sys.modules[specification.name]
        raise RegfoldError(f"{where}: {quote(named)}: {on_one_line(error)}") from error


def on_one_line(error: BaseException) -> str:
    """An exception of a user-defined function, for a message: its type and text, without colours."""
    text = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", str(error)).split())[:300]
    return f"{type(error).__name__}: {text}"
