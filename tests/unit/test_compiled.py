"""Guards that compiled programs go from cell to cell whole, and that a damaged one is never used."""

import os
from pathlib import Path

import pytest
from regfold import compiled


@pytest.fixture
def flags(monkeypatch) -> None:
    monkeypatch.setenv("TF_XLA_FLAGS", "--tf_xla_auto_jit=0")


def own_folder() -> Path:
    """Where TensorFlow would read and write in the block."""
    return Path(os.environ["TF_XLA_FLAGS"].rpartition("=")[2])


def test_a_program_is_found_by_the_next_process_and_the_flags_are_as_before(tmp_path, flags):
    with compiled.kept(tmp_path, 1):
        assert os.environ["TF_XLA_FLAGS"].startswith("--tf_xla_auto_jit=0 ")
        assert list(own_folder().iterdir()) == []
        (own_folder() / "program.pb").write_bytes(b"compiled")
        (own_folder() / "half.pb.tmp").write_bytes(b"comp")
    assert os.environ["TF_XLA_FLAGS"] == "--tf_xla_auto_jit=0"
    with compiled.kept(tmp_path, 1):
        assert {path.name: path.read_bytes() for path in own_folder().iterdir()} == {
            "program.pb": b"compiled"
        }
    with compiled.kept(tmp_path, 4):
        assert list(own_folder().iterdir()) == []


def test_a_damaged_program_is_removed(tmp_path, flags):
    with compiled.kept(tmp_path, 1):
        (own_folder() / "program.pb").write_bytes(b"compiled")
    (program,) = tmp_path.rglob("program.pb")
    program.write_bytes(b"comp")
    with compiled.kept(tmp_path, 1):
        assert list(own_folder().iterdir()) == []
    assert not list(tmp_path.rglob("program.pb"))


def test_what_cannot_be_kept_stops_nothing(tmp_path, flags):
    (tmp_path / "file").write_text("")
    with compiled.kept(tmp_path / "file", 1):
        (own_folder() / "program.pb").write_bytes(b"compiled")


def test_the_longest_unused_programs_go(tmp_path, flags, monkeypatch):
    monkeypatch.setattr(compiled, "MOST", 2)
    for number in range(4):
        with compiled.kept(tmp_path, 1):
            (own_folder() / f"{number}.pb").write_bytes(str(number).encode())
        (path,) = tmp_path.rglob(f"{number}.pb")
        os.utime(path, (number, number))
    assert len(list(tmp_path.rglob("*.pb"))) == 2
