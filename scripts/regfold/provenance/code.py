"""Digests of Python code that ignore comments, docstrings and layout."""

import ast
import hashlib
import json
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
SCRIPTS = PACKAGE.parent
# Modules that never change a result, only where it is computed, how it is written and how it is reported.
INFRASTRUCTURE = {
    "errors",
    "files",
    "formatting",
    "locks",
    "runtime.gpu",
    "runtime.lean",
    "runtime.log",
    "runtime.workers",
}
STATEMENTS = ast.stmt | ast.ExceptHandler | ast.match_case


@cache
def code_digest(*roots: Path) -> str:
    """A digest of Python files and of all modules of this package that they import, directly or not."""
    found, waiting = {}, list(roots)
    while waiting:
        path = waiting.pop()
        if path not in found:
            found[path] = source_digest(path)
            waiting += [module_path(name) for name in imported(path) - INFRASTRUCTURE]
    templates = [
        hashlib.sha256(template.read_bytes()).hexdigest()
        for path in sorted(found)
        for template in sorted(path.parent.glob(f"{path.stem}.*.*"))  # of page.py: page.html.j2
    ]
    text = json.dumps([sorted(found.values()), templates])
    return hashlib.sha256(text.encode()).hexdigest()


def module_path(name: str) -> Path:
    """The file of a module of this package, given by its name such as `training.cell`."""
    return PACKAGE / f"{name.replace('.', '/')}.py"


def imported(path: Path) -> set[str]:
    """The names of this package's modules that a Python file imports, anywhere in it."""
    return _read(path)[0]


def source_digest(path: Path) -> str:
    """A digest of a Python file that ignores comments, docstrings and layout."""
    return _read(path)[1]


@cache
def _read(path: Path) -> tuple[set[str], str]:
    tree, names = ast.parse(path.read_bytes()), set()
    waiting = [tree]
    while waiting:  # statements only: expressions hold neither imports nor docstrings
        node = waiting.pop()
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "regfold":
            module = node.module.partition(".")[2]
            names |= {module, *(f"{module}.{alias.name}".lstrip(".") for alias in node.names)}
        elif isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:]
        for part in ("body", "orelse", "finalbody", "handlers", "cases"):
            waiting += [child for child in getattr(node, part, ()) if isinstance(child, STATEMENTS)]
    names = {name for name in names if name and module_path(name).is_file()}
    return names, hashlib.sha256(structure(tree).encode()).hexdigest()


def structure(tree: ast.AST) -> str:
    """A syntax tree as text that is the same for the same code in every version of Python.

    The output of `ast.unparse` and `ast.dump` differs between versions, as do the tokens of f-strings. The
    nodes do not, except for the fields of new syntax, which are empty in code without it. The tree does not
    contain quotes, redundant brackets, line breaks or trailing commas, so a formatter changes nothing.
    """
    parts, waiting = [], [tree]
    while waiting:  # not recursive: a long sum is nested deeper than Python's recursion limit
        node = waiting.pop()
        if isinstance(node, ast.AST):
            names, values = [], []
            for name in node._fields:
                value = getattr(node, name, None)
                # A constant's `kind`: whether it is spelled u"...".
                if value is not None and value != [] and name != "kind":
                    names.append(name)
                    values.append(value)
            parts.append(f"{type(node).__name__} {' '.join(names)}")
            waiting += reversed(values)
        elif isinstance(node, list):
            parts.append(f"list {len(node)}")
            waiting += reversed(node)
        else:  # `repr` depends on the version's Unicode tables, and fails for integers of 5,000 digits
            text = f"{node:x}" if isinstance(node, int) else ascii(node)
            parts.append(f"{type(node).__name__} {text}")
    return "\n".join(parts)
