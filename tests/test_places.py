"""The folder that fastlin keeps files in."""

import os
import sys

import platformdirs
import pytest
from platformdirs.macos import MacOS
from platformdirs.unix import Unix
from platformdirs.windows import Windows

from fastlin.places import check_writable, user_cache_folder, write_whole


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


@pytest.mark.parametrize(
    ("system", "variables", "expected"),
    [
        (
            Windows,
            {"WIN_PD_OVERRIDE_LOCAL_APPDATA": r"C:\Users\me\AppData\Local"},
            "C:/Users/me/AppData/Local/fastlin/Cache",
        ),
        (MacOS, {"HOME": "/Users/me"}, "/Users/me/Library/Caches/fastlin"),
        (MacOS, {"HOME": "/Users/me", "XDG_CACHE_HOME": "/caches"}, "/caches/fastlin"),
        (Unix, {"HOME": "/home/me"}, "/home/me/.cache/fastlin"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="the names of other systems' folders are not Windows'")
def test_each_system_has_a_place_of_its_own(monkeypatch, system, variables, expected):
    monkeypatch.setattr(platformdirs, "PlatformDirs", system)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert user_cache_folder().as_posix().replace("\\", "/") == expected


@pytest.mark.parametrize("system", [MacOS, Unix])
def test_a_user_without_a_home_has_no_place(monkeypatch, system):
    monkeypatch.setattr(platformdirs, "PlatformDirs", system)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert user_cache_folder() is None


@pytest.mark.parametrize(
    "error", [ValueError("Unset environment variable: LOCALAPPDATA"), OSError("the profile cannot be found")]
)
def test_a_service_of_windows_without_a_profile_has_no_place(monkeypatch, error):
    def fail(name):
        raise error

    monkeypatch.setattr(platformdirs, "PlatformDirs", Windows)
    monkeypatch.setattr("platformdirs.windows.get_win_folder", fail)
    assert user_cache_folder() is None


def test_a_folder_that_cannot_be_written_is_found_out_by_one_file(tmp_path, monkeypatch):
    check_writable(tmp_path)
    assert not list(tmp_path.iterdir())
    tried = []

    def refuse(path, *arguments, **options):
        tried.append(path)
        raise PermissionError(13, "Access is denied", str(path))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PermissionError):
        check_writable(tmp_path)
    assert len(tried) == 1
