"""Calls in a process of its own: what they return and raise, and what is left of a process that has ended."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from time import sleep

import pytest
from conftest import assert_refused

from fastlin.course.worker_process import WorkerProcess


@pytest.fixture
def process():
    with closing(WorkerProcess()) as process:
        yield process


def test_calls_are_made_in_one_other_process_and_where_it_ends_in_the_next(process):
    found = process.call(os.getpid)
    assert found != os.getpid()
    assert process.call(os.getpid) == found
    assert_refused(None, process.call, divmod, 1, 0, error=ZeroDivisionError)
    assert process.call(os.getpid) == found
    assert process.call(max, 1, 2) == 2
    assert_refused("its process has ended with status 3", process.call, os._exit, 3, error=ChildProcessError)
    assert process.call(max, 1, 2) == 2


def test_a_call_that_takes_too_long_is_stopped_and_the_next_one_is_made(process):
    assert not process.has_answered
    before = process.call(os.getpid)
    assert process.has_answered
    assert_refused(r"stopped after 0\.1 s", process.call, sleep, 3600, seconds=0.1, error=TimeoutError)
    assert not process.has_answered
    assert process.call(os.getpid) not in (before, os.getpid())


def test_nothing_starts_a_process_again_that_was_closed(process):
    process.call(os.getpid)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(process.call, sleep, 3600)
        sleep(0.1)
        process.close()
        with pytest.raises(ChildProcessError, match="its process has"):
            waiting.result()
    assert_refused("its process has been closed", process.call, os.getpid, error=ChildProcessError)
