"""The cache of compiled kernels: damage, other settings and concurrent processes only cause recompilation."""

import hashlib
import importlib
import os
import pkgutil
import platform
import subprocess
import sys
from types import SimpleNamespace

import llvmlite.binding
import numba
import numpy as np
import pytest
from conftest import JIT_ENABLED, KERNELS_ONLY_PREAMBLE, mark_params, run_program

from fastlin.environment import interruption
from fastlin.kernels import linear, machine, networks
from fastlin.kernels.machine import cache_folder, compilation, saved_code
from fastlin.kernels.machine.archives import list_kernels
from fastlin.kernels.machine.saved_code import get_code_file_name, load_code, pack, save_code
from fastlin.kernels.machine.vectors import compensated_dot, dot

pytestmark = pytest.mark.skipif(not JIT_ENABLED, reason="nothing is compiled or saved with NUMBA_DISABLE_JIT=1")

SETTINGS = ["OPT=0", "OPT=1", "BOUNDSCHECK=1", "DEBUGINFO=1", "LOOP_VECTORIZE=0", "EXTEND_VARIABLE_LIFETIMES=1"]
NARROW_VECTOR_TARGET = {"NUMBA_CPU_NAME": "x86-64-v2", "NUMBA_CPU_FEATURES": "+sse4.2"}
IS_X86_64 = platform.machine() in ("x86_64", "AMD64")
PROGRAM = f"""{KERNELS_ONLY_PREAMBLE}
import sys
import numpy as np
from fastlin.kernels.machine.compilation import COMPILATION_TIME
from fastlin.kernels.machine.vectors import dot
print(dot(np.arange(4.0), np.ones(4, sys.argv[1])), sum(dot.stats.cache_hits.values()), COMPILATION_TIME.seconds > 0)
"""


def start(folder, dtype="float64", **environment):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder), **environment}
    return subprocess.Popen([sys.executable, "-c", PROGRAM, dtype], env=environment, stdout=subprocess.PIPE, text=True)


def finish(process):
    """Return 1 if a process loaded its kernel from the cache, and 0 if the process compiled the kernel."""
    total, cache_hits, has_compiled = process.communicate(timeout=120)[0].split()
    assert (process.returncode, float(total)) == (0, 6)
    assert has_compiled == ("True" if cache_hits == "0" else "False")
    return int(cache_hits)


def run(folder, **environment):
    return finish(start(folder, **environment))


def test_a_second_process_loads_the_code_of_the_first(tmp_path):
    assert run(tmp_path) == 0
    assert run(tmp_path) == 1
    assert list(tmp_path.glob("fastlin/kernels-*/machine.vectors.dot-*.nbc"))
    blocking_file = tmp_path / "file"
    blocking_file.write_text("")
    assert run(blocking_file, XDG_CACHE_HOME=str(blocking_file), WIN_PD_OVERRIDE_LOCAL_APPDATA=str(blocking_file)) == 0
    assert blocking_file.read_text() == ""


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    """Return a folder with code that was compiled with Numba's default settings."""
    folder = tmp_path_factory.mktemp("code")
    run(folder)
    return folder


@pytest.mark.parametrize(
    ("environment", "cache_hits"),
    [
        *mark_params(pytest.mark.slow, *((dict([f"NUMBA_{setting}".split("=")]), [0, 1, 1]) for setting in SETTINGS)),
        pytest.param(
            NARROW_VECTOR_TARGET,
            [0, 1, 1],
            marks=[pytest.mark.slow, pytest.mark.skipif(not IS_X86_64, reason="not x86-64")],
        ),
        # The settings of Numba's own cache have no effect.
        *mark_params(pytest.mark.thorough, ({"NUMBA_CACHE_LOCATOR_CLASSES": "InTreeCacheLocator"}, [1, 1, 1])),
    ],
)
def test_code_for_other_settings_is_not_loaded(code, environment, cache_hits):
    assert [run(code, **environment), run(code, **environment), run(code)] == cache_hits


@pytest.mark.slow  # Each process compiles a whole fit.
@pytest.mark.parametrize(
    "setting",
    ["OPT=0", "OPT=1", "OPT=max", "DEBUGINFO=1", "DISABLE_JIT=1", "BOUNDSCHECK=1", "CPU_NAME=generic", "ENABLE_AVX=0"],
)
def test_fits_under_settings_of_numba(monkeypatch, tmp_path, setting):
    program = "from sklearn.datasets import load_iris; from fastlin import LogisticRegression; "
    program += "model = LogisticRegression().fit(*load_iris(return_X_y=True)); assert model.certificate_ < 1e-4"
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv(*f"NUMBA_{setting}".split("="))
    run_program(program)


@pytest.mark.slow  # Three processes compile concurrently.
def test_processes_that_compile_at_once_leave_a_valid_cache(tmp_path):
    types = "float64", "float32", "int64"
    for cache_hits in ([0, 0, 0], [1, 1, 1]):
        running = [start(tmp_path, dtype) for dtype in types]
        assert [finish(process) for process in running] == cache_hits


