"""A config file as text: what YAML cannot read, or would silently read as something else."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from regfold.config.messages import join, prefix
from regfold.errors import RegfoldError, quote

# Python's own limit of the digits of an integer in text.
MOST_DIGITS = 4300
PLAIN_INTEGER = re.compile(r"[+-]?(0|[1-9][0-9]*)")


def check(path: str) -> None:
    """Check a config file for mistakes that are lost once YAML is read, at every level.

    Raises:
        RegfoldError: if it cannot be read, a key is given twice in one mapping, an alias refers to a node
            that contains it, or a number is not in plain decimal digits (in YAML 1.1, 1:30 is 90 and 010
            is 8).
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        root = yaml.compose(text, yaml.SafeLoader)  # the C loader crashes on very deep nesting
    except OSError as error:
        raise RegfoldError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise RegfoldError(f"{path}: is not UTF-8; expected a config saved as UTF-8") from None
    except yaml.YAMLError as error:
        if not _is_json(text):
            raise RegfoldError(f"{path}{_place(error)}; expected YAML") from None
        return
    except RecursionError:
        raise RegfoldError(f"{path}: is nested too deeply; expected at most a few levels") from None
    for line, problem in _problems(root):
        raise RegfoldError(f"{path}, {line}: {problem}")


def _is_json(text: str) -> bool:
    """Whether a text is JSON, as which Snakemake reads a config first: it may hold tabs, unlike YAML."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _place(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or error
    return f"{f', line {mark.line + 1}' if mark else ''}: {quote(problem, 200)[1:-1]}"


def _problems(root: yaml.Node | None) -> Iterator[tuple[str, str]]:
    """(line, problem) in the file's order; a node with several aliases is visited once."""
    done, inside, waiting = set(), set(), [(root, "", False)] if root else []
    while waiting:
        node, where, is_end = waiting.pop()
        if is_end:
            inside.remove(node)
        elif node in inside:
            yield _line(node), f"{prefix(where)}an alias refers to what contains it; expected values"
        elif node not in done:
            done.add(node)
            inside.add(node)
            waiting.append((node, where, True))
            if isinstance(node, yaml.ScalarNode):
                yield from _check_scalar(node, where)
            elif node.tag not in yaml.SafeLoader.yaml_constructors:
                yield _line(node), f"{prefix(where)}the tag {quote(node.tag)} is unknown; expected none"
            elif isinstance(node, yaml.SequenceNode):
                waiting += [(item, where, False) for item in reversed(node.value)]
            else:
                yield from _check_keys(node, where)
                waiting += [(value, join(where, key.value), False) for key, value in reversed(node.value)]


def _check_keys(node: yaml.MappingNode, where: str) -> Iterator[tuple[str, str]]:
    lines: dict[tuple[str, str], int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            yield _line(key), f"{prefix(where)}a key is a list or a mapping; expected a text"
        elif not key.tag.endswith(":merge"):
            yield from _check_scalar(key, join(where, key.value))
        name, line = (key.tag, key.value), key.start_mark.line + 1
        if name in lines:
            place = f"lines {lines[name]} and {line}" if lines[name] < line else _line(key)
            yield place, f"{join(where, key.value)}: is given twice; expected each key once"
        lines[name] = line


def _check_scalar(node: yaml.ScalarNode, where: str) -> Iterator[tuple[str, str]]:
    kind, text = node.tag.removeprefix("tag:yaml.org,2002:"), node.value
    if kind == "int" and len(text) > MOST_DIGITS:
        yield _line(node), f"{prefix(where)}a number of {len(text):,} digits; expected a shorter one"
    try:
        value = yaml.constructor.SafeConstructor().construct_object(node)
    except (ValueError, OverflowError, AttributeError, yaml.YAMLError) as error:
        reason = getattr(error, "problem", None) or error
        yield _line(node), f"{prefix(where)}{quote(text)}: {quote(reason, 100)[1:-1]}; put a text in quotes"
    if (kind == "int" and not PLAIN_INTEGER.fullmatch(text)) or (kind == "float" and set(text) & {"_", ":"}):
        yield (
            _line(node),
            f"{prefix(where)}YAML reads {quote(text)[1:-1]} as the number {value}; expected plain decimal "
            "digits, or a text in quotes",
        )


def _line(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1}"
