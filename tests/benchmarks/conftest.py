"""Fixtures of all tests of the benchmarks."""

import pytest

from benchmarks import comparisons


@pytest.fixture(autouse=True)
def skip_pauses(monkeypatch):
    """Skip pauses and repetitions: tests do not check times."""
    monkeypatch.setattr(comparisons, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(comparisons, "MIN_MEASURED_SECONDS", 1e-9)
