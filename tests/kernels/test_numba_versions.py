"""What is said of a version of Numba that fastlin was not tested with."""

import importlib.metadata

import pytest

from fastlin.kernels.numba_versions import TESTED, check_numba


@pytest.mark.parametrize("version", [f"{minor}.{patch}" for minor in TESTED for patch in ("0", "3", "0rc1")])
def test_nothing_is_said_of_tested_versions(monkeypatch, caplog, version):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: version)
    check_numba()
    assert not caplog.records


def test_a_warning_names_another_version_and_the_tested_ones(monkeypatch, caplog):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.99.1")
    check_numba()
    (record,) = caplog.records
    assert record.levelname == "WARNING" and record.name == "fastlin"
    for text in ("Numba 0.99.1", TESTED[0], f"pip install 'numba=={TESTED[-1]}.*'"):
        assert text in record.getMessage()


def test_a_packed_program_needs_no_metadata(monkeypatch, caplog):
    def find_nothing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", find_nothing)
    check_numba()
    assert not caplog.records
