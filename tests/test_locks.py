"""Guards the locks: one holder at a time, none left behind by a killed one, one line where there are none."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
from regfold import locks
from regfold.errors import RegfoldError
from regfold.training.state import Store

SCRIPTS = Path(__file__).parents[1] / "scripts"
HOLDER = """
import sys
from regfold import locks
lock = locks.acquire(sys.argv[1])
print("holds", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def another():
    """Has another process hold the lock on a file; it is killed at the end of the test, if not before."""
    processes = []

    def hold(path: Path) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(path)],
            env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        assert process.stdout.readline() == "holds\n"
        return process

    yield hold
    for process in processes:
        process.kill()
        process.communicate()


def test_a_lock_has_one_holder_whose_number_it_tells(tmp_path, another):
    path = tmp_path / "lock"
    process = another(path)
    assert locks.acquire(path, wait=False) is None
    assert locks.holder(path) == process.pid
    process.kill()
    process.wait()
    lock = locks.acquire(path)
    assert locks.holder(path) == os.getpid()
    lock.release()
    with locks.held(path):
        pass
    assert locks.acquire(path, wait=False) is not None


def test_a_symbolic_link_is_not_followed(tmp_path):
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "lock").symlink_to(tmp_path / "victim")
    with pytest.raises(RegfoldError, match=f"{tmp_path / 'lock'}: cannot be locked: "):
        locks.acquire(tmp_path / "lock")
    assert (tmp_path / "victim").read_text() == "precious"


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_one_line_and_leaves_none_behind(tmp_path, monkeypatch, code):
    """filelock alone goes over to a file whose existence is the lock, and which outlives a killed process."""

    def flock(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)
    expected = "its file system has no file locks (.*); expected one that has"
    with pytest.raises(RegfoldError, match=expected):
        locks.acquire(tmp_path / "lock")
    with pytest.raises(RegfoldError, match=expected), Store(tmp_path, "digest").lock():
        pass
    monkeypatch.undo()
    assert locks.acquire(tmp_path / "lock", wait=False) is not None, "nothing is left that keeps it taken"


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RegfoldError, match="cannot be locked: "):
        locks.acquire(tmp_path / "file" / "lock")
