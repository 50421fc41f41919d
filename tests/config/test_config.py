"""Guards what a config means: defaults, overrides, numbers as text, and that no copy of its keys drifts."""

import copy
import inspect
import json
import random
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from regfold.config import split_methods, strengths
from regfold.config.paths import SKLEARN_TABLES, TABLE_ENDINGS
from regfold.config.resolve import SCHEDULE_OPTIONS, optimizers, resolve, schema
from regfold.errors import RegfoldError

ROOT = Path(__file__).resolve().parents[2]
RAW_SCHEMA = yaml.safe_load((ROOT / "schemas" / "config.schema.yaml").read_text())
SHIPPED = yaml.safe_load((ROOT / "config.yaml").read_text())
BASE = {"data": {"path": "sklearn:iris", "target": "target"}, "models": {"m": {}}}
KERNEL = {"l1": 0.0, "l2": 0.0, "l1_ratio": None, "group": None, "strength": 0.0, "proximal": False}
FULL = {
    "data": {"path": "sklearn:iris", "target": ["target"], "missing": [-999, "NA"], "exclude": ["x"]},
    "split": {"method": "stratified", "folds": "3", "repeats": 2.0, "seed": "1e1"},
    "network": {"hidden": ["8", 4.0]},
    "training": {
        "epochs": "5e2",
        "optimizer": {"name": "sgd", "clipnorm": 1, "momentum": "9e-1"},
        "learning_rate": "1e-4",
        "schedule": "cosine",
        "early_stopping": {"fraction": 0.2},
    },
    "models": {
        "a": {"penalty": {"kernel": {"l2": "1e-3"}, "dropout": 0.5}, "network": {"activation": "tanh"}},
        "b": None,
        "c": {"training": {"optimizer": "adam", "early_stopping": {"patience": 3}, "seed": 7}},
        "d": {"training": {"early_stopping": None, "schedule": {"name": "exponential"}}, "penalty": None},
    },
}


def config(**sections) -> dict:
    return copy.deepcopy(BASE) | sections


def resolved(**sections) -> dict:
    return resolve(config(**sections))


def model(**sections) -> dict:
    return resolved(**sections)["models"]["m"]


@pytest.fixture(autouse=True)
def in_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_a_config_of_two_lines_has_every_key():
    assert resolve(BASE) == {
        "data": {
            "path": "sklearn:iris",
            "target": ["target"],
            "task": "auto",
            "id": None,
            "weight": None,
            "exclude": [],
            "categorical": "auto",
            "missing": ["", "NA", "?"],
            "missing_target": "error",
            "dates": [],
            "separator": "auto",
            "decimal": "auto",
            "encoding": "auto",
            "sheet": None,
        },
        "split": {
            "method": "kfold",
            "folds": 5,
            "repeats": 1,
            "seed": 42,
            "column": None,
            "file": None,
            "gap": 0,
        },
        "compare": {"rope": 0.01},
        "predict": {"coverage": 0.9},
        "report": {"by": [], "importance": 5},
        "metrics": [],
        "new_data": None,
        "baselines": ["linear"],
        "models": {
            "m": {
                "select": "min",
                "network": {"hidden": [50, 25], "activation": "relu", "build": None},
                "training": {
                    "epochs": 500,
                    "batch_size": 32,
                    "optimizer": {"name": "adam"},
                    "learning_rate": 0.001,
                    "schedule": {"name": "constant"},
                    "loss": "auto",
                    "class_weight": None,
                    "early_stopping": None,
                    "seed": 42,
                    "seeds": 1,
                    "checkpoint_seconds": 30.0,
                    "on_divergence": "warn",
                },
                "penalty": {
                    "kernel": KERNEL,
                    "bias": {"l1": 0.0, "l2": 0.0},
                    "activity": {"l1": 0.0, "l2": 0.0},
                    "dropout": 0.0,
                    "weight_decay": 0.0,
                },
                "refit": False,
            }
        },
    }


@pytest.mark.parametrize("raw", [BASE, FULL, SHIPPED], ids=["base", "full", "shipped"])
def test_resolving_twice_changes_nothing(raw):
    once = resolve(raw)
    assert resolve(once) == once
    assert json.dumps(resolve(once)) == json.dumps(once)
    Draft202012Validator(RAW_SCHEMA).validate(once)


