"""Processes of Python for what has to be measured from the start of one: the peak of memory, and the first use.

The first use is the import, the first fit ever, for which no kernel is compiled, and the first fit of a process. The
fits are of scikit-learn's digits, and their times include the import.
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
from fastlin.course.worker_process import WorkerProcess

# Where the packages benchmarks and fastlin lie; asv installs the latter.
ROOT = Path(__file__).parent.parent
FASTLIN_ROOT = Path(fastlin.__file__).parent.parent
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
# Arrays of a megabyte and more go back to the system when they are freed. malloc would learn to keep those below 32.
GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": str(1 << 20)}
N_REPETITIONS = 5
PROGRAM = """
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
MODULES = {FASTLIN: "fastlin", "scikit-learn": "sklearn.linear_model"}
TITLES = {
    "import": "the import",
    "first-fit": "import and first fit of a process",
    "first-fit-ever": "import and first fit ever",
}


def list_places():
    """Return where a process finds this fastlin and this package."""
    return [str(FASTLIN_ROOT), str(ROOT)]


def run_python(*arguments, under=(), **variables):
    """Run Python, perhaps by a program, with arguments and variables in an empty folder; return what it prints."""
    places = [*list_places(), *filter(None, [os.environ.get("PYTHONPATH")])]
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run(
            [*under, sys.executable, *map(str, arguments)],
            cwd=folder,
            env={**os.environ, **variables, "PYTHONPATH": os.pathsep.join(places)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout


def call_elsewhere(function, *arguments):
    """Return what a function of a module makes of arguments in a process of its own, which can reset its peak."""
    if not RESET.exists():
        raise NotImplementedError("Only Linux can reset the peak of a process.")
    with (
        patch.dict(os.environ, GIVE_BACK),
        # asv imports this package without a place in the path.
        patch.object(sys, "path", [*list_places(), *sys.path]),
        closing(WorkerProcess()) as process,
    ):
        return process.call(function, *arguments)


def measure_rise(call):
    """Return the bytes by which a call raises the peak of this process above the memory that it holds now."""
    RESET.write_text("5", "ascii")
    before = _read_peak()
    call()
    return _read_peak() - before


def _read_peak():
    lines = STATUS.read_text("utf-8").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) << 10


def run_first(module, cache):
    """Return the seconds of an import, and of it with a fit of digits; without a cache kernels lie in the user's."""
    variables = {} if cache is None else {"NUMBA_CACHE_DIR": str(cache)}
    return [float(number) for number in run_python("-c", PROGRAM.format(module=module), **variables).split()]


def measure_first_use(whole=False):
    """Return a record for each of TITLES by name; later processes load the kernels that the first fit ever leaves."""
    with tempfile.TemporaryDirectory() as folder:
        cache = folder if whole else None
        ever = run_first(MODULES[FASTLIN], cache)[1]
        repetitions = [
            {name: run_first(module, cache) for name, module in MODULES.items()}
            for _ in range(N_REPETITIONS if whole else 1)
        ]
    seconds = {}
    for place, case in enumerate(("import", "first-fit")):
        seconds[case] = {name: median(repetition[name][place] for repetition in repetitions) for name in MODULES}
    if whole:
        # scikit-learn compiles nothing: its first fit is like every other.
        seconds["first-fit-ever"] = {**seconds["first-fit"], FASTLIN: ever}
    return {
        case: {
            "kind": "first use",
            "title": TITLES[case],
            "data": "digits, 1,797 × 64" if "fit" in case else "",
            "libraries": {name: {"seconds": value} for name, value in of_case.items()},
        }
        for case, of_case in seconds.items()
    }
