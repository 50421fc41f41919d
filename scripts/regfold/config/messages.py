"""The parts of messages about config.yaml: keys, values, and what the schema allows."""

from regfold.errors import quote


def prefix(where: str) -> str:
    """The beginning of a message about a dotted key; empty at the top level."""
    return f"{where}: " if where else ""


def join(where: str, key: str) -> str:
    """The dotted key of `key` inside `where`, on one line even if the key is not."""
    return f"{where}.{quote(key)[1:-1]}" if where else quote(key)[1:-1]


def show(value: object) -> str:
    """A value as a user would write it in YAML; of lists and mappings only the kind."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if type(value) in (int, float):
        return quote(value)[1:-1]
    kind = {dict: "mapping", list: "list"}.get(type(value))
    return quote(value) if kind is None else f"a {kind}" if value else f"an empty {kind}"


def listed(words: list[str], last: str) -> str:
    """`a, b and c`, where `last` ("and", "or") stands before the last word."""
    return f" {last} ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def describe(schema: dict) -> str:
    """What a schema allows, in words."""
    if "title" in schema:
        return schema["title"]
    if "anyOf" in schema:
        return ", or ".join(describe(one) for one in schema["anyOf"])
    if "enum" in schema:
        return listed(["null" if value is None else value for value in schema["enum"]], "or")
    words = {"integer": "an integer", "number": "a number", "boolean": "true or false", "string": "a text"}
    words |= {"null": "null", "object": f"a mapping with {listed(list(schema.get('properties', {})), 'and')}"}
    if {"minimum", "maximum"} <= schema.keys():
        return f"{words[types(schema)[0]]} from {schema['minimum']} to {schema['maximum']}"
    limits = [
        f"{text} {schema[key]}"
        for key, text in {
            "minimum": "of at least",
            "exclusiveMinimum": "above",
            "maximum": "of at most",
            "exclusiveMaximum": "below",
        }.items()
        if key in schema
    ]
    kinds = types(schema)
    return " or ".join([" ".join([words[kinds[0]], *[" and ".join(limits)] * bool(limits)]), *kinds[1:]])


def types(schema: dict) -> list[str]:
    """The JSON types that a schema without alternatives allows."""
    return schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
