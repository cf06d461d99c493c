"""The folders of data."""

from pathlib import Path

from fastlin.course.datasets import folders


def test_without_a_cache_folder_data_lie_in_the_temporary_one(monkeypatch, tmp_path):
    monkeypatch.setattr(folders, "user_cache_folder", lambda: None)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("FASTLIN_DATA", "named")
    assert folders.list_places() == [Path("named"), tmp_path / "fastlin" / "data"]
