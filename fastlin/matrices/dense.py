"""Dense X of any type and layout: statistics of columns, predictions, and passes, which copy X where it is small."""

from __future__ import annotations

from functools import cached_property, partial
from typing import NamedTuple

import numpy as np

from fastlin.kernels.linear.column_scaling import (
    fill_block_class_sums,
    fill_block_column_statistics,
    fill_block_panel,
    fill_moments,
)
from fastlin.kernels.linear.columnwise import TiledRows, count_roundings, fill_block_sums
from fastlin.kernels.linear.curvature import (
    COLUMN_PAIRS,
    PANEL_ROWS,
    WIDE,
    WIDE_PANEL_ROWS,
    fill_block_class_pair_gram,
    fill_block_gram,
    fill_block_hessian_product,
    pad_pairs,
    unpack_pairs,
)
from fastlin.kernels.linear.dense_rows import (
    fill_block_loss_and_gradient,
    fill_block_rows,
    fill_block_scores,
    fill_scores,
)
from fastlin.kernels.linear.logistic_rows import (
    SHIFT_ROUNDINGS,
    allows_folding,
    fill_block_logistic_hessian_product,
    fill_block_logistic_loss_and_gradient,
)
from fastlin.kernels.linear.operands import BlockSums, Kept, Parameters, Samples
from fastlin.kernels.machine import companion
from fastlin.kernels.machine.arrays import any_layout, copy_aligned, writable_view, zeros_aligned
from fastlin.kernels.machine.in_place import count_roundings_in_place, count_tile_rows_in_place
from fastlin.kernels.machine.panels import choose_tile_rows, count_product_roundings
from fastlin.kernels.machine.threads import EXPONENTIAL_WORK, READ_WORK, count_blocks, run_blocks
from fastlin.kernels.machine.tiles import Scaling, count_tile_rows
from fastlin.matrices.matrix import Matrix, Moments, Passes, Transposed, add_exactly
from fastlin.matrices.row_products import DenseRowProducts
from fastlin.tensors import BFLOAT16, widen
from fastlin.typing import Array, FloatArray, FloatType, IntArray

# With so many panels of a Gram matrix, the first of which take longest, the rows are not cut as well.
EVEN_PANELS = 5
# The types that are read as they are, beside BFLOAT16.
DTYPES = [np.float64, np.float32, np.uint8, np.int8, np.int16, np.int32, np.float16, np.bool_]
# What a column costs in a row of a pass, for each of three classes or more: 10,000 x 20 with four takes 430
# microseconds. With one row of coefficients the products wait for memory.
CLASS_WORK = 10

# An X of no more numbers, a megabyte, is copied column by column. It is measured by one plain kernel, in a copy where
# it is not float64 in C order, and scored by one, up to so many products.
FEW_NUMBERS, FEW_SCORE_PRODUCTS = 1 << 17, 1 << 21
# So is one of more than two classes, where the products of its columns are no more: 100,000 x 5 and 3,000 x 50 with
# four classes take 0.7 of the time, with ten 0.8, and 30,000 x 50 with ten as long. Fewer columns count as
# FEWEST_COLUMNS, so that no copy takes more than 16 MB.
FEW_PRODUCTS, FEWEST_COLUMNS = 1 << 25, 16
# With so many classes their sums are summed apart from a pass: of 600 they take a tenth of one.
MANY_CLASSES = 32
# Blocks of so many classes have so many rows: to make room for sums and coefficients takes as long as 75 of them, and
# 8,000 x 384 with 100 classes 15 % longer in 27 blocks than in 15.
BLOCK_ROWS = 512
# What a column costs in a row of such a copy, for each class.
COLUMNWISE_WORK = 4


