"""Kernels over dense rows with one row of coefficients, which read X where it lies, without a tile.

X (n, d) is of any type and comes as `any_layout` makes it; its rows or its columns are one piece of memory each. A row
enters as x~ = scale x + shift here too, but as a part of the coefficients: a score is sum_j (scale_j v_j) x_j + (c +
sum_j shift_j v_j), and the sum of r_i x~_ij is scale_j sum_i r_i x_ij + shift_j sum_i r_i. All else is as in
dense_rows.py, but rounding counts for more where the mean of a column is far above its spread: docs/derivations.md,
section 8, says how much, and `allows_folding` where that is too much.
"""

import numpy as np

from fastlin.kernels.linear.residuals import (
    add_up,
    convert_logistic_rows,
    convert_products_to_slopes,
    open_logistic_buffer,
)
from fastlin.kernels.machine.arrays import CACHE_LINE, zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.in_place import (
    COLUMNS_READ,
    ROWS_READ,
    add_columns,
    add_long_rows,
    add_short_rows,
    score_columns,
    score_rows,
)
from fastlin.kernels.machine.instructions import compile_small
from fastlin.kernels.machine.vectors import compensated_dot
from fastlin.typing import FloatArray, FloatType

# The loops here ask for no lines of the next tile.
NO_LINES = 0, 0
# Bytes of a row from which on the rows of the next tile are asked for: see `add_long_rows`.
LONG_ROW = 320
# The most that a shift may be, in spreads of a column, which are near one. A shift of 64 multiplies what rounding does
# to the terms of its column by 129 at most, seven of the 53 bits of float64; one of 2 multiplies it by 5 at most, of 24
# bits in float32.
MAX_SHIFT = {np.float64: 64.0, np.float32: 2.0}


def allows_folding(scale: FloatArray, shift: FloatArray, precision: FloatType) -> bool:
    """Say whether the kernels here may read columns with such scales and shifts (d,) in a precision.

    The shifts have to be small, and the scales so far within the range of the type that products neither overflow nor
    lose digits below its smallest normal number. A scale of zero leaves its column out.
    """
    max_scale, scale = 2.0 ** (np.finfo(precision).maxexp // 4), scale[scale > 0]
    return bool(
        max(shift.max(initial=0.0), -shift.min(initial=0.0)) <= MAX_SHIFT[precision]
        and scale.max(initial=1.0) <= max_scale
        and scale.min(initial=1.0) * max_scale >= 1
    )


@kernel(reassociate=False)
def fill_block_pass_in_place(block, n_blocks, X, scaling, parameters, tile_rows, sums, losses, curvature):
    """Fill the block's slice of sums in one pass over all rows, as `fill_block_pass` does for K = 1."""
    compile_small()
    X = X[0]
    first, last = block * X.shape[0] // n_blocks, (block + 1) * X.shape[0] // n_blocks
    coef, intercept = _fold(parameters, scaling)
    # To the end of the last vector.
    scores = zeros_aligned((np.int64(1), _whole_lines(tile_rows, coef)), coef.dtype)
    buffers = open_logistic_buffer(tile_rows, coef)
    coef_sums, part = zeros_aligned(coef.shape[1], np.float64), zeros_aligned(coef.shape, coef.dtype)
    loss, total = 0.0, 0.0
    for start in range(first, last, tile_rows):
        n_rows = tile_rows if start + tile_rows < last else last - start
        own = X[start : start + n_rows]
        _fill_scores(own, coef, intercept, scores)
        if losses is not None:
            loss += convert_logistic_rows(scores[0, :n_rows], losses.samples, losses.kept, start, buffers)
        if curvature is not None:
            convert_products_to_slopes(scores, n_rows, curvature, start)
        total += add_up(scores[0, :n_rows])
        _add_rows(own, scores, coef_sums, part)
    if losses is not None:
        losses.values[block] = loss
    _unfold(coef_sums, total, scaling, sums, block)


@kernel(inline=True)
def _fold(parameters, scaling):
    """Return coef (1, width) and intercept of the columns as they are, in the type of those of the scaled columns.

    Zeros follow coef up to the end of the last cache line.
    """
    given = parameters.coef[0]
    coef = zeros_aligned((np.int64(1), _whole_lines(given.shape[0], given)), given.dtype)
    for j in range(given.shape[0]):
        coef[0, j] = given[j] * scaling.scale[j]
    intercept = compensated_dot(np.float64(parameters.intercept[0]), given, scaling.shift)
    return coef, given.dtype.type(intercept)


@kernel(inline=True)
def _unfold(gradient, total, scaling, sums, block):
    """Fill the block's slice of sums with those by the scaled columns of gradient (width,), and of the residuals."""
    sums.intercept[block, 0] = total
    for j in range(scaling.scale.shape[0]):
        # The sum of a column that is left out may overflow.
        own = gradient[j] * scaling.scale[j] if scaling.scale[j] > 0 else 0.0
        sums.coef[block, 0, j] = own + total * scaling.shift[j]


@kernel(inline=True)
def _whole_lines(n, values):
    """Return n rounded up to the numbers of whole cache lines of the type of values."""
    lanes = CACHE_LINE // values.itemsize
    return (n + lanes - 1) // lanes * lanes


@kernel(reassociate=False, inner=True)
def _fill_scores(X, coef, intercept, scores):
    """Fill scores[0, i] = coef X[i] + intercept for the rows i of X; what stands behind them is overwritten."""
    compile_small()
    own = scores[0]
    for i in range(own.shape[0]):
        own[i] = intercept
    if X.strides[1] == X.itemsize:
        n_rows, zero = X.shape[0], np.int64(0)
        for i in range(0, n_rows, ROWS_READ):
            score_rows(X, n_rows, i, coef, zero, zero, coef.shape[1], scores, NO_LINES)
        return
    for j in range(0, X.shape[1], COLUMNS_READ):
        add_columns(X.T, X.shape[1], j, coef[0], own)


@kernel(reassociate=False, inner=True)
def _add_rows(X, multipliers, sums, part):
    """Add the sum over the rows i of X of multipliers[0, i] X[i] to sums, float64.

    multipliers are overwritten with zeros behind the rows. The rows of a tile are added up in their type before, in
    part (1, width), which is zero then and afterwards.
    """
    compile_small()
    n_rows, factors, own, zero = X.shape[0], multipliers[0], part[0], np.int64(0)
    for i in range(n_rows, factors.shape[0]):
        factors[i] = 0
    if X.strides[1] != X.itemsize:
        for j in range(0, X.shape[1], COLUMNS_READ):
            score_columns(X.T, X.shape[1], j, multipliers, zero, zero, factors.shape[0], part, NO_LINES)
    elif X.shape[1] * X.itemsize >= LONG_ROW:
        for i in range(0, n_rows, ROWS_READ):
            add_long_rows(X, n_rows, i, factors, own)
    else:
        for i in range(0, n_rows, ROWS_READ):
            add_short_rows(X, n_rows, i, factors, own)
    for j in range(own.shape[0]):
        sums[j] += np.float64(own[j])
        own[j] = 0
