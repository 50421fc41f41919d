"""Guards the bounds: thousands of columns cost no more than they must, and what is too large is refused."""

import gzip
import subprocess
import sys
from pathlib import Path

import pytest
from regfold.data import encode, memory, table
from regfold.data.columns import feature_names
from regfold.data.notes import Note, lines
from regfold.data.prepare import prepare
from regfold.errors import RegfoldError
from small_study import data_section


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def wide(n_columns: int) -> list[str]:
    """A table t.csv of numbers with a target y; the other columns' names."""
    names = [f"x{i}" for i in range(n_columns)]
    rows = [",".join(str(0.5 + i * j % 7) for j in range(n_columns + 1)) for i in range(1, 4)]
    Path("t.csv").write_text("\n".join([",".join([*names, "y"]), *rows, ""]))
    return names


@pytest.mark.parametrize("step", ["feature_names", "encode"])
def test_the_list_of_columns_is_not_searched_once_for_each_column(step, monkeypatch):
    reads = []
    names_of = table.Table.names.fget
    monkeypatch.setattr(table.Table, "names", property(lambda read: reads.append(1) or names_of(read)))

    def count(n_columns: int) -> int:
        names = wide(n_columns)
        read = table.read("t.csv", [])
        data = data_section(exclude=names[1:] if step == "feature_names" else [])
        schema = prepare(data, None, "out")
        reads.clear()
        if step == "feature_names":
            assert feature_names(read, data, None)[0] == ["x0"]
        else:
            assert encode.encode(read, schema).shape == (3, n_columns)
        return len(reads)

    assert count(40) == count(10)


def test_few_notes_of_one_kind_stand_each_in_a_line():
    notes = [Note(f"x{i}", f"has {i} blots", "have blots") for i in range(3)]
    assert lines("t.csv", notes) == [f"t.csv: column 'x{i}' has {i} blots" for i in range(3)]


def test_many_notes_of_one_kind_are_one_line():
    notes = [Note(f"x{i}", f"has {i} blots", "have blots") for i in range(10_000)]
    notes.insert(5, Note("z", "counts the rows", "count the rows"))
    assert lines("t.csv", notes) == [
        "t.csv: columns 'x0', 'x1', 'x2' and 9,997 more have blots",
        "t.csv: column 'z' counts the rows",
    ]


def test_notes_on_many_columns_are_one_line_of_the_table():
    header = ",".join([*(f"e{i}" for i in range(50)), *(f"c{i}" for i in range(50)), "x", "y"])
    rows = [f"{',' * 50}{','.join([('n/a', 'b')[i % 2]] * 50)},{i},{i % 3}.5" for i in (1, 3, 4, 9)]
    Path("t.csv").write_text("\n".join([header, *rows, ""]))
    assert prepare(data_section(), None, "out")["notes"] == [
        "t.csv: columns 'e0', 'e1', 'e2' and 47 more have no value at all",
        "t.csv: columns 'c0', 'c1', 'c2' and 47 more have the level 'n/a'; if it means missing, add it to "
        "data.missing",
    ]


def test_levels_that_many_columns_do_not_know_are_one_line():
    names = [f"c{i}" for i in range(20)]
    for path, cells in (("t.csv", "aba"), ("new.csv", "azz")):
        rows = [",".join([*[cell] * 20, f"{i}.5"]) for i, cell in enumerate(cells)]
        Path(path).write_text("\n".join([",".join([*names, "y"]), *rows, ""]))
    schema, said = prepare(data_section(), None, "out"), []
    encode.encode(table.read("new.csv", []), schema, said.append)
    assert said == [
        "new.csv: 40 cells of columns 'c0', 'c1', 'c2' and 17 more: levels that t.csv does not have, the "
        "first in row 1: 'z'"
    ]


# Size


def test_a_matrix_that_does_not_fit_into_memory_is_refused_before_it_is_made():
    n = 400_000
    lines = "".join(f"k{i},{i % 7},{i % 2},{i}.5\n" for i in range(n))
    Path("t.csv").write_text(f"code,week,x,y\n{lines}")
    with pytest.raises(RegfoldError) as error:
        prepare(data_section(categorical=["code", "week"]), None, "out")
    start = "t.csv: 400,000 rows of 400,008 encoded columns take 640.0 GB, more than half of the free "
    assert str(error.value).startswith(start)
    assert str(error.value).endswith(
        "; the widest are 'code' (400,000 levels), 'week' (7 levels): list them in data.exclude, or give "
        "them fewer levels"
    )
    assert not list(Path("out").glob("*"))


