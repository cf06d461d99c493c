"""Kernels over dense rows for the logistic loss (K = 1), which read X in place, without copying rows into a tile.

X (n, d) has any type and is passed as the view from `make_any_layout_view`. Its rows or its columns are contiguous. The
scaling x~ = scale x + shift is folded into the coefficients v and the intercept c. A score is then sum_j (scale_j v_j)
x_j + (c + sum_j shift_j v_j), and the sum of r_i x~_ij is scale_j sum_i r_i x_ij + shift_j sum_i r_i. Everything else
is as in dense_rows.py. The rounding error is larger if the mean of a column is large relative to its standard deviation
(docs/derivations.md, section 8). `allows_folding` excludes such columns.
"""

import numpy as np

from fastlin.kernels.linear.residuals import (
    allocate_logistic_buffers,
    convert_consecutive_logistic_scores,
    convert_products_to_slopes,
    sum_values,
)
from fastlin.kernels.machine.arrays import CACHE_LINE, zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.in_place import (
    COLUMNS_PER_STEP,
    ROWS_PER_STEP,
    add_multiplied_columns,
    add_multiplied_rows,
    score_columns,
    score_long_rows,
    score_rows,
)
from fastlin.kernels.machine.intrinsics import optimize_for_size
from fastlin.kernels.machine.simd import MIN_LONG_ROW_BYTES
from fastlin.kernels.machine.vectors import compensated_dot
from fastlin.typing import FloatArray, FloatType

# The largest absolute shift of a scaled column, whose standard deviation is near one. A shift of 64 multiplies the
# rounding error of the column's terms by at most 129, which costs seven of the 53 bits of float64. In float32, a shift
# of 2 multiplies the rounding error by at most 5.
MAX_COLUMN_SHIFT = {np.float64: 64.0, np.float32: 2.0}


