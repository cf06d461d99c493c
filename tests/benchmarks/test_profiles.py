"""Performance profiles: parts of problems by hand, failures, and solvers that few problems have."""

import numpy as np
import pytest

from benchmarks.machine import describe_machine
from benchmarks.pictures import choose_pictures, draw_pictures, read_source
from benchmarks.profiles import ALLOWED, find_part, profile


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


def test_settings_of_a_peer_are_no_solvers_of_their_own():
    one, other = ({"Cyanure, tol 1e-4": {"seconds": 1.0, "excess": 0.0}}, {"Cyanure": {"seconds": 1.0, "excess": 0.0}})
    assert len(profile([one, other])["Cyanure"]) == 2


def test_a_machine_with_what_was_tried_has_a_picture_of_it(tmp_path):
    problems = [{"tried": tried(fastlin=1.0, lbfgs=2.0)}, {"tried": tried(fastlin=3.0, lbfgs=1.0)}]
    machines = {"here": {"machine": describe_machine(), "records": {"x": {"kind": "-", "problems": problems}}}}
    assert list(choose_pictures(machines)) == ["here-profile.png"]
    draw_pictures(machines, tmp_path)
    assert read_source(tmp_path / "here-profile.png")
    for problem in problems:
        # Records of before have none.
        del problem["tried"]
    assert not choose_pictures(machines)
