"""Kernels for fits whose unknowns are multipliers of the rows, with one multiplier per row and class.

Tables have one row per row or feature of the data and one column per class (machine/gather.py). An additional row may
contain the intercepts. Everything is computed in float64.
"""

import numpy as np

from fastlin.kernels.linear.residuals import convert_scores_to_residuals
from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.gather import combine_rows
from fastlin.kernels.machine.intrinsics import optimize_for_size
from fastlin.kernels.machine.products import add_matrix_product, add_scores
from fastlin.kernels.machine.simd import ROWS_PER_GROUP
from fastlin.kernels.machine.tiles import Scaling, load_tile, make_row_range, pad_scaling, zeros_padded


@kernel
def fill_block_matrix_line_products(block, n_blocks, X, borders, table, factors, product):
    """Fill product[i] with factors[i] sum_j x_ij table[j] over the entries of line i of X.

    X is a `CompressedMatrix`. The block's lines are borders[block] to borders[block + 1] - 1. All tables have the same
    columns.
    """
    for i in range(borders[block], borders[block + 1]):
        begin, end = np.int64(X.indptr[i]), np.int64(X.indptr[i + 1])
        combine_rows(X.data, X.indices, begin, end, table, np.int64(0), product, i)
        row, factor = product[i], factors[i]
        for k in range(row.shape[0]):
            row[k] *= factor


@kernel(reassociate=False)
def fill_block_row_products(block, n_blocks, X, scaling, multipliers, factors, width, coef, products):
    """Fill the block's columns of `coef`, and the products of these coefficients with the rows of X.

    coef[k, j] is factors[j] sum_i multipliers[k, i] x~_ij, and products[block, k, i] is the sum of coef[k, j] x~_ij
    over the block's columns. X (n, d) is a view from `make_any_layout_view`. `multipliers` has shape (K, n), `factors`
    (d,), `coef` (K, d) and `products` (B, K, n). A panel of ``width`` columns, which are whole vectors, stays in the L2
    cache for both products, so X is read from memory once.
    """
    optimize_for_size()
    X = X[0]
    n_rows, n_features = X.shape
    n_classes = multipliers.shape[0]
    row_indices = make_row_range(np.int64(0), n_rows)
    buffer = zeros_padded((n_rows + ROWS_PER_GROUP - 1) // ROWS_PER_GROUP * ROWS_PER_GROUP, width, multipliers.dtype)
    tile = buffer[:n_rows]
    sums = zeros_aligned((n_classes, buffer.shape[1]), np.float64)
    scores = zeros_aligned((n_classes, buffer.shape[0]), np.float64)
    padded_scaling = pad_scaling(scaling, zeros_aligned((0, n_features + buffer.shape[1]), np.float64))
    n_panels = (n_features + width - 1) // width
    for panel in range(block * n_panels // n_blocks, (block + 1) * n_panels // n_blocks):
        first = panel * width
        last = first + width if first + width < n_features else n_features
        scale, shift = (
            padded_scaling.scale[first : first + buffer.shape[1]],
            padded_scaling.shift[first : first + buffer.shape[1]],
        )
        load_tile(X[:, first:last], row_indices, Scaling(scale, shift), tile)
        sums[:] = 0
        add_matrix_product(buffer, n_rows, multipliers, sums)
        for k in range(n_classes):
            for j in range(last - first):
                sums[k, j] *= factors[first + j]
                coef[k, first + j] = sums[k, j]
            for j in range(last - first, sums.shape[1]):
                sums[k, j] = 0
        add_scores(buffer, n_rows, n_rows, sums, np.int64(0), scores)
    for k in range(n_classes):
        for i in range(n_rows):
            products[block, k, i] = scores[k, i]


@kernel
def fill_block_residuals_after_step(
    block, n_blocks, samples, scores, direction, step, tile_rows, output, residuals, losses, slopes, sums
):
    """Fill the block's rows of `residuals` with s_i dl_i / dscore_k at scores + step direction.

    `scores`, `direction` and `residuals` have shape (n + 1, columns of a table). The last row of `scores` and of
    `direction` contains the intercepts and is added to all other rows. The last row of `residuals` is not changed. The
    kernel also fills losses[block] with sum s_i l_i, slopes[block] with the derivative of this sum with respect to
    `step`, and sums[block] (K,) with the sums of the residuals. `output` is a ProbabilityOutput.
    """
    n_rows, n_classes = residuals.shape[0] - 1, sums.shape[1]
    loss, slope = 0.0, 0.0
    sums[block] = 0
    tile = zeros_aligned((n_classes, tile_rows), np.float64)
    end = (block + 1) * n_rows // n_blocks
    for first in range(block * n_rows // n_blocks, end, tile_rows):
        count = tile_rows if first + tile_rows < end else end - first
        for k in range(n_classes):
            values, intercept = tile[k], scores[n_rows, k] + step * direction[n_rows, k]
            for i in range(count):
                values[i] = scores[first + i, k] + step * direction[first + i, k] + intercept
        loss += convert_scores_to_residuals(tile, make_row_range(first, first + count), samples, output, first)
        for k in range(n_classes):
            values, total, direction_product = tile[k], 0.0, 0.0
            for i in range(count):
                residuals[first + i, k] = values[i]
                total += values[i]
                direction_product += values[i] * direction[first + i, k]
            sums[block, k] += total
            slope += direction_product + total * direction[n_rows, k]
    losses[block], slopes[block] = loss, slope
