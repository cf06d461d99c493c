"""The benchmarks. A baseline's BLAS is free to use the processor: what would hold it back leaves the environment here."""

import os
import sys

# OpenBLAS reads them when NumPy loads it: the kernels for another processor, and the most threads.
HELD_BACK_BY = "OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS"

# Every command imports this package before NumPy, except pytest, whose conftest starts the process again.
if "numpy" not in sys.modules:
    for _variable in HELD_BACK_BY:
        os.environ.pop(_variable, None)
