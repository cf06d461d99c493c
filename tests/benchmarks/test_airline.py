import numpy as np
import pytest

from benchmarks import airline


def test_the_table_and_its_encoding_have_the_same_minimum():
    pytest.importorskip("pandas", reason="pandas is not installed")
    found = {name: airline.measure_here({}, name, 30_000) for name in ("table", "encoded")}
    assert found["table"]["X_bytes"] == 30_000 * (8 * 2 + 2 * 8)
    assert found["encoded"]["X_bytes"] > 30_000 * 10 * 12
    # Both stop within 1e-4 of J, and J is above one half.
    assert found["table"]["objective"] == pytest.approx(found["encoded"]["objective"], rel=2e-4)


def test_the_objective_is_that_of_the_formula():
    codes, numbers, y = airline.make_columns(50)
    coef = np.random.default_rng(1).normal(size=8_002)
    X = airline.encode(codes, numbers)[0].toarray()
    losses = np.log1p(np.exp(-(2 * y.astype(float) - 1) * (X @ coef + 0.5)))
    expected = losses.mean() + coef @ coef / 100
    assert airline.find_objective(coef, 0.5, codes, numbers, y) == pytest.approx(expected, rel=1e-12)
