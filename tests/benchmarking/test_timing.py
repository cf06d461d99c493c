"""The timing of fits: threads, repetitions, and intervals."""

from functools import partial
from time import sleep

import pytest
from threadpoolctl import threadpool_info

from fastlin.benchmarking import timing
from fastlin.benchmarking.timing import choose_threads, find_median_interval, time_fit, use_threads
from fastlin.kernels.machine.threads import count_threads


@pytest.mark.parametrize("fastest", [1, 3])
def test_the_faster_number_of_threads_is_chosen(fastest, monkeypatch):
    threads = []

    def fit():
        threads.append(next(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"))
        # The first fit takes longest because of imports, and later ones may be slow on a busy machine.
        sleep(0.2 if len(threads) < 4 else 0 if threads[-1] == fastest else 0.05)

    monkeypatch.setattr(timing, "count_threads", lambda: 3)
    assert choose_threads(fit) == fastest
    assert threads[1:] == [1, 3] * 3


def test_short_fits_are_repeated(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(timing, "perf_counter", lambda: next(clock))
    run = partial(time_fit, lambda: "result")
    assert run() == ([1], "result")
    monkeypatch.setattr(timing, "MAX_SHORT_FIT_SECONDS", 2)
    assert run() == ([1], "result")
    assert run(3) == ([1, 1, 1], "result")
    assert run(min_seconds=3.5) == ([1, 1, 1, 1], "result")
    assert run(3, max_seconds=2) == ([1, 1], "result")
    monkeypatch.setattr(timing, "MAX_SHORT_FIT_SECONDS", 1)
    assert run(3, min_seconds=3.5) == ([1], "result")


def test_few_repetitions_have_no_interval():
    assert find_median_interval([2.0] * 5) is None
    assert find_median_interval([2.0] * 6) == [2.0, 2.0]
    assert find_median_interval([3, 1, 2, 7, 4, 6, 5]) == [1, 7]
    # In nine coin tosses, the probability that a side appears fewer than twice is 20 / 512, which is less than 5 %.
    assert find_median_interval(range(9)) == [1, 7]


def test_use_threads_limits_fastlin_too():
    with use_threads(1):
        assert count_threads() == 1
