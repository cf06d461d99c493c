"""The build backend, and a wheel with compiled kernels that is installed into a fresh environment."""

import base64
import contextlib
import csv
import hashlib
import importlib
import inspect
import io
import json
import os
import pickle
import platform
import re
import runpy
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import llvmlite.binding
import pytest
from conftest import JIT_ENABLED, assert_raises, run_program
from repository import ROOT, read

import fastlin
from fastlin.kernels.machine import levels
from fastlin.solvers import quadratic

# Import by path, because the backend's folder is on the search path only during a build.
sys.path.append(str(ROOT / "build_backend"))
BACKEND, REPRODUCIBLE_MODULE, KERNEL_WORKER, SOURCE_COPY, FIRST_FITS = (
    runpy.run_path(str(ROOT / "build_backend" / f"{name}.py"))
    for name in ("compiled_kernels", "reproducible", "kernel_worker", "source_copy", "first_fits")
)
sys.path.pop()
LEVEL_NAMESPACE = vars(levels)
RECIPE = read(".ci/conda/recipe.yaml")
INSTRUCTION_SET_LEVELS = ["x86-64-v2", "x86-64-v3"]
# This program runs typical first fits, and more fits if it gets an argument. It prints the level of the code, the
# kernels that had to be compiled, and a hash of the models.
PROGRAM = """
import hashlib, json, sys, warnings
import numpy as np
from scipy import sparse
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from fastlin import LogisticRegression, LogisticRegressionCV, MLPClassifier, logistic_path
from fastlin.kernels.machine.archives import list_kernels
from fastlin.kernels.machine.target import TARGET
warnings.simplefilter("ignore")
digest = hashlib.sha256()

def fit(X, y, *changes):
    for change in changes:
        model = LogisticRegression(**change).fit(X, y)
        digest.update(model.coef_.tobytes() + model.predict_proba(X).tobytes() + model.predict(X).tobytes())

X, y = load_digits(return_X_y=True)
first = [(X, y), load_iris(return_X_y=True), load_breast_cancer(return_X_y=True)]
l1 = {"l1_ratio": 1.0}
for X, y in first:
    for dtype in ("f8", "f4"):
        fit(X.astype(dtype), y, {}, {"C": 0.01} if len(set(y)) > 2 else l1)
if len(sys.argv) > 1:
    X, y = first[0]
    for rows in (np.asfortranarray(X), X.astype("u1"), sparse.csr_array(X), X.astype("f4"), X):
        fit(rows, y, {}, l1, {"solver": "lbfgs"})
    LogisticRegressionCV(Cs=2, cv=2, l1_ratios=(0.0,), scoring="accuracy", use_legacy_attributes=False).fit(X, y)
    MLPClassifier(10, max_iter=2, random_state=0).fit(X, y).predict(X)
compiled = {kernel.__name__: len(kernel.stats.cache_misses) for kernel in list_kernels() if kernel.stats.cache_misses}
print(json.dumps([TARGET.name, compiled, digest.hexdigest()]))
"""


@pytest.fixture
def machine(monkeypatch):
    """Return a function that makes the backend run on another machine."""
    return lambda name: monkeypatch.setattr(platform, "machine", lambda: name)


# A frontend passes a list if a setting is repeated.
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (None, None),
        ({"kernels": ""}, None),
        ({"--build-option": "x"}, None),
        ({"kernels": "all"}, ["all"]),
        ({"kernels": "x86-64-v2, x86-64-v3"}, INSTRUCTION_SET_LEVELS),
        ({"kernels": INSTRUCTION_SET_LEVELS}, INSTRUCTION_SET_LEVELS),
    ],
    ids=str,
)
def test_settings_of_frontends_are_read(monkeypatch, settings, words):
    monkeypatch.delenv("FASTLIN_BUILD_KERNELS", raising=False)
    assert BACKEND["read_setting"](settings) == (words or ["core"])
    monkeypatch.setenv("FASTLIN_BUILD_KERNELS", "0")
    assert BACKEND["read_setting"](settings) == (words or [])


