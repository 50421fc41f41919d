"""config.yaml: check everything that can be checked without the table, and fill in the defaults."""

import copy
from collections.abc import Iterable

from regfold.config import baselines, losses, metrics, optimizers, schema, strengths
from regfold.config.messages import listed
from regfold.config.paths import TEXT_ENDINGS, check_function, check_input, check_table
from regfold.config.split_methods import SINGLE, STRATIFIED, WITH_COLUMN
from regfold.errors import RegfoldError, quote

BUILD_ARGUMENTS = ("n_features", "n_outputs", "output_activation", "regularizers")
SCHEDULE_OPTIONS = {"constant": (), "cosine": ("final",), "exponential": ("decay_rate",)}

# Names that Windows reserves for devices, with any extension.
DEVICES = {
    "CON",
    "PRN",
    "AUX",
    "NUL",
    *(f"{port}{number}" for port in ("COM", "LPT") for number in range(10)),
}


def resolve(raw: dict, source: str = "config.yaml", *, inputs_exist: bool = True) -> dict:
    """Check a config and complete it.

    Args:
        raw: the config as YAML gave it; it is not changed.
        source: the file's name, for messages.
        inputs_exist: whether table and split file must exist already, since no rule makes them.

    Returns:
        a new, JSON-serializable dictionary with every key: `data`, `split`, `compare`, `predict`, `report`,
        `metrics`, `new_data`, `baselines`, and `models` with `select`, `refit`, `network`, `training` and
        `penalty` for each. Resolving it once more changes nothing.

    Raises:
        RegfoldError: at the first problem: unknown keys, then single values, both in the config's order, then
            values that do not fit together.
    """
    try:
        return _resolve(raw, inputs_exist)
    except RegfoldError as error:
        raise RegfoldError(f"{source}: {error}") from None


def _resolve(raw: dict, inputs_exist: bool) -> dict:
    rules = schema.load()
    schema.check_keys(raw, rules)
    given = schema.check(raw, rules)
    keys = rules["properties"]
    data = schema.defaults(keys["data"]) | given["data"]
    data = {key: data[key] for key in keys["data"]["properties"]}
    data["target"] = [data["target"]] if isinstance(data["target"], str) else data["target"]
    data["missing"] = [str(text) for text in data["missing"]]
    split = schema.defaults(keys["split"]) | given.get("split", {})
    _check_data(data, inputs_exist)
    _check_split(split, data, inputs_exist)
    for section in ("network", "training"):
        _check_section(given.get(section, {}), section)
    models = {}
    for name, own in given["models"].items():
        _check_name(name, models)
        models[name] = copy.deepcopy(_model(given, own, name))
        _check_model(models[name], own, name, data)
    sections = {
        name: schema.defaults(keys[name]) | given.get(name, {}) for name in ("compare", "predict", "report")
    }
    named = [*given.get("metrics", keys["metrics"]["default"])]
    metrics.check(named, weighted=data["weight"] is not None)
    nested = next((name for name, model in models.items() if model["select"] == "nested"), None)
    if nested and metrics.own(named[:1]):
        raise RegfoldError(
            f"metrics: {quote(named[0])} stands first, but models.{nested}.select is nested, where it would "
            "have to choose inside the training; expected a known metric first, or select: min or one_se"
        )
    new_data = given.get("new_data")
    if new_data is not None:
        check_table(new_data, "new_data", exists=inputs_exist)
    return {
        "data": data,
        "split": split,
        **sections,
        "metrics": named,
        "new_data": new_data,
        "baselines": [*given.get("baselines", keys["baselines"]["default"])],
        "models": models,
    }


