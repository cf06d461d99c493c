"""Blocks on threads: every block once, errors passed on, forks and nesting survived."""

import os
import subprocess
import sys
import threading

import pytest

from fastlin.kernels.machine.threads import BlockRun, count_blocks, count_threads, limit_threads, run_blocks


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_every_block_runs_once(n_threads):
    seen = []
    with limit_threads(n_threads):
        run_blocks(lambda block, n_blocks, mark: seen.append((block, n_blocks, mark)), 20, "x")
    assert sorted(seen) == [(block, 20, "x") for block in range(20)]


@pytest.mark.parametrize("n_threads", [1, 3])
def test_an_error_is_raised_after_every_thread_has_ended(n_threads):
    running = []

    def fail(block, n_blocks):
        running.append(block)
        if block == 3:
            raise MemoryError("block 3")

    with limit_threads(n_threads), pytest.raises(MemoryError, match="block 3"):
        run_blocks(fail, 8)
    n_run = len(running)
    assert n_run <= 8
    threading.Event().wait(0.05)
    assert len(running) == n_run


def test_a_run_starts_before_finish():
    started = threading.Event()
    with limit_threads(2):
        run = BlockRun(lambda block, n_blocks: started.set(), 4)
        assert started.wait(10)
        run.finish()


def test_runs_nest_and_overlap():
    total = []

    def outer(block, n_blocks):
        run_blocks(lambda inner, n_inner: total.append((block, inner)), 3)

    callers = [threading.Thread(target=run_blocks, args=(outer, 4)) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(30)
    assert len(total) == 3 * 4 * 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_works():
    with limit_threads(2):
        run_blocks(lambda block, n_blocks: None, 4)
    child = os.fork()
    if child == 0:
        seen = []
        with limit_threads(2):
            run_blocks(lambda block, n_blocks: seen.append(block), 4)
        os._exit(0 if len(seen) == 4 else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_run_after_the_main_thread_has_ended():
    program = """
import threading, time
from fastlin.kernels.machine.threads import limit_threads, run_blocks
def late():
    time.sleep(0.5)
    seen = []
    with limit_threads(3):
        run_blocks(lambda block, n_blocks: seen.append(block), 7)
    print(len(seen), flush=True)
threading.Thread(target=late).start()
"""
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert finished.stdout.strip() == "7", finished.stderr


def test_limits(monkeypatch):
    monkeypatch.setenv("FASTLIN_NUM_THREADS", "3")
    assert count_threads() == 3
    with limit_threads(2):
        assert count_threads() == 2
        with limit_threads(None):
            assert count_threads() == 2
    monkeypatch.setenv("FASTLIN_NUM_THREADS", "many")
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")
    assert count_threads() == 1


def test_blocks_follow_from_the_shape():
    assert count_blocks(10, 100, 8, 1000) == 1
    assert count_blocks(60_000, 2 * 7840, 8 * 7840, 376_000_000) == 32
    # Large partial sums: few blocks, yet more than one.
    assert count_blocks(60_000, 2 * 784_000, 8 * 784_000, 376_000_000) == 2
    with limit_threads(7):
        assert count_blocks(60_000, 2 * 7840, 8 * 7840, 376_000_000) == 32
