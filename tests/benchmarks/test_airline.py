import numpy as np
import pytest

from benchmarks import airline
from benchmarks.data import draw_frame


def test_the_table_and_its_encoding_have_the_same_minimum():
    pytest.importorskip("pandas", reason="pandas is not installed")
    found = {name: airline.measure_here(name, 30_000) for name in (airline.TABLE, airline.ENCODED)}
    assert found[airline.TABLE]["X_bytes"] == 30_000 * (8 * 2 + 2 * 8)
    assert found[airline.ENCODED]["X_bytes"] > 30_000 * 10 * 12
    # Both stop within 1e-4 of J, and J is above one half.
    objectives = [each["objective"] for each in found.values()]
    assert objectives[0] == pytest.approx(objectives[1], rel=2e-4)


def test_the_objective_is_that_of_the_formula():
    pytest.importorskip("pandas", reason="pandas is not installed")
    problem = draw_frame(1_000, None, *airline.COLUMNS)
    coef = np.random.default_rng(1).normal(size=8_002)
    losses = np.log1p(np.exp(-(2 * problem.y - 1) * (problem.X.toarray() @ coef + 0.5)))
    expected = losses.mean() + coef @ coef / 2_000
    assert problem.objective(coef[None], np.array([0.5])) == pytest.approx(expected, rel=1e-12)
