"""The folder of compiled kernels: name, permissions, location and creation."""

import os
import shutil
import stat
from pathlib import Path

import pytest
from conftest import assert_raises, make_replace_fail

from fastlin.kernels.machine import cache_folder as module

requires_file_owners = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system has other file permissions")
FOLDER_NAME = f"kernels-{module.hash_sources()}"


@pytest.mark.parametrize("source", ["machine/vectors.py", "linear/penalties.py", "networks/layers.py"])
def test_a_change_in_any_kernel_package_changes_the_folder_name(tmp_path, monkeypatch, source):
    kernels_folder = Path(module.__file__).parents[1]
    copy = shutil.copytree(kernels_folder, tmp_path / "kernels")
    monkeypatch.setattr(module, "__file__", str(copy / "machine" / "cache_folder.py"))
    before = module.hash_sources.__wrapped__()
    with open(copy / source, "a") as file:
        file.write("# Changed.\n")
    assert module.hash_sources.__wrapped__() != before


@pytest.fixture
def find(monkeypatch):
    """Return a function that returns the folder for writing, given NUMBA_CACHE_DIR and a user's cache folder."""

    def clear_caches():
        module.cache_folder.cache_clear()
        module.code_folders.cache_clear()

    def find(named, user):
        monkeypatch.setattr(module.config, "CACHE_DIR", str(named or ""))
        monkeypatch.setattr(module, "find_user_cache_folder", lambda: user)
        clear_caches()
        return module.cache_folder()

    yield find
    monkeypatch.undo()
    clear_caches()


def test_the_first_writable_folder_is_used(find, monkeypatch, tmp_path):
    blocking_file = tmp_path / "file"
    blocking_file.write_text("")
    named, user = tmp_path / "named", tmp_path / "user" / "fastlin"
    assert find(named, user) == named / "fastlin" / FOLDER_NAME
    # No code is loaded from other folders.
    assert module.code_folders() == (named / "fastlin" / FOLDER_NAME,)
    assert find(None, user) == find(blocking_file, user) == find(blocking_file / "below", user) == user / FOLDER_NAME
    assert find(blocking_file, None) is find(None, None) is find(None, blocking_file) is None
    assert_raises("file", module.make_folder, blocking_file / FOLDER_NAME, error=OSError)
    assert list(tmp_path.iterdir()) == [blocking_file]
    # This is mocked, because root may write anywhere.
    monkeypatch.setattr(os, "access", lambda path, access_mode: named not in (path, *path.parents) and path != tmp_path)
    (named / "fastlin" / FOLDER_NAME).mkdir(parents=True)
    user.mkdir(parents=True)
    assert find(named, user) == user / FOLDER_NAME
    assert module.code_folders() == (named / "fastlin" / FOLDER_NAME, user / FOLDER_NAME)
    # If no folder is writable, code is still loaded.
    assert find(named, None) is None
    assert module.code_folders() == (named / "fastlin" / FOLDER_NAME,)


@requires_file_owners
@pytest.mark.parametrize(
    ("path", "mode", "is_safe_folder"),
    [
        # Container images use 755. On many systems, users have private groups with write permission (775).
        *((".", mode, mode in (0o700, 0o755)) for mode in (0o700, 0o755, 0o775, 0o757, 0o1777)),
        *(("..", mode, mode != 0o757) for mode in (0o775, 0o757, 0o1777)),
    ],
)
def test_a_folder_that_others_can_write_to_causes_a_warning(find, tmp_path, caplog, path, mode, is_safe_folder):
    named, user = tmp_path / "named" / "fastlin" / FOLDER_NAME, tmp_path / "user"
    module.make_folder(named)
    changed = (named / path).resolve()
    changed.chmod(mode)
    assert find(tmp_path / "named", user) == (named if is_safe_folder else user / FOLDER_NAME)
    assert module.code_folders() == ((named,) if is_safe_folder else (user / FOLDER_NAME,))
    warning_messages = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warning_messages) == (not is_safe_folder)
    if not is_safe_folder:
        assert f"{changed} belongs to user {os.geteuid()} and has mode {mode:o}." in warning_messages[0]


@requires_file_owners
@pytest.mark.parametrize("path", [".", ".."])
def test_only_folders_of_the_user_or_root_are_used(find, monkeypatch, tmp_path, caplog, path):
    named = tmp_path / "named" / "fastlin" / FOLDER_NAME
    module.make_folder(named)
    foreign_folder = named if path == "." else named.parent
    original_stat, owner = Path.stat, os.geteuid() + 1

    def stat_with_owner(self, **options):
        status = original_stat(self, **options)
        return os.stat_result((*status[:4], owner, *status[5:])) if self == foreign_folder else status

    monkeypatch.setattr(Path, "stat", stat_with_owner)
    assert find(tmp_path / "named", None) is None
    assert f"{foreign_folder} belongs to user {owner}" in caplog.text
    owner = 0
    assert find(tmp_path / "named", None) == named


@requires_file_owners
def test_files_are_private_with_any_umask(tmp_path):
    folder = tmp_path / "cache" / "fastlin" / FOLDER_NAME
    before = os.umask(0)
    try:
        module.make_folder(folder)
        module.write_file(folder / "code.nbc", b"code")
    finally:
        os.umask(before)
    file_modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder.parent, folder, folder / "code.nbc")]
    assert file_modes == [0o700, 0o700, 0o600]
    assert module.read_file(folder / "code.nbc") == b"code"
    (folder / "code.nbc").chmod(0o620)
    assert_raises("another user could have changed", module.read_file, folder / "code.nbc", error=PermissionError)


def test_a_file_is_written_atomically(tmp_path, monkeypatch):
    module.write_file(tmp_path / "code.nbc", b"old")
    make_replace_fail(monkeypatch)
    assert_raises(None, module.write_file, tmp_path / "code.nbc", b"new", error=PermissionError)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]
