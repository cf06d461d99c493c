"""The cache of compiled kernels that one installation stores for the next one."""

import json
import os
import runpy
import shutil
import stat
import zipfile
from unittest.mock import Mock

import llvmlite
import numba
import numpy as np
import pytest
from repository import ROOT

from fastlin.kernels.machine import archives, cache_folder
from fastlin.kernels.machine.archives import describe_versions


def load(folder=ROOT / "build_backend"):
    """Return the namespace of archive_cache.py. The folder of the file is on the search path only during a build."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "build_backend")
        return runpy.run_path(str(folder / "archive_cache.py"))


ARCHIVE_CACHE = load()


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """Return the path of a valid archive, and replace the user's cache by a temporary folder."""
    folder = tmp_path / "cache" / "kernels-1"
    monkeypatch.setattr(cache_folder, "code_folders", lambda: (folder,))
    monkeypatch.setattr(cache_folder, "cache_folder", lambda: folder)
    (tmp_path / "work").mkdir()
    path = tmp_path / "work" / "v3.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("stamp.json", json.dumps(describe_versions()))
        archive.writestr("kernel", b"code" * 99)
    return path


def test_stored_archives_are_fetched_unless_damaged(archive, tmp_path, capsys):
    content = archive.read_bytes()
    ARCHIVE_CACHE["fetch"]("v3", archive.parent)
    assert capsys.readouterr().out == ""
    ARCHIVE_CACHE["save"]("v3", archive.parent)
    (stored,) = (tmp_path / "cache").rglob("*.zip")

    def fetch():
        archive.unlink(missing_ok=True)
        ARCHIVE_CACHE["fetch"]("v3", archive.parent)
        return archive.read_bytes() if archive.exists() else None

    assert fetch() == content
    assert str(stored) in capsys.readouterr().out
    middle = content.index(b"codecode") + 9
    other = content.replace(numba.__version__.encode(), numba.__version__[::-1].encode())
    for damaged in (b"", content[:-50], content[:middle] + b"X" + content[middle + 1 :], other):
        assert damaged != content
        stored.write_bytes(damaged)
        assert fetch() is None
    archive.write_bytes(content)
    ARCHIVE_CACHE["save"]("v3", archive.parent)
    assert fetch() == content
    assert list((tmp_path / "cache").rglob("*.zip")) == [stored]


@pytest.mark.skipif(os.name == "nt", reason="this system has other rights")
def test_an_archive_that_others_could_have_written_is_not_fetched(archive, tmp_path):
    ARCHIVE_CACHE["save"]("v3", archive.parent)
    archive.unlink()
    (stored,) = (tmp_path / "cache").rglob("*.zip")
    assert stat.S_IMODE(stored.stat().st_mode) == 0o600
    stored.chmod(0o666)
    ARCHIVE_CACHE["fetch"]("v3", archive.parent)
    assert not archive.exists()


def test_only_the_most_recently_used_archives_stay(archive, tmp_path):
    for number in range(10):
        folder = tmp_path / "cache" / f"kernels-{number}"
        folder.mkdir(parents=True)
        (folder / "v3-old.zip").write_bytes(b"")
        (folder / "code.nbc").write_bytes(b"")
        os.utime(folder / "v3-old.zip", (number, number))
    ARCHIVE_CACHE["save"]("v3", archive.parent)
    remaining = {path.parent.name for path in (tmp_path / "cache").rglob("v3-old.zip")}
    assert remaining == {f"kernels-{number}" for number in range(3, 10)}
    assert len(list((tmp_path / "cache").rglob("v3-*.zip"))) == ARCHIVE_CACHE["MAX_ARCHIVES"]
    assert len(list((tmp_path / "cache").rglob("*.nbc"))) == 10


def test_an_installation_succeeds_if_nothing_can_be_stored(archive, monkeypatch, capsys):
    monkeypatch.setattr(cache_folder, "write_file", Mock(side_effect=OSError(28, "No space left on device")))
    ARCHIVE_CACHE["save"]("v3", archive.parent)
    assert "not saved for later installations: [Errno 28] No space left" in capsys.readouterr().out
    monkeypatch.setattr(cache_folder, "cache_folder", lambda: None)
    ARCHIVE_CACHE["save"]("v3", archive.parent)
    assert capsys.readouterr().out == ""


def test_archive_names_depend_on_the_archive_contents(tmp_path, monkeypatch):
    copy = tmp_path / "build_backend"
    shutil.copytree(ROOT / "build_backend", copy, ignore=shutil.ignore_patterns("__pycache__"))

    def name(level="v3"):
        return load(copy)["make_archive_name"](level)

    names = [name(), name("v4")]
    for module, attribute in ((np, "__version__"), (numba, "__version__"), (llvmlite, "__version__")):
        with monkeypatch.context() as patch:
            patch.setattr(module, attribute, "0.0")
            names.append(name())
    monkeypatch.setattr(archives, "hash_sources", lambda: "other kernels")
    names.append(name())
    (copy / "first_fits.json").write_text("[]")
    names.append(name())
    assert len(set(names)) == len(names)
    assert names[-1] == name()
