"""Unit tests of fastlin's callbacks; tests/estimators/test_fit_reporting.py tests them in fits."""

import copy
import pickle
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from fastlin.callbacks import TimeLimit


@pytest.mark.parametrize("seconds", [-1, "2", None, float("nan")])
def test_seconds_must_be_a_number_of_at_least_0(seconds):
    with pytest.raises(ValueError, match="seconds must be a number of at least 0, got"):
        TimeLimit(seconds)


def test_the_seconds_count_from_the_outermost_task():
    now = datetime.now(UTC)
    outer_task = SimpleNamespace(parent=None, init_time=now - timedelta(seconds=50))
    inner_task = SimpleNamespace(parent=SimpleNamespace(parent=outer_task, init_time=now), init_time=now)
    for limit in (TimeLimit(49), copy.copy(TimeLimit(49)), pickle.loads(pickle.dumps(TimeLimit(49)))):
        assert limit.on_fit_task_end(None, inner_task) is True
    assert TimeLimit(500).on_fit_task_end(None, inner_task) is False
