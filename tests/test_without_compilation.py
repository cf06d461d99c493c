"""The kernels' tests once more as plain Python: what is compiled is what is written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent


# Python takes most of a minute for the largest of the layers.
@pytest.mark.parametrize("layers", ["machine networks", pytest.param("linear", marks=pytest.mark.slow)])
def test_kernels_uncompiled(layers):
    folders = [str(TESTS / "kernels" / layer) for layer in layers.split()]
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *folders],
        cwd=TESTS.parent,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stdout[-4000:] + finished.stderr[-2000:]
