"""Kernels for the columns of dense X: statistics, scales and shifts, and the coefficients of unscaled columns.

X is a view from `make_any_layout_view`. Each row of X is read once.
"""

import numpy as np

from fastlin.kernels.linear.residuals import get_weight
from fastlin.kernels.machine.arrays import get_contiguous_row
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.vectors import compensated_dot

# The exponent of a float64 is stored above the FRACTION_BITS bits of its fraction. The stored exponent is
# `EXPONENT_BIAS` for values in [1, 2). SQRT2_FRACTION contains the fraction bits of the square root of two.
FRACTION_BITS, EXPONENT_BIAS = 52, 1023
FRACTION_MASK, SQRT2_FRACTION = (1 << FRACTION_BITS) - 1, 0x6A09E667F3BCC
# Scales are limited to 2^-MAX_EXPONENT to 2^MAX_EXPONENT.
MAX_EXPONENT = 1000
# float32 is not used for computations if a scale is beyond these powers of two, because its range ends at 2^128.
MAX_FLOAT32_EXPONENT = 60
MAX_FLOAT32 = float(np.finfo(np.float32).max)
# A shift is rounded to float32 if this changes the mean of the scaled column by at most MAX_SHIFT_ERROR. The standard
# deviation of a scaled column is about one.
MAX_SHIFT_ERROR = 0.1
# The largest relative error of one floating-point operation.
UNIT_ROUNDOFF = float(np.finfo(np.float64).eps) / 2
# Values of this many rows are summed first, and the sums are then added to the statistics of a column, so that the
# statistics are read and written less often (docs/benchmarks/design-choices.md: statistics of four rows).
ROWS_PER_STEP = 4
# X with fewer than MIN_COLUMNS_FOR_ROW_READS columns is read column by column, in batches of ROWS_PER_BATCH rows that
# fit into the L1 cache.
MIN_COLUMNS_FOR_ROW_READS, ROWS_PER_BATCH = 16, 256
# The number of rounding errors that each row contributes, in addition to those of its sums. They arise in an
# exponential and a logarithm (a few units in the last place), the shift by the largest score, divisions and weights.
ROUNDING_ERRORS_PER_ROW = 16


@kernel(reassociate=False)
def fill_block_column_statistics(block, n_blocks, X, weights, reference_row, statistics):
    """Fill statistics[:, block] with the sums, squares, minima and maxima of the columns over the block's rows of X.

    `statistics` has shape (4, B, d) and is float64. The sums are sum s (x - r), and the squares are sum s (x - r)^2.
    The values r are `reference_row` (d,), float64, a row of X, which avoids cancellation in the variance. All values of
    a column are finite if its minimum and maximum are finite and its sum of squares is not NaN. The weights s have
    shape (n,); empty weights mean all ones.
    """
    X = X[0]
    first, last = block * X.shape[0] // n_blocks, (block + 1) * X.shape[0] // n_blocks
    end = first + (last - first) // ROWS_PER_STEP * ROWS_PER_STEP
    sums, squares = statistics[0, block], statistics[1, block]
    smallest, largest = statistics[2, block], statistics[3, block]
    for j in range(sums.shape[0]):
        sums[j], squares[j], smallest[j], largest[j] = 0.0, 0.0, np.inf, -np.inf
    if X.strides[1] == X.itemsize and X.shape[1] >= MIN_COLUMNS_FOR_ROW_READS:
        for i in range(first, end, ROWS_PER_STEP):
            a, b, c, d = (
                get_contiguous_row(X, i),
                get_contiguous_row(X, i + 1),
                get_contiguous_row(X, i + 2),
                get_contiguous_row(X, i + 3),
            )
            numbers_of_four_rows = _get_weights_of_four_rows(weights, i)
            # LLVM vectorizes two loops that write to two arrays each, but not one loop that writes to four arrays.
            for j in range(a.shape[0]):
                shift, square = _sum_four((a[j], b[j], c[j], d[j]), numbers_of_four_rows, reference_row[j])
                sums[j] += shift
                squares[j] += square
            for j in range(a.shape[0]):
                minimum, maximum = _find_extremes((a[j], b[j], c[j], d[j]))
                smallest[j] = minimum if minimum < smallest[j] else smallest[j]
                largest[j] = maximum if maximum > largest[j] else largest[j]
    else:
        for start in range(first, end, ROWS_PER_BATCH):
            stop = min(start + ROWS_PER_BATCH, end)
            for j in range(sums.shape[0]):
                shift, square, minimum, maximum = 0.0, 0.0, smallest[j], largest[j]
                for i in range(start, stop, ROWS_PER_STEP):
                    numbers_of_four_rows = X[i, j], X[i + 1, j], X[i + 2, j], X[i + 3, j]
                    sum_of_four_rows, squares_of_four_rows = _sum_four(
                        numbers_of_four_rows, _get_weights_of_four_rows(weights, i), reference_row[j]
                    )
                    minimum_of_four_rows, maximum_of_four_rows = _find_extremes(numbers_of_four_rows)
                    shift += sum_of_four_rows
                    square += squares_of_four_rows
                    minimum = minimum_of_four_rows if minimum_of_four_rows < minimum else minimum
                    maximum = maximum_of_four_rows if maximum_of_four_rows > maximum else maximum
                sums[j] += shift
                squares[j] += square
                smallest[j], largest[j] = minimum, maximum
    for i in range(end, last):
        for j in range(sums.shape[0]):
            x, weight = np.float64(X[i, j]), get_weight(weights, i)
            distance = x - reference_row[j]
            sums[j] += weight * distance
            squares[j] += weight * distance * distance
            smallest[j] = x if x < smallest[j] else smallest[j]
            largest[j] = x if x > largest[j] else largest[j]


