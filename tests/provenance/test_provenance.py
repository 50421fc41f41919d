"""Guards what makes a cell run again: all that its network depends on, and nothing else."""

import ast
import copy
import shutil
import subprocess
import sys

import pytest
from regfold.provenance import code, identity
from small_study import model

PACKAGE = code.PACKAGE

CODE = '''"""A module."""
import os


class Thing:
    """A class."""

    size = 1

    def grow(self, by=1):  # a comment
        """A method."""
        self.size += by
        return "text"


async def later():
    """Only a docstring."""
'''
SAME = {
    "another docstring": CODE.replace("A method", "Another"),
    "no docstrings": CODE.replace('        """A method."""\n', "").replace('"""A module."""\n', ""),
    "comments": CODE.replace("# a comment", "# another\n        # and more"),
    "brackets and commas": CODE.replace("(self, by=1)", "(\n        self,\n        by=1,\n    )"),
    "layout": CODE.replace("size = 1", "size   =   (1)")
    .replace("\n\n\n", "\n\n\n\n\n")
    .replace('"text"', "'text'"),
}
DIFFERENT = {
    "a number": CODE.replace("size = 1", "size = 2"),
    "a default": CODE.replace("by=1", "by=2"),
    "a text": CODE.replace('return "text"', 'return "Text"'),
    "an indentation": CODE.replace("        return", "    return"),
    "a name": CODE.replace("class Thing", "class Other"),
    "an import": CODE.replace("import os", "import os, sys"),
}


@pytest.fixture
def of_source(tmp_path):
    def digest(name, source):
        path = tmp_path / f"{name}.py"
        path.write_text(source)
        return code.source_digest(path)

    return digest


@pytest.mark.parametrize("way", SAME)
def test_comments_docstrings_and_layout_change_nothing(of_source, way):
    assert SAME[way] != CODE
    assert of_source("one", CODE) == of_source("other", SAME[way])


@pytest.mark.parametrize("way", DIFFERENT)
def test_what_code_does_changes_its_digest(of_source, way):
    assert DIFFERENT[way] != CODE
    assert of_source("one", CODE) != of_source("other", DIFFERENT[way])


VERSIONS = r'''
a = f"pre {x!r:>{w}} post {{}} {y['a']:.2f}" "plain " f'{x=}' f"" ""
b = f"{x = !s:^10}" rf"\d{x}\n" rf'{x:\d}' u"uni" f"\x41{x}\u00e9" f"""multi
line {x
} and {x:%Y-%m-%d} \N{BULLET} 🫨"""
def f(a, /, b: int = 1, *c, d=f"{x:}", **e) -> f"{x,}":
    match a:
        case [1, {"k": v}, *rest] if v: return (yield)
        case None | True: pass
    try: pass
    except* ValueError as err: raise err from None
    with (open("a") as q, open("b")): ...
    return [*c, {**e}, (n := 5), -1, 1_000, 0x10, 1e400, 1j, not a, lambda *, k: b"\x00", {1, ...}]
class A(B, metaclass=C):
    @dec
    async def m(self): return [z async for z in await self]
'''


def test_every_version_of_python_gives_the_same_digest(of_source):
    """The digest of much syntax, as CPython 3.11, 3.12 and 3.13 give it."""
    assert (
        of_source("versions", VERSIONS) == "1d1c481ce5e20bc9e0ebcb0088ad7081f7c456da69c819bab29465fd9964b138"
    )


def test_a_field_that_newer_versions_have_changes_nothing():
    tree = ast.parse(CODE)

    class FunctionDef(ast.FunctionDef):
        _fields = (*(name for name in ast.FunctionDef._fields if name != "type_params"), "type_params")

    newer = ast.parse(CODE)
    (method,) = (node for node in ast.walk(newer) if isinstance(node, ast.FunctionDef))
    method.__class__, method.type_params = FunctionDef, []
    assert code.structure(newer) == code.structure(tree)
    method.type_params = [ast.Name("T", ast.Load())]
    assert code.structure(newer) != code.structure(tree)


def test_code_that_is_deep_or_has_long_numbers_has_a_digest_too(of_source):
    assert of_source("sum", " + ".join(["1"] * 2000)) != of_source("longer", " + ".join(["1"] * 2001))
    assert of_source("one", "x = 0x" + "f" * 9000) != of_source("other", "x = 0x" + "f" * 9001)


def closure(*roots):
    """The modules that `code_digest` follows from these."""
    found, waiting = set(), list(roots)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += code.imported(code.module_path(name)) - code.INFRASTRUCTURE
    return found


