"""What is said of a version of Numba that fastlin was not tested with."""

import importlib.metadata
from unittest.mock import Mock

import pytest

from fastlin.kernels.numba_versions import TESTED, check_numba


# None is a packed program without metadata.
@pytest.mark.parametrize(
    "version", [*(f"{minor}.{patch}" for minor in TESTED for patch in ("0", "3", "0rc1")), None, "0.99.1"]
)
def test_a_warning_names_a_version_that_was_not_tested_and_those_that_were(version, monkeypatch, caplog):
    missing = importlib.metadata.PackageNotFoundError("numba")
    find = Mock(return_value=version, side_effect=None if version else missing)
    monkeypatch.setattr(importlib.metadata, "version", find)
    check_numba()
    assert len(caplog.records) == (version == "0.99.1")
    for record in caplog.records:
        assert record.levelname == "WARNING" and record.name == "fastlin"
        for text in ("Numba 0.99.1", TESTED[0], f"pip install 'numba=={TESTED[-1]}.*'"):
            assert text in record.getMessage()