@kernel(inline=True)
def _get_weights_of_four_rows(weights, i):
    """Return the weights of the rows i to i + 3."""
    return get_weight(weights, i), get_weight(weights, i + 1), get_weight(weights, i + 2), get_weight(weights, i + 3)


@kernel(inline=True)
def _sum_four(numbers, weights, reference):
    """Return sum s (x - `reference`) and sum s (x - `reference`)^2 over four values of a column."""
    a, b = np.float64(numbers[0]) - reference, np.float64(numbers[1]) - reference
    c, d = np.float64(numbers[2]) - reference, np.float64(numbers[3]) - reference
    weighted_difference_a, weighted_difference_b, weighted_difference_c, weighted_difference_d = (
        weights[0] * a,
        weights[1] * b,
        weights[2] * c,
        weights[3] * d,
    )
    square = (weighted_difference_a * a + weighted_difference_b * b) + (
        weighted_difference_c * c + weighted_difference_d * d
    )
    return (weighted_difference_a + weighted_difference_b) + (weighted_difference_c + weighted_difference_d), square


@kernel(inline=True)
def _find_extremes(numbers):
    """Return the minimum and the maximum of four values; a NaN may be ignored."""
    a, b, c, d = np.float64(numbers[0]), np.float64(numbers[1]), np.float64(numbers[2]), np.float64(numbers[3])
    minimum, maximum = b if b < a else a, a if b < a else b
    second_pair_minimum, second_pair_maximum = d if d < c else c, c if d < c else d
    return (
        second_pair_minimum if second_pair_minimum < minimum else minimum,
        second_pair_maximum if second_pair_maximum > maximum else maximum,
    )


@kernel(reassociate=False)
def join_column_statistics(statistics, reference_row, total, fraction, columns):
    """Fill columns (5, d) with the arrays of `ColumnStatistics`, computed from the statistics of all blocks (4, B, d).

    `total` is the weight of all rows. `fraction` is the proportion of this weight that belongs to the row
    `reference_row`.
    """
    for j in range(reference_row.shape[0]):
        shift, square, minimum, maximum = 0.0, 0.0, np.inf, -np.inf
        for block in range(statistics.shape[1]):
            shift += statistics[0, block, j]
            square += statistics[1, block, j]
            minimum = min(minimum, statistics[2, block, j])
            maximum = max(maximum, statistics[3, block, j])
        # The comparisons above ignore NaN.
        minimum = minimum if square == square else np.nan
        shift, square = shift / total, square / total
        # The row `reference_row` contributes nothing to the square, so the Cauchy-Schwarz inequality gives a lower
        # bound on the variance. With this bound, the variance is zero if and only if the column is constant.
        variance, min_variance = square - shift * shift, fraction * square
        # The sum and its rounding error, as in `add_exactly`.
        mean = reference_row[j] + shift
        rounded_shift = mean - reference_row[j]
        columns[0, j], columns[1, j] = mean, (reference_row[j] - (mean - rounded_shift)) + (shift - rounded_shift)
        columns[2, j], columns[3, j], columns[4, j] = (
            variance if variance > min_variance else min_variance,
            minimum,
            maximum,
        )


