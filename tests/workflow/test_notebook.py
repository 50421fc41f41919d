"""Guards the notebook under examples/: it runs from top to bottom on a finished study of the penguins."""

import shutil

import nbformat
import pytest
import yaml
from nbclient import NotebookClient
from workflow.real_study import ROOT, Study

NOTEBOOK = ROOT / "examples" / "python" / "study.ipynb"


@pytest.mark.heavy
def test_the_notebook_runs(tmp_path):
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["training"]["epochs"] = 20
    study = Study(tmp_path / "study", ROOT, config)
    shutil.copytree(ROOT / "data", study.folder / "data")
    said = study.snakemake()
    assert said.code == 0, said.text
    where = study.folder / "examples" / "python"  # it names the study as ../..
    where.mkdir(parents=True)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(where)}}).execute()
    outputs = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    assert all(outputs)
    last = outputs[-1][-1]["data"]["text/plain"]
    assert "Gentoo" in last
    assert last == outputs[-2][-1]["data"]["text/plain"]


def test_it_is_kept_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells)
