"""What a Python file does, as a digest: comments, docstrings and layout are no part of it."""

import ast
import hashlib
import json
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
SCRIPTS = PACKAGE.parent
# Modules that decide nothing about a result, only where it is made, how it is written and spoken of.
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
    beside = [
        hashlib.sha256(other.read_bytes()).hexdigest()
        for path in sorted(found)
        for other in sorted(path.parent.glob(f"{path.stem}.*.*"))  # a module's template: page.html.j2
    ]
    text = json.dumps([sorted(found.values()), beside])
    return hashlib.sha256(text.encode()).hexdigest()


def module_path(name: str) -> Path:
    """The file of a module of this package, given as in `training.cell`."""
    return PACKAGE / f"{name.replace('.', '/')}.py"


def imported(path: Path) -> set[str]:
    """The modules of this package that a Python file imports, anywhere in it, as in `training.cell`."""
    return _read(path)[0]


def source_digest(path: Path) -> str:
    """A digest of what a Python file does: comments, docstrings and layout are no part of it."""
    return _read(path)[1]


@cache
def _read(path: Path) -> tuple[set[str], str]:
    tree, names = ast.parse(path.read_bytes()), set()
    waiting = [tree]
    while waiting:  # statements alone: nothing is imported or documented inside an expression
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
    """A syntax tree as text that every version of Python gives for the same code.

    `ast.unparse` and `ast.dump` change from version to version, as the tokens of f-strings do. The nodes do
    not, but for fields that new syntax brings, which are empty without it. Quotes, redundant brackets, line
    breaks and trailing commas are no part of the tree, so a formatter changes nothing.
    """
    parts, waiting = [], [tree]
    while waiting:  # a long sum is nested more deeply than Python's own stack
        node = waiting.pop()
        if isinstance(node, ast.AST):
            fields = {name: value for name, value in ast.iter_fields(node) if value not in (None, [])}
            fields.pop("kind", None)  # of a constant: whether it is spelled u"..."
            parts.append(f"{type(node).__name__} {' '.join(fields)}")
            waiting += reversed(fields.values())
        elif isinstance(node, list):
            parts.append(f"list {len(node)}")
            waiting += reversed(node)
        else:  # `repr` depends on a version's Unicode, and has no integer of 5,000 digits
            text = f"{node:x}" if isinstance(node, int) else ascii(node)
            parts.append(f"{type(node).__name__} {text}")
    return "\n".join(parts)
