"""The two products of a tile with the coefficients, which with many classes go panel of columns by panel.

With few classes all coefficients stay in the first-level cache, and a panel is as wide as X. With a thousand classes
neither they nor scores and sums fit into the second level, and rows that lie kilobytes apart take a page each. There a
panel is a few columns, stored in one piece, and the scores are vectors of rows: the sum over the columns needs no sum
over lanes. A pass over 20,000 x 512 with 1,000 classes takes 0.41 s in float32 and 0.91 s in float64, where whole tiles
take 0.83 and 2.28 s, and a BLAS on blocks of 1,024 rows, one thread for each half of the rows, 0.41 and 0.83 s (AMD
EPYC, znver3, two processors of one core).
"""

from typing import NamedTuple

import numpy as np

from fastlin.kernels.machine import products, simd
from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.emitter import VECTOR_BYTES
from fastlin.kernels.machine.instructions import compile_small
from fastlin.kernels.machine.prefetch import empty_list
from fastlin.kernels.machine.simd import CLASSES_TOGETHER, ROW_GROUP
from fastlin.kernels.machine.tiles import (
    MAX_TILE_ROWS,
    Scaling,
    count_tile_rows,
    load_tile,
    no_scaling,
    pad_columns,
    pad_scaling,
    zeros_padded,
)

# From so many classes on panels are faster: with 64 they take as long as whole tiles, with 1,000 half as long.
MANY_CLASSES = 96
# Vectors of a panel: as many as the products add to at a time.
PANEL_VECTORS = 4
# Columns of X that scores are summed over at a time. For 32 rows of float32 they take 8 KB, half of the first level for
# each of two threads.
COLUMNS_TURNED = 64
# The coefficients of so many classes for these columns, and their scores, share the second-level cache: whole groups.
CLASSES_CACHED = 192 // CLASSES_TOGETHER * CLASSES_TOGETHER


class Panels(NamedTuple):
    """The coefficients and a tile of X, as the products take them: whole, or cut into panels.

    Attributes
    ----------
    coef : ndarray of shape (K, width) or (C K, COLUMNS_TURNED)
        The coefficients, or those for the first columns of X, then those for the next ones.
    tile : ndarray of shape (tile rows, width) or (P tile rows, panel)
        The rows of the tile, or their first columns, a panel wide, then the next ones.
    turned : ndarray of shape (tile rows / panel * COLUMNS_TURNED, panel)
        Some columns of the tile as rows: for its first rows, a panel wide, then for the next ones. Without entries
        nothing is cut.
    scaling : Scaling
        How the columns of X enter, for all columns of the tile.
    """

    coef: np.ndarray
    tile: np.ndarray
    turned: np.ndarray
    scaling: Scaling


def choose_tile_rows(n_rows: int, n_features: int, n_classes: int, itemsize: int) -> int:
    """Return the rows of a tile, from the shape alone, where a block has n_rows at most."""
    rows = count_tile_rows(n_features, n_classes, itemsize)
    if n_classes < MANY_CLASSES:
        return rows
    # Panels compute all rows of a tile. Of fewer rows nothing is cut.
    return MAX_TILE_ROWS if n_rows >= MAX_TILE_ROWS else min(rows, MAX_TILE_ROWS - ROW_GROUP)


@kernel(inline=True)
def _is_cut(n_classes, tile_rows):
    return n_classes >= MANY_CLASSES and tile_rows == MAX_TILE_ROWS


