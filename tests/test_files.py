"""Guards the writing of files, on lesser file systems too, and what killed writes leave."""

import errno
import os
import signal
import stat

import pytest
from regfold import files, locks
from regfold.errors import RegfoldError


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EIO])
def test_a_file_system_that_cannot_flush_folders_keeps_what_was_written(tmp_path, monkeypatch, code):
    """As CIFS; an error of the disk is another matter."""
    flush = os.fsync

    def fsync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    if code == errno.EIO:
        with pytest.raises(RegfoldError, match="cannot be written: Input/output error"):
            files.write_json(tmp_path / "x.json", {})
    else:
        files.write_json(tmp_path / "x.json", {"a": 1})
        assert (tmp_path / "x.json").read_text() == '{\n  "a": 1\n}\n'


def test_a_scratch_folder_is_empty_and_leaves_nothing(tmp_path):
    folder = tmp_path / "fresh"
    folder.mkdir()
    (folder / "of a killed process").touch()
    with files.scratch(folder) as given:
        assert given == folder and not any(folder.iterdir())
        assert locks.acquire(tmp_path / "fresh.lock", wait=False) is None
        (folder / "table").touch()
    assert not folder.exists()
    with pytest.raises(KeyError), files.scratch(folder):
        raise KeyError
    assert not folder.exists()


def test_a_scratch_folder_is_made_in_no_other_place(tmp_path):
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "precious").touch()
    (tmp_path / "fresh").symlink_to(tmp_path / "victim")
    with pytest.raises(RegfoldError, match="fresh: cannot be made"), files.scratch(tmp_path / "fresh"):
        pass
    assert (tmp_path / "victim" / "precious").exists()


def test_what_a_killed_write_left_is_swept_and_nothing_else(tmp_path):
    pid = os.fork()
    if not pid:
        with files.atomic(tmp_path / "cell" / "a file.csv") as temporary:
            temporary.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    (left,) = (tmp_path / "cell").iterdir()
    assert left.name.endswith(".a file.csv")
    kept = [
        tmp_path / "cell" / name for name in (".gitkeep", ".0123456.x", "01234567.x", ".0123456x.x", "x.csv")
    ]
    for path in kept:
        path.touch()
    files.sweep(tmp_path)
    assert sorted((tmp_path / "cell").iterdir()) == sorted(kept)
    files.sweep(tmp_path / "not there")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"a": 1', b"\xff", b"[" * 100_000])
def test_a_damaged_json_file_is_named_with_the_remedy(content, tmp_path):
    path = tmp_path / "cell.json"
    path.write_bytes(content)
    with pytest.raises(RegfoldError) as error:
        files.read_json(path)
    assert str(error.value) == f"{path}: is damaged: is not a JSON mapping; remove {path} and run again"


def test_a_key_that_a_json_file_lacks_is_named_with_the_file(tmp_path):
    path = tmp_path / "folds" / "1-1.json"
    files.write_json(path, {"digests": {"train": "x"}, "list": [{}]})
    found = files.read_json(path, remove=path.parent)
    assert found == {"digests": {"train": "x"}, "list": [{}]} and found.get("test") is None
    for look in (lambda: found["test"], lambda: found["digests"]["test"], lambda: found["list"][0]["test"]):
        with pytest.raises(RegfoldError) as error:
            look()
        assert str(error.value) == f"{path}: is damaged: has no 'test'; remove {path.parent} and run again"
    with pytest.raises(FileNotFoundError):
        files.read_json(tmp_path / "none.json")
