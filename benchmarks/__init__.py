"""The benchmarks. Importing this package removes environment variables that would slow down the BLAS of baselines."""

import os
import sys

# OpenBLAS reads these when NumPy loads it: a choice of kernels for another processor, and a limit of threads.
BLAS_LIMITS = "OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS"

# Every command imports this package before NumPy, except pytest, whose conftest restarts the process.
if "numpy" not in sys.modules:
    for _variable in BLAS_LIMITS:
        os.environ.pop(_variable, None)
