"""Dense X of any dtype and memory layout: column statistics, predictions and passes over the rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
from scipy import sparse

from fastlin.containers.tensors import KERNEL_DTYPES, choose_kernel_dtype
from fastlin.kernels.linear.column_scaling import fill_block_column_statistics, join_column_statistics
from fastlin.kernels.linear.columnwise import TiledRows, count_tiles, fill_block_sums
from fastlin.kernels.linear.curvature import (
    COLUMN_PAIRS_PER_STEP,
    MIN_COLUMNS_FOR_WIDE_PANEL,
    PANEL_ROWS,
    WIDE_PANEL_ROWS,
    fill_block_class_pair_gram,
    fill_block_gram,
    round_up_pair_count,
    unpack_pair_hessian,
)
from fastlin.kernels.linear.dense_rows import (
    fill_block_gathered_rows,
    fill_block_pass,
    fill_block_scores,
    fill_scores,
)
from fastlin.kernels.linear.logistic_rows import (
    allows_folding,
    fill_block_pass_in_place,
)
from fastlin.kernels.linear.operands import BlockSums, CategoricalColumns, Parameters, Samples
from fastlin.kernels.linear.row_multipliers import fill_block_row_products
from fastlin.kernels.machine.arrays import copy_aligned, make_any_layout_view, writable_view, zeros_aligned
from fastlin.kernels.machine.emitter import VECTOR_BYTES
from fastlin.kernels.machine.in_place import count_tile_rows_in_place
from fastlin.kernels.machine.simd import ROWS_PER_GROUP
from fastlin.kernels.machine.threads import (
    EXPONENTIAL_WORK,
    MAX_PARTIAL_SUM_BYTES,
    READ_NUMBER_WORK,
    count_blocks,
    count_work_blocks,
    run_blocks,
    sum_blocks,
)
from fastlin.kernels.machine.tiles import TILE_BYTES, Scaling, count_tile_rows, uses_transposed_tile
from fastlin.matrices.matrix import ColumnStatistics, ColumnwiseCopy, Matrix, Passes
from fastlin.typing import Array, FloatArray, FloatType, IntArray

# A Gram matrix with at least this many panels keeps all threads busy without row blocks.
MIN_PANELS_WITHOUT_BLOCKS = 5
# With this many samples, each Gram matrix is summed in one part.
MIN_SAMPLES_WITHOUT_PARTS = 5
# The work of a pass per row, column and class, for three or more classes. With one row of coefficients, memory
# bandwidth limits the products, so each product costs as much as a read (docs/benchmarks/design-choices.md: work per
# class).
CLASS_PRODUCT_WORK = 10

# Passes read a column-wise copy if X has at most MAX_COPIED_ENTRIES numbers (a megabyte). With more than two classes,
# they also do so if the products of two columns take at most MAX_COPIED_MULTIPLICATIONS multiplications; larger copies
# do not pay off (docs/benchmarks/design-choices.md: copied columns). The rule assumes at least MIN_ASSUMED_COLUMNS
# columns, so no copy exceeds 16 MB.
MAX_COPIED_ENTRIES, MAX_COPIED_MULTIPLICATIONS, MIN_ASSUMED_COLUMNS = 1 << 17, 1 << 25, 16
# If X has at most MAX_COPIED_ENTRIES numbers and its scores take at most this many products, a kernel that compiles
# faster computes the scores.
MAX_SMALL_SCORE_PRODUCTS = 1 << 21
# With at least MANY_CLASSES_THRESHOLD classes, blocks have at least MIN_BLOCK_ROWS rows, because each block allocates
# sums and coefficients (docs/benchmarks/design-choices.md: blocks with many classes).
MANY_CLASSES_THRESHOLD, MIN_BLOCK_ROWS = 32, 512
# Passes over categories loop over the columns of a tile one at a time, so long tiles are faster
# (docs/benchmarks/design-choices.md: tiles of categories).
MAX_TILE_ROWS = 2048
# The work per row, column and class of a pass over a column-wise copy.
COLUMNWISE_PRODUCT_WORK = 4
# In a column-wise copy, a column with at most one nonzero value in this many rows is stored as entries.
MIN_ROWS_PER_NONZERO = 8
# The number of values, and the minimum number of rows, that are scaled before they are written as columns. They fit
# into the L2 cache.
TRANSPOSED_BATCH_SIZE, MIN_TRANSPOSED_ROWS = 1 << 15, 64
# A panel of dense X takes about PANEL_BYTES bytes. Its number of columns is a multiple of PANEL_COLUMN_MULTIPLE and
# at most MAX_PANEL_COLUMNS.
PANEL_BYTES = 1 << 21
PANEL_COLUMN_MULTIPLE = 32
MAX_PANEL_COLUMNS = 256
# The Gram matrix G of n rows takes as long as n / (ROWS_PER_PRODUCT K) products. G is computed after that many
# products, so a fit takes at most twice as long as with the faster of the two methods.
ROWS_PER_PRODUCT = 24


class DenseMatrix(Matrix):
    """Dense X of shape (n, d), in place or converted to one of KERNEL_DTYPES.

    `layers` (2, n, d) is the view that `make_any_layout_view` returns.
    """

    def __init__(self, X: Array) -> None:
        if X.dtype not in KERNEL_DTYPES:
            X = X.astype(choose_kernel_dtype(X.dtype))
        elif X.dtype == np.bool_:
            X = X.view(np.uint8)
        super().__init__(X.shape, X.dtype, False, X.size, X.nbytes)
        self._X, self.layers = X, make_any_layout_view(X)
        self._row_gram: tuple[FloatArray, DenseMatrix] | None = None

    @cached_property
    def longest_row(self) -> int:
        """The largest number of consecutive additions. Each lane of a SIMD vector has a separate sum."""
        return min(self.shape[1], self.shape[1] // min(4, VECTOR_BYTES // 8) + 8)

    def measure(self, weights: FloatArray | None = None) -> ColumnStatistics:
        """See `Matrix.measure`."""
        n, d = self.shape
        row_weights = np.empty(0) if weights is None else weights
        # Sums are relative to the row with the largest weight. If they were relative to an outlier with a small weight,
        # rounding error would dominate the variance.
        heaviest_row = 0 if weights is None else int(np.argmax(weights))
        total, weight = (float(n), 1.0) if weights is None else (float(weights.sum()), float(weights[heaviest_row]))
        reference_row = self.X[heaviest_row].astype(np.float64)
        n_blocks = count_blocks(n, row_work=d, partial_bytes=32 * d, data_bytes=self.X.nbytes)
        statistics = np.empty((4, n_blocks, d))
        run_blocks(fill_block_column_statistics, n_blocks, self.layers, row_weights, reference_row, statistics)
        columns = np.empty((5, d))
        join_column_statistics(statistics, reference_row, total, weight / total, columns)
        return ColumnStatistics(*columns)

    def gram(self, weights: FloatArray, precision: FloatType) -> FloatArray:
        """Return the matrix (d + 1, d + 1), sum over i of weights[i] [x_i, 1] [x_i, 1]', in ``precision``."""
        n, d = self.shape
        samples = Samples(np.empty(0, np.int64), np.zeros(n, np.int32), np.empty(0))
        passes = self.passes(samples, Scaling(np.ones(d), np.zeros(d)), 1)
        return passes.gram(samples.rows, weights[None], precision)[0]

    def score(
        self,
        coef: FloatArray,
        intercept: FloatArray,
        scores: FloatArray,
        best: IntArray,
        categorical: CategoricalColumns | None = None,
    ) -> None:
        """See `Matrix.score`; ``categorical`` are the categorical columns of a table, if any."""
        K, d = coef.shape
        if categorical is None and self.X.size <= MAX_COPIED_ENTRIES and self.X.size * K <= MAX_SMALL_SCORE_PRODUCTS:
            X = writable_view(np.ascontiguousarray(self.X, coef.dtype))
            fill_scores(X, np.array(coef, order="C"), intercept.astype(coef.dtype), scores, best)
            return
        parameters = Parameters(copy_aligned(coef), intercept.astype(coef.dtype))
        if categorical is None:
            tile_rows = count_tile_rows(d, K, coef.itemsize)
            # Each block copies the coefficients, so a block has at least one tile.
            n_blocks = min(count_blocks(len(self.X), row_work=K * d), -(-len(self.X) // tile_rows))
            run_blocks(fill_block_scores, n_blocks, self.layers, parameters, tile_rows, scores, best)
        else:
            operands = parameters, count_tile_rows_with_categories(categorical, d, K), scores, best, categorical
            run_blocks(fill_block_scores, len(categorical.sums), self.layers, *operands)

    def take(self, rows: IntArray | slice) -> DenseMatrix:
        """See `Matrix.take`."""
        return DenseMatrix(self.X[rows])

    def densify(self, rows: IntArray | slice) -> Array:
        """See `Matrix.densify`."""
        return self.X[rows]

    def take_rows(self, rows: IntArray | slice, out: FloatArray) -> Array:
        """Return the rows (m, d) in the type of ``out``: ``out`` itself, or a view of X if no copy is needed."""
        if self.X.dtype == out.dtype and self.X.flags.c_contiguous:
            if isinstance(rows, slice):
                return self.X[rows]
            # mode="clip" avoids a temporary copy (docs/benchmarks/design-choices.md: rows taken by NumPy).
            return np.take(self.X, rows, axis=0, out=out, mode="clip")
        # NumPy would convert the rows on one thread, with a temporary copy.
        rows = np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows
        run_blocks(fill_block_gathered_rows, count_blocks(*out.shape), self.layers, rows, out)
        return out

    def _transpose(self, precision):
        """Return a column-wise copy. Columns with few nonzero values are stored as entries, and the others densely.

        Integers of at most two bytes are copied unchanged. Columns of other types are scaled and centered.
        """
        n, d = self.shape
        scale, shift = self.measure().choose_coordinates()
        n_entries = np.count_nonzero(self.X, axis=0)
        is_sparse = (np.abs(shift) <= 1) & (MIN_ROWS_PER_NONZERO * n_entries <= n)
        X, whole, positions = self.X, np.arange(d), np.arange(d)
        # Most sparse data have these types, so the kernels of coordinate descent are compiled only once.
        starts, indices, values = np.zeros(d + 1, np.int32), np.empty(0, np.int32), np.empty(0)
        if is_sparse.any():
            whole, positions = np.flatnonzero(~is_sparse), np.where(is_sparse, -1, np.cumsum(~is_sparse) - 1)
            entries, X = sparse.csc_array(X[:, is_sparse]), X[:, whole]
            starts[1:] = np.cumsum(np.where(is_sparse, n_entries, 0))
            indices, values = entries.indices.astype(np.int32), entries.data.astype(np.float64)
            scale, shift = np.where(is_sparse, 1.0, scale), np.where(is_sparse, 0.0, shift)
        if self.X.itemsize <= 2:
            panel, scale, shift = np.array(X.T, order="C"), np.ones(d), np.zeros(d)
        else:
            scaling = _cast_scaling(Scaling(scale[whole], shift[whole]), self.dtype, precision)
            panel = np.empty((len(whole), n), precision)
            batch_size = max(MIN_TRANSPOSED_ROWS, TRANSPOSED_BATCH_SIZE // max(1, d))
            for first in range(0, n, batch_size):
                part = slice(first, first + batch_size)
                panel[:, part] = (X[part] * scaling.scale + scaling.shift).T
        return ColumnwiseCopy(panel, positions, starts, indices, values, scale, shift)

    def row_products(self, n_rows_coef: int, factors: FloatArray, allows_gram: bool) -> DenseRowProducts:
        """See `Matrix.row_products`."""
        find_gram = partial(self._find_row_gram, factors) if allows_gram else None
        return DenseRowProducts(self.layers, n_rows_coef, factors, find_gram)

    def _find_row_gram(self, factors):
        """Return X F^-1 X' as a DenseMatrix (n, n), and cache it for the next fit with the same factors."""
        # Cross-validation folds in several threads may request the matrix at the same time.
        with self._lock:
            if self._row_gram is None or (self._row_gram[0] != factors).any():
                gram = DenseMatrix(self.X.T).gram(1 / factors, np.float64)
                self._row_gram = factors, DenseMatrix(gram[:-1, :-1])
            return self._row_gram[1]

    def passes(self, samples: Samples, scaling: Scaling, n_rows_coef: int) -> DensePasses:
        """See `Matrix.passes`."""
        kind = (
            ColumnPasses
            if should_use_columnwise_copy(len(samples.rows) or len(self.X), self.shape[1], n_rows_coef)
            else DensePasses
        )
        return kind(self, samples, scaling, n_rows_coef)


def should_use_columnwise_copy(n_rows: int, n_features: int, n_rows_coef: int) -> bool:
    """Return whether passes read a column-wise copy of X, because X is small or has few columns."""
    size = n_features + 1
    products = n_rows * size * max(size, MIN_ASSUMED_COLUMNS)
    return n_rows * size <= MAX_COPIED_ENTRIES or (n_rows_coef > 1 and products <= MAX_COPIED_MULTIPLICATIONS)


def count_pass_blocks(n_rows: int, n_features: int, n_rows_coef: int, itemsize: int) -> int:
    """Return the number of row blocks of a pass over X, whose entries have ``itemsize`` bytes."""
    K, d = n_rows_coef, n_features
    row_work = READ_NUMBER_WORK * d if K == 1 else K * (CLASS_PRODUCT_WORK * d + EXPONENTIAL_WORK)
    n_blocks = count_blocks(n_rows, row_work=row_work, partial_bytes=8 * K * d, data_bytes=n_rows * itemsize * d)
    return n_blocks if K < MANY_CLASSES_THRESHOLD else min(n_blocks, max(2, n_rows // MIN_BLOCK_ROWS))


def count_tile_rows_with_categories(categorical: CategoricalColumns, n_features: int, n_rows_coef: int) -> int:
    """Return the number of rows per tile of a pass over categories and numeric columns."""
    (n_categorical_columns, _), (_, width) = categorical.columns.shape, categorical.table.shape
    row_bytes = 8 * (n_features + 1 + n_rows_coef + width) + 4 * n_categorical_columns
    return max(1, min(TILE_BYTES // row_bytes, MAX_TILE_ROWS) // ROWS_PER_GROUP) * ROWS_PER_GROUP


class PassPlan(NamedTuple):
    """The settings of passes in one precision."""

    scaling: Scaling  # of the columns
    tile_rows: int  # the number of rows per tile
    folds: bool  # whether X is read in place, with the scaling folded into the coefficients


class DensePasses(Passes):
    """Passes that read the rows in place.

    If `allows_folding` permits it, scale and shift are folded into the coefficients.
    """

    def __init__(
        self,
        matrix: DenseMatrix,
        samples: Samples,
        scaling: Scaling,
        n_rows_coef: int,
        categorical: CategoricalColumns | None = None,
    ) -> None:
        super().__init__(matrix, samples, scaling, n_rows_coef)
        self._X = X = matrix.X
        # The categorical columns of a table whose numeric columns are X.
        self._layers, self._categorical = matrix.layers, categorical
        K, d = n_rows_coef, X.shape[1]
        self._reads_in_place = K == 1 and not (len(samples.rows) or categorical) and X.itemsize in X.strides
        self._n_blocks = len(categorical.sums) if categorical else count_pass_blocks(self._n_rows, d, K, X.itemsize)
        self._plans: dict[FloatType, PassPlan] = {}
        self._sums = BlockSums(np.empty((self._n_blocks, K, d)), np.empty((self._n_blocks, K)))
        if self._reads_in_place and not should_use_columnwise_copy(self._n_rows, d, K):
            self.relative_shift_errors = 2.0 if self._plan(np.float64).folds else 0.0

    @property
    def longest_row(self) -> int:
        """See `Passes.longest_row`; a pass over a transposed tile adds the columns one after the other."""
        K, size = self.shape
        return size - 1 if uses_transposed_tile(size - 1, K) else super().longest_row

    @property
    def max_additions_per_sum(self) -> int:
        """See `Passes.max_additions_per_sum`. It is rows per tile + tiles per block + number of blocks."""
        tile_rows, n_blocks = self._plan(np.float64).tile_rows, self._n_blocks
        return tile_rows - (-self._n_rows // (tile_rows * n_blocks)) + n_blocks

    def _run(self, parameters, total, losses, curvature, batch=None):
        precision, sums = parameters.dtype.type, self._sums
        if len(parameters) < len(sums.intercept[0]):
            sums = BlockSums(*(np.empty((len(values), len(parameters), *values.shape[2:])) for values in sums))
        pass_plan = self._plan(precision)
        operands = pass_plan.scaling, _split(parameters, precision), pass_plan.tile_rows, sums, losses, curvature
        if pass_plan.folds:
            run_blocks(fill_block_pass_in_place, self._n_blocks, self._layers, *operands)
        else:
            # The optional last arguments of the kernel.
            categorical_and_batch = () if self._categorical is None else (self._categorical,)
            categorical_and_batch = (
                categorical_and_batch if batch is None else (*(categorical_and_batch or (None,)), batch)
            )
            run_blocks(
                fill_block_pass, self._n_blocks, self._layers, self.samples.rows, *operands, *categorical_and_batch
            )
        if batch is not None:
            total[:, :-1], total[:, -1] = sum_blocks(sums.coef), sum_blocks(sums.intercept)
            return total
        # ndarray.sum() has more overhead, which matters in small passes.
        np.add.reduce(sums.coef, out=total[:, :-1])
        np.add.reduce(sums.intercept, out=total[:, -1])
        return total

    def gram(self, rows: IntArray, row_weights: FloatArray, precision: FloatType) -> FloatArray:
        """See `Passes.gram`."""
        size, n = self.shape[1], row_weights.shape[1]
        panel_rows = PANEL_ROWS if size < MIN_COLUMNS_FOR_WIDE_PANEL else WIDE_PANEL_ROWS
        n_panels = -(-size // panel_rows)
        # Later panels require less work, so a few panels alone do not keep all threads equally busy.
        n_parts = (
            count_blocks(n, size**2 // 2, len(row_weights) * 8 * size**2) if n_panels < MIN_PANELS_WITHOUT_BLOCKS else 1
        )
        starts = np.arange(n_parts + 1) * n // n_parts
        grams = self._fill_grams(self._row_indices(rows), starts, row_weights, precision, panel_rows)
        return grams[0] if n_parts == 1 else np.add.reduce(grams, dtype=np.float64).astype(precision)

    def grams_of_samples(
        self, rows: IntArray, starts: IntArray, row_weights: FloatArray, precision: FloatType
    ) -> FloatArray:
        """See `Passes.grams_of_samples`. If there are enough samples for all threads, they are not divided into parts.

        Then wide panels are not slower, because no part waits for another.
        """
        if len(starts) - 1 < MIN_SAMPLES_WITHOUT_PARTS:
            return super().grams_of_samples(rows, starts, row_weights, precision)
        return self._fill_grams(rows, starts, row_weights[None], precision, WIDE_PANEL_ROWS)[:, 0]

    def _fill_grams(self, rows, starts, row_weights, precision, panel_rows):
        """Return the Gram matrices (parts, C, d + 1, d + 1) of the parts of `rows` between the `starts`."""
        n_parts, size = len(starts) - 1, self.shape[1]
        grams = np.empty((n_parts, len(row_weights), size, size), precision)
        row_weights, scaling = np.ascontiguousarray(row_weights, precision), self._plan(precision).scaling
        operands = self._layers, rows, starts, row_weights, scaling, panel_rows, grams
        run_blocks(fill_block_gram, -(-size // panel_rows) * n_parts, *operands)
        return grams

    def class_pair_gram(self, probabilities: FloatArray) -> FloatArray:
        """See `Passes.class_pair_gram`."""
        K, size = self.shape
        precision = probabilities.dtype.type
        if K == 1:
            # These operations are in place, because each temporary array of n numbers takes a tenth of the time of a
            # small Gram matrix.
            curvature = 1 - probabilities
            curvature *= probabilities
            if len(self.samples.weights):
                curvature *= self.samples.get_row_weights().astype(precision, copy=False)
            return self.gram(self.samples.rows, curvature, precision)[0].astype(np.float64, copy=False)
        row_weights = self.samples.get_row_weights().astype(precision, copy=False)
        n_pairs, n_products = K * (K + 1) // 2, size * (size + 1) // 2
        width = round_up_pair_count(n_products)
        n_blocks = count_blocks(self._n_rows, row_work=n_pairs * n_products)
        n_parts = count_blocks(self._n_rows, row_work=n_pairs * n_products, partial_bytes=8 * n_pairs * width)
        n_groups = max(1, min(n_blocks // n_parts, width // COLUMN_PAIRS_PER_STEP))
        sums = zeros_aligned((n_parts * n_pairs, width), np.float64).reshape(n_parts, n_pairs, width)
        run_blocks(
            fill_block_class_pair_gram,
            n_parts * n_groups,
            self._layers,
            self._row_indices(self.samples.rows),
            row_weights,
            probabilities,
            self._plan(precision).scaling,
            sums,
        )
        return unpack_pair_hessian(np.add.reduce(sums), K, size)

    def _row_indices(self, rows):
        return rows if len(rows) else np.arange(len(self._X))

    def _plan(self, precision):
        """Return the cached Plan for a precision."""
        # In small passes, the overhead of a new Plan is noticeable
        # (docs/benchmarks/design-choices.md: overhead of a plan).
        if precision not in self._plans:
            (K, _), X, scaling = self.shape, self._X, _cast_scaling(self._scaling, self._X.dtype, precision)
            folds = self._reads_in_place and allows_folding(*self._scaling, precision)
            if self._categorical is not None:
                tile_rows = count_tile_rows_with_categories(self._categorical, X.shape[1], K)
            elif folds:
                tile_rows = count_tile_rows_in_place(X.shape[1], X.itemsize)
            else:
                tile_rows = count_tile_rows(X.shape[1], K, np.dtype(precision).itemsize)
            self._plans[precision] = PassPlan(scaling, tile_rows, folds)
        return self._plans[precision]


def _cast_scaling(scaling, dtype, precision):
    """Return the Scaling for passes in ``precision`` over data of type ``dtype``."""
    # float64 data are centered before they are rounded to float32, because raw values may overflow in float32.
    kind = np.float64 if dtype == np.float64 else precision
    return Scaling(scaling.scale.astype(kind), scaling.shift.astype(kind))


def _split(parameters, precision):
    """Return parameters (K, d + 1) as kernel operands in ``precision``."""
    coef = np.ascontiguousarray(parameters[:, :-1], precision)
    return Parameters(coef, np.ascontiguousarray(parameters[:, -1], precision))


class ColumnPasses(DensePasses):
    """Passes over a column-wise copy of a small X. The first float64 pass makes the copy."""

    def __init__(self, matrix: DenseMatrix, samples: Samples, scaling: Scaling, n_rows_coef: int) -> None:
        super().__init__(matrix, samples, scaling, n_rows_coef)
        self.lies_in_cache = self._n_rows * self.shape[1] <= MAX_COPIED_ENTRIES
        self._tiles: TiledRows | None = None

    @property
    def longest_row(self) -> int:
        """See `Passes.longest_row`."""
        return self._matrix.longest_row

    @property
    def max_additions_per_sum(self) -> int:
        """See `Passes.max_additions_per_sum`. It is rows per tile + number of tiles."""
        return sum(count_tiles(self._n_rows, self.shape[1]))

    def tile(self, intercept: float = 1.0) -> TiledRows:
        """Return a cached copy of the samples and the scaled, centered columns; the last column is ``intercept``.

        If the intercept parameter is zero, ``intercept`` affects only the derivative with respect to that parameter.
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
        row_work = READ_NUMBER_WORK * size if K == 1 else K * (COLUMNWISE_PRODUCT_WORK * size + EXPONENTIAL_WORK)
        n_blocks = count_blocks(self._n_rows, row_work=row_work, partial_bytes=8 * K * size)
        n_blocks = min(n_blocks, len(rows.values))
        losses, totals = np.empty(n_blocks), np.empty((n_blocks, K * size))
        outputs = losses, totals, np.empty((0, 0)) if probabilities is None else probabilities
        run_blocks(fill_block_sums, n_blocks, rows, parameters.ravel(), *outputs)
        np.add.reduce(totals.reshape(n_blocks, K, size), out=gradient)
        return float(np.add.reduce(losses))


class DenseRowProducts:
    """Products with G = X F^-1 X' for dense X, computed first from panels of X and later from G itself.

    `find_gram` returns G as a DenseMatrix. It is None if G does not fit into memory or would be inaccurate. The penalty
    factors F (d,) are positive.
    """

    def __init__(
        self, layers: Array, n_rows_coef: int, factors: FloatArray, find_gram: Callable[[], DenseMatrix] | None
    ) -> None:
        _, n, d = layers.shape
        self._layers, self._n_rows_coef = layers, n_rows_coef
        self._scaling, self._factors = Scaling(np.ones(d), np.zeros(d)), 1 / factors
        self._panel_width = min(
            max(1, PANEL_BYTES // (8 * n * PANEL_COLUMN_MULTIPLE)) * PANEL_COLUMN_MULTIPLE, MAX_PANEL_COLUMNS
        )
        n_panels = -(-d // self._panel_width)
        n_blocks = count_work_blocks(
            2 * n * d * n_rows_coef, min(n_panels, MAX_PARTIAL_SUM_BYTES // (8 * n * n_rows_coef))
        )
        self._coef = np.empty((n_rows_coef, d))
        self._products = np.empty((n_blocks, n_rows_coef, n))
        self._find_gram = find_gram
        self._gram: DenseMatrix | None = None
        self._n_products_left = n // (ROWS_PER_PRODUCT * n_rows_coef)

    def combine_rows(self, vector: FloatArray, coef: FloatArray) -> None:
        """Fill coef (K, d) with F^-1 X' vector."""
        self._run(self._transpose(vector))
        coef[:] = self._coef

    def multiply(self, vector: FloatArray, product: FloatArray) -> None:
        """Fill the first n rows of product with G vector."""
        transposed = self._transpose(vector)
        if self._find_gram is not None and self._n_products_left == 0:
            self._gram, self._find_gram = self._find_gram(), None
        self._n_products_left -= 1
        n = transposed.shape[1]
        if self._gram is not None:
            product[:n, : len(transposed)] = self._gram.compute_scores(transposed, np.zeros(len(transposed)))
        else:
            self._run(transposed)
            product[:n, : len(transposed)] = np.add.reduce(self._products).T

    def _transpose(self, vector):
        """Return the entries of a vector as an array with one row per class, (K, n)."""
        return copy_aligned(vector[: self._products.shape[2], : self._n_rows_coef].T)

    def _run(self, transposed):
        run_blocks(
            fill_block_row_products,
            len(self._products),
            self._layers,
            self._scaling,
            transposed,
            self._factors,
            self._panel_width,
            self._coef,
            self._products,
        )