class DenseMatrix(Matrix):
    """X of shape (n, d), of one of DTYPES or BFLOAT16, which are not checked here, and of any strides.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        The data, the caller's memory. They are never copied as a whole, nor changed.

    Attributes
    ----------
    layers : ndarray of shape (2, n, d)
        The data as kernels take them, which `any_layout` makes.
    """

    def __init__(self, X: Array) -> None:
        super().__init__(X.shape, X.dtype, False, X.size, X.nbytes)
        self._X, self.layers = X, any_layout(X)
        self._row_gram: tuple[FloatArray, DenseMatrix] | None = None

    def find_moments(self, weights: FloatArray | None = None) -> Moments:
        """As `Matrix.find_moments` has it."""
        n, d = self.shape
        row_weights = np.empty(0) if weights is None else weights
        if 0 < self.X.size <= FEW_NUMBERS:
            companion.begin("fastlin.kernels.first_fit")
            moments = np.empty((5, d))
            fill_moments(writable_view(np.ascontiguousarray(widen(self.X), np.float64)), row_weights, moments)
            return Moments(*moments)
        # As in `fill_moments`.
        heaviest = 0 if weights is None else int(np.argmax(weights))
        origins = widen(self.X[heaviest]).astype(np.float64)
        n_blocks = count_blocks(n, row_work=d, partial_bytes=32 * d, data_bytes=self.X.nbytes)
        sums, squares, smallest, largest = outputs = np.empty((4, n_blocks, d))
        tile_rows = count_tile_rows(d, 1, origins.itemsize)
        run_blocks(fill_block_column_statistics, n_blocks, self.layers, row_weights, origins, tile_rows, *outputs)
        smallest, largest = smallest.min(axis=0), largest.max(axis=0)
        total = float(n) if weights is None else float(weights.sum())
        # The kernel's comparisons pass over NaN.
        smallest = np.where(np.isnan(squares).any(axis=0), np.nan, smallest)
        with np.errstate(over="ignore", invalid="ignore"):
            shift, square = sums.sum(axis=0) / total, squares.sum(axis=0) / total
            share = (1.0 if weights is None else float(weights[heaviest])) / total
            variance = np.maximum(square - shift**2, share * square)
            return Moments(*add_exactly(origins, shift), variance, smallest, largest)

    def gram(self, weights: FloatArray, precision: FloatType) -> FloatArray:
        """Return sum over i of weights[i] [x_i, 1] [x_i, 1]', (d + 1, d + 1), in a precision; weights (n,)."""
        n, d = self.shape
        samples = Samples(np.empty(0, np.int64), np.zeros(n, np.int32), np.empty(0))
        passes = self.passes(samples, Scaling(np.ones(d), np.zeros(d)), 1)
        return passes.gram(samples.rows, weights[None], precision)[0]

    def compute_scores(self, coef: FloatArray, intercept: FloatArray) -> FloatArray:
        """As `Matrix.compute_scores` has it."""
        scores = np.empty((len(self.X), len(coef)), coef.dtype)
        self._score(coef, intercept, scores, np.empty(0, np.int64))
        return scores

    def find_best_class(self, coef: FloatArray, intercept: FloatArray) -> IntArray:
        """As `Matrix.find_best_class` has it, in one pass."""
        best = np.empty(len(self.X), np.int64)
        self._score(coef, intercept, np.empty((0, len(coef)), coef.dtype), best)
        return best

    def _score(self, coef, intercept, scores, best):
        K, d = coef.shape
        if self.X.size <= FEW_NUMBERS and self.X.size * K <= FEW_SCORE_PRODUCTS:
            X = np.ascontiguousarray(widen(self.X), coef.dtype)
            fill_scores(writable_view(X), np.array(coef, order="C"), intercept.astype(coef.dtype), scores, best)
            return
        n_blocks = count_blocks(len(self.X), row_work=K * d)
        parameters = Parameters(copy_aligned(coef), intercept.astype(coef.dtype))
        tile_rows = choose_tile_rows(-(-len(self.X) // n_blocks), d, K, coef.itemsize)
        run_blocks(fill_block_scores, n_blocks, self.layers, parameters, tile_rows, scores, best)

    def take(self, rows: IntArray | slice) -> DenseMatrix:
        """As `Matrix.take` has it."""
        return DenseMatrix(self.X[rows])

    def densify(self, rows: IntArray | slice) -> Array:
        """As `Matrix.densify` has it."""
        return widen(self.X[rows])

    def take_rows(self, rows: IntArray | slice, out: FloatArray) -> Array:
        """Return rows of X in the type of ``out``.

        Parameters
        ----------
        rows : ndarray of shape (m,), int64, or slice
            The row numbers, in any order.
        out : ndarray of shape (m, d)
            It takes the rows, unless they already lie in X as they are wanted.

        Returns
        -------
        ndarray of shape (m, d)
            ``out``, or a view of X.
        """
        if isinstance(rows, slice):
            if self.X.dtype == out.dtype and self.X.flags.c_contiguous:
                return self.X[rows]
            rows = np.arange(rows.start, rows.stop)
        n_blocks = count_blocks(*out.shape)
        run_blocks(fill_block_rows, n_blocks, self.layers, rows, out)
        return out

    def _transpose(self, precision):
        """Return the columns whole: whole numbers of two bytes and less as they are, others scaled and centred.

        What float32 cannot hold is centred, by the statistics of all rows, before it is rounded.
        """
        n, d = self.shape
        is_narrow = self.X.itemsize <= 2 and self.X.dtype not in (np.float16, BFLOAT16)
        panel = np.empty((d, n), self.X.dtype if is_narrow else precision)
        scale, shift = (np.ones(d), np.zeros(d)) if is_narrow else self.measure().choose_coordinates()
        n_blocks = count_blocks(n, row_work=4 * d)
        scaling = _cast(Scaling(scale, shift), self.dtype, precision)
        tile_rows = count_tile_rows(d, 1, np.dtype(precision).itemsize)
        run_blocks(fill_block_panel, n_blocks, self.layers, scaling, tile_rows, np.empty(0, precision), panel)
        no_entries = np.zeros(d + 1, np.int64), np.empty(0, np.int64), np.empty(0)
        return Transposed(panel, np.arange(d), *no_entries, scale, shift)

    def row_products(self, n_rows_coef: int, factors: FloatArray, allows_gram: bool) -> DenseRowProducts:
        """As `Matrix.row_products` has it."""
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
        """As `Matrix.passes` has it."""
        kind = ColumnPasses if is_copied(len(samples.rows) or len(self.X), self.shape[1], n_rows_coef) else DensePasses
        return kind(self, samples, scaling, n_rows_coef)


def is_copied(n_rows: int, n_features: int, n_rows_coef: int) -> bool:
    """Say whether passes are over a copy column by column: of a small X, or one of few columns."""
    size = n_features + 1
    products = n_rows * size * max(size, FEWEST_COLUMNS)
    return n_rows * size <= FEW_NUMBERS or (n_rows_coef > 1 and products <= FEW_PRODUCTS)


def count_pass_blocks(n_rows: int, n_features: int, n_rows_coef: int, itemsize: int) -> int:
    """Return into how many blocks a pass over rows of X, whose entries have so many bytes, is cut."""
    K, d = n_rows_coef, n_features
    row_work = READ_WORK * d if K == 1 else K * (CLASS_WORK * d + EXPONENTIAL_WORK)
    n_blocks = count_blocks(n_rows, row_work=row_work, partial_bytes=8 * K * d, data_bytes=n_rows * itemsize * d)
    return n_blocks if K < MANY_CLASSES else min(n_blocks, max(2, n_rows // BLOCK_ROWS))


def count_tile(n_rows: int, n_features: int, n_rows_coef: int, itemsize: int, precision: FloatType, folds: bool) -> int:
    """Return the rows of a tile of a pass as `count_pass_blocks` has it; `folds` is that of its Plan."""
    if folds:
        return count_tile_rows_in_place(n_features, itemsize)
    rows_a_block = -(-n_rows // count_pass_blocks(n_rows, n_features, n_rows_coef, itemsize))
    return choose_tile_rows(rows_a_block, n_features, n_rows_coef, np.dtype(precision).itemsize)


def count_dense_roundings(
    n_rows: int, n_features: int, n_rows_coef: int, itemsize: int, folds: bool
) -> tuple[int, int]:
    """Return the roundings of dense passes: a sum runs over the rows of a tile, then over tiles and blocks."""
    if is_copied(n_rows, n_features, n_rows_coef):
        return count_roundings(n_rows, n_features + 1)
    n_blocks = count_pass_blocks(n_rows, n_features, n_rows_coef, itemsize)
    tile_rows = count_tile(n_rows, n_features, n_rows_coef, itemsize, np.float64, folds)
    n_tiles = -(-n_rows // (n_blocks * tile_rows))
    n_products = count_roundings_in_place(n_features) if folds else count_product_roundings(n_features, n_rows_coef)
    return n_products, tile_rows + n_tiles + n_blocks


class Plan(NamedTuple):
    """How passes in a precision are made.

    Attributes
    ----------
    scaling : Scaling
        How the columns enter.
    tile_rows : int
        The rows that are worked on at a time.
    folds : bool
        Whether X is read where it lies, and the scaling is a part of the coefficients.
    """

    scaling: Scaling
    tile_rows: int
    folds: bool


class DensePasses(Passes):
    """Passes over the rows where they lie.

    Those over all rows with one row of coefficients read X in place, with scale and shift in the coefficients, if these
    allow it.
    """

    def __init__(self, matrix: DenseMatrix, samples: Samples, scaling: Scaling, n_rows_coef: int) -> None:
        super().__init__(matrix, samples, scaling, n_rows_coef)
        self._X = X = matrix.X
        self._layers = matrix.layers
        K, d = n_rows_coef, X.shape[1]
        self._reads_in_place = K == 1 and not len(samples.rows) and X.itemsize in X.strides
        self._n_blocks = count_pass_blocks(self._n_rows, d, K, X.itemsize)
        self._plans: dict[FloatType, Plan] = {}
        self._losses = np.empty(self._n_blocks)
        self._sums = BlockSums(np.empty((self._n_blocks, K, d)), np.empty((self._n_blocks, K)))
        self.roundings, self.shift_roundings = self._count_roundings()

    def _count_roundings(self):
        """Return roundings and shift_roundings.

        The shift takes part in none where rows are centred: the scale is a power of two, so that x scale + shift is
        rounded once, by a part of itself.
        """
        folds = self._plan(np.float64).folds
        d, itemsize = self._X.shape[1], self._X.itemsize
        roundings = count_dense_roundings(self._n_rows, d, self._shape[0], itemsize, folds)
        return roundings, SHIFT_ROUNDINGS if folds else 0.0

    def evaluate(self, parameters: FloatArray, probabilities: FloatArray | None, gradient: FloatArray) -> float:
        """As `Passes.evaluate` has it."""
        precision = parameters.dtype.type
        plan = self._plan(precision)
        run_blocks(
            fill_block_logistic_loss_and_gradient if plan.folds else fill_block_loss_and_gradient,
            self._n_blocks,
            self._layers,
            self.samples,
            plan.scaling,
            _split(parameters, precision),
            plan.tile_rows,
            self._losses,
            self._sums,
            Kept.of(probabilities),
        )
        self._add_blocks(gradient)
        return float(np.add.reduce(self._losses))

    def sum_by_class(self) -> FloatArray | None:
        """As `Passes.sum_by_class` has it: with many classes a pass multiplies for each of them what one of them has.

        A sum takes no more roundings one after the other than a sum and a product of a pass together, which is what
        certificates count for it.
        """
        rows, labels, weights = self.samples[:3]
        (K, _), d = self._shape, self._X.shape[1]
        if K < MANY_CLASSES or len(self.samples.targets):
            return None
        own_labels = labels[rows] if len(rows) else labels
        order = np.argsort(own_labels, kind="stable")
        ends = np.searchsorted(own_labels[order], np.arange(K + 1))
        numbers, sums = rows[order] if len(rows) else order, np.empty((K, d))
        scaling = _cast(self._scaling, self._X.dtype, np.float64)
        run_blocks(fill_block_class_sums, K, self._layers, numbers, ends, weights, scaling, sums)
        return sums

    def hessian_product(self, direction: FloatArray, probabilities: FloatArray) -> FloatArray:
        """As `Passes.hessian_product` has it."""
        precision = probabilities.dtype.type
        plan = self._plan(precision)
        by_rows = self._row_weights(precision), probabilities
        given = plan.scaling, _split(direction, precision), plan.tile_rows, self._sums
        if plan.folds:
            run_blocks(fill_block_logistic_hessian_product, self._n_blocks, self._layers, *by_rows, *given)
        else:
            rows = self._row_numbers(self.samples.rows)
            run_blocks(fill_block_hessian_product, self._n_blocks, self._layers, rows, *by_rows, *given)
        return self._add_blocks(np.empty(self._shape))

    def gram(self, rows: IntArray, row_weights: FloatArray, precision: FloatType) -> FloatArray:
        """As `Passes.gram` has it."""
        size, n = self._shape[1], row_weights.shape[1]
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
        """As `Passes.class_pair_gram` has it."""
        K, size = self._shape
        precision = probabilities.dtype.type
        if K == 1:
            # Each array of a number for each row takes as long as a tenth of a small Gram matrix.
            curvature = 1 - probabilities
            curvature *= self._row_weights(precision) * probabilities if len(self.samples.weights) else probabilities
            return self.gram(self.samples.rows, curvature, precision)[0].astype(np.float64, copy=False)
        row_weights = self._row_weights(precision)
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
        hessian = np.empty((K * size, K * size))
        unpack_pairs(sums, size, hessian)
        return hessian

    def _add_blocks(self, total):
        """Fill total (K, d + 1) with the sums of all blocks, added in their order, and return it."""
        # In small passes sum(), which comes to the same, takes a microsecond more each time.
        np.add.reduce(self._sums.coef, out=total[:, :-1])
        np.add.reduce(self._sums.intercept, out=total[:, -1])
        return total

    def _row_numbers(self, rows):
        return rows if len(rows) else np.arange(len(self._X))

    def _row_weights(self, precision):
        """Return s_i of the rows of the passes, (m,)."""
        rows, _, weights = self.samples[:3]
        if not len(weights):
            return np.ones(self._n_rows, precision)
        return (weights[rows] if len(rows) else weights).astype(precision)

    def _plan(self, precision):
        """Return the Plan of passes in a precision; a small pass takes 15 microseconds, a plan two."""
        if precision not in self._plans:
            (K, _), X, scaling = self._shape, self._X, _cast(self._scaling, self._X.dtype, precision)
            folds = self._reads_in_place and allows_folding(*self._scaling, precision)
            tile_rows = count_tile(self._n_rows, X.shape[1], K, X.itemsize, precision, folds)
            self._plans[precision] = Plan(scaling, tile_rows, folds)
        return self._plans[precision]


def _cast(scaling, dtype, precision):
    """Return a Scaling for passes in a precision over data of a type."""
    # Numbers that float32 cannot hold are centred before they are rounded to it.
    kind = np.float64 if dtype in (np.float64, np.int32) else precision
    return Scaling(scaling.scale.astype(kind), scaling.shift.astype(kind))


def _split(parameters, precision):
    """Return parameters (K, d + 1) as the kernels take them."""
    coef = np.ascontiguousarray(parameters[:, :-1], precision)
    return Parameters(coef, np.ascontiguousarray(parameters[:, -1], precision))


class ColumnPasses(DensePasses):
    """The sums over rows of few columns, of which the first pass in float64 makes a copy, column by column.

    A pass over 1,000 x 20 with two classes takes 12 microseconds so, from X itself 40; one over 100,000 x 5 with four
    classes 1.1 ms in place of 1.7.
    """

    def __init__(self, matrix: DenseMatrix, samples: Samples, scaling: Scaling, n_rows_coef: int) -> None:
        super().__init__(matrix, samples, scaling, n_rows_coef)
        self.lies_in_cache = self._n_rows * self._shape[1] <= FEW_NUMBERS

    def _count_roundings(self):
        # Columns are centred before anything else.
        return count_roundings(self._n_rows, self._shape[1]), 0.0

    @cached_property
    def by_columns(self) -> TiledRows:
        """The columns, scaled and centred and with ones behind them, with what a pass reads of the rows."""
        found = TiledRows.of(self._layers, self.samples, *self._scaling)
        found.fill_column(-1, 1)
        return found

    def evaluate(self, parameters: FloatArray, probabilities: FloatArray | None, gradient: FloatArray) -> float:
        """As `Passes.evaluate` has it."""
        if parameters.dtype != np.float64:
            return super().evaluate(parameters, probabilities, gradient)
        rows, (K, size) = self.by_columns, parameters.shape
        row_work = READ_WORK * size if K == 1 else K * (COLUMNWISE_WORK * size + EXPONENTIAL_WORK)
        n_blocks = count_blocks(self._n_rows, row_work=row_work, partial_bytes=8 * K * size)
        n_blocks = min(n_blocks, len(rows.values))
        losses, totals = np.empty(n_blocks), np.empty((n_blocks, K * size))
        kept = np.empty((0, 0)) if probabilities is None else probabilities
        run_blocks(fill_block_sums, n_blocks, rows, parameters.ravel(), losses, totals, kept)
        np.add.reduce(totals.reshape(n_blocks, K, size), out=gradient)
        return float(np.add.reduce(losses))
