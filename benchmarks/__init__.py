"""Benchmarks. Importing this package removes environment variables that would slow down the baselines' BLAS."""

import os
import sys

# OpenBLAS reads these when NumPy loads it: kernels for another processor, and a maximum number of threads.
BLAS_LIMIT_VARIABLES = "OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS"

# Every command except pytest imports this package before NumPy. With pytest, the conftest restarts the process.
if "numpy" not in sys.modules:
    for _variable in BLAS_LIMIT_VARIABLES:
        os.environ.pop(_variable, None)
