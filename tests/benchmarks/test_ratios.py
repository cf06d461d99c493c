"""Ratios of times: intervals of the median, what is lost, and profiles are parts of problems by hand."""

import numpy as np
import pytest

from benchmarks.pictures import ALLOWED, choose_pictures, draw_pictures, find_part, profile, read_source
from benchmarks.published import describe_machine
from benchmarks.races import find_interval
from benchmarks.tables import is_even, is_slower


def test_few_turns_have_no_interval():
    assert find_interval([2.0] * 5) is None
    assert find_interval([2.0] * 6) == [2.0, 2.0]
    assert find_interval([3, 1, 2, 7, 4, 6, 5]) == [1, 7]
    # Fewer than two heads, or two tails, of nine throws: 20 of 512 ways, less than 5 %.
    assert find_interval(range(9)) == [1, 7]


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


def tried(**seconds):
    return {name: {"seconds": own, "excess": 0.0} for name, own in seconds.items()}


def test_a_profile_is_the_part_of_problems_within_a_factor_of_the_fastest():
    failed = tried(a=2.0, b=1.0)
    failed["b"]["excess"] = 2 * ALLOWED
    found = profile([tried(a=1.0, b=3.0, c=2.0), tried(a=4.0, b=2.0), failed])
    assert list(found) == ["a", "b", "c"]
    expected = {"a": [1, 1, 2], "b": [1, 3, np.inf], "c": [2]}
    for name, ratios in expected.items():
        np.testing.assert_array_equal(found[name], ratios)
    assert [find_part(found["a"], factor) for factor in (1, 1.9, 2)] == pytest.approx([2 / 3, 2 / 3, 1])
    # Who failed is never fast enough.
    assert find_part(found["b"], 1e9) == pytest.approx(2 / 3)
    # Settings of a peer are no solvers of their own.
    assert len(profile([tried(**{"a, tol 1e-4": 1.0}), tried(a=1.0)])["a"]) == 2


def test_a_machine_with_what_was_tried_has_a_picture_of_it(tmp_path):
    problems = [{"tried": tried(fastlin=1.0, lbfgs=2.0)}, {"tried": tried(fastlin=3.0, lbfgs=1.0)}] * 5
    machines = {"here": {"machine": describe_machine(), "records": {"x": {"kind": "-", "problems": problems}}}}
    assert list(choose_pictures(machines)) == ["here-profile.png"]
    draw_pictures(machines, tmp_path)
    assert read_source(tmp_path / "here-profile.png")
    machines["here"]["records"]["x"]["problems"] = [{}]
    assert not choose_pictures(machines)
