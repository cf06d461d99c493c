"""The kernels' tests once more as plain Python: what is compiled is what is written."""

import os
import subprocess
import sys

import pytest
from repository import ROOT

KERNELS = ROOT / "tests" / "kernels"
# The tests of what depends on the width of vectors.
BY_WIDTH = ("exponential", "gather", "instructions", "prefetch", "products", "tiles")
# Numba's names for a processor without any feature that it has to be told of, as arm64 is: 16 bytes make a vector.
NARROWEST = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}


def run_uncompiled(paths, **environment):
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *map(str, paths)],
        cwd=ROOT,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stdout[-4000:] + finished.stderr[-2000:]


# Python takes most of a minute for the largest of the layers.
@pytest.mark.thorough
@pytest.mark.parametrize("layers", ["machine networks", pytest.param("linear", marks=pytest.mark.slow)])
def test_kernels_uncompiled(layers):
    run_uncompiled(KERNELS / layer for layer in layers.split())


@pytest.mark.slow
def test_kernels_uncompiled_with_the_vectors_of_arm64():
    run_uncompiled((KERNELS / "machine" / f"test_{name}.py" for name in BY_WIDTH), **NARROWEST)
