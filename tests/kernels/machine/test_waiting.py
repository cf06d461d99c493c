"""The line that says that kernels are being compiled: where it goes, when, and how often."""

import functools
import io
import logging
import sys
import threading
from types import SimpleNamespace

import pytest

from fastlin.kernels.machine import compilation, waiting


@pytest.fixture(autouse=True)
def nothing_is_said_yet():
    waiting.tell.cache_clear()
    yield
    waiting.tell.cache_clear()


class Terminal(io.StringIO):
    """Stands for the stderr of a terminal."""

    def isatty(self):
        return True


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

    monkeypatch.setattr(waiting, "perf_counter", lambda: now[0])
    monkeypatch.setattr(waiting, "Timer", make_timer)
    return go_on


def test_a_terminal_has_one_line_after_a_second(monkeypatch, go_on, caplog):
    caplog.set_level(logging.INFO, "fastlin")
    stderr, time = Terminal(), waiting.CompilationTime()
    monkeypatch.setattr(sys, "stderr", stderr)
    for _ in range(3):
        with time.measured():
            go_on(0.125)
    # What lies between compilations does not count.
    go_on(60)
    assert (time.seconds, stderr.getvalue()) == (0.375, "")
    for _ in range(20):
        with time.measured():
            go_on(0.25)
    assert stderr.getvalue() == waiting.TEXT + "\n"
    assert not caplog.records


def test_a_long_kernel_says_so_while_it_is_compiled(monkeypatch, go_on):
    stderr, time = Terminal(), waiting.CompilationTime()
    monkeypatch.setattr(sys, "stderr", stderr)
    with time.measured():
        with time.measured():
            go_on(0.5)
        assert not stderr.getvalue()
        go_on(0.5)
        assert stderr.getvalue() == waiting.TEXT + "\n"
        go_on(1)
    # Each second counts once.
    assert time.seconds == 2


def test_the_line_comes_from_a_thread_that_waits(monkeypatch):
    told = threading.Event()
    monkeypatch.setattr(waiting, "tell", lambda text: told.set())
    monkeypatch.setattr(waiting, "PATIENCE", 0.001)
    with waiting.CompilationTime().measured():
        assert told.wait(60)


def test_where_no_thread_can_be_started_code_is_compiled_all_the_same(monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(waiting.Timer, "start", refuse)
    before = compilation.TIME.seconds
    compilation._undisturbed(lambda: None)()
    # Every compilation is counted.
    assert compilation.TIME.seconds > before


def test_a_compilation_that_fails_counts_and_the_next_one_begins_anew(go_on):
    time = waiting.CompilationTime()
    with pytest.raises(ZeroDivisionError), time.measured(), time.measured():
        go_on(0.25)
        raise ZeroDivisionError
    go_on(10)
    with time.measured():
        go_on(0.125)
    assert time.seconds == 0.375


@pytest.mark.parametrize(
    ("stderr", "shell", "is_shown"),
    [
        (io.StringIO(), None, False),
        (None, None, False),
        (io.StringIO(), "ZMQInteractiveShell", True),
        (io.StringIO(), "TerminalInteractiveShell", False),
    ],
    ids=["a file", "none", "a notebook", "IPython"],
)
def test_a_notebook_has_a_line_and_what_is_no_terminal_has_it_in_the_log(monkeypatch, caplog, stderr, shell, is_shown):
    monkeypatch.setattr(sys, "stderr", stderr)
    if shell:
        monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=type(shell, (), {})))
    waiting.tell(waiting.TEXT)
    # What is below a warning no log shows where nobody has set it up.
    logged = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert logged == ([] if is_shown else [("WARNING", waiting.TEXT)])
    assert stderr is None or bool(stderr.getvalue()) == is_shown
