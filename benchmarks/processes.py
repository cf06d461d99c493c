"""Processes of Python for what has to be measured from the start of one, and the peak of their memory."""

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from unittest.mock import patch

import fastlin

# Where the packages benchmarks and fastlin lie. The latter may be an installed one, as under asv, which builds one for
# each commit.
ROOT = Path(__file__).parent.parent
FASTLIN_ROOT = Path(fastlin.__file__).parent.parent
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
# Arrays of a megabyte and more go back to the system when they are freed. malloc would learn to keep those below 32.
GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": str(1 << 20)}


def run_python(*arguments, under=(), **variables):
    """Run Python with arguments and variables of the environment, in an empty folder, and return what it prints.

    The words of `under` are a program that runs Python. The process imports the same fastlin as this one.
    """
    places = [str(FASTLIN_ROOT), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
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
    """Return what a function of a module makes of arguments in a process of its own."""
    check_system()
    with patch.dict(os.environ, GIVE_BACK), ProcessPoolExecutor(1, get_context("spawn")) as executor:
        return executor.submit(function, *arguments).result()


def check_system():
    """Raise NotImplementedError where no process can reset its peak; asv and pytest then skip the benchmark."""
    if not RESET.exists():
        raise NotImplementedError("Only Linux can reset the peak of a process.")


def measure_rise(call):
    """Return the bytes by which a call raises the peak of this process above the memory that it holds now."""
    RESET.write_text("5", "ascii")
    before = _read_peak()
    call()
    return _read_peak() - before


def _read_peak():
    lines = STATUS.read_text("utf-8").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) << 10