def test_the_argument_is_left_alone_and_nothing_is_shared():
    raw = copy.deepcopy(FULL)
    first = resolve(raw)
    assert raw == FULL
    first["data"]["missing"].append("x")
    first["models"]["a"]["network"]["hidden"].append(1)
    first["models"]["a"]["training"]["optimizer"]["momentum"] = 0.0
    assert resolve(raw)["models"]["b"]["network"]["hidden"] == [8, 4]
    assert first["models"]["b"]["network"]["hidden"] == [8, 4]
    assert first["models"]["b"]["training"]["optimizer"]["momentum"] == 0.9
    assert resolve(BASE)["data"]["missing"] == ["", "NA", "?"]


@given(st.randoms(use_true_random=False))
def test_the_order_of_keys_means_nothing_but_for_the_order_of_models(chance: random.Random):
    def shuffled(value):
        if not isinstance(value, dict):
            return value
        return {key: shuffled(value[key]) for key in chance.sample(list(value), len(value))}

    one, other = resolve(FULL), resolve(shuffled(FULL))
    assert one == other
    assert [json.dumps(other["models"][name]) for name in one["models"]] == [
        json.dumps(settings) for settings in one["models"].values()
    ]
    assert list(one["models"]) == list(FULL["models"])


@pytest.mark.parametrize("written", [500, 500.0, "500", "5e2", "500.0", " 500 ", "+500"])
def test_integers(written):
    epochs = model(training={"epochs": written})["training"]["epochs"]
    assert (epochs, type(epochs)) == (500, int)


@pytest.mark.parametrize("written", [0.0001, "1e-4", "1E-4", "0.0001", ".0001", "1.e-4"])
def test_numbers(written):
    assert model(training={"learning_rate": written})["training"]["learning_rate"] == 0.0001


@pytest.mark.parametrize("written", [1, 1.0, "1", "1e0"])
def test_one_number_has_one_form(written):
    rate = model(training={"learning_rate": written})["training"]["learning_rate"]
    assert (rate, type(rate)) == (1.0, float)


@pytest.mark.parametrize("written", [-0.0, "-0.0", 0, "-0"])
def test_zero_has_no_sign(written):
    strength = model(models={"m": {"penalty": {"kernel": {"l1": written}}}})["penalty"]["kernel"]["l1"]
    assert json.dumps(strength) == "0.0"


def test_missing_cells_become_text():
    missing = resolved(data=BASE["data"] | {"missing": [-999, -9.5, "n/a", ""]})["data"]["missing"]
    assert missing == ["-999", "-9.5", "n/a", ""]


@pytest.mark.parametrize("target", ["y", ["y"]])
def test_the_target_is_a_list(target):
    assert resolved(data={"path": "sklearn:iris", "target": target})["data"]["target"] == ["y"]


def test_sections_left_empty_are_the_defaults():
    empty = dict.fromkeys(("split", "network", "training"))
    assert resolved(**empty) == resolve(BASE)
    assert resolved(models={"m": {"penalty": {"kernel": None}, "network": None}}) == resolve(BASE)


def test_a_models_own_settings_go_before_the_common_ones():
    models = resolve(FULL)["models"]
    assert models["a"]["network"] == {"hidden": [8, 4], "activation": "tanh", "build": None}
    assert models["b"]["network"] == {"hidden": [8, 4], "activation": "relu", "build": None}
    assert models["a"]["penalty"]["kernel"] == KERNEL | {"l2": 0.001}
    assert models["a"]["penalty"]["dropout"] == 0.5
    assert models["b"]["penalty"]["dropout"] == 0.0
    assert [models[name]["training"]["seed"] for name in "abcd"] == [42, 42, 7, 42]
    assert {models[name]["training"]["epochs"] for name in "abcd"} == {500}


def test_early_stopping_is_merged_and_can_be_switched_off():
    found = {
        name: settings["training"]["early_stopping"] for name, settings in resolve(FULL)["models"].items()
    }
    assert found == {
        "a": {"fraction": 0.2, "patience": 20},
        "b": {"fraction": 0.2, "patience": 20},
        "c": {"fraction": 0.2, "patience": 3},
        "d": None,
    }


def test_optimizer_and_schedule_are_replaced_as_a_whole():
    models = resolve(FULL)["models"]
    assert models["a"]["training"]["optimizer"] == {"name": "sgd", "clipnorm": 1.0, "momentum": 0.9}
    assert models["c"]["training"]["optimizer"] == {"name": "adam"}
    assert models["a"]["training"]["schedule"] == {"name": "cosine", "final": 0.0}
    assert models["d"]["training"]["schedule"] == {"name": "exponential", "decay_rate": 0.96}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("constant", {"name": "constant"}),
        ({"name": "constant"}, {"name": "constant"}),
        ("cosine", {"name": "cosine", "final": 0.0}),
        ({"name": "cosine", "final": "1e-2"}, {"name": "cosine", "final": 0.01}),
        ("exponential", {"name": "exponential", "decay_rate": 0.96}),
        ({"name": "exponential", "decay_rate": 1}, {"name": "exponential", "decay_rate": 1.0}),
    ],
)
def test_schedules(written, meant):
    assert model(training={"schedule": written})["training"]["schedule"] == meant


