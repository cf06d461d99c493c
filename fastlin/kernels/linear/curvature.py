"""Kernels for second-order solvers: the Hessian of the loss times a direction, and Gram matrices of weighted rows.

Shapes and x~ are those of dense_rows.py; rows (m,) are the row numbers of the pass, row_weights and probabilities stand
in their order. With p the softmax probabilities the Hessian of the loss of a row is (diag(p) - p p') x [x~, 1][x~, 1]',
for K = 1 it is p (1 - p) [x~, 1][x~, 1]'.
"""

import numpy as np

from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.emitter import VECTOR_BYTES
from fastlin.kernels.machine.instructions import compile_apart, compile_small
from fastlin.kernels.machine.panels import add_tile, copy_sums, load_and_multiply, open_panels, open_sums
from fastlin.kernels.machine.prefetch import empty_list, list_rows
from fastlin.kernels.machine.products import add_product
from fastlin.kernels.machine.tiles import load_tile, pad_scaling, zeros_padded

# Rows of a Gram matrix that are summed in one pass over X: whole groups of classes, and enough of them to be worth the
# pass.
PANEL_ROWS = 80
# The sums of one pass share the second-level cache with the tile.
MAX_SUMS_BYTES = 1 << 20


@kernel(reassociate=False)
def fill_block_hessian_product(
    block, n_blocks, X, rows, row_weights, probabilities, scaling, direction, tile_rows, products
):
    """Fill the block's slice of products, BlockSums: the Hessian times direction, Parameters.

    With t = direction.coef x~_i + direction.intercept and u_k = s_i p_k (t_k - sum_l p_l t_l), for K = 1
    u = s_i p (1 - p) t, the products are sum u x~_i' and sum u over the block's part of rows. row_weights (m,) and
    probabilities (K, m) are in the type of direction.
    """
    X = X[0]
    n_classes = direction.coef.shape[0]
    first, last = block * rows.shape[0] // n_blocks, (block + 1) * rows.shape[0] // n_blocks
    panels = open_panels(direction.coef, scaling, tile_rows)
    sums = open_sums(panels, n_classes)
    ahead = empty_list(tile_rows)
    slopes = zeros_aligned((n_classes, tile_rows), panels.coef.dtype)
    for k in range(n_classes):
        products.intercept[block, k] = 0
    for start in range(first, last, tile_rows):
        stop = start + tile_rows if start + tile_rows < last else last
        list_rows(X, rows, stop, tile_rows, last, ahead)
        load_and_multiply(X, rows[start:stop], panels, direction.intercept, slopes, ahead)
        turn_products_to_slopes(slopes, stop - start, row_weights, probabilities, start)
        for k in range(n_classes):
            for i in range(stop - start):
                products.intercept[block, k] += slopes[k, i]
        add_tile(panels, stop - start, slopes, sums, ahead)
    copy_sums(sums, products.coef[block])


@kernel(inner=True)
def turn_products_to_slopes(slopes, n_rows, all_weights, probabilities, start):
    """Overwrite slopes t (K, tile rows) with s_i p_k (t_k - sum_l p_l t_l), for K = 1 with s_i p (1 - p) t.

    The first n_rows of each take the entries of all_weights and probabilities from ``start`` on.
    """
    compile_apart()
    n_classes = slopes.shape[0]
    row_weights = all_weights[start : start + n_rows]
    one = slopes.dtype.type(1)
    if n_classes == 1:
        t, p = slopes[0], probabilities[0, start : start + n_rows]
        for i in range(n_rows):
            t[i] *= row_weights[i] * p[i] * (one - p[i])
        return
    means = zeros_aligned(n_rows, slopes.dtype)
    for k in range(n_classes):
        t, p = slopes[k], probabilities[k, start : start + n_rows]
        for i in range(n_rows):
            means[i] += p[i] * t[i]
    for k in range(n_classes):
        t, p = slopes[k], probabilities[k, start : start + n_rows]
        for i in range(n_rows):
            t[i] = row_weights[i] * p[i] * (t[i] - means[i])


