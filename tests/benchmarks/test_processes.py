"""Processes import fastlin from the path of the process that starts them; the cost of the first use is measured."""

import os
import sys
from importlib.util import module_from_spec, spec_from_file_location
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import BLAS_LIMIT_VARIABLES, processes
from benchmarks.memory import count_bytes
from benchmarks.processes import FIRST_USE_TITLES, ROOT, call_in_process, measure_first_use, run_python

PRINT_PATHS_PROGRAM = "import fastlin, benchmarks; print(fastlin.__file__); print(benchmarks.__path__[0])"


def test_blas_limits_are_removed_before_numpy_is_loaded():
    program = "import benchmarks, os; print(sorted(set(benchmarks.BLAS_LIMIT_VARIABLES) & os.environ.keys()))"
    limits = dict.fromkeys(BLAS_LIMIT_VARIABLES, "1")
    assert run_python("-c", program, **limits).strip() == "[]"


def test_pytest_restarts_without_the_blas_limits(monkeypatch):
    path = ROOT / "benchmarks" / "pytest" / "conftest.py"
    spec = spec_from_file_location("benchmarks_conftest", path)
    conftest = module_from_spec(spec)
    spec.loader.exec_module(conftest)
    execve_calls = []
    monkeypatch.setattr(os, "execve", lambda *arguments: execve_calls.append(arguments))
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    conftest.pytest_cmdline_main(SimpleNamespace(getoption=lambda name, default: False))
    assert not execve_calls
    conftest.pytest_cmdline_main(SimpleNamespace(getoption=lambda name, default: True))
    ((program, arguments, environment),) = execve_calls
    assert (program, arguments) == (sys.executable, sys.orig_argv)
    assert os.environ.keys() - environment.keys() == {"OPENBLAS_CORETYPE"} | (
        set(BLAS_LIMIT_VARIABLES) & os.environ.keys()
    )


def test_an_installed_fastlin_takes_precedence_over_the_checkout(tmp_path, monkeypatch):
    installed_file = tmp_path / "fastlin" / "__init__.py"
    installed_file.parent.mkdir()
    installed_file.touch()
    monkeypatch.setattr(processes, "FASTLIN_ROOT", tmp_path)
    package, benchmarks = run_python("-c", PRINT_PATHS_PROGRAM).split()
    assert Path(package) == installed_file
    assert Path(benchmarks) == ROOT / "benchmarks"


def test_a_process_imports_a_package_that_is_not_on_the_path(monkeypatch):
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if Path(folder).resolve() != ROOT])
    assert call_in_process(count_bytes, np.zeros(3)) == 24


@pytest.fixture
def cache_folders(monkeypatch):
    """Replace processes; return the list of the cache folders that they received."""
    calls, numbers = [], count(1)

    def run(module, cache):
        calls.append(cache)
        return [float(next(numbers)), 10.0 * len(calls)]

    monkeypatch.setattr(processes, "measure_import_and_fit", run)
    return calls


def test_the_first_fit_after_installation_uses_a_new_cache_folder(cache_folders):
    records = measure_first_use(is_full_run=True)
    assert records.keys() == FIRST_USE_TITLES.keys()
    seconds = {case: [each["seconds"] for each in record["libraries"].values()] for case, record in records.items()}
    # The simulated processes take 1, 2, ... seconds for the import, and 10, 20, ... seconds in total.
    assert seconds == {"import": [6, 7], "first-fit": [60, 70], "first-fit-ever": [10, 70]}
    assert len(set(cache_folders)) == 1
    assert cache_folders[0] is not None


def test_other_fits_use_the_cache_folder_of_the_user(cache_folders):
    records = measure_first_use()
    assert records.keys() == FIRST_USE_TITLES.keys() - {"first-fit-ever"}
    # The first of three processes compiles the kernels that are not in the cache.
    assert cache_folders == [None] * 3
    assert [each["seconds"] for each in records["import"]["libraries"].values()] == [2, 3]