def test_a_kernel_compiles_on_the_thread_that_compiles_its_caller(monkeypatch):
    def start_thread(*arguments):
        raise AssertionError("the thread would wait for Numba's lock forever")

    @numba.njit
    def multiply(x, y):
        return add_products(x, y)

    @compilation.kernel(inner=True)
    def add_products(x, y):
        return (x * y).sum()

    monkeypatch.setattr(interruption, "start_new_thread", start_thread)
    assert multiply(np.arange(4.0), np.ones(4)) == 6


def test_names_of_cache_files_are_valid_on_every_system():
    for package in (linear, machine, networks):
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{package.__name__}.{module.name}")
    # File names do not depend on closures, so kernels must not have any.
    assert not any(kernel.py_func.__closure__ for kernel in list_kernels())
    names = {get_code_file_name(kernel.py_func, "key") for kernel in list_kernels()}
    assert any("machine.vectors.dot-" in name for name in names)
    assert not {sign for name in names for sign in name} & set('<>:"/\\|?*')
    # File names on Windows and macOS are not case-sensitive.
    assert len({name.lower() for name in names}) == len(names)
    # Windows limits paths to 260 characters. The cache folder of a long user name has about 100.
    assert 100 + max(map(len, names)) + len(".tmp.0123456789abcdef") < 260


def test_cached_code_does_not_depend_on_the_version_of_macos(monkeypatch):
    keys = []
    for triple in ("arm64-apple-darwin23.6.0", "arm64-apple-darwin24.1.0", "aarch64-unknown-linux-gnu"):
        monkeypatch.setattr(llvmlite.binding, "get_process_triple", lambda triple=triple: triple)
        codegen = SimpleNamespace(magic_tuple=lambda triple=triple: (triple, "apple-m1", "+neon"))
        keys.append(dot._cache.name((), codegen))
    assert keys[0] == keys[1] != keys[2]


def test_an_unknown_dispatcher_of_numba_compiles_and_logs_a_message_once(monkeypatch, caplog):
    monkeypatch.setattr(compilation.numba, "njit", lambda function, **options: lambda: function())
    cache_folder.log_once.cache_clear()
    assert [compilation.kernel(lambda: 1)(), compilation.kernel(lambda: 2)()] == [1, 2]
    assert [record.getMessage() for record in caplog.records] == [
        f"Compiled kernels cannot be cached with Numba {numba.__version__}. Each process compiles them."
    ]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return an empty folder that replaces the cache folder."""
    monkeypatch.setattr(saved_code, "code_folders", lambda: (tmp_path / "none", tmp_path))
    monkeypatch.setattr(saved_code, "cache_folder", lambda: tmp_path)
    cache_folder.log_once.cache_clear()
    return tmp_path


@pytest.fixture(scope="module")
def result():
    """Return a new compile result of Numba. A result from the cache could not be serialized again."""
    compiled = numba.njit(dot.py_func)
    compiled(np.ones(3), np.ones(3))
    return next(iter(compiled.overloads.values()))


def test_saved_code_is_loaded_by_a_unique_name(folder, result, monkeypatch):
    monkeypatch.setattr(saved_code, "unpack", lambda content, context: content)
    assert load_code("a.nbc", None) is None
    save_code("a.nbc", result)
    assert load_code("a.nbc", None) == pack(result)
    assert len(pack(result, should_keep_bitcode=False)) < len(pack(result))
    names = [
        get_code_file_name(dot.py_func, "a"),
        get_code_file_name(dot.py_func, "b"),
        get_code_file_name(compensated_dot.py_func, "a"),
    ]
    monkeypatch.setattr(saved_code.config, "OPT", 1)
    assert len({*names, get_code_file_name(dot.py_func, "a")}) == 4


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
def test_a_failed_load_is_logged_once(folder, caplog, content, reason):
    for name in ("a.nbc", "b.nbc"):
        (folder / name).write_bytes(content)
        assert load_code(name, None) is None
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"A compiled kernel cannot be loaded from {folder}: {reason}")


@pytest.mark.parametrize(
    ("library", "reason"),
    [
        ({"library": SimpleNamespace(has_dynamic_globals=True)}, "ValueError: with these settings of Numba"),
        ({}, "AttributeError: "),
        (None, "OSError: [Errno 28] No space left on device"),
    ],
    ids=["dynamic", "of another Numba", "a full disk"],
)
def test_a_failed_save_is_logged_once(folder, caplog, monkeypatch, result, library, reason):
    def raise_disk_full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saved_code, "write_file", raise_disk_full)
    for name in ("a.nbc", "b.nbc"):
        save_code(name, result if library is None else SimpleNamespace(**library))
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"A compiled kernel cannot be saved in {folder}: {reason}")
    assert list(folder.iterdir()) == []
