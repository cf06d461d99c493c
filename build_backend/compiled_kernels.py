"""Compiles the kernels of an unpacked wheel for levels of instruction sets, and packs it again with their code.

The module does without setuptools, so that its functions can be tested where that is not installed.
"""

import base64
import configparser
import csv
import hashlib
import importlib.metadata
import importlib.util
import io
import os
import platform
import re
import runpy
import subprocess
import sys
import sysconfig
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

SETTING = "kernels"
# What is compiled without the setting: the kernels of the first fits, for the level of this processor. The environment
# variable turns that off.
CORE = ["core"]
SWITCH = "FASTLIN_BUILD_KERNELS"
# More processes than there are tasks would only import fastlin.
MAX_PROCESSES = 8
# What the processes run that compile, and those that keep what was compiled.
WORKER, CACHE = (Path(__file__).with_name(f"{name}.py") for name in ("kernel_worker", "archive_cache"))
# The packages that kernels import.
IMPORTED = ("numpy", "numba", "joblib", "platformdirs")


def list_requirements():
    """Return what an installed fastlin needs; the backend runs in the root of the source tree."""
    settings = configparser.ConfigParser()
    settings.read("setup.cfg", encoding="utf-8")
    return settings["options"]["install_requires"].split("\n")[1:]


def choose_requirements(words):
    """Return what a build needs to compile what the words of the setting ask for, besides setuptools.

    The kernels of first fits need what kernels import, and nothing where the environment that fastlin is installed into
    has that already. Otherwise they need the Numba of that environment, with which they will run.
    """
    if words != CORE:
        # The warm-up fits, so that it needs all.
        return list_requirements() if words else []
    there, needed = find_versions(), {}
    for requirement in list_requirements():
        name, _, least = requirement.partition(">=")
        if name in IMPORTED:
            fits = name in there and parse_version(there[name]) >= parse_version(least)
            needed[name] = (f"{name}=={there[name]}" if fits else requirement), fits
    return [] if all(fits for _, fits in needed.values()) else [requirement for requirement, _ in needed.values()]


