"""X as a table of numeric columns and encoded categorical columns, and the passes over the table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from fastlin.kernels.linear.operands import NO_ROWS, CategoricalColumns, Samples
from fastlin.kernels.linear.table_rows import fill_block_categorical_gram
from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.gather import count_table_columns, make_zero_table
from fastlin.kernels.machine.threads import MAX_PARTIAL_SUM_BYTES, count_blocks, run_blocks
from fastlin.kernels.machine.tiles import Scaling
from fastlin.matrices.dense import DenseMatrix, DensePasses
from fastlin.matrices.matrix import ColumnStatistics, ColumnwiseCopy, Matrix, Passes
from fastlin.matrices.sparse import SparseMatrix, SparseRowProducts, center_gram
from fastlin.typing import Array, BoolArray, FloatArray, IntArray

# The overhead of reading a code, in multiply-adds.
CODE_READ_OVERHEAD = 8
# A fit may use four times `budget_bytes`, which is half the size of the table.
DATA_TO_BUDGET_RATIO = 8
# The number of rows per step when the rows of each category are counted.
MAX_ROWS_PER_COUNT = 1 << 18


@dataclass(frozen=True, eq=False)
class CategoricalColumn:
    """A categorical column, encoded by the index of the category of each row."""

    codes: np.ndarray  # (n,) int8, int16 or int32: the category of each row, or -1 if its value is missing or unseen
    n_categories: int  # each category is a column of the matrix
    has_missing_category: bool = False  # whether -1 means the last category; otherwise rows with -1 have no category

    def __getitem__(self, rows: IntArray | BoolArray | slice) -> CategoricalColumn:
        """Return the column of a subset of the rows."""
        return CategoricalColumn(self.codes[rows], self.n_categories, self.has_missing_category)

    def append(self, other: CategoricalColumn) -> CategoricalColumn:
        """Return the concatenation of this column and another column with the same categories."""
        return CategoricalColumn(np.concatenate([self.recode_missing(), other.recode_missing()]), self.n_categories)

    def recode_missing(self) -> IntArray:
        """Return the codes, with -1 replaced by the last category if there is a missing category."""
        if not self.has_missing_category:
            return self.codes
        wider_code_dtype = np.promote_types(self.codes.dtype, np.min_scalar_type(-self.n_categories))
        return np.where(self.codes < 0, self.n_categories - 1, self.codes).astype(wider_code_dtype)

    def encode_one_hot(self) -> sparse.csc_array:
        """Return the one-hot encoding (n, n_categories), uint8."""
        codes = self.recode_missing()
        # For types of one or two bytes, NumPy's stable sort is a radix sort.
        rows = np.argsort(codes, kind="stable")
        starts = np.searchsorted(codes[rows], np.arange(self.n_categories + 1))
        rows = rows[starts[0] :]
        return sparse.csc_array(
            (np.ones(len(rows), np.uint8), rows, starts - starts[0]), (len(codes), self.n_categories)
        )


class TableMatrix(Matrix):
    """X of shape (n, d), whose columns are numeric columns and the one-hot encoded categories of categorical columns.

    Codes are read in place, and numeric columns are copied once. Column i of the table corresponds to the `widths[i]`
    columns of X from `first_columns[i]`. `numeric_features` and `category_features` are the column indices in X of
    numeric columns and of categories. The constructor raises a ValueError if columns differ in length.
    """

    def __init__(self, columns: Sequence[Array | CategoricalColumn], names: Sequence[object] | None = None) -> None:
        self.columns, self._names = columns, names
        is_categorical = np.array([isinstance(column, CategoricalColumn) for column in columns])
        self.widths = np.array(
            [column.n_categories if isinstance(column, CategoricalColumn) else 1 for column in columns]
        )
        self.first_columns = np.cumsum(self.widths) - self.widths
        self._categorical_columns = [column for column in columns if isinstance(column, CategoricalColumn)]
        self._numeric_columns = [column for column in columns if not isinstance(column, CategoricalColumn)]
        self._first_category_features, self.numeric_features = (
            self.first_columns[is_categorical],
            self.first_columns[~is_categorical],
        )
        arrays = [*self._numeric_columns, *(column.codes for column in self._categorical_columns)]
        n = len(arrays[0])
        # Kernels read from addresses without bounds checks.
        if any(array.shape != (n,) for array in arrays):
            shapes = [array.shape for array in arrays]
            raise ValueError(
                f"The columns of a table must be one-dimensional and of equal length, got shapes {shapes}."
            )
        are_columns_float32 = [column.dtype == np.float32 for column in self._numeric_columns]
        dtype = np.dtype(np.float32 if are_columns_float32 and all(are_columns_float32) else np.float64)
        self._column_bytes = sum(array.nbytes for array in arrays)
        shape, budget_bytes = (n, int(self.widths.sum())), self._column_bytes // DATA_TO_BUDGET_RATIO
        super().__init__(shape, dtype, True, n * len(columns), budget_bytes)
        self.category_features = np.delete(np.arange(self.shape[1]), self.numeric_features)
        # A table of categories has one row per column of X, followed by one row per categorical column for values
        # without a category.
        self._missing_positions = self.shape[1] + np.arange(len(self._categorical_columns))

    @property
    def X(self) -> TableMatrix:
        """The matrix itself, which can be indexed by rows."""
        return self

    @cached_property
    def longest_row(self) -> int:
        """The number of columns of the table."""
        return len(self.columns)

    @cached_property
    def numbers(self) -> DenseMatrix:
        """A copy of the numeric columns."""
        numbers = np.empty((self.shape[0], len(self._numeric_columns)), self.dtype)
        for j, column in enumerate(self._numeric_columns):
            numbers[:, j] = column
        return DenseMatrix(numbers)

    @cached_property
    def _categorical_operand(self):
        """The categorical columns as a kernel operand, `CategoricalColumns.columns`."""
        columns = []
        for column, first, position in zip(
            self._categorical_columns, self._first_category_features, self._missing_positions, strict=True
        ):
            missing = first + column.n_categories - 1 if column.has_missing_category else position
            address = column.codes.__array_interface__["data"][0]
            columns.append((address, *column.codes.strides, column.codes.itemsize, first, missing))
        return np.array(columns, np.int64).reshape(-1, 5)

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.shape[0]

    def __getitem__(self, rows: IntArray | BoolArray | slice) -> TableMatrix:
        """Return the matrix of a subset of the rows: indices, a slice or a mask."""
        return TableMatrix([column[rows] for column in self.columns])

    def append(self, other: TableMatrix) -> TableMatrix:
        """Return a copy that contains the rows of this table, followed by the rows of a table with the same columns."""
        columns: list[Array | CategoricalColumn] = []
        for one, added in zip(self.columns, other.columns, strict=True):
            if isinstance(one, CategoricalColumn) and isinstance(added, CategoricalColumn):
                columns.append(one.append(added))
            else:
                columns.append(np.concatenate([one, added]))
        return TableMatrix(columns, self._names)

    def take(self, rows: IntArray | slice) -> TableMatrix:
        """See `Matrix.take`."""
        return self[rows]

    def measure(self, weights: FloatArray | None = None) -> ColumnStatistics:
        """See `Matrix.measure`."""
        moments = ColumnStatistics(*np.zeros((5, self.shape[1])))
        mean, _, variance, smallest, largest = moments
        if self._categorical_columns:
            (ones, zeros), features = self.sum_category_weights(weights), self.category_features
            mean[features], variance[features] = ones / (ones + zeros), ones * zeros / (ones + zeros) ** 2
            n_ones, n_zeros = (ones, zeros) if weights is None else self.sum_category_weights(None)
            smallest[features], largest[features] = n_zeros == 0, n_ones > 0
        if self._numeric_columns:
            for statistic, numeric_statistic in zip(moments, self.numbers.measure(weights), strict=True):
                statistic[self.numeric_features] = numeric_statistic
        return moments

    def sum_category_weights(self, weights: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        """Return the total weights (n_categories,) of the rows with each category, and of the rows without it.

        A total is exactly zero if there are no such rows. If `weights` (n,) is None, all weights are one.
        """
        sums = []
        for column in self._categorical_columns:
            codes, ones = column.recode_missing(), np.zeros(column.n_categories + 1)
            # The rows are counted in steps, because NumPy copies the codes to 8-byte integers.
            for first in range(0, len(codes), MAX_ROWS_PER_COUNT):
                part = slice(first, first + MAX_ROWS_PER_COUNT)
                # Index 0 counts rows without a category.
                positions = codes[part].astype(np.intp) + 1
                ones += np.bincount(positions, None if weights is None else weights[part], len(ones))
            zeros = np.zeros(len(ones))
            zeros[1:] += np.cumsum(ones)[:-1]
            zeros[:-1] += np.cumsum(ones[::-1])[-2::-1]
            sums.append((ones[1:], zeros[1:]))
        ones, zeros = np.concatenate(sums, axis=1)
        return ones, zeros

    def encode_one_hot_rows(self, rows: IntArray | slice) -> SparseMatrix:
        """Return the one-hot encoded SparseMatrix of a subset of the rows, given as indices or a slice."""
        parts = [
            taken.encode_one_hot() if isinstance(taken, CategoricalColumn) else sparse.csc_array(taken[:, None])
            for taken in (column[rows] for column in self.columns)
        ]
        return SparseMatrix(sparse.hstack(parts, "csr", self.dtype))

    def densify(self, rows: IntArray | slice) -> Array:
        """See `Matrix.densify`."""
        return self.encode_one_hot_rows(rows).csr.toarray()

    def score(self, coef: FloatArray, intercept: FloatArray, scores: FloatArray, best: IntArray) -> None:
        """See `Matrix.score`; scores are computed in float64."""
        categorical, coef = self.prepare_categorical(self.shape[0], len(coef), 0), coef.astype(np.float64)
        categorical.table[: self.shape[1], : len(coef)] = coef.T
        self.numbers.score(coef[:, self.numeric_features], intercept.astype(np.float64), scores, best, categorical)

    def prepare_categorical(self, n_rows: int, n_rows_coef: int, partial_bytes: int) -> CategoricalColumns:
        """Return the `CategoricalColumns` for a pass over `n_rows` rows.

        A block uses `partial_bytes` bytes in addition to the category sums.
        """
        n_numeric_columns, n_categorical_columns, width = (
            len(self._numeric_columns),
            len(self._categorical_columns),
            count_table_columns(n_rows_coef),
        )
        size = self.shape[1] + n_categorical_columns
        n_blocks = count_blocks(
            n_rows,
            row_work=2 * n_rows_coef * n_numeric_columns + (CODE_READ_OVERHEAD + 2 * width) * n_categorical_columns,
            partial_bytes=partial_bytes + 8 * width * size,
            data_bytes=self._column_bytes,
        )
        sums = zeros_aligned((n_blocks * size, width), np.float64).reshape(n_blocks, size, width)
        return CategoricalColumns(self._categorical_operand, make_zero_table(size, n_rows_coef), sums)

    def should_extract_rows(self, rows: IntArray) -> bool:
        """See `Matrix.should_extract_rows`; a small subset of the rows is copied."""
        return self.should_copy_rows(rows)

    def parts(self) -> Iterator[tuple[str, DenseMatrix]]:
        """See `Matrix.parts`; the parts are the floating-point columns. Other columns have only finite values."""
        names = range(len(self.columns)) if self._names is None else self._names
        for name, column in zip(names, self.columns, strict=True):
            if not isinstance(column, CategoricalColumn) and column.dtype.kind == "f":
                yield f"Column {name!r} of X", DenseMatrix(column[:, None])

    def _transpose(self, precision):
        """Return a column-wise copy.

        Categories are entries of five bytes, and numeric columns are stored as in `DenseMatrix`.
        """
        n, d = self.shape
        empty_column = sparse.csc_array((n, 1), dtype=np.uint8)
        one_hot = sparse.hstack(
            [c.encode_one_hot() if isinstance(c, CategoricalColumn) else empty_column for c in self.columns], "csc"
        )
        panel, positions, scale, shift = np.empty((0, n), precision), np.full(d, -1), np.ones(d), np.zeros(d)
        if self._numeric_columns:
            numbers, features = self.numbers.transposed(precision), self.numeric_features
            panel, positions[features] = numbers.panel, numbers.positions
            scale[features], shift[features] = numbers.scale, numbers.shift
        return ColumnwiseCopy(panel, positions, one_hot.indptr, one_hot.indices, one_hot.data, scale, shift)

    def row_products(self, n_rows_coef: int, factors: FloatArray, allows_gram: bool) -> SparseRowProducts:
        """See `Matrix.row_products`; the products read a sparse copy."""
        return self.encode_one_hot_rows(slice(None)).row_products(n_rows_coef, factors, allows_gram)

    def gram(self, rows: IntArray, row_weights: FloatArray, scaling: Scaling) -> FloatArray:
        """See `SparseMatrix.gram`; numeric columns are centered per entry, categories after the summation."""
        features, (d, n_categorical_columns) = self.numeric_features, (self.shape[1], len(self._categorical_columns))
        numeric_scaling, size = Scaling(scaling.scale[features], scaling.shift[features]), d + n_categorical_columns
        width = len(features) + 1
        row_work = n_categorical_columns * width + CODE_READ_OVERHEAD * n_categorical_columns**2 // 2
        n_blocks = min(count_blocks(len(rows), row_work), max(1, MAX_PARTIAL_SUM_BYTES // (8 * size**2)))
        cross_sums, pairs = np.empty((n_blocks, size, width)), np.zeros((n_blocks, size, size))
        operands = self._categorical_operand, self.numbers.layers, rows, row_weights, numeric_scaling, cross_sums, pairs
        run_blocks(fill_block_categorical_gram, n_blocks, *operands)
        # First come the products of categories with numbers and ones, then the products of two numbers.
        cross_gram, half = np.add.reduce(cross_sums)[:d], np.add.reduce(pairs)[:d, :d]
        half[:, features] += cross_gram[:, :-1]
        totals = cross_gram[:, -1].copy()
        half[np.diag_indices(d)] = 0.5 * totals
        if self._numeric_columns:
            samples = Samples(rows, NO_ROWS, NO_ROWS)
            (gram,) = DensePasses(self.numbers, samples, numeric_scaling, 1).gram(rows, row_weights[None], np.float64)
            totals[features], half[np.ix_(features, features)] = gram[:-1, -1], 0.5 * gram[:-1, :-1]
        scale, shift = scaling.scale.copy(), scaling.shift.copy()
        scale[features], shift[features] = 1, 0
        return center_gram(half[None], totals[None], row_weights.sum(), Scaling(scale, shift))

    def passes(self, samples: Samples, scaling: Scaling, n_rows_coef: int) -> TablePasses:
        """See `Matrix.passes`."""
        return TablePasses(self, samples, scaling, n_rows_coef)


class TablePasses(Passes):
    """Passes over a table in float64: dense passes over the numeric columns, which also add the categories."""

    def __init__(self, matrix: TableMatrix, samples: Samples, scaling: Scaling, n_rows_coef: int) -> None:
        super().__init__(matrix, samples, scaling, n_rows_coef)
        features, category_features = matrix.numeric_features, matrix.category_features
        self._category_scaling = Scaling(scaling.scale[category_features], scaling.shift[category_features])
        self._categorical = matrix.prepare_categorical(self._n_rows, n_rows_coef, 8 * n_rows_coef * len(features))
        self._n_blocks = len(self._categorical.sums)
        numeric_scaling = Scaling(scaling.scale[features], scaling.shift[features])
        self._numeric_passes = DensePasses(matrix.numbers, samples, numeric_scaling, n_rows_coef, self._categorical)
        # Numeric columns are centered per entry; the shifts of categories are added as one sum.
        self.relative_shift_errors = np.zeros(self.shape[1] - 1)
        self.relative_shift_errors[category_features] = matrix.relative_shift_errors
        self.relative_gram_norms = np.ones(self.shape[1] - 1)
        self.relative_gram_norms[category_features] = np.hypot(1, self._category_scaling.shift)

    @property
    def max_additions_per_sum(self) -> int:
        """See `Passes.max_additions_per_sum`. It is rows per block + number of blocks + two terms of a category."""
        return -(-self._n_rows // self._n_blocks) + self._n_blocks + 2

    def _run(self, parameters, total, losses, curvature, batch=None):
        matrix, (scale, shift) = self._matrix, self._category_scaling
        features, category_features = np.append(matrix.numeric_features, -1), matrix.category_features
        coef = parameters[:, category_features].astype(np.float64)
        self._categorical.table[category_features, : len(coef)] = (coef * scale).T
        numbers = parameters[:, features].astype(np.float64)
        # This is not an einsum, because einsum adds in a different order if there is one row.
        numbers[:, -1] += np.add.reduce(coef * shift, axis=1)
        numeric_total = self._numeric_passes._run(numbers, np.empty(numbers.shape), losses, curvature, batch)
        sums = np.add.reduce(self._categorical.sums)[category_features, : len(total)].T
        total[:, category_features] = sums * scale + numeric_total[:, -1:] * shift
        total[:, features] = numeric_total
        return total
