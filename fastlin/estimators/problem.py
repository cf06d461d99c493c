"""The problem of a fit: the objective over some rows of the training data at any C and l1_ratio, and its minimum."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import starmap
from math import log
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import sparse

from fastlin.blocks.blocks import Blocks, from_arrays, from_csr
from fastlin.budget import Budget
from fastlin.coefficient_names import OmittedLevels
from fastlin.estimators.columns import check_parts, choose_dtype
from fastlin.estimators.labels import TrainingData
from fastlin.estimators.parameters import is_by_alpha, read_bounds, read_penalty_factors
from fastlin.matrices import BlockMatrix, Codes, Matrix, TableMatrix, as_matrix
from fastlin.objective.coordinates import choose_coordinates
from fastlin.objective.objective import Objective, RangeError, fill_factors
from fastlin.objective.penalty import LARGEST_PENALTY, Box, Penalty
from fastlin.objective.rows import Rows, make_samples, weigh_by_counts
from fastlin.solvers import choose
from fastlin.solvers.solution import StopReason
from fastlin.tensors import choose_type
from fastlin.typing import Array, FloatArray, IntArray

if TYPE_CHECKING:
    from fastlin.estimators import LinearEstimator
    from fastlin.estimators.stop_reasons import Listener

# A penalty below this part of J is rounding.
NOTHING = 1e-12
# A smaller rise of J changes no prediction.
LOST = 1e-6
# Fits of so few products a pass wait for the interpreter's lock more than they compute: one after the other the folds
# of seven tables take 0.7 to 0.96 of the time that they take on two threads.
PRODUCTS_IN_TURN = 1 << 16


@dataclass(frozen=True, eq=False)
class Fit:
    """Where a fit at C ended."""

    C: float  # 1 / alpha of an estimator that `is_by_alpha`
    coef: np.ndarray  # (K, d), of the columns as they were given, in the type of `choose_dtype`
    intercept: np.ndarray  # (K,), likewise
    certificate: float  # an upper bound on J - J*; inf where none is known
    solution: Any  # a Solution, or what another solver has Found
    n_before: int = 0  # iterations of another solver, which led to the start

    @property
    def n_iter(self) -> int:
        """Number of iterations."""
        return self.n_before + self.solution.n_iter

    @property
    def start(self) -> tuple[FloatArray, FloatArray]:
        """The point (coef, intercept) in float64, from which another fit may start."""
        return self.coef.astype(np.float64), self.intercept.astype(np.float64)


class Problem:
    """The objective J over rows of the training data, None for all, for any C and l1_ratio; columns measured once."""

    def __init__(self, estimator: LinearEstimator, data: TrainingData, rows: IntArray | None = None) -> None:
        self.estimator = estimator
        self.data = data
        self.rows = rows
        self.group_lasso = estimator.group_lasso
        given = estimator.penalty_factors
        self.penalty_factors = None if given is None else read_penalty_factors(given, data.matrix)
        self.bounds = read_bounds(estimator, data.matrix, 1 if len(data.classes) == 2 else len(data.classes))
        weights: Any = data.weights
        if rows is not None:
            # Rows that are not named tell the columns nothing.
            weights = weigh_by_counts(rows, weights, len(data.labels))
        self._unit, self._total_weight = data.weight_unit, data.weigh() if rows is None else float(weights.sum())
        if not self._total_weight > 0:
            # Only folds come here: read_training_data refuses weights that are all zero.
            raise ValueError("cv must give folds whose training rows have some weight above zero; one has none.")
        if is_by_alpha(estimator):
            # The penalty is alpha, whatever the rows weigh, and what is called C is 1 / alpha.
            self._unit = self._total_weight = 1.0
        self._objective: Objective | None = None
        self.columns = data.matrix.measure(weights)
        if not self.columns.finite:
            for _ in check_parts(estimator, data.matrix):
                pass

    def invert(self, number: float) -> float:
        """Return the penalty 1 / (C S) for a C, or the C for a penalty; infinity gives 0, and 0 infinity."""
        weight = float(number) * self._unit
        return 1.0 / weight / self._total_weight if weight else np.inf

    def objective(self, C: float, l1_ratio: float) -> Objective:
        """Return J at C and l1_ratio, an Objective over the rows."""
        # A C so small that the penalty overflows leaves no coefficient, and so does the largest one.
        penalty = min(self.invert(C), LARGEST_PENALTY)
        l2, l1 = (1 - l1_ratio) * penalty, l1_ratio * penalty
        if self._objective is not None:
            return self._objective.with_penalty(l2, l1)
        fit_intercept, data = self.estimator.fit_intercept, self.data
        factors = fill_factors(self.penalty_factors, len(self.columns.mean))
        coordinates = choose_coordinates(self.columns, l2, factors, fit_intercept)
        samples = make_samples(data.labels, data.weights, self.rows, data.offsets, data.targets)
        rows = Rows(data.matrix, samples, len(data.classes), coordinates, fit_intercept)
        box = Box.of(self.bounds, coordinates.scale)
        self._objective = Objective(rows, Penalty.of(rows, l2, l1, factors, self.group_lasso, box))
        return self._objective

    def _is_cut_off(self, C):
        """Say whether J tells the penalty at C, which float64 does not hold, from the largest one in its place."""
        # A coefficient is no larger than a slope, which no column exceeds, over the penalty.
        tiny = np.finfo(np.float64).smallest_subnormal
        penalty = -log(max(C * self._unit, tiny)) - log(self._total_weight)
        largest = log(max(np.max(self.columns.largest, initial=0.0), tiny)) - log(LARGEST_PENALTY)
        return penalty + 2 * largest > log(NOTHING)

    def slopes(self, coef: FloatArray, intercept: FloatArray) -> FloatArray:
        """Return the gradient of the mean loss by the coefficients, (K, d), at coef and intercept."""
        objective = self.objective(np.inf, 0.0)
        coordinates = objective.coordinates
        gradient = objective.at(coordinates.to_parameters(coef, intercept)).gradient
        # x_j = (x~_j - shift_j) / scale_j.
        return (gradient[:, :-1] - gradient[:, -1:] * coordinates.shift) / coordinates.scale

    def minimize(
        self,
        C: float,
        l1_ratio: float,
        starts: Iterable[tuple[FloatArray, FloatArray]] = (),
        on_iteration: Listener | None = None,
        tol: float | None = None,
        n_before: int = 0,
        **hints: Any,
    ) -> Fit:
        """Return the Fit at C and l1_ratio, started from the best of some pairs of coef (K, d) and intercept (K,).

        on_iteration gets coef and intercept as a fit that ended there would have them. n_before iterations led there.
        """
        estimator, matrix = self.estimator, self.data.matrix
        objective = self.objective(C, l1_ratio)
        if self.invert(C) > LARGEST_PENALTY and self._is_cut_off(C):
            raise ValueError(
                f"C={C:g} is a penalty that float64 does not hold, and that counts beside X, whose values reach "
                f"{self.columns.largest.max():.3g}. Scale X, for instance with sklearn.preprocessing.StandardScaler."
            )
        dtype = choose_dtype(matrix, estimator.solver)

        def tell(n_iter, iteration, parameters):
            return on_iteration and on_iteration(n_iter, iteration, lambda: objective.read_off(parameters(), dtype))

        try:
            solution = choose.minimize(
                objective,
                list(starmap(objective.coordinates.to_parameters, starts)),
                solver=estimator.solver,
                tol=estimator.tol if tol is None else tol,
                max_iter=estimator.max_iter - n_before,
                on_iteration=None if on_iteration is None else tell,
                **hints,
            )
            coef, intercept, rise = objective.finish(solution, dtype)
        except RangeError as error:
            # Of the column whose scale is furthest from one.
            largest = max(self.columns.largest, key=lambda reached: abs(np.log(reached)) if reached > 0 else 0.0)
            raise ValueError(
                f"X {'overflows' if largest > 1 else 'underflows'}: the values of a column reach {largest:.3g}, so "
                f"that sums over its rows or the coefficients leave the range of {np.dtype(dtype)}. Scale X, for "
                "instance with sklearn.preprocessing.StandardScaler."
            ) from error
        if rise > max(solution.value, LOST):
            # No digit of J is left: coefficients of 1e15 in float32 move scores by 1e8.
            solution = replace(
                solution, stop_reason=StopReason(f"the coefficients are too large for {np.dtype(dtype)}")
            )
        return Fit(C, coef, intercept, solution.certificate + rise, solution, n_before)


def count_fits_at_once(matrix: Matrix, shape: tuple[int, int], is_smooth: bool) -> int:
    """Return how many fits of rows of a matrix, each with its own budget, may run at once."""
    # What is known of rows on workers lies there.
    n_rows = matrix.shape[0] if matrix.lies_in_memory else 0
    # The reader of blocks need not stand several readings at once.
    if isinstance(matrix, BlockMatrix) or 0 < n_rows * shape[0] * shape[1] <= PRODUCTS_IN_TURN:
        return 1
    return Budget.for_data(matrix.budget_bytes).count_concurrent_fits(n_rows, shape, is_smooth)


class LevelsLeftOut(NamedTuple):
    """The indices of the columns of a matrix that have no coefficients without a penalty, which only tables have.

    `references` are the first levels of categorical columns that have rows with a weight: other levels are compared
    with them. `unused` are levels without such rows.
    """

    references: IntArray
    unused: IntArray

    def name(self, names: Array) -> OmittedLevels:
        """Return the names of the levels among those of all columns (d,)."""
        return OmittedLevels(names[self.references].tolist(), names[self.unused].tolist())


def find_left_out(data: TrainingData, fit_intercept: bool) -> LevelsLeftOut:
    """Return which levels have no coefficients. Without an intercept the first categorical column has no reference."""
    matrix = data.matrix
    if not (isinstance(matrix, TableMatrix) and len(matrix.level_features)):
        return LevelsLeftOut(*np.empty((2, 0), np.int64))
    are_used = np.ones(matrix.shape[1], bool)
    are_used[matrix.level_features] = matrix.weigh_levels(data.weights)[0] > 0
    firsts = np.cumsum(matrix.widths) - matrix.widths
    of_levels = [
        first + int(np.argmax(are_used[first : first + column.n_levels]))
        for first, column in zip(firsts, matrix.columns, strict=True)
        if isinstance(column, Codes)
    ]
    references = of_levels[0 if fit_intercept else 1 :]
    return LevelsLeftOut(np.array(references, np.int64), np.flatnonzero(~are_used))


def take_differences(data: TrainingData, levels: LevelsLeftOut, coef: FloatArray, intercept: FloatArray) -> Any:
    """Return the rows of a table and the coefficients of a fit as differences from the reference of each column.

    The levels that are left out have no column. The indices of the columns that are kept follow.
    """
    matrix: Any = data.matrix
    coef, intercept, columns = coef.copy(), intercept.copy(), []
    kept = np.delete(np.arange(matrix.shape[1]), np.concatenate(levels))
    # What a reference level loses the intercept gains, or else the levels of the column that has no reference.
    gaining = intercept[:, None]
    firsts = np.cumsum(matrix.widths) - matrix.widths
    for number, (first, column) in enumerate(zip(firsts, matrix.columns, strict=True)):
        if not isinstance(column, Codes):
            columns.append(column)
            continue
        codes, all_levels = column.number_missing(), np.arange(first, first + column.n_levels)
        if (codes < 0).any():
            raise ValueError(
                f"The categorical column {number} of X holds values that the fit has not seen, or missing ones: their "
                "rows were no part of the fit."
            )
        own, reference = coef[:, first : first + column.n_levels], np.intersect1d(all_levels, levels.references)
        if len(reference):
            lost = coef[:, reference]
            own -= lost
            gaining += lost
        else:
            gaining = own
        are_kept = np.isin(all_levels, kept)
        numbers = np.where(are_kept, np.cumsum(are_kept) - 1, -1).astype(codes.dtype)
        columns.append(Codes(numbers[codes], int(are_kept.sum())))
    return replace(data, matrix=TableMatrix(columns)), coef[:, kept], intercept, kept


def join_matrices(first: Matrix, second: Matrix) -> Matrix:
    """Return a matrix with the rows of the first and then those of the second, both of one kind.

    Rows of two types get the one that holds both. Tables are copied, and others if the copy takes no more than a
    quarter of a fit's budget for the first.
    """
    if isinstance(first, TableMatrix) and isinstance(second, TableMatrix):
        return first.append(second)
    if second.is_sparse and not first.is_sparse:
        first = as_matrix(sparse.csr_array(first.X))
    dtype = choose_type(np.result_type(first.dtype, second.dtype))
    lie_in_memory = first.lies_in_memory and second.lies_in_memory
    n_bytes = sum(each.shape[0] * each.row_bytes for each in (first, second))
    if lie_in_memory and Budget.for_data(first.budget_bytes).holds(n_bytes):
        if first.is_sparse:
            return as_matrix(sparse.vstack([first.X, second.X], format="csr", dtype=dtype))
        return as_matrix(np.concatenate([first.X, second.X], dtype=dtype))
    joined = BlockMatrix(_chain(_as_blocks(first), _as_blocks(second), dtype))
    if lie_in_memory:
        # A fit may take as much in addition to them as to one array.
        joined.budget_bytes = first.budget_bytes + second.budget_bytes
    return joined


def _as_blocks(matrix):
    if isinstance(matrix, BlockMatrix):
        return matrix.blocks
    return from_csr(matrix.X) if matrix.is_sparse else from_arrays(matrix.X)


def _chain(first, second, dtype):
    """Return the blocks of the first and then of the second, all in one type."""

    def read():
        for blocks in (first, second):
            for X in blocks.read():
                yield X.astype(dtype, copy=False)

    borders = np.concatenate([first.borders, first.borders[-1] + second.borders[1:]])
    names = [*first.names, *(f"validation {name}" for name in second.names)]
    shape = first.shape[0] + second.shape[0], first.shape[1]
    row_lengths = None
    if first.is_sparse:
        row_lengths = first.n_entries + second.n_entries, max(first.longest_row, second.longest_row)
    return Blocks(read, borders, names, shape, dtype, row_lengths=row_lengths)
