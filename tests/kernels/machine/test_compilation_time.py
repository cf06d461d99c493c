"""The line that says that kernels are being compiled: where it goes, when, and how often."""

import functools
import threading
from types import SimpleNamespace

import pytest

from fastlin.kernels.machine import compilation, compilation_time


@pytest.fixture(autouse=True)
def nothing_is_said_yet():
    compilation_time.warn_once.cache_clear()
    yield
    compilation_time.warn_once.cache_clear()


@pytest.fixture
def go_on(monkeypatch):
    """A function that lets seconds pass on the clock, and timers ring."""
    now, timers = [100.0], []

    def make_timer(delay, function, arguments):
        start = functools.partial(timers.append, (now[0] + delay, functools.partial(function, *arguments)))
        return SimpleNamespace(start=start, cancel=timers.clear)

    def go_on(seconds):
        now[0] += seconds
        for at, ring in list(timers):
            if at <= now[0]:
                timers.remove((at, ring))
                ring()

    monkeypatch.setattr(compilation_time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(compilation_time, "Timer", make_timer)
    return go_on


def test_one_line_comes_after_a_second(go_on, caplog):
    time = compilation_time.CompilationTime()
    for _ in range(3):
        with time.measured():
            go_on(0.125)
    # What lies between compilations does not count.
    go_on(60)
    assert (time.seconds, caplog.messages) == (0.375, [])
    for _ in range(20):
        with time.measured():
            go_on(0.25)
    # What is below a warning no log shows where nobody has set it up.
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", compilation_time.MESSAGE)
    ]


def test_a_long_kernel_says_so_while_it_is_compiled_and_one_that_fails_counts_too(go_on, caplog):
    time = compilation_time.CompilationTime()
    with time.measured():
        with time.measured():
            go_on(0.5)
        assert not caplog.messages
        go_on(0.5)
        assert caplog.messages == [compilation_time.MESSAGE]
        go_on(1)
    # Each second counts once.
    assert time.seconds == 2
    time = compilation_time.CompilationTime()
    with pytest.raises(ZeroDivisionError), time.measured(), time.measured():
        go_on(0.25)
        raise ZeroDivisionError
    go_on(10)
    with time.measured():
        go_on(0.125)
    assert time.seconds == 0.375


def test_the_line_comes_from_a_thread_that_waits(monkeypatch):
    told = threading.Event()
    monkeypatch.setattr(compilation_time, "warn_once", lambda text: told.set())
    monkeypatch.setattr(compilation_time, "TIMEOUT", 0.001)
    with compilation_time.CompilationTime().measured():
        assert told.wait(60)


def test_where_no_thread_can_be_started_code_is_compiled_all_the_same(monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(compilation_time.Timer, "start", refuse)
    before = compilation.TIME.seconds
    compilation._compile_faster(lambda: None)()
    # Every compilation is counted.
    assert compilation.TIME.seconds > before