def allows_folding(scale: FloatArray, shift: FloatArray, precision: FloatType) -> bool:
    """Return whether these kernels can compute in ``precision`` with columns of these scales and shifts (d,).

    The shifts must be small. The scales must be far enough within the range of the type that products neither overflow
    nor underflow. A column with a scale of zero is excluded.
    """
    max_scale, scale = 2.0 ** (np.finfo(precision).maxexp // 4), scale[scale > 0]
    return bool(
        max(shift.max(initial=0.0), -shift.min(initial=0.0)) <= MAX_COLUMN_SHIFT[precision]
        and scale.max(initial=1.0) <= max_scale
        and scale.min(initial=1.0) * max_scale >= 1
    )


@kernel(reassociate=False)
def fill_block_pass_in_place(block, n_blocks, X, scaling, parameters, tile_rows, sums, losses, curvature):
    """Fill the block's slice of `sums` in one pass over all rows, like `fill_block_pass` for K = 1."""
    optimize_for_size()
    X = X[0]
    first, last = block * X.shape[0] // n_blocks, (block + 1) * X.shape[0] // n_blocks
    coef, intercept = _unscale_parameters(parameters, scaling)
    # The scores are padded to whole cache lines.
    scores = zeros_aligned((np.int64(1), _pad_to_cache_lines(tile_rows, coef)), coef.dtype)
    buffers = allocate_logistic_buffers(tile_rows, coef)
    coef_sums, tile_buffer = zeros_aligned(coef.shape[1], np.float64), zeros_aligned(coef.shape, coef.dtype)
    loss, total = 0.0, 0.0
    for start in range(first, last, tile_rows):
        n_rows = tile_rows if start + tile_rows < last else last - start
        tile = X[start : start + n_rows]
        _fill_scores(tile, coef, intercept, scores)
        if losses is not None:
            loss += convert_consecutive_logistic_scores(
                scores[0, :n_rows], losses.samples, losses.probability_output, start, buffers
            )
        if curvature is not None:
            convert_products_to_slopes(scores, n_rows, curvature, start)
        total += sum_values(scores[0, :n_rows])
        _add_rows(tile, scores, coef_sums, tile_buffer)
    if losses is not None:
        losses.values[block] = loss
    _fill_scaled_sums(coef_sums, total, scaling, sums, block)


@kernel(inline=True)
def _unscale_parameters(parameters, scaling):
    """Return coef (1, width) and intercept for the unscaled columns, in the type of `parameters`.

    coef is padded with zeros up to the end of the last cache line.
    """
    scaled = parameters.coef[0]
    coef = zeros_aligned((np.int64(1), _pad_to_cache_lines(scaled.shape[0], scaled)), scaled.dtype)
    for j in range(scaled.shape[0]):
        coef[0, j] = scaled[j] * scaling.scale[j]
    intercept = compensated_dot(np.float64(parameters.intercept[0]), scaled, scaling.shift)
    return coef, scaled.dtype.type(intercept)


@kernel(inline=True)
def _fill_scaled_sums(gradient, total, scaling, sums, block):
    """Fill the block's slice of `sums`, given the sums for the unscaled columns.

    `gradient` (width,) is the gradient with respect to the coefficients of the unscaled columns, and `total` is the sum
    of the residuals.
    """
    sums.intercept[block, 0] = total
    for j in range(scaling.scale.shape[0]):
        # The sum over an excluded column may have overflowed.
        slope = gradient[j] * scaling.scale[j] if scaling.scale[j] > 0 else 0.0
        sums.coef[block, 0, j] = slope + total * scaling.shift[j]


@kernel(inline=True)
def _pad_to_cache_lines(n, values):
    """Return n, a number of values of the type of `values`, rounded up to whole cache lines."""
    lanes = CACHE_LINE // values.itemsize
    return (n + lanes - 1) // lanes * lanes


@kernel(reassociate=False, inner=True)
def _fill_scores(X, coef, intercept, scores):
    """Fill scores[0, i] with coef X[i] + intercept for the rows i of X. The padding of `scores` is overwritten."""
    optimize_for_size()
    row_scores = scores[0]
    for i in range(row_scores.shape[0]):
        row_scores[i] = intercept
    if X.strides[1] == X.itemsize:
        n_rows, zero_index = X.shape[0], np.int64(0)
        if X.shape[1] * X.itemsize < MIN_LONG_ROW_BYTES:
            # The processor itself prefetches short rows.
            for i in range(0, n_rows, ROWS_PER_STEP):
                score_rows(X, n_rows, i, coef, zero_index, zero_index, coef.shape[1], scores)
        else:
            for i in range(0, n_rows, ROWS_PER_STEP):
                score_long_rows(X, n_rows, i, coef, zero_index, zero_index, coef.shape[1], scores)
        return
    for j in range(0, X.shape[1], COLUMNS_PER_STEP):
        add_multiplied_columns(X.T, X.shape[1], j, coef[0], row_scores)


@kernel(reassociate=False, inner=True)
def _add_rows(X, multipliers, sums, tile_buffer):
    """Add the sum of multipliers[0, i] X[i] over the rows i of X to `sums`, float64.

    The padding of `multipliers` is overwritten with zeros. The sum over a tile is computed in `tile_buffer` (1, width),
    in the type of `multipliers`. `tile_buffer` is zero before and after the call.
    """
    optimize_for_size()
    n_rows, factors, tile_sums, zero_index = X.shape[0], multipliers[0], tile_buffer[0], np.int64(0)
    for i in range(n_rows, factors.shape[0]):
        factors[i] = 0
    if X.strides[1] != X.itemsize:
        for j in range(0, X.shape[1], COLUMNS_PER_STEP):
            score_columns(X.T, X.shape[1], j, multipliers, zero_index, zero_index, factors.shape[0], tile_buffer)
    else:
        for i in range(0, n_rows, ROWS_PER_STEP):
            add_multiplied_rows(X, n_rows, i, factors, tile_sums)
    for j in range(tile_sums.shape[0]):
        sums[j] += np.float64(tile_sums[j])
        tile_sums[j] = 0
