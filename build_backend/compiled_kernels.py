"""Functions that compile the kernels of an unpacked wheel for several instruction set levels and pack the wheel again.

This module does not import setuptools, so its functions can be tested without it.
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

KERNELS_OPTION_NAME = "kernels"
# The default setting: the kernels of the first fits for the level of this processor. The environment variable can
# disable it.
FIRST_FIT_SETTING = ["core"]
BUILD_ENVIRONMENT_VARIABLE = "FASTLIN_BUILD_KERNELS"
# The maximum number of worker processes. Additional processes would have no tasks.
MAX_PROCESSES = 8
# The programs that compile kernels, and that save compiled kernels in the user's cache folder.
WORKER_PROGRAM, ARCHIVE_CACHE_PROGRAM = (
    Path(__file__).with_name(f"{name}.py") for name in ("kernel_worker", "archive_cache")
)
# The packages that kernels import.
KERNEL_PACKAGES = ("numpy", "numba", "joblib", "platformdirs")


def list_requirements():
    """Return the requirements of fastlin at run time. The backend runs in the root of the source tree."""
    settings = configparser.ConfigParser()
    settings.read("setup.cfg", encoding="utf-8")
    return settings["options"]["install_requires"].split("\n")[1:]


def choose_requirements(words):
    """Return the requirements, in addition to setuptools, of a build that compiles the kernels of the setting.

    The kernels of first fits require the packages that kernels import. If the environment in which fastlin is installed
    contains compatible versions of all these packages, the list is empty. Otherwise, the list includes those installed
    versions that are compatible, because compiled kernels require the same version of Numba.
    """
    if words != FIRST_FIT_SETTING:
        # The warm-up runs fits, and these require all packages.
        return list_requirements() if words else []
    installed_versions, needed_requirements = find_versions(), {}
    for requirement in list_requirements():
        name, _, minimum_version = requirement.partition(">=")
        if name in KERNEL_PACKAGES:
            is_compatible = name in installed_versions and parse_version(installed_versions[name]) >= parse_version(
                minimum_version
            )
            needed_requirements[name] = (
                (f"{name}=={installed_versions[name]}" if is_compatible else requirement),
                is_compatible,
            )
    if all(is_compatible for _, is_compatible in needed_requirements.values()):
        return []
    return [requirement for requirement, _ in needed_requirements.values()]


def list_package_folders():
    """Return the folders of the environment's packages. An isolated build does not import from these folders."""
    return list(dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib")))


def find_versions():
    """Return a dict of the versions of the packages that kernels import, in the environment of the installation."""
    folders = list_package_folders()
    package_distributions = {
        name: importlib.metadata.distributions(name=name, path=folders) for name in KERNEL_PACKAGES
    }
    versions = {
        name: [distribution.version for distribution in package_versions]
        for name, package_versions in package_distributions.items()
    }
    return {name: package_versions[0] for name, package_versions in versions.items() if package_versions}


def parse_version(version):
    """Return the leading numbers of a version as a list, for comparisons."""
    return [int(number) for number in re.match(r"\d+(\.\d+)*", version)[0].split(".")]


def read_setting(config_settings):
    """Return the setting as a list: "all", "host-level" or names of levels.

    The default is `FIRST_FIT_SETTING`, or an empty list if the environment variable disables compilation.
    """
    value = (config_settings or {}).get(KERNELS_OPTION_NAME, "")
    words = [word.strip() for word in (value.split(",") if isinstance(value, str) else value) if word.strip()]
    return words or (
        [] if os.environ.get(BUILD_ENVIRONMENT_VARIABLE, "").strip().lower() in ("0", "off") else FIRST_FIT_SETTING
    )


def choose_instruction_levels(words, table, features):
    """Return the levels for which to compile, and the best of them that this processor supports, or None.

    Parameters
    ----------
    words : list of str
        The setting, as `read_setting` returns it.
    table : dict
        The namespace of the module `fastlin.kernels.machine.levels`.
    features : set of str
        LLVM's names of the features of this processor.

    Raises
    ------
    ValueError
        The setting contains a level that this machine does not have, or this processor supports no level.
    """
    available_levels = table["list_levels"](platform.machine())
    if words == ["all"]:
        names = available_levels
    elif words in (["host-level"], FIRST_FIT_SETTING):
        names = [name for name in [table["choose_level"](available_levels, features)] if name]
    else:
        names = list(dict.fromkeys(words))
    if not names or not set(names) <= set(available_levels):
        raise ValueError(
            f"-C{KERNELS_OPTION_NAME} must be 'all', 'host-level' or levels of this machine out of "
            f"{', '.join(available_levels) or 'none'}, got {','.join(words)!r}"
        )
    return names, table["choose_level"](names, features)


def add_kernels(pure_wheel, words, wheel_directory, may_use_cache):
    """Write a wheel with the contents of a pure wheel and compiled kernels, and return its name.

    If kernels cannot be compiled with the default setting, return the name of the pure wheel. If may_use_cache, kernels
    from an earlier installation may be used, and new kernels may be saved for later installations.
    """
    work_folder = pure_wheel.parent
    unpacked_folder = work_folder / "tree"
    with zipfile.ZipFile(pure_wheel) as wheel:
        wheel.extractall(unpacked_folder)
    try:
        compile_kernels(unpacked_folder, words, work_folder, may_use_cache)
    except Exception as error:
        if words != FIRST_FIT_SETTING:
            raise
        reason = f"{type(error).__name__}: {error}"
        print(f"fastlin's kernels cannot be compiled now. They will be compiled when needed. {reason}", flush=True)
        return pure_wheel.name
    return pack_wheel(unpacked_folder, pure_wheel.name, wheel_directory)


def compile_kernels(unpacked_folder, words, work_folder, may_use_cache):
    """Compile the kernels of an unpacked wheel for each level of the setting, and add the code to the wheel."""
    if importlib.util.find_spec("llvmlite") is None:
        # The isolated build contains no packages, because `choose_requirements` found them in the environment. The
        # worker processes also import packages from the environment if PYTHONPATH does not contain the folders of the
        # build.
        sys.path.extend(list_package_folders())
        os.environ.pop("PYTHONPATH", None)
    # The runtime dependencies are installed only if kernels are compiled.
    import llvmlite.binding

    table = runpy.run_path(str(unpacked_folder / "fastlin" / "kernels" / "machine" / "levels.py"))
    features = {name for name, is_supported in llvmlite.binding.get_host_cpu_features().items() if is_supported}
    names, host_level = choose_instruction_levels(words, table, features)
    folder = unpacked_folder / "fastlin" / "kernels" / "compiled"
    may_use_cache = may_use_cache and words == FIRST_FIT_SETTING
    folder.mkdir()
    if may_use_cache and use_cache("fetch", host_level, unpacked_folder, folder):
        return
    count, start = min(os.cpu_count() or 1, MAX_PROCESSES), time.monotonic()

    def run(action, name, number):
        command = [
            sys.executable,
            str(WORKER_PROGRAM),
            action,
            name or "this processor",
            str(work_folder),
            str(count),
            str(number),
        ]
        environment = make_process_environment(
            unpacked_folder, table["INSTRUCTION_SET_LEVELS"].get(name), work_folder / "cache"
        )
        subprocess.run(command, cwd=work_folder, env=environment, check=True)

    print(f"Compiling fastlin's kernels for {', '.join(names)} in {count} processes", flush=True)
    with ThreadPoolExecutor(count) as pool:
        # The warm-up runs the code that it compiles. If this processor supports none of the levels, this code is
        # discarded.
        first_action = "core" if words == FIRST_FIT_SETTING else "warm"
        for action, name in [(first_action, host_level), *(("compile", name) for name in names if name != host_level)]:
            list(pool.map(partial(run, action, name), range(count)))
    # This step is last, so that no process loads code from the wheel while it compiles.
    for name in names:
        merge_archives([work_folder / f"{name}-{number}.zip" for number in range(count)], folder / f"{name}.zip")
    print(f"fastlin's kernels were compiled in {time.monotonic() - start:.0f} seconds", flush=True)
    if may_use_cache:
        use_cache("save", host_level, unpacked_folder, folder)


def use_cache(action, level, unpacked_folder, folder):
    """Copy the archive of a level between the user's cache folder and `folder`.

    The function returns whether the archive exists in `folder` afterwards.
    """
    cache = os.environ.get("NUMBA_CACHE_DIR", "")
    command = [sys.executable, str(ARCHIVE_CACHE_PROGRAM), action, level, str(folder)]
    # If this fails, the installation takes longer, but the result is the same.
    subprocess.run(command, cwd=folder, env=make_process_environment(unpacked_folder, None, cache), check=False)
    return (folder / f"{level}.zip").exists()


def merge_archives(archive_paths, path):
    """Write the union of several archives. Two processes may have compiled the same kernel."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as merged_archive:
        for archive_path in archive_paths:
            with zipfile.ZipFile(archive_path) as archive:
                for name in sorted(set(archive.namelist()) - set(merged_archive.namelist())):
                    merged_archive.writestr(name, archive.read(name))


def make_process_environment(unpacked_folder, level, cache):
    """Return the environment variables of a process that imports the unpacked wheel.

    If ``level`` is not None, the process compiles for this level.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA_", "FASTLIN_"))}
    # In an isolated build, PYTHONPATH contains the folders of the frontend.
    paths = [str(unpacked_folder), *filter(None, [environment.get("PYTHONPATH")])]
    environment |= {
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONDONTWRITEBYTECODE": "1",
        "NUMBA_CACHE_DIR": str(cache),
        # Code that calls Intel's vector math library cannot be loaded without that library.
        "NUMBA_DISABLE_INTEL_SVML": "1",
    }
    return environment if level is None else environment | level.environment


def pack_wheel(unpacked_folder, pure_wheel_name, folder):
    """Pack an unpacked wheel for this version of Python and this platform, and return its name."""
    python_tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    # If Python supports both architectures of macOS, its platform is universal2, but the kernels support only one of
    # them.
    platform_tag = (
        re.sub("universal2$", platform.machine(), sysconfig.get_platform()).replace("-", "_").replace(".", "_")
    )
    # Windows has no abiflags before Python 3.14.
    tag = f"{python_tag}-{python_tag}{getattr(sys, 'abiflags', '')}-{platform_tag}"
    name, version = pure_wheel_name.split("-")[:2]
    (metadata_folder,) = unpacked_folder.glob("*.dist-info")
    lines = (metadata_folder / "WHEEL").read_text("utf-8").splitlines()
    kept_metadata_lines = [line for line in lines if not line.startswith(("Root-Is-Purelib:", "Tag:")) and line]
    (metadata_folder / "WHEEL").write_bytes(
        "\n".join([*kept_metadata_lines, "Root-Is-Purelib: false", f"Tag: {tag}", ""]).encode()
    )
    record = metadata_folder / "RECORD"
    record.unlink()
    rows = io.StringIO()
    writer = csv.writer(rows, lineterminator="\n")
    files = sorted(path for path in unpacked_folder.rglob("*") if path.is_file())
    for path in files:
        content = path.read_bytes()
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        writer.writerow([path.relative_to(unpacked_folder).as_posix(), f"sha256={digest}", len(content)])
    writer.writerow([record.relative_to(unpacked_folder).as_posix(), "", ""])
    record.write_bytes(rows.getvalue().encode())
    wheel_name = f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(folder / wheel_name, "w", zipfile.ZIP_DEFLATED) as wheel:
        # The specification recommends metadata at the end.
        for path in sorted([*files, record], key=lambda path: (path.is_relative_to(metadata_folder), path)):
            wheel.write(path, path.relative_to(unpacked_folder).as_posix())
    return wheel_name