def _check_name(name: str, others: Iterable[str]) -> None:
    """Check that files of a model's name can exist on every system, beside those of other models."""
    twin = next((other for other in others if other.lower() == name.lower()), None)
    if twin is not None:
        raise RegfoldError(
            f"models.{name}: differs from {quote(twin)} in upper and lower case only, which file names may "
            "ignore; expected another name"
        )
    if name.lower() in baselines.NAMES:
        raise RegfoldError(
            f"models.{name}: is the name of a baseline; expected another name, or the list baselines"
        )
    if name.endswith(".") or name.partition(".")[0].upper() in DEVICES:
        raise RegfoldError(f"models.{name}: Windows cannot write files of this name; expected another name")


def _model(given: dict, own: dict, name: str) -> dict:
    """A model's settings: its own, which override the common ones, which override the defaults."""
    rules = schema.load()["properties"]["models"]["additionalProperties"]["properties"]
    network, training, penalty = (schema.defaults(rules[key]) for key in ("network", "training", "penalty"))
    for key in ("network", "training"):
        _check_section(own.get(key, {}), f"models.{name}.{key}")
    for settings in (given, own):
        network |= settings.get("network", {})
        changes = dict(settings.get("training", {}))
        if changes.get("early_stopping") is not None:
            changes["early_stopping"] = (training["early_stopping"] or {}) | changes["early_stopping"]
        training |= changes
    for part, value in own.get("penalty", {}).items():
        penalty[part] = penalty[part] | value if isinstance(penalty[part], dict) else value
    penalty = strengths.expand(penalty, f"models.{name}.penalty")
    options = rules["training"]["properties"]
    if training["early_stopping"] is not None:
        training["early_stopping"] = (
            schema.defaults(options["early_stopping"]["anyOf"][1]) | training["early_stopping"]
        )
    training["optimizer"] = _named(training["optimizer"])
    schedule = _named(training["schedule"])
    usual = schema.defaults(options["schedule"]["anyOf"][1])
    training["schedule"] = schedule | {
        key: schedule.get(key, usual[key]) for key in SCHEDULE_OPTIONS[schedule["name"]]
    }
    chosen = {key: own.get(key, rules[key]["default"]) for key in ("select", "refit")}
    return chosen | {"network": network, "training": training, "penalty": penalty}


def _named(value: str | dict) -> dict:
    """An optimizer or a schedule as a mapping, even if only its name is given."""
    return {"name": value} if isinstance(value, str) else value


def _check_data(data: dict, inputs_exist: bool) -> None:
    check_table(data["path"], exists=inputs_exist)
    if data["task"] == "classification" and len(data["target"]) > 1:
        raise RegfoldError(
            f"data.task: classification with {len(data['target'])} target columns; expected one target, or "
            "regression"
        )
    for keys, endings in ((("separator", "decimal", "encoding"), TEXT_ENDINGS), (("sheet",), (".xlsx",))):
        for key in keys:
            usual = schema.load()["properties"]["data"]["properties"][key]["default"]
            if data[key] != usual and not data["path"].lower().endswith(endings):
                raise RegfoldError(
                    f"data.{key}: {quote(data[key])} would be ignored, as {quote(data['path'])} is not "
                    f"{listed(endings, 'or')}; expected {usual or 'null'}"
                )
    if data["separator"] == data["decimal"] == ",":
        raise RegfoldError("data.decimal: ',' is data.separator too; expected '.', or another separator")
    excluded = set(data["exclude"])
    for name in data["target"]:
        if name == data["id"]:
            raise RegfoldError(f"data.id: {quote(name)} is a target; expected a column that names the rows")
        if name == data["weight"]:
            raise RegfoldError(f"data.weight: {quote(name)} is a target; expected a column of weights")
        if name in excluded:
            raise RegfoldError(f"data.exclude: {quote(name)} is a target; expected other columns")
    categorical = [] if data["categorical"] == "auto" else data["categorical"]
    if data["weight"] is not None and data["weight"] == data["id"]:
        raise RegfoldError(f"data.weight: {quote(data['id'])} is data.id; expected a column of weights")
    roles = dict.fromkeys(data["exclude"], "in data.exclude") | {data["id"]: "data.id"}
    roles |= dict.fromkeys(data["target"], "a target") | {data["weight"]: "data.weight"}
    for key, names in (("categorical", categorical), ("dates", data["dates"])):
        for name in names:
            if name in roles:
                raise RegfoldError(f"data.{key}: {quote(name)} is {roles[name]}; expected feature columns")
        roles |= dict.fromkeys(names, f"in data.{key}")


