"""The kernel tests in plain Python, without compilation."""

import os
import subprocess
import sys

import pytest
from repository import ROOT

KERNELS = ROOT / "tests" / "kernels"
# This file compares sums over sparse rows with sums over dense rows.
SPARSE = ROOT / "tests" / "matrices" / "test_sparse.py"
# Tests of code that depends on the vector width.
BY_WIDTH = (
    *(f"machine/test_{name}.py" for name in ("exponential", "prefetch", "tiles")),
    *(f"linear/test_{name}.py" for name in ("dense_rows", "sparse_rows")),
)
# A generic processor without optional features has 16-byte vectors, as arm64 does.
NARROWEST = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}


# The largest layer takes Python most of a minute.
@pytest.mark.parametrize(
    ("paths", "environment"),
    [
        pytest.param(["machine", "networks"], {}, id="machine, networks", marks=pytest.mark.thorough),
        pytest.param(["linear", SPARSE], {}, id="linear", marks=pytest.mark.slow),
        pytest.param(BY_WIDTH, NARROWEST, id="arm64", marks=pytest.mark.slow),
    ],
)
def test_kernels_uncompiled(paths, environment):
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(KERNELS / path for path in paths)],
        cwd=ROOT,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stdout[-4000:] + finished.stderr[-2000:]
