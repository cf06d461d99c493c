"""What all tests of the benchmarks have."""

import pytest

from benchmarks import comparisons


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch):
    """Leave out pauses and repetitions, which steady times that no test looks at."""
    monkeypatch.setattr(comparisons, "PAUSE", 0.0)
    monkeypatch.setattr(comparisons, "REPETITION", 1e-9)
