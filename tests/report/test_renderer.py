"""Guards the processes that draw the report's charts: what they draw, how they fail and end."""

import hashlib
import os
import signal
import subprocess
import sys

import psutil
import pytest
from regfold.report import vega
from regfold.report.renderer import Renderer, cache_file

# Vega numbers its gradients, and here the scale's legend is one.
SPEC = {
    "data": {"values": [{"x": 1}, {"x": 2}]},
    "mark": "point",
    "encoding": {"x": {"field": "x"}, "color": {"field": "x", "type": "quantitative"}},
}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = cache_file()
    path.parent.mkdir(parents=True)
    keep(path, "// made before")
    return path


def keep(path, text: str) -> None:
    path.write_text(f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}")


@pytest.fixture(scope="module")
def javascript():
    return vega.javascript()


def test_a_chart_is_the_same_whichever_process_draws_it_and_after_which_others():
    with Renderer() as renderer:
        drawn = [copies.result() for copies in [renderer.draw(SPEC) for _ in range(6)]]
    assert drawn == [vega.draw(SPEC)] * 6
    svg, png = drawn[0]
    assert svg.count("gradient_0") == 2
    assert png.startswith(b"\x89PNG")


def test_one_processor_has_one_process():
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, list(allowed)[:1])
    try:
        with Renderer() as renderer:
            assert len(psutil.Process().children()) == 1
            assert renderer.draw(SPEC).result() == vega.draw(SPEC)
    finally:
        os.sched_setaffinity(0, allowed)


def test_an_error_of_one_chart_is_raised_where_its_copies_are_asked_for():
    with Renderer() as renderer:
        wrong, right = renderer.draw({"mark": "nonsense"}), renderer.draw(SPEC)
        with pytest.raises(ValueError, match="Vega-Lite to SVG conversion failed"):
            wrong.result()
        assert right.result() == vega.draw(SPEC)


def test_a_killed_process_is_an_error_and_not_a_wait():
    with Renderer() as renderer:
        renderer.draw(SPEC).result()
        for process in psutil.Process().children():
            process.kill()
        with pytest.raises(RuntimeError, match="the process that draws the charts has ended"):
            renderer.draw(SPEC).result()


def test_no_process_is_left():
    with Renderer():
        processes = psutil.Process().children()
        assert processes
    assert not any(process.is_running() for process in processes)

    code = "from regfold.report.renderer import Renderer; Renderer(); print(flush=True); input()"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, **pipes) as parent:
        parent.stdout.readline()
        processes = psutil.Process(parent.pid).children()
        parent.send_signal(signal.SIGKILL)
    assert processes
    assert not psutil.wait_procs(processes, timeout=60)[1]


@pytest.mark.parametrize("damage", [lambda text: text[:-1], lambda text: f"{text}!", lambda text: ""])
def test_the_program_is_kept_and_made_anew_where_it_is_damaged(cache, damage, javascript):
    with Renderer() as renderer:
        assert renderer.javascript.result() == "// made before"
    cache.write_text(damage(cache.read_text()))
    with Renderer() as renderer:
        assert renderer.javascript.result() == javascript
    repaired = cache.read_text()
    keep(cache, javascript)
    assert repaired == cache.read_text()


@pytest.mark.parametrize("home", [{"XDG_CACHE_HOME": os.devnull}, {"XDG_CACHE_HOME": "", "HOME": os.devnull}])
def test_the_program_needs_no_cache(home, monkeypatch, javascript):
    for name, value in home.items():
        monkeypatch.setenv(name, value)
    with Renderer() as renderer:
        assert renderer.javascript.result() == javascript


def test_the_cache_is_never_among_the_studys_files(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for folder in ("", ".", "cache", "~/cache"):
        monkeypatch.setenv("XDG_CACHE_HOME", folder)
        assert cache_file().parent == tmp_path / ".cache" / "regfold"
