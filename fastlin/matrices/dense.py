"""Dense X of any type and layout: statistics of columns, predictions, and passes, which copy X where it is small."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
from scipy import sparse

from fastlin.kernels.linear.column_scaling import fill_block_column_statistics, join_column_statistics
from fastlin.kernels.linear.columnwise import TiledRows, count_tiles, fill_block_sums
from fastlin.kernels.linear.curvature import (
    COLUMN_PAIRS,
    PANEL_ROWS,
    WIDE,
    WIDE_PANEL_ROWS,
    fill_block_class_pair_gram,
    fill_block_gram,
    pad_pairs,
    unpack_pairs,
)
from fastlin.kernels.linear.dense_rows import (
    fill_block_pass,
    fill_block_rows,
    fill_block_scores,
    fill_scores,
)
from fastlin.kernels.linear.logistic_rows import (
    allows_folding,
    fill_block_pass_in_place,
)
from fastlin.kernels.linear.operands import BlockSums, Levels, Parameters, Samples
from fastlin.kernels.linear.row_multipliers import fill_block_row_products
from fastlin.kernels.machine import background_compilation
from fastlin.kernels.machine.arrays import any_layout, copy_aligned, writable_view, zeros_aligned
from fastlin.kernels.machine.emitter import VECTOR_BYTES
from fastlin.kernels.machine.in_place import count_tile_rows_in_place
from fastlin.kernels.machine.simd import ROW_GROUP
from fastlin.kernels.machine.threads import (
    EXPONENTIAL_WORK,
    MAX_PARTIAL_BYTES,
    READ_WORK,
    add_blocks,
    count_blocks,
    cut_work,
    run_blocks,
)
from fastlin.kernels.machine.tiles import TILE_BYTES, Scaling, count_tile_rows, is_turned
from fastlin.matrices.matrix import Columns, Matrix, Passes, Transposed
from fastlin.tensors import DTYPES, choose_type
from fastlin.typing import Array, FloatArray, FloatType, IntArray

# From this number of panels of a Gram matrix on, the rows are not cut too.
EVEN_PANELS = 5
# What a column costs in a row of a pass, for each of three classes or more: 10,000 x 20 with four takes 430
# microseconds. With one row of coefficients the products wait for memory.
CLASS_WORK = 10

# An X of no more numbers, a megabyte, is copied column by column. So is one of more than two classes, where the
# products of its columns are no more than FEW_PRODUCTS: 100,000 x 5 and 3,000 x 50 with four classes take 0.7 of the
# time, with ten 0.8, and 30,000 x 50 with ten as long. Fewer columns count as FEWEST_COLUMNS, so that no copy takes
# more than 16 MB.
FEW_NUMBERS, FEW_PRODUCTS, FEWEST_COLUMNS = 1 << 17, 1 << 25, 16
# An X of FEW_NUMBERS is scored by a kernel that compiles sooner, up to this number of products.
FEW_SCORE_PRODUCTS = 1 << 21
# Blocks of many classes have no fewer rows: to allocate sums and coefficients takes as long as 75 of them, and
# 8,000 x 384 with 100 classes 15 % longer in 27 blocks than in 15.
MANY_CLASSES, BLOCK_ROWS = 32, 512
# Each column of a tile beside levels is a loop of its own: 2,000,000 x 8 columns of codes and 2 of numbers take 50 ms
# with tiles of 2,048 rows, 57 with 512 and 73 with 128.
MAX_TILE_ROWS = 2048
# What a column costs in a row of such a copy, for each class.
COLUMNWISE_WORK = 4
# Columns in which at most one number out of so many is not zero are kept as entries where X is held by columns.
SPARSITY = 8
# Numbers of the rows that are scaled before they are written as columns: these stay in the second-level cache.
NUMBERS_TURNED, MIN_ROWS_TURNED = 1 << 15, 64
# A panel of dense X takes about PANEL_BYTES, and has a multiple of the next number of columns, at most MAX_COLUMNS.
PANEL_BYTES = 1 << 21
PANEL_COLUMNS = 32
MAX_COLUMNS = 256
# G takes as long as a product for each class and this number of rows. It is computed after that many products, so a fit
# takes at most twice as long as with the better of both.
ROWS_A_PRODUCT = 24


class DenseMatrix(Matrix):
    """X of shape (n, d), in place or copied to one of DTYPES; `layers` (2, n, d) are as `any_layout` makes them."""

    def __init__(self, X: Array) -> None:
        if X.dtype not in DTYPES:
            X = X.astype(choose_type(X.dtype))
        elif X.dtype == np.bool_:
            X = X.view(np.uint8)
        super().__init__(X.shape, X.dtype, False, X.size, X.nbytes)
        self._X, self.layers = X, any_layout(X)
        self._row_gram: tuple[FloatArray, DenseMatrix] | None = None

    @cached_property
    def longest_row(self) -> int:
        """The most entries that are added one after the other: the lanes of a vector share the others."""
        return min(self.shape[1], self.shape[1] // min(4, VECTOR_BYTES // 8) + 8)

    def measure(self, weights: FloatArray | None = None) -> Columns:
        """See `Matrix.measure`."""
        n, d = self.shape
        row_weights = np.empty(0) if weights is None else weights
        if 0 < self.X.size <= FEW_NUMBERS:
            background_compilation.begin("fastlin.kernels.first_fit")
        # The origin is the heaviest row: a light one far from the others would leave of the spread what rounding does.
        heaviest = 0 if weights is None else int(np.argmax(weights))
        total, weight = (float(n), 1.0) if weights is None else (float(weights.sum()), float(weights[heaviest]))
        origins = self.X[heaviest].astype(np.float64)
        n_blocks = count_blocks(n, row_work=d, partial_bytes=32 * d, data_bytes=self.X.nbytes)
        statistics = np.empty((4, n_blocks, d))
        run_blocks(fill_block_column_statistics, n_blocks, self.layers, row_weights, origins, statistics)
        columns = np.empty((5, d))
        join_column_statistics(statistics, origins, total, weight / total, columns)
        return Columns(*columns)

    def gram(self, weights: FloatArray, precision: FloatType) -> FloatArray:
        """Return sum over i of weights[i] [x_i, 1] [x_i, 1]', (d + 1, d + 1), in a precision; weights (n,)."""
        n, d = self.shape
        samples = Samples(np.empty(0, np.int64), np.zeros(n, np.int32), np.empty(0))
        passes = self.passes(samples, Scaling(np.ones(d), np.zeros(d)), 1)
        return passes.gram(samples.rows, weights[None], precision)[0]

    def score(
        self, coef: FloatArray, intercept: FloatArray, scores: FloatArray, best: IntArray, levels: Levels | None = None
    ) -> None:
        """See `Matrix.score`; rows may have levels too."""
        K, d = coef.shape
        if levels is None and self.X.size <= FEW_NUMBERS and self.X.size * K <= FEW_SCORE_PRODUCTS:
            X = writable_view(np.ascontiguousarray(self.X, coef.dtype))
            fill_scores(X, np.array(coef, order="C"), intercept.astype(coef.dtype), scores, best)
            return
        parameters = Parameters(copy_aligned(coef), intercept.astype(coef.dtype))
        if levels is None:
            n_blocks, tile_rows = count_blocks(len(self.X), row_work=K * d), count_tile_rows(d, K, coef.itemsize)
            run_blocks(fill_block_scores, n_blocks, self.layers, parameters, tile_rows, scores, best)
        else:
            given = parameters, count_tile_rows_beside(levels, d, K), scores, best, levels
            run_blocks(fill_block_scores, len(levels.sums), self.layers, *given)

    def take(self, rows: IntArray | slice) -> DenseMatrix:
        """See `Matrix.take`."""
        return DenseMatrix(self.X[rows])

    def densify(self, rows: IntArray | slice) -> Array:
        """See `Matrix.densify`."""
        return self.X[rows]

    def take_rows(self, rows: IntArray | slice, out: FloatArray) -> Array:
        """Return the given rows (m, d) in the type of ``out``: ``out`` itself, or a view of X that needs no copy."""
        if self.X.dtype == out.dtype and self.X.flags.c_contiguous:
            if isinstance(rows, slice):
                return self.X[rows]
            # Without a copy between, 200 x 784 take half of the time.
            return np.take(self.X, rows, axis=0, out=out, mode="clip")
        # In NumPy, with a copy between and on one thread, rows of float64 to float32 take up to twice as long.
        rows = np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows
        run_blocks(fill_block_rows, count_blocks(*out.shape), self.layers, rows, out)
        return out

    def _transpose(self, precision):
        """Return columns of few numbers that are not zero as entries, and the others whole.

        Whole numbers of up to two bytes stay as they are, others are scaled and centered.
        """
        n, d = self.shape
        scale, shift = self.measure().choose_coordinates()
        n_entries = np.count_nonzero(self.X, axis=0)
        has_few = (np.abs(shift) <= 1) & (SPARSITY * n_entries <= n)
        X, whole, positions = self.X, np.arange(d), np.arange(d)
        # In the types of most sparse data, for which the kernels of a descent are then compiled too.
        starts, indices, values = np.zeros(d + 1, np.int32), np.empty(0, np.int32), np.empty(0)
        if has_few.any():
            whole, positions = np.flatnonzero(~has_few), np.where(has_few, -1, np.cumsum(~has_few) - 1)
            entries, X = sparse.csc_array(X[:, has_few]), X[:, whole]
            starts[1:] = np.cumsum(np.where(has_few, n_entries, 0))
            indices, values = entries.indices.astype(np.int32), entries.data.astype(np.float64)
            scale, shift = np.where(has_few, 1.0, scale), np.where(has_few, 0.0, shift)
        if self.X.itemsize <= 2:
            panel, scale, shift = np.array(X.T, order="C"), np.ones(d), np.zeros(d)
        else:
            own = _cast(Scaling(scale[whole], shift[whole]), self.dtype, precision)
            panel = np.empty((len(whole), n), precision)
            batch_size = max(MIN_ROWS_TURNED, NUMBERS_TURNED // max(1, d))
            for first in range(0, n, batch_size):
                part = slice(first, first + batch_size)
                panel[:, part] = (X[part] * own.scale + own.shift).T
        return Transposed(panel, positions, starts, indices, values, scale, shift)

    def row_products(self, n_rows_coef: int, factors: FloatArray, allows_gram: bool) -> DenseRowProducts:
        """See `Matrix.row_products`."""
        find_gram = partial(self._find_row_gram, factors) if allows_gram else None
        return DenseRowProducts(self.layers, n_rows_coef, factors, find_gram)

    def _find_row_gram(self, factors):
        """Return X F^-1 X' as a DenseMatrix (n, n), which is kept for the next fit with the same factors."""
        # Folds in threads ask for it at once.
        with self._lock:
            if self._row_gram is None or (self._row_gram[0] != factors).any():
                gram = DenseMatrix(self.X.T).gram(1 / factors, np.float64)
                self._row_gram = factors, DenseMatrix(gram[:-1, :-1])
            return self._row_gram[1]

    def passes(self, samples: Samples, scaling: Scaling, n_rows_coef: int) -> DensePasses:
        """See `Matrix.passes`."""
        kind = ColumnPasses if is_copied(len(samples.rows) or len(self.X), self.shape[1], n_rows_coef) else DensePasses
        return kind(self, samples, scaling, n_rows_coef)


def is_copied(n_rows: int, n_features: int, n_rows_coef: int) -> bool:
    """Say whether passes are over a copy column by column: of a small X, or one of few columns."""
    size = n_features + 1
    products = n_rows * size * max(size, FEWEST_COLUMNS)
    return n_rows * size <= FEW_NUMBERS or (n_rows_coef > 1 and products <= FEW_PRODUCTS)


def count_pass_blocks(n_rows: int, n_features: int, n_rows_coef: int, itemsize: int) -> int:
    """Return the number of blocks into which a pass over rows of X is cut; an entry of X has ``itemsize`` bytes."""
    K, d = n_rows_coef, n_features
    row_work = READ_WORK * d if K == 1 else K * (CLASS_WORK * d + EXPONENTIAL_WORK)
    n_blocks = count_blocks(n_rows, row_work=row_work, partial_bytes=8 * K * d, data_bytes=n_rows * itemsize * d)
    return n_blocks if K < MANY_CLASSES else min(n_blocks, max(2, n_rows // BLOCK_ROWS))


def count_tile_rows_beside(levels: Levels, n_features: int, n_rows_coef: int) -> int:
    """Return the rows of a tile of a pass over levels beside dense columns."""
    (n_coded, _), (_, width) = levels.columns.shape, levels.table.shape
    row_bytes = 8 * (n_features + 1 + n_rows_coef + width) + 4 * n_coded
    return max(1, min(TILE_BYTES // row_bytes, MAX_TILE_ROWS) // ROW_GROUP) * ROW_GROUP


class Plan(NamedTuple):
    """How passes in a precision are made."""

    scaling: Scaling  # of the columns
    tile_rows: int  # worked on at a time
    folds: bool  # whether X is read in place, with the scaling in the coefficients


class DensePasses(Passes):
    """Passes over the rows where they lie; `logistic_rows.py` says when scale and shift enter the coefficients."""

    def __init__(
        self, matrix: DenseMatrix, samples: Samples, scaling: Scaling, n_rows_coef: int, levels: Levels | None = None
    ) -> None:
        super().__init__(matrix, samples, scaling, n_rows_coef)
        self._X = X = matrix.X
        # The levels of a table, which are added to the rows.
        self._layers, self._levels = matrix.layers, levels
        K, d = n_rows_coef, X.shape[1]
        self._reads_in_place = K == 1 and not (len(samples.rows) or levels) and X.itemsize in X.strides
        self._n_blocks = len(levels.sums) if levels else count_pass_blocks(self._n_rows, d, K, X.itemsize)
        self._plans: dict[FloatType, Plan] = {}
        self._sums = BlockSums(np.empty((self._n_blocks, K, d)), np.empty((self._n_blocks, K)))
        if self._reads_in_place and not is_copied(self._n_rows, d, K):
            self.shift_roundings = 2.0 if self._plan(np.float64).folds else 0.0

    @property
    def longest_row(self) -> int:
        """See `Passes.longest_row`; no lanes share the columns of a turned tile."""
        K, size = self.shape
        return size - 1 if is_turned(size - 1, K) else super().longest_row

    @property
    def longest_sum(self) -> int:
        """See `Passes.longest_sum`: the rows of a tile, the tiles of a block, and the blocks."""
        tile_rows, n_blocks = self._plan(np.float64).tile_rows, self._n_blocks
        return tile_rows - (-self._n_rows // (tile_rows * n_blocks)) + n_blocks

    def _run(self, parameters, total, losses, curvature, batch=None):
        precision, sums = parameters.dtype.type, self._sums
        if len(parameters) < len(sums.intercept[0]):
            sums = BlockSums(*(np.empty((len(each), len(parameters), *each.shape[2:])) for each in sums))
        plan = self._plan(precision)
        given = plan.scaling, _split(parameters, precision), plan.tile_rows, sums, losses, curvature
        if plan.folds:
            run_blocks(fill_block_pass_in_place, self._n_blocks, self._layers, *given)
        else:
            # The last arguments of the kernel, if there are any.
            others = () if self._levels is None else (self._levels,)
            others = others if batch is None else (*(others or (None,)), batch)
            run_blocks(fill_block_pass, self._n_blocks, self._layers, self.samples.rows, *given, *others)
        if batch is not None:
            total[:, :-1], total[:, -1] = add_blocks(sums.coef), add_blocks(sums.intercept)
            return total
        # In small passes sum() takes a microsecond more each time.
        np.add.reduce(sums.coef, out=total[:, :-1])
        np.add.reduce(sums.intercept, out=total[:, -1])
        return total

    def gram(self, rows: IntArray, row_weights: FloatArray, precision: FloatType) -> FloatArray:
        """See `Passes.gram`."""
        size, n = self.shape[1], row_weights.shape[1]
        panel_rows = PANEL_ROWS if size < WIDE else WIDE_PANEL_ROWS
        n_panels = -(-size // panel_rows)
        # One panel after the other has less work: the first ones alone do not keep threads equally busy.
        n_parts = count_blocks(n, size**2 // 2, len(row_weights) * 8 * size**2) if n_panels < EVEN_PANELS else 1
        grams = np.empty((n_parts, len(row_weights), size, size), precision)
        run_blocks(
            fill_block_gram,
            n_panels * n_parts,
            self._layers,
            self._row_numbers(rows),
            np.ascontiguousarray(row_weights, precision),
            self._plan(precision).scaling,
            panel_rows,
            grams,
        )
        return grams[0] if n_parts == 1 else np.add.reduce(grams, dtype=np.float64).astype(precision)

    def class_pair_gram(self, probabilities: FloatArray) -> FloatArray:
        """See `Passes.class_pair_gram`."""
        K, size = self.shape
        precision = probabilities.dtype.type
        if K == 1:
            # Each array of a number for each row takes as long as a tenth of a small Gram matrix.
            curvature = 1 - probabilities
            curvature *= probabilities
            if len(self.samples.weights):
                curvature *= self.samples.weigh().astype(precision, copy=False)
            return self.gram(self.samples.rows, curvature, precision)[0].astype(np.float64, copy=False)
        row_weights = self.samples.weigh().astype(precision, copy=False)
        n_pairs, n_products = K * (K + 1) // 2, size * (size + 1) // 2
        width = pad_pairs(n_products)
        n_blocks = count_blocks(self._n_rows, row_work=n_pairs * n_products)
        n_parts = count_blocks(self._n_rows, row_work=n_pairs * n_products, partial_bytes=8 * n_pairs * width)
        n_groups = max(1, min(n_blocks // n_parts, width // COLUMN_PAIRS))
        sums = zeros_aligned((n_parts * n_pairs, width), np.float64).reshape(n_parts, n_pairs, width)
        run_blocks(
            fill_block_class_pair_gram,
            n_parts * n_groups,
            self._layers,
            self._row_numbers(self.samples.rows),
            row_weights,
            probabilities,
            self._plan(precision).scaling,
            sums,
        )
        return unpack_pairs(np.add.reduce(sums), K, size)

    def _row_numbers(self, rows):
        return rows if len(rows) else np.arange(len(self._X))

    def _plan(self, precision):
        """Return the Plan of passes in a precision; a small pass takes 15 microseconds, a plan two."""
        if precision not in self._plans:
            (K, _), X, scaling = self.shape, self._X, _cast(self._scaling, self._X.dtype, precision)
            folds = self._reads_in_place and allows_folding(*self._scaling, precision)
            if self._levels is not None:
                tile_rows = count_tile_rows_beside(self._levels, X.shape[1], K)
            elif folds:
                tile_rows = count_tile_rows_in_place(X.shape[1], X.itemsize)
            else:
                tile_rows = count_tile_rows(X.shape[1], K, np.dtype(precision).itemsize)
            self._plans[precision] = Plan(scaling, tile_rows, folds)
        return self._plans[precision]


def _cast(scaling, dtype, precision):
    """Return a Scaling for passes in a precision over data of a type."""
    # Numbers that float32 cannot hold are centered before they are rounded to it.
    kind = np.float64 if dtype == np.float64 else precision
    return Scaling(scaling.scale.astype(kind), scaling.shift.astype(kind))


def _split(parameters, precision):
    """Return parameters (K, d + 1) as the kernels take them."""
    coef = np.ascontiguousarray(parameters[:, :-1], precision)
    return Parameters(coef, np.ascontiguousarray(parameters[:, -1], precision))


class ColumnPasses(DensePasses):
    """Passes over few columns: the first pass in float64 copies them, column by column."""

    def __init__(self, matrix: DenseMatrix, samples: Samples, scaling: Scaling, n_rows_coef: int) -> None:
        super().__init__(matrix, samples, scaling, n_rows_coef)
        self.lies_in_cache = self._n_rows * self.shape[1] <= FEW_NUMBERS
        self._tiles: TiledRows | None = None

    @property
    def longest_row(self) -> int:
        """See `Passes.longest_row`."""
        return self._matrix.longest_row

    @property
    def longest_sum(self) -> int:
        """See `Passes.longest_sum`: the rows of a tile, and the tiles."""
        return sum(count_tiles(self._n_rows, self.shape[1]))

    def tile(self, intercept: float = 1.0) -> TiledRows:
        """Return the columns, scaled, centered and followed by one of this number, with the samples; the copy is kept.

        A pass at an intercept of zero is the same for each number, but for the derivative by the intercept.
        """
        if self._tiles is None:
            self._tiles = TiledRows.of(self._layers, self.samples, *self._scaling)
        self._tiles.fill_column(-1, intercept)
        return self._tiles

    def evaluate(self, parameters: FloatArray, probabilities: FloatArray | None, gradient: FloatArray) -> float:
        """See `Passes.evaluate`."""
        if parameters.dtype != np.float64:
            return super().evaluate(parameters, probabilities, gradient)
        rows, (K, size) = self.tile() if self._tiles is None else self._tiles, parameters.shape
        row_work = READ_WORK * size if K == 1 else K * (COLUMNWISE_WORK * size + EXPONENTIAL_WORK)
        n_blocks = count_blocks(self._n_rows, row_work=row_work, partial_bytes=8 * K * size)
        n_blocks = min(n_blocks, len(rows.values))
        losses, totals = np.empty(n_blocks), np.empty((n_blocks, K * size))
        kept = np.empty((0, 0)) if probabilities is None else probabilities
        run_blocks(fill_block_sums, n_blocks, rows, parameters.ravel(), losses, totals, kept)
        np.add.reduce(totals.reshape(n_blocks, K, size), out=gradient)
        return float(np.add.reduce(losses))


class DenseRowProducts:
    """Products for dense X: panel by panel at first, later by G itself, a DenseMatrix that `find_gram` returns.

    Penalty factors (d,) are above zero. `find_gram` is None if G does not fit into memory or would lose digits.
    """

    def __init__(
        self, layers: Array, n_rows_coef: int, factors: FloatArray, find_gram: Callable[[], DenseMatrix] | None
    ) -> None:
        _, n, d = layers.shape
        self._layers, self._n_rows_coef = layers, n_rows_coef
        self._scaling, self._factors = Scaling(np.ones(d), np.zeros(d)), 1 / factors
        self._width = min(max(1, PANEL_BYTES // (8 * n * PANEL_COLUMNS)) * PANEL_COLUMNS, MAX_COLUMNS)
        n_panels = -(-d // self._width)
        n_blocks = cut_work(2 * n * d * n_rows_coef, min(n_panels, MAX_PARTIAL_BYTES // (8 * n * n_rows_coef)))
        self._coef = np.empty((n_rows_coef, d))
        self._products = np.empty((n_blocks, n_rows_coef, n))
        self._find_gram = find_gram
        self._gram: DenseMatrix | None = None
        self._n_left = n // (ROWS_A_PRODUCT * n_rows_coef)

    def combine(self, vector: FloatArray, coef: FloatArray) -> None:
        """Fill coef (K, d) with F^-1 X' vector."""
        self._run(self._turn(vector))
        coef[:] = self._coef

    def multiply(self, vector: FloatArray, product: FloatArray) -> None:
        """Fill the first n rows of product with G vector."""
        turned = self._turn(vector)
        if self._find_gram is not None and self._n_left == 0:
            self._gram, self._find_gram = self._find_gram(), None
        self._n_left -= 1
        n = turned.shape[1]
        if self._gram is not None:
            product[:n, : len(turned)] = self._gram.compute_scores(turned, np.zeros(len(turned)))
        else:
            self._run(turned)
            product[:n, : len(turned)] = np.add.reduce(self._products).T

    def _turn(self, vector):
        """Return the numbers of a vector class by class, (K, n)."""
        return copy_aligned(vector[: self._products.shape[2], : self._n_rows_coef].T)

    def _run(self, turned):
        run_blocks(
            fill_block_row_products,
            len(self._products),
            self._layers,
            self._scaling,
            turned,
            self._factors,
            self._width,
            self._coef,
            self._products,
        )
