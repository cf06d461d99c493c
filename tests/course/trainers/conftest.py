"""Each test begins as a new process does: none of the course's differences has been warned of."""

import pytest

from fastlin.course.trainers import differences


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch):
    """Forget the warnings that were given."""
    monkeypatch.setattr(differences, "_given", set())
