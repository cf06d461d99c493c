"""Calls in a worker process: results, exceptions, timeouts, and restarts."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from time import sleep

import pytest
from conftest import assert_raises

from fastlin.benchmarking.worker_process import WorkerProcess


@pytest.fixture
def process():
    with closing(WorkerProcess()) as process:
        yield process


def test_calls_run_in_one_process_that_is_restarted_after_it_ends(process):
    pid = process.call(os.getpid)
    assert pid != os.getpid()
    assert process.call(os.getpid) == pid
    assert_raises(None, process.call, divmod, 1, 0, error=ZeroDivisionError)
    assert process.call(os.getpid) == pid
    assert process.call(max, 1, 2) == 2
    assert_raises("its process has ended with status 3", process.call, os._exit, 3, error=ChildProcessError)
    assert process.call(max, 1, 2) == 2
    process.stop()
    assert not process.has_answered
    assert process.call(os.getpid) != pid


def test_a_call_that_takes_too_long_is_stopped(process):
    assert not process.has_answered
    before = process.call(os.getpid)
    assert process.has_answered
    assert_raises(r"stopped after 0\.1 s", process.call, sleep, 3600, seconds=0.1, error=TimeoutError)
    assert not process.has_answered
    assert process.call(os.getpid) not in (before, os.getpid())


def test_a_closed_process_is_not_restarted(process):
    process.call(os.getpid)
    with ThreadPoolExecutor(1) as pool:
        waiting_call = pool.submit(process.call, sleep, 3600)
        sleep(0.1)
        process.close()
        with pytest.raises(ChildProcessError, match="its process has"):
            waiting_call.result()
    assert_raises("its process has been closed", process.call, os.getpid, error=ChildProcessError)
