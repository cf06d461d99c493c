"""Fixtures of all tests of the benchmarks."""

import pytest

from fastlin.benchmarking import candidate, timing


@pytest.fixture(autouse=True)
def skip_pauses(monkeypatch):
    """Skip pauses and repetitions: tests do not check times."""
    monkeypatch.setattr(timing, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(candidate, "MIN_POINT_SECONDS", 1e-9)
