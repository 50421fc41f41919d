"""Guards the GPU lease: never two cells on one slot, every GPU used, a dead cell's GPU free again.

NVML is stubbed at its library boundary: a module `pynvml` whose GPUs come from an environment variable. The
holders are real processes.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from regfold.errors import RegfoldError
from regfold.runtime.gpu import gpu_limit, jobs_per_gpu, lease_folder

SCRIPTS = Path(__file__).parents[2] / "scripts"

# FAKE_GPUS: a list of {"uuid", "used", "mig": [uuid, ...], "lost": true}, or the number of an NVML error.
FAKE_NVML = """
import json, os
from types import SimpleNamespace
class NVMLError(Exception):
    def __str__(self):
        return {9: "Driver Not Loaded", 15: "GPU is lost", 18: "Version mismatch"}.get(self.args[0], "error")
class NVMLError_LibraryNotFound(NVMLError): pass
class NVMLError_NotSupported(NVMLError): pass
class NVMLError_NotFound(NVMLError): pass
FOUND = json.loads(os.environ.get("FAKE_GPUS", "[]"))
def nvmlInit():
    if FOUND == 12: raise NVMLError_LibraryNotFound(12)
    if isinstance(FOUND, int): raise NVMLError(FOUND)
def nvmlShutdown(): pass
def nvmlDeviceGetCount(): return len(FOUND)
def nvmlDeviceGetHandleByIndex(i):
    if FOUND[i].get("lost"): raise NVMLError(15)
    return FOUND[i]
def nvmlDeviceGetUUID(handle): return handle["uuid"]
def nvmlDeviceGetName(handle): return b"Fake " + handle["uuid"].encode()
def nvmlDeviceGetMemoryInfo(handle): return SimpleNamespace(used=handle.get("used", 0))
def nvmlDeviceGetMigMode(handle):
    if "mig" not in handle: raise NVMLError_NotSupported(3)
    return [1, 1]
def nvmlDeviceGetMaxMigDeviceCount(handle): return 7
def nvmlDeviceGetMigDeviceHandleByIndex(handle, i):
    if i >= len(handle["mig"]): raise NVMLError_NotFound(6)
    return {"uuid": handle["mig"][i]}
"""

# Writes one line when it waits, one when it holds a lease, and one after having given it back.
HOLDER = """
import json, os, sys, time
from regfold.runtime import gpu
def say(state, **more):
    line = json.dumps({"state": state, "pid": os.getpid(), "time": time.time(), **more})
    os.write(journal, f"{line}\\n".encode())
journal = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
with gpu.lease(on_wait=lambda: say("waits")) as held:
    names = ("CUDA_VISIBLE_DEVICES", "TF_FORCE_GPU_ALLOW_GROWTH")
    say("holds", device=held.device, environment={name: os.environ.get(name) for name in names})
    time.sleep(float(sys.argv[2]))
    say("gives back", device=held.device)
