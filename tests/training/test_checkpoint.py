"""Guards the state of a training on disk: it is read back whole, or noticed to be damaged and left alone."""

import json
import select
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from regfold.training.state import FORMAT, HISTORY, State, Store

SCRIPTS = Path(__file__).parents[2] / "scripts"


def state(epoch=3, seed=0):
    random = np.random.default_rng(seed)

    def arrays():
        return [random.normal(size=(4, 3)).astype(np.float32), np.float32(random.normal()), np.arange(epoch)]

    history = random.normal(size=(4, epoch, len(HISTORY)))
    history[..., 2] = np.nan
    return State(
        variables=arrays(),
        epoch=epoch,
        ended=[0, 2, 0, 0],
        endings=["", "a reason", "", ""],
        best_epochs=[1, 1, 0, 0],
        kept=arrays(),
        optimizer=arrays(),
        history=history,
        snapshots={epoch: arrays()},
    )


def assert_equal(found, expected):
    for name in ("epoch", "ended", "endings", "best_epochs"):
        assert getattr(found, name) == getattr(expected, name)
    np.testing.assert_array_equal(found.history, expected.history)
    assert found.snapshots.keys() == expected.snapshots.keys()
    groups = [(found.snapshots[epoch], expected.snapshots[epoch]) for epoch in expected.snapshots]
    groups += [(getattr(found, n), getattr(expected, n)) for n in ("variables", "optimizer", "kept")]
    for one, other in groups:
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)


def test_a_state_is_read_back_as_it_was(tmp_path):
    store = Store(tmp_path, "abc")
    assert store.load() is None and not store.damage
    for written in (state(), State([np.zeros(1)]), state(40)):
        store.save(written)
        assert_equal(store.load(), written)
    assert store.progress() == (40, False, 1)
    assert not store.damage
    assert [path.name for path in store.folder.iterdir()] == ["state.npz"]


def test_more_than_ten_arrays_keep_their_order(tmp_path):
    store = Store(tmp_path, "abc")
    store.save(State(epoch=1, variables=[np.full(2, i) for i in range(23)]))
    assert [int(values[0]) for values in store.load().variables] == list(range(23))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("state"), "abc")
    store.save(state())
    return store, store.path.read_bytes()


def load(store, content):
    store.path.write_bytes(content)
    store.damage = ""
    return store.load()


def test_a_truncated_state_is_ignored_wherever_it_ends(written):
    store, content = written
    for length in (*range(0, len(content), 97), len(content) - 1):
        assert load(store, content[:length]) is None, length
        assert "is damaged or from another version" in store.damage and "\n" not in store.damage
        assert store.progress() is None or length > len(content) - 60


@given(st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_flipped_bit_is_noticed_or_means_nothing(written, data):
    store, content = written
    position = data.draw(st.integers(0, len(content) - 1))
    damaged = bytearray(content)
    damaged[position] ^= 1 << data.draw(st.integers(0, 7))
    found = load(store, bytes(damaged))
    if found is None:
        assert "is damaged or from another version" in store.damage
    else:  # a time or an attribute in the archive's index
        assert_equal(found, state())
        assert not store.damage


def test_every_byte_can_be_damaged(written):
    """As above, over the whole archive."""
    store, content = written
    for position in range(0, len(content), 3):
        damaged = bytearray(content)
        damaged[position] ^= 0xFF
        found = load(store, bytes(damaged))
        if found is not None:
            assert_equal(found, state())


@pytest.mark.parametrize(
    "content",
    [b"", b"PK", b"not an archive", json.dumps({"epoch": 3}).encode(), b"\x93NUMPY" + bytes(100)],
)
def test_something_else_in_its_place_is_ignored(written, content):
    assert load(written[0], content) is None
    assert "is damaged or from another version" in written[0].damage


def test_a_state_of_another_version_is_ignored(tmp_path):
    store = Store(tmp_path, "abc")
    store.save(state())
    with np.load(store.path) as archive:
        arrays = dict(archive)
    for changes in ({"format": FORMAT - 1}, {"format": FORMAT + 1}, {"more": 1}):
        header = json.loads(arrays["header"].tobytes()) | changes
        other = arrays | {"header": np.frombuffer(json.dumps(header).encode(), np.uint8)}
        np.savez(store.path, **other)
        assert store.load() is None, changes
        assert "is damaged or from another version" in store.damage


def test_a_process_killed_while_it_writes_leaves_the_last_state(tmp_path):
    """kill -9 between the write and the rename: the flush to disk is made to take for ever."""
    store = Store(tmp_path, "abc")
    store.save(state(seed=1))
    script = f"""
import sys, time
sys.path[:0] = [{str(SCRIPTS)!r}]
import numpy as np
from regfold import files
from regfold.training.state import State, Store
def flush(path):
    print("written", flush=True)
    time.sleep(60)
files._flush = flush
Store({str(tmp_path)!r}, "abc").save(State(epoch=99, variables=[np.ones(1000)]))
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "written\n"
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert len(list(store.folder.iterdir())) == 2, "the part that was written lies beside"
    assert_equal(store.load(), state(seed=1))


def test_a_state_has_one_process_at_a_time(tmp_path):
    store = Store(tmp_path, "abc")
    script = f"""
import sys
sys.path[:0] = [{str(SCRIPTS)!r}]
from regfold.training.state import Store
with Store({str(tmp_path)!r}, "abc").lock():
    print("mine", flush=True)
"""
    with store.lock():
        twin = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        assert not select.select([twin.stdout], [], [], 1)[0], "the twin waits"
    assert twin.stdout.readline() == "mine\n"
    assert twin.wait(10) == 0
