"""The kernel tests in plain Python, without compilation."""

import os
import subprocess
import sys

import pytest
from repository import ROOT

KERNEL_TESTS = ROOT / "tests" / "kernels"
# This file compares sums over sparse rows with sums over dense rows.
SPARSE_TEST = ROOT / "tests" / "matrices" / "test_sparse.py"
# Tests of code that depends on the vector width.
VECTOR_WIDTH_TESTS = (
    *(f"machine/test_{name}.py" for name in ("exponential", "tiles")),
    *(f"linear/test_{name}.py" for name in ("dense_rows", "sparse_rows")),
)
# A generic processor without optional features has 16-byte vectors, as arm64 does.
NARROWEST_VECTOR_ENVIRONMENT = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}


# The largest layer takes Python most of a minute.
@pytest.mark.parametrize(
    ("paths", "environment"),
    [
        pytest.param(["machine", "networks"], {}, id="machine, networks", marks=pytest.mark.thorough),
        pytest.param(["linear", SPARSE_TEST], {}, id="linear", marks=pytest.mark.slow),
        pytest.param(VECTOR_WIDTH_TESTS, NARROWEST_VECTOR_ENVIRONMENT, id="arm64", marks=pytest.mark.slow),
    ],
)
def test_the_tests_of_the_kernels_pass_without_compilation(paths, environment):
    completed_process = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(KERNEL_TESTS / path for path in paths)],
        cwd=ROOT,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert completed_process.returncode == 0, completed_process.stdout[-4000:] + completed_process.stderr[-2000:]
