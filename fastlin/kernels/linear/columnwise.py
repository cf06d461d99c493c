"""Kernels over an X of few columns that was copied column by column, scaled and centered: passes, Gram matrices.

A column is a vector of rows, so that each product is a plain loop that LLVM vectorizes, however few the columns are.
The last column is the intercept's: ones, or zeros where there is none. The rows lie in tiles, each of which stays in
the first-level cache from the scores to the gradient, or with many columns in the second-level cache.
"""

from typing import NamedTuple, Self

import numpy as np

from fastlin.kernels.linear.operands import Samples
from fastlin.kernels.linear.residuals import (
    divide_logistic,
    exponentiate_below,
    find_largest,
    take_logarithms,
)
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.exponential import exponentiate_in_place
from fastlin.kernels.machine.instructions import add_freely
from fastlin.kernels.machine.threads import NUMBER_WORK, count_blocks, run_blocks

# Numbers of a tile of few columns, 24 KB of the first-level cache; with fewer rows than 256 the sums over lanes take
# longer than that saves: a Gram matrix of 1,000 x 100 takes 0.29 ms, with tiles of 64 rows 0.36.
TILE_NUMBERS = 3072
FEWEST_TILE_ROWS, MAX_TILE_ROWS = 256, 512
# Rows come in whole runs of the vectors that LLVM works on at once: what is left over runs one by one. The Gram matrix
# of 569 x 30 took 66 microseconds so, and takes 16.
ROWS_AT_ONCE = 32
# The rows of `buffer` behind those of the scores, and two more for `fill_gram`.
LARGEST, FACTORS = range(2)
BUFFER_ROWS = 4


class TiledRows(NamedTuple):
    """The rows of a fit in T tiles of m rows; behind the n rows stand zeros."""

    values: np.ndarray  # (T, d + 1, m), X, scaled and centered, and the column of the intercept
    labels: np.ndarray  # (T, m) int64
    weights: np.ndarray  # (T, m)
    offsets: np.ndarray  # (T, K, m), added to the scores; (T, 0, m) for none
    targets: np.ndarray  # (T, K, m), the probabilities in place of the labels; (T, 0, m) for none
    n_rows: int  # n
    is_weighted: bool  # whether weights were given

    @classmethod
    def of(cls, X: np.ndarray, samples: Samples, scale: np.ndarray, shift: np.ndarray) -> Self:
        """Copy the rows of samples from X[0], with what samples has of them."""
        rows = samples.rows
        if len(rows):
            samples = samples.take(rows)
        n, n_columns = len(rows) or X.shape[1], X.shape[2] + 1
        shape = count_tiles(n, n_columns)
        values = np.zeros((shape[0], n_columns, shape[1]))
        own_labels, own_weights = np.zeros(shape, np.int64), np.zeros(shape)
        own_labels.reshape(-1)[:n] = samples.labels
        own_weights.reshape(-1)[:n] = samples.weights if len(samples.weights) else 1.0
        n_blocks = count_blocks(n, row_work=NUMBER_WORK * n_columns)
        run_blocks(fill_block_tiles, min(n_blocks, shape[0]), X, rows, scale, shift, values)
        offsets, targets = (_cut_by_class(each, shape) for each in (samples.offsets, samples.targets))
        return cls(values, own_labels, own_weights, offsets, targets, n, len(samples.weights) > 0)

    def fill_column(self, j: int, value: float) -> None:
        """Set the rows of a column to a value."""
        n_tiles, _, tile_rows = self.values.shape
        last = self.n_rows - (n_tiles - 1) * tile_rows
        self.values[:-1, j], self.values[-1, j, :last] = value, value


def _cut_by_class(by_rows, shape):
    """Return numbers (n, K) of the rows in tiles of a shape (T, m), as (T, K, m)."""
    n, n_classes = by_rows.shape
    if not n:
        return np.empty((shape[0], 0, shape[1]))
    cut = np.zeros((*shape, n_classes))
    cut.reshape(-1, n_classes)[:n] = by_rows
    return np.ascontiguousarray(cut.transpose(0, 2, 1))


def make_buffer(n_classes: int, tile_rows: int) -> np.ndarray:
    """Return what `evaluate` overwrites, with rows for the scores and BUFFER_ROWS more."""
    return np.empty((n_classes + BUFFER_ROWS, tile_rows))


