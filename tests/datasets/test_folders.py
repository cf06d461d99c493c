"""The folders of data, and files that get their names only when they are whole."""

from pathlib import Path

import pytest
from conftest import refuse_replacement

from fastlin.datasets import folders


def test_a_file_that_another_program_has_open_stays_as_it_was(tmp_path, monkeypatch):
    target = tmp_path / "file"
    with folders.open_whole(target) as part:
        part.write(b"old")
    refuse_replacement(monkeypatch)
    with pytest.raises(PermissionError), folders.open_whole(target) as part:
        part.write(b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_the_file_is_closed_before_it_gets_its_name(tmp_path, monkeypatch):
    # Windows renames no file that is open.
    closed, replace = [], folders.os.replace
    monkeypatch.setattr(folders.os, "replace", lambda *paths: (closed.append(part.closed), replace(*paths)))
    with folders.open_whole(tmp_path / "file") as part:
        part.write(b"data")
    assert closed == [True]


def test_without_a_cache_folder_data_lie_in_the_temporary_one(monkeypatch, tmp_path):
    monkeypatch.setattr(folders, "user_cache_folder", lambda: None)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("FASTLIN_DATA", "named")
    assert folders.list_places() == [Path("named"), tmp_path / "fastlin" / "data"]