def test_levels_depend_on_the_setting_and_the_machine(machine):
    choose = BACKEND["choose_instruction_levels"]
    machine("x86_64")
    assert choose(["all"], LEVEL_NAMESPACE, set(levels.AVX2_FEATURES)) == (
        ["x86-64-v4", "x86-64-v3", "x86-64-v2"],
        "x86-64-v3",
    )
    for word in ("host-level", "core"):
        assert choose([word], LEVEL_NAMESPACE, set(levels.AVX2_FEATURES)) == (["x86-64-v3"], "x86-64-v3")
    # A machine can compile a level that it cannot run.
    assert choose(["x86-64-v4", "x86-64-v4"], LEVEL_NAMESPACE, set(levels.AVX2_FEATURES)) == (["x86-64-v4"], None)
    machine("arm64")
    assert choose(["all"], LEVEL_NAMESPACE, {"neon"}) == (["aarch64"], "aarch64")
    for name, word in (("x86_64", "x86-64-v5"), ("x86_64", "aarch64"), ("x86_64", "host-level"), ("s390x", "all")):
        machine(name)
        with pytest.raises(ValueError, match=f"-Ckernels must be 'all', 'host-level' or levels .*, got '{word}'"):
            choose([word], LEVEL_NAMESPACE, set())


def test_processes_compile_for_the_level_only(monkeypatch, tmp_path):
    for name in ("NUMBA_DISABLE_JIT", "NUMBA_CPU_NAME", "FASTLIN_COMPILED", "PYTHONPATH"):
        monkeypatch.setenv(name, "1")
    described = BACKEND["make_process_environment"](
        tmp_path, levels.INSTRUCTION_SET_LEVELS["x86-64-v2"], tmp_path / "cache"
    )
    assert described["PYTHONPATH"] == f"{tmp_path}{os.pathsep}1"
    assert described["NUMBA_CPU_FEATURES"].startswith("+64bit,+cmov,")
    numba = {name.removeprefix("NUMBA_") for name in described if name.startswith("NUMBA_")}
    assert numba == {"CPU_NAME", "CPU_FEATURES", "CACHE_DIR", "DISABLE_INTEL_SVML"}
    assert not any(name.startswith("FASTLIN_") for name in described)
    assert "NUMBA_CPU_NAME" not in BACKEND["make_process_environment"](tmp_path, None, tmp_path / "cache")


def test_processes_share_compilation_tasks(tmp_path, capsys):
    first, second = (
        KERNEL_WORKER["claim_tasks"](list("abcdefghij"), "v3", tmp_path / "v3", 2, number) for number in (0, 1)
    )
    assert [next(first), next(second), next(first)] == ["a", "f", "b"]
    # A process that finishes its own tasks takes over the remaining tasks of the other process.
    assert list(second) == ["g", "h", "i", "j", "c", "d", "e"]
    assert list(first) == []
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"compiling kernels for v3: {number} of 10" for number in range(1, 11)]
    # Progress is printed after each tenth.
    assert len(list(KERNEL_WORKER["claim_tasks"](list(range(95)), "v4", tmp_path / "v4", 1, 0))) == 95
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
    assert lines[-1] == "compiling kernels for v4: 95 of 95"
    recorded_signatures = [("buffer", "dot", "f8"), ("buffer", "dot", "f4")]
    for n_saved_signatures in (2, 1):
        (tmp_path / f"signatures-{n_saved_signatures}").write_bytes(
            pickle.dumps(recorded_signatures[:n_saved_signatures])
        )
    assert KERNEL_WORKER["read_signatures"](tmp_path) == recorded_signatures


def test_coefficients_become_zero_in_newtons_steps(monkeypatch):
    # A wheel must contain the separate kernel that removes zeros.
    removal_calls, original_remove = [], quadratic.remove_row
    monkeypatch.setattr(
        quadratic, "remove_row", lambda *arguments: removal_calls.append(arguments) or original_remove(*arguments)
    )
    FIRST_FITS["list_first_fits"]()["L1"]()
    assert removal_calls


