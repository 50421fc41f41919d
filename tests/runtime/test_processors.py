"""Guards that the number of processors changes no bit of a network, and that a job may use all of them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from regfold.runtime import processors

SCRIPTS = Path(__file__).parents[2] / "scripts"

# One epoch of a network, as a job trains it; prints its weights' digest and the processors it was on.
TRAIN = f"""
import json, os, sys
sys.path[:0] = [{str(SCRIPTS)!r}, {str(SCRIPTS.parent / "tests")!r}]
usable, hidden, batch_size, n_rows = json.loads(sys.argv[1])
os.sched_setaffinity(0, usable)
from regfold.runtime import processors
pool = processors.pool_size(20, 2, hidden, batch_size)
assert processors.start(pool) == []
assert not {{"sklearn", "matplotlib", "pandas"}} & set(sys.modules)
import numpy as np
import tensorflow as tf
from regfold.training.network import build_core, set_values, weights_digest
from regfold.training.programs.base import padded_rows
from regfold.training.trainer import Trainer
from small_study import model
assert tf.config.threading.get_intra_op_parallelism_threads() == pool
random = np.random.default_rng(0)
rows, truth = random.normal(size=(n_rows, 20)), random.normal(size=(n_rows, 2))
settings = model(network={{"hidden": hidden}}, training={{"epochs": 1, "batch_size": batch_size}})
key = (1, 1, 1)
core = build_core(20, 2, "linear", settings["network"], settings["penalty"], key)
rows = padded_rows(rows.astype(np.float32), truth.astype(np.float32))
groups, penalty = np.arange(20, dtype=np.int32), settings.pop("penalty")
del settings["select"], settings["refit"]
options = {{"task": "regression", "n_outputs": 2, "key": key, "penalties": [penalty], **settings}}
trainer = Trainer(core, rows, None, groups, **options)
(trained,) = trainer.fit(None, save=lambda state: None).trained()
set_values(core, trained.variables)
print(json.dumps([pool, weights_digest(core), len(os.sched_getaffinity(0))]))
"""


# One cell as train_fold runs it, whose network is worth two threads; prints the processors it was left with.
JOB = f"""
import os, sys
from types import SimpleNamespace
sys.path[:0] = [{str(SCRIPTS)!r}, {str(SCRIPTS.parent / "tests")!r}]
import train_fold
from regfold.provenance import identity
from regfold.runtime import processors
from small_study import Study
from snakemake.iocontainers import Log
study = Study(
    "x,y\\n" + "".join(f"{{i}},{{i % 3}}.5\\n" for i in range(12)),
    network={{"hidden": [100, 100]}}, training={{"epochs": 1, "batch_size": 1024}},
)
assert processors.pool_size(1, 1, [100, 100], 1024) == 2
train_fold.main(SimpleNamespace(
    wildcards=SimpleNamespace(model="m", repeat="1", fold="1"), threads=1,
    log=Log(fromdict={{"log": "job.log", "usage": "job.tsv"}}),
    config=study.config,
    params=SimpleNamespace(spec=identity.specification(study.config["models"]["m"])),
    input=SimpleNamespace(fold="results/folds/1-1.json", schema="results/prepared/schema.json"),
    output=SimpleNamespace(cell="results/cells/m/1-1/cell.json"),
))
print(len(os.sched_getaffinity(0)))
"""


def run_together(script, *arguments, **options):
    """Run a script once for each argument, all at once; what each of them printed."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", script, json.dumps(argument)], stdout=subprocess.PIPE, text=True, **options
        )
        for argument in arguments
    ]
    printed = [process.communicate(timeout=300)[0] for process in started]
    assert [process.returncode for process in started] == [0] * len(started)
    return [json.loads(line) for line in printed]


needs_two = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="needs two processors"
)


@needs_two
@pytest.mark.parametrize(
    ("pool", "network"),
    [
        (1, ([50, 25], 32, 500)),
        (2, ([512, 256], 1024, 2500)),
        pytest.param(16, ([1024, 1024], 1024, 1500), marks=pytest.mark.heavy),
    ],
)
def test_one_and_two_processors_give_the_same_bytes(pool, network):
    one, two = sorted(os.sched_getaffinity(0))[:2]
    alone, both = run_together(TRAIN, ([one], *network), ([one, two], *network))
    assert (alone[0], alone[2]) == (pool, 1)
    assert (both[0], both[2]) == (pool, 2)
    assert alone[1] == both[1]


@needs_two
def test_a_job_is_kept_to_no_processor(tmp_path):
    """Which ones are free, the operating system knows: other users and other containers share no lock."""
    environment = os.environ | {"REGFOLD_GPUS": "none", "REGFOLD_LEASES": str(tmp_path / "leases")}
    (found,) = run_together(JOB, None, cwd=tmp_path, env=environment)
    assert found == len(os.sched_getaffinity(0))
    assert not (tmp_path / "leases").exists()


@pytest.mark.parametrize(
    ("shape", "pool"),
    [
        ((4, 3, [50, 25], 32), 1),
        ((100, 1, [64, 32], 256), 1),
        ((50, 1, [512, 256], 1024), 2),
        ((50, 1, [768, 768], 1024), 4),
        ((1000, 10, [4096, 4096], 1024), 16),
        ((10, 1, [], 32), 1),
        ((10, 1, None, 32), 4),
    ],
)
def test_the_pool_is_decided_by_the_work_alone(shape, pool):
    assert processors.pool_size(*shape) == pool