say("gave back", environment={name: os.environ.get(name) for name in names})
"""

THREE = [{"uuid": f"GPU-{letter * 8}-1111"} for letter in "abc"]


class Machine:
    """A machine with fake GPUs: starts holders and reads what they wrote."""

    def __init__(self, folder: Path):
        self.journal = folder / "journal.jsonl"
        self.stub = folder / "stub"
        self.leases = folder / "leases"
        (self.stub / "nvidia" / "cudnn").mkdir(parents=True)
        (self.stub / "nvidia" / "cudnn" / "__init__.py").touch()
        (self.stub / "pynvml.py").write_text(FAKE_NVML)
        self.processes = []

    def environment(self, gpus, **more) -> dict:
        names = ("CUDA_", "TF_", "REGFOLD_", "SLURM_", "PBS_", "LSB_", "FLUX_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(names)}
        paths = {"PYTHONPATH": f"{self.stub}{os.pathsep}{SCRIPTS}", "REGFOLD_LEASES": str(self.leases)}
        return kept | paths | {"FAKE_GPUS": json.dumps(gpus)} | more

    def start(self, gpus, seconds=0.0, **more) -> subprocess.Popen:
        command = [sys.executable, "-c", HOLDER, str(self.journal), str(seconds)]
        process = subprocess.Popen(
            command,
            env=self.environment(gpus, **more),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        return process

    def lines(self, process=None) -> list[dict]:
        text = self.journal.read_text() if self.journal.exists() else ""
        lines = [json.loads(line) for line in text.splitlines()]
        return [line for line in lines if process is None or line["pid"] == process.pid]

    def hold(self, gpus, **more) -> dict:
        """Start a holder, wait for its end, give what it held."""
        process = self.start(gpus, **more)
        assert finish(process).returncode == 0
        return next(line for line in self.lines(process) if line["state"] == "holds")

    def wait_for(self, state: str, process: subprocess.Popen, seconds: float = 60) -> dict:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for line in self.lines(process):
                if line["state"] == state:
                    return line
            time.sleep(0.02)
        raise AssertionError(f"no holder came to the state {state!r} in {seconds} s: {self.lines()}")


def finish(process: subprocess.Popen) -> subprocess.CompletedProcess:
    out, error = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, out, error)


@pytest.fixture
def machine(tmp_path):
    machine = Machine(tmp_path)
    yield machine
    for process in machine.processes:
        process.kill()
        process.communicate()


def most_at_once(lines: list[dict]) -> dict:
    """Per (uuid, slot), the largest number of holders at one time, in the order in which they wrote."""
    now, most = {}, {}
    for line in lines:
        if line["state"] in ("holds", "gives back"):
            place = (line["device"]["uuid"], line["device"]["slot"])
            now[place] = now.get(place, 0) + (1 if line["state"] == "holds" else -1)
            most[place] = max(most.get(place, 0), now[place])
    return most


def test_eight_cells_on_three_gpus_never_share_a_slot_and_use_all(machine):
    processes = [machine.start(THREE, seconds=0.5) for _ in range(8)]
    assert [finish(process).returncode for process in processes] == [0] * 8
    most = most_at_once(machine.lines())
    assert most == {(gpu["uuid"], 1): 1 for gpu in THREE}
    held = [line for line in machine.lines() if line["state"] == "holds"]
    assert len(held) == 8
    for line in held:
        assert line["environment"] == {
            "CUDA_VISIBLE_DEVICES": line["device"]["uuid"],
            "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        }
        assert line["device"]["kind"] == "GPU"
        assert line["device"]["name"] == f"Fake {line['device']['uuid']}"
    assert list(machine.leases.iterdir()) == []


def test_the_environment_is_as_before_after_the_lease(machine):
    process = machine.start(THREE, CUDA_VISIBLE_DEVICES="0,1")
    finish(process)
    after = {"CUDA_VISIBLE_DEVICES": "0,1", "TF_FORCE_GPU_ALLOW_GROWTH": None}
    assert machine.wait_for("gave back", process)["environment"] == after


def test_two_cells_per_gpu_on_request(machine):
    processes = [
        machine.start(THREE[:2], seconds=30 if n < 4 else 0, REGFOLD_JOBS_PER_GPU="2") for n in range(4)
    ]
    held = [machine.wait_for("holds", process)["device"] for process in processes]
    assert sorted((device["uuid"], device["slot"]) for device in held) == [
        (gpu["uuid"], slot) for gpu in THREE[:2] for slot in (1, 2)
    ]
    fifth = machine.start(THREE[:2], REGFOLD_JOBS_PER_GPU="2")
    machine.wait_for("waits", fifth)


def test_every_gpu_gets_one_cell_before_any_gets_two(machine):
    processes = []
    for _ in range(3):
        processes.append(machine.start(THREE, seconds=30, REGFOLD_JOBS_PER_GPU="2"))
        machine.wait_for("holds", processes[-1])
    held = [machine.wait_for("holds", process)["device"] for process in processes]
    assert {(device["uuid"], device["slot"]) for device in held} == {(gpu["uuid"], 1) for gpu in THREE}


def test_a_killed_cell_frees_its_gpu_within_five_seconds(machine):
    first = machine.start(THREE[:1], seconds=300)
    machine.wait_for("holds", first)
    second = machine.start(THREE[:1])
    machine.wait_for("waits", second)
    time.sleep(1)
    assert not any(line["state"] == "holds" for line in machine.lines(second))
    killed = time.time()
    os.kill(first.pid, signal.SIGKILL)
    assert machine.wait_for("holds", second)["time"] - killed < 5
    assert f"waiting for a GPU: all 1 slots are taken, by process {first.pid}" in finish(second).stdout


def test_a_card_that_others_work_on_is_taken_last(machine):
    busy = [{**THREE[0], "used": 40 << 30}, *THREE[1:]]
    assert machine.hold(busy)["device"]["uuid"] == THREE[1]["uuid"]


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ("1", [1]),
        ("2,0", [0, 2]),
        (" 2 , 1 ", [1, 2]),
        ("GPU-cccccccc-1111", [2]),
        ("GPU-b", [1]),
        ("gpu-b,0", [0, 1]),
        ("1,-1,0", [1]),
        ("1,7,0", [1]),
    ],
)
def test_a_preset_list_is_obeyed(machine, listed, expected):
    processes = [machine.start(THREE, seconds=30, CUDA_VISIBLE_DEVICES=listed) for _ in expected]
    held = [machine.wait_for("holds", process)["device"]["uuid"] for process in processes]
    assert sorted(held) == [THREE[number]["uuid"] for number in expected]
    late = machine.start(THREE, CUDA_VISIBLE_DEVICES=listed)
    machine.wait_for("waits", late)


@pytest.mark.parametrize("listed", ["", "-1", "NoDevFiles", "7", "GPU-d", "GPU-"])
def test_a_preset_list_without_a_gpu_means_the_processor(machine, listed):
    held = machine.hold(THREE, CUDA_VISIBLE_DEVICES=listed)
    assert held["device"]["kind"] == "CPU"
    assert held["device"]["name"]
    assert held["environment"]["CUDA_VISIBLE_DEVICES"] == listed


def test_a_name_that_fits_no_gpu_or_several_is_said(machine):
    assert "'7' names no GPU" in finish(machine.start(THREE, CUDA_VISIBLE_DEVICES="7")).stderr
    assert (
        "'GPU-' names more than one GPU" in finish(machine.start(THREE, CUDA_VISIBLE_DEVICES="GPU-")).stderr
    )


def test_mig_devices_stand_in_for_their_card(machine):
    card = {"uuid": "GPU-card", "mig": ["MIG-one", "MIG-two"]}
    processes = [machine.start([card, THREE[0]], seconds=30) for _ in range(3)]
    held = {
        machine.wait_for("holds", process)["environment"]["CUDA_VISIBLE_DEVICES"] for process in processes
    }
    assert held == {"MIG-one", "MIG-two", THREE[0]["uuid"]}


def test_a_preset_mig_device_is_obeyed_and_a_card_number_means_its_first(machine):
    card = {"uuid": "GPU-card", "mig": ["MIG-one", "MIG-two"]}
    assert machine.hold([card], CUDA_VISIBLE_DEVICES="MIG-two")["device"]["uuid"] == "MIG-two"
    assert machine.hold([card], CUDA_VISIBLE_DEVICES="0")["device"]["uuid"] == "MIG-one"


def test_a_card_in_mig_mode_without_devices_is_no_gpu(machine):
    assert machine.hold([{"uuid": "GPU-card", "mig": []}])["device"]["kind"] == "CPU"


def test_names_that_nvml_does_not_know_are_leased_as_given(machine):
    first = machine.start(12, seconds=30, CUDA_VISIBLE_DEVICES="0")
    assert machine.wait_for("holds", first)["device"]["uuid"] == "0"
    machine.wait_for("waits", machine.start(12, CUDA_VISIBLE_DEVICES="0"))


def test_jobs_of_a_scheduler_do_not_wait_for_each_other(machine):
    alone = machine.start(12, seconds=30, CUDA_VISIBLE_DEVICES="0", SLURM_JOB_ID="17")
    machine.wait_for("holds", alone)
    assert machine.hold(12, CUDA_VISIBLE_DEVICES="0", SLURM_JOB_ID="18")["device"]["uuid"] == "0"
    machine.wait_for("waits", machine.start(12, CUDA_VISIBLE_DEVICES="0", SLURM_JOB_ID="17"))


def test_a_scheduler_that_chose_no_gpu_leaves_the_lease_in_charge(machine):
    machine.wait_for("holds", machine.start(THREE[:1], seconds=30, SLURM_JOB_ID="17"))
    machine.wait_for("waits", machine.start(THREE[:1], SLURM_JOB_ID="18"))


@pytest.mark.parametrize(("code", "text"), [(9, "Driver Not Loaded"), (18, "Version mismatch")])
def test_a_broken_driver_is_one_line_and_the_processor(machine, code, text):
    process = machine.start(code)
    result = finish(process)
    held = machine.wait_for("holds", process)
    assert held["device"]["kind"] == "CPU"
    assert held["environment"]["CUDA_VISIBLE_DEVICES"] == "-1"
    assert result.stderr.splitlines() == [
        f"regfold: warning: the GPU driver does not answer (NVML: {text}); this cell is trained on the CPU"
    ]


def test_one_lost_card_does_not_cost_the_others(machine):
    process = machine.start([{**THREE[0], "lost": True}, THREE[1]])
    result = finish(process)
    assert machine.wait_for("holds", process)["device"]["uuid"] == THREE[1]["uuid"]
    assert result.stderr == "regfold: warning: GPU 0 does not answer and is not used (NVML: GPU is lost)\n"


@pytest.mark.parametrize("gpus", [[], 12])
def test_a_machine_without_gpus_says_nothing_and_changes_nothing(machine, gpus):
    process = machine.start(gpus)
    result = finish(process)
    held = machine.wait_for("holds", process)
    assert (result.stdout, result.stderr) == ("", "")
    assert held["device"]["kind"] == "CPU"
    assert held["environment"] == {"CUDA_VISIBLE_DEVICES": None, "TF_FORCE_GPU_ALLOW_GROWTH": None}
    assert not machine.leases.exists()


@pytest.mark.parametrize("text", ["0", "none", "None"])
def test_no_gpu_on_request(machine, text):
    held = machine.hold(THREE, REGFOLD_GPUS=text)
    assert held["device"]["kind"] == "CPU"
    assert held["environment"]["CUDA_VISIBLE_DEVICES"] == "-1"


def test_at_most_so_many_gpus_on_request(machine):
    processes = [machine.start(THREE, seconds=30, REGFOLD_GPUS="2") for _ in range(2)]
    held = {machine.wait_for("holds", process)["device"]["uuid"] for process in processes}
    assert held == {gpu["uuid"] for gpu in THREE[:2]}
    # Their use of memory must not make a third GPU one of the two.
    used = [{**gpu, "used": 20 << 30} for gpu in THREE[:2]] + [THREE[2]]
    machine.wait_for("waits", machine.start(used, REGFOLD_GPUS="2"))


@pytest.mark.parametrize(
    ("gpus", "more", "slots"),
    [
        (THREE, {}, 3),
        (THREE, {"REGFOLD_JOBS_PER_GPU": "4"}, 12),
        (THREE, {"REGFOLD_GPUS": "2", "REGFOLD_JOBS_PER_GPU": "2"}, 4),
        (THREE, {"CUDA_VISIBLE_DEVICES": "2"}, 1),
        (THREE, {"CUDA_VISIBLE_DEVICES": ""}, 0),
        (THREE, {"REGFOLD_GPUS": "none"}, 0),
        (12, {}, 0),
        (9, {}, 0),
    ],
)
def test_local_slots(machine, gpus, more, slots):
    result = local_gpus(machine, gpus, more)
    assert (result.returncode, result.stdout) == (0, f"{slots}\n")


def test_gpus_without_tensorflows_libraries_do_not_hold_a_run_back(machine):
    (machine.stub / "nvidia" / "cudnn" / "__init__.py").unlink()
    (machine.stub / "nvidia" / "cudnn").rmdir()
    if json.loads(local_gpus(machine, THREE, {}, "gpu.cuda_libraries()").stdout.lower()):
        pytest.skip("cuDNN is installed here")
    result = local_gpus(machine, THREE, {})
    assert result.stdout == "0\n"
    assert "CUDA libraries are not installed" in result.stderr


def local_gpus(machine, gpus, more, call="gpu.local_gpus()"):
    code = f"from regfold.runtime import gpu; print({call})"
    environment = machine.environment(gpus, **more)
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)


def test_a_gpu_that_tensorflow_cannot_use_is_given_back(machine):
    code = """