def _check_split(split: dict, data: dict, inputs_exist: bool) -> None:
    method = split["method"]
    for key, methods in {"column": WITH_COLUMN, "file": ("file",)}.items():
        if split[key] is None and method in methods:
            wanted = "a CSV with the columns row,repeat,fold" if key == "file" else "the name of a column"
            raise RegfoldError(f"split.{key}: missing; split.method is {method}, which needs {wanted}")
        if split[key] is not None and method not in methods:
            raise RegfoldError(
                f"split.{key}: {quote(split[key])} would be ignored, as split.method is {method}; expected "
                f"null, or the method {listed(methods, 'or')}"
            )
    if split["column"] is not None and split["column"] == data["weight"]:
        raise RegfoldError(
            f"data.weight: {quote(data['weight'])} is split.column; expected a column of weights"
        )
    if method == "file":
        check_input(split["file"], "split.file", exists=inputs_exist)
    if split["gap"] and method != "time":
        raise RegfoldError(
            f"split.gap: {split['gap']} would be ignored, as split.method is {method}; expected 0, or the "
            "method time"
        )
    if method in SINGLE and split["repeats"] != 1:
        raise RegfoldError(
            f"split.repeats: {split['repeats']} with split.method {method}: {SINGLE[method]}; expected 1"
        )
    if split["seed"] + split["repeats"] - 1 >= 2**32:
        raise RegfoldError(
            f"split.seed: {split['seed']} with {split['repeats']} repeats is out of range; expected seed + "
            "repeats of at most 4294967296"
        )
    if method in STRATIFIED and (why := _regression(data)):
        instead = "group" if method == "stratified_group" else "kfold"
        raise RegfoldError(
            f"split.method: {method} needs classes, but {why}; expected another method, such as {instead}"
        )


def _regression(data: dict) -> str:
    """Why the task must be a regression; empty if it may be a classification."""
    if data["task"] == "regression":
        return "data.task is regression"
    return "several targets are a regression" if len(data["target"]) > 1 else ""


def _check_section(section: dict, where: str) -> None:
    """Check a network or training section, the common one or a model's."""
    if section.get("build") is not None:
        check_function(section["build"], f"{where}.build", BUILD_ARGUMENTS)
    if isinstance(section.get("optimizer"), dict) and (found := optimizers.conflict(section["optimizer"])):
        raise RegfoldError(f"{where}.optimizer.{found[0]}: {found[1]}")
    schedule = _named(section.get("schedule", "constant"))
    for option in schedule:
        known = SCHEDULE_OPTIONS[schedule["name"]]
        if option != "name" and option not in known:
            instead = f"{' or '.join(known)}" if known else "the name alone"
            raise RegfoldError(
                f"{where}.schedule.{option}: no option of {schedule['name']}; expected {instead}"
            )


def _check_model(model: dict, own: dict, name: str, data: dict) -> None:
    penalty, where = model["penalty"], f"models.{name}.penalty"
    if model["network"]["build"] and penalty["dropout"]:
        raise RegfoldError(
            f"{where}.dropout: {_shown(penalty['dropout'])} would be ignored, as "
            "network.build makes the layers; expected 0, and Dropout layers in the build function"
        )
    if model["training"]["class_weight"] and _regression(data):
        place = f"models.{name}.training" if "class_weight" in own.get("training", {}) else "training"
        raise RegfoldError(
            f"{place}.class_weight: balanced needs classes, but {_regression(data)}; expected null"
        )
    _check_loss(model["training"]["loss"], own, name, data)
    _check_kernel(penalty["kernel"], f"{where}.kernel")
    _check_path(model, name)
    _check_proximal(model, where)