def test_new_rows_that_do_not_fit_into_memory_are_refused():
    Path("t.csv").write_text("c,y\n" + "".join(f"k{i},{i}.5\n" for i in range(5000)))
    Path("new.csv").write_text("c\n" + "k1\n" * 10**6)
    schema = prepare(data_section(categorical=["c"]), None, "out")
    # As many columns as the schema of a far larger table has, without its matrix.
    schema["columns"][0]["levels"] += [f"z{i}" for i in range(10**6)]
    with pytest.raises(
        RegfoldError, match=r"new\.csv: 1,000,000 rows of 1,005,000 encoded columns take 4,020.0 GB"
    ):
        encode.encode(table.read("new.csv", []), schema)


@pytest.mark.parametrize(
    ("cgroup", "files", "limits"),
    [
        ("0::/job/step\n", {"job/memory.max": "700\n", "job/step/memory.max": "max\n"}, [700]),
        ("0::/host/path\n", {"memory.max": "500\n"}, [500]),
        (
            "9:cpu:/a\n4:memory:/a\n0::/\n",
            {"memory/a/memory.limit_in_bytes": "300\n", "cpu/a/memory.limit_in_bytes": "1\n"},
            [300],
        ),
        ("", {}, []),
    ],
)
def test_the_limits_of_control_groups_count(tmp_path, cgroup, files, limits):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(cgroup)
    for name, text in files.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert list(memory.group_limits(tmp_path)) == limits


def test_where_there_are_no_control_groups_there_is_no_limit(tmp_path):
    assert list(memory.group_limits(tmp_path)) == []
    assert memory.budget() > 0


def test_running_out_of_memory_is_one_line():
    Path("t.csv").write_text("c,y\n" + "".join(f"k{i},{i}.5\n" for i in range(20_000)))
    code = f"""if True:
        import re, resource
        from pathlib import Path
        from regfold.data.prepare import prepare
        from regfold.errors import ending_the_process
        used = int(re.search(r"VmSize:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
        resource.setrlimit(resource.RLIMIT_AS, (used + 10**9,) * 2)
        with ending_the_process():
            prepare({data_section(categorical=["c"])!r}, None, "out")
        """
    done = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr == (
        "regfold: error: t.csv: does not fit into memory; expected fewer rows or columns (data.exclude), or "
        "a machine with more memory\n"
    )


# Files made to be too large


def bomb(path: str, first: bytes, block: bytes, times: int) -> None:
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(first)
        for _ in range(times):
            file.write(block)


@pytest.mark.parametrize("block", [b"a" * 10**6, b"ab," * 10**6])
def test_a_header_without_an_end_is_not_read_to_its_end(block):
    bomb("t.csv.gz", b"", block, 1 + 2**26 // len(block))
    with pytest.raises(
        RegfoldError, match=r"t.csv.gz: the header is longer than 67,108,864 characters; expected"
    ):
        table.read("t.csv.gz", [])


def test_a_file_that_unpacks_to_more_than_memory_holds_is_not_read_to_its_end(monkeypatch):
    bomb("t.csv.gz", b"x,y\n", b"0.5,0.5\n" * 10**6, 8)
    assert len(table.read("t.csv.gz", [])) == 8 * 10**6
    monkeypatch.setattr(memory, "budget", lambda: 20 * 10**6)
    with pytest.raises(
        RegfoldError, match=r"t.csv.gz: its text takes more than half of the free memory \(20.0 MB\)"
    ):
        table.read("t.csv.gz", [])


def test_a_row_without_an_end_is_not_read_to_its_end(monkeypatch):
    bomb("t.csv.gz", b"x,y\n1,2\n3,", b"0" * 10**6, 60)
    monkeypatch.setattr(memory, "budget", lambda: 40 * 10**6)
    with pytest.raises(RegfoldError, match=r"t.csv.gz: its text takes more than half of the free memory"):
        table.read("t.csv.gz", [])
