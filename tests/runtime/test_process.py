"""Guards that a process is known by more than its number, and is said to have ended only where it has."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from regfold.runtime import process

NONE = 2**22 + 1  # more than any kernel gives


def test_this_process_and_one_that_has_ended():
    assert process.alive(process.identity())
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert not process.alive(process.identity() | {"pid": gone.pid})


@pytest.mark.parametrize("name", process.PLACE)
def test_elsewhere_nobody_can_tell(name):
    """A pod with the hostname of the last one; a container whose process IDs count anew."""
    assert process.alive(process.identity() | {"pid": NONE, name: "another"})
    assert not process.alive(process.identity() | {"pid": NONE})


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux' /proc")


@needs_proc
def test_another_process_with_the_same_number_is_not_the_same():
    recorded = process.identity()
    assert not process.alive(recorded | {"pid_started": recorded["pid_started"] - 1})


@needs_proc
def test_a_process_that_nobody_waited_for_has_ended():
    zombie = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    assert not process.alive(process.identity() | {"pid": zombie.pid})
    zombie.wait()
