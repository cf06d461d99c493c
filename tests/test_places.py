"""The folder that fastlin keeps files in."""

import os
import sys

import pytest

from fastlin.places import user_cache_folder, write_whole


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


def test_a_file_is_there_whole_or_not_at_all(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("old")
    with pytest.raises(OSError, match="full"), write_whole(path) as part:
        part.write_text("half")
        raise OSError("full")
    assert path.read_text() == "old"
    with write_whole(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]
