"""The message that kernels are being compiled (level, time and frequency), and the total compilation time."""

import functools
import threading
from types import SimpleNamespace

import pytest

from fastlin.kernels.machine import compilation, compilation_time


@pytest.fixture(autouse=True)
def clear_warning_cache():
    compilation_time.warn_once.cache_clear()
    yield
    compilation_time.warn_once.cache_clear()


@pytest.fixture
def advance_clock(monkeypatch):
    """Return a function that advances the mocked clock and fires timers."""
    now, timers = [100.0], []

    def make_timer(delay, function, arguments):
        start = functools.partial(timers.append, (now[0] + delay, functools.partial(function, *arguments)))
        return SimpleNamespace(start=start, cancel=timers.clear)

    def advance_clock(seconds):
        now[0] += seconds
        for at, timer_function in list(timers):
            if at <= now[0]:
                timers.remove((at, timer_function))
                timer_function()

    monkeypatch.setattr(compilation_time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(compilation_time, "Timer", make_timer)
    return advance_clock


def test_one_message_appears_after_a_second(advance_clock, caplog):
    time = compilation_time.CompilationTime()
    for _ in range(3):
        with time.measure():
            advance_clock(0.125)
    # The time between compilations is not included.
    advance_clock(60)
    assert (time.seconds, caplog.messages) == (0.375, [])
    for _ in range(20):
        with time.measure():
            advance_clock(0.25)
    # It is a warning, because an unconfigured logger does not show lower levels.
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", compilation_time.COMPILATION_MESSAGE)
    ]


def test_the_message_appears_during_a_long_compilation(advance_clock, caplog):
    time = compilation_time.CompilationTime()
    with time.measure():
        with time.measure():
            advance_clock(0.5)
        assert not caplog.messages
        advance_clock(0.5)
        assert caplog.messages == [compilation_time.COMPILATION_MESSAGE]
        advance_clock(1)
    # Each second is counted only once.
    assert time.seconds == 2
    time = compilation_time.CompilationTime()
    with pytest.raises(ZeroDivisionError), time.measure(), time.measure():
        advance_clock(0.25)
        raise ZeroDivisionError
    advance_clock(10)
    with time.measure():
        advance_clock(0.125)
    assert time.seconds == 0.375


def test_the_message_comes_from_a_timer_thread(monkeypatch):
    logged = threading.Event()
    monkeypatch.setattr(compilation_time, "warn_once", lambda text: logged.set())
    monkeypatch.setattr(compilation_time, "TIMEOUT", 0.001)
    with compilation_time.CompilationTime().measure():
        assert logged.wait(60)


def test_compilation_succeeds_if_no_thread_can_be_started(monkeypatch):
    def fail_to_start(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(compilation_time.Timer, "start", fail_to_start)
    before = compilation.COMPILATION_TIME.seconds
    compilation._reduce_compilation_overhead(lambda: None)()
    # Every compilation is counted.
    assert compilation.COMPILATION_TIME.seconds > before
