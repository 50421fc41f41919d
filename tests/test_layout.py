"""Guards the layout of the package: imports run one way, from a later stage to an earlier one."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "scripts" / "regfold"
# A module imports from its own folder and from those to the right of it.
# `study` is the package's own face, and nothing imports it but the package's __init__, when it is asked for.
ORDER = (
    "study",
    "workflow",
    "report",
    "results",
    "runtime",
    "training",
    "splits",
    "provenance",
    "data",
    "config",
    "",
)


def folder(module: str) -> str:
    """The folder of a module of this package, as in `training.cell`; "" for those at the top."""
    return module.partition(".")[0] if "." in module or module == "study" else ""


def imported(path: Path) -> set[str]:
    """The modules of this package that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "regfold":
            module = node.module.partition(".")[2]
            for alias in node.names:
                name = f"{module}.{alias.name}".lstrip(".")
                found.add(name if (PACKAGE / f"{name.replace('.', '/')}.py").is_file() else module)
    return found - {""}


def test_imports_run_one_way():
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert folders == set(ORDER) - {"", "study"}
    for path in PACKAGE.rglob("*.py"):
        own = ORDER.index(folder(".".join(path.relative_to(PACKAGE).with_suffix("").parts)))
        for module in imported(path):
            assert ORDER.index(folder(module)) >= own, f"{path.relative_to(PACKAGE)} imports {module}"


def test_tensorflow_is_imported_by_programs_alone():
    for path in PACKAGE.rglob("*.py"):
        if PACKAGE / "training" / "programs" not in path.parents:
            for node in ast.walk(ast.parse(path.read_bytes())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                assert "tensorflow" not in {name.partition(".")[0] for name in names}, path
