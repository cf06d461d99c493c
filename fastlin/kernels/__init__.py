"""Every compiled function, and the only package that imports Numba: functions over arrays, no validation.

dense.py and curvature.py walk full rows, minibatch.py takes steps over shuffled ones, columns.py walks columns: all of
them load tiles (tiles.py) and multiply them (products.py, simd.py). sparse_rows.py and sparse_columns.py walk the
entries of sparse data, and sum what they meet in registers (gather.py). layers.py has what surrounds the products of a
network, which are BLAS's. compilation.py holds the decorator and the cache, threads.py the spreading over row blocks.
"""
