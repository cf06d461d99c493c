"""The kernels' tests once more as plain Python: what is compiled is what is written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent


# Apart, so that several processes of pytest can share them.
@pytest.mark.parametrize(
    "layer",
    # Python takes most of a minute for the largest of the layers.
    ["machine", pytest.param("linear", marks=pytest.mark.slow), "networks"],
)
def test_kernels_uncompiled(layer):
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(TESTS / "kernels" / layer)],
        cwd=TESTS.parent,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stdout[-4000:] + finished.stderr[-2000:]
