"""Guards that compiled programs go from cell to cell whole, compiled once, and no damaged one is used."""

import os
import tempfile
import threading
from pathlib import Path

import pytest
from regfold.runtime import compiled
from regfold.runtime.compiled import Programs


@pytest.fixture
def flags(monkeypatch) -> None:
    monkeypatch.setenv("TF_XLA_FLAGS", "--tf_xla_auto_jit=0")


def own_folder() -> Path:
    """Where TensorFlow would read and write in the block."""
    return Path(os.environ["TF_XLA_FLAGS"].rpartition("=")[2])


def contents() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in own_folder().glob("*.pb")}


def compile_in(root: Path, pool: int = 1, name: str = "train", content: bytes = b"compiled") -> dict:
    """A process that finds or compiles one program; what it found."""
    found = {}

    def task():
        found.update(contents())
        (own_folder() / f"{name}.pb").write_bytes(content)
        (own_folder() / "half.pb.tmp").write_bytes(b"comp")

    with compiled.kept(root, pool) as programs:
        assert os.environ["TF_XLA_FLAGS"].startswith("--tf_xla_auto_jit=0 ")
        programs.once({name: task})
    assert os.environ["TF_XLA_FLAGS"] == "--tf_xla_auto_jit=0"
    return found


def test_a_program_is_found_by_the_next_process_and_the_flags_are_as_before(tmp_path, flags):
    assert compile_in(tmp_path) == {}
    assert compile_in(tmp_path) == {"train.pb": b"compiled"}
    assert compile_in(tmp_path, pool=4) == {}
    assert compile_in(tmp_path, name="another") == {}
    assert not list(tmp_path.rglob("*.lock"))


def test_a_damaged_program_is_removed(tmp_path, flags):
    compile_in(tmp_path)
    (program,) = tmp_path.rglob("train.pb")
    program.write_bytes(b"comp")
    assert compile_in(tmp_path) == {}
    assert compile_in(tmp_path) == {"train.pb": b"compiled"}


def test_a_program_that_is_being_written_is_left_alone(tmp_path, flags):
    compile_in(tmp_path)
    (program,) = tmp_path.rglob("train.pb")
    half = program.with_name(".12345678.train.pb")
    half.write_bytes(b"comp")
    assert compile_in(tmp_path) == {"train.pb": b"compiled"}
    assert half.exists() and program.exists()


def test_what_cannot_be_kept_stops_nothing(tmp_path, flags):
    (tmp_path / "file").write_text("")
    for _ in range(2):
        assert compile_in(tmp_path / "file") == {}


def test_a_task_that_fails_says_so_and_holds_up_nobody(tmp_path, flags):
    with compiled.kept(tmp_path, 1) as programs, pytest.raises(ValueError, match="no such activation"):
        programs.once({"train": lambda: (_ for _ in ()).throw(ValueError("no such activation"))})
    assert compile_in(tmp_path) == {}


def test_the_longest_unused_programs_go(tmp_path, flags, monkeypatch):
    monkeypatch.setattr(compiled, "MOST", 2)
    for number in range(4):
        compile_in(tmp_path, name=str(number))
        (path,) = tmp_path.rglob(f"{number}.pb")
        os.utime(path, (number, number))
    assert sorted(path.name for path in tmp_path.rglob("*.pb")) == ["2.pb", "3.pb"]
    (kind,) = tmp_path.iterdir()
    assert sorted(path.name for path in kind.iterdir()) == ["2", "3"]


def test_of_cells_that_start_together_one_compiles_and_the_other_does_not_idle(tmp_path):
    """The first holds up its first program until the second process has compiled the other one."""
    done, order = threading.Event(), []

    def process(who: str, first_waits: bool) -> None:
        own = tmp_path / who
        own.mkdir()

        def task(name: str) -> None:
            if (own / f"{name}.pb").exists():
                order.append((who, name, "found"))
                return
            order.append((who, name, "compiles"))
            if name == "a" and first_waits:
                begun.set()
                assert done.wait(20)
            (own / f"{name}.pb").write_bytes(name.encode())
            if not first_waits:
                done.set()

        Programs(tmp_path / "shared", own).once({name: lambda name=name: task(name) for name in "ab"})

    begun = threading.Event()
    first = threading.Thread(target=process, args=("first", True))
    first.start()
    assert begun.wait(20)
    second = threading.Thread(target=process, args=("second", False))
    second.start()
    first.join(20)
    second.join(20)
    assert order[:2] == [("first", "a", "compiles"), ("second", "b", "compiles")]
    assert sorted(order[2:]) == [("first", "b", "found"), ("second", "a", "found")]


def test_what_a_killed_process_left_behind_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(compiled, "ORPHAN_SECONDS", -1)
    (tmp_path / "regfold-xla-of-a-killed-one").mkdir()
    with compiled.kept(tmp_path / "root", 1):
        (own,) = tmp_path.glob("regfold-xla-*")
        with compiled.kept(tmp_path / "root", 1):
            assert own.is_dir() and len(list(tmp_path.glob("regfold-xla-*"))) == 2
    assert not list(tmp_path.glob("regfold-xla-*"))


def test_a_process_that_compiles_for_ever_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(compiled, "PATIENCE_SECONDS", 0.3)
    done = []
    stopped, other = (Programs(tmp_path / "shared", tmp_path) for _ in range(2))
    stopped.once({"train": lambda: other.once({"train": lambda: done.append("compiled after all")})})
    assert done == ["compiled after all"]
