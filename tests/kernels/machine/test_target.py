"""The compilation target: a level of the wheel if its code can be used, otherwise this processor."""

import importlib
import json
import pkgutil
import platform
import shutil
import zipfile

import llvmlite.binding
import pytest
from conftest import JIT_ENABLED

from fastlin.kernels import linear, machine, networks
from fastlin.kernels.machine import archives, cache_folder, target
from fastlin.kernels.machine.archives import VERSIONS_FILE_NAME
from fastlin.kernels.machine.levels import (
    AVX2_FEATURES,
    AVX512_FEATURES,
    INSTRUCTION_SET_LEVELS,
    SSE_FEATURES,
    choose_level,
    list_levels,
)
from fastlin.kernels.machine.target import HOST, vector_bytes

from .conftest import COMPILE_PROGRAM, PACKAGE, RUN_KERNELS_PROGRAM, finish, start

pytestmark = pytest.mark.skipif(not JIT_ENABLED, reason="nothing is compiled with NUMBA_DISABLE_JIT=1")

IS_X86_64 = list_levels(platform.machine()) == list_levels("x86_64")
HOST_FEATURES = {name for name, installed in llvmlite.binding.get_host_cpu_features().items() if installed}
BEST_LEVEL = choose_level(list_levels(platform.machine()), HOST_FEATURES)
ONE_CACHE_HIT, ONE_CACHE_MISS = [1, 0], [0, 1]
WRONG_VERSIONS = {"numba": "0.1", "llvmlite": "0.1", "python": "cpython-30", "platform": "vax", "sources": "0" * 16}


@pytest.fixture(autouse=True)
def skip_unsupported_processors():
    if BEST_LEVEL is None:
        pytest.skip("this processor has none of the levels")


