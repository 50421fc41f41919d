"""Write docs/config.md from the schema of config.yaml: `uv run python docs/make_config_md.py`."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from regfold.config import optimizers, schema  # noqa: E402
from regfold.config.messages import describe  # noqa: E402

FOLDER = ROOT / "docs" / "networks"
INTRODUCTION = """\
# config.yaml

<!-- Written by docs/make_config_md.py from schemas/config.schema.yaml: change that, then run the script. -->

One file describes a study: `config.yaml`, in the folder where `snakemake` runs. Whatever is wrong with it
ends the run before any training, with one line that names the key, what was found and what is expected:

```text
config.yaml: training.epoch: unknown key; did you mean 'epochs'?
config.yaml: training.epochs: 0 is out of range; expected an integer of at least 1
```

- Unknown keys are errors at every level. A section may be left out or left empty: the defaults then hold.
- `1e-4` and `1e4`, which YAML reads as text, are numbers here; `true` and `false` are not.
- Text that YAML would take for something else (`no`, `1`, `2020-01-01`) goes in quotes.
- A key that is given twice is an error, although YAML itself would silently keep the last one.
"""


def render(rules: dict) -> str:
    """The text of docs/config.md.

    Args:
        rules: the schema, as `regfold.config.schema.load` returns it.
    """
    parts = [INTRODUCTION]
    sections = rules["properties"]
    for name in ("data", "split", "network", "training"):
        parts.append(f"## {name}\n\n{sections[name]['description']}\n\n{_table(sections[name])}")
        if name == "network":
            parts.append(_build())
    optimizer = _mapping(sections["training"]["properties"]["optimizer"])
    parts.append(
        "### Options of the optimizers\n\n`training.optimizer` as a mapping takes, beside `name`, these "
        f"options; Keras' own default holds for those left out.\n\n{_options(optimizer)}"
    )
    for name in ("compare", "predict", "report"):
        parts.append(f"## {name}\n\n{sections[name]['description']}\n\n{_table(sections[name])}")
    parts.append(f"## metrics\n\n{sections['metrics']['description']} Default: `[]`.")
    parts.append(f"## new_data\n\n{sections['new_data']['description']}")
    default = json.dumps(sections["baselines"]["default"])
    parts.append(f"## baselines\n\n{sections['baselines']['description']} Default: `{default}`.")
    models = sections["models"]
    parts.append(
        f"## models\n\n{models['description']} Names are made of {models['propertyNames']['title']}."
    )
    keys = models["additionalProperties"]["properties"]
    parts.append("\n".join(f"- `models.NAME.{key}`: {leaf['description']}" for key, leaf in keys.items()))
    parts.append(f"### models.NAME.penalty\n\n{_table(keys['penalty'])}")
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _build() -> str:
    """The arguments of a function of network.build, with complete files as examples."""
    examples = [
        f"`build: {path.name}:{path.stem}`\n\n```python\n{path.read_text(encoding='utf-8')}```"
        for path in sorted(FOLDER.glob("*.py"), reverse=True)
    ]
    return "\n\n".join([(FOLDER / "README.md").read_text(encoding="utf-8").strip(), *examples])


def main() -> None:
    """Write docs/config.md; with --check, only say by the exit status whether it is up to date."""
    file, text = ROOT / "docs" / "config.md", render(schema.load())
    if "--check" in sys.argv[1:]:
        sys.exit(
            None if file.read_text(encoding="utf-8") == text else f"{file.name} is not what the schema says"
        )
    file.write_text(text, encoding="utf-8")


def _table(section: dict) -> str:
    lines = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for key, leaf, meaning in _leaves(section, ""):
        default = f"`{json.dumps(leaf['default'])}`" if "default" in leaf else "required"
        lines.append(f"| `{key}` | {_value(leaf)} | {default} | {_cell(meaning)} |")
    return "\n".join(lines)


def _leaves(section: dict, above: str) -> Iterator[tuple[str, dict, str]]:
    """Every key of a section, dotted, what the schema says of it, and its meaning; no optimizer's options."""
    for key, leaf in section["properties"].items():
        if "properties" in leaf:
            for inner, rule, meaning in _leaves(leaf, f"{above}{key}."):
                yield inner, rule, f"{leaf['description']} {meaning}"
            continue
        yield f"{above}{key}", leaf, leaf["description"]
        if (mapping := _mapping(leaf)) and key != "optimizer" and "path" not in mapping["properties"]:
            yield from _leaves(mapping, f"{above}{key}.")


def _options(optimizer: dict) -> str:
    lines = ["| option | value | taken by | meaning |", "|---|---|---|---|"]
    for option, leaf in optimizer["properties"].items():
        taken = [name for name in optimizers.OPTIMIZERS if option in optimizers.options(name)]
        by = "all" if option in optimizers.COMMON else ", ".join(taken)
        if option != "name":
            lines.append(f"| `{option}` | {_value(leaf)} | {by} | {_cell(leaf['description'])} |")
    return "\n".join(lines)


def _mapping(leaf: dict) -> dict | None:
    return next((one for one in leaf.get("anyOf", ()) if "properties" in one), None)


def _value(leaf: dict) -> str:
    """What a key takes; where it takes names, all of them and not the title's examples."""
    return _cell(
        describe({key: value for key, value in leaf.items() if key != "title" or "enum" not in leaf})
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    main()
