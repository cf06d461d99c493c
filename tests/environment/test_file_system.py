"""The cache folder, atomic writes and locks."""

import contextlib
import os
import stat
import subprocess
import sys
from unittest.mock import Mock

import filelock
import platformdirs
import pytest
from conftest import assert_raises, make_locks_fail, make_replace_fail
from platformdirs.macos import MacOS
from platformdirs.unix import Unix
from platformdirs.windows import Windows

from fastlin.environment.file_system import check_writable, find_user_cache_folder, lock, write_atomically

skip_on_windows = pytest.mark.skipif(os.name == "nt", reason="it needs links, modes or folders that are not Windows'")
HOLD_LOCK_PROGRAM = """
import sys, time
from fastlin.environment.file_system import lock
with lock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_file_is_written_completely_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "page.html"
    path.write_text("old")
    for error in (OSError("full"), KeyboardInterrupt()):
        with pytest.raises(type(error)), write_atomically(path) as part:
            part.write_text("half")
            raise error
    # Simulate another program with the file open.
    with monkeypatch.context() as patch, pytest.raises(PermissionError), write_atomically(path) as part:
        make_replace_fail(patch)
        part.write_text("new")
    assert path.read_text() == "old"
    with write_atomically(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_concurrent_writers_each_write_a_complete_file(tmp_path):
    path = tmp_path / f"{'é' * 120}.html"
    with write_atomically(path) as first, write_atomically(path) as second:
        first.write_text("first" * 1000)
        second.write_text("second")
    # The inner write finishes first.
    assert path.read_text() == "first" * 1000
    assert list(tmp_path.iterdir()) == [path]


@skip_on_windows
@pytest.mark.parametrize("link_name", ["page.html.part", "page.html.7.part"])
def test_a_planted_link_is_not_followed(tmp_path, monkeypatch, link_name):
    secret_file, path = tmp_path / "secret", tmp_path / "page.html"
    secret_file.write_text("secret")
    (tmp_path / link_name).symlink_to(secret_file)
    monkeypatch.setattr("secrets.token_hex", lambda n_bytes: "7")
    with contextlib.suppress(FileExistsError), write_atomically(path) as part:
        part.write_text("new")
    assert secret_file.read_text() == "secret"
    assert (tmp_path / link_name).is_symlink()


@skip_on_windows
@pytest.mark.parametrize("content", ["old", None])
def test_a_link_stays_and_its_target_is_replaced(tmp_path, content):
    file, link = tmp_path / "files" / "page-1.html", tmp_path / "page.html"
    file.parent.mkdir()
    link.symlink_to(os.path.join("files", "page-1.html"))
    if content is not None:
        file.write_text(content)
    with write_atomically(link) as part:
        part.write_text("new")
    assert link.is_symlink()
    assert file.read_text() == "new"
    assert sorted(tmp_path.rglob("*")) == [file.parent, file, link]


@skip_on_windows
def test_a_replaced_file_keeps_its_mode(tmp_path):
    new_file, private_file, locked_file = (tmp_path / name for name in ("new", "private", "locked"))
    for path, mode in ((private_file, 0o600), (locked_file, 0o444)):
        path.touch()
        path.chmod(mode)
    before = os.umask(0o027)
    try:
        for path, expected_mode in ((new_file, 0o640), (private_file, 0o600), (locked_file, 0o600)):
            with write_atomically(path) as part:
                part.write_text("new")
                assert stat.S_IMODE(part.stat().st_mode) == expected_mode
    finally:
        os.umask(before)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (new_file, private_file, locked_file)] == [
        0o640,
        0o600,
        0o444,
    ]
    assert {path.read_text() for path in tmp_path.iterdir()} == {"new"}


@skip_on_windows
def test_bytes_are_on_the_disk_before_the_file_is_renamed(tmp_path, monkeypatch):
    done, fsync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (done.append(os.fstat(file).st_size), fsync(file)))
    monkeypatch.setattr(os, "replace", lambda *paths: (done.append("name"), replace(*paths)))
    with write_atomically(tmp_path / "page.html") as part:
        part.write_text("new")
    assert done == [3, "name"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes with names")
@pytest.mark.parametrize("kind", ["folder", "pipe", "link to itself"])
def test_writing_to_a_path_that_is_not_a_file_raises(tmp_path, kind):
    path = tmp_path / "page.html"
    {"folder": path.mkdir, "pipe": lambda: os.mkfifo(path), "link to itself": lambda: path.symlink_to(path)}[kind]()
    before = path.lstat()
    with pytest.raises(OSError, match=r"page\.html"), write_atomically(path):
        raise AssertionError("nothing is written")
    assert os.path.samestat(before, path.lstat())
    assert list(tmp_path.iterdir()) == [path]


def assert_lock_held(path):
    """Assert that the lock of a path is held, and that the folder contains no other files."""
    lock_file = path.with_name(f".{path.name}.lock")
    assert list(path.parent.iterdir()) == [lock_file]
    assert_raises(None, filelock.FileLock(lock_file).acquire, blocking=False, error=filelock.Timeout)


def test_a_lock_is_released_when_its_process_ends(tmp_path):
    path = tmp_path / "results.json"
    with lock(path):
        assert_lock_held(path)
    with subprocess.Popen([sys.executable, "-c", HOLD_LOCK_PROGRAM, path], stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline().strip() == b"held"
        assert_lock_held(path)
        holder.kill()
    with lock(path):
        assert_lock_held(path)
    assert not list(tmp_path.iterdir())


def test_work_continues_if_the_system_supports_no_locks(tmp_path, monkeypatch):
    # Root can open any user's file, but cannot open a folder.
    existing = tmp_path / ".folder.lock"
    existing.mkdir()
    with lock(tmp_path / "folder"):
        pass
    assert list(tmp_path.iterdir()) == [existing]
    make_locks_fail(monkeypatch)
    with lock(tmp_path / "results.json"):
        pass


@pytest.mark.parametrize(
    ("system", "variables", "expected"),
    [
        (Windows, {"WIN_PD_OVERRIDE_LOCAL_APPDATA": r"C:\me\Local"}, "C:/me/Local/fastlin/Cache"),
        (MacOS, {"HOME": "/Users/me"}, "/Users/me/Library/Caches/fastlin"),
        (MacOS, {"HOME": "/Users/me", "XDG_CACHE_HOME": "/caches"}, "/caches/fastlin"),
        (Unix, {"HOME": "/home/me"}, "/home/me/.cache/fastlin"),
        (Unix, {"HOME": "/home/me", "XDG_CACHE_HOME": "/caches"}, "/caches/fastlin"),
        (MacOS, {}, None),
        (Unix, {}, None),
    ],
)
@skip_on_windows
def test_each_system_has_its_own_cache_folder(monkeypatch, system, variables, expected):
    monkeypatch.setattr(platformdirs, "PlatformDirs", system)
    for name in ("XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if not variables:
        monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    folder = find_user_cache_folder()
    assert expected == (folder and folder.as_posix().replace("\\", "/"))


@pytest.mark.parametrize("error", [ValueError("Unset environment variable"), OSError("no profile")])
def test_a_windows_service_without_a_profile_has_no_cache_folder(monkeypatch, error):
    monkeypatch.setattr(platformdirs, "PlatformDirs", Windows)
    monkeypatch.setattr("platformdirs.windows.get_win_folder", Mock(side_effect=error))
    assert find_user_cache_folder() is None


def test_a_read_only_folder_is_detected_with_one_file(tmp_path, monkeypatch):
    check_writable(tmp_path)
    assert not list(tmp_path.iterdir())
    failing_open = Mock(side_effect=PermissionError(13, "Access is denied"))
    monkeypatch.setattr(os, "open", failing_open)
    assert_raises(None, check_writable, tmp_path, error=PermissionError)
    assert failing_open.call_count == 1
