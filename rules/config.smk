"""Checks of the config files as text, before Snakemake reads them: YAML silently accepts some mistakes."""

import sys
from pathlib import Path

# Not `basedir`, which is the folder of the outer workflow if this one is used as a module.
sys.path.insert(0, str(Path(workflow.current_basedir).parent / "scripts"))

from regfold import errors
from regfold.config import yaml_file
from regfold.workflow import adapter

# At this point `config` holds what `--config` gave and nothing else. The key `table` is for the target init,
# which runs without a config.yaml: a placeholder config takes its place while the rules are read.
INIT = dict(config) if "table" in config and not adapter.is_module(workflow) else {}
if INIT:
    adapter.read_no_config_file(workflow)
    config.clear()
    config.update({"data": {"path": "sklearn:iris", "target": "target"}, "models": {"plain": {}}})

with errors.ending_the_process():
    paths = adapter.config_files(workflow)
    if paths == ["config.yaml"] and not Path("config.yaml").is_file():
        raise errors.RegfoldError(
            "no config.yaml in this folder; to write one: snakemake --cores 1 init --config table=FILE target=COLUMN"
        )
    for path in paths:
        if Path(path).is_file():
            yaml_file.check(path)
