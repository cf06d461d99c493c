"""Code in files: what cannot be loaded or kept is compiled, with one line in the log; no process loses another's."""

import hashlib
from types import SimpleNamespace

import numba
import numpy as np
import pytest
from conftest import COMPILED

from fastlin.kernels.machine import cache_folder, saved_code
from fastlin.kernels.machine.saved_code import load_code, name_file, pack, save_code
from fastlin.kernels.machine.vectors import dot

pytestmark = pytest.mark.skipif(not COMPILED, reason="nothing is compiled with NUMBA_DISABLE_JIT=1")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder in the place of the cache folder."""
    monkeypatch.setattr(saved_code, "code_folders", lambda: (tmp_path / "none", tmp_path))
    monkeypatch.setattr(saved_code, "cache_folder", lambda: tmp_path)
    cache_folder.log_once.cache_clear()
    return tmp_path


@pytest.fixture(scope="module")
def result():
    """What Numba has compiled of a kernel; what was loaded from the cache could not be written again."""
    compiled = numba.njit(dot.py_func)
    compiled(np.ones(3), np.ones(3))
    return next(iter(compiled.overloads.values()))


def test_what_is_kept_is_loaded(folder, result, monkeypatch):
    monkeypatch.setattr(saved_code, "unpack", lambda content, context: content)
    assert load_code("a.nbc", None) is None
    save_code("a.nbc", result)
    assert load_code("a.nbc", None) == pack(result)
    assert len(pack(result, with_bitcode=False)) < len(pack(result))


def test_names_tell_keys_settings_and_functions_apart(monkeypatch):
    def make(number):
        return lambda: number

    names = [name_file(dot.py_func, "a"), name_file(dot.py_func, "b"), name_file(make(1)), name_file(make(2))]
    monkeypatch.setattr(saved_code.config, "OPT", 1)
    assert len({*names, name_file(dot.py_func, "a")}) == 5


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "ValueError: the file is damaged."),
        (b"short", "ValueError: the file is damaged."),
        (hashlib.sha256(b"not this").digest() + b"content", "ValueError: the file is damaged."),
        (hashlib.sha256(b"of another Numba").digest() + b"of another Numba", "UnpicklingError: "),
    ],
    ids=["empty", "short", "another", "of another Numba"],
)
def test_what_cannot_be_loaded_is_told_once(folder, caplog, content, reason):
    for name in ("a.nbc", "b.nbc"):
        (folder / name).write_bytes(content)
        assert load_code(name, None) is None
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"A compiled kernel cannot be loaded from {folder}: {reason}")


@pytest.mark.parametrize(
    ("library", "reason"),
    [
        ({"library": SimpleNamespace(has_dynamic_globals=True)}, "ValueError: with these settings of Numba"),
        # The class of another Numba.
        ({}, "AttributeError: "),
        (None, "OSError: [Errno 28] No space left on device"),
    ],
    ids=["dynamic", "of another Numba", "a full disk"],
)
def test_what_cannot_be_kept_is_told_once(folder, caplog, monkeypatch, result, library, reason):
    def fill(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saved_code, "write_file", fill)
    for name in ("a.nbc", "b.nbc"):
        save_code(name, result if library is None else SimpleNamespace(**library))
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"A compiled kernel cannot be kept in {folder}: {reason}")
    assert list(folder.iterdir()) == []