@pytest.mark.parametrize(
    "path", ["t.csv", "t.tsv", "T.CSV", "t.csv.gz", "t.tsv.gz", "a.b.parquet", "t.feather"]
)
def test_tables_that_are_there(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(path).touch()
    assert resolved(data={"path": path, "target": "y"})["data"]["path"] == path


@pytest.mark.parametrize(
    "definition",
    [
        "def net(n_features, n_outputs, output_activation, regularizers): ...",
        "def net(a, b, c, d, e=1, *, f=2): ...",
        "def net(a, /, *others, **more): ...",
        "def net(a, b, c, d=None): ...",
    ],
)
def test_build_functions_that_can_be_called(definition, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("nets.py").write_text(f"raise SystemExit('not to be run')\n{definition}\n")
    network = model(network={"build": "nets.py:net", "hidden": [3]})["network"]
    assert network == {"build": "nets.py:net", "hidden": [3], "activation": "relu"}


@pytest.mark.parametrize("name", ["m", "0", "a.b", "L1_l2-x", "con_1", "m.nul", "com10", "a" * 100])
def test_names_of_models(name):
    assert list(resolved(models={name: {}})["models"]) == [name]


def test_the_shipped_config_has_every_key_and_the_schemas_defaults():
    rules = schema.load()["properties"]
    for section in ("data", "split", "network", "training", "compare", "predict", "report"):
        assert SHIPPED[section].keys() == rules[section]["properties"].keys()
        required = {key: SHIPPED[section][key] for key in rules[section].get("required", ())}
        assert SHIPPED[section] == schema.defaults(rules[section]) | required
    assert SHIPPED["new_data"] is None
    assert SHIPPED["models"] == {"l1": {"penalty": {"activity": {"l1": 1.0e-4}}}}
    assert resolve(SHIPPED)["data"]["path"] == "data/penguins.csv"


def test_the_commented_models_of_the_shipped_config_are_good():
    lines = (ROOT / "config.yaml").read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("models:"))
    active = [line.replace("  # ", "  ", 1) if line.startswith("  # ") else line for line in lines[start:]]
    models = yaml.safe_load("\n".join(active))
    assert list(resolved(**models)["models"]) == [
        "l1",
        "plain",
        "l2",
        "sparse",
        "elastic_net",
        "columns",
        "dropout",
    ]


def test_the_schema_is_a_schema_and_explains_every_key():
    Draft202012Validator.check_schema(RAW_SCHEMA)

    def walk(node, path):
        for key, leaf in node.get("properties", {}).items():
            assert leaf.get("description", "").endswith((".", ")")), f"{path}.{key} has no description"
            walk(leaf, f"{path}.{key}")
            for one in leaf.get("anyOf", ()):
                walk(one, f"{path}.{key}")
        if "object" in str(node.get("type")):
            assert node["additionalProperties"] is False or path == "config.models", path
        if isinstance(node.get("additionalProperties"), dict):
            walk(node["additionalProperties"], f"{path}.NAME")

    walk(schema.load(), "config")


def test_the_schema_alone_accepts_the_shipped_config_and_refuses_unknown_keys():
    validator = Draft202012Validator(RAW_SCHEMA)
    validator.validate(SHIPPED)
    assert not validator.is_valid(SHIPPED | {"epochs": 3})
    assert not validator.is_valid(config(models={"m": {"penalty": {"l1": 1.0}}}))


def test_descriptions_name_all_tables():
    text = schema.load()["properties"]["data"]["properties"]["path"]["description"]
    assert all(ending in text for ending in TABLE_ENDINGS)
    assert all(f"sklearn:{name}" in text for name in SKLEARN_TABLES)


def test_sklearn_tables_are_those_that_can_be_loaded():
    from sklearn import datasets

    assert all(hasattr(datasets, f"load_{name}") for name in SKLEARN_TABLES)
    for name in SKLEARN_TABLES:
        assert resolved(data={"path": f"sklearn:{name}", "target": "y"})


def test_docs_config_md_is_what_the_schema_says():
    render = runpy.run_path(str(ROOT / "docs" / "make_config_md.py"))["render"]
    text = (ROOT / "docs" / "config.md").read_text(encoding="utf-8")
    assert text == render(schema.load()), "run: uv run python docs/make_config_md.py"


def test_config_starts_fast():
    code = "import sys; sys.path.insert(0, 'scripts'); import regfold.config.resolve; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not {"numpy", "pandas", "keras", "tensorflow", "sklearn", "pyarrow"} & set(loaded.stdout.split())


def test_the_report_has_words_for_every_split_method():
    assert list(split_methods.METHODS) == RAW_SCHEMA["properties"]["split"]["properties"]["method"]["enum"]


def test_optimizers_and_their_options_are_those_of_keras():
    import keras

    wrappers = {"Optimizer", "LossScaleOptimizer", "MultiOptimizer"}
    classes = {
        name.lower(): one
        for name, one in vars(keras.optimizers).items()
        if inspect.isclass(one) and issubclass(one, keras.optimizers.Optimizer) and name not in wrappers
    }
    assert classes.keys() == optimizers.OPTIMIZERS.keys()
    elsewhere = {"self", "learning_rate", "weight_decay", "adam_weight_decay", "name", "kwargs"}
    # A moving average would be one more set of weights to keep, restore and choose from.
    elsewhere |= {"use_ema", "ema_momentum", "ema_overwrite_frequency"}
    elsewhere |= {"loss_scale_factor", "gradient_accumulation_steps"}
    training = schema.load()["properties"]["training"]["properties"]
    names, mapping = training["optimizer"]["anyOf"]
    assert set(names["enum"]) == set(mapping["properties"]["name"]["enum"]) == classes.keys()
    for name, one in classes.items():
        assert optimizers.class_name(name) == one.__name__
        options = inspect.signature(one.__init__).parameters
        assert set(optimizers.options(name)) == options.keys() - elsewhere, name
        assert set(optimizers.options(name)) <= mapping["properties"].keys()
        usual = {key: options[key].default for key in optimizers.options(name)}
        usual = {key: value for key, value in usual.items() if value is not None}
        found = model(training={"optimizer": {"name": name} | usual})["training"]["optimizer"]
        one(learning_rate=0.001, weight_decay=0.0, **{key: found[key] for key in found if key != "name"})
    taken = {option for name in classes for option in optimizers.options(name)}
    assert taken | {"name"} == mapping["properties"].keys()


def test_activations_are_those_of_keras_that_a_hidden_layer_can_use():
    import keras

    listed = schema.load()["properties"]["network"]["properties"]["activation"]["enum"]
    known = {name for name, one in vars(keras.activations).items() if inspect.isfunction(one)}
    helpers = {"deserialize", "get", "serialize"}
    halves_the_units, needs_arguments = {"glu"}, {"threshold"}
    assert set(listed) | helpers | halves_the_units | needs_arguments >= known
    for name in listed:
        layer = keras.layers.Dense(4, activation=name)
        assert layer(keras.ops.ones((2, 3))).shape == (2, 4)


def test_schedules_of_the_table_are_those_of_the_schema():
    names, mapping = schema.load()["properties"]["training"]["properties"]["schedule"]["anyOf"]
    assert names["enum"] == list(SCHEDULE_OPTIONS)
    options = {option for some in SCHEDULE_OPTIONS.values() for option in some}
    assert options | {"name"} == mapping["properties"].keys()


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["data", "path", "target", "models", "training", "optimizer", "name", "penalty"]
                )
                | st.text()
                | st.integers(),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_anything_at_all_gives_a_config_or_one_line(raw):
    try:
        resolve(raw)
    except RegfoldError as error:
        assert str(error).startswith("config.yaml: ")
        assert len(str(error).splitlines()) == 1


def test_a_path_becomes_its_strengths():
    given = {"kernel": {"l2": {"path": {"from": "1e-6", "to": 0.1, "steps": 6}}}}
    model = resolved(models={"m": {"penalty": given, "select": "one_se"}})["models"]["m"]
    assert model["penalty"]["kernel"]["l2"] == [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1]
    assert strengths.path_of(model["penalty"]) == strengths.Path(
        "kernel.l2", [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1]
    )
    assert strengths.at(model["penalty"], 0.1)["kernel"] == KERNEL | {"l2": 0.1}
    assert model["select"] == "one_se"


def test_a_list_of_strengths_keeps_its_order():
    penalty = resolved(models={"m": {"penalty": {"dropout": [0.5, "0", 0.2]}}})["models"]["m"]["penalty"]
    assert strengths.path_of(penalty) == strengths.Path("dropout", [0.5, 0.0, 0.2])
    assert strengths.at(penalty, [0.5, 0.2])["dropout"] == [0.5, 0.2]


def test_without_a_list_there_is_no_path():
    assert strengths.path_of(resolved(models={"m": {}})["models"]["m"]["penalty"]) is None
