"""Folders of decoded arrays: what is removed and when, what is synced, and where temporary ones lie."""

import gc
import os
import stat
import subprocess
import sys
from contextlib import contextmanager

import pytest
from conftest import refuse_locks

from fastlin.blocks import decoded_folders
from fastlin.blocks.decoded_folders import CacheFolder, TemporaryFolder, name_source


def list_names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def sources(tmp_path):
    """Two files, and arrays of both in a folder: of their present content and, of the first, of other columns too."""
    cache, files = tmp_path / "cache", [tmp_path / "a-b.parquet", tmp_path / f"{'é' * 120}.parquet"]
    for file in files:
        file.write_text("content")
        make_arrays(cache, file)
    make_arrays(cache, files[0], "others")
    return cache, files


def make_arrays(cache, file, columns="columns"):
    part = cache / f"{'-'.join(name_source(file))}-{columns}"
    part.mkdir(parents=True)
    (part / "X.npy").write_text("arrays")
    return part.name


HOLD = """
import sys, time
from pathlib import Path
from fastlin.blocks.decoded_folders import UNFINISHED, CacheFolder, TemporaryFolder
if sys.argv[1] == "temporary":
    owner = TemporaryFolder(int)
else:
    owner = CacheFolder(sys.argv[1], map(Path, sys.argv[2:]))
working = owner.path / f"{UNFINISHED}1"
working.mkdir()
(working / "X.npy").write_text("half")
print(owner.path, flush=True)
time.sleep(600)
"""


