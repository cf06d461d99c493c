"""Where compiled kernels are kept, and that damage, a full disk and company do no harm."""

import contextlib
import importlib
import os
import pkgutil
import platform
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import llvmlite.binding
import pytest
from conftest import COMPILED, KERNELS_ALONE

from fastlin.kernels import linear, machine, networks
from fastlin.kernels.machine import compilation, vectors
from fastlin.kernels.machine.archives import list_kernels

pytestmark = pytest.mark.skipif(not COMPILED, reason="nothing is compiled or kept with NUMBA_DISABLE_JIT=1")

PROGRAM = f"""{KERNELS_ALONE}
import numpy as np
from fastlin.kernels.machine.vectors import dot
print(dot(np.arange(4.0), np.ones(4)), sum(dot.stats.cache_hits.values()))
"""


def run(folder, before="", **environment):
    finished = subprocess.run(
        [sys.executable, "-c", before + PROGRAM],
        env={**os.environ, "NUMBA_CACHE_DIR": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert finished.returncode == 0, finished.stderr
    total, hits = finished.stdout.split()
    assert float(total) == 6
    return int(hits)


def test_the_second_process_takes_the_code_of_the_first(tmp_path):
    assert run(tmp_path) == 0
    assert run(tmp_path) == 1
    assert list(tmp_path.glob("fastlin/kernels-*/vectors.dot*.nbi"))


@pytest.mark.slow  # Each case compiles twice in processes of its own.
@pytest.mark.parametrize(("ending", "content"), [("nbi", b"cno_such_module\nname\n."), ("nbc", b"\x80\x05K")])
def test_a_damaged_file_is_compiled_anew(tmp_path, ending, content):
    run(tmp_path)
    (damaged,) = tmp_path.glob(f"fastlin/kernels-*/vectors.dot*.{ending}")
    damaged.write_bytes(content)
    assert run(tmp_path) == 0
    assert run(tmp_path) == 1


@pytest.mark.thorough
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


@pytest.mark.thorough
def test_a_full_disk_means_no_cache(tmp_path):
    pytest.importorskip("resource", reason="the system limits no files")
    # A limit on files is what a test can fill without a disk of its own: writes fail half-way.
    full = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
    assert run(tmp_path, before=full) == 0
    assert run(tmp_path) == 0
    assert run(tmp_path) == 1


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


@pytest.mark.parametrize("swallow", [lambda: None, lambda: int("not a number")], ids=["nothing", "another error"])
def test_what_ctrl_c_raises_while_a_kernel_is_compiled_is_not_lost(swallow):
    # The processes of pytest-xdist ignore Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def compile_and_swallow(*arguments):
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        return swallow()

    try:
        with pytest.raises(KeyboardInterrupt):
            compilation._undisturbed(compile_and_swallow)()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert compilation._undisturbed(lambda number: number + 1)(1) == 2
    # Another thread has no handler of its own.
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(compilation._undisturbed(lambda: 3)).result() == 3


def test_a_handler_that_raises_nothing_ends_nothing():
    numbers = []
    handler = signal.signal(signal.SIGINT, lambda number, frame: numbers.append(number))
    try:
        assert compilation._undisturbed(lambda: signal.raise_signal(signal.SIGINT))() is None
    finally:
        signal.signal(signal.SIGINT, handler)
    assert numbers == [signal.SIGINT]


def test_names_of_kept_files_suit_every_system():
    for room in (linear, machine, networks):
        for module in pkgutil.iter_modules(room.__path__):
            importlib.import_module(f"{room.__name__}.{module.name}")
    names = {kernel._cache._impl.filename_base for kernel in list_kernels()}
    assert any("dot" in name for name in names)
    assert not {sign for name in names for sign in name} & set('<>:"/\\|?*')
    # Windows and macOS take names for the same that differ in case alone.
    assert len({name.lower() for name in names}) == len(names)
    # Windows' paths end at 260 signs, of which the cache folder of a long name of a user takes a hundred. Numba adds
    # this to the name while it writes a file.
    ending = ".281474976710655.nbc.tmp.0123456789abcdef"
    assert 100 + max(map(len, names)) + len(ending) < 260


def test_code_is_kept_for_every_version_of_macos(monkeypatch):
    class Codegen:
        def __init__(self, triple):
            self.triple = triple

        def magic_tuple(self):
            return self.triple, "apple-m1", "+neon"

    keys = []
    for triple in ("arm64-apple-darwin23.6.0", "arm64-apple-darwin24.1.0", "aarch64-unknown-linux-gnu"):
        monkeypatch.setattr(llvmlite.binding, "get_process_triple", lambda triple=triple: triple)
        keys.append(vectors.dot._cache._index_key((), Codegen(triple)))
    assert keys[0] == keys[1] != keys[2]
    assert [key[1][:3] for key in keys[1:]] == [
        ("arm64-apple-darwin", "apple-m1", "+neon"),
        ("aarch64-unknown-linux-gnu", "apple-m1", "+neon"),
    ]
