"""Kernels over a small X that was copied column by column, scaled and centred: passes and weighted Gram matrices.

A column is a vector of rows, so that each product is a plain loop that LLVM vectorises, however few the columns are.
The last column is the intercept's: ones, or zeros where there is none. A tile of the rows stays in the first-level
cache from the scores to the gradient.
"""

import numpy as np

from fastlin.kernels.linear.residuals import turn_scores_to_residuals
from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.instructions import compile_apart

# Numbers of a tile, 24 KB of the first-level cache; with fewer rows than 256 the sums over lanes take longer than that
# saves: a Gram matrix of 1,000 x 100 takes 0.29 ms, with tiles of 64 rows 0.36.
TILE_NUMBERS = 3072
FEWEST_TILE_ROWS, MOST_TILE_ROWS = 256, 512
# Rows come in whole runs of the vectors that LLVM works on at once: what is left over runs one by one. The Gram matrix
# of 569 x 30 took 66 microseconds so, and takes 16.
ROWS_AT_ONCE = 32


@kernel
def fill_columns(X, scale, shift, columns):
    """Fill columns[j, i] = scale[j] X[i, j] + shift[j], for X of shape (1, n, d); the last column stays."""
    X = X[0]
    for j in range(X.shape[1]):
        column = columns[j]
        for i in range(X.shape[0]):
            column[i] = X[i, j] * scale[j] + shift[j]


def count_tile_rows(n_columns: int) -> int:
    """Return how many rows of so many columns are worked on at a time."""
    n_rows = TILE_NUMBERS // n_columns // ROWS_AT_ONCE * ROWS_AT_ONCE
    return FEWEST_TILE_ROWS if n_rows < FEWEST_TILE_ROWS else min(n_rows, MOST_TILE_ROWS)


def count_roundings(n_rows: int, n_columns: int) -> tuple[int, int]:
    """Return how many roundings a score of a row, and a sum over the rows, take one after the other.

    A score adds four products, then the next four, then what is left, of numbers that were rounded when they were
    centred. A sum runs over a tile and then over the tiles.
    """
    tile_rows = count_tile_rows(n_columns)
    return 5 + n_columns // 4 + n_columns % 4, min(n_rows, tile_rows) + -(-n_rows // tile_rows)


_count_tile_rows = kernel(count_tile_rows, inline=True)


# The order of the additions is what `count_roundings` counts.
@kernel(reassociate=False, inner=True)
def _add_combination(columns, start, stop, factors, sums):
    """Add the sum over j of factors[j] columns[j, start:stop] to sums."""
    compile_apart()
    n_columns, j = factors.shape[0], 0
    while j + 4 <= n_columns:
        a, b, c, d = (
            columns[j, start:stop],
            columns[j + 1, start:stop],
            columns[j + 2, start:stop],
            columns[j + 3, start:stop],
        )
        p, q, u, v = factors[j], factors[j + 1], factors[j + 2], factors[j + 3]
        for i in range(sums.shape[0]):
            sums[i] += p * a[i] + q * b[i] + u * c[i] + v * d[i]
        j += 4
    while j < n_columns:
        a, p = columns[j, start:stop], factors[j]
        for i in range(sums.shape[0]):
            sums[i] += p * a[i]
        j += 1


@kernel(inner=True)
def _add_products(columns, first, start, stop, vector, sums):
    """Add the sum over i of vector[i] columns[j, start + i] to sums[j], for j from first on."""
    compile_apart()
    n_columns, j = sums.shape[0], first
    while j + 4 <= n_columns:
        a, b, c, d = (
            columns[j, start:stop],
            columns[j + 1, start:stop],
            columns[j + 2, start:stop],
            columns[j + 3, start:stop],
        )
        p, q, u, v = 0.0, 0.0, 0.0, 0.0
        for i in range(vector.shape[0]):
            x = vector[i]
            p += x * a[i]
            q += x * b[i]
            u += x * c[i]
            v += x * d[i]
        sums[j] += p
        sums[j + 1] += q
        sums[j + 2] += u
        sums[j + 3] += v
        j += 4
    while j < n_columns:
        a, p = columns[j, start:stop], 0.0
        for i in range(vector.shape[0]):
            p += vector[i] * a[i]
        sums[j] += p
        j += 1


