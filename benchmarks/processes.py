"""Measurements in new Python processes: peak memory and first use.

First use means the import, the first fit ever (before any kernel is compiled), and the first fit of a process. The fits
use scikit-learn's digits, and their times include the import.
"""

import os
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from statistics import median
from unittest.mock import patch

import fastlin
from benchmarks.comparisons import FASTLIN
from fastlin.benchmarking.worker_process import WorkerProcess

# The parent folders of the packages benchmarks and fastlin. asv installs fastlin.
ROOT = Path(__file__).parent.parent
FASTLIN_ROOT = Path(fastlin.__file__).parent.parent
STATUS_FILE, PEAK_RESET_FILE = Path("/proc/self/status"), Path("/proc/self/clear_refs")
# Freed arrays of at least 1 MB return to the system. By default, malloc raises this threshold to as much as 32 MB.
MALLOC_SETTINGS = {"MALLOC_MMAP_THRESHOLD_": str(1 << 20)}
N_REPETITIONS = 5
FIRST_USE_PROGRAM = """
from time import perf_counter
begin = perf_counter()
from {module} import LogisticRegression
import_seconds = perf_counter() - begin
from sklearn.datasets import load_digits
X, y = load_digits(return_X_y=True)
begin = perf_counter()
LogisticRegression(max_iter=1000).fit(X, y)
print(import_seconds, import_seconds + perf_counter() - begin)
"""
LIBRARY_MODULES = {FASTLIN: "fastlin", "scikit-learn": "sklearn.linear_model"}
FIRST_USE_TITLES = {
    "import": "the import",
    "first-fit": "import and first fit of a process",
    "first-fit-ever": "import and first fit ever",
}


def list_import_paths():
    """Return the folders from which a process imports this version of fastlin and this package."""
    return [str(FASTLIN_ROOT), str(ROOT)]


def run_python(*arguments, wrapper_command=(), **environment_variables):
    """Run Python in an empty folder, optionally under another program, and return its standard output."""
    paths = [*list_import_paths(), *filter(None, [os.environ.get("PYTHONPATH")])]
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run(
            [*wrapper_command, sys.executable, *map(str, arguments)],
            cwd=folder,
            env={**os.environ, **environment_variables, "PYTHONPATH": os.pathsep.join(paths)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout


def call_in_process(function, *arguments):
    """Return the result of an importable function in a new process. The process can reset its peak memory."""
    if not PEAK_RESET_FILE.exists():
        raise NotImplementedError("Only Linux can reset the peak of a process.")
    with (
        patch.dict(os.environ, MALLOC_SETTINGS),
        # asv imports this package although its folder is not on sys.path.
        patch.object(sys, "path", [*list_import_paths(), *sys.path]),
        closing(WorkerProcess()) as worker_process,
    ):
        return worker_process.call(function, *arguments)


def measure_peak_increase(call):
    """Return the bytes by which a call increases this process's peak memory above its current memory."""
    PEAK_RESET_FILE.write_text("5", "ascii")
    initial_peak_bytes = _read_peak_bytes()
    call()
    return _read_peak_bytes() - initial_peak_bytes


def _read_peak_bytes():
    lines = STATUS_FILE.read_text("utf-8").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) << 10


def measure_import_and_fit(module, cache_folder):
    """Return the seconds of an import, and of an import plus a fit to digits. `cache_folder` is a folder or None."""
    environment_variables = {} if cache_folder is None else {"NUMBA_CACHE_DIR": str(cache_folder)}
    return [
        float(number)
        for number in run_python("-c", FIRST_USE_PROGRAM.format(module=module), **environment_variables).split()
    ]


def measure_first_use(is_full_run=False):
    """Return the record of each of FIRST_USE_TITLES. Later processes load the kernels that the first fit compiled."""
    with tempfile.TemporaryDirectory() as folder:
        cache_folder = folder if is_full_run else None
        first_fit_seconds = measure_import_and_fit(LIBRARY_MODULES[FASTLIN], cache_folder)[1]
        repetitions = [
            {name: measure_import_and_fit(module, cache_folder) for name, module in LIBRARY_MODULES.items()}
            for _ in range(N_REPETITIONS if is_full_run else 1)
        ]
    seconds = {}
    for index, case in enumerate(("import", "first-fit")):
        seconds[case] = {
            name: median(repetition[name][index] for repetition in repetitions) for name in LIBRARY_MODULES
        }
    if is_full_run:
        # scikit-learn compiles nothing, so its first fit is like all its other fits.
        seconds["first-fit-ever"] = {**seconds["first-fit"], FASTLIN: first_fit_seconds}
    return {
        case: {
            "kind": "first use",
            "title": FIRST_USE_TITLES[case],
            "data": "digits, 1,797 × 64" if "fit" in case else "",
            "libraries": {name: {"seconds": value} for name, value in case_seconds.items()},
        }
        for case, case_seconds in seconds.items()
    }
