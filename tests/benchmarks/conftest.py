"""What all tests of the benchmarks have."""

import pytest

from benchmarks import races


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch):
    """Leave out pauses and repetitions, which steady times that no test looks at."""
    monkeypatch.setattr(races, "PAUSE", 0.0)
    monkeypatch.setattr(races, "TURN", 1e-9)
