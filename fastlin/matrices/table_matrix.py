"""X as a table: columns of numbers beside columns of codes, each where it lies, and an objective's passes over them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from fastlin.kernels.linear.operands import (
    NUMBER_TYPES,
    BlockSums,
    Kept,
    Parameters,
    Samples,
    TableColumns,
)
from fastlin.kernels.linear.table_rows import (
    fill_block_level_weights,
    fill_block_table_gram,
    fill_block_table_hessian_product,
    fill_block_table_loss_and_gradient,
    fill_block_table_scores,
)
from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.gather import count_columns, zeros_table
from fastlin.kernels.machine.simd import ROW_GROUP
from fastlin.kernels.machine.threads import MAX_PARTIAL_BYTES, count_blocks, run_blocks
from fastlin.kernels.machine.tiles import TILE_BYTES, Scaling
from fastlin.matrices.dense import DenseMatrix
from fastlin.matrices.matrix import Matrix, Moments, Passes, Transposed, merge_moments
from fastlin.matrices.sparse import SparseMatrix, centre_gram
from fastlin.typing import Array, BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from fastlin.matrices.row_products import SparseRowProducts

# Each column of a tile is a loop of its own: 2,000,000 x 8 columns of codes and 2 of numbers take 50 ms with tiles of
# 2,048 rows, 57 with 512 and 73 with 128.
MOST_TILE_ROWS = 2048
# What a code takes beside its multiply-adds, in multiply-adds.
CODE_WORK = 8
# Bytes of the rows that are sparse or dense for a while, where a sum is computed from those.
BYTES_TOGETHER = 8 << 20
# A fit may take four times `budget_bytes`, half of the table: an eighth of it for each of what a fit may keep.
PART_IN_MEMORY = 8
LARGEST_INT32 = np.iinfo(np.int32).max


@dataclass(frozen=True, eq=False)
class Codes:
    """A categorical column.

    Attributes
    ----------
    codes : ndarray of shape (n,), int8, int16 or int32
        The number of each row's level, or -1 where the value is missing or was not known.
    n_levels : int
        The number of levels, each of which is a column of the matrix.
    has_missing_level : bool
        Whether the last level is that of the rows with -1. Otherwise these have none.
    """

    codes: np.ndarray
    n_levels: int
    has_missing_level: bool = False

    def __getitem__(self, rows: IntArray | BoolArray | slice) -> Codes:
        """Return the column of some rows."""
        return Codes(self.codes[rows], self.n_levels, self.has_missing_level)

    def append(self, other: Codes) -> Codes:
        """Return the column of these rows and then those of another column with the same levels."""
        return Codes(np.concatenate([self.number_missing(), other.number_missing()]), self.n_levels)

    def number_missing(self) -> IntArray:
        """Return the codes, with the number of the last level in place of -1 where that is its code."""
        if not self.has_missing_level:
            return self.codes
        wide_enough = np.promote_types(self.codes.dtype, np.min_scalar_type(-self.n_levels))
        return np.where(self.codes < 0, self.n_levels - 1, self.codes).astype(wide_enough)


class TableMatrix(Matrix):
    """X of shape (n, d) whose columns are numbers or levels of categorical columns: 1 where a row has it, else 0.

    Nothing is copied: passes read the columns where they lie.

    Parameters
    ----------
    columns : sequence of ndarray of shape (n,) and Codes
        The columns in order; those of numbers have one of NUMBER_TYPES, or bool. A categorical one stands for as many
        columns as it has levels.
    names : sequence of str or None
        What the columns are called; None means by their numbers.

    Attributes
    ----------
    columns
        The parameter.
    widths : ndarray of int64
        For each column of the table how many columns of X it stands for.
    """

    def __init__(self, columns: Sequence[Array | Codes], names: Sequence[object] | None = None) -> None:
        self.columns, self._names = columns, names
        self.widths = np.array([column.n_levels if isinstance(column, Codes) else 1 for column in columns])
        firsts = np.cumsum([0, *self.widths])
        self._coded = [column for column in columns if isinstance(column, Codes)]
        self._numbers = [column for column in columns if not isinstance(column, Codes)]
        is_coded = np.array([isinstance(column, Codes) for column in columns])
        self._coded_firsts, self.number_features = firsts[:-1][is_coded], firsts[:-1][~is_coded]
        arrays = [*self._numbers, *(column.codes for column in self._coded)]
        n = len(arrays[0])
        # Kernels get addresses, and check nothing.
        if any(array.shape != (n,) for array in arrays):
            raise ValueError(f"The columns of a table must have one length, got the shapes {[a.shape for a in arrays]}")
        are_narrow = [column.dtype == np.float32 for column in self._numbers]
        dtype = np.dtype(np.float32 if are_narrow and all(are_narrow) else np.float64)
        self._column_bytes = sum(array.nbytes for array in arrays)
        shape, budget_bytes = (n, int(firsts[-1])), self._column_bytes // PART_IN_MEMORY
        super().__init__(shape, dtype, True, n * len(columns), budget_bytes)
        self.level_features = np.delete(np.arange(self.shape[1]), self.number_features)
        # A table of levels has a row for each column of X, and one for each categorical column's values without level.
        self._missing_places = self.shape[1] + np.arange(len(self._coded))
        self.n_table_rows = self.shape[1] + len(self._coded)

    @property
    def X(self) -> TableMatrix:
        """The matrix itself, which can be asked for some of its rows."""
        return self

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.shape[0]

    def __getitem__(self, rows: IntArray | BoolArray | slice) -> TableMatrix:
        """Return the matrix of some rows: their numbers, a slice or a mask."""
        return TableMatrix([column[rows] for column in self.columns])

    def append(self, other: TableMatrix) -> TableMatrix:
        """Return the matrix of these rows and then those of another table with the same columns, a copy."""
        columns: list[Array | Codes] = []
        for one, added in zip(self.columns, other.columns, strict=True):
            if isinstance(one, Codes) and isinstance(added, Codes):
                columns.append(one.append(added))
            else:
                columns.append(np.concatenate([one, added]))
        return TableMatrix(columns, self._names)

    def take(self, rows: IntArray | slice) -> TableMatrix:
        """As `Matrix.take` has it."""
        return self[rows]

    @cached_property
    def operands(self) -> TableColumns:
        """The columns as kernels take them, TableColumns."""
        codes = []
        for column, first, place in zip(self._coded, self._coded_firsts, self._missing_places, strict=True):
            missing = first + column.n_levels - 1 if column.has_missing_level else place
            codes.append((address_of(column.codes), *column.codes.strides, column.codes.itemsize, first, missing))
        numbers = [
            (address_of(column), *column.strides, NUMBER_TYPES.index(_without_bool(column.dtype)))
            for column in self._numbers
        ]
        return TableColumns(np.array(codes, np.int64).reshape(-1, 5), np.array(numbers, np.int64).reshape(-1, 3))

    def find_moments(self, weights: FloatArray | None = None) -> Moments:
        """As `Matrix.find_moments` has it."""
        moments = Moments(*np.zeros((5, self.shape[1])))
        mean, _, variance, smallest, largest = moments
        if self._coded:
            (own, rest), features = self._weigh_levels(weights), self.level_features
            mean[features], variance[features] = own / (own + rest), own * rest / (own + rest) ** 2
            n_own, n_rest = (own, rest) if weights is None else self._weigh_levels(None)
            smallest[features], largest[features] = n_rest == 0, n_own > 0
        if self._numbers:
            totals, parts = [], []
            for first, last in self._pieces(8 * len(self._numbers)):
                own = None if weights is None else weights[first:last]
                totals.append(float(last - first) if own is None else float(own.sum()))
                piece = DenseMatrix(self._stack_numbers(first, last))
                parts.append(piece.find_moments(own if totals[-1] > 0 else None))
            for found, of_numbers in zip(moments, merge_moments(np.array(totals), parts), strict=True):
                found[self.number_features] = of_numbers
        return moments

    def _weigh_levels(self, weights):
        """Return the weight of each level and that of all other rows, (2, levels) in the order of their features.

        A level that all rows have leaves nothing, not what rounding would leave of a difference. weights (n,) may be
        None.
        """
        n = self.shape[0]
        n_blocks = count_blocks(n, CODE_WORK * len(self._coded), 8 * self.n_table_rows, self._column_bytes)
        totals = np.empty((n_blocks, self.n_table_rows))
        row_weights = np.empty(0) if weights is None else weights
        run_blocks(fill_block_level_weights, n_blocks, self.operands, row_weights, n, totals)
        own, rest = np.add.reduce(totals), np.zeros(self.n_table_rows)
        for column, first, place in zip(self._coded, self._coded_firsts, self._missing_places, strict=True):
            part = np.append(first + np.arange(column.n_levels), place)
            rest[part[1:]] += np.cumsum(own[part])[:-1]
            rest[part[:-1]] += np.cumsum(own[part][::-1])[-2::-1]
        return own[self.level_features], rest[self.level_features]

    def _stack_numbers(self, first, last):
        """Return the columns of numbers of some rows, (last - first, M) float64."""
        stacked = np.empty((last - first, len(self._numbers)))
        for j, column in enumerate(self._numbers):
            stacked[:, j] = column[first:last]
        return stacked

    def _pieces(self, row_bytes):
        """Yield the first and the last row number, less one, of pieces of rows that take so many bytes each."""
        step = max(1, BYTES_TOGETHER // row_bytes)
        for first in range(0, self.shape[0], step):
            yield first, min(first + step, self.shape[0])

    def expand(self, rows: IntArray | slice) -> SparseMatrix:
        """Return the SparseMatrix of some rows, by their numbers or as a slice."""
        columns = [column[rows] for column in self.columns]
        n, n_columns = len(columns[0].codes if isinstance(columns[0], Codes) else columns[0]), len(columns)
        index_type = choose_index_type(max(n * n_columns, self.shape[1]))
        indices, data = np.empty((n, n_columns), index_type), np.ones((n, n_columns), self.dtype)
        first = 0
        for j, column in enumerate(columns):
            if isinstance(column, Codes):
                indices[:, j] = column.codes
                missing = np.flatnonzero(column.codes < 0)
                indices[missing, j] = column.n_levels - 1
                if not column.has_missing_level:
                    data[missing, j] = 0
                indices[:, j] += first
                first += column.n_levels
            else:
                indices[:, j], data[:, j] = first, column
                first += 1
        indptr = np.arange(0, n * n_columns + 1, n_columns, dtype=index_type)
        return SparseMatrix(sparse.csr_array((data.ravel(), indices.ravel(), indptr), shape=(n, self.shape[1])))

    def densify(self, rows: IntArray | slice) -> Array:
        """As `Matrix.densify` has it."""
        return self.expand(rows).csr.toarray()

    def compute_scores(self, coef: FloatArray, intercept: FloatArray) -> FloatArray:
        """As `Matrix.compute_scores` has it; they are computed in float64."""
        scores = np.empty((self.shape[0], len(coef)), coef.dtype)
        (n_blocks, tile_rows), n_numbers = self.cut(self.shape[0], len(coef), 0), len(self.number_features)
        table = zeros_table(self.n_table_rows, len(coef))
        table[: self.shape[1], : len(coef)] = coef.T
        run_blocks(
            fill_block_table_scores,
            n_blocks,
            self.operands,
            Scaling(np.ones(n_numbers), np.zeros(n_numbers)),
            Parameters(np.ascontiguousarray(coef[:, self.number_features], np.float64), intercept.astype(np.float64)),
            table,
            tile_rows,
            scores,
        )
        return scores

    def cut(self, n_rows: int, n_rows_coef: int, partial_bytes: int) -> tuple[int, int]:
        """Return the number of blocks of a pass, which keep so many bytes each, and the rows of a tile."""
        n_numbers, n_coded, width = len(self._numbers), len(self._coded), count_columns(n_rows_coef)
        n_blocks = count_blocks(
            n_rows,
            row_work=2 * n_rows_coef * n_numbers + (CODE_WORK + 2 * width) * n_coded,
            partial_bytes=partial_bytes,
            data_bytes=self._column_bytes,
        )
        row_bytes = 8 * (n_numbers + 1 + n_rows_coef + width) + 4 * n_coded
        tile_rows = max(1, min(TILE_BYTES // row_bytes, MOST_TILE_ROWS) // ROW_GROUP) * ROW_GROUP
        return n_blocks, tile_rows

    def select(self, rows: IntArray) -> tuple[TableMatrix, IntArray]:
        """As `Matrix.select` has it: few rows are copied."""
        if self.copies(rows):
            return self.take(rows), rows[:0]
        return self, rows

    def parts(self) -> Iterator[tuple[str, DenseMatrix]]:
        """As `Matrix.parts` has it: the columns of numbers."""
        names = range(len(self.columns)) if self._names is None else self._names
        for name, column in zip(names, self.columns, strict=True):
            if not isinstance(column, Codes):
                yield f"Column {name!r} of X", DenseMatrix(column[:, None])

    def _transpose(self, precision):
        """Return levels by their rows, a copy of four bytes an entry, and numbers as dense data have them."""
        n, d = self.shape
        scale, shift = np.ones(d), np.zeros(d)
        places, lengths, index_type = np.full(d, -1), np.zeros(d, np.int64), choose_index_type(n)
        indices = [np.empty(0, index_type)]
        for column, first in zip(self._coded, self._coded_firsts, strict=True):
            counts = np.bincount(column.codes.astype(np.int32) + 1, minlength=column.n_levels + 1)
            n_codes = column.n_levels - column.has_missing_level
            # A stable sort of codes of one or two bytes counts them.
            order = np.argsort(column.codes, kind="stable").astype(index_type)
            indices.append(order[counts[0] :])
            lengths[first : first + n_codes] = counts[1 : n_codes + 1]
            if column.has_missing_level:
                indices.append(order[: counts[0]])
                lengths[first + n_codes] = counts[0]
        panel = np.empty((len(self._numbers), n), precision)
        own = self.measure().choose_coordinates()
        for place, (row, j, column) in enumerate(zip(panel, self.number_features, self._numbers, strict=True)):
            scale[j], shift[j], places[j] = own[0][j], own[1][j], place
            row[:] = column * scale[j] + shift[j]
        rows = np.concatenate(indices)
        starts = np.append(0, np.cumsum(lengths))
        return Transposed(panel, places, starts, rows, np.ones(len(rows), np.uint8), scale, shift)

    def row_products(self, n_rows_coef: int, factors: FloatArray, allows_gram: bool) -> SparseRowProducts:
        """As `Matrix.row_products` has it, of a sparse copy."""
        return self.expand(slice(None)).row_products(n_rows_coef, factors, allows_gram)

    def gram(self, rows: IntArray, row_weights: FloatArray, scaling: Scaling) -> FloatArray:
        """As `SparseMatrix.gram` has it: numbers are centred one by one, sums of levels afterwards."""
        n, n_numbers, size = len(rows), len(self._numbers), self.n_table_rows
        row_work = (n_numbers + len(self._coded)) * (n_numbers + 1) + CODE_WORK * len(self._coded) ** 2 // 2
        n_blocks = min(count_blocks(n, row_work), max(1, MAX_PARTIAL_BYTES // (8 * size**2)))
        halves, totals = np.zeros((n_blocks, size, size)), np.empty((n_blocks, self.shape[1]))
        features, (scale, shift) = self.number_features, scaling
        run_blocks(
            fill_block_table_gram,
            n_blocks,
            self.operands,
            rows,
            row_weights,
            Scaling(scale[features], shift[features]),
            features,
            halves,
            totals,
        )
        scale, shift = scale.copy(), shift.copy()
        scale[features], shift[features] = 1, 0
        return centre_gram(halves, totals, row_weights.sum(), Scaling(scale, shift))

    def passes(self, samples: Samples, scaling: Scaling, n_rows_coef: int) -> TablePasses:
        """As `Matrix.passes` has it."""
        return TablePasses(self, samples, scaling, n_rows_coef)


class TablePasses(Passes):
    """Passes over the columns of a table, in float64."""

    def __init__(self, matrix: TableMatrix, samples: Samples, scaling: Scaling, n_rows_coef: int) -> None:
        super().__init__(matrix, samples, scaling, n_rows_coef)
        self._matrix, K = matrix, n_rows_coef
        features, n_columns = matrix.number_features, count_columns(K)
        self._number_scaling = Scaling(*(each[features] for each in scaling))
        partial_bytes = 8 * (n_columns * matrix.n_table_rows + K * len(features))
        self._n_blocks, self._tile_rows = matrix.cut(self._n_rows, K, partial_bytes)
        self._table = zeros_table(matrix.n_table_rows, K)
        self._losses = np.empty(self._n_blocks)
        self._sums = BlockSums(np.empty((self._n_blocks, K, len(features))), np.empty((self._n_blocks, K)))
        self.longest_sum = -(-self._n_rows // self._n_blocks) + self._n_blocks + 2
        # Numbers are centred one by one, the shifts of levels are summed by columns.
        self.longest_product = len(matrix.widths) + 4
        self.shift_roundings = np.zeros(self._shape[1] - 1)
        self.shift_roundings[matrix.level_features] = 1 + self._shape[1] / self.longest_product
        level_sums = zeros_aligned((self._n_blocks * matrix.n_table_rows, n_columns), np.float64)
        self._level_sums = level_sums.reshape(self._n_blocks, matrix.n_table_rows, n_columns)

    def evaluate(self, parameters: FloatArray, probabilities: FloatArray | None, gradient: FloatArray) -> float:
        """As `Passes.evaluate` has it."""
        run_blocks(
            fill_block_table_loss_and_gradient,
            self._n_blocks,
            self._matrix.operands,
            self.samples,
            self._number_scaling,
            self._split(parameters),
            self._table,
            self._tile_rows,
            self._losses,
            self._sums,
            self._level_sums,
            Kept.of(probabilities),
        )
        self._add_blocks(gradient)
        return float(np.add.reduce(self._losses))

    def hessian_product(self, direction: FloatArray, probabilities: FloatArray) -> FloatArray:
        """As `Passes.hessian_product` has it."""
        rows = self.samples.rows
        run_blocks(
            fill_block_table_hessian_product,
            self._n_blocks,
            self._matrix.operands,
            rows if len(rows) else np.arange(self._n_rows),
            self.samples.weigh(),
            probabilities.astype(np.float64, copy=False),
            self._number_scaling,
            self._split(direction),
            self._table,
            self._tile_rows,
            self._sums,
            self._level_sums,
        )
        return self._add_blocks(np.empty(self._shape))

    def _split(self, parameters):
        """Fill the table of levels, and return the Parameters of the columns of numbers, with all shifts of levels."""
        matrix, K = self._matrix, self._shape[0]
        levels, numbers = matrix.level_features, matrix.number_features
        coef = parameters[:, levels].astype(np.float64)
        self._table[levels, :K] = (coef * self._scaling.scale[levels]).T
        intercept = parameters[:, -1] + np.einsum("kj,j->k", coef, self._scaling.shift[levels])
        return Parameters(np.ascontiguousarray(parameters[:, numbers], np.float64), intercept)

    def _add_blocks(self, total):
        """Fill total (K, d + 1) with the sums of all blocks, added in their order, and return it."""
        matrix, K = self._matrix, self._shape[0]
        levels = matrix.level_features
        intercept = np.add.reduce(self._sums.intercept)
        sums = np.add.reduce(self._level_sums)[levels, :K].T
        total[:, levels] = sums * self._scaling.scale[levels] + intercept[:, None] * self._scaling.shift[levels]
        total[:, matrix.number_features] = np.add.reduce(self._sums.coef)
        total[:, -1] = intercept
        return total


def choose_index_type(largest: int) -> np.dtype[Any]:
    """Return the type of numbers of rows, columns or entries up to the largest."""
    return np.dtype(np.int32 if largest <= LARGEST_INT32 else np.int64)


def address_of(array: Array) -> int:
    """Return where the first number of an array lies."""
    return array.__array_interface__["data"][0]


def _without_bool(dtype):
    return np.dtype(np.uint8) if dtype.kind == "b" else dtype