@kernel(reassociate=False)
def fill_coordinates(
    mean, remainder, standard_deviation, largest_deviations, largest, is_centered, bits, outputs, mean_squares
):
    """Fill `outputs` with the scale, shift, mean and `peak_to_mean_ratios` of `Coordinates`, and fill mean_squares[:d].

    `outputs` has shape (4, d), and `mean_squares` has shape (d + 1,). On entry, outputs[0] contains one value per
    column, and the scale of a column is the reciprocal of this value, rounded to a power of two. `bits` (d,), int64, is
    a view of the memory of outputs[0]. The other arrays (d,) are those of `ColumnStatistics`. Columns are shifted only
    if `is_centered`. The kernel returns the number of columns that are zero after centering, and whether float32 can
    represent the scaled columns.
    """
    scale, shift, means, peak_to_mean_ratios = outputs[0], outputs[1], outputs[2], outputs[3]
    n_zero_columns, allows_float32 = 0, True
    for j in range(mean.shape[0]):
        exponent = 0
        if scale[j] > 0:
            # The rounded binary logarithm is computed from the bits of the exponent and the fraction.
            exponent = EXPONENT_BIAS - (bits[j] >> FRACTION_BITS)
            exponent -= 1 if bits[j] & FRACTION_MASK > SQRT2_FRACTION else 0
            exponent = max(-MAX_EXPONENT, min(exponent, MAX_EXPONENT))
        bits[j] = (exponent + EXPONENT_BIAS) << FRACTION_BITS
        exact_shift = -mean[j] * scale[j] if is_centered else 0.0
        # The shift is a float32 value, so that both precisions use the same coordinates.
        rounded_shift = float(np.float32(exact_shift)) if abs(exact_shift) <= MAX_FLOAT32 else np.inf
        is_accurate = abs(rounded_shift - exact_shift) <= MAX_SHIFT_ERROR
        shift[j] = rounded_shift if is_accurate else exact_shift
        is_in_range = abs(exponent) < MAX_FLOAT32_EXPONENT and largest[j] * scale[j] < 2.0**MAX_FLOAT32_EXPONENT
        allows_float32 = allows_float32 and is_accurate and is_in_range
        # The sum in parentheses is exact: its terms differ in sign and are equal, or equal after rounding to float32.
        means[j] = (mean[j] * scale[j] + shift[j]) + remainder[j] * scale[j]
        deviation = scale[j] * standard_deviation[j]
        mean_squares[j] = means[j] * means[j] + deviation * deviation
        if is_centered and standard_deviation[j] == 0:
            n_zero_columns += 1
            mean_squares[j] = 0.0
        max_magnitude = (largest_deviations[j] if is_centered else largest[j]) * scale[j]
        peak_to_mean_ratios[j] = max_magnitude * max_magnitude / mean_squares[j] if mean_squares[j] > 0 else 0.0
    return n_zero_columns, allows_float32


@kernel
def fill_coefficients(parameters, gradient, scale, shift, curvatures, mean_square, coef, intercept, change):
    """Fill coef (K, d) and intercept (K,), rounded to their type, and fill change (K, d + 1) with the rounding errors.

    `parameters` and `gradient` have shape (K, d + 1). `curvatures` (d + 1,) are those of the quadratic penalty, and
    `mean_square` is the mean squared norm of the scaled rows. The kernel returns whether all coefficients are within
    the range of their type, and an upper bound on how much rounding increases the smooth objective
    (`Objective.finish`).
    """
    n_classes, n_features = coef.shape
    is_finite, objective_increase = True, 0.0
    for k in range(n_classes):
        row, slopes, errors = parameters[k, :n_features], gradient[k], change[k]
        exact_intercept = compensated_dot(parameters[k, n_features], row, shift)
        intercept[k] = exact_intercept
        is_finite = is_finite and abs(intercept[k]) < np.inf
        size, shift_error, square, penalty = 0.0, 0.0, 0.0, 0.0
        for j in range(n_features):
            coefficient = row[j] * scale[j]
            coef[k, j] = coefficient
            is_finite = is_finite and abs(coef[k, j]) < np.inf
            errors[j] = (coef[k, j] - coefficient) / scale[j]
            size += abs(row[j] * shift[j])
            shift_error += abs(errors[j] * shift[j])
            square += errors[j] * errors[j]
            penalty += curvatures[j] * errors[j] * errors[j]
            objective_increase += abs(slopes[j] * errors[j])
        # The error of the intercept consists of the error of the float64 sum, the error of rounding to the type of the
        # intercept, and the effect of the rounded coefficients.
        intercept_error = (
            UNIT_ROUNDOFF * (abs(exact_intercept) + 2 * size) + abs(intercept[k] - exact_intercept) + shift_error
        )
        errors[n_features] = intercept_error
        objective_increase += (
            abs(slopes[n_features] * intercept_error)
            + 0.25 * mean_square * (square + intercept_error * intercept_error)
            + 0.5 * penalty
        )
    return is_finite, objective_increase
