"""Kernels for a scaled and centered column-wise copy of X with few columns: passes and Gram matrices.

Each column is contiguous, so LLVM vectorizes each product as a loop over rows, however few columns there are. The last
column belongs to the intercept. It contains ones, or zeros without an intercept. The rows are stored in tiles. A tile
fits into the L1 cache or, with many columns, into the L2 cache.
"""

from typing import NamedTuple, Self

import numpy as np

from fastlin.kernels.linear.operands import Samples
from fastlin.kernels.linear.residuals import (
    compute_logistic_terms,
    exponentiate_shifted_scores,
    find_row_maxima,
    reduce_log_losses,
)
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.exponential import exponentiate_in_place
from fastlin.kernels.machine.intrinsics import add_reassociated
from fastlin.kernels.machine.threads import COPIED_NUMBER_WORK, count_blocks, run_blocks

# The number of values in a tile with few columns, which takes 24 KB of the L1 cache. With fewer than MIN_TILE_ROWS rows
# per tile, the sums over vector lanes take more time than the cache saves
# (docs/benchmarks/design-choices.md: short tiles).
VALUES_PER_TILE = 3072
MIN_TILE_ROWS, MAX_TILE_ROWS = 256, 512
# The number of rows per tile is a multiple of the rows per step of LLVM's unrolled loops, so that no row is processed
# individually (docs/benchmarks/design-choices.md: rows per unrolled loop).
TILE_ROW_MULTIPLE = 32
# Indices of rows of the buffer, counted from the end of the scores. `fill_gram` uses two more rows.
MAXIMA_BUFFER_ROW, EXPONENTIALS_BUFFER_ROW = range(2)
BUFFER_ROWS = 4


class TiledRows(NamedTuple):
    """The n rows of a fit, stored in T tiles of m rows each. The last tile is padded with zeros."""

    values: np.ndarray  # (T, d + 1, m), scaled and centered X, and the column of the intercept
    labels: np.ndarray  # (T, m) int64
    weights: np.ndarray  # (T, m)
    offsets: np.ndarray  # (T, K, m), added to the scores; (T, 0, m) for none
    targets: np.ndarray  # (T, K, m), the class probabilities that replace the labels; (T, 0, m) for none
    n_rows: int  # n
    is_weighted: bool  # whether the samples have weights

    @classmethod
    def of(cls, X: np.ndarray, samples: Samples, scale: np.ndarray, shift: np.ndarray) -> Self:
        """Return a copy of the rows of X[0] that `samples` selects, with their labels, weights, offsets and targets."""
        rows = samples.rows
        if len(rows):
            samples = samples.take(rows)
        n, n_columns = len(rows) or X.shape[1], X.shape[2] + 1
        shape = count_tiles(n, n_columns)
        values = np.zeros((shape[0], n_columns, shape[1]))
        labels, weights = np.zeros(shape, np.int64), np.zeros(shape)
        labels.reshape(-1)[:n] = samples.labels
        weights.reshape(-1)[:n] = samples.weights if len(samples.weights) else 1.0
        n_blocks = count_blocks(n, row_work=COPIED_NUMBER_WORK * n_columns)
        run_blocks(fill_block_tiles, min(n_blocks, shape[0]), X, rows, scale, shift, values)
        offsets, targets = (_tile_by_class(row_values, shape) for row_values in (samples.offsets, samples.targets))
        return cls(values, labels, weights, offsets, targets, n, len(samples.weights) > 0)

    def fill_column(self, j: int, value: float) -> None:
        """Set column j of all rows to a value."""
        n_tiles, _, tile_rows = self.values.shape
        last = self.n_rows - (n_tiles - 1) * tile_rows
        self.values[:-1, j], self.values[-1, j, :last] = value, value


def _tile_by_class(row_values, shape):
    """Return an array (n, K) of values per row, rearranged into tiles (T, K, m). ``shape`` is (T, m)."""
    n, n_classes = row_values.shape
    if not n:
        return np.empty((shape[0], 0, shape[1]))
    tiled_values = np.zeros((*shape, n_classes))
    tiled_values.reshape(-1, n_classes)[:n] = row_values
    return np.ascontiguousarray(tiled_values.transpose(0, 2, 1))