def _check_loss(loss: str, own: dict, name: str, data: dict) -> None:
    """Check that a loss suits the task, if the config alone says which task it is."""
    task = "regression" if _regression(data) else data["task"]
    if task != "auto" and (found := losses.conflict(loss, task)):
        place = f"models.{name}.training" if "loss" in own.get("training", {}) else "training"
        why = _regression(data) or "data.task is classification"
        raise RegfoldError(f"{place}.loss: {loss}, but {why}: {loss} {found}")


def _check_kernel(kernel: dict, where: str) -> None:
    """Check that the settings of the kernel penalty fit together."""
    forms = [key for key in ("l1_ratio", "group") if kernel[key] is not None]
    if len(forms) > 1:
        raise RegfoldError(f"{where}.group: given together with l1_ratio; expected one of them")
    if forms and not kernel["strength"]:
        raise RegfoldError(
            f"{where}.{forms[0]}: would be ignored, as kernel.strength is 0; expected a strength"
        )
    if kernel["strength"] and not forms:
        raise RegfoldError(f"{where}.strength: would be ignored; expected l1_ratio or group with it")
    for norm in ("l1", "l2"):
        if forms == ["l1_ratio"] and kernel[norm]:
            raise RegfoldError(f"{where}.{norm}: given together with l1_ratio; expected one of them")
    if kernel["proximal"] and not (kernel["l1"] or kernel["l1_ratio"]):
        raise RegfoldError(f"{where}.proximal: true would be ignored, as there is no l1; expected false")
    if kernel["proximal"] and kernel["group"]:
        raise RegfoldError(
            f"{where}.proximal: given together with group, which is proximal by itself; expected false"
        )


def _check_path(model: dict, name: str) -> None:
    """Check that the strengths of a model's path, if it has one, can be trained side by side."""
    path = strengths.path_of(model["penalty"])
    if path is None:
        if model["select"] != "min":
            raise RegfoldError(
                f"models.{name}.select: {model['select']} would be ignored, as no strength is a path; "
                "expected a list of strengths, or min"
            )
        return
    where = f"models.{name}.penalty.{path.name}"
    if model["refit"]:
        raise RegfoldError(
            f"models.{name}.refit: true together with a path, whose strength is chosen by the folds' scores; "
            "expected false, or one strength in a model of its own"
        )
    if model["network"]["build"]:
        raise RegfoldError(
            f"{where}: a path with network.build; expected one number, as only regfold's own networks are "
            "trained side by side"
        )
    if why := optimizers.not_elementwise(model["training"]["optimizer"]):
        raise RegfoldError(
            f"{where}: a path with {why}, which would mix the strengths; expected one number, or another "
            "optimizer"
        )


def _check_proximal(model: dict, where: str) -> None:
    """Check that the optimizer of a model with proximal steps is one whose step sizes are known."""
    kernel, optimizer = model["penalty"]["kernel"], model["training"]["optimizer"]
    if not kernel["proximal"] and not kernel["group"]:
        return
    place = f"{where}.kernel.{'group' if kernel['group'] else 'proximal'}"
    if model["network"]["build"]:
        raise RegfoldError(f"{place}: with network.build; expected regfold's own network")
    if not optimizers.allows_proximal(optimizer):
        given = ", ".join(
            f"{key} {_shown(value)}" for key, value in optimizer.items() if key != "name" and value
        )
        raise RegfoldError(
            f"{place}: a proximal step with {optimizer['name']}{given and f' ({given})'}; expected adam, "
            "adamw, or sgd without momentum, without clipping and amsgrad"
        )


def _shown(value: object) -> str:
    return "a path" if isinstance(value, list) else f"{value}"
