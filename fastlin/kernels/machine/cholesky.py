"""Cholesky factorizations of symmetric matrices, and solutions of linear systems with the factors.

The results are bitwise equal for any number of threads. LAPACK is not used because its results depend on the number of
BLAS threads, which can be limited only per process.
"""

import math

from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.emitter import VECTOR_BYTES
from fastlin.kernels.machine.intrinsics import optimize_for_size, prevent_inlining
from fastlin.kernels.machine.products import add_matrix_product

# The number of rows per step of a factorization. Each step subtracts the contributions of the previous rows with
# `add_matrix_product`, so this number is a multiple of the number of classes per tile of `add_matrix_product`.
ROWS_PER_BATCH = 30
# The number of rows per matrix product. The product adds the rows one after another, so its rounding error grows with
# their number. The error must be below the ridge on the diagonal (docs/benchmarks/design-choices.md: factorization in
# float32).
ROWS_PER_PRODUCT = 16
# A pivot can be too small for its row only if it is below this fraction of its diagonal entry.
SMALL_PIVOT_FRACTION = 1e-3
MACHINE_EPSILON, MACHINE_EPSILON_FLOAT32 = 2.0**-52, 2.0**-23


@kernel
def factorize_block(block, n_blocks, matrices, ridge, packed_factors):
    """Fill packed_factors[block] with U, where U' U = A + ridge diag(A).

    A is the upper triangle of matrices[block] (m, m). Entries left of the diagonal are not read. `packed_factors` has
    shape (n_blocks, m (m + 1) / 2) and the type of `matrices`. Triangles are packed: the rows of U follow one another,
    and each row starts at the diagonal. If A is not numerically positive definite, pivots that are too small are
    increased so that |U_ij| <= sqrt(A_jj), as in a positive definite matrix. A pivot that is not numerically positive
    becomes at least its original diagonal entry. U' U is then A plus a correction (a modified Cholesky factorization,
    Nocedal and Wright 2006, section 3.4).
    """
    optimize_for_size()
    matrix = matrices[block]
    size = matrix.shape[0]
    # Columns are stored in blocks of four vectors. Each block contains the entries of all rows, one row after another.
    block_width = 4 * VECTOR_BYTES // matrix.itemsize
    n_column_blocks = (size + block_width - 1) // block_width
    factor = zeros_aligned((n_column_blocks * size, block_width), matrix.dtype)
    for i in range(size):
        for column_block in range(i // block_width, n_column_blocks):
            begin = column_block * block_width if column_block * block_width > i else i
            row, target = (
                matrix[i, begin : (column_block + 1) * block_width],
                factor[column_block * size + i, begin % block_width :],
            )
            for j in range(row.shape[0]):
                target[j] = row[j]
        factor[i // block_width * size + i, i % block_width] += matrix.dtype.type(ridge) * matrix[i, i]
    multipliers = zeros_aligned((ROWS_PER_BATCH, size), matrix.dtype)
    for first in range(0, size, ROWS_PER_BATCH):
        stop = first + ROWS_PER_BATCH if first + ROWS_PER_BATCH < size else size
        for other in range(first, stop):
            column, negated_column = factor[other // block_width * size :], multipliers[other - first]
            for i in range(first):
                negated_column[i] = -column[i, other % block_width]
        for column_block in range(first // block_width, n_column_blocks):
            rows = factor[column_block * size : (column_block + 1) * size]
            for i in range(0, first, ROWS_PER_PRODUCT):
                end = i + ROWS_PER_PRODUCT if i + ROWS_PER_PRODUCT < first else first
                add_matrix_product(rows[i:end], end - i, multipliers[: stop - first, i:end], rows[first:stop])
        _factorize_rows(factor, matrix, first, stop)
    for i in range(size):
        packed_row = packed_factors[block, i * size - i * (i - 1) // 2 :]
        for column_block in range(i // block_width, n_column_blocks):
            begin = column_block * block_width if column_block * block_width > i else i
            end = (column_block + 1) * block_width if (column_block + 1) * block_width < size else size
            row, target = factor[column_block * size + i, begin % block_width :], packed_row[begin - i : end - i]
            for j in range(target.shape[0]):
                target[j] = row[j]


@kernel(inner=True)
def _factorize_rows(factor, matrix, first, stop):
    prevent_inlining()
    size, block_width = matrix.shape[0], factor.shape[1]
    smallest = matrix.dtype.type(4 * (MACHINE_EPSILON if matrix.itemsize == 8 else MACHINE_EPSILON_FLOAT32))
    negated_column = zeros_aligned((1, ROWS_PER_BATCH), matrix.dtype)
    for i in range(first, stop):
        first_column_block = i // block_width
        for h in range(first, i):
            negated_column[0, h - first] = -factor[first_column_block * size + h, i % block_width]
        for column_block in range(first_column_block, factor.shape[0] // size):
            rows = factor[column_block * size : (column_block + 1) * size]
            add_matrix_product(rows[first:i], i - first, negated_column, rows[i : i + 1])
        pivot = factor[first_column_block * size + i, i % block_width]
        diagonal = matrix[i, i]
        if not diagonal > 0:
            diagonal = matrix.dtype.type(1)
        if not pivot > smallest * diagonal:
            pivot = diagonal
        if not pivot > SMALL_PIVOT_FRACTION * diagonal or pivot == diagonal:
            for j in range(i + 1, size):
                entry = factor[j // block_width * size + i, j % block_width]
                largest = matrix[j, j] if matrix[j, j] > 0 else matrix.dtype.type(1)
                if entry * entry > pivot * largest:
                    pivot = entry * entry / largest
        factor[first_column_block * size + i, i % block_width] = pivot
        root = matrix.dtype.type(math.sqrt(pivot))
        for column_block in range(first_column_block, factor.shape[0] // size):
            row = factor[column_block * size + i]
            for j in range(block_width):
                row[j] /= root


@kernel
def solve_block(block, n_blocks, packed_factors, values):
    """Overwrite the block's rows k of `values` (C, m), float64, with the solutions of U' U x = values[k].

    U is packed_factors[k], packed as in `factorize_block`, or packed_factors[0] if there is only one factor. Everything
    is computed in the type of `packed_factors`.
    """
    n_rows, size = values.shape
    x = zeros_aligned(size, packed_factors.dtype)
    for k in range(block * n_rows // n_blocks, (block + 1) * n_rows // n_blocks):
        factor = packed_factors[k if packed_factors.shape[0] > 1 else 0]
        for i in range(size):
            x[i] = values[k, i]
        for i in range(size):
            first = i * size - i * (i - 1) // 2
            x[i] /= factor[first]
            entry, row, remaining_entries = x[i], factor[first + 1 : first + size - i], x[i + 1 :]
            for j in range(row.shape[0]):
                remaining_entries[j] -= entry * row[j]
        for i in range(size - 1, -1, -1):
            first = i * size - i * (i - 1) // 2
            total = factor.dtype.type(0)
            row, solved_entries = factor[first + 1 : first + size - i], x[i + 1 :]
            for j in range(row.shape[0]):
                total += row[j] * solved_entries[j]
            x[i] = (x[i] - total) / factor[first]
        for i in range(size):
            values[k, i] = x[i]


@kernel
def fill_mirrored_factor_block(block, n_blocks, packed_factor, mirrored_factor):
    """Fill the block's rows of `mirrored_factor` (m, m) with -U above the diagonal and -U' below the diagonal.

    The diagonal itself is not negated. `packed_factor` is the packed U.
    """
    size = mirrored_factor.shape[0]
    for i in range(block * size // n_blocks, (block + 1) * size // n_blocks):
        row = mirrored_factor[i]
        for j in range(i):
            row[j] = -packed_factor[j * size - j * (j - 1) // 2 + i - j]
        entries, remaining_entries = packed_factor[i * size - i * (i - 1) // 2 :], row[i:]
        for j in range(remaining_entries.shape[0]):
            remaining_entries[j] = -entries[j]
        row[i] = entries[0]


@kernel
def solve_interleaved_block(block, n_blocks, mirrored_factor, values):
    """Overwrite the block's rows k of `values` (C, m), float64, with the solutions of U' U x = values[k].

    `mirrored_factor` is the output of `fill_mirrored_factor_block` for U. Everything is computed in the type of
    `mirrored_factor`. The rows of a block are interleaved in four vectors, so U is read once for all of them. A block
    therefore contains at most `count_interleaved_rows` rows.
    """
    optimize_for_size()
    n_rows, size = values.shape
    begin, end = block * n_rows // n_blocks, (block + 1) * n_rows // n_blocks
    x = zeros_aligned((size, 4 * VECTOR_BYTES // mirrored_factor.itemsize), mirrored_factor.dtype)
    for k in range(begin, end):
        row = values[k]
        for i in range(size):
            x[i, k - begin] = row[i]
    for first in range(0, size, ROWS_PER_BATCH):
        stop = first + ROWS_PER_BATCH if first + ROWS_PER_BATCH < size else size
        if first > 0:
            add_matrix_product(x, first, mirrored_factor[first:stop], x[first:stop])
        for i in range(first, stop):
            _solve_entry(mirrored_factor[i], x, first, i, i)
    for first in range((size - 1) // ROWS_PER_BATCH * ROWS_PER_BATCH, -1, -ROWS_PER_BATCH):
        stop = first + ROWS_PER_BATCH if first + ROWS_PER_BATCH < size else size
        if stop < size:
            add_matrix_product(x[stop:], size - stop, mirrored_factor[first:stop, stop:], x[first:stop])
        for i in range(stop - 1, first - 1, -1):
            _solve_entry(mirrored_factor[i], x, i + 1, stop, i)
    for k in range(begin, end):
        row = values[k]
        for i in range(size):
            row[i] = x[i, k - begin]


@kernel(inner=True)
def _solve_entry(factors, x, first, stop, i):
    """Add factors[j] x[j] for j from `first` to stop - 1 to x[i], and divide x[i] by factors[i]."""
    optimize_for_size()
    target = x[i]
    for j in range(first, stop):
        row, factor = x[j], factors[j]
        for h in range(target.shape[0]):
            target[h] += factor * row[h]
    for h in range(target.shape[0]):
        target[h] /= factors[i]


def count_interleaved_rows(itemsize: int) -> int:
    """Return the maximum number of rows per block of `solve_interleaved_block`: as many as four vectors have lanes."""
    return 4 * VECTOR_BYTES // itemsize


@kernel
def remove_row(packed_factor, size, row):
    """Overwrite the factor U of a matrix with the factor of the matrix without one row and column.

    U (size, size) is packed as in `factorize_block`. The result is stored in the first (size - 1) size / 2 entries of
    `packed_factor`. Givens rotations add the rest of the removed row to the following rows of U (Golub and Van Loan
    2013, section 6.5). This is as accurate as a new factorization.
    """
    first = row * size - row * (row - 1) // 2
    removed_entries = packed_factor[first + 1 : first + size - row].copy()
    position, n_written_entries = 0, 0
    for i in range(size):
        for j in range(i, size):
            if i != row and j != row:
                packed_factor[n_written_entries] = packed_factor[position]
                n_written_entries += 1
            position += 1
    for i in range(row, size - 1):
        first = i * (size - 1) - i * (i - 1) // 2
        entries, remaining_entries = packed_factor[first : first + size - 1 - i], removed_entries[i - row :]
        length = math.hypot(entries[0], remaining_entries[0])
        cosine, sine = entries[0] / length, remaining_entries[0] / length
        for j in range(remaining_entries.shape[0]):
            entry, other = entries[j], remaining_entries[j]
            entries[j] = cosine * entry + sine * other
            remaining_entries[j] = cosine * other - sine * entry