def test_the_listed_signatures_match_the_kernels():
    signatures = FIRST_FITS["read_signatures"]()
    described = json.loads(json.dumps([FIRST_FITS["describe_signature"](signature) for signature in signatures]))
    assert described == json.loads(FIRST_FITS["SIGNATURES_PATH"].read_text("utf-8"))
    assert len(set(signatures)) == len(signatures) > 20
    for module, name, types in signatures:
        kernel = getattr(importlib.import_module(module), name)
        inspect.signature(getattr(kernel, "py_func", kernel)).bind(*types)
        tuple_types = [numba_type for numba_type in types if hasattr(numba_type, "instance_class")]
        while tuple_types:
            numba_type = tuple_types.pop()
            assert len(numba_type.types) == len(numba_type.instance_class._fields)
            tuple_types += [field for field in numba_type.types if hasattr(field, "instance_class")]


@pytest.mark.thorough  # A process imports all of fastlin, and loads or compiles the kernels for four fits.
@pytest.mark.skipif(not JIT_ENABLED, reason="nothing is compiled with NUMBA_DISABLE_JIT=1")
def test_the_first_fits_call_only_listed_kernels():
    program = """
import first_fits
print(sorted({str(each) for each in first_fits.find_signatures()} - set(map(str, first_fits.read_signatures()))))
"""
    path_setup_code = f"import sys; sys.path[:0] = {[str(ROOT), str(ROOT / 'build_backend')]}\n"
    missing = run_program(path_setup_code + program)
    assert missing.strip() == "[]", "Run `python build_backend/first_fits.py`."


def test_kernels_are_imported_with_only_the_requirements_of_the_build():
    available = {*BACKEND["KERNEL_PACKAGES"], "llvmlite", "threadpoolctl"}
    missing_packages = {line.split(">=")[0] for line in read_requirements()} - available | {
        "scipy",
        "sklearn",
        "pandas",
    }
    program = f"""
import sys
sys.path[:0] = {[str(ROOT), str(ROOT / "build_backend")]}
sys.modules |= dict.fromkeys({sorted(missing_packages)})
import kernel_worker, first_fits
kernel_worker.make_kernels_importable()
from fastlin.kernels.machine import archives
print(len(first_fits.read_signatures()))
"""
    assert int(run_program(program)) == len(FIRST_FITS["read_signatures"]())


def test_levels_are_compiled_one_after_the_other_by_all_processors(tmp_path, monkeypatch, machine):
    started = []

    def run(command, env, **options):
        action, name, *_, number = command[2:]
        started.append((action, name, number))
        assert env.get("NUMBA_CPU_NAME", "this processor") == name
        with zipfile.ZipFile(tmp_path / f"{name}-{number}.zip", "w") as archive:
            archive.writestr("stamp.json", "{}")
            archive.writestr(f"kernel-{number}", name)

    machine("x86_64")
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(subprocess, "run", run)
    tree = tmp_path / "tree"
    shutil.copytree(ROOT / "fastlin" / "kernels" / "machine", tree / "fastlin" / "kernels" / "machine")
    names = ["x86-64-v2", "x86-64-v3", "x86-64-v4"]
    BACKEND["compile_kernels"](tree, names, tmp_path, True)
    warm = started[0][1]
    worker_actions = [("warm", warm), *(("compile", name) for name in names if name != warm)]
    # An action's two processes start in any order, and both end before the next action starts.
    assert [row[:2] for row in started] == [row for row in worker_actions for _ in range(2)]
    assert set(started) == {(*row, number) for row in worker_actions for number in "01"}
    for name in names:
        with zipfile.ZipFile(tree / "fastlin" / "kernels" / "compiled" / f"{name}.zip") as archive:
            assert sorted(archive.namelist()) == ["kernel-0", "kernel-1", "stamp.json"]
            assert archive.read("kernel-1").decode() == name


