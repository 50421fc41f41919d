"""Checks of the files that config.yaml names."""

import ast
from collections.abc import Sequence
from pathlib import Path

from regfold.config.messages import listed
from regfold.errors import RegfoldError, nearest, quote

TEXT_ENDINGS = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
TABLE_ENDINGS = (*TEXT_ENDINGS, ".xlsx", ".parquet", ".feather")
NUMBERS = {2: "two", 3: "three", 4: "four"}
SKLEARN_TABLES = ("iris", "wine", "breast_cancer", "digits", "diabetes", "linnerud")


def check_table(path: str, where: str = "data.path", *, exists: bool = True) -> None:
    """Check that a path names a table: a file, or one of scikit-learn's.

    Args:
        path: the path, or sklearn:NAME.
        where: the key that names it, for messages.
        exists: whether the file must exist already, since no rule makes it.

    Raises:
        RegfoldError: if it does not.
    """
    kind, _, name = path.partition(":")
    if kind == "sklearn":
        if name not in SKLEARN_TABLES:
            hint = nearest(name, SKLEARN_TABLES) or f"; expected {listed(SKLEARN_TABLES, 'or')}"
            raise RegfoldError(f"{where}: scikit-learn has no table {quote(name)}{hint}")
        return
    if not path.lower().endswith(TABLE_ENDINGS):
        is_sheet = path.lower().endswith((".xls", ".ods"))
        remedy = "; save it as .xlsx or as CSV UTF-8" if is_sheet else ""
        raise RegfoldError(
            f"{where}: {quote(path)} has an unknown ending{remedy}; expected "
            f"{listed(TABLE_ENDINGS, 'or')}, or sklearn:NAME"
        )
    check_input(path, where, exists=exists)


def check_input(path: str, where: str, *, exists: bool = True) -> None:
    """Check that a file can be the input of a rule and, if `exists`, that it is there; see `check_table`."""
    if set(path) & set("{}"):
        what = "has braces, which Snakemake takes for a wildcard"
        raise RegfoldError(f"{where}: {quote(path)} {what}; expected a path without")
    if exists:
        check_file(path, where)


def check_file(path: str, where: str) -> None:
    """Check that a file is there; `where` is the key that names it, for messages."""
    file = Path(path)
    try:
        is_folder, is_file, has_folder = file.is_dir(), file.is_file(), file.parent.is_dir()
        beside = [str(other) for other in file.parent.iterdir()] if has_folder and not is_file else []
    except OSError as error:
        raise RegfoldError(f"{where}: {quote(path)}: {error.strerror}; expected a readable file") from None
    if is_folder:
        raise RegfoldError(f"{where}: {quote(path)} is a folder; expected a file")
    if not is_file:
        hint = nearest(path, beside) or "; expected a file, relative to the folder where snakemake runs"
        raise RegfoldError(f"{where}: no file {quote(path)}{hint}")


def check_function(named: str, where: str, arguments: Sequence[str]) -> None:
    """Check that FILE.py:FUNCTION exists and takes these positional arguments, without running the file."""
    path, _, name = named.rpartition(":")
    if not path.endswith(".py") or not name.isidentifier():
        raise RegfoldError(f"{where}: found {quote(named)}; expected FILE.py:FUNCTION")
    check_file(path, where)
    try:
        tree = ast.parse(Path(path).read_bytes())
    except OSError as error:
        raise RegfoldError(f"{where}: {quote(path)}: {error.strerror}; expected a readable file") from None
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = f", line {error.lineno}" if getattr(error, "lineno", None) else ""
        what = getattr(error, "msg", error)
        raise RegfoldError(f"{where}: {quote(path)}{line}: {what}; expected a Python file") from None
    functions = {node.name: node.args for node in tree.body if isinstance(node, ast.FunctionDef)}
    if name not in functions:
        hint = nearest(name, functions) or "; expected a function at the file's top level"
        raise RegfoldError(f"{where}: {quote(path)} defines no function {quote(name)}{hint}")
    found = functions[name]
    positional = len(found.posonlyargs) + len(found.args)
    needed = positional - len(found.defaults)
    wanted = len(arguments)
    if needed > wanted or (positional < wanted and not found.vararg) or None in found.kw_defaults:
        raise RegfoldError(
            f"{where}: {name}({ast.unparse(found)}) cannot be called with {NUMBERS[wanted]} positional "
            f"arguments; expected {name}({', '.join(arguments)})"
        )
