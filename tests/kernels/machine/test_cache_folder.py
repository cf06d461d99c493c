"""The folder of compiled kernels: its name, where it is made and when, and which old ones are removed."""

import os
import shutil
from pathlib import Path

import pytest

from fastlin.kernels.machine import cache_folder as module
from fastlin.kernels.machine.cache_folder import cache_folder, hash_sources, make_folder


@pytest.mark.parametrize("source", ["machine/vectors.py", "linear/penalties.py", "networks/layers.py"])
def test_a_change_in_any_room_changes_the_folder(tmp_path, monkeypatch, source):
    rooms = Path(module.__file__).parents[1]
    copy = tmp_path / "kernels"
    shutil.copytree(rooms, copy)
    monkeypatch.setattr(module, "__file__", str(copy / "machine" / "cache_folder.py"))
    before = hash_sources.__wrapped__()
    with open(copy / source, "a") as file:
        file.write("# Changed.\n")
    assert hash_sources.__wrapped__() != before


@pytest.fixture
def find(monkeypatch):
    """Find the folder with NUMBA_CACHE_DIR and the user's cache folder set to other places."""

    def find(named, user):
        monkeypatch.setattr(module.config, "CACHE_DIR", str(named or ""))
        monkeypatch.setattr(module, "user_cache_folder", lambda: user)
        return cache_folder.__wrapped__()

    return find


def test_the_first_place_that_can_be_written_is_found_and_not_made(find, tmp_path):
    name, blocked = f"kernels-{hash_sources()}", tmp_path / "file"
    blocked.write_text("")
    named, user = tmp_path / "named", tmp_path / "user" / "fastlin"
    assert find(named, user) == named / "fastlin" / name
    assert find(None, user) == find(blocked, user) == find(blocked / "below", user) == user / name
    assert find(blocked, None) is find(None, None) is find(None, blocked) is None
    assert list(tmp_path.iterdir()) == [blocked]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="a folder cannot be made read-only for this user")
def test_a_read_only_place_is_not_found(find, tmp_path):
    tmp_path.chmod(0o500)
    assert find(tmp_path / "named", None) is None


def make_old(place, number, *names):
    """Make a folder of kernels that holds empty files, and folders where a name says so; larger numbers are older."""
    folder = place / f"kernels-{number:016x}"
    folder.mkdir()
    for name in names:
        (folder / name).mkdir() if name.endswith("/") else (folder / name).touch()
    os.utime(folder, (10**9 - 3600 * number,) * 2)
    return folder


OURS = (
    "vectors.dot-fastlin.py311.nbi",
    "vectors.dot-fastlin.py311.1.nbc",
    "a.nbi.tmp.0123abcd",
    "warm-0123456789abcdef",
    "writable-0123456789abcdef",
)


def test_the_newest_two_folders_are_kept(tmp_path):
    old = [make_old(tmp_path, number, *OURS) for number in (3, 1, 2)]
    made = tmp_path / "kernels-ffffffffffffffff"
    make_folder(made)
    assert sorted(tmp_path.iterdir()) == sorted([made, old[1]])
    assert len(list(old[1].iterdir())) == len(OURS)
    # The folder is there now, and nothing is removed when it is asked for again.
    late = make_old(tmp_path, 9)
    make_folder(made)
    assert late.exists()


def test_nothing_of_others_is_removed(tmp_path):
    newest = make_old(tmp_path, 1)
    kept = [
        newest,
        make_old(tmp_path, 2, *OURS, "notes.txt"),
        make_old(tmp_path, 3, "folder.nbi/"),
        tmp_path / "kernels-not-a-hash",
        tmp_path / "kernels-00000000000000aa",
        tmp_path / "kernels-00000000000000bb",
        tmp_path / "data",
    ]
    kept[3].mkdir()
    kept[4].write_text("a file")
    kept[5].symlink_to(kept[3])
    kept[6].mkdir()
    gone = make_old(tmp_path, 4)
    make_folder(tmp_path / "kernels-ffffffffffffffff")
    assert all(path.exists() for path in kept)
    assert not gone.exists()


def test_another_process_may_remove_old_folders_too(tmp_path, monkeypatch):
    old = [make_old(tmp_path, number, *OURS) for number in (1, 2, 3)]
    remove = Path.rmdir

    def be_late(folder):
        remove(folder)
        remove(folder)

    monkeypatch.setattr(Path, "rmdir", be_late)
    make_folder(tmp_path / "kernels-ffffffffffffffff")
    assert [folder.exists() for folder in old] == [True, False, False]


def test_a_place_that_cannot_be_written_raises(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        make_folder(tmp_path / "file" / "kernels-ffffffffffffffff")


def test_a_file_that_another_process_has_open_stays_and_so_does_its_folder(tmp_path, monkeypatch):
    old = [make_old(tmp_path, number, *OURS) for number in (1, 2)]
    remove = Path.unlink

    def refuse(path, missing_ok=False):
        # What Windows says to the removal of an open file.
        if path.suffix == ".nbc":
            raise PermissionError(13, "The process cannot access the file", str(path))
        remove(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    made = tmp_path / "kernels-ffffffffffffffff"
    make_folder(made)
    assert made.is_dir()
    left = [path.name for path in old[1].iterdir()]
    assert "vectors.dot-fastlin.py311.1.nbc" in left
    # The mark of a finished warm-up goes before any code does.
    assert "warm-0123456789abcdef" not in left