@kernel
def evaluate_columns(columns, numbers, samples, parameters, kept, total):
    """Return sum s_i l_i at parameters (K, d + 1), and fill total (K, d + 1) with its derivative.

    columns (d + 1, m) stand for all rows of samples, whose numbers (n,) are 0 to n - 1, and are zero behind them, to a
    multiple m of ROWS_AT_ONCE. What is Kept takes the probabilities.
    """
    compile_apart()
    n_classes, n_columns = parameters.shape
    n_rows, n_padded, tile_rows = numbers.shape[0], columns.shape[1], _count_tile_rows(n_columns)
    scores = zeros_aligned((n_classes, tile_rows), np.float64)
    loss = 0.0
    for k in range(n_classes):
        for j in range(n_columns):
            total[k, j] = 0.0
    for start in range(0, n_padded, tile_rows):
        stop = start + tile_rows if start + tile_rows < n_padded else n_padded
        last = stop if stop < n_rows else n_rows
        for k in range(n_classes):
            of_class = scores[k, : stop - start]
            for i in range(stop - start):
                of_class[i] = 0.0
            _add_combination(columns, start, stop, parameters[k], of_class)
        loss += turn_scores_to_residuals(scores, numbers[start:last], samples, kept, start)
        for k in range(n_classes):
            for i in range(last - start, stop - start):
                scores[k, i] = 0.0
            _add_products(columns, np.int64(0), start, stop, scores[k, : stop - start], total[k])
    return loss


@kernel(inner=True)
def _add_pair_products(columns, first, start, stop, one, other, of_one, of_other):
    """As `_add_products`, for two vectors at once."""
    compile_apart()
    n_columns, j = of_one.shape[0], first
    while j + 4 <= n_columns:
        a, b, c, d = (
            columns[j, start:stop],
            columns[j + 1, start:stop],
            columns[j + 2, start:stop],
            columns[j + 3, start:stop],
        )
        p, q, u, v, e, f, g, h = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(one.shape[0]):
            x, y = one[i], other[i]
            p += x * a[i]
            q += x * b[i]
            u += x * c[i]
            v += x * d[i]
            e += y * a[i]
            f += y * b[i]
            g += y * c[i]
            h += y * d[i]
        of_one[j] += p
        of_one[j + 1] += q
        of_one[j + 2] += u
        of_one[j + 3] += v
        of_other[j] += e
        of_other[j + 1] += f
        of_other[j + 2] += g
        of_other[j + 3] += h
        j += 4
    while j < n_columns:
        a, p, e = columns[j, start:stop], 0.0, 0.0
        for i in range(one.shape[0]):
            p += one[i] * a[i]
            e += other[i] * a[i]
        of_one[j] += p
        of_other[j] += e
        j += 1


@kernel(inner=True)
def fill_gram(columns, weights, gram):
    """Fill gram[j, h], h >= j, with the sum over the rows of weights[i] columns[j, i] columns[h, i].

    weights (m,) are as many as the columns have entries.
    """
    compile_apart()
    n_columns, n_rows = columns.shape
    tile_rows = _count_tile_rows(n_columns)
    weighted = zeros_aligned((2, tile_rows), np.float64)
    for j in range(n_columns):
        for h in range(n_columns):
            gram[j, h] = 0.0
    for start in range(0, n_rows, tile_rows):
        stop = start + tile_rows if start + tile_rows < n_rows else n_rows
        w = weights[start:stop]
        for j in range(0, n_columns, 2):
            for step in range(2 if j + 1 < n_columns else 1):
                x, y = columns[j + step, start:stop], weighted[step, : stop - start]
                for i in range(stop - start):
                    y[i] = w[i] * x[i]
            one, other = weighted[0, : stop - start], weighted[1, : stop - start]
            if j + 1 < n_columns:
                # What lies left of the diagonal is never read.
                _add_pair_products(columns, j, start, stop, one, other, gram[j], gram[j + 1])
            else:
                _add_products(columns, j, start, stop, one, gram[j])
