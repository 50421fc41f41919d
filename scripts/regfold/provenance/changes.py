"""How a cell, by its cell.json, differs from what it would be now."""

import json

from regfold.provenance import identity


def belongs(cell: dict, description: dict) -> bool:
    """Whether a cell was made from the rows and columns that its fold has now.

    Args:
        cell: the content of its cell.json.
        description: the fold's, see Folds.describe.
    """
    return all(cell["digests"][name] == description[name] for name in identity.DIGESTS)


def settings_changed(cell: dict, specification: dict) -> list[str]:
    """How a cell's settings, code and library versions differ from those that it would have now.

    Args:
        cell: the content of its cell.json.
        specification: the model's or baseline's, see identity.specifications.

    Returns:
        one text for each difference.
    """
    recorded, digests = cell["settings"], cell["digests"]
    why = []
    for part in ("network", "training", "penalty", "baseline"):
        for name, then, now in _differences(recorded.get(part), specification.get(part), part):
            why.append(f"settings changed: {name} {_show(then)} -> {_show(now)}")
    if digests.get("nested") != specification.get("nested"):
        why.append("the choice inside the training rows (select: nested) is new, gone, or made by other code")
    if digests.get("headline") != specification.get("headline"):
        why.append("the metric that chooses inside the training rows (select: nested) changed")
    if digests.get("build") != specification.get("build"):
        why.append("the file of network.build changed")
    for library, now in specification["versions"].items():
        if cell["versions"].get(library) != now:
            why.append(f"{library} {cell['versions'].get(library)} -> {now}")
    if digests["code"] != specification["code"]:
        why.append("the code that trains changed")
    elif digests.get("cell") != specification.get("cell"):
        why.append("the code that writes a cell changed")
    return why


def _differences(then: object, now: object, name: str):
    if isinstance(then, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*then, *now]):
            yield from _differences(then.get(key), now.get(key), f"{name}.{key}")
    elif then != now:
        yield name, then, now


def _show(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else json.dumps(value)
