"""The folder that fastlin keeps files in, and files that are there whole."""

import contextlib
import os
import stat
import subprocess
import sys

import filelock
import platformdirs
import pytest
from conftest import refuse_locks, refuse_replacement
from platformdirs.macos import MacOS
from platformdirs.unix import Unix
from platformdirs.windows import Windows

from fastlin.places import check_writable, lock, user_cache_folder, write_whole


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


def test_a_file_that_another_program_has_open_stays_as_it_was(tmp_path, monkeypatch):
    target = tmp_path / "file"
    target.write_text("old")
    refuse_replacement(monkeypatch)
    with pytest.raises(PermissionError), write_whole(target) as part:
        part.write_text("new")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_two_writers_at_once_each_write_a_whole_file(tmp_path):
    path = tmp_path / f"{'é' * 120}.html"
    with write_whole(path) as first, write_whole(path) as second:
        first.write_text("first" * 1000)
        second.write_text("second")
    # The inner one came first.
    assert path.read_text() == "first" * 1000
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="not everyone may make links on Windows")
@pytest.mark.parametrize("planted", ["page.html.part", "page.html.7.part"])
def test_a_planted_link_is_not_followed(tmp_path, monkeypatch, planted):
    secret, path = tmp_path / "secret", tmp_path / "page.html"
    secret.write_text("secret")
    (tmp_path / planted).symlink_to(secret)
    monkeypatch.setattr("secrets.token_hex", lambda n_bytes: "7")
    with contextlib.suppress(FileExistsError), write_whole(path) as part:
        part.write_text("new")
    assert secret.read_text() == "secret"
    assert (tmp_path / planted).is_symlink()


@pytest.mark.skipif(os.name == "nt", reason="not everyone may make links on Windows")
@pytest.mark.parametrize("content", ["old", None])
def test_a_link_stays_and_its_file_is_replaced(tmp_path, content):
    file, link = tmp_path / "files" / "page-1.html", tmp_path / "page.html"
    file.parent.mkdir()
    link.symlink_to(os.path.join("files", "page-1.html"))
    if content is not None:
        file.write_text(content)
    with write_whole(link) as part:
        part.write_text("new")
    assert link.is_symlink()
    assert file.read_text() == "new"
    assert sorted(tmp_path.rglob("*")) == [file.parent, file, link]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_a_file_keeps_its_mode_and_a_new_one_has_that_of_the_umask(tmp_path):
    new, private, locked = (tmp_path / name for name in ("new", "private", "locked"))
    for path, mode in ((private, 0o600), (locked, 0o444)):
        path.touch()
        path.chmod(mode)
    before = os.umask(0o027)
    try:
        for path, while_written in ((new, 0o640), (private, 0o600), (locked, 0o600)):
            with write_whole(path) as part:
                part.write_text("new")
                assert stat.S_IMODE(part.stat().st_mode) == while_written
    finally:
        os.umask(before)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (new, private, locked)] == [0o640, 0o600, 0o444]
    assert {path.read_text() for path in tmp_path.iterdir()} == {"new"}


@pytest.mark.skipif(os.name == "nt", reason="Windows syncs no folder")
def test_bytes_are_on_the_disk_before_they_have_the_name_and_the_name_follows(tmp_path, monkeypatch):
    done, fsync, replace = [], os.fsync, os.replace

    def note_sync(descriptor):
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else os.fstat(descriptor).st_size)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "replace", lambda *paths: (done.append("name"), replace(*paths)))
    with write_whole(tmp_path / "page.html") as part:
        part.write_text("new")
    assert done == [3, "name", "folder"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes with names")
@pytest.mark.parametrize("kind", ["folder", "pipe", "link to itself"])
def test_what_is_no_file_is_refused_and_stays(tmp_path, kind):
    path = tmp_path / "page.html"
    {"folder": path.mkdir, "pipe": lambda: os.mkfifo(path), "link to itself": lambda: path.symlink_to(path)}[kind]()
    before = path.lstat()
    with pytest.raises(OSError, match=r"page\.html"), write_whole(path):
        raise AssertionError("nothing is written")
    assert os.path.samestat(before, path.lstat())
    assert list(tmp_path.iterdir()) == [path]


HOLD = """
import sys, time
from fastlin.places import lock
with lock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


def is_held(path):
    """Return whether someone holds the lock of a path."""
    lock_file = path.with_name(f".{path.name}.lock")
    if not lock_file.exists():
        return False
    try:
        filelock.FileLock(lock_file).acquire(blocking=False).lock.release()
    except filelock.Timeout:
        return True
    return False


def test_a_lock_is_held_by_one_process_until_it_ends_however_it_ends(tmp_path):
    path = tmp_path / "results.json"
    with lock(path):
        assert is_held(path)
        assert [found.name for found in tmp_path.iterdir()] == [".results.json.lock"]
    holder = subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline().strip() == b"held"
        assert is_held(path)
    finally:
        holder.kill()
        holder.communicate()
    with lock(path):
        assert is_held(path)
    assert not list(tmp_path.iterdir())


def test_where_a_file_system_has_no_locks_nothing_is_held_and_all_goes_on(tmp_path, monkeypatch):
    refuse_locks(monkeypatch)
    with lock(tmp_path / "results.json"):
        pass


def test_a_lock_that_may_not_be_opened_is_not_held_and_stays(tmp_path):
    # Root may open the file of any user, but no folder.
    left = tmp_path / ".results.json.lock"
    left.mkdir()
    with lock(tmp_path / "results.json"):
        pass
    assert list(tmp_path.iterdir()) == [left]


def test_who_lacks_the_package_of_locks_learns_what_brings_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "filelock", None)
    message = r"^Not installed: filelock\. Run pip install '\.\[studies\]' in a checkout of fastlin\.$"
    with pytest.raises(ModuleNotFoundError, match=message), lock(tmp_path / "results.json"):
        raise AssertionError("nothing is held")


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
        (Unix, {"HOME": "/home/me", "XDG_CACHE_HOME": "/caches"}, "/caches/fastlin"),
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