@kernel
def fill_block_tiles(block, n_blocks, X, rows, scale, shift, values):
    """Fill the columns of the block's tiles of values (T, d + 1, m), but the last, with scale[j] x + shift[j].

    x are columns of X[0] (n, d), of any type and layout, in the given rows; without entries these are all.
    """
    tile_rows, n_rows = values.shape[2], rows.shape[0] if rows.shape[0] > 0 else X.shape[1]
    for t in range(block * values.shape[0] // n_blocks, (block + 1) * values.shape[0] // n_blocks):
        first = t * tile_rows
        for j in range(X.shape[2]):
            for i in range(min(n_rows - first, tile_rows)):
                number = rows[first + i] if rows.shape[0] > 0 else first + i
                values[t, j, i] = np.float64(X[0, number, j]) * scale[j] + shift[j]


def count_tiles(n_rows: int, n_columns: int) -> tuple[int, int]:
    """Return how many tiles the rows lie in, and how many rows each has."""
    most = max(FEWEST_TILE_ROWS, min(TILE_NUMBERS // n_columns // ROWS_AT_ONCE * ROWS_AT_ONCE, MAX_TILE_ROWS))
    n_tiles = max(1, -(-n_rows // most))
    return n_tiles, max(1, -(-n_rows // n_tiles // ROWS_AT_ONCE)) * ROWS_AT_ONCE


@kernel(reassociate=False, inner=True)
def evaluate_within(rows, parameters, probabilities, buffer, total):
    """Return sum s_i l_i at parameters (K (d + 1),), and fill total (K (d + 1),) with its derivative.

    rows are TiledRows, whose probabilities (T, K, m) are kept. The losses are those of residuals.py. Columns are read
    by four; the last ones, where none are left, with factors of zero.
    """
    values, labels, weights, targets = rows.values, rows.labels, rows.weights, rows.targets
    (n_tiles, n_columns, tile_rows), n_classes = values.shape, probabilities.shape[1]
    largest, factors = buffer[n_classes + LARGEST], buffer[n_classes + FACTORS]
    last, loss = n_columns - 1, 0.0
    total[:] = 0.0
    for t in range(n_tiles):
        n_rows, part = min(rows.n_rows - t * tile_rows, tile_rows), 0.0
        buffer[:n_classes] = 0.0
        for k in range(rows.offsets.shape[1]):
            for i in range(tile_rows):
                buffer[k, i] = rows.offsets[t, k, i]
        # Two classes at a time, which share what is read of X; the last of an odd number comes alone.
        for k in range(0, n_classes - 1, 2):
            first, second = k * n_columns, (k + 1) * n_columns
            for j in range(0, n_columns, 4):
                a, b, c = min(j + 1, last), min(j + 2, last), min(j + 3, last)
                has_a, has_b, has_c = j + 1 <= last, j + 2 <= last, j + 3 <= last
                p, q = parameters[first + j], parameters[first + a] * has_a
                u, v = parameters[first + b] * has_b, parameters[first + c] * has_c
                e, f = parameters[second + j], parameters[second + a] * has_a
                g, w = parameters[second + b] * has_b, parameters[second + c] * has_c
                for i in range(tile_rows):
                    x, y = values[t, j, i], values[t, a, i]
                    z, o = values[t, b, i], values[t, c, i]
                    more = p * x + q * y + u * z + v * o
                    buffer[k, i] += more
                    more = e * x + f * y + g * z + w * o
                    buffer[k + 1, i] += more
        for k in range(n_classes - n_classes % 2, n_classes):
            first = k * n_columns
            for j in range(0, n_columns, 4):
                a, b, c = min(j + 1, last), min(j + 2, last), min(j + 3, last)
                p, q = parameters[first + j], parameters[first + a] * (j + 1 <= last)
                u, v = parameters[first + b] * (j + 2 <= last), parameters[first + c] * (j + 3 <= last)
                for i in range(tile_rows):
                    more = p * values[t, j, i] + q * values[t, a, i] + u * values[t, b, i] + v * values[t, c, i]
                    buffer[k, i] += more
        if n_classes == 1:
            for i in range(tile_rows):
                factors[i] = -abs(buffer[0, i])
            exponentiate_in_place(factors)
            for i in range(tile_rows):
                largest[i] = np.float64(labels[t, i])
            for i in range(tile_rows * targets.shape[1]):
                largest[i] = targets[t, 0, i]
            for i in range(tile_rows):
                p, suboptimality, slope = divide_logistic(buffer[0, i], largest[i], factors[i], buffer)
                probabilities[t, 0, i] = p
                part = add_freely(part, weights[t, i] * suboptimality)
                buffer[0, i] = slope * weights[t, i]
        else:
            factors[:] = -1.0
            find_largest(buffer[:n_classes], tile_rows, largest)
            for i in range(tile_rows * (targets.shape[1] == 0)):
                part -= weights[t, i] * (buffer[labels[t, i], i] - largest[i])
            for k in range(targets.shape[1]):
                for i in range(tile_rows):
                    part = add_freely(part, weights[t, i] * (targets[t, k, i] * (largest[i] - buffer[k, i])))
            exponentiate_below(buffer[:n_classes], tile_rows, largest, factors)
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
        for i in range(take_logarithms(factors[:n_rows], weights[t, : n_rows * rows.is_weighted])):
            part = add_freely(part, factors[i])
        loss += part
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
                    p = add_freely(p, buffer[k, i] * values[t, j, i])
                    q = add_freely(q, buffer[k, i] * values[t, a, i])
                    u = add_freely(u, buffer[k, i] * values[t, b, i])
                    v = add_freely(v, buffer[k, i] * values[t, c, i])
                total[first + j] += p
                total[first + a] += q * (j + 1 <= last)
                total[first + b] += u * (j + 2 <= last)
                total[first + c] += v * (j + 3 <= last)
    return loss


@kernel(reassociate=False)
def fill_block_sums(block, n_blocks, rows, parameters, losses, totals, kept):
    """Fill losses[block] and totals[block], of totals (B, K (d + 1)), with loss and gradient of the block's tiles.

    kept (K, n) takes the probabilities of the block's rows; without entries they are not wanted.
    """
    n_tiles, n_columns, tile_rows = rows.values.shape
    n_classes = parameters.shape[0] // n_columns
    buffer, found = np.empty((n_classes + BUFFER_ROWS, tile_rows)), np.empty((1, n_classes, tile_rows))
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
        loss += evaluate_within(tile, parameters, found, buffer, total)
        for j in range(total.shape[0]):
            totals[block, j] += total[j]
        for k in range(kept.shape[0]):
            source, target = found[0, k], kept[k, first : first + tile_rows]
            for i in range(target.shape[0]):
                target[i] = source[i]
    losses[block] = loss


@kernel(reassociate=False, inner=True)
def _add_products(one, other, values, first, sums, other_sums):
    """Add the sum over the rows of one[i] values[j, i] to sums[j], and that of other to other_sums, for j >= first.

    Columns are read by four; the last ones, where none are left, add zeros.
    """
    last = values.shape[0] - 1
    for j in range(first, values.shape[0], 4):
        a, b, c = min(j + 1, last), min(j + 2, last), min(j + 3, last)
        has_a, has_b, has_c = j + 1 <= last, j + 2 <= last, j + 3 <= last
        p, q, u, v, e, f, g, w = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(values.shape[1]):
            p = add_freely(p, one[i] * values[j, i])
            q = add_freely(q, one[i] * values[a, i])
            u = add_freely(u, one[i] * values[b, i])
            v = add_freely(v, one[i] * values[c, i])
            e = add_freely(e, other[i] * values[j, i])
            f = add_freely(f, other[i] * values[a, i])
            g = add_freely(g, other[i] * values[b, i])
            w = add_freely(w, other[i] * values[c, i])
        sums[j] += p
        sums[a] += q * has_a
        sums[b] += u * has_b
        sums[c] += v * has_c
        other_sums[j] += e
        other_sums[a] += f * has_a
        other_sums[b] += g * has_b
        other_sums[c] += w * has_c


@kernel(inline=True)
def fill_gram(values, weights, buffer, gram):
    """Fill gram[j, h], h >= j, with the sum over the rows of weights[i] values[j, i] values[h, i].

    values (T, d + 1, m), weights (T, m), gram (d + 1, d + 1). The last two rows of `buffer` are overwritten. What lies
    left of the diagonal means nothing.
    """
    n_tiles, n_columns, tile_rows = values.shape
    one, other = buffer[buffer.shape[0] - 2], buffer[buffer.shape[0] - 1]
    gram[:] = 0.0
    for t in range(n_tiles):
        for j in range(0, n_columns, 2):
            # The last of an odd number comes with zeros.
            below = min(j + 1, n_columns - 1)
            for i in range(tile_rows):
                one[i] = weights[t, i] * values[t, j, i]
                other[i] = weights[t, i] * values[t, below, i] * (below > j)
            _add_products(one, other, values[t], j, gram[j], gram[below])
