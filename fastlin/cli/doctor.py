"""The commands for an installation: `info` and `doctor` describe it, and `warmup` compiles all code."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import warnings
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import threadpoolctl
from scipy import sparse
from sklearn.datasets import load_breast_cancer, load_digits

from fastlin import LogisticRegression, __version__
from fastlin.cli.arguments import command
from fastlin.environment.extras import EXTRAS
from fastlin.environment.terminal import make_printable, show_progress_bar
from fastlin.estimators.summary import format_lines
from fastlin.kernels.machine.cache_folder import cache_folder, code_folders
from fastlin.kernels.machine.saved_code import CODE_SUFFIX
from fastlin.kernels.machine.target import TARGET
from fastlin.kernels.machine.threads import count_threads

# The packages that fastlin requires, the packages of its extras, and the DataFrame libraries that it accepts.
REQUIRED_PACKAGES = (
    "numpy",
    "numba",
    "llvmlite",
    "scipy",
    "scikit-learn",
    "threadpoolctl",
    "joblib",
    "platformdirs",
    "click",
)
OPTIONAL_PACKAGES = dict.fromkeys(name for names in EXTRAS.values() for name in names)
PACKAGES = (*REQUIRED_PACKAGES, *OPTIONAL_PACKAGES, "pandas", "polars")
PROCESSOR_INFO_FILE = Path("/proc/cpuinfo")
# Prefixes of environment variables that affect fastlin or the libraries that it uses.
ENVIRONMENT_VARIABLE_PREFIXES = ("FASTLIN_", "NUMBA_", "OMP_", "OPENBLAS_", "MKL_", "XDG_CACHE_HOME")
FIT_TOL = 1e-6
# Minima of J, accurate to 1e-11.
DIGITS_MINIMUM_OBJECTIVE = 0.1995264038586
CANCER_MINIMUM_OBJECTIVE = 0.2046573294868


def describe_environment() -> dict[str, Any]:
    """Return a dict with the versions, the processor, the number of threads and the folder of compiled code."""
    folders = [folder for folder in code_folders() if folder == cache_folder() or folder.exists()]
    return {
        "fastlin": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{package: _find_version(package) for package in PACKAGES},
        "processor": _describe_processor(),
        "vectors": f"{8 * TARGET.vector_bytes} bits",
        "processors": os.cpu_count(),
        "threads": _count_threads(),
        "blas": [
            f"{library['internal_api']} {library['version']}, {library['num_threads']} threads"
            for library in threadpoolctl.threadpool_info()
            if library["user_api"] == "blas"
        ],
        "compiled_code": describe_compiled_code(),
        "cache": ", ".join(str(folder) + ("" if folder == cache_folder() else " (only read)") for folder in folders)
        or "none: no folder is writable",
    }


def format_environment() -> list[str]:
    """Return a line for each entry of `describe_environment`."""
    lines = {}
    for name, value in describe_environment().items():
        lines[name.replace("_", " ")] = ", ".join(value) if isinstance(value, list) else str(value)
    return list(format_lines(lines))


def _count_threads():
    """Return the number of threads, or the error message if an invalid number is set."""
    try:
        return count_threads()
    except ValueError as error:
        return str(error)


def _find_version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def describe_compiled_code() -> str:
    """Describe the compiled kernels that this process uses, with the numbers of kernels in the wheel and the cache."""
    # The cache may also contain kernels for other processors and other settings of Numba.
    n_cached_kernels = sum(len(list(folder.glob(f"*{CODE_SUFFIX}"))) for folder in code_folders())
    if TARGET.archive is None:
        return f"compiled for this processor, {n_cached_kernels} in the cache"
    return f"{TARGET.name}, {TARGET.archive.n_kernels} kernels from the wheel, {n_cached_kernels} in the cache"


def _describe_processor():
    """Return the processor's name and LLVM's name for it. LLVM's name determines which instructions kernels use."""
    import llvmlite.binding

    name = platform.processor() or platform.machine()
    # This file contains the model name of the processor. It only exists on Linux.
    with contextlib.suppress(OSError, StopIteration):
        lines = PROCESSOR_INFO_FILE.read_text("utf-8").splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return f"{name} ({llvmlite.binding.get_host_cpu_name()})"


@command("show versions, processor, threads and the folder of compiled code")
def info(options: SimpleNamespace) -> int:
    """Show versions, the processor, the number of threads, and which compiled code is used, with its folder.

    Examples
    --------
      fastlin info
    """
    print(*format_environment(), sep="\n")
    return 0


@command("when a result looks wrong: check this installation, for a bug report")
def doctor(options: SimpleNamespace) -> int:
    """Describe this installation and compare small fits with stored results, for a bug report.

    The exit status is 1 if a result differs.

    Examples
    --------
      fastlin doctor > doctor.txt
    """
    environment_variables = [
        f"{name}={value}"
        for name, value in sorted(os.environ.items())
        if name.startswith(ENVIRONMENT_VARIABLE_PREFIXES)
    ]
    print(*format_environment(), *map(make_printable, environment_variables), sep="\n")
    n_passed = 0
    for name, check in INSTALLATION_CHECKS.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                has_passed, details = check()
        except Exception as error:
            has_passed, details = False, f"{type(error).__name__}: {error}"
        n_passed += has_passed
        print(make_printable(f"{'passed' if has_passed else 'FAILED'}  {name}: {details}"), flush=True)
    print(f"{n_passed} of {len(INSTALLATION_CHECKS)} checks passed.")
    return int(n_passed < len(INSTALLATION_CHECKS))


@command("before the first fit: compile all code once, for later processes")
def warmup(options: SimpleNamespace) -> int:
    """Compile the code of estimators and trainers for float64, float32 and uint8 data, for all later processes.

    This is not necessary after an installation from a wheel with compiled code.

    Examples
    --------
      fastlin warmup
    """
    from fastlin.warmup import STEPS

    begin = perf_counter()
    with show_progress_bar("fastlin", len(STEPS)) as show_step:
        for n_done_steps, (name, compile_step) in enumerate(STEPS.items()):
            show_step(n_done_steps, name)
            compile_step()
        show_step(len(STEPS), "done")
    folder = cache_folder()
    storage_note = (
        "could not be stored, because no cache folder is writable" if folder is None else f"is stored in {folder}"
    )
    print(make_printable(f"Ready after {perf_counter() - begin:.1f} s; the compiled code {storage_note}."))
    return 0


def _check_fitted_minimum(minimum, X, y, **parameters):
    """Fit a model. Return whether its objective is within the relative `FIT_TOL` of `minimum`, and details."""
    objective = LogisticRegression(tol=FIT_TOL, **parameters).fit(X, y).history_[-1].objective
    # The stored minimum has a relative error of 1e-12. The rounding error of J is much smaller.
    has_passed = -1e-11 * minimum <= objective - minimum <= FIT_TOL * minimum
    return has_passed, f"J = {objective:.12g}, the minimum is {minimum:.12g}"


def _check_digits(make_matrix=np.asarray):
    X, y = load_digits(return_X_y=True)
    return _check_fitted_minimum(DIGITS_MINIMUM_OBJECTIVE, make_matrix(X / 16), y)


def _check_cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return _check_fitted_minimum(CANCER_MINIMUM_OBJECTIVE, X / X.std(axis=0), y, l1_ratio=1.0, C=0.1)


INSTALLATION_CHECKS: dict[str, Callable[[], tuple[bool, str]]] = {
    "digits, softmax, L2": _check_digits,
    "digits, sparse": lambda: _check_digits(sparse.csr_array),
    "breast cancer, two classes, L1": _check_cancer,
}
