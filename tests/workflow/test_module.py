"""Guards regfold as a module of another workflow, whose rule makes the table and which places the results."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from workflow.real_study import ROOT

OUTER = Path(__file__).parent / "module" / "Snakefile"
CONFIG = {
    "data": {"path": "table.csv", "target": "y"},
    "split": {"folds": 2},
    "training": {"epochs": 3},
    "models": {"m": {}},
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def snakemake(*arguments: str, snakefile: Path = OUTER, **study) -> tuple[int, str]:
    """The exit status and everything on the terminal of a run of the outer workflow."""
    Path("outer.yaml").write_text(yaml.safe_dump({"study": CONFIG | study}))
    command = [sys.executable, "-m", "snakemake", *arguments, "--snakefile", str(snakefile), "--cores", "1"]
    command += ["--configfile", "outer.yaml"]
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return run.returncode, run.stdout


@pytest.mark.heavy
def test_the_outer_workflow_makes_the_table_and_reads_the_result():
    code, said = snakemake()
    assert code == 0, said
    results = Path("studies/one/out")
    assert float(Path("verdict.txt").read_text()) > 0
    assert (results / "oos/m.csv").is_file()
    assert not (results / "report.html").exists()  # nobody asked for it
    # All that is not the outer workflow's own is where its author placed it.
    assert {path.name for path in Path().glob("[!.]*")} == {
        "outer.yaml",
        "table.csv",
        "verdict.txt",
        "studies",
    }
    assert {path.name for path in Path("studies/one").iterdir()} == {"out", "logs", "benchmarks"}
    assert Path("studies/one/benchmarks/train_fold/m/1-1.tsv").is_file()
    assert "Nothing to be done" in snakemake()[1]
    code, said = snakemake("study_plan", "study_verify")
    assert code == 0, said
    assert "regfold: 4 kept; 0 predicts again; 0 resumes; 0 trains" in said
    assert "regfold: verified: 80 out-of-sample lines and 4 cells agree with table.csv" in said
    # Copied without Snakemake's records, a cell is compared by what it says of itself.
    Path(".snakemake").rename("records")
    assert "study_train_fold" not in snakemake("--dry-run")[1]


def test_a_mistake_in_its_config_names_the_module():
    code, said = snakemake("--dry-run", training={"epoch": 3})
    assert code == 1
    assert said.splitlines()[-1] == (
        "regfold: error: config of module study: training.epoch: unknown key; did you mean 'epochs'?"
    )


@pytest.mark.parametrize(
    ("line", "other"),
    [
        ("use rule * from study as study_*", "use rule * from study"),
        ('    prefix:\n        "studies/one"\n', ""),
        ('    pathvars:\n        results="out",\n', ""),
    ],
)
def test_other_ways_to_use_it(line, other):
    text = OUTER.read_text()
    assert line in text
    changed = text.replace(line, other).replace("../../../Snakefile", str(ROOT / "Snakefile"))
    if "use rule" in line:  # both workflows then have a rule `all`
        changed = changed.replace("rule all:", "rule everything:")
    prefix, out = "studies/one/" * ("prefix" not in line), "results" if "pathvars" in line else "out"
    Path("Snakefile").write_text(changed.replace("studies/one/out/", f"{prefix}{out}/"))
    code, said = snakemake("--dry-run", snakefile=Path("Snakefile"))
    assert code == 0, said
    assert "score_predictions" in said and "read_result" in said