@kernel(inner=True)
def open_panels(coef, scaling, tile_rows):
    """Return the Panels of coef (K, d), whose tile has room for ``tile_rows`` rows."""
    compile_small()
    n_classes, n_features = coef.shape
    panel = PANEL_VECTORS * VECTOR_BYTES // coef.itemsize
    if not _is_cut(n_classes, tile_rows):
        tile = zeros_padded(tile_rows, n_features, coef.dtype)
        return Panels(pad_columns(coef), tile, zeros_aligned((0, panel), coef.dtype), pad_scaling(scaling, tile))
    n_parts = (n_features + COLUMNS_TURNED - 1) // COLUMNS_TURNED
    cut = zeros_aligned((n_parts * n_classes, COLUMNS_TURNED), coef.dtype)
    for part in range(n_parts):
        for k in range(n_classes):
            _copy(coef[k, part * COLUMNS_TURNED :], cut[part * n_classes + k])
    n_panels = (n_features + panel - 1) // panel
    tile = zeros_aligned((n_panels * tile_rows, panel), coef.dtype)
    turned = zeros_aligned((tile_rows // panel * COLUMNS_TURNED, panel), coef.dtype)
    return Panels(cut, tile, turned, pad_scaling(scaling, zeros_aligned((0, n_panels * panel), coef.dtype)))


@kernel(inline=True)
def open_panels_to_read(X, coef, tile_rows):
    """Return the Panels of coef (K, d) for `read_and_multiply`; rows that it reads from X need no tile."""
    is_read = X.strides[1] == X.itemsize and not _is_cut(coef.shape[0], tile_rows)
    unscaled = no_scaling(zeros_aligned((0, coef.shape[1]), coef.dtype))
    return open_panels(coef, unscaled, np.int64(0) if is_read else tile_rows)


@kernel(inner=True)
def open_sums(panels, n_classes):
    """Return zeros in float64 for `add_tile`: (K, width), or (P K, panel) where the tile is cut."""
    compile_small()
    n_panels = panels.tile.shape[0] // MAX_TILE_ROWS if panels.turned.shape[0] > 0 else 1
    return zeros_aligned((n_panels * n_classes, panels.tile.shape[1]), np.float64)


@kernel(reassociate=False, inline=True)
def load_and_multiply(X, numbers, panels, intercept, scores, ahead):
    """Load the rows ``numbers`` of X into the tile, and fill scores[k, i] = coef[k] tile[i] + intercept[k].

    scores (K, tile rows) are overwritten beyond the last number too. Where nothing is cut the memory of the list
    ``ahead`` is asked for meanwhile.
    """
    if panels.turned.shape[0] == 0:
        products.load_and_multiply(X, numbers, panels.scaling, panels.tile, panels.coef, intercept, scores, ahead)
    else:
        _load_and_multiply_panels(X, numbers, panels, intercept, scores)


@kernel(reassociate=False, inline=True)
def read_and_multiply(X, numbers, panels, intercept, scores, ahead):
    """Fill scores as `load_and_multiply` does, without scale and shift; the tile is not kept."""
    if panels.turned.shape[0] == 0:
        products.read_and_multiply(X, numbers, panels.tile, panels.coef, intercept, scores, ahead)
    else:
        _load_and_multiply_panels(X, numbers, panels, intercept, scores)


@kernel(reassociate=False, inner=True)
def _load_and_multiply_panels(X, numbers, panels, intercept, scores):
    compile_small()
    n_classes, tile_rows = scores.shape
    scale, shift = panels.scaling.scale, panels.scaling.shift
    width = panels.tile.shape[1]
    nothing = empty_list(np.int64(0))
    products.fill_rows(intercept, scores)
    for begin in range(0, X.shape[1], COLUMNS_TURNED):
        stop = begin + COLUMNS_TURNED if begin + COLUMNS_TURNED < X.shape[1] else X.shape[1]
        for first in range(begin, stop, width):
            last = first + width if first + width < stop else stop
            panel = panels.tile[first // width * tile_rows : (first // width + 1) * tile_rows]
            scaling = Scaling(scale[first : first + width], shift[first : first + width])
            load_tile(X[:, first:last], numbers, scaling, panel)
            _turn(panel, numbers.shape[0], first - begin, last - first, panels.turned)
        part = begin // COLUMNS_TURNED
        coef = panels.coef[part * n_classes : (part + 1) * n_classes]
        for k in range(0, n_classes, CLASSES_CACHED):
            end = k + CLASSES_CACHED if k + CLASSES_CACHED < n_classes else n_classes
            for i in range(0, numbers.shape[0], width):
                columns = panels.turned[i // width * COLUMNS_TURNED : (i // width + 1) * COLUMNS_TURNED]
                products.add_panel(columns, stop - begin, coef[k:end], scores[k:end], i, nothing)


@kernel(inner=True)
def _turn(panel, n_rows, first_column, n_columns, turned):
    """Write the first columns of a panel of the tile to ``turned``, from its column ``first_column`` on.

    Whole vectors of rows and columns are written.
    """
    compile_small()
    lanes, width = VECTOR_BYTES // panel.itemsize, panel.shape[1]
    for i in range(0, n_rows, lanes):
        place = i // width * COLUMNS_TURNED + first_column
        for j in range(0, n_columns, lanes):
            simd.transpose_square(panel, i, j, turned, place + j, i % width)


@kernel(reassociate=False, inline=True)
def add_tile(panels, n_rows, multipliers, sums, ahead):
    """Add the sum over i < n_rows of multipliers[k, i] tile[i] to the sums of class k, multipliers (K, tile rows).

    sums come from `open_sums`. Where nothing is cut the memory of the list ``ahead`` is asked for meanwhile.
    """
    if panels.turned.shape[0] == 0:
        products.add_product(panels.tile, n_rows, multipliers, np.int64(0), sums, ahead)
    else:
        _add_panels(panels.tile, n_rows, multipliers, sums)


@kernel(reassociate=False, inner=True)
def _add_panels(tile, n_rows, multipliers, sums):
    compile_small()
    n_classes, tile_rows = multipliers.shape
    nothing = empty_list(np.int64(0))
    for k in range(0, n_classes, CLASSES_CACHED):
        end = k + CLASSES_CACHED if k + CLASSES_CACHED < n_classes else n_classes
        for panel in range(sums.shape[0] // n_classes):
            rows = tile[panel * tile_rows : (panel + 1) * tile_rows]
            of_panel = sums[panel * n_classes + k : panel * n_classes + end]
            products.add_panel(rows, n_rows, multipliers[k:end], of_panel, np.int64(0), nothing)


@kernel(inline=True)
def copy_sums(sums, total):
    """Fill total (K, d) with the sums of `add_tile`."""
    n_classes, width = total.shape[0], sums.shape[1]
    for part in range((total.shape[1] + width - 1) // width):
        for k in range(n_classes):
            _copy(sums[part * n_classes + k], total[k, part * width :])


@kernel(inner=True)
def _copy(source, target):
    """Copy as many numbers as both have; a division for each number to find its place took a third of a small block."""
    compile_small()
    for j in range(min(source.shape[0], target.shape[0])):
        target[j] = source[j]
