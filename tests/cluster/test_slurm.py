"""Guards that a study on a Slurm cluster gives the local run's bytes, whatever happens to its jobs."""

import contextlib
import signal
import time
from collections.abc import Iterable

import pytest
from cluster.private_slurm import Cluster, Study, Watch, cell_of, kill, wait_for

pytestmark = pytest.mark.heavy


@contextlib.contextmanager
def driven(study: Study, cluster: Cluster, *options: str):
    """Snakemake on the cluster; nothing of it is left behind."""
    driver = study.start(*options)
    try:
        yield driver
    finally:
        if driver.poll() is None:
            driver.kill()
            driver.wait()
        for line in cluster.call("squeue", "-h", "-o", "%A").split():
            cluster.call("scancel", line)


def new_jobs(cluster: Cluster, before: list[dict], *options: str) -> list[dict]:
    """The accounting of the jobs that were not there before."""
    known = {job["JobID"] for job in before}
    return [job for job in cluster.jobs(*options) if job["JobID"] not in known]


class Target:
    """Chooses cells to hit: those whose running job has saved a state."""

    def __init__(self, cluster: Cluster, study: Study, local: Study):
        self.cluster, self.study = cluster, study
        self.digests = {cell: about["digests"]["states"][0] for cell, about in local.cells().items()}

    def cells(self, node: str = "", but: Iterable[str] = ()) -> list[str]:
        return [
            cell
            for cell, (_, place) in self.cluster.running().items()
            if cell not in but and node in ("", place) and self.study.saved(cell, self.digests[cell])
        ]

    def next(self, node: str = "", but: Iterable[str] = ()) -> tuple[str, str, str]:
        """(cell, job, node) of the next cell that can be hit."""
        cell = wait_for("a cell that trains and has saved a state", lambda: self.cells(node, but))[0]
        return cell, *self.cluster.running()[cell]


def test_five_folds_on_two_gpus(cluster, local, study):
    before = cluster.jobs()
    watch = Watch(study)
    watch.start()
    options = ("--profile", "profiles/slurm", "--set-resources", "train_fold:slurm_partition=one")
    with driven(study, cluster, *options) as driver:
        study.finish(driver)
    looks = watch.end()

    assert study.sha256() == local.sha256()
    jobs = new_jobs(cluster, before)
    assert sorted(cell_of(job["Comment"]) for job in jobs) == sorted(local.cells())
    assert {job["State"] for job in jobs} == {"COMPLETED"}
    assert all("gres/gpu=1" in job["AllocTRES"] for job in jobs)
    # Both GPUs were used, and no two jobs ever had the same one.
    assert max(map(len, looks)) == 2
    assert {place for look in looks for place in look.values()} == {("n1", "0"), ("n1", "1")}
    assert all(len(set(look.values())) == len(look) for look in looks)


def test_every_fault_of_a_cluster(cluster, local, study):
    """One run: cancelled, requeued, preempted, a node lost, the controller away, out of time."""
    before = cluster.jobs()
    target = Target(cluster, study, local)
    # A minute in place of the profile's hour; it grows with the attempt as there. On a busy machine more
    # cells than one may come to it, hence more attempts.
    limits = ("--retries", "9", "--set-resources", "train_fold:runtime=attempt")
    with driven(study, cluster, "--profile", "profiles/slurm", *limits) as driver:
        slow, _, place = target.next()
        kill(study.process(slow), signal.SIGSTOP)  # it hangs, and comes to its time limit
        # Its node takes no more jobs for now: what is to come runs on the other one, and can be hit there.
        cluster.call("scontrol", "update", f"NodeName={place}", "State=DRAIN", "Reason=test")
        other = {"n1": "n2", "n2": "n1"}[place]

        cancelled, job, _ = target.next(but={slow})
        cluster.call("scancel", job)
        requeued, job, _ = target.next(but={slow, cancelled})
        cluster.call("scontrol", "requeue", job)

        preempted, _, _ = target.next(other, but={slow})
        urgent = ("-p", "urgent", "-w", other, "--gres=gpu:2", "--mem=100", "-o", "/dev/null")
        cluster.call("sbatch", "--wait", *urgent, "--wrap", "true")
        lost, _, _ = target.next(other, but={slow})
        cluster.kill_node(other)
        wait_for("the node is down", lambda: cluster.is_down(other))
        cluster.start_node(other)
        cluster.call("scontrol", "update", f"NodeName={place}", "State=RESUME")

        target.next(but={slow})
        cluster.stop_controller()
        time.sleep(30)
        cluster.start_controller()
        study.finish(driver)

    assert study.sha256() == local.sha256()
    queued = new_jobs(cluster, before, "-D")
    cells = study.cells()
    for cell, state in (
        (slow, "TIMEOUT"),
        (cancelled, "CANCELLED"),
        (requeued, "REQUEUED"),
        (preempted, "PREEMPTED"),
        (lost, "NODE_FAIL"),
    ):
        assert any(cell_of(job["Comment"]) == cell and job["State"].startswith(state) for job in queued), (
            state
        )
        assert cells[cell]["resumed_from"] > 0
        assert cells[cell]["resumed_from"] + cells[cell]["trained_epochs"] == cells[cell]["epochs"]
    # The cell that ran out of time was given more of it, and more memory. How much more depends on how often
    # it could not be sent while the controller was away: that counts as an attempt too.
    given = [(job["TimelimitRaw"], job["ReqMem"]) for job in queued if cell_of(job["Comment"]) == slow]
    grown = {(str(attempt), f"{4000 * attempt}M") for attempt in range(2, 11)}
    assert ("1", "4000M") in given and grown & set(given)


def test_snakemake_killed_while_its_jobs_run(cluster, local, study):
    """Its jobs go on; the next run sends the same cells again, and each is trained by one of the two."""
    before = cluster.jobs()
    target = Target(cluster, study, local)
    with driven(study, cluster, "--profile", "profiles/slurm-gres") as driver:
        cell, _, _ = target.next()
        first = study.process(cell)
        kill(first, signal.SIGSTOP)  # so that it is still there when its twin comes
        driver.kill()
        driver.wait()
        with driven(study, cluster, "--profile", "profiles/slurm-gres") as driver:
            wait_for("the second job of the cell", lambda: study.process(cell) != first)
            wait_for("it says that it waits", lambda: "works on it" in study.job_logs())
            time.sleep(1)
            assert study.epoch(cell) == 0
            kill(first, signal.SIGCONT)
            study.finish(driver)

    assert study.sha256() == local.sha256()
    jobs = new_jobs(cluster, before)
    assert all("gres/gpu=1" in job["AllocTRES"] for job in jobs)
    jobs = [job for job in jobs if cell_of(job["Comment"]) == cell]
    assert [job["State"] for job in jobs] == ["COMPLETED"] * 2
    assert jobs[1]["Start"] < jobs[0]["End"]
    # The second waited for the first, and found nothing left to train.
    about = study.cells()
    assert (about[cell]["trained_epochs"], about[cell]["resumed_from"]) == (0, about[cell]["epochs"])
    assert all(each["resumed_from"] + each["trained_epochs"] == each["epochs"] for each in about.values())