@contextmanager
def hold(*arguments):
    """Run a process that is at work in a folder, and kill it at the end."""
    command = [sys.executable, "-c", HOLD, *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def test_arrays_of_a_changed_file_are_removed_and_no_others(sources):
    cache, files = sources
    (cache / "notes-of-mine.txt").write_text("mine")
    before = list_names(cache)
    del (owner := CacheFolder(cache, files)).path
    del owner
    assert list_names(cache) == before
    files[0].write_text("other content")
    new = make_arrays(cache, files[0])
    # The other file has changed too, but is not asked for: it may be in use elsewhere.
    kept = [name for name in before if not name.startswith("a-b-")]
    files[1].write_text("other content")
    owner = CacheFolder(cache, files[:1])
    assert [name for name in list_names(cache) if not name.startswith(".in-use-")] == sorted([*kept, new])
    del owner
    gc.collect()
    assert list_names(cache) == sorted([*kept, new])


@pytest.mark.thorough
def test_nothing_is_removed_while_a_process_is_at_work_and_all_that_is_left_after_it_was_killed(sources):
    cache, files = sources
    before = list_names(cache)
    with hold(cache, *files):
        files[0].write_text("other content")
        for _ in range(2):
            owner = CacheFolder(cache, files)
            names = list_names(cache)
            assert {*before, ".unfinished-1"} < set(names)
            assert len(names) == len(before) + 3
            del owner
            gc.collect()
    owner = CacheFolder(cache, files)
    mark, kept = list_names(cache)
    assert mark.startswith(".in-use-")
    assert kept in before and not kept.startswith("a-b-")
    del owner


def test_arrays_that_this_process_uses_are_not_removed(sources):
    cache, files = sources
    before = list_names(cache)
    first = CacheFolder(cache, files)
    files[0].write_text("other content")
    second = CacheFolder(cache, files)
    assert set(before) < set(list_names(cache))
    del first, second
    gc.collect()
    CacheFolder(cache, files)
    assert len(list_names(cache)) == 1


def test_a_folder_that_can_only_be_read_is_used_as_it_is(sources, monkeypatch):
    cache, files = sources
    files[0].write_text("other content")
    before, use = list_names(cache), os.open

    def refuse(path, flags, *mode):
        if flags & os.O_CREAT:
            raise OSError(30, "Read-only file system", str(path))
        return use(path, flags, *mode)

    monkeypatch.setattr(os, "open", refuse)
    assert CacheFolder(cache, files).path == cache
    assert list_names(cache) == before


@pytest.mark.thorough
def test_a_forked_child_leaves_the_mark_of_its_parent(sources):
    if not hasattr(os, "fork"):
        pytest.skip("the system has no fork")
    program = f"""
import os, sys
from fastlin.blocks.decoded_folders import CacheFolder
owner = CacheFolder({str(sources[0])!r}, [])
child = os.fork()
if child == 0:
    sys.exit(0)
os.waitpid(child, 0)
print(*os.listdir(owner.path))
"""
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ".in-use-" in finished.stdout
    assert not any(name.startswith(".in-use-") for name in list_names(sources[0]))


@pytest.mark.skipif(os.name == "nt", reason="Windows syncs no folder")
def test_arrays_are_on_the_disk_before_they_have_their_name(tmp_path, monkeypatch):
    owner, done = CacheFolder(tmp_path / "cache", []), []
    working, part = owner.path / ".unfinished-1", owner.path / "part"
    working.mkdir()
    (working / "X.npy").write_text("arrays")
    (working / "y.npy").write_text("labels and more")
    fsync = os.fsync

    def note(descriptor):
        found = os.fstat(descriptor)
        done.append((found.st_ino if stat.S_ISDIR(found.st_mode) else found.st_size, part.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    inodes = working.stat().st_ino, owner.path.stat().st_ino
    owner.keep(working, part)
    assert sorted(done[:2]) == [(6, False), (15, False)]
    assert done[2:] == [(inodes[0], False), (inodes[1], True)]


@pytest.mark.thorough
def test_what_a_killed_process_decoded_into_a_temporary_folder_is_removed(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with hold("temporary") as left:
        owner = TemporaryFolder(int)
        assert os.path.exists(left)
        assert owner.path.parent == tmp_path
    del owner
    gc.collect()
    assert os.path.exists(left)
    owner = TemporaryFolder(int)
    assert list_names(tmp_path) == [f".{owner.path.name}.lock", owner.path.name]


@pytest.mark.skipif(os.name == "nt", reason="not everyone may make links on Windows")
def test_a_planted_link_among_temporary_folders_leads_nowhere(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    precious, lock = tmp_path / "precious", tmp_path / ".precious.lock"
    precious.mkdir()
    lock.write_text("")
    (tmp_path / "fastlin-blocks-1").symlink_to(precious)
    TemporaryFolder(int)
    assert precious.is_dir() and lock.exists()


def test_where_no_locks_tell_who_is_at_work_nothing_is_removed(sources, monkeypatch):
    cache, files = sources
    before = list_names(cache)
    files[0].write_text("other content")
    refuse_locks(monkeypatch)
    for _ in range(2):
        CacheFolder(cache, files)
        assert list_names(cache) == sorted([*before, ".cache.lock"])


@pytest.mark.parametrize(
    ("named", "is_writable", "expected"), [("", True, "large"), ("", False, "usual"), ("named", True, "named")]
)
def test_a_temporary_folder_lies_on_a_disk_unless_another_one_is_named(
    tmp_path, monkeypatch, caplog, named, is_writable, expected
):
    for name in ("large", "usual", "named"):
        (tmp_path / name).mkdir()
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.setenv(name, str(tmp_path / named) if named else "")
    monkeypatch.setattr("tempfile.tempdir", None if named else str(tmp_path / "usual"))
    monkeypatch.setattr(decoded_folders, "LARGE_TEMPORARY", str(tmp_path / ("large" if is_writable else "missing")))
    owner = TemporaryFolder(int)
    assert owner.path.parent == tmp_path / expected
    assert len(caplog.records) == (expected == "usual" and os.name != "nt")
    assert os.name == "nt" or stat.S_IMODE(owner.path.stat().st_mode) == 0o700


@pytest.mark.skipif(os.name == "nt", reason="Windows has no folder for large temporary files")
def test_a_named_folder_that_is_missing_is_not_passed_over_in_silence(tmp_path, monkeypatch, caplog):
    usual, missing = tmp_path / "usual", tmp_path / "missing"
    usual.mkdir()
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.setenv(name, str(missing) if name == "TMPDIR" else "")
    monkeypatch.setattr("tempfile._candidate_tempdir_list", lambda: [str(missing), str(usual)])
    monkeypatch.setattr("tempfile.tempdir", None)
    assert TemporaryFolder(int).path.parent == usual
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("fastlin", "WARNING")
    assert record.getMessage() == (
        f"Arrays are decoded into {usual}, which may lie in memory: {missing} cannot be written. "
        "TMPDIR names another folder."
    )
