"""The tested versions of Numba, and the warning about other versions."""

import importlib.metadata
import json
import re
from unittest.mock import Mock

import pytest
from repository import read, read_setup_cfg

from fastlin.kernels.numba_versions import TESTED_VERSIONS, check_numba


# None represents a frozen program without metadata.
@pytest.mark.parametrize(
    "version", [*(f"{minor}.3" for minor in TESTED_VERSIONS), f"{TESTED_VERSIONS[-1]}.0rc1", None, "0.99.1"]
)
def test_an_untested_numba_version_causes_a_warning(version, monkeypatch, caplog):
    missing = importlib.metadata.PackageNotFoundError("numba")
    find = Mock(return_value=version, side_effect=None if version else missing)
    monkeypatch.setattr(importlib.metadata, "version", find)
    check_numba()
    assert len(caplog.records) == (version == "0.99.1")
    for record in caplog.records:
        assert record.levelname == "WARNING" and record.name == "fastlin"
        for text in ("Numba 0.99.1", TESTED_VERSIONS[0], f"pip install 'numba=={TESTED_VERSIONS[-1]}.*'"):
            assert text in record.getMessage()


def test_documented_numba_versions_are_the_tested_ones():
    assert re.search(r"numba>=([\d.]+)", read_setup_cfg()["options"]["install_requires"])[1] == TESTED_VERSIONS[0]
    assert re.search(r"numba >=([\d.]+)", read(".ci/conda/recipe.yaml"))[1] == TESTED_VERSIONS[0]
    assert tuple(json.loads(re.search(r"numba: (\[.*\])", read(".github/workflows/ci.yml"))[1])) == TESTED_VERSIONS
    for name in ("docs/troubleshooting.md", "CHANGELOG.md"):
        assert f"Numba {TESTED_VERSIONS[0]} to {TESTED_VERSIONS[-1]}" in read(name), name
    assert f"numba=={TESTED_VERSIONS[-1]}.*" in read("docs/troubleshooting.md")
