"""The strengths of a model's penalties. One may be a path: several strengths, trained side by side."""

from collections.abc import Iterator
from dataclasses import dataclass

from regfold.errors import RegfoldError

# Significant digits of a strength on a path, since the last bit of a power differs between machines.
DIGITS = 6


@dataclass(frozen=True)
class Path:
    """The path of a model.

    Attributes:
        name: the setting that varies, as a dotted key of the penalty section: kernel.l2, dropout, ...
        strengths: its values, in the order of the config, all different.
    """

    name: str
    strengths: list[float]


def path_of(penalty: dict) -> Path | None:
    """The path in a model's resolved penalty section; None if every strength is one number."""
    return next((Path(name, value) for name, value in _leaves(penalty) if isinstance(value, list)), None)


def selects(config: dict) -> dict[str, str]:
    """model -> its `select`, for the models of a resolved config that have a path."""
    return {name: model["select"] for name, model in config["models"].items() if path_of(model["penalty"])}


def at(penalty: dict, strengths: float | list[float]) -> dict:
    """A resolved penalty section in which one strength, or some, of its path replace the path."""
    return _with(penalty, path_of(penalty).name, strengths)


def norms(penalty: dict, part: str) -> tuple[float, float]:
    """(l1, l2) of the kernel, bias or activity penalty in a resolved section without a path.

    An elastic net is scikit-learn's: l1 = strength * l1_ratio, l2 = strength * (1 - l1_ratio) / 2.
    """
    given = penalty[part]
    if given.get("l1_ratio") is None:
        return given["l1"], given["l2"]
    return given["strength"] * given["l1_ratio"], given["strength"] * (1 - given["l1_ratio"]) / 2


def expand(penalty: dict, where: str) -> dict:
    """A penalty section in which `{path: ...}` is replaced by its list of strengths.

    Raises:
        RegfoldError: if the limits of a path do not make one, or there are two paths.
    """
    found = [name for name, value in _leaves(penalty) if isinstance(value, dict | list)]
    if len(found) > 1:
        raise RegfoldError(f"{where}.{found[1]}: a path besides {found[0]}; expected one path in a model")
    if not found:
        return penalty
    value = dict(_leaves(penalty))[found[0]]
    if isinstance(value, dict):
        value = _geometric(
            **{f"{name}_": number for name, number in value["path"].items()}, where=f"{where}.{found[0]}"
        )
    return _with(penalty, found[0], value)


def _with(penalty: dict, name: str, value: float | list[float]) -> dict:
    """A penalty section with another value of the setting at a dotted key."""
    part, _, key = name.rpartition(".")
    return penalty | ({part: penalty[part] | {key: value}} if part else {key: value})


def _geometric(from_: float, to_: float, steps_: int, where: str) -> list[float]:
    if from_ >= to_:
        raise RegfoldError(f"{where}.path.from: {from_:g} is not below to, {to_:g}; expected from < to")
    if where.endswith(".dropout") and to_ >= 1:
        raise RegfoldError(f"{where}.path.to: {to_:g} is out of range; expected a number below 1")
    ratio = to_ / from_
    values = (from_ * ratio ** (step / (steps_ - 1)) for step in range(steps_))
    strengths = [float(f"{value:.{DIGITS}g}") for value in values]
    if len(set(strengths)) < steps_:
        raise RegfoldError(f"{where}.path.steps: {steps_} steps are too close together; expected fewer")
    return strengths


def _leaves(penalty: dict) -> Iterator[tuple[str, object]]:
    """The dotted key and the value of every setting; `{path: ...}` counts as a value."""
    for part, value in penalty.items():
        if isinstance(value, dict) and "path" not in value:
            yield from ((f"{part}.{key}", leaf) for key, leaf in value.items())
        else:
            yield part, value
