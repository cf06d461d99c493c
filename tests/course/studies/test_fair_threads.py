"""The number of threads on which another library is timed."""

from time import sleep

import pytest
from threadpoolctl import threadpool_info

from fastlin.course.studies import fair_threads
from fastlin.course.studies.fair_threads import choose_threads, time_fits, use_threads
from fastlin.kernels.machine.threads import count_threads


@pytest.mark.parametrize("fastest", [1, 3])
def test_the_faster_number_of_threads_is_chosen(fastest, monkeypatch):
    seen = []

    def fit():
        seen.append(next(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"))
        # The first fit takes longest, as imports do.
        # So may one of any number, where the machine is busy.
        sleep(0.2 if len(seen) < 4 else 0 if seen[-1] == fastest else 0.05)

    monkeypatch.setattr(fair_threads, "count_threads", lambda: 3)
    assert choose_threads(fit) == fastest
    assert seen[1:] == [1, 3] * 3


def test_fits_are_repeated_until_their_seconds_are_enough(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(fair_threads, "perf_counter", lambda: next(clock))
    assert time_fits(lambda: "found", lambda seconds: sum(seconds) >= 3) == ([1, 1, 1], "found")
    assert time_fits(lambda: "found", lambda seconds: sum(seconds) >= 0) == ([1], "found")


def test_fastlin_has_as_many_threads_as_the_others():
    with use_threads(1):
        assert count_threads() == 1
