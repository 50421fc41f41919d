"""The config files, checked as text before Snakemake reads them: some mistakes YAML takes for something else."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir) / "scripts"))

from regfold import errors
from regfold.config import yaml_file
from regfold.workflow import adapter

with errors.ending_the_process():
    for path in adapter.config_files(workflow):
        if Path(path).is_file():
            yaml_file.check(path)
