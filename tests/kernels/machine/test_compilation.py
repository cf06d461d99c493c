"""Where compiled kernels are kept, and that other settings and company do no harm."""

import importlib
import os
import pkgutil
import platform
import subprocess
import sys

import llvmlite.binding
import numba
import pytest
from conftest import COMPILED, KERNELS_ALONE

from fastlin.kernels import linear, machine, networks
from fastlin.kernels.machine import cache_folder, compilation, vectors
from fastlin.kernels.machine.archives import list_kernels
from fastlin.kernels.machine.saved_code import name_file

pytestmark = pytest.mark.skipif(not COMPILED, reason="nothing is compiled or kept with NUMBA_DISABLE_JIT=1")

PROGRAM = f"""{KERNELS_ALONE}
import numpy as np
from fastlin.kernels.machine.compilation import TIME
from fastlin.kernels.machine.vectors import dot
print(dot(np.arange(4.0), np.ones(4)), sum(dot.stats.cache_hits.values()), TIME.seconds > 0)
"""


def run(folder, **environment):
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "NUMBA_CACHE_DIR": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert finished.returncode == 0, finished.stderr
    total, hits, has_compiled = finished.stdout.split()
    assert float(total) == 6
    # What the code that others kept spares is counted as no time.
    assert has_compiled == ("True" if hits == "0" else "False")
    return int(hits)


def test_the_second_process_takes_the_code_of_the_first(tmp_path):
    assert run(tmp_path) == 0
    assert run(tmp_path) == 1
    assert list(tmp_path.glob("fastlin/kernels-*/machine.vectors.dot-*.nbc"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "setting", ["OPT=0", "OPT=1", "BOUNDSCHECK=1", "DEBUGINFO=1", "LOOP_VECTORIZE=0", "EXTEND_VARIABLE_LIFETIMES=1"]
)
def test_code_of_other_settings_of_numba_is_not_taken(code, setting):
    name, value = setting.split("=")
    assert [run(code, **{f"NUMBA_{name}": value}) for _ in range(2)] == [0, 1]


@pytest.mark.thorough
def test_numbas_own_places_of_code_count_for_nothing(code):
    assert run(code, NUMBA_CACHE_LOCATOR_CLASSES="InTreeCacheLocator") == 1


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    """A folder of code that was compiled with Numba's usual settings."""
    folder = tmp_path_factory.mktemp("code")
    run(folder)
    return folder


@pytest.mark.slow  # Each compiles a whole fit.
@pytest.mark.parametrize(
    "setting",
    ["OPT=0", "OPT=1", "OPT=max", "DEBUGINFO=1", "DISABLE_JIT=1", "BOUNDSCHECK=1", "CPU_NAME=generic", "ENABLE_AVX=0"],
)
def test_fits_under_settings_of_numba(tmp_path, setting):
    program = "from sklearn.datasets import load_iris; from fastlin import LogisticRegression; "
    program += "model = LogisticRegression().fit(*load_iris(return_X_y=True)); assert model.certificate_ < 1e-4"
    name, value = setting.split("=")
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), f"NUMBA_{name}": value}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=300)


@pytest.mark.slow
def test_the_code_of_other_instruction_sets_is_not_taken(tmp_path):
    narrow = {"NUMBA_CPU_NAME": "x86-64-v2", "NUMBA_CPU_FEATURES": "+sse4.2"}
    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("the instruction sets are those of x86-64")
    assert run(tmp_path) == 0
    assert run(tmp_path, **narrow) == 0
    assert run(tmp_path) == 1
    assert run(tmp_path, **narrow) == 1


def test_no_writable_place_means_no_cache(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert run(blocked, XDG_CACHE_HOME=str(blocked), WIN_PD_OVERRIDE_LOCAL_APPDATA=str(blocked)) == 0
    assert blocked.read_text() == ""


@pytest.mark.slow  # Four processes compile at once, for half a minute on two cores.
def test_processes_that_compile_at_once_leave_a_good_cache(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    programs = [PROGRAM.replace("np.ones(4)", f"np.ones(4, np.{dtype})") for dtype in ("float64", "float32", "int64")]
    running = [
        subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True)
        for program in programs
    ]
    for process in running:
        assert process.communicate(timeout=120)[0].split()[0] == "6.0"
    for program in programs:
        again = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
        assert again.stdout.split()[0] == "6.0"


def test_names_of_kept_files_suit_every_system():
    for room in (linear, machine, networks):
        for module in pkgutil.iter_modules(room.__path__):
            importlib.import_module(f"{room.__name__}.{module.name}")
    names = {name_file(kernel.py_func, "key") for kernel in list_kernels()}
    assert any("machine.vectors.dot-" in name for name in names)
    assert not {sign for name in names for sign in name} & set('<>:"/\\|?*')
    # Windows and macOS take names for the same that differ in case alone.
    assert len({name.lower() for name in names}) == len(names)
    # Windows' paths end at 260 signs, of which the cache folder of a long name of a user takes a hundred.
    assert 100 + max(map(len, names)) + len(".tmp.0123456789abcdef") < 260


def test_code_is_kept_for_every_version_of_macos(monkeypatch):
    class Codegen:
        def __init__(self, triple):
            self.triple = triple

        def magic_tuple(self):
            return self.triple, "apple-m1", "+neon"

    keys = []
    for triple in ("arm64-apple-darwin23.6.0", "arm64-apple-darwin24.1.0", "aarch64-unknown-linux-gnu"):
        monkeypatch.setattr(llvmlite.binding, "get_process_triple", lambda triple=triple: triple)
        keys.append(vectors.dot._cache.name((), Codegen(triple)))
    assert keys[0] == keys[1] != keys[2]


def test_another_numba_without_the_known_dispatcher_compiles_and_says_so_once(monkeypatch, caplog):
    def compile_otherwise(function, **options):
        return lambda: function()

    monkeypatch.setattr(compilation.numba, "njit", compile_otherwise)
    cache_folder.log_once.cache_clear()
    assert [compilation.kernel(lambda: 1)(), compilation.kernel(lambda: 2)()] == [1, 2]
    assert [record.getMessage() for record in caplog.records] == [
        f"Numba {numba.__version__} keeps compiled kernels in another way: each process compiles them."
    ]