def test_the_modules_that_are_followed_are_those_that_python_imports():
    script = f"""
import sys
sys.path.insert(0, {str(PACKAGE.parent)!r})
for root in ("training.fitting", "training.cell"):
    __import__(f"regfold.{{root}}")
    print(*(name.removeprefix("regfold.") for name in sys.modules if name.startswith("regfold.")))
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    # What nothing but infrastructure imports decides no more than that does.
    aside = code.INFRASTRUCTURE.union(*(code.imported(code.module_path(n)) for n in code.INFRASTRUCTURE))
    for root, line in zip(("training.fitting", "training.cell"), run.stdout.splitlines(), strict=True):
        assert "training.trainer" in closure(root)
        assert closure(root) | aside == modules(line.split()) | aside


def modules(names):
    """Those of the imported names that are modules and not folders."""
    return {name for name in names if code.module_path(name).is_file()}


def by_content(function):
    """The function of a file, remembered by what the file holds."""
    known = {}

    def remembered(path):
        content = path.read_bytes()
        if content not in known:
            known[content] = function(path)
        return known[content]

    return remembered


@pytest.fixture
def edited(tmp_path, monkeypatch):
    """Which digests, of training and of the cell, change when code is added to one module of the package."""
    package = tmp_path / "regfold"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code, "PACKAGE", package)
    monkeypatch.setattr(code, "_read", by_content(code._read.__wrapped__))

    def digests():
        code.code_digest.cache_clear()
        specification = identity.specification(model())
        return specification["code"], specification["cell"]

    def edit(name, statement):
        path = code.module_path(name)
        before, source = digests(), path.read_text()
        path.write_text(source + statement)
        after = digests()
        path.write_text(source)
        return tuple(one != other for one, other in zip(before, after, strict=True))

    yield edit
    code.code_digest.cache_clear()


def test_editing_a_module_changes_the_digests_that_depend_on_it(edited):
    parts = (
        "fitting",
        "loop",
        "losses",
        "network",
        "optimizer",
        "penalty",
        "programs.base",
        "programs.proximal",
    )
    parts += ("programs.tensorflow", "seeds", "standardize", "state", "trainer", "validation")
    trained = {
        "config.functions",
        "config.losses",
        "config.optimizers",
        "config.split_methods",
        "config.strengths",
        "data.matrix",
        "runtime.processors",
        *(f"training.{part}" for part in parts),
    }
    predicted = {
        "config.baselines",
        "config.headline",
        "training.inner_metric",
        "training.cell",
        "training.cell_files",
        "training.diagnosis",
        "training.fold_rows",
        "training.heldout",
        "training.parts",
        "training.runner",
        "training.trained_cell",
        "splits.folds",
        "splits.inner",
        "splits.splitters",
    }
    predicted |= {"data.layout", "data.row_weights"}
    predicted |= {"provenance.cell_names", "provenance.code", "provenance.identity"}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        changes = edited(name, "\nNEW = 1\n")
        expected = {True: (True, name != "runtime.processors"), False: (False, name in predicted)}[
            name in trained
        ]
        assert changes == expected, name
        assert edited(name, "\n# A comment.\n") == (False, False), name


def test_settings_that_change_the_network_change_its_state_and_others_do_not():
    base = model()

    parts = ("train", "encoding", "validation", "test", "layout", "name")
    described = dict.fromkeys(parts, "t") | {"repeat": 1, "fold": 1}

    def state(settings, description=described, **changes):
        return identity.state_digest(identity.specification(settings) | changes, description)

    same = copy.deepcopy(base)
    same["training"] |= {"checkpoint_seconds": 1, "on_divergence": "fail"}
    assert identity.specification(same) == identity.specification(base)
    assert state(base) == state(base, cell="other code that writes a cell")
    assert state(base) == state(dict(reversed(base.items())))
    for name in ("validation", "test", "layout", "name"):
        assert state(base) == state(base, described | {name: "u"})
    stopping = model(training={"early_stopping": {}})
    others = [
        state(base, described | {"train": "u"}),
        state(base, described | {"encoding": "u"}),
        state(stopping),
        state(stopping, described | {"validation": "u"}),
        state(base, described | {"repeat": 2}),
        state(base, described | {"fold": 2}),
        state(base, code="other code"),
        state(base, versions={"keras": "4"}),
        state(model(network={"activation": "tanh"})),
        state(model(network={"hidden": [5, 7]})),
        state(model(training={"seed": 43})),
        state(model(training={"epochs": 21})),
        state(model(training={"optimizer": {"name": "adam", "beta_1": 0.8}})),
        state(model(penalty={"kernel": {"l1": 0.1}})),
        state(model(penalty={"kernel": {"l2": 0.1}})),
        state(model(penalty={"bias": {"l1": 0.1}})),
    ]
    assert len({state(base), *others}) == len(others) + 1


def test_the_file_of_ones_own_network_counts_by_what_it_does(tmp_path):
    def specification(name, source):
        (tmp_path / name).mkdir()
        (tmp_path / name / "own.py").write_text(source)
        settings = model()
        settings["network"]["build"] = f"{tmp_path / name / 'own.py'}:build"
        return identity.specification(settings)

    source = "def build(a, b, c, d):\n    return 1\n"
    one, other = specification("one", source), specification("other", source.replace("1", "2"))
    commented = specification("commented", f"# A comment.\n{source}")
    assert one["build"] == commented["build"] != other["build"]
    assert set(one["network"]) == {"build"}, "hidden and activation mean nothing to it"
    assert identity.specification(model())["build"] is None
