"""Every compiled function. Only this package imports Numba, whose version it checks.

A kernel is a function over arrays and numbers: it validates nothing and writes into arrays that its caller owns. There
are three layers. `machine` knows the processor: compilation and its cache, threads, vectors, tiles, prefetch. `linear`
makes passes over dense rows, sparse rows and columns for linear models. `networks` holds what surrounds the products
of a network, and the mini-batch steps of the course's models. `linear` and `networks` use `machine`, never the reverse.
"""

from fastlin.kernels.numba_versions import check_numba

check_numba()
