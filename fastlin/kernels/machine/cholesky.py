"""Cholesky factors of symmetric matrices, and solutions with them, the same bits for any number of threads.

LAPACK's routines are not used: the threads of BLAS change their bits, and limiting those threads is a setting of the
whole process.
"""

import math

import numpy as np

from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.instructions import compile_apart, compile_small
from fastlin.kernels.machine.prefetch import empty_list
from fastlin.kernels.machine.products import add_scores
from fastlin.kernels.machine.simd import ROW_GROUP
from fastlin.kernels.machine.tiles import zeros_padded

# Columns that are factorised together; the products of tiles subtract what the columns before them contribute.
PANEL_COLUMNS = 32
# Only a pivot below this part of its diagonal entry can be too small for its column.
SMALL_PIVOT = 1e-3
MACHINE_EPSILON, MACHINE_EPSILON_SINGLE = 2.0**-52, 2.0**-23


@kernel
def factorize_block(block, n_blocks, matrices, ridge, triangles):
    """Fill triangles[block] with L, where L L' = A + ridge diag(A).

    A is the lower triangle of matrices[block] (m, m). triangles (n_blocks, m (m + 1) / 2), of the same type, takes the
    rows of L one after the other. Where A is not positive definite by more than rounding, a pivot is raised to the
    diagonal entry it came from, or so far that no entry of L exceeds the root of the diagonal entry of its row, as in a
    positive matrix. L L' then adds to A what it lacks (a modified Cholesky factorisation, Nocedal and Wright 2006,
    section 3.4).
    """
    compile_small()
    matrix = matrices[block]
    size = matrix.shape[0]
    n_rows = (size + ROW_GROUP - 1) // ROW_GROUP * ROW_GROUP
    factor = zeros_padded(n_rows, size, matrix.dtype)
    for i in range(size):
        for j in range(i + 1):
            factor[i, j] = matrix[i, j]
        factor[i, i] += matrix.dtype.type(ridge) * matrix[i, i]
    nothing = empty_list(np.int64(1))
    for first in range(0, size, PANEL_COLUMNS):
        count = PANEL_COLUMNS if PANEL_COLUMNS < size - first else size - first
        if first > 0:
            panel = zeros_aligned((count, first), matrix.dtype)
            for k in range(count):
                for j in range(first):
                    panel[k, j] = factor[first + k, j]
            rows_left = n_rows - first
            products = zeros_aligned((count, rows_left), matrix.dtype)
            add_scores(factor[first:], rows_left, panel, np.int64(0), products, nothing)
            for i in range(size - first):
                for k in range(i + 1 if i + 1 < count else count):
                    factor[first + i, first + k] -= products[k, i]
        _factorize_panel(factor, matrix, first, count, size)
    for i in range(size):
        packed, row = triangles[block, i * (i + 1) // 2 :], factor[i]
        for j in range(i + 1):
            packed[j] = row[j]


@kernel(inner=True)
def _factorize_panel(factor, matrix, first, count, size):
    compile_apart()
    smallest = matrix.dtype.type(4 * (MACHINE_EPSILON if matrix.itemsize == 8 else MACHINE_EPSILON_SINGLE))
    column = zeros_aligned(count, matrix.dtype)
    for k in range(count):
        pivot = factor[first + k, first + k]
        diagonal = matrix[first + k, first + k]
        if not diagonal > 0:
            diagonal = matrix.dtype.type(1)
        if not pivot > smallest * diagonal:
            pivot = diagonal
        if not pivot > SMALL_PIVOT * diagonal or pivot == diagonal:
            for i in range(first + k + 1, size):
                entry = factor[i, first + k]
                largest = matrix[i, i] if matrix[i, i] > 0 else matrix.dtype.type(1)
                if entry * entry > pivot * largest:
                    pivot = entry * entry / largest
        root = matrix.dtype.type(math.sqrt(pivot))
        factor[first + k, first + k] = root
        for other in range(k + 1, count):
            column[other] = factor[first + other, first + k] / root
        for i in range(first + k + 1, size):
            entry = factor[i, first + k] / root
            factor[i, first + k] = entry
            row = factor[i, first + k + 1 : first + count]
            for j in range(row.shape[0]):
                row[j] -= entry * column[k + 1 + j]


@kernel
def solve_block(block, n_blocks, triangles, values):
    """Overwrite the block's rows k of values (C, m), float64, with the solution of L L' x = values[k].

    L is triangles[k] as factorize_block packs it, or triangles[0] where there is only one. Everything is computed in
    its type.
    """
    n_rows, size = values.shape
    x = zeros_aligned(size, triangles.dtype)
    for k in range(block * n_rows // n_blocks, (block + 1) * n_rows // n_blocks):
        factor = triangles[k if triangles.shape[0] > 1 else 0]
        for i in range(size):
            x[i] = values[k, i]
        for i in range(size):
            first = i * (i + 1) // 2
            total = factor.dtype.type(0)
            row, known = factor[first : first + i], x[:i]
            for j in range(row.shape[0]):
                total += row[j] * known[j]
            x[i] = (x[i] - total) / factor[first + i]
        for i in range(size - 1, -1, -1):
            first = i * (i + 1) // 2
            x[i] /= factor[first + i]
            entry, row, known = x[i], factor[first : first + i], x[:i]
            for j in range(row.shape[0]):
                known[j] -= entry * row[j]
        for i in range(size):
            values[k, i] = x[i]
