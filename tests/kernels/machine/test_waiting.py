"""The line that says that kernels are being compiled: where it goes, when, and how often."""

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


class Clock:
    """Stands for perf_counter, and for timers, which ring when it is told to go on."""

    def __init__(self, monkeypatch):
        self.now, self._timers = 100.0, []
        monkeypatch.setattr(waiting, "perf_counter", lambda: self.now)
        monkeypatch.setattr(waiting, "Timer", self.make_timer)

    def make_timer(self, delay, function, arguments):
        at = self.now + delay
        return SimpleNamespace(
            start=lambda: self._timers.append((at, lambda: function(*arguments))), cancel=self._timers.clear
        )

    def go_on(self, seconds):
        self.now += seconds
        for timer in [timer for timer in self._timers if timer[0] <= self.now]:
            self._timers.remove(timer)
            timer[1]()


class Terminal(io.StringIO):
    """Stands for the stderr of a terminal."""

    def isatty(self):
        return True


def compile_for(clock, time, seconds, times=1):
    for _ in range(times):
        with time.measured():
            clock.go_on(seconds)


def test_a_terminal_has_one_line_after_a_second(monkeypatch, caplog):
    caplog.set_level(logging.INFO, "fastlin")
    stderr, clock, time = Terminal(), Clock(monkeypatch), waiting.CompilationTime()
    monkeypatch.setattr(sys, "stderr", stderr)
    compile_for(clock, time, 0.125, times=3)
    # What lies between compilations does not count.
    clock.go_on(60)
    assert time.seconds == 0.375
    assert not stderr.getvalue()
    compile_for(clock, time, 0.25, times=20)
    assert stderr.getvalue() == waiting.TEXT + "\n"
    assert not caplog.records


def test_a_long_kernel_says_so_while_it_is_compiled(monkeypatch):
    stderr, clock, time = Terminal(), Clock(monkeypatch), waiting.CompilationTime()
    monkeypatch.setattr(sys, "stderr", stderr)
    with time.measured():
        with time.measured():
            clock.go_on(0.5)
        assert not stderr.getvalue()
        clock.go_on(0.5)
        assert stderr.getvalue() == waiting.TEXT + "\n"
        clock.go_on(1)
    # Each second counts once.
    assert time.seconds == 2


def test_the_line_comes_from_a_thread_that_waits(monkeypatch):
    told = threading.Event()
    monkeypatch.setattr(waiting, "tell", lambda text: told.set())
    monkeypatch.setattr(waiting, "PATIENCE", 0.001)
    with waiting.CompilationTime().measured():
        assert told.wait(60)


def test_where_no_thread_can_be_started_code_is_compiled_all_the_same(monkeypatch):
    def refuse():
        raise RuntimeError("can't start new thread")

    timer = SimpleNamespace(start=refuse, cancel=lambda: None)
    monkeypatch.setattr(waiting, "Timer", lambda *arguments: timer)
    time = waiting.CompilationTime()
    with time.measured():
        pass
    assert time.seconds > 0


def test_a_compilation_that_fails_counts_and_the_next_one_begins_anew(monkeypatch):
    clock, time = Clock(monkeypatch), waiting.CompilationTime()
    with pytest.raises(ZeroDivisionError), time.measured(), time.measured():
        clock.go_on(0.25)
        raise ZeroDivisionError
    clock.go_on(10)
    compile_for(clock, time, 0.125)
    assert time.seconds == 0.375


@pytest.mark.parametrize("stderr", [io.StringIO(), None], ids=["a file", "none"])
def test_what_is_no_terminal_has_a_line_in_the_log(stderr, monkeypatch, caplog):
    monkeypatch.setattr(sys, "stderr", stderr)
    waiting.tell(waiting.TEXT)
    # What is below a warning no log shows where nobody has set it up.
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [("WARNING", waiting.TEXT)]
    assert stderr is None or not stderr.getvalue()


@pytest.mark.parametrize(("shell", "is_shown"), [("ZMQInteractiveShell", True), ("TerminalInteractiveShell", False)])
def test_a_notebook_has_a_line(shell, is_shown, monkeypatch):
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=type(shell, (), {})))
    waiting.tell(waiting.TEXT)
    assert bool(stderr.getvalue()) == is_shown


def test_every_compilation_is_counted():
    before = compilation.TIME.seconds
    compilation._undisturbed(lambda: None)()
    assert compilation.TIME.seconds > before
