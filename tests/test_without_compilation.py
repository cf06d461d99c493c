"""The kernels' tests once more as plain Python: what is compiled is what is written."""

import os
import subprocess
import sys
from pathlib import Path


def test_kernels_uncompiled():
    tests = Path(__file__).parent
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests / "kernels")],
        cwd=tests.parent,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert finished.returncode == 0, finished.stdout[-4000:] + finished.stderr[-2000:]
