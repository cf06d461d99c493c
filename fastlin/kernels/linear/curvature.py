"""Kernels for second-order solvers: Gram matrices of weighted rows, and the Hessian of the loss.

For shapes and x~, see dense_rows.py. `rows` (m,) are the row indices of the pass. `row_weights` and `probabilities` are
in the order of `rows`. With softmax probabilities p, the Hessian of the loss of a row is the Kronecker product of
diag(p) - p p' and [x~, 1] [x~, 1]'. For K = 1 the Hessian is p (1 - p) [x~, 1] [x~, 1]'.
"""

import numpy as np

from fastlin.kernels.machine import simd
from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.emitter import VECTOR_BYTES
from fastlin.kernels.machine.intrinsics import optimize_for_size, prevent_inlining
from fastlin.kernels.machine.products import add_matrix_product, add_triangle_product
from fastlin.kernels.machine.simd import CLASSES_PER_TILE
from fastlin.kernels.machine.tiles import Scaling, load_tile, pad_scaling, transpose_tile, zeros_padded
from fastlin.typing import FloatArray

# The number of rows of a Gram matrix that are summed in one pass over X (a panel). It is a multiple of the number of
# classes per tile and of the vector width. Wide matrices have larger panels (docs/benchmarks/design-choices.md: panels
# of Gram matrices).
PANEL_ROWS, WIDE_PANEL_ROWS = (rows // CLASSES_PER_TILE // 16 * 16 * CLASSES_PER_TILE for rows in (96, 240))
MIN_COLUMNS_FOR_WIDE_PANEL = 1200
# The number of rows of X per tile.
GRAM_ROWS = 128
# A pass computes the Gram matrices for several sets of weights at once if their sums take at most this many bytes.
MAX_GRAM_SUMS_BYTES = 1 << 20
# The numbers of rows, pairs of columns and pairs of classes per step of a Hessian. The products of pairs of columns
# take half of an L2 cache of 512 KB.
ROWS_PER_HESSIAN_STEP = 128
COLUMN_PAIRS_PER_STEP = 256
CLASS_PAIRS_PER_STEP = 60
# The number of float32 values in the widest vector of any processor.
MAX_FLOAT32_LANES = 16


@kernel
def fill_block_gram(block, n_blocks, X, rows, starts, row_weights, scaling, panel_rows, grams):
    """Fill grams[part, c] with the sum of row_weights[c, i] [x~_i, 1] [x~_i, 1]' over the rows i of each part.

    `row_weights` has shape (C, m). A part consists of the rows from starts[part] up to starts[part + 1]. `grams` has
    shape (parts, C, d + 1, d + 1) and the type of the computation. A block sums one part for one panel. A panel
    consists of ``panel_rows`` rows of the matrices, on and above the diagonal. n_blocks is the number of parts times
    the number of panels. The tile and the sums are stored as blocks of columns, each four vectors wide. With whole
    rows, each row would take one memory page, and the pass would take twice as long.
    """
    optimize_for_size()
    X = X[0]
    n_parts, n_weight_sets, n_columns = grams.shape[0], grams.shape[1], grams.shape[2]
    panel, part = block // n_parts, block % n_parts
    first, last = starts[part], starts[part + 1]
    begin = panel * panel_rows
    end = begin + panel_rows if begin + panel_rows < n_columns else n_columns
    n_panel_rows = end - begin
    block_width = 4 * VECTOR_BYTES // grams.itemsize
    n_column_blocks = (n_columns - begin + block_width - 1) // block_width
    tile = zeros_aligned((GRAM_ROWS, n_column_blocks * block_width), grams.dtype)
    column_block = zeros_aligned((GRAM_ROWS, block_width), tile.dtype)
    X = X[:, begin:]
    padded_scaling = pad_scaling(Scaling(scaling.scale[begin:], scaling.shift[begin:]), tile)
    padded_scaling.shift[n_columns - 1 - begin] = 1
    columns = zeros_aligned((panel_rows, GRAM_ROWS), tile.dtype)
    batch_size = MAX_GRAM_SUMS_BYTES // (8 * n_panel_rows * tile.shape[1])
    batch_size = 1 if batch_size < 1 else batch_size if batch_size < n_weight_sets else n_weight_sets
    # The triangle of a narrow matrix is summed in whole groups of rows, which is faster than the whole square
    # (docs/benchmarks/design-choices.md: triangle of a Gram matrix).
    n_padded_rows = (n_panel_rows + CLASSES_PER_TILE - 1) // CLASSES_PER_TILE * CLASSES_PER_TILE
    multipliers = zeros_aligned((batch_size * n_padded_rows, GRAM_ROWS), tile.dtype)
    sums = zeros_aligned((n_column_blocks * batch_size * n_padded_rows, block_width), np.float64)
    for c in range(0, n_weight_sets, batch_size):
        n_weight_sets_in_batch = batch_size if n_weight_sets - c > batch_size else n_weight_sets - c
        sums[:] = 0
        for start in range(first, last, GRAM_ROWS):
            stop = start + GRAM_ROWS if start + GRAM_ROWS < last else last
            load_tile(X, rows[start:stop], padded_scaling, tile)
            transpose_tile(tile, stop - start, n_panel_rows, columns)
            for t in range(n_weight_sets_in_batch):
                weight_set = multipliers[t * n_padded_rows : (t + 1) * n_padded_rows]
                _weigh_columns(columns, n_panel_rows, row_weights[c + t, start:stop], weight_set)
            if n_column_blocks == 1:
                for t in range(n_weight_sets_in_batch):
                    weight_set = slice(t * n_padded_rows, (t + 1) * n_padded_rows)
                    add_triangle_product(
                        tile, stop - start, n_columns - begin, multipliers[weight_set], sums[weight_set]
                    )
                continue
            for p in range(n_column_blocks):
                _copy_columns(tile, stop - start, p * block_width, column_block)
                # The number of rows of the panel whose diagonal entry lies before the end of this column block.
                n_upper_triangle_rows = (p + 1) * block_width if (p + 1) * block_width < n_panel_rows else n_panel_rows
                for t in range(n_weight_sets_in_batch):
                    weight_set = multipliers[t * n_padded_rows : t * n_padded_rows + n_upper_triangle_rows]
                    position = (p * batch_size + t) * n_padded_rows
                    block_sums = sums[position : position + n_upper_triangle_rows]
                    add_matrix_product(column_block, stop - start, weight_set, block_sums)
        for t in range(n_weight_sets_in_batch):
            for p in range(n_column_blocks):
                position = (p * batch_size + t) * n_padded_rows
                _write_mirrored_sums(
                    sums[position : position + n_panel_rows], begin, begin + p * block_width, grams[part, c + t]
                )


@kernel(inline=True)
def _copy_columns(tile, n_rows, begin, column_block):
    """Fill column_block[i] for i < n_rows with the columns of tile[i] that start at ``begin``."""
    for i in range(n_rows):
        source, target = tile[i, begin : begin + column_block.shape[1]], column_block[i]
        for j in range(column_block.shape[1]):
            target[j] = source[j]


@kernel(inner=True)
def _weigh_columns(columns, n_columns, row_weights, weighted_columns):
    """Fill weighted_columns[j, i] = columns[j, i] row_weights[i] for j < n_columns."""
    prevent_inlining()
    for j in range(n_columns):
        x, y = columns[j], weighted_columns[j]
        for i in range(row_weights.shape[0]):
            y[i] = x[i] * row_weights[i]


@kernel(inner=True)
def _write_mirrored_sums(sums, begin, first, gram):
    """Write sums[j, h], on or above the diagonal, to gram[begin + j, first + h] and to the mirrored entry of gram."""
    optimize_for_size()
    stop = first + sums.shape[1] if first + sums.shape[1] < gram.shape[0] else gram.shape[0]
    for j in range(sums.shape[0]):
        for other in range(first if first > begin + j else begin + j, stop):
            gram[begin + j, other] = sums[j, other - first]
    for other in range(first, stop):
        n_rows_above = other - begin if other - begin < sums.shape[0] else sums.shape[0]
        for j in range(n_rows_above):
            gram[other, begin + j] = sums[j, other - first]


@kernel
def fill_block_class_pair_gram(block, n_blocks, X, rows, row_weights, probabilities, scaling, sums):
    """Add sum s_i (D_kl p_k - p_k p_l) x_j x_h over a part of the rows to its entry of `sums`.

    The entry must be zero at the start.

    Here x = [x~_i, 1], and D_kl is 1 if k = l, else 0. `sums` has shape (parts, C, Q) and is float64. Its second axis
    contains the pairs of classes k <= l, and its third axis contains the pairs of columns j <= h, padded by
    `round_up_pair_count`. Both are in the order (0, 0), (0, 1), .... `row_weights` (m,) and `probabilities` (K, m) have
    the type of the computation. A block sums one part of the rows for one group of pairs of columns, so n_blocks is a
    multiple of the number of parts. For k = l the terms are computed as s_i p_k (1 - p_k), without cancellation.
    """
    optimize_for_size()
    X = X[0]
    n_classes, n_columns = probabilities.shape[0], X.shape[1] + 1
    n_parts, n_class_pairs = sums.shape[0], sums.shape[1]
    part, column_group, n_groups = block % n_parts, block // n_parts, n_blocks // n_parts
    first, last = part * rows.shape[0] // n_parts, (part + 1) * rows.shape[0] // n_parts
    n_column_pairs = n_columns * (n_columns + 1) // 2
    n_pair_chunks = (n_column_pairs + COLUMN_PAIRS_PER_STEP - 1) // COLUMN_PAIRS_PER_STEP
    begin, end = (
        column_group * n_pair_chunks // n_groups * COLUMN_PAIRS_PER_STEP,
        (column_group + 1) * n_pair_chunks // n_groups * COLUMN_PAIRS_PER_STEP,
    )
    # The first pair of columns (j, h) of the group of pairs.
    first_pair_j, first_pair_h = 0, begin
    while first_pair_h >= n_columns:
        first_pair_j += 1
        first_pair_h += first_pair_j - n_columns
    lanes = VECTOR_BYTES // probabilities.itemsize
    # Products are read and written as whole vectors, which extend up to one vector beyond the last column.
    tile = zeros_padded(np.int64(ROWS_PER_HESSIAN_STEP), n_columns + lanes, probabilities.dtype)
    products = zeros_padded(np.int64(ROWS_PER_HESSIAN_STEP), COLUMN_PAIRS_PER_STEP + lanes, tile.dtype)
    padded_scaling = pad_scaling(scaling, tile)
    padded_scaling.shift[n_columns - 1] = 1
    weighted_probabilities = zeros_aligned((n_classes, ROWS_PER_HESSIAN_STEP), tile.dtype)
    multipliers = zeros_aligned((CLASS_PAIRS_PER_STEP, ROWS_PER_HESSIAN_STEP), tile.dtype)
    for start in range(first, last, ROWS_PER_HESSIAN_STEP):
        n_rows = ROWS_PER_HESSIAN_STEP if start + ROWS_PER_HESSIAN_STEP < last else last - start
        load_tile(X, rows[start : start + n_rows], padded_scaling, tile)
        tile_probabilities = probabilities[:, start : start + n_rows]
        _weigh_columns(tile_probabilities, n_classes, row_weights[start : start + n_rows], weighted_probabilities)
        j, h = first_pair_j, first_pair_h
        for first_column in range(begin, end, COLUMN_PAIRS_PER_STEP):
            n_products = 0
            while n_products < COLUMN_PAIRS_PER_STEP and j < n_columns:
                n_remaining_columns, n_free_products = n_columns - h, COLUMN_PAIRS_PER_STEP - n_products
                count = n_remaining_columns if n_remaining_columns < n_free_products else n_free_products
                simd.multiply_columns(tile, n_rows, j, h, count, products, n_products)
                n_products += count
                h += count
                if h == n_columns:
                    j += 1
                    h = j
            width = (n_products + lanes - 1) // lanes * lanes
            k = other = 0
            for first_pair in range(0, n_class_pairs, CLASS_PAIRS_PER_STEP):
                n_pairs = 0
                while n_pairs < CLASS_PAIRS_PER_STEP and k < n_classes:
                    p = probabilities[other, start : start + n_rows]
                    _fill_class_pair_multipliers(weighted_probabilities[k], p, k == other, multipliers[n_pairs])
                    n_pairs += 1
                    other += 1
                    if other == n_classes:
                        k += 1
                        other = k
                pair_sums = sums[part, first_pair : first_pair + n_pairs, first_column : first_column + width]
                add_matrix_product(products, n_rows, multipliers[:n_pairs], pair_sums)


def round_up_pair_count(n_pairs: int) -> int:
    """Return n_pairs rounded up to whole vectors of any floating-point type."""
    return -(-n_pairs // MAX_FLOAT32_LANES) * MAX_FLOAT32_LANES


def unpack_pair_hessian(sums: FloatArray, n_classes: int, size: int) -> FloatArray:
    """Return the Hessian (K (d + 1), K (d + 1)), given the sums of `fill_block_class_pair_gram` over all parts."""
    hessian = np.empty((n_classes * size, n_classes * size))
    blocks = hessian.reshape(n_classes, size, n_classes, size)
    position = np.empty((size, size), np.int64)
    j, h = np.triu_indices(size)
    position[j, h] = position[h, j] = np.arange(len(j))
    for pair, (k, other) in enumerate(zip(*np.triu_indices(n_classes), strict=True)):
        blocks[k, :, other] = blocks[other, :, k] = sums[pair, position]
    return hessian


@kernel(inner=True)
def _fill_class_pair_multipliers(weighted_probabilities, p, is_same_class, multipliers):
    """Fill multipliers[i] with w_i (1 - p[i]) if both classes are the same, else with -w_i p[i].

    w are the `weighted_probabilities`.
    """
    prevent_inlining()
    one = p.dtype.type(1 if is_same_class else 0)
    for i in range(p.shape[0]):
        multipliers[i] = weighted_probabilities[i] * (one - p[i])
