"""All compiled functions. Only this package imports Numba, and it checks Numba's version.

A kernel is a function of arrays and numbers. It validates nothing and writes into arrays that its caller owns. There
are three layers. `machine` depends on the processor: compilation and its cache, threads, vectors, tiles.
`linear` computes passes over dense rows, sparse rows and columns for linear models. `networks` contains the layers of a
network, except for its matrix products, and mini-batch steps. `linear` and `networks` import `machine`, never the
reverse.
"""

from fastlin.kernels.numba_versions import check_numba

check_numba()
