"""Intervals of ratios: they cover the median as often as they say, and decide what is slower, faster or even."""

import numpy as np
import pytest

from benchmarks.intervals import find_interval, is_even, is_slower


def test_few_turns_have_no_interval():
    assert find_interval([2.0] * 5) is None
    assert find_interval([2.0] * 6) == [2.0, 2.0]
    assert find_interval([3, 1, 2, 7, 4, 6, 5]) == [1, 7]
    # Fewer than two heads, or two tails, of nine throws: 20 of 512 ways, less than 5 %.
    assert find_interval(range(9)) == [1, 7]


@pytest.mark.parametrize("n_turns", [6, 7, 9, 15])
def test_an_interval_covers_the_median_as_often_as_it_says(n_turns):
    random, n_draws = np.random.default_rng(0), 1_000
    intervals = [find_interval(random.lognormal(0.5, 0.2, n_turns)) for _ in range(n_draws)]
    n_covered = sum(low <= np.exp(0.5) <= high for low, high in intervals)
    # Three errors of a share of 0.95 of a thousand draws are 0.02.
    assert n_covered / n_draws > 0.93
    # Wider ones than are needed would tell nothing.
    assert n_covered / n_draws < 0.995


@pytest.mark.parametrize(
    ("ratio", "interval", "slower", "even"),
    [
        (0.9, None, True, False),
        (1.1, None, False, False),
        (0.9, [0.8, 1.1], False, True),
        (0.9, [0.8, 0.95], True, False),
        (1.1, [1.05, 1.2], False, False),
    ],
)
def test_a_race_is_lost_only_where_the_interval_says_so(ratio, interval, slower, even):
    record = {"ratio": ratio, "interval": interval}
    assert (is_slower(record), is_even(record)) == (slower, even)
