import pytest

from benchmarks import airline


def test_the_table_and_its_encoding_have_the_same_minimum():
    pytest.importorskip("pandas", reason="pandas is not installed")
    found = {name: airline.measure_here(name, 30_000) for name in (airline.TABLE, airline.ENCODED)}
    assert found[airline.TABLE]["X_bytes"] == 30_000 * (8 * 2 + 2 * 8)
    assert found[airline.ENCODED]["X_bytes"] > 30_000 * 10 * 12
    # Both stop within 1e-4 of J, and J is above one half.
    objectives = [each["objective"] for each in found.values()]
    assert objectives[0] == pytest.approx(objectives[1], rel=2e-4)
