"""The folder that fastlin keeps files in."""

import os
import sys

import pytest

from fastlin.places import user_cache_folder


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other places")
def test_the_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache_folder() == tmp_path / "fastlin"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_cache_folder() == tmp_path / ".cache" / "fastlin"
    # A user without a home, whose ~ stays as it is.
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert user_cache_folder() is None
    assert not (tmp_path / "fastlin").exists()
