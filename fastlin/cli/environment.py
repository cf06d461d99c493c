"""Describes where the program runs: versions, processor, threads and the place of compiled code."""

import contextlib
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

import threadpoolctl

from fastlin import __version__
from fastlin.estimators.summary import lay_out
from fastlin.extras import EXTRAS
from fastlin.kernels.machine.cache_folder import cache_folder, code_folders
from fastlin.kernels.machine.saved_code import ENDING
from fastlin.kernels.machine.target import TARGET
from fastlin.kernels.machine.threads import count_threads

# What fastlin computes with, what its extras bring, and the libraries of tables that it reads.
REQUIRED = ("numpy", "numba", "llvmlite", "scipy", "scikit-learn", "threadpoolctl", "joblib", "platformdirs", "click")
OPTIONAL = dict.fromkeys(name for names in EXTRAS.values() for name in names)
PACKAGES = (*REQUIRED, *OPTIONAL, "pandas", "polars")
PROCESSORS = Path("/proc/cpuinfo")
THREADING_LAYER = "Python threads over row blocks; kernels hold no interpreter lock"


def describe_environment() -> dict[str, Any]:
    """Return versions, processor, threads and the place and size of compiled code, as plain values by name."""
    folders = [folder for folder in code_folders() if folder == cache_folder() or folder.exists()]
    size = 0
    for file in [file for folder in folders if folder.exists() for file in folder.iterdir()]:
        # Another process may remove a file between the listing and this line.
        with contextlib.suppress(OSError):
            size += file.stat().st_size
    return {
        "fastlin": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{package: _find_version(package) for package in PACKAGES},
        "processor": _name_processor(),
        "vectors": f"{8 * TARGET.vector_bytes} bits",
        "processors": os.cpu_count(),
        "threads": _tell_threads(),
        "threading_layer": THREADING_LAYER,
        "blas": [
            f"{library['internal_api']} {library['version']}, {library['num_threads']} threads"
            for library in threadpoolctl.threadpool_info()
            if library["user_api"] == "blas"
        ],
        "compiled_code": describe_code(),
        "cache": ", ".join(str(folder) + ("" if folder == cache_folder() else " (only read)") for folder in folders)
        or "none: no place is writable",
        "cache_megabytes": round(size / 1e6, 1),
    }


def lay_out_environment() -> list[str]:
    """Return a line for each of what `describe_environment` tells."""
    environment = describe_environment()
    texts = {name: ", ".join(value) if isinstance(value, list) else str(value) for name, value in environment.items()}
    return list(lay_out({name.replace("_", " "): text for name, text in texts.items()}))


def _tell_threads():
    """Return the number of threads, or what is wrong with the setting: a description is asked for where fits fail."""
    try:
        return count_threads()
    except ValueError as error:
        return str(error)


def _find_version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def describe_code() -> str:
    """Return which code of the kernels this process uses: how many the wheel carries, and how many the cache keeps."""
    # Kernels of other processors and settings of Numba may lie there too.
    kept = f"{len([path for folder in code_folders() for path in folder.glob(f'*{ENDING}')])} in the cache"
    if TARGET.archive is None:
        return f"this processor's own, {kept}"
    return f"{TARGET.name}, {TARGET.archive.n_kernels} kernels from the wheel, {kept}"


def _name_processor():
    """Return the processor's name and LLVM's name for it, which decides the instructions that kernels use."""
    import llvmlite.binding

    name = platform.processor() or platform.machine()
    # Linux alone says the model's name here.
    with contextlib.suppress(OSError, StopIteration):
        lines = PROCESSORS.read_text("utf-8").splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return f"{name} ({llvmlite.binding.get_host_cpu_name()})"
