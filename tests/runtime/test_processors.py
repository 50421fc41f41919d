"""Guards that the number of processors changes no bit of a network, and that a job keeps to its own."""

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
usable, threads, hidden, batch_size, n_rows = json.loads(sys.argv[1])
os.sched_setaffinity(0, usable)
from regfold.runtime import processors
pool = processors.pool_size(20, 2, hidden, batch_size)
with processors.confined(threads, pool):
    assert processors.start(pool) == []
    assert not {{"sklearn", "matplotlib", "pandas"}} & set(sys.modules)
    import numpy as np
    import tensorflow as tf
    from regfold.training.network import build_body, weights_digest
    from regfold.training.trainer import Trainer
    from small_study import model
    assert tf.config.threading.get_intra_op_parallelism_threads() == pool
    random = np.random.default_rng(0)
    rows, truth = random.normal(size=(n_rows, 20)), random.normal(size=(n_rows, 2))
    settings = model(network={{"hidden": hidden}}, training={{"epochs": 1, "batch_size": batch_size}})
    key = (1, 1, 1)
    body = build_body(20, 2, "linear", settings["network"], settings["penalty"], key)
    trainer = Trainer(
        body, rows.astype(np.float32), truth.astype(np.float32), task="regression",
        training=settings["training"], weight_decay=0.0, key=key,
    )
    trainer.fit(None, save=lambda state: None)
    print(json.dumps([pool, weights_digest(body), len(os.sched_getaffinity(0))]))
"""


def run_together(leases, *jobs):
    """Start training processes at once; what each of them printed."""
    environment = os.environ | {"REGFOLD_LEASES": str(leases)}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", TRAIN, json.dumps(job)], stdout=subprocess.PIPE, text=True, env=environment
        )
        for job in jobs
    ]
    printed = [process.communicate(timeout=120)[0] for process in started]
    assert [process.returncode for process in started] == [0] * len(jobs)
    return [json.loads(line) for line in printed]


needs_two = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="needs two processors"
)


@needs_two
@pytest.mark.parametrize(
    ("pool", "network"),
    [(1, ([50, 25], 32, 500)), (2, ([512, 256], 1024, 2500)), (16, ([1024, 1024], 1024, 1500))],
)
def test_one_and_two_processors_give_the_same_bytes(tmp_path, pool, network):
    """On one processor; on two with two threads; and on two with one thread, which then keeps to one."""
    one, two = sorted(os.sched_getaffinity(0))[:2]
    jobs = [([one], 1, *network), ([one, two], 2, *network), ([one, two], 1, *network)]
    found = run_together(tmp_path, *(jobs if pool == 2 else jobs[:2]))
    assert [line[0] for line in found] == [pool] * len(found)
    assert len({line[1] for line in found}) == 1
    assert [line[2] for line in found] == [1, 2, 1][: len(found)]


@needs_two
def test_jobs_lease_processors_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setenv("REGFOLD_LEASES", str(tmp_path))
    script = f"""
import os, sys
sys.path.insert(0, {str(SCRIPTS)!r})
from regfold.runtime import processors
with processors.confined(1, 4):
    print(*sorted(os.sched_getaffinity(0)), flush=True)
    sys.stdin.read()
"""
    usable = sorted(os.sched_getaffinity(0))
    jobs, seen = [], []
    for _ in range(len(usable) + 1):
        job = subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        seen.append([int(cpu) for cpu in job.stdout.readline().split()])
        jobs.append(job)
    for job in jobs:
        job.communicate("")
    assert seen[:-1] == [[cpu] for cpu in usable], "each has its own"
    assert seen[-1] == usable, "where all are taken, the operating system chooses"


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


def test_a_job_with_all_the_processors_it_can_use_is_not_confined(monkeypatch):
    monkeypatch.setattr(os, "sched_setaffinity", pytest.fail, raising=False)
    with processors.confined(64, 16), processors.confined(1, 1), processors.confined(4, 4):
        pass