def rewrite_archive(path, change):
    """Replace the content of each archive member with `change(name, content)`."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, change(name, content))


def find_archive(wheel, level=BEST_LEVEL):
    return wheel / "kernels" / "compiled" / f"{level}.zip"


@pytest.mark.thorough
def test_the_code_of_the_wheel_requires_no_writable_folder(wheel, run_kernels, tmp_path):
    blocking_file = tmp_path / "file"
    blocking_file.write_text("")
    before = sorted(wheel.rglob("*"))
    # Root may write to any folder, but not below a file.
    positions = ("HOME", "XDG_CACHE_HOME", "WIN_PD_OVERRIDE_LOCAL_APPDATA", "NUMBA_CACHE_DIR", "TMPDIR")
    actual, logged = run_kernels(wheel, **dict.fromkeys(positions, str(blocking_file)))
    assert (actual["target"], actual["dot"], actual["made"]) == (BEST_LEVEL, ONE_CACHE_HIT, False)
    assert actual["bytes"] == vector_bytes(INSTRUCTION_SET_LEVELS[BEST_LEVEL].features)
    assert logged == []
    assert sorted(wheel.rglob("*")) == before


@pytest.mark.thorough
@pytest.mark.skipif(not IS_X86_64, reason="the levels are those of x86-64")
def test_the_level_depends_on_the_requested_processor(wheel, run_kernels):
    actual, logged = run_kernels(wheel, **INSTRUCTION_SET_LEVELS["x86-64-v2"].environment)
    assert (actual["target"], actual["bytes"], actual["dot"], logged) == ("x86-64-v2", 16, ONE_CACHE_HIT, [])


@pytest.fixture
def choose(wheel, monkeypatch, caplog):
    """Return a function that returns the log and the target that this process would choose for some features."""

    def choose(features=HOST_FEATURES):
        monkeypatch.setattr(target, "ARCHIVE_FOLDER", wheel / "kernels" / "compiled")
        monkeypatch.setattr(target, "read_features", lambda: set(features))
        cache_folder.log_once.cache_clear()
        caplog.clear()
        with caplog.at_level("INFO", "fastlin"):
            chosen = target.choose_target()
        return chosen, [(record.levelname, record.getMessage()) for record in caplog.records]

    monkeypatch.delenv("FASTLIN_COMPILED", raising=False)
    return choose


@pytest.mark.skipif(not IS_X86_64, reason="the levels are those of x86-64")
@pytest.mark.parametrize(
    ("features", "level", "width"),
    [(AVX512_FEATURES, "x86-64-v4", 64), (AVX2_FEATURES, "x86-64-v3", 32), (SSE_FEATURES, "x86-64-v2", 16)],
)
def test_the_best_level_is_chosen_with_its_vectors(choose, features, level, width):
    chosen, logged = choose(features)
    assert (chosen.name, chosen.vector_bytes, chosen.archive.path.stem, logged) == (level, width, level, [])


def test_kernels_are_compiled_if_the_wheel_has_no_suitable_code(choose, wheel):
    for path in wheel.glob("kernels/compiled/*.zip"):
        path.rename(path.with_name("x86-64-v4.zip"))
    chosen, ((message_severity, line),) = choose(AVX2_FEATURES)
    assert (chosen, message_severity) == ((HOST, 32, None), "INFO")
    assert line == "The wheel contains kernels for ['x86-64-v4'], not for this processor. They are compiled."
    shutil.rmtree(wheel / "kernels" / "compiled")
    assert choose() == ((HOST, vector_bytes(HOST_FEATURES), None), [])


def test_the_wheels_code_can_be_disabled(choose, monkeypatch):
    monkeypatch.setenv("FASTLIN_COMPILED", "off")
    assert choose() == ((HOST, vector_bytes(HOST_FEATURES), None), [])
    monkeypatch.setenv("FASTLIN_COMPILED", "On")
    assert (choose()[0].name, choose()[1]) == (BEST_LEVEL, [])
    monkeypatch.setenv("FASTLIN_COMPILED", "no")
    line = "FASTLIN_COMPILED must be 'on' or 'off', got 'no'. It is treated as 'on'."
    assert (choose()[0].name, choose()[1]) == (BEST_LEVEL, [("WARNING", line)])


@pytest.mark.parametrize(
    ("platform", "version"),
    [
        ("arm64-apple-darwin", "23.6.0"),
        ("x86_64-apple-macosx", "14.5.0"),
        ("x86_64-pc-windows-msvc", ""),
        ("aarch64-unknown-linux-gnu", ""),
    ],
)
def test_a_new_version_of_macos_uses_the_code_of_the_wheel(monkeypatch, platform, version):
    monkeypatch.setattr(llvmlite.binding, "get_process_triple", lambda: platform + version)
    assert archives.describe_versions()["platform"] == platform


@pytest.mark.parametrize("wrong", [*WRONG_VERSIONS, b"", b"PK\x03\x04 and nothing else", "cut"])
def test_kernels_are_compiled_if_the_archive_is_invalid(choose, wheel, wrong):
    path = find_archive(wheel)
    line = f"{path} is damaged. Kernels that cannot be loaded from it are compiled."
    if wrong in WRONG_VERSIONS:
        line = f"The wheel's kernels were compiled with {wrong} {WRONG_VERSIONS[wrong]}. They are compiled again."
        changed = {wrong: WRONG_VERSIONS[wrong]}
        rewrite_archive(
            path, lambda name, old: json.dumps(json.loads(old) | changed) if name == VERSIONS_FILE_NAME else old
        )
    else:
        path.write_bytes(path.read_bytes()[:-50] if wrong == "cut" else wrong)
    chosen, logged = choose()
    assert (chosen.name, logged) == (HOST, [("INFO", line)])


def replace_kernels(path):
    """Replace each kernel with other content that has a valid checksum."""
    rewrite_archive(
        path, lambda member, content: content if member == VERSIONS_FILE_NAME else b"cno_such_module\nname\n."
    )


def flip_byte(path):
    """Change the code of a kernel without changing the directory of the archive."""
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        (kernel,) = (member for member in archive.infolist() if member.filename != VERSIONS_FILE_NAME)
    content[kernel.header_offset + kernel.compress_size // 2] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.thorough
@pytest.mark.parametrize("damage", [flip_byte, replace_kernels])
def test_only_a_damaged_kernel_is_compiled(wheel, run_kernels, damage):
    path = find_archive(wheel)
    damage(path)
    actual, logged = run_kernels(wheel)
    assert (actual["target"], actual["dot"]) == (BEST_LEVEL, ONE_CACHE_MISS)
    assert logged == [f"INFO {path} is damaged. Kernels that cannot be loaded from it are compiled."]


@pytest.mark.slow
def test_kernels_missing_from_the_wheel_are_compiled_and_saved(wheel, run_kernels):
    first, logged = run_kernels(wheel, "steps")
    # The compiled kernel calls the wheel's kernel and includes the wheel's code.
    assert (first["target"], first["dot"], first["add_block_linear_combination"]) == (
        BEST_LEVEL,
        ONE_CACHE_HIT,
        ONE_CACHE_MISS,
    )
    assert logged == [f"INFO {find_archive(wheel)} has no code for these types of data. It is compiled now."]
    again, _ = run_kernels(wheel, "steps")
    assert (again["dot"], again["add_block_linear_combination"], again["step"]) == (
        ONE_CACHE_HIT,
        ONE_CACHE_HIT,
        first["step"],
    )
    # The kernel may contain code for the level, so a process without the level compiles it again.
    off, _ = run_kernels(wheel, "steps", FASTLIN_COMPILED="off")
    assert (off["dot"], off["add_block_linear_combination"]) == (ONE_CACHE_MISS, ONE_CACHE_MISS)
    assert float.fromhex(off["step"]) == pytest.approx(float.fromhex(first["step"]))


@pytest.mark.slow
def test_the_target_does_not_depend_on_the_cache(wheel, run_kernels):
    run_kernels(wheel, FASTLIN_COMPILED="off")
    assert run_kernels(wheel)[0]["target"] == BEST_LEVEL


@pytest.mark.thorough
def test_concurrent_processes_with_one_wheel_have_bitwise_equal_results(wheel, tmp_path):
    processes = [start(wheel, RUN_KERNELS_PROGRAM, "steps", NUMBA_CACHE_DIR=str(tmp_path / "cache")) for _ in range(2)]
    (one, _), (other, _) = map(finish, processes)
    assert (one["target"], one["value"], one["step"]) == (BEST_LEVEL, other["value"], other["step"])
    assert one["dot"] == ONE_CACHE_HIT


def test_all_listed_signatures_are_compiled(monkeypatch):
    for package in (linear, machine, networks):
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{package.__name__}.{module.name}")
    kernels, compiled = archives._list_entry_kernels(), []
    for kernel in kernels:
        monkeypatch.setattr(kernel, "compile", lambda types, kernel=kernel: compiled.append((kernel, types)))
    archives.compile_signatures([(kernel.__module__, kernel.__name__, "types") for kernel in kernels])
    assert compiled == [(kernel, "types") for kernel in kernels]
    compiled.clear()
    archives.compile_signatures(archives.list_signatures())
    assert compiled == [(kernel, types) for kernel in kernels for types in kernel.overloads]


@pytest.mark.thorough
def test_an_archive_contains_compiled_but_not_loaded_kernels(tmp_path):
    for name, n_archive_members in (("compiled", 2), ("loaded", 1)):
        path = tmp_path / f"{name}.zip"
        finish(start(PACKAGE, COMPILE_PROGRAM, path, NUMBA_CACHE_DIR=str(tmp_path / "cache")))
        with zipfile.ZipFile(path) as archive:
            assert len(archive.namelist()) == n_archive_members
