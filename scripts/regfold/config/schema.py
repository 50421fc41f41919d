"""Check values against the schema of config.yaml: keys, types and limits, with one-line messages."""

import copy
import difflib
import functools
import math
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator

from regfold.config.messages import describe, join, listed, prefix, show, types
from regfold.errors import RegfoldError, nearest, quote

SCHEMA = Path(__file__).resolve().parents[3] / "schemas" / "config.schema.yaml"
MODEL = "models.NAME"
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
KINDS = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}


@functools.cache
def load() -> dict:
    """The schema, with each `$ref` replaced by its definition. The caller must not change it."""
    schema = yaml.load(SCHEMA.read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    definitions = schema.pop("$defs")

    def expand(node: object) -> object:
        if isinstance(node, list):
            return [expand(item) for item in node]
        if not isinstance(node, dict):
            return node
        name = node.get("$ref", "").removeprefix("#/$defs/")
        merged = definitions.get(name, {}) | {key: value for key, value in node.items() if key != "$ref"}
        return {key: expand(value) for key, value in merged.items()}

    return expand(schema)


def defaults(schema: dict) -> dict:
    """The default of every key of a mapping, in the schema's order; nested mappings included."""
    return {
        key: defaults(leaf) if "properties" in leaf else copy.deepcopy(leaf["default"])
        for key, leaf in schema["properties"].items()
        if "properties" in leaf or "default" in leaf
    }


def check_keys(value: object, schema: dict, where: str = "", place: str = "") -> None:
    """Refuse keys that the schema does not know, at every level of a config.

    Args:
        value: a part of the config.
        schema: the part of the schema for it.
        where: its dotted key, for messages.
        place: the same with NAME in place of a model's name.

    Raises:
        RegfoldError: at the first such key; it says which key was probably meant.
    """
    schema = branch(schema, value)
    if not isinstance(value, dict) or schema is None or "object" not in types(schema):
        return
    known, others = schema.get("properties", {}), schema["additionalProperties"]
    for key, item in value.items():
        if not isinstance(key, str):
            hint = " (YAML reads no, off, yes and on as true or false)" if isinstance(key, bool) else ""
            raise RegfoldError(f"{prefix(where)}the key {show(key)} is not a text{hint}; put it in quotes")
        if key not in known and not others:
            raise RegfoldError(f"{join(where, key)}: unknown key{_meant(key, known, where, place)}")
        check_keys(
            item, known.get(key, others), join(where, key), join(place, key if key in known else "NAME")
        )


def _meant(key: str, known: dict, where: str, place: str) -> str:
    """Which key was probably meant by an unknown one: a similar one, or the same one in another section."""
    places = {}
    for name, parent in _places(load(), ""):
        places.setdefault(name, []).append(parent)
    confused = key == "activation" and "activity" in known  # network.activation, penalty.activity
    if (key not in places or confused) and (near := nearest(key, known)):
        return near
    found = next(iter(difflib.get_close_matches(key, places, 1, 0.8)), None)
    if found is None:
        return f"; expected {listed(list(known), 'or')}"
    inside = place.startswith(MODEL)
    here = where[: len(where) - len(place) + len(MODEL)] if inside else MODEL
    apt = [parent for parent in places[found] if parent.startswith(MODEL) == inside] or places[found]
    named = listed(
        [f"under {quote(parent.replace(MODEL, here))}" if parent else "at the top level" for parent in apt],
        "or",
    )
    return f"; it belongs {named}" if found == key else f"; did you mean {quote(found)} {named}?"


def _places(schema: dict, place: str) -> Iterator[tuple[str, str]]:
    """Every key of the schema, with the dotted key that it belongs under."""
    for key, leaf in schema.get("properties", {}).items():
        yield key, place
        for one in leaf.get("anyOf", [leaf]):
            yield from _places(one, join(place, key))
    if schema.get("additionalProperties"):
        yield from _places(schema["additionalProperties"], join(place, "NAME"))


def check(given: object, schema: dict, where: str = "") -> object:
    """Check types and limits, and turn text such as "1e-4" into numbers where numbers are expected.

    Args:
        given: a part of the config whose keys are known. An empty section counts as an empty mapping.
        schema: the part of the schema for it.
        where: its dotted key, for messages.

    Returns:
        a new value: integers as int, other numbers as float, keys in the schema's order, no defaults added.

    Raises:
        RegfoldError: at the first value, in the config's order, that the schema does not allow.
    """
    if given is None and schema.get("type") == "object":
        given = {}
    value = _as_number(given, schema)
    chosen = branch(schema, value) or schema
    if "anyOf" in chosen or not _is_of(value, chosen):
        raise RegfoldError(f"{prefix(where)}{_wrong(given, value, schema)}")
    if isinstance(value, dict):
        return _check_mapping(value, chosen, where)
    if isinstance(value, list):
        value = [check(item, chosen["items"], f"{where}, item {i}") for i, item in enumerate(value, start=1)]
        if chosen.get("uniqueItems") and len(set(value)) < len(value):
            twice = next(item for item, times in Counter(value).items() if times > 1)
            raise RegfoldError(f"{where}: {show(twice)} is given twice; expected each once")
    if not Draft202012Validator(chosen).is_valid(value):
        raise RegfoldError(f"{where}: {_wrong(given, value, schema)}")
    return value


def _check_mapping(value: dict, schema: dict, where: str) -> dict:
    known, names = schema.get("properties", {}), schema.get("propertyNames")
    checked = {}
    for key, item in value.items():
        if names and (not re.fullmatch(names["pattern"], key) or len(key) > names["maxLength"]):
            raise RegfoldError(f"{where}: {quote(key)} cannot name files; expected {names['title']}")
        checked[key] = check(item, known.get(key) or schema["additionalProperties"], join(where, key))
    for key in schema.get("required", ()):
        if key not in value and known[key].get("type") == "object":
            check({}, known[key], join(where, key))
        elif key not in value:
            raise RegfoldError(f"{join(where, key)}: missing; expected {describe(known[key])}")
    if len(value) < schema.get("minProperties", 0):
        raise RegfoldError(f"{where}: missing; expected {describe(schema)}")
    return {key: checked[key] for key in known if key in checked} if known else checked


def _as_number(value: object, schema: dict) -> object:
    """A number in the form that the schema asks for, from text too; anything else as it is."""
    kinds = {kind for one in schema.get("anyOf", [schema]) for kind in types(one)}
    if "string" in kinds or not {"integer", "number"} & kinds:
        return value
    if isinstance(value, str) and len(value) <= 100 and NUMBER.fullmatch(value.strip()):
        value = float(value) if re.search("[.eE]", value) else int(value)
    if type(value) is int and "number" in kinds:
        return float(value) if abs(value) < sys.float_info.max else math.inf
    if type(value) is float and "integer" in kinds and value.is_integer():
        return int(value)
    return value + 0.0 if type(value) is float else value  # -0.0 becomes 0.0


def _is_of(value: object, schema: dict) -> bool:
    """Whether a value is of a type that the schema allows. Booleans, NaN and infinity are not numbers."""
    kinds = types(schema)
    if type(value) is int:
        return "integer" in kinds or "number" in kinds
    if type(value) is float:
        return "number" in kinds and math.isfinite(value)
    return KINDS.get(type(value)) in kinds or (isinstance(value, dict) and "object" in kinds)


def _wrong(given: object, value: object, schema: dict) -> str:
    """What is wrong with a value (in the config: `given`), and what is expected."""
    if type(value) in (int, float):
        alternatives = schema.get("anyOf", [schema])
        schema = next((one for one in alternatives if {"integer", "number"} & set(types(one))), schema)
    expected = f"; expected {describe(schema)}"
    if type(value) is float and not math.isfinite(value):
        return f"{show(given)} is not finite{expected}"
    if type(value) in (int, float) and "anyOf" not in schema and _is_of(value, schema):
        return f"{show(given)} is out of range{expected}"
    choices = [choice for one in schema.get("anyOf", [schema]) for choice in one.get("enum", ())]
    hint = nearest(value, filter(None, choices)) if isinstance(value, str) else ""
    return f"found {'no value' if given is None else show(given)}{hint or expected}"


def branch(schema: dict, value: object) -> dict | None:
    """The alternative of a schema for this type of value, or None; the schema itself if it has none."""
    if "anyOf" not in schema:
        return schema
    return next((one for one in schema["anyOf"] if _is_of(value, one)), None)