from regfold.runtime import gpu
with gpu.lease() as held:
    held.confirm(["NVIDIA H200"])
    print(held.device["kind"], held.device["name"], held.device["uuid"], held.lock.is_locked)
    held.confirm([])
    print(held.device["kind"], "uuid" in held.device, held.lock.is_locked)
"""
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=machine.environment(THREE[:1]),
        capture_output=True,
        text=True,
    )
    assert result.stdout == f"GPU NVIDIA H200 {THREE[0]['uuid']} True\nCPU False False\n"
    assert f"TensorFlow does not see the GPU {THREE[0]['uuid']}" in result.stderr


@pytest.mark.parametrize("text", ["two", "-1", "1.5", "all,none"])
def test_a_request_that_makes_no_sense_is_refused(monkeypatch, text):
    monkeypatch.setenv("REGFOLD_GPUS", text)
    monkeypatch.setenv("REGFOLD_JOBS_PER_GPU", text)
    with pytest.raises(
        RegfoldError, match=f"REGFOLD_GPUS: '{text}' found; expected all, none or the number of GPUs"
    ):
        gpu_limit()
    with pytest.raises(RegfoldError, match=f"REGFOLD_JOBS_PER_GPU: '{text}' found; expected an integer"):
        jobs_per_gpu()
    monkeypatch.setenv("REGFOLD_JOBS_PER_GPU", "0")
    with pytest.raises(RegfoldError, match="at least 1"):
        jobs_per_gpu()


@pytest.mark.parametrize("kind", ["link", "loose", "file", "dangling link"])
def test_a_lease_folder_that_is_not_this_users_alone_is_refused(machine, kind):
    victim = machine.leases.with_name("victim")
    victim.mkdir(mode=0o700)
    if kind == "link":
        machine.leases.symlink_to(victim)
    elif kind == "loose":
        machine.leases.mkdir()
        machine.leases.chmod(0o777)
    elif kind == "file":
        machine.leases.touch(mode=0o600)
    else:
        machine.leases.symlink_to(victim / "new")
    refused(machine)
    assert not any(victim.iterdir())
    assert machine.hold([])["device"]["kind"] == "CPU", "without GPUs there is nothing to lock"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a folder of another user")
def test_another_users_lease_folder_is_refused(machine):
    """The user, here root, would have a file of its own overwritten through a link in that folder."""
    victim = machine.leases.with_name("victim.txt")
    victim.write_text("precious")
    machine.leases.mkdir(mode=0o700)
    name = machine.leases / f"{THREE[0]['uuid']}.1.lock"
    name.symlink_to(victim)
    for path in (machine.leases, name):
        os.chown(path, 65534, 65534, follow_symlinks=False)
    refused(machine)
    assert victim.read_text() == "precious"


def refused(machine):
    process = machine.start(THREE[:1])
    result = finish(process)
    assert result.returncode != 0 and machine.lines(process) == []
    said = result.stderr.splitlines()[-1]
    assert said.startswith(f"regfold.errors.RegfoldError: {machine.leases}: ")
    assert "expected a folder for the locks of GPUs" in said and "REGFOLD_LEASES" in said


def test_a_lease_is_never_written_through_a_link(machine):
    victim = machine.leases.with_name("victim.txt")
    victim.write_text("precious")
    machine.leases.mkdir(mode=0o700)
    (machine.leases / f"{THREE[0]['uuid']}.1.lock").symlink_to(victim)
    assert finish(machine.start(THREE[:1])).returncode != 0
    assert victim.read_text() == "precious"


def test_the_lease_folder_is_made_for_this_user_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("REGFOLD_LEASES", str(tmp_path / "new" / "leases"))
    assert lease_folder().stat().st_mode & 0o777 == 0o700
