"""What a cell's training depends on, as digests: its settings, the code that trains, the library versions."""

import ast
import hashlib
import json
from functools import cache
from importlib import metadata
from pathlib import Path

PACKAGE = Path(__file__).parent
# Modules that decide nothing about a result, only where it is made, how it is written and spoken of.
INFRASTRUCTURE = {"compiled", "errors", "files", "gpu", "lean", "log"}
# Where the code that trains begins. `processors` decides the number of threads, and with it the last bit.
TRAINING = ("fitting.py", "processors.py")
STATEMENTS = ast.stmt | ast.ExceptHandler | ast.match_case
LIBRARIES = ("keras", "tensorflow", "numpy")
# Snakemake compares files up to this size by checksum, and larger ones by time.
SMALL = 1_000_000
# What changes how a cell's job works and what it writes, but not the network.
NOT_TRAINED = ("checkpoint_seconds", "on_divergence", "cell")


def specification(model: dict) -> dict:
    """All that the training of one model depends on besides its rows: Snakemake compares it.

    Args:
        model: the model's resolved settings, with `network`, `training` and `penalty`.

    Returns:
        a dictionary that is the same if and only if the same networks come out.
    """
    build = model["network"]["build"]
    training = {name: value for name, value in model["training"].items() if name not in NOT_TRAINED}
    return {
        "network": {"build": build} if build else model["network"],
        "training": training,
        "penalty": model["penalty"],
        "build": source_digest(Path(build.rpartition(":")[0])) if build else None,
        "code": code_digest(*(PACKAGE / name for name in TRAINING)),
        "cell": code_digest(PACKAGE / "cell.py"),
        "versions": versions(),
    }


def state_digest(specification: dict, train: str, repeat: int, fold: int) -> str:
    """The name of a training's state: specification, training rows, and (repeat, fold) for the seeds."""
    trained = {name: value for name, value in specification.items() if name not in NOT_TRAINED}
    return digest([trained, train, repeat, fold])[:32]


def digest(data: object) -> str:
    """SHA-256 of JSON-able data, in hex; the order of keys does not matter."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def code_digest(*roots: Path) -> str:
    """A digest of Python files and of all modules of this package that they import, directly or not."""
    found, waiting = {}, list(roots)
    while waiting:
        path = waiting.pop()
        if path not in found:
            found[path] = source_digest(path)
            waiting += [PACKAGE / f"{name}.py" for name in imported(path) - INFRASTRUCTURE]
    beside = [
        hashlib.sha256(other.read_bytes()).hexdigest()
        for path in sorted(found)
        for other in sorted(path.parent.glob(f"{path.stem}.*.*"))  # a module's template: page.html.j2
    ]
    return digest([sorted(found.values()), beside])


def imported(path: Path) -> set[str]:
    """The modules of this package that a Python file imports, anywhere in it."""
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
        if isinstance(node, ast.ImportFrom) and node.module == "regfold":
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("regfold."):
            names.add(node.module.removeprefix("regfold."))
        elif isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:]
        for part in ("body", "orelse", "finalbody", "handlers", "cases"):
            waiting += [child for child in getattr(node, part, ()) if isinstance(child, STATEMENTS)]
    names = {name for name in names if (PACKAGE / f"{name}.py").is_file()}
    return names, hashlib.sha256(ast.unparse(tree).encode()).hexdigest()


def stamp(path: str | None) -> str | None:
    """What tells a file of the user's from another: Snakemake alone takes no notice of one that is older.

    Returns:
        a digest of a file of at most SMALL bytes, size and time of a larger one; None where there is none.
    """
    try:
        about = Path(path).stat()
        if about.st_size > SMALL:
            return f"{about.st_size} bytes, {about.st_mtime_ns}"
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except (OSError, TypeError):
        return None


@cache
def versions() -> dict[str, str | None]:
    """The installed version of each library that a network depends on; None where it is not installed."""
    return {name: _version(name) for name in LIBRARIES}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
