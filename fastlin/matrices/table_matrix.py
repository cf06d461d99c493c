"""X as a table: columns of numbers and columns of codes, and an objective's passes over both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from fastlin.kernels.linear.operands import NO_ROWS, Levels, Samples
from fastlin.kernels.linear.table_rows import fill_block_level_gram
from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.gather import count_columns, zeros_table
from fastlin.kernels.machine.threads import MAX_PARTIAL_BYTES, count_blocks, run_blocks
from fastlin.kernels.machine.tiles import Scaling
from fastlin.matrices.dense import DenseMatrix, DensePasses
from fastlin.matrices.matrix import Columns, Matrix, Passes, Transposed
from fastlin.matrices.sparse import SparseMatrix, SparseRowProducts, center_gram
from fastlin.typing import Array, BoolArray, FloatArray, IntArray

# What a code costs in addition to its multiply-adds, in multiply-adds.
CODE_WORK = 8
# A fit may take four times `budget_bytes`, half of the table: an eighth of it for each of what a fit may keep.
PART_IN_MEMORY = 8
# Rows whose levels are counted together.
ROWS_COUNTED = 1 << 18


@dataclass(frozen=True, eq=False)
class Codes:
    """A categorical column."""

    codes: np.ndarray  # (n,) int8, int16 or int32: each row's level, or -1 where its value is missing or unknown
    n_levels: int  # each level is a column of the matrix
    has_missing_category: bool = False  # Whether rows with -1 have the last level; otherwise they have none.

    def __getitem__(self, rows: IntArray | BoolArray | slice) -> Codes:
        """Return the column of some rows."""
        return Codes(self.codes[rows], self.n_levels, self.has_missing_category)

    def append(self, other: Codes) -> Codes:
        """Return the column of these rows followed by the rows of another column with the same levels."""
        return Codes(np.concatenate([self.number_missing(), other.number_missing()]), self.n_levels)

    def number_missing(self) -> IntArray:
        """Return the codes, with the number of the last level in place of -1 where that is its code."""
        if not self.has_missing_category:
            return self.codes
        wide_enough = np.promote_types(self.codes.dtype, np.min_scalar_type(-self.n_levels))
        return np.where(self.codes < 0, self.n_levels - 1, self.codes).astype(wide_enough)

    def standard_deviation(self) -> sparse.csc_array:
        """Return the levels as columns (n, n_levels) of ones, uint8."""
        codes = self.number_missing()
        # A stable sort of codes of one or two bytes counts them.
        rows = np.argsort(codes, kind="stable")
        starts = np.searchsorted(codes[rows], np.arange(self.n_levels + 1))
        rows = rows[starts[0] :]
        return sparse.csc_array((np.ones(len(rows), np.uint8), rows, starts - starts[0]), (len(codes), self.n_levels))


class TableMatrix(Matrix):
    """X of shape (n, d) whose columns are numbers or levels of categorical columns: 1 where a row has it, else 0.

    Codes are read where they lie; numbers are copied once. Column i of the table stands for `widths[i]` columns of X;
    `number_features` and `level_features` say which. ValueError: columns differ in length.
    """

    def __init__(self, columns: Sequence[Array | Codes], names: Sequence[object] | None = None) -> None:
        self.columns, self._names = columns, names
        is_coded = np.array([isinstance(column, Codes) for column in columns])
        self.widths = np.array([column.n_levels if isinstance(column, Codes) else 1 for column in columns])
        firsts = np.cumsum([0, *self.widths])
        self._coded = [column for column in columns if isinstance(column, Codes)]
        self._numbers = [column for column in columns if not isinstance(column, Codes)]
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
        self._missing_positions = self.shape[1] + np.arange(len(self._coded))

    @property
    def X(self) -> TableMatrix:
        """The matrix itself, which can be asked for some of its rows."""
        return self

    @cached_property
    def longest_row(self) -> int:
        """The number of columns of the table."""
        return len(self.columns)

    @cached_property
    def numbers(self) -> DenseMatrix:
        """The columns of numbers, a copy."""
        numbers = np.empty((self.shape[0], len(self._numbers)), self.dtype)
        for j, column in enumerate(self._numbers):
            numbers[:, j] = column
        return DenseMatrix(numbers)

    @cached_property
    def _code_columns(self):
        """The categorical columns as kernels take them, `Levels.columns`."""
        columns = []
        for column, first, position in zip(self._coded, self._coded_firsts, self._missing_positions, strict=True):
            missing = first + column.n_levels - 1 if column.has_missing_category else position
            address = column.codes.__array_interface__["data"][0]
            columns.append((address, *column.codes.strides, column.codes.itemsize, first, missing))
        return np.array(columns, np.int64).reshape(-1, 5)

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.shape[0]

    def __getitem__(self, rows: IntArray | BoolArray | slice) -> TableMatrix:
        """Return the matrix of some rows: their numbers, a slice or a mask."""
        return TableMatrix([column[rows] for column in self.columns])

    def append(self, other: TableMatrix) -> TableMatrix:
        """Return a copy of these rows followed by the rows of another table with the same columns."""
        columns: list[Array | Codes] = []
        for one, added in zip(self.columns, other.columns, strict=True):
            if isinstance(one, Codes) and isinstance(added, Codes):
                columns.append(one.append(added))
            else:
                columns.append(np.concatenate([one, added]))
        return TableMatrix(columns, self._names)

    def take(self, rows: IntArray | slice) -> TableMatrix:
        """See `Matrix.take`."""
        return self[rows]

    def measure(self, weights: FloatArray | None = None) -> Columns:
        """See `Matrix.measure`."""
        moments = Columns(*np.zeros((5, self.shape[1])))
        mean, _, variance, smallest, largest = moments
        if self._coded:
            (own, rest), features = self.weigh_levels(weights), self.level_features
            mean[features], variance[features] = own / (own + rest), own * rest / (own + rest) ** 2
            n_own, n_rest = (own, rest) if weights is None else self.weigh_levels(None)
            smallest[features], largest[features] = n_rest == 0, n_own > 0
        if self._numbers:
            for found, of_numbers in zip(moments, self.numbers.measure(weights), strict=True):
                found[self.number_features] = of_numbers
        return moments

    def weigh_levels(self, weights: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        """Return the weight of the rows with each level and of other rows, (n_levels,) each, exactly zero without any.

        The weights (n,) are ones if they are None.
        """
        found = []
        for column in self._coded:
            codes, own = column.number_missing(), np.zeros(column.n_levels + 1)
            # Some rows at a time: NumPy counts numbers of eight bytes.
            for first in range(0, len(codes), ROWS_COUNTED):
                part = slice(first, first + ROWS_COUNTED)
                # Rows without a level come first.
                positions = codes[part].astype(np.intp) + 1
                own += np.bincount(positions, None if weights is None else weights[part], len(own))
            rest = np.zeros(len(own))
            rest[1:] += np.cumsum(own)[:-1]
            rest[:-1] += np.cumsum(own[::-1])[-2::-1]
            found.append((own[1:], rest[1:]))
        own, rest = np.concatenate(found, axis=1)
        return own, rest

    def expand(self, rows: IntArray | slice) -> SparseMatrix:
        """Return the SparseMatrix of some rows, by their numbers or as a slice."""
        parts = [
            taken.standard_deviation() if isinstance(taken, Codes) else sparse.csc_array(taken[:, None])
            for taken in (column[rows] for column in self.columns)
        ]
        return SparseMatrix(sparse.hstack(parts, "csr", self.dtype))

    def densify(self, rows: IntArray | slice) -> Array:
        """See `Matrix.densify`."""
        return self.expand(rows).csr.toarray()

    def score(self, coef: FloatArray, intercept: FloatArray, scores: FloatArray, best: IntArray) -> None:
        """See `Matrix.score`; scores are computed in float64."""
        levels, coef = self.open_levels(self.shape[0], len(coef), 0), coef.astype(np.float64)
        levels.table[: self.shape[1], : len(coef)] = coef.T
        self.numbers.score(coef[:, self.number_features], intercept.astype(np.float64), scores, best, levels)

    def open_levels(self, n_rows: int, n_rows_coef: int, partial_bytes: int) -> Levels:
        """Return the levels for a pass over n_rows rows, whose blocks keep partial_bytes besides the levels' sums."""
        n_numbers, n_coded, width = len(self._numbers), len(self._coded), count_columns(n_rows_coef)
        size = self.shape[1] + n_coded
        n_blocks = count_blocks(
            n_rows,
            row_work=2 * n_rows_coef * n_numbers + (CODE_WORK + 2 * width) * n_coded,
            partial_bytes=partial_bytes + 8 * width * size,
            data_bytes=self._column_bytes,
        )
        sums = zeros_aligned((n_blocks * size, width), np.float64).reshape(n_blocks, size, width)
        return Levels(self._code_columns, zeros_table(size, n_rows_coef), sums)

    def extracts(self, rows: IntArray) -> bool:
        """See `Matrix.extracts`; few rows are copied."""
        return self.copies(rows)

    def parts(self) -> Iterator[tuple[str, DenseMatrix]]:
        """See `Matrix.parts`; the columns of numbers that may not be finite are the parts."""
        names = range(len(self.columns)) if self._names is None else self._names
        for name, column in zip(names, self.columns, strict=True):
            if not isinstance(column, Codes) and column.dtype.kind == "f":
                yield f"Column {name!r} of X", DenseMatrix(column[:, None])

    def _transpose(self, precision):
        """Return levels by their rows, a copy of five bytes an entry, and numbers as dense data have them."""
        n, d = self.shape
        nothing = sparse.csc_array((n, 1), dtype=np.uint8)
        levels = sparse.hstack(
            [c.standard_deviation() if isinstance(c, Codes) else nothing for c in self.columns], "csc"
        )
        panel, positions, scale, shift = np.empty((0, n), precision), np.full(d, -1), np.ones(d), np.zeros(d)
        if self._numbers:
            numbers, features = self.numbers.transposed(precision), self.number_features
            panel, positions[features] = numbers.panel, numbers.positions
            scale[features], shift[features] = numbers.scale, numbers.shift
        return Transposed(panel, positions, levels.indptr, levels.indices, levels.data, scale, shift)

    def row_products(self, n_rows_coef: int, factors: FloatArray, allows_gram: bool) -> SparseRowProducts:
        """See `Matrix.row_products`; a sparse copy makes them."""
        return self.expand(slice(None)).row_products(n_rows_coef, factors, allows_gram)

    def gram(self, rows: IntArray, row_weights: FloatArray, scaling: Scaling) -> FloatArray:
        """See `SparseMatrix.gram`; numbers are centered one by one, sums of levels afterwards."""
        features, (d, n_coded) = self.number_features, (self.shape[1], len(self._coded))
        own, size, width = Scaling(scaling.scale[features], scaling.shift[features]), d + n_coded, len(features) + 1
        row_work = n_coded * width + CODE_WORK * n_coded**2 // 2
        n_blocks = min(count_blocks(len(rows), row_work), max(1, MAX_PARTIAL_BYTES // (8 * size**2)))
        crosses, pairs = np.empty((n_blocks, size, width)), np.zeros((n_blocks, size, size))
        given = self._code_columns, self.numbers.layers, rows, row_weights, own, crosses, pairs
        run_blocks(fill_block_level_gram, n_blocks, *given)
        # Products of each level with the numbers and a one, then the products of the numbers.
        cross, half = np.add.reduce(crosses)[:d], np.add.reduce(pairs)[:d, :d]
        half[:, features] += cross[:, :-1]
        totals = cross[:, -1].copy()
        half[np.diag_indices(d)] = 0.5 * totals
        if self._numbers:
            samples = Samples(rows, NO_ROWS, NO_ROWS)
            (gram,) = DensePasses(self.numbers, samples, own, 1).gram(rows, row_weights[None], np.float64)
            totals[features], half[np.ix_(features, features)] = gram[:-1, -1], 0.5 * gram[:-1, :-1]
        scale, shift = scaling.scale.copy(), scaling.shift.copy()
        scale[features], shift[features] = 1, 0
        return center_gram(half[None], totals[None], row_weights.sum(), Scaling(scale, shift))

    def passes(self, samples: Samples, scaling: Scaling, n_rows_coef: int) -> TablePasses:
        """See `Matrix.passes`."""
        return TablePasses(self, samples, scaling, n_rows_coef)


class TablePasses(Passes):
    """Passes over the columns of a table, in float64: those over its numbers, with the levels."""

    def __init__(self, matrix: TableMatrix, samples: Samples, scaling: Scaling, n_rows_coef: int) -> None:
        super().__init__(matrix, samples, scaling, n_rows_coef)
        features, levels = matrix.number_features, matrix.level_features
        self._of_levels = Scaling(scaling.scale[levels], scaling.shift[levels])
        self._levels = matrix.open_levels(self._n_rows, n_rows_coef, 8 * n_rows_coef * len(features))
        self._n_blocks = len(self._levels.sums)
        own = Scaling(scaling.scale[features], scaling.shift[features])
        self._numbers = DensePasses(matrix.numbers, samples, own, n_rows_coef, self._levels)
        # Numbers are centered one by one, the shifts of levels are summed by columns.
        self.shift_roundings = np.zeros(self.shape[1] - 1)
        self.shift_roundings[levels] = matrix.shift_roundings
        self.gram_lengths = np.ones(self.shape[1] - 1)
        self.gram_lengths[levels] = np.hypot(1, self._of_levels.shift)

    @property
    def longest_sum(self) -> int:
        """See `Passes.longest_sum`: the rows of a block, the blocks, and the parts of a level."""
        return -(-self._n_rows // self._n_blocks) + self._n_blocks + 2

    def _run(self, parameters, total, losses, curvature, batch=None):
        matrix, (scale, shift) = self._matrix, self._of_levels
        features, levels = np.append(matrix.number_features, -1), matrix.level_features
        coef = parameters[:, levels].astype(np.float64)
        self._levels.table[levels, : len(coef)] = (coef * scale).T
        numbers = parameters[:, features].astype(np.float64)
        # einsum has another order of additions where there is one row.
        numbers[:, -1] += np.add.reduce(coef * shift, axis=1)
        of_numbers = self._numbers._run(numbers, np.empty(numbers.shape), losses, curvature, batch)
        sums = np.add.reduce(self._levels.sums)[levels, : len(total)].T
        total[:, levels] = sums * scale + of_numbers[:, -1:] * shift
        total[:, features] = of_numbers
        return total
