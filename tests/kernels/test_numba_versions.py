"""What is said of a version of Numba that fastlin was not tested with."""

import importlib.metadata

import pytest

from fastlin.kernels.numba_versions import TESTED, check_numba


@pytest.fixture(params=[*(f"{minor}.{patch}" for minor in TESTED for patch in ("0", "3", "0rc1")), None, "0.99.1"])
def version(request, monkeypatch):
    """The version of Numba that is installed, or None, as in a packed program without metadata."""

    def find(name):
        if request.param is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return request.param

    monkeypatch.setattr(importlib.metadata, "version", find)
    return request.param


def test_a_warning_names_a_version_that_was_not_tested_and_those_that_were(version, caplog):
    check_numba()
    assert len(caplog.records) == (version == "0.99.1")
    for record in caplog.records:
        assert record.levelname == "WARNING" and record.name == "fastlin"
        for text in ("Numba 0.99.1", TESTED[0], f"pip install 'numba=={TESTED[-1]}.*'"):
            assert text in record.getMessage()