def test_a_second_default_build_reuses_compiled_kernels(tmp_path, monkeypatch, machine):
    cache, started = tmp_path / "cache", []
    cache.mkdir()

    def run(command, **options):
        script, action, level, folder = Path(command[1]).name, *command[2:5]
        started.append(action)
        name = f"{level}.zip" if script == "archive_cache.py" else f"{level}-{command[6]}.zip"
        if action == "fetch" and (cache / name).exists():
            shutil.copy(cache / name, folder)
        elif action == "save":
            shutil.copy(Path(folder, name), cache)
        elif script == "kernel_worker.py":
            with zipfile.ZipFile(Path(folder, name), "w") as archive:
                archive.writestr("stamp.json", "{}")

    machine("x86_64")
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(llvmlite.binding, "get_host_cpu_features", lambda: dict.fromkeys(levels.AVX2_FEATURES, True))
    expected = [["fetch", "core", "save"], ["fetch"], ["core"], ["warm"]]
    # Reproducible builds and builds with settings do not use the cache.
    build_arguments = [(["core"], True), (["core"], True), (["core"], False), (["host-level"], True)]
    for number, (words, may_use_cache) in enumerate(build_arguments):
        tree = tmp_path / str(number) / "tree"
        shutil.copytree(ROOT / "fastlin" / "kernels" / "machine", tree / "fastlin" / "kernels" / "machine")
        BACKEND["compile_kernels"](tree, words, tree.parent, may_use_cache)
        assert (tree / "fastlin" / "kernels" / "compiled" / "x86-64-v3.zip").exists()
        assert started == expected[number]
        started.clear()


def test_a_default_wheel_is_pure_if_compilation_fails(tmp_path, machine, capsys):
    machine("s390x")
    pure_wheel_path = tmp_path / "fastlin-1.0-py3-none-any.whl"
    with zipfile.ZipFile(pure_wheel_path, "w") as wheel:
        for path in (ROOT / "fastlin" / "kernels" / "machine").glob("*.py"):
            wheel.write(path, path.relative_to(ROOT))
    assert_raises("-Ckernels must be", BACKEND["add_kernels"], pure_wheel_path, ["host-level"], tmp_path, False)
    assert BACKEND["add_kernels"](pure_wheel_path, ["core"], tmp_path, False) == pure_wheel_path.name
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("fastlin's kernels cannot be compiled now. They will be compiled when needed. ValueError: ")


