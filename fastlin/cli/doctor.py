"""Describes where the program runs, and compares results there with stored ones, on a page for an issue."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import threadpoolctl
from scipy import sparse
from sklearn.datasets import load_breast_cancer, load_digits

from fastlin import LogisticRegression, __version__
from fastlin.cli.arguments import command
from fastlin.estimators.summary import format_lines
from fastlin.extras import EXTRAS
from fastlin.kernels.machine.cache_folder import cache_folder, code_folders
from fastlin.kernels.machine.saved_code import SUFFIX
from fastlin.kernels.machine.target import TARGET
from fastlin.kernels.machine.threads import count_threads
from fastlin.terminal import make_printable

# What fastlin computes with, what its extras bring, and the libraries of tables that it reads.
REQUIRED = ("numpy", "numba", "llvmlite", "scipy", "scikit-learn", "threadpoolctl", "joblib", "platformdirs", "click")
OPTIONAL = dict.fromkeys(name for names in EXTRAS.values() for name in names)
PACKAGES = (*REQUIRED, *OPTIONAL, "pandas", "polars")
PROCESSORS = Path("/proc/cpuinfo")
# What changes how fastlin or the libraries below it behave.
VARIABLES = ("FASTLIN_", "NUMBA_", "OMP_", "OPENBLAS_", "MKL_", "XDG_CACHE_HOME")
TOL = 1e-6
# Minima of J to 1e-11.
MINIMUM_OF_DIGITS = 0.1995264038586
MINIMUM_OF_CANCER = 0.2046573294868


def describe_environment() -> dict[str, Any]:
    """Return versions, processor, threads and the place of compiled code, as plain values by name."""
    folders = [folder for folder in code_folders() if folder == cache_folder() or folder.exists()]
    return {
        "fastlin": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{package: _find_version(package) for package in PACKAGES},
        "processor": _name_processor(),
        "vectors": f"{8 * TARGET.vector_bytes} bits",
        "processors": os.cpu_count(),
        "threads": _tell_threads(),
        "blas": [
            f"{library['internal_api']} {library['version']}, {library['num_threads']} threads"
            for library in threadpoolctl.threadpool_info()
            if library["user_api"] == "blas"
        ],
        "compiled_code": describe_code(),
        "cache": ", ".join(str(folder) + ("" if folder == cache_folder() else " (only read)") for folder in folders)
        or "none: no place is writable",
    }


def lay_out_environment() -> list[str]:
    """Return a line for each of what `describe_environment` tells."""
    environment = describe_environment()
    texts = {name: ", ".join(value) if isinstance(value, list) else str(value) for name, value in environment.items()}
    return list(format_lines({name.replace("_", " "): text for name, text in texts.items()}))


def _tell_threads():
    """Return the number of threads, or the fault of the setting: users ask for a description when fits fail."""
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
    kept = f"{sum(len(list(folder.glob(f'*{SUFFIX}'))) for folder in code_folders())} in the cache"
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


@command("when a result looks wrong: check this installation, for an issue")
def doctor(options: SimpleNamespace) -> int:
    """Describe this installation and compare small fits with stored ones, as a text for an issue.

    The exit status is 1 where a result differs.

    Examples
    --------
      fastlin doctor > doctor.txt
    """
    variables = [f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith(VARIABLES)]
    print(*lay_out_environment(), *map(make_printable, variables), sep="\n")
    n_passed = 0
    for name, check in CHECKS.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                passed, told = check()
        except Exception as error:
            passed, told = False, f"{type(error).__name__}: {error}"
        n_passed += passed
        print(make_printable(f"{'passed' if passed else 'FAILED'}  {name}: {told}"), flush=True)
    print(f"{n_passed} of {len(CHECKS)} checks passed.")
    return int(n_passed < len(CHECKS))


def _check_minimum(minimum, X, y, **parameters):
    """Return whether a fit's objective lies within the proven distance of the minimum, and a line about it."""
    objective = LogisticRegression(tol=TOL, **parameters).fit(X, y).history_[-1].objective
    # The minimum is stored to 1e-12 of it; the rounding of J is much smaller.
    passed = -1e-11 * minimum <= objective - minimum <= TOL * minimum
    return passed, f"J = {objective:.12g}, the minimum is {minimum:.12g}"


def _check_digits(as_matrix=np.asarray):
    X, y = load_digits(return_X_y=True)
    return _check_minimum(MINIMUM_OF_DIGITS, as_matrix(X / 16), y)


def _check_cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return _check_minimum(MINIMUM_OF_CANCER, X / X.std(axis=0), y, l1_ratio=1.0, C=0.1)


CHECKS: dict[str, Callable[[], tuple[bool, str]]] = {
    "digits, softmax, L2": _check_digits,
    "digits, sparse": lambda: _check_digits(sparse.csr_array),
    "breast cancer, two classes, L1": _check_cancer,
}
