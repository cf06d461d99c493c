"""The folder of compiled kernels: name, permissions, location and creation."""

import os
import shutil
import stat
from pathlib import Path

import pytest
from conftest import assert_refused, refuse_replacement

from fastlin.kernels.machine import cache_folder as module

with_owners = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system has other file permissions")
NAME = f"kernels-{module.hash_sources()}"


@pytest.mark.parametrize("source", ["machine/vectors.py", "linear/penalties.py", "networks/layers.py"])
def test_a_change_in_any_package_of_kernels_changes_the_folder(tmp_path, monkeypatch, source):
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

    def forget():
        module.cache_folder.cache_clear()
        module.code_folders.cache_clear()

    def find(named, user):
        monkeypatch.setattr(module.config, "CACHE_DIR", str(named or ""))
        monkeypatch.setattr(module, "user_cache_folder", lambda: user)
        forget()
        return module.cache_folder()

    yield find
    monkeypatch.undo()
    forget()


def test_the_first_writable_folder_is_used_and_code_is_also_read_from_earlier_ones(find, monkeypatch, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    named, user = tmp_path / "named", tmp_path / "user" / "fastlin"
    assert find(named, user) == named / "fastlin" / NAME
    # No code is loaded from other folders.
    assert module.code_folders() == (named / "fastlin" / NAME,)
    assert find(None, user) == find(blocked, user) == find(blocked / "below", user) == user / NAME
    assert find(blocked, None) is find(None, None) is find(None, blocked) is None
    assert_refused("file", module.make_folder, blocked / NAME, error=OSError)
    assert list(tmp_path.iterdir()) == [blocked]
    # This is mocked, because root may write anywhere.
    monkeypatch.setattr(os, "access", lambda path, rights: named not in (path, *path.parents) and path != tmp_path)
    (named / "fastlin" / NAME).mkdir(parents=True)
    user.mkdir(parents=True)
    assert find(named, user) == user / NAME
    assert module.code_folders() == (named / "fastlin" / NAME, user / NAME)
    # If no folder is writable, code is still loaded.
    assert find(named, None) is None
    assert module.code_folders() == (named / "fastlin" / NAME,)


@with_owners
@pytest.mark.parametrize(
    ("path", "mode", "is_safe"),
    [
        # Container images use 755. On many systems, users have private groups with write permission (775).
        *((".", mode, mode in (0o700, 0o755)) for mode in (0o700, 0o755, 0o775, 0o757, 0o1777)),
        *(("..", mode, mode != 0o757) for mode in (0o775, 0o757, 0o1777)),
    ],
)
def test_a_folder_that_others_can_write_to_is_not_used_and_causes_a_warning(
    find, tmp_path, caplog, path, mode, is_safe
):
    named, user = tmp_path / "named" / "fastlin" / NAME, tmp_path / "user"
    module.make_folder(named)
    changed = (named / path).resolve()
    changed.chmod(mode)
    assert find(tmp_path / "named", user) == (named if is_safe else user / NAME)
    assert module.code_folders() == ((named,) if is_safe else (user / NAME,))
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == (not is_safe)
    if not is_safe:
        assert f"{changed} belongs to user {os.geteuid()} and has mode {mode:o}." in warnings[0]


@with_owners
@pytest.mark.parametrize("path", [".", ".."])
def test_a_folder_of_another_user_is_not_used_but_one_of_root_is(find, monkeypatch, tmp_path, caplog, path):
    named = tmp_path / "named" / "fastlin" / NAME
    module.make_folder(named)
    of_another = named if path == "." else named.parent
    look, owner = Path.stat, os.geteuid() + 1

    def look_elsewhere(self, **options):
        status = look(self, **options)
        return os.stat_result((*status[:4], owner, *status[5:])) if self == of_another else status

    monkeypatch.setattr(Path, "stat", look_elsewhere)
    assert find(tmp_path / "named", None) is None
    assert f"{of_another} belongs to user {owner}" in caplog.text
    owner = 0
    assert find(tmp_path / "named", None) == named


@with_owners
def test_files_are_private_with_any_umask(tmp_path):
    folder = tmp_path / "cache" / "fastlin" / NAME
    before = os.umask(0)
    try:
        module.make_folder(folder)
        module.write_file(folder / "code.nbc", b"code")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder.parent, folder, folder / "code.nbc")]
    assert modes == [0o700, 0o700, 0o600]
    assert module.read_file(folder / "code.nbc") == b"code"
    (folder / "code.nbc").chmod(0o620)
    assert_refused("another user could have changed", module.read_file, folder / "code.nbc", error=PermissionError)


def test_a_file_is_written_atomically(tmp_path, monkeypatch):
    module.write_file(tmp_path / "code.nbc", b"old")
    refuse_replacement(monkeypatch)
    assert_refused(None, module.write_file, tmp_path / "code.nbc", b"new", error=PermissionError)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]