def make_tile_buffer(n_classes: int, tile_rows: int) -> np.ndarray:
    """Return a buffer (K + BUFFER_ROWS, m) for `evaluate_tiles`, which overwrites it."""
    return np.empty((n_classes + BUFFER_ROWS, tile_rows))


@kernel
def fill_block_tiles(block, n_blocks, X, rows, scale, shift, values):
    """Fill the first d columns of the block's tiles in values (T, d + 1, m) with scale[j] x_ij + shift[j].

    X[0] (n, d) has any type and layout. The rows i are ``rows``, or all rows if ``rows`` is empty.
    """
    tile_rows, n_rows = values.shape[2], rows.shape[0] if rows.shape[0] > 0 else X.shape[1]
    for t in range(block * values.shape[0] // n_blocks, (block + 1) * values.shape[0] // n_blocks):
        first = t * tile_rows
        for j in range(X.shape[2]):
            for i in range(min(n_rows - first, tile_rows)):
                row = rows[first + i] if rows.shape[0] > 0 else first + i
                values[t, j, i] = np.float64(X[0, row, j]) * scale[j] + shift[j]


def count_tiles(n_rows: int, n_columns: int) -> tuple[int, int]:
    """Return the number of tiles and the number of rows per tile."""
    max_rows = max(
        MIN_TILE_ROWS, min(VALUES_PER_TILE // n_columns // TILE_ROW_MULTIPLE * TILE_ROW_MULTIPLE, MAX_TILE_ROWS)
    )
    n_tiles = max(1, -(-n_rows // max_rows))
    return n_tiles, max(1, -(-n_rows // n_tiles // TILE_ROW_MULTIPLE)) * TILE_ROW_MULTIPLE


@kernel(reassociate=False, inner=True)
def evaluate_tiles(rows, parameters, probabilities, buffer, total):
    """Return the sum of the losses s_i l_i, and fill `total` with the gradient of this sum.

    `parameters` and `total` have shape (K (d + 1),). `rows` are a TiledRows. The kernel also fills `probabilities`
    (T, K, m). For the losses, see residuals.py. Columns are read four at a time. If fewer than four are left, the other
    factors are zero.
    """
    values, labels, weights, targets = rows.values, rows.labels, rows.weights, rows.targets
    (n_tiles, n_columns, tile_rows), n_classes = values.shape, probabilities.shape[1]
    largest, factors = buffer[n_classes + MAXIMA_BUFFER_ROW], buffer[n_classes + EXPONENTIALS_BUFFER_ROW]
    last, loss = n_columns - 1, 0.0
    total[:] = 0.0
    for t in range(n_tiles):
        n_rows, tile_loss = min(rows.n_rows - t * tile_rows, tile_rows), 0.0
        buffer[:n_classes] = 0.0
        for k in range(rows.offsets.shape[1]):
            for i in range(tile_rows):
                buffer[k, i] = rows.offsets[t, k, i]
        # Classes are processed in pairs, so that X is read once per pair. If the number of classes is odd, the last
        # class is processed alone.
        for k in range(0, n_classes - 1, 2):
            first, second = k * n_columns, (k + 1) * n_columns
            for j in range(0, n_columns, 4):
                a, b, c = min(j + 1, last), min(j + 2, last), min(j + 3, last)
                has_second_column, has_third_column, has_fourth_column = j + 1 <= last, j + 2 <= last, j + 3 <= last
                p, q = parameters[first + j], parameters[first + a] * has_second_column
                u, v = parameters[first + b] * has_third_column, parameters[first + c] * has_fourth_column
                e, f = parameters[second + j], parameters[second + a] * has_second_column
                g, w = parameters[second + b] * has_third_column, parameters[second + c] * has_fourth_column
                for i in range(tile_rows):
                    x, y = values[t, j, i], values[t, a, i]
                    z, o = values[t, b, i], values[t, c, i]
                    product = p * x + q * y + u * z + v * o
                    buffer[k, i] += product
                    product = e * x + f * y + g * z + w * o
                    buffer[k + 1, i] += product
        for k in range(n_classes - n_classes % 2, n_classes):
            first = k * n_columns
            for j in range(0, n_columns, 4):
                a, b, c = min(j + 1, last), min(j + 2, last), min(j + 3, last)
                p, q = parameters[first + j], parameters[first + a] * (j + 1 <= last)
                u, v = parameters[first + b] * (j + 2 <= last), parameters[first + c] * (j + 3 <= last)
                for i in range(tile_rows):
                    product = p * values[t, j, i] + q * values[t, a, i] + u * values[t, b, i] + v * values[t, c, i]
                    buffer[k, i] += product
        if n_classes == 1:
            for i in range(tile_rows):
                factors[i] = -abs(buffer[0, i])
            exponentiate_in_place(factors)
            for i in range(tile_rows):
                largest[i] = np.float64(labels[t, i])
            for i in range(tile_rows * targets.shape[1]):
                largest[i] = targets[t, 0, i]
            for i in range(tile_rows):
                p, linear_loss_term, slope = compute_logistic_terms(buffer[0, i], largest[i], factors[i], buffer)
                probabilities[t, 0, i] = p
                tile_loss = add_reassociated(tile_loss, weights[t, i] * linear_loss_term)
                buffer[0, i] = slope * weights[t, i]
        else:
            factors[:] = -1.0
            find_row_maxima(buffer[:n_classes], tile_rows, largest)
            for i in range(tile_rows * (targets.shape[1] == 0)):
                tile_loss -= weights[t, i] * (buffer[labels[t, i], i] - largest[i])
            for k in range(targets.shape[1]):
                for i in range(tile_rows):
                    tile_loss = add_reassociated(
                        tile_loss, weights[t, i] * (targets[t, k, i] * (largest[i] - buffer[k, i]))
                    )
            exponentiate_shifted_scores(buffer[:n_classes], tile_rows, largest, factors)
            for k in range(n_classes):
                for i in range(tile_rows):
                    fraction = buffer[k, i] / (1.0 + factors[i])
                    probabilities[t, k, i] = fraction
                    buffer[k, i] = fraction * weights[t, i]
            for i in range(tile_rows * (targets.shape[1] == 0)):
                buffer[labels[t, i], i] -= weights[t, i]
            for k in range(targets.shape[1]):
                for i in range(tile_rows):
                    buffer[k, i] -= targets[t, k, i] * weights[t, i]
        for i in range(reduce_log_losses(factors[:n_rows], weights[t, : n_rows * rows.is_weighted])):
            tile_loss = add_reassociated(tile_loss, factors[i])
        loss += tile_loss
        for k in range(0, n_classes - 1, 2):
            first, end = k * n_columns, (k + 1) * n_columns
            _add_products(
                buffer[k], buffer[k + 1], values[t], np.int64(0), total[first:end], total[end : end + n_columns]
            )
        for k in range(n_classes - n_classes % 2, n_classes):
            first = k * n_columns
            for j in range(0, n_columns, 4):
                a, b, c = min(j + 1, last), min(j + 2, last), min(j + 3, last)
                p, q, u, v = 0.0, 0.0, 0.0, 0.0
                for i in range(tile_rows):
                    p = add_reassociated(p, buffer[k, i] * values[t, j, i])
                    q = add_reassociated(q, buffer[k, i] * values[t, a, i])
                    u = add_reassociated(u, buffer[k, i] * values[t, b, i])
                    v = add_reassociated(v, buffer[k, i] * values[t, c, i])
                total[first + j] += p
                total[first + a] += q * (j + 1 <= last)
                total[first + b] += u * (j + 2 <= last)
                total[first + c] += v * (j + 3 <= last)
    return loss


@kernel(reassociate=False)
def fill_block_sums(block, n_blocks, rows, parameters, losses, totals, probabilities):
    """Fill losses[block] with the loss, and totals[block] with the gradient (K (d + 1),), over the block's tiles.

    Unless `probabilities` (K, n) is empty, the kernel also fills its entries for the block's rows.
    """
    n_tiles, n_columns, tile_rows = rows.values.shape
    n_classes = parameters.shape[0] // n_columns
    buffer, tile_probabilities = np.empty((n_classes + BUFFER_ROWS, tile_rows)), np.empty((1, n_classes, tile_rows))
    total, loss = np.empty(parameters.shape[0]), 0.0
    totals[block] = 0.0
    for t in range(block * n_tiles // n_blocks, (block + 1) * n_tiles // n_blocks):
        first = t * tile_rows
        tile = TiledRows(
            rows.values[t : t + 1],
            rows.labels[t : t + 1],
            rows.weights[t : t + 1],
            rows.offsets[t : t + 1],
            rows.targets[t : t + 1],
            rows.n_rows - first,
            rows.is_weighted,
        )
        loss += evaluate_tiles(tile, parameters, tile_probabilities, buffer, total)
        for j in range(total.shape[0]):
            totals[block, j] += total[j]
        for k in range(probabilities.shape[0]):
            source, target = tile_probabilities[0, k], probabilities[k, first : first + tile_rows]
            for i in range(target.shape[0]):
                target[i] = source[i]
    losses[block] = loss


@kernel(reassociate=False, inner=True)
def _add_products(column_multipliers, next_column_multipliers, values, first, sums, next_column_sums):
    """Add sum_i values[j, i] column_multipliers[i] to sums[j], for j >= `first`.

    The sums with `next_column_multipliers` are added to `next_column_sums`.
    Columns are read four at a time. If fewer than four are left, the other factors are zero.
    """
    last = values.shape[0] - 1
    for j in range(first, values.shape[0], 4):
        a, b, c = min(j + 1, last), min(j + 2, last), min(j + 3, last)
        has_second_column, has_third_column, has_fourth_column = j + 1 <= last, j + 2 <= last, j + 3 <= last
        p, q, u, v, e, f, g, w = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(values.shape[1]):
            p = add_reassociated(p, column_multipliers[i] * values[j, i])
            q = add_reassociated(q, column_multipliers[i] * values[a, i])
            u = add_reassociated(u, column_multipliers[i] * values[b, i])
            v = add_reassociated(v, column_multipliers[i] * values[c, i])
            e = add_reassociated(e, next_column_multipliers[i] * values[j, i])
            f = add_reassociated(f, next_column_multipliers[i] * values[a, i])
            g = add_reassociated(g, next_column_multipliers[i] * values[b, i])
            w = add_reassociated(w, next_column_multipliers[i] * values[c, i])
        sums[j] += p
        sums[a] += q * has_second_column
        sums[b] += u * has_third_column
        sums[c] += v * has_fourth_column
        next_column_sums[j] += e
        next_column_sums[a] += f * has_second_column
        next_column_sums[b] += g * has_third_column
        next_column_sums[c] += w * has_fourth_column


@kernel(inline=True)
def fill_gram(values, weights, buffer, gram):
    """Fill gram[j, h] for h >= j with the weighted sum over all rows of the products of the columns j and h.

    `values` has shape (T, d + 1, m), `weights` (T, m) and `gram` (d + 1, d + 1). The kernel overwrites the last two
    rows of `buffer`. Entries of `gram` below the diagonal are undefined.
    """
    n_tiles, n_columns, tile_rows = values.shape
    column_multipliers, next_column_multipliers = buffer[buffer.shape[0] - 2], buffer[buffer.shape[0] - 1]
    gram[:] = 0.0
    for t in range(n_tiles):
        for j in range(0, n_columns, 2):
            # If the number of columns is odd, the last column is paired with zeros.
            next_column = min(j + 1, n_columns - 1)
            for i in range(tile_rows):
                column_multipliers[i] = weights[t, i] * values[t, j, i]
                next_column_multipliers[i] = weights[t, i] * values[t, next_column, i] * (next_column > j)
            _add_products(column_multipliers, next_column_multipliers, values[t], j, gram[j], gram[next_column])
