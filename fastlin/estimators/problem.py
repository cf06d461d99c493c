"""The optimization problem of a fit: the objective over some training rows for any C and l1_ratio, and its solution."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import starmap
from math import log
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from scipy import sparse

from fastlin.blocks.blocks import Blocks, from_arrays, from_csr
from fastlin.coefficient_names import OmittedCategories
from fastlin.containers.tensors import choose_kernel_dtype
from fastlin.estimators.columns import choose_dtype, iterate_finite_parts
from fastlin.estimators.labels import TrainingData
from fastlin.estimators.parameters import uses_alpha, validate_bounds, validate_penalty_factors
from fastlin.matrices import BlockMatrix, CategoricalColumn, Matrix, TableMatrix, as_matrix
from fastlin.objective.budget import Budget
from fastlin.objective.coordinates import choose_coordinates
from fastlin.objective.objective import FloatRangeError, Objective, make_penalty_factors
from fastlin.objective.penalty import MAX_PENALTY, Box, Penalty
from fastlin.objective.rows import Rows, make_samples, multiply_weights_by_counts
from fastlin.solvers import choose
from fastlin.solvers.solution import StopReason
from fastlin.typing import Array, FloatArray, IntArray

if TYPE_CHECKING:
    from fastlin.estimators import LinearEstimator

# A penalty below this fraction of J is within rounding error.
NEGLIGIBLE_PENALTY_RATIO = 1e-12
# If rounding the coefficients increases J by less than this amount, predictions do not change.
MAX_OBJECTIVE_ROUNDING_RISE = 1e-6
# Fits with at most this many products per pass run sequentially, because the threads would mostly wait for the
# interpreter lock (docs/benchmarks/design-choices.md: sequential small fits).
MAX_PRODUCTS_OF_SEQUENTIAL_FITS = 1 << 16

# A function that is called after each iteration, and returns whether the fit should stop. Its arguments are the number
# of the iteration, the solver's record of the iteration, and a function that returns the coefficients.
IterationListener: TypeAlias = Callable[[int, Any, Callable[[], Any]], Any]


@dataclass(frozen=True, eq=False)
class Fit:
    """The result of a fit at C."""

    C: float  # 1 / alpha if the estimator `uses_alpha`
    coef: np.ndarray  # (K, d), for the original columns, in the type of `choose_dtype`
    intercept: np.ndarray  # (K,), in the same type
    certificate: float  # an upper bound on J - J*; inf if there is none
    solution: Any  # a Solution, or the result of the batched solver
    n_iter_before: int = 0  # iterations of another solver that led to the start

    @property
    def n_iter(self) -> int:
        """The total number of iterations."""
        return self.n_iter_before + self.solution.n_iter

    @property
    def start(self) -> tuple[FloatArray, FloatArray]:
        """The coefficients and the intercept in float64, from which another fit can start."""
        return self.coef.astype(np.float64), self.intercept.astype(np.float64)


class Problem:
    """The objective J over the training `rows` (None means all) for any C and l1_ratio; columns are measured once."""

    def __init__(self, estimator: LinearEstimator, data: TrainingData, rows: IntArray | None = None) -> None:
        self.estimator = estimator
        self.data = data
        self.rows = rows
        self.group_lasso = estimator.group_lasso
        factors = estimator.penalty_factors
        self.penalty_factors = None if factors is None else validate_penalty_factors(factors, data.matrix)
        self.bounds = validate_bounds(estimator, data.matrix, 1 if len(data.classes) == 2 else len(data.classes))
        weights: Any = data.weights
        if rows is not None:
            # Rows outside of the subset have weight zero in the statistics of the columns.
            weights = multiply_weights_by_counts(rows, weights, len(data.labels))
        self._weight_unit, self._total_weight = (
            data.weight_unit,
            data.sum_weights() if rows is None else float(weights.sum()),
        )
        if not self._total_weight > 0:
            # This can only happen in folds, because validate_training_data raises an error if all weights are zero.
            raise ValueError("cv must yield folds with training rows of positive weight, but one fold has none.")
        if uses_alpha(estimator):
            # The penalty is alpha, no matter how the rows are weighted, and C is 1 / alpha.
            self._weight_unit = self._total_weight = 1.0
        self._objective: Objective | None = None
        self.columns = data.matrix.measure(weights)
        if not self.columns.is_finite:
            for _ in iterate_finite_parts(estimator, data.matrix):
                pass

    def convert_between_C_and_penalty(self, number: float) -> float:
        """Return the penalty 1 / (C S) for a C, or the C for a penalty; 0 and infinity are mapped to each other."""
        weight = float(number) * self._weight_unit
        return 1.0 / weight / self._total_weight if weight else np.inf

    def objective(self, C: float, l1_ratio: float) -> Objective:
        """Return the Objective J at C and l1_ratio."""
        # The largest penalty makes all coefficients zero, as would a penalty that overflows.
        penalty = min(self.convert_between_C_and_penalty(C), MAX_PENALTY)
        l2, l1 = (1 - l1_ratio) * penalty, l1_ratio * penalty
        if self._objective is not None:
            return self._objective.with_penalty(l2, l1)
        fit_intercept, data = self.estimator.fit_intercept, self.data
        factors = make_penalty_factors(self.penalty_factors, len(self.columns.mean))
        coordinates = choose_coordinates(self.columns, l2, factors, fit_intercept)
        samples = make_samples(data.labels, data.weights, self.rows, data.offsets, data.targets)
        rows = Rows(data.matrix, samples, len(data.classes), coordinates, fit_intercept)
        box = None if self.bounds is None else Box.of(self.bounds, coordinates.scale)
        self._objective = Objective(rows, Penalty.of(rows, l2, l1, factors, self.group_lasso, box))
        return self._objective

    def _is_penalty_truncated(self, C):
        """Return whether replacing the overflowing penalty at C by the largest penalty changes J noticeably."""
        # The size of a coefficient is at most the largest entry of X divided by the penalty.
        tiny = np.finfo(np.float64).smallest_subnormal
        penalty = -log(max(C * self._weight_unit, tiny)) - log(self._total_weight)
        largest = log(max(np.max(self.columns.largest, initial=0.0), tiny)) - log(MAX_PENALTY)
        return penalty + 2 * largest > log(NEGLIGIBLE_PENALTY_RATIO)

    def slopes(self, coef: FloatArray, intercept: FloatArray) -> FloatArray:
        """Return the gradient (K, d) of the mean loss with respect to the coefficients, at `coef` and `intercept`."""
        objective = self.objective(np.inf, 0.0)
        coordinates = objective.coordinates
        gradient = objective.at(coordinates.to_parameters(coef, intercept)).gradient
        return coordinates.convert_gradient(gradient)[:, :-1]

    def minimize(
        self,
        C: float,
        l1_ratio: float,
        starts: Iterable[tuple[FloatArray, FloatArray]] = (),
        on_iteration: IterationListener | None = None,
        tol: float | None = None,
        n_iter_before: int = 0,
        **solver_options: Any,
    ) -> Fit:
        """Return the Fit at C and l1_ratio; it starts from the best of several pairs (coef, intercept).

        `on_iteration` gets coef and intercept in the form of the Fit. `n_iter_before` is the number of earlier
        iterations.
        """
        estimator, matrix = self.estimator, self.data.matrix
        objective = self.objective(C, l1_ratio)
        if self.convert_between_C_and_penalty(C) > MAX_PENALTY and self._is_penalty_truncated(C):
            raise ValueError(
                f"C={C:g} is too small for X, whose values reach {self.columns.largest.max():.3g}, because the penalty "
                "overflows float64. Scale X, for example with sklearn.preprocessing.StandardScaler."
            )
        dtype = choose_dtype(matrix, estimator.solver)

        def report(n_iter, iteration, parameters):
            return on_iteration and on_iteration(
                n_iter, iteration, lambda: objective.extract_coefficients(parameters(), dtype)
            )

        try:
            solution = choose.minimize(
                objective,
                list(starmap(objective.coordinates.to_parameters, starts)),
                solver=estimator.solver,
                tol=estimator.tol if tol is None else tol,
                max_iter=estimator.max_iter - n_iter_before,
                on_iteration=None if on_iteration is None else report,
                **solver_options,
            )
            coef, intercept, rise = objective.finish(solution, dtype)
        except FloatRangeError as error:
            # Find the column whose scale differs most from one.
            largest = max(self.columns.largest, key=lambda size: abs(np.log(size)) if size > 0 else 0.0)
            raise ValueError(
                f"X {'overflows' if largest > 1 else 'underflows'}: the values of a column reach {largest:.3g}, so "
                f"that sums over its rows or the coefficients exceed the range of {np.dtype(dtype)}. Scale X, for "
                "example with sklearn.preprocessing.StandardScaler."
            ) from error
        if rise > max(solution.value, MAX_OBJECTIVE_ROUNDING_RISE):
            # After rounding, no digit of J is correct: rounding coefficients of 1e15 to float32 changes scores by 1e8.
            solution = replace(
                solution, stop_reason=StopReason(f"the coefficients are too large for {np.dtype(dtype)}")
            )
        return Fit(C, coef, intercept, solution.certificate + rise, solution, n_iter_before)


def count_concurrent_fits(matrix: Matrix, shape: tuple[int, int], is_smooth: bool) -> int:
    """Return how many fits to the rows of a matrix, each with its own memory budget, may run concurrently."""
    # For rows on Dask workers, memory is allocated by the workers.
    n_rows = matrix.shape[0] if matrix.lies_in_memory else 0
    # The function that reads blocks need not be thread-safe.
    if isinstance(matrix, BlockMatrix) or 0 < n_rows * shape[0] * shape[1] <= MAX_PRODUCTS_OF_SEQUENTIAL_FITS:
        return 1
    return Budget.from_data_size(matrix.budget_bytes).count_concurrent_fits(n_rows, shape, is_smooth)


class OmittedCategoryIndices(NamedTuple):
    """The indices of the categories of a table that have no coefficients in a model without a penalty.

    `reference_categories` are, in each categorical column, the first category with rows of positive weight.
    `unused_categories` are the categories without such rows.
    """

    reference_categories: IntArray
    unused_categories: IntArray

    def name(self, names: Array) -> OmittedCategories:
        """Return the names of the categories, from the names (d,) of all columns of the matrix."""
        return OmittedCategories(names[self.reference_categories].tolist(), names[self.unused_categories].tolist())


def find_omitted_categories(data: TrainingData, fit_intercept: bool) -> OmittedCategoryIndices:
    """Return the omitted categories; without an intercept the first categorical column has no reference category."""
    matrix = data.matrix
    if not (isinstance(matrix, TableMatrix) and len(matrix.category_features)):
        return OmittedCategoryIndices(*np.empty((2, 0), np.int64))
    is_column_used = np.ones(matrix.shape[1], bool)
    is_column_used[matrix.category_features] = matrix.sum_category_weights(data.weights)[0] > 0
    first_used_categories = [
        first + int(np.argmax(is_column_used[first : first + column.n_categories]))
        for first, column in zip(matrix.first_columns, matrix.columns, strict=True)
        if isinstance(column, CategoricalColumn)
    ]
    reference_categories = first_used_categories[0 if fit_intercept else 1 :]
    return OmittedCategoryIndices(np.array(reference_categories, np.int64), np.flatnonzero(~is_column_used))


def apply_reference_coding(
    data: TrainingData, omitted: OmittedCategoryIndices, coef: FloatArray, intercept: FloatArray
) -> Any:
    """Return the rows of a table and the coefficients of a fit in reference (dummy) coding.

    The coefficients become differences from the reference category of their column, and the omitted categories have no
    column. The third result is the intercept, and the last result contains the indices of the remaining columns.
    """
    matrix: Any = data.matrix
    coef, intercept, columns = coef.copy(), intercept.copy(), []
    remaining = np.delete(np.arange(matrix.shape[1]), np.concatenate(omitted))
    # The coefficient of a reference category moves to the intercept, or to the categories of the column without a
    # reference.
    target = intercept[:, None]
    for number, (first, column) in enumerate(zip(matrix.first_columns, matrix.columns, strict=True)):
        if not isinstance(column, CategoricalColumn):
            columns.append(column)
            continue
        codes, all_categories = column.recode_missing(), np.arange(first, first + column.n_categories)
        if (codes < 0).any():
            raise ValueError(
                f"The categorical column {number} of X contains missing values or categories that were not in the "
                "training data. Pass the data that the model was fitted to."
            )
        category_coef, reference = (
            coef[:, first : first + column.n_categories],
            np.intersect1d(all_categories, omitted.reference_categories),
        )
        if len(reference):
            reference_coef = coef[:, reference]
            category_coef -= reference_coef
            target += reference_coef
        else:
            target = category_coef
        is_remaining_category = np.isin(all_categories, remaining)
        new_codes = np.where(is_remaining_category, np.cumsum(is_remaining_category) - 1, -1).astype(codes.dtype)
        columns.append(CategoricalColumn(new_codes[codes], int(is_remaining_category.sum())))
    return replace(data, matrix=TableMatrix(columns)), coef[:, remaining], intercept, remaining


def join_matrices(first: Matrix, second: Matrix) -> Matrix:
    """Return a matrix with the rows of the first matrix followed by the rows of the second; both are of the same kind.

    The result has a dtype that can represent both. Tables are copied. Other matrices are copied if the copy takes at
    most a quarter of the memory budget of a fit to the first matrix, and are otherwise read in blocks.
    """
    if isinstance(first, TableMatrix) and isinstance(second, TableMatrix):
        return first.append(second)
    if second.is_sparse and not first.is_sparse:
        first = as_matrix(sparse.csr_array(first.X))
    dtype = choose_kernel_dtype(np.result_type(first.dtype, second.dtype))
    are_in_memory = first.lies_in_memory and second.lies_in_memory
    n_bytes = sum(operand.shape[0] * operand.row_bytes for operand in (first, second))
    if are_in_memory and Budget.from_data_size(first.budget_bytes).allows_array_bytes(n_bytes):
        if first.is_sparse:
            return as_matrix(sparse.vstack([first.X, second.X], format="csr", dtype=dtype))
        return as_matrix(np.concatenate([first.X, second.X], dtype=dtype))
    joined_matrix = BlockMatrix(_chain_blocks(_convert_to_blocks(first), _convert_to_blocks(second), dtype))
    if are_in_memory:
        # The memory budget of a fit is the same as for a single array of this size.
        joined_matrix.budget_bytes = first.budget_bytes + second.budget_bytes
    return joined_matrix


def _convert_to_blocks(matrix):
    if isinstance(matrix, BlockMatrix):
        return matrix.blocks
    return from_csr(matrix.X) if matrix.is_sparse else from_arrays(matrix.X)


def _chain_blocks(first, second, dtype):
    """Return the blocks of the first matrix followed by the blocks of the second, with a common dtype."""

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