@kernel
def fill_block_gram(block, n_blocks, X, rows, row_weights, scaling, tile_rows, grams):
    """Fill grams[c] = sum over i of row_weights[c, i] [x~_i, 1][x~_i, 1]' in the block's panels of rows and columns.

    row_weights (C, m); grams (C, d + 1, d + 1) in the type computed in. Blocks divide the output: each passes over all
    the rows, and sums what lies right of the diagonal.
    """
    compile_small()
    X = X[0]
    n_sets, n_columns = grams.shape[0], grams.shape[1]
    tile = zeros_padded(tile_rows, n_columns, grams.dtype)
    width = tile.shape[1]
    lanes = VECTOR_BYTES // tile.itemsize
    padded_scaling = pad_scaling(scaling, tile)
    padded_scaling.shift[n_columns - 1] = 1
    ahead = empty_list(tile_rows)
    columns = zeros_aligned((PANEL_ROWS, tile_rows), tile.dtype)
    multipliers = zeros_aligned((PANEL_ROWS, tile_rows), tile.dtype)
    n_rows = rows.shape[0]
    n_together = MAX_SUMS_BYTES // (8 * PANEL_ROWS * width)
    n_together = 1 if n_together < 1 else n_together if n_together < n_sets else n_sets
    sums = zeros_aligned((n_together * PANEL_ROWS, width), np.float64)
    for panel in range(block, (n_columns + PANEL_ROWS - 1) // PANEL_ROWS, n_blocks):
        begin = panel * PANEL_ROWS
        end = begin + PANEL_ROWS if begin + PANEL_ROWS < n_columns else n_columns
        first_column = begin // lanes * lanes
        for c in range(0, n_sets, n_together):
            n_here = n_together if n_sets - c > n_together else n_sets - c
            _clear(sums)
            for start in range(0, n_rows, tile_rows):
                stop = start + tile_rows if start + tile_rows < n_rows else n_rows
                load_tile(X, rows[start:stop], padded_scaling, tile)
                list_rows(X, rows, stop, tile_rows, n_rows, ahead)
                _transpose(tile, stop - start, begin, end, columns)
                for t in range(n_here):
                    _scale_columns(columns, end - begin, row_weights[c + t, start:stop], multipliers)
                    part = sums[t * PANEL_ROWS : t * PANEL_ROWS + end - begin]
                    add_product(tile, stop - start, multipliers, first_column, part, ahead)
            for t in range(n_here):
                _mirror(sums[t * PANEL_ROWS : (t + 1) * PANEL_ROWS], begin, end, grams[c + t])


@kernel(inline=True)
def _clear(sums):
    """Overwrite sums (m, width) with zeros."""
    for j in range(sums.shape[0]):
        for other in range(sums.shape[1]):
            sums[j, other] = 0


@kernel(inner=True)
def _transpose(tile, n_rows, begin, end, columns):
    """Fill columns[j, i] = tile[i, begin + j] for i < n_rows and begin + j < end."""
    compile_small()
    for i in range(n_rows):
        for j in range(begin, end):
            columns[j - begin, i] = tile[i, j]


@kernel(inner=True)
def _scale_columns(columns, n_columns, row_weights, scaled):
    """Fill scaled[j, i] = columns[j, i] row_weights[i] for j < n_columns."""
    compile_apart()
    for j in range(n_columns):
        x, y = columns[j], scaled[j]
        for i in range(row_weights.shape[0]):
            y[i] = x[i] * row_weights[i]


@kernel(inner=True)
def _mirror(sums, begin, end, gram):
    """Write the rows begin to end of a symmetric matrix, sums (end - begin, width), from the diagonal on, twice."""
    compile_small()
    for j in range(begin, end):
        for other in range(j, gram.shape[0]):
            gram[j, other] = sums[j - begin, other]
    for other in range(begin, gram.shape[0]):
        for j in range(begin, end if end < other else other):
            gram[other, j] = sums[j - begin, other]


@kernel
def fill_block_class_pair_gram(block, n_blocks, X, rows, row_weights, probabilities, scaling, tile_rows, hessian):
    """Fill hessian[(k, j), (l, h)] = sum over i of s_i (D_kl p_k - p_k p_l) x_j x_h, x = [x~_i, 1], D_kl = 1 for k = l.

    hessian (K (d + 1), K (d + 1)), float64, K >= 1; row_weights (m,) and probabilities (K, m) are in the type computed
    in. Blocks divide the output as in fill_block_gram. Between classes it is the Gram matrix of the rows p_k x; within
    a class s_i p_k (1 - p_k) x x' is summed, without cancellation.
    """
    X = X[0]
    n_classes, n_columns = probabilities.shape[0], hessian.shape[0] // probabilities.shape[0]
    n_pairs = n_classes * n_columns
    tile = zeros_padded(tile_rows, n_columns, probabilities.dtype)
    expanded = zeros_padded(tile_rows, n_pairs, probabilities.dtype)
    lanes = VECTOR_BYTES // tile.itemsize
    padded_scaling = pad_scaling(scaling, tile)
    padded_scaling.shift[n_columns - 1] = 1
    ahead = empty_list(tile_rows)
    multipliers = zeros_aligned((PANEL_ROWS, tile_rows), tile.dtype)
    own_multipliers = zeros_aligned((PANEL_ROWS, tile_rows), tile.dtype)
    sums = zeros_aligned((PANEL_ROWS, expanded.shape[1]), np.float64)
    own_sums = zeros_aligned((PANEL_ROWS, tile.shape[1]), np.float64)
    one = tile.dtype.type(1)
    for panel in range(block, (n_pairs + PANEL_ROWS - 1) // PANEL_ROWS, n_blocks):
        begin = panel * PANEL_ROWS
        end = begin + PANEL_ROWS if begin + PANEL_ROWS < n_pairs else n_pairs
        first_class = begin // n_columns
        _clear(sums)
        _clear(own_sums)
        for start in range(0, rows.shape[0], tile_rows):
            stop = start + tile_rows if start + tile_rows < rows.shape[0] else rows.shape[0]
            load_tile(X, rows[start:stop], padded_scaling, tile)
            for k in range(first_class, n_classes):
                _expand(tile, probabilities[k, start:stop], n_columns, k * n_columns, expanded)
            for pair in range(begin, end):
                p, j = probabilities[pair // n_columns], pair % n_columns
                for i in range(stop - start):
                    u = row_weights[start + i] * p[start + i] * tile[i, j]
                    multipliers[pair - begin, i] = -u
                    own_multipliers[pair - begin, i] = u * (one - p[start + i])
            first_column = begin // lanes * lanes
            add_product(expanded, stop - start, multipliers, first_column, sums[: end - begin], ahead)
            add_product(tile, stop - start, own_multipliers, np.int64(0), own_sums[: end - begin], ahead)
        for pair in range(begin, end):
            own = pair // n_columns * n_columns
            for j in range(n_columns):
                sums[pair - begin, own + j] = own_sums[pair - begin, j]
        _mirror(sums, begin, end, hessian)


@kernel(inline=True)
def _expand(tile, probabilities, n_columns, first, expanded):
    """Fill expanded[i, first + j] = probabilities[i] tile[i, j] for j < n_columns."""
    for i in range(probabilities.shape[0]):
        x, y, p = tile[i, :n_columns], expanded[i, first : first + n_columns], probabilities[i]
        for j in range(x.shape[0]):
            y[j] = p * x[j]