def read_requirements():
    with contextlib.chdir(ROOT):
        return BACKEND["list_requirements"]()


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        ({}, ["numpy>=2.0", "numba>=0.63", "joblib>=1.4", "platformdirs>=4.14"]),
        ({"numpy": "2.4.6", "numba": "0.66.0", "joblib": "1.10", "platformdirs": "4.14"}, []),
        # pip keeps the installed Numba and replaces joblib.
        (
            {"numpy": "2.4.6", "numba": "0.66.0rc1", "joblib": "1.3.9"},
            ["numpy==2.4.6", "numba==0.66.0rc1", "joblib>=1.4", "platformdirs>=4.14"],
        ),
        ({"numba": "0.9.1"}, ["numpy>=2.0", "numba>=0.63", "joblib>=1.4", "platformdirs>=4.14"]),
    ],
    ids=["an empty environment", "all packages", "some packages", "an older package"],
)
def test_a_build_requires_the_installed_versions_of_kernel_imports(installed, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    monkeypatch.chdir(ROOT)
    for name, version in installed.items():
        information = tmp_path / f"{name}-{version}.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    assert BACKEND["choose_requirements"](["core"]) == expected
    # The warm-up for the other settings runs fits.
    assert BACKEND["choose_requirements"](["host-level"]) == read_requirements()
    assert BACKEND["choose_requirements"]([]) == []


def test_setuptools_builds_from_a_copy_of_the_source(tmp_path, monkeypatch):
    for name in ("setup.cfg", "fastlin/a.py", "tests/b.py", "docs/_build/c.html", ".venv/d.py", "results/e.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "MANIFEST.in").write_text("include *.md\ngraft tests\ngraft docs\ngraft benchmarks\n")
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with SOURCE_COPY["copied_source"]() as copy:
        assert Path.cwd().samefile(copy)
        actual = sorted(path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file())
        assert actual == ["MANIFEST.in", "fastlin/a.py", "setup.cfg", "tests/b.py"]
        Path("build").mkdir()
    assert Path.cwd() == tmp_path
    assert sorted(tmp_path.rglob("*")) == before


def pack(folder):
    """Write a wheel with one module into a folder and return the wheel's name."""
    tree, information = folder / "tree", folder / "tree" / "fastlin-1.0.dist-info"
    information.mkdir(parents=True, exist_ok=True)
    (tree / "module.py").write_text("x = 1\n")
    (information / "RECORD").write_text("module.py,sha256=old,1\n")
    (information / "WHEEL").write_text("Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n\n")
    return BACKEND["pack_wheel"](tree, "fastlin-1.0-py3-none-any.whl", folder)


@pytest.mark.parametrize("has_abiflags", [True, False])
def test_a_wheel_is_packed_for_this_python_and_platform(tmp_path, monkeypatch, has_abiflags):
    if not has_abiflags:
        monkeypatch.delattr(sys, "abiflags", raising=False)
    name = pack(tmp_path)
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    platform_name = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    tag = f"{python}-{python}{getattr(sys, 'abiflags', '')}-{platform_name}"
    assert name == f"fastlin-1.0-{tag}.whl"
    with zipfile.ZipFile(tmp_path / name) as wheel:
        contents = {member: wheel.read(member) for member in wheel.namelist()}
    lines = contents["fastlin-1.0.dist-info/WHEEL"].decode().splitlines()
    assert lines == ["Wheel-Version: 1.0", "Root-Is-Purelib: false", f"Tag: {tag}"]
    rows = {row[0]: row[1:] for row in csv.reader(contents["fastlin-1.0.dist-info/RECORD"].decode().splitlines())}
    assert rows.keys() == contents.keys()
    assert rows.pop("fastlin-1.0.dist-info/RECORD") == ["", ""]
    for path, (digest, size) in rows.items():
        expected = base64.urlsafe_b64encode(hashlib.sha256(contents[path]).digest()).decode().rstrip("=")
        assert (digest, int(size)) == (f"sha256={expected}", len(contents[path]))


def test_sdists_of_the_same_files_have_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    members = [("x", b""), ("x/setup.cfg", b"[metadata]"), ("x/a.py", b"a = 1\n" * 99)]
    for name, order, time, mode in (("one", members, 1.5e9, 0o755), ("two", members[::-1], 1.6e9, 0o700)):
        with tarfile.open(tmp_path / name, "w:gz") as archive:
            for path, content in order:
                member = tarfile.TarInfo(path)
                member.type = tarfile.DIRTYPE if content == b"" else tarfile.REGTYPE
                member.size, member.mtime, member.mode, member.uname = len(content), time, mode, f"owner of {name}"
                archive.addfile(member, io.BytesIO(content))
        REPRODUCIBLE_MODULE["normalize_sdist"](tmp_path / name, REPRODUCIBLE_MODULE["read_epoch"]())
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    with tarfile.open(tmp_path / "one") as archive:
        extracted_members = {member.name: member for member in archive.getmembers()}
        assert archive.extractfile("x/a.py").read() == members[2][1]
    assert list(extracted_members) == ["x", "x/a.py", "x/setup.cfg"]
    assert extracted_members["x"].isdir()
    metadata = {(member.mtime, member.mode, member.uid, member.uname) for member in extracted_members.values()}
    assert metadata == {(1_700_000_000, 0o755, 0, "")}


def test_wheels_of_the_same_files_have_the_same_bytes(tmp_path, monkeypatch):
    # Zip archives cannot store times before 1980.
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    members = [("b.py", b"b = 1\n" * 99), ("a.dist-info/RECORD", b"b.py,,\n")]
    for name, year, mode in (("one", 2001, 0o100644), ("two", 2002, 0o100600)):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for path, content in members:
                member = zipfile.ZipInfo(path, (year, 1, 1, 0, 0, 0))
                member.external_attr = mode << 16
                archive.writestr(member, content)
        REPRODUCIBLE_MODULE["normalize_wheel"](tmp_path / name, REPRODUCIBLE_MODULE["read_epoch"]())
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    with zipfile.ZipFile(tmp_path / "one") as wheel:
        assert [(member.filename, wheel.read(member)) for member in wheel.infolist()] == members
        assert {member.date_time for member in wheel.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    assert REPRODUCIBLE_MODULE["read_epoch"]() is None


def test_the_conda_recipe_matches_the_installation(monkeypatch):
    assert f"\nversion: {fastlin.__version__}\n" in read("CITATION.cff")
    assert f'\n  version: "{fastlin.__version__}"\n' in RECIPE
    run = re.search(r"\n  run:\n(( +- .*\n)+)", RECIPE)[1]
    recipe_requirements = {line.strip().removeprefix("- ").replace(" ", "") for line in run.splitlines()}
    monkeypatch.chdir(ROOT)
    assert recipe_requirements - {"python>=3.11"} == set(BACKEND["list_requirements"]())


def test_the_release_workflow_publishes_only_on_the_push_of_a_tag():
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    workflow = yaml.safe_load(read(".github/workflows/release.yml"))
    # A manual run on a tag is also a rehearsal.
    job_conditions = {name: job.get("if") for name, job in workflow["jobs"].items() if "id-token" in job["permissions"]}
    assert job_conditions == {"publish": "github.event_name == 'push' && github.ref_type == 'tag'"}
    # YAML parses the name `on` as a boolean.
    assert workflow[True] == {"push": {"tags": ["v*"]}, "workflow_dispatch": None}


def test_universal_python_on_macos_builds_for_one_architecture(tmp_path, monkeypatch, machine):
    monkeypatch.setattr(sysconfig, "get_platform", lambda: "macosx-11.0-universal2")
    for architecture in ("arm64", "x86_64"):
        machine(architecture)
        assert pack(tmp_path).endswith(f"-macosx_11_0_{architecture}.whl")


@pytest.mark.slow  # Compiles the kernels of a level (some minutes), with dependencies from the package index.
@pytest.mark.parametrize("setting", [["-Ckernels=host-level"], []], ids=["a level", "no setting"])
def test_an_installed_wheel_compiles_nothing(tmp_path, monkeypatch, setting):
    monkeypatch.delenv("FASTLIN_BUILD_KERNELS", raising=False)
    source = tmp_path / "source"
    ignored_files = shutil.ignore_patterns("__pycache__")
    for name in ("fastlin", "build_backend"):
        shutil.copytree(ROOT / name, source / name, ignore=ignored_files)
    for name in ("pyproject.toml", "setup.cfg", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)

    def list_files():
        return {path for path in source.rglob("*") if path.is_file() and path.parent.name != "__pycache__"}

    before = list_files()
    options = ["--quiet", "--no-deps", *setting]
    subprocess.run([sys.executable, "-m", "pip", "wheel", source, "-w", tmp_path, *options], check=True)
    assert list_files() == before
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.stat().st_size < 15e6

    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", wheel], check=True)
    # Use this environment's dependencies through a .pth file, because pip would mistake its fastlin for the wheel's.
    (site_packages,) = environment.glob("[Ll]ib/**/site-packages")
    (site_packages / "dependencies.pth").write_text(
        "\n".join({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    )

    # Root can write anywhere, but not below a file.
    blocking_file = tmp_path / "file"
    blocking_file.write_text("")
    inherited_variables = {
        name: value for name, value in os.environ.items() if not re.match("NUMBA_|FASTLIN_|PYTHON", name)
    }
    folders = "HOME", "XDG_CACHE_HOME", "WIN_PD_OVERRIDE_LOCAL_APPDATA", "NUMBA_CACHE_DIR"
    variables = inherited_variables | dict.fromkeys(folders, str(blocking_file))
    command = [python, "-c", PROGRAM, *setting]
    processes = [subprocess.Popen(command, cwd=tmp_path, env=variables, stdout=subprocess.PIPE) for _ in range(2)]
    (level, compiled, bits), other = (json.loads(process.communicate(timeout=300)[0]) for process in processes)
    assert level in levels.INSTRUCTION_SET_LEVELS
    assert compiled == {}
    assert other == [level, compiled, bits]