def list_places():
    """Return the folders in which the environment has its packages; an isolated build does not import from them."""
    return list(dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib")))


def find_versions():
    """Return the versions of the packages that kernels import, by name, in the environment of the installation."""
    found = {name: importlib.metadata.distributions(name=name, path=list_places()) for name in IMPORTED}
    versions = {name: [distribution.version for distribution in there] for name, there in found.items()}
    return {name: there[0] for name, there in versions.items() if there}


def parse_version(version):
    """Return the numbers at the beginning of a version, which order it."""
    return [int(number) for number in re.match(r"\d+(\.\d+)*", version)[0].split(".")]


def read_setting(config_settings):
    """Return the words of the setting, "all", "host-level" or names of levels; without it CORE, or none if off."""
    value = (config_settings or {}).get(SETTING, "")
    words = [word.strip() for word in (value.split(",") if isinstance(value, str) else value) if word.strip()]
    return words or ([] if os.environ.get(SWITCH, "").strip().lower() in ("0", "off") else CORE)


def choose_levels(words, table, features):
    """Return the levels to compile for and the best of them that this processor can run, or None.

    Parameters
    ----------
    words : list of str
        The words of the setting.
    table : dict
        The names that `fastlin.kernels.machine.levels` defines.
    features : set of str
        LLVM's names of what this processor has.

    Raises
    ------
    ValueError
        The setting names a level that there is not on this machine, or this processor has no level.
    """
    there = table["levels_of"](platform.machine())
    if words == ["all"]:
        names = there
    elif words in (["host-level"], CORE):
        names = [name for name in [table["choose_level"](there, features)] if name]
    else:
        names = list(dict.fromkeys(words))
    if not names or not set(names) <= set(there):
        raise ValueError(
            f"-C{SETTING} must be 'all', 'host-level' or levels of this machine out of {', '.join(there) or 'none'}, "
            f"got {','.join(words)!r}"
        )
    return names, table["choose_level"](names, features)


def add_kernels(pure, words, wheel_directory, is_cached):
    """Write a wheel with compiled kernels beside the code of a pure one, and return its name.

    Without a setting it is the name of the pure one where kernels cannot be compiled; is_cached says whether those of
    an earlier installation may be used, and these be kept for later ones.
    """
    work = pure.parent
    tree = work / "tree"
    with zipfile.ZipFile(pure) as wheel:
        wheel.extractall(tree)
    try:
        compile_kernels(tree, words, work, is_cached)
    except Exception as error:
        if words != CORE:
            raise
        reason = f"{type(error).__name__}: {error}"
        print(f"fastlin's kernels are not compiled now, but when they are needed: {reason}", flush=True)
        return pure.name
    return pack_wheel(tree, pure.name, wheel_directory)


def compile_kernels(tree, words, work, is_cached):
    """Compile the kernels of an unpacked wheel for each level of the setting, and put the code into the wheel."""
    if importlib.util.find_spec("llvmlite") is None:
        # The isolated build has no packages of its own, since `choose_requirements` found those of the environment. The
        # processes find them too if they do not look into the folders of the build.
        sys.path.extend(list_places())
        os.environ.pop("PYTHONPATH", None)
    # The runtime dependencies are there only where kernels are compiled.
    import llvmlite.binding

    table = runpy.run_path(str(tree / "fastlin" / "kernels" / "machine" / "levels.py"))
    features = {name for name, there in llvmlite.binding.get_host_cpu_features().items() if there}
    names, runnable = choose_levels(words, table, features)
    folder = tree / "fastlin" / "kernels" / "compiled"
    is_cached = is_cached and words == CORE
    folder.mkdir()
    if is_cached and use_cache("fetch", runnable, tree, folder):
        return
    count, start = min(os.cpu_count() or 1, MAX_PROCESSES), time.monotonic()

    def run(action, name, number):
        command = [sys.executable, str(WORKER), action, name or "this processor", str(work), str(count), str(number)]
        environment = describe_process(tree, table["LEVELS"].get(name), work / "cache")
        subprocess.run(command, cwd=work, env=environment, check=True)

    print(f"fastlin compiles kernels for {', '.join(names)} in {count} processes", flush=True)
    with ThreadPoolExecutor(count) as pool:
        # The warm-up runs what it compiles. Where this processor can run none of the levels, its code is thrown away.
        warm = "core" if words == CORE else "warm"
        for action, name in [(warm, runnable), *(("compile", name) for name in names if name != runnable)]:
            list(pool.map(partial(run, action, name), range(count)))
    # Only now, so that no process finds code of a level beside its kernels.
    for name in names:
        merge_archives([work / f"{name}-{number}.zip" for number in range(count)], folder / f"{name}.zip")
    print(f"fastlin's kernels were compiled in {time.monotonic() - start:.0f} seconds", flush=True)
    if is_cached:
        use_cache("keep", runnable, tree, folder)


def use_cache(action, level, tree, folder):
    """Copy the archive of a level from the user's cache into a folder, or keep it there; return whether it is there."""
    place = os.environ.get("NUMBA_CACHE_DIR", "")
    command = [sys.executable, str(CACHE), action, level, str(folder)]
    # Without the cache an installation takes longer, and is the same.
    subprocess.run(command, cwd=folder, env=describe_process(tree, None, place), check=False)
    return (folder / f"{level}.zip").exists()


def merge_archives(parts, path):
    """Write an archive with the members of several, each name once: two processes may have compiled the same."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as whole:
        for part in parts:
            with zipfile.ZipFile(part) as archive:
                for name in sorted(set(archive.namelist()) - set(whole.namelist())):
                    whole.writestr(name, archive.read(name))


def describe_process(tree, level, cache):
    """Return the environment of a process that imports the unpacked wheel and compiles for a level, or for None."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA_", "FASTLIN_"))}
    # In an isolated build the frontend names its own folders there.
    paths = [str(tree), *filter(None, [environment.get("PYTHONPATH")])]
    environment |= {
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONDONTWRITEBYTECODE": "1",
        "NUMBA_CACHE_DIR": str(cache),
        # The processes that compile are these.
        "FASTLIN_COMPILERS": "1",
        # Code that calls Intel's library of vector functions would not load where that is missing.
        "NUMBA_DISABLE_INTEL_SVML": "1",
    }
    return environment if level is None else environment | level.environment


def pack_wheel(tree, pure_name, folder):
    """Pack an unpacked wheel for this version of Python and this platform alone; return its name."""
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    # A Python for both architectures of macOS calls itself universal2, but the kernels are those of one.
    system = re.sub("universal2$", platform.machine(), sysconfig.get_platform()).replace("-", "_").replace(".", "_")
    # Windows has no abiflags before Python 3.14.
    tag = f"{python}-{python}{getattr(sys, 'abiflags', '')}-{system}"
    name, version = pure_name.split("-")[:2]
    (information,) = tree.glob("*.dist-info")
    lines = (information / "WHEEL").read_text("utf-8").splitlines()
    kept = [line for line in lines if not line.startswith(("Root-Is-Purelib:", "Tag:")) and line]
    (information / "WHEEL").write_bytes("\n".join([*kept, "Root-Is-Purelib: false", f"Tag: {tag}", ""]).encode())
    record = information / "RECORD"
    record.unlink()
    rows = io.StringIO()
    writer = csv.writer(rows, lineterminator="\n")
    files = sorted(path for path in tree.rglob("*") if path.is_file())
    for path in files:
        content = path.read_bytes()
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        writer.writerow([path.relative_to(tree).as_posix(), f"sha256={digest}", len(content)])
    writer.writerow([record.relative_to(tree).as_posix(), "", ""])
    record.write_bytes(rows.getvalue().encode())
    packed = f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(folder / packed, "w", zipfile.ZIP_DEFLATED) as wheel:
        # The specification recommends that the metadata stand at the end.
        for path in sorted([*files, record], key=lambda path: (path.is_relative_to(information), path)):
            wheel.write(path, path.relative_to(tree).as_posix())
    return packed
