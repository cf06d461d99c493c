"""The objective: penalized logistic and softmax regression.

For rows x_i with labels y_i and weights s_i >= 0 (S = sum s_i), coefficients W (K, d), intercepts b (K) and a penalty
factor f_j >= 0 per feature::

    J(W, b) = (1 / S) sum_i s_i l(W x_i + b, y_i) + (l2 / 2) sum_j f_j ||W_.j||^2 + l1 sum_kj f_j |W_kj|

For two classes, K is 1, the labels are 0 and 1, and l is the logistic loss log(1 + exp(-z)) with z = +-(score). For K
>= 3 classes, l is the softmax cross-entropy log(sum_k exp(score_k)) - score_y. Rows may have offsets, which are added
to the scores. Rows may also have targets, which are probabilities of the labels; l is then the expected loss.
Intercepts and features with a factor of zero are not penalized. W may have lower and upper bounds. The grouped penalty
(`group_lasso`) replaces the last term by l1 sum_j f_j ||W_.j||_2, with W_.j the coefficients of feature j over the
classes. The derivatives are in docs/derivations.md. The passes over X that compute them are in matrices/.

Solvers use the coordinates of coordinates.py and store the parameters in one array (K, d + 1). Softmax does not change
if a constant is added to all scores. `Objective.center` makes the solution unique by setting sums over the classes to
zero: the sum of the intercepts, and the sums of coefficients without an L1 penalty or bounds. With l2 > 0, these sums
are zero at the minimum.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from fastlin.objective.budget import Budget
from fastlin.objective.coordinates import Coordinates
from fastlin.objective.null_model import NullModel, find_null_model
from fastlin.objective.penalty import Penalty
from fastlin.objective.point import Point, ProbabilityBuffer
from fastlin.objective.rows import Rows
from fastlin.typing import FloatArray, FloatType

if TYPE_CHECKING:
    from fastlin.matrices import Matrix


def make_penalty_factors(penalty_factors: FloatArray | None, n_features: int) -> FloatArray:
    """Return the penalty factors (d,) of the features in float64. None means all ones."""
    return np.ones(n_features) if penalty_factors is None else penalty_factors.astype(np.float64)


class FloatRangeError(OverflowError):
    """J, the gradient or the coefficients are outside the range of their dtype."""


class Objective:
    """The objective J for data and a penalty. `at` evaluates J at a point.

    Until the final iterations, passes and curvatures are computed in `fast_precision`. This is float32 if passes are
    faster in float32 and the columns allow it. Without a penalty it is float64, because flat directions would amplify
    rounding errors.
    """

    def __init__(self, rows: Rows, penalty: Penalty, budget: Budget | None = None) -> None:
        # The budget is the memory that a fit may use in addition to X.
        self.rows, self.penalty = rows, penalty
        self.budget = Budget.from_data_size(rows.matrix.budget_bytes) if budget is None else budget
        self.matrix: Matrix = rows.matrix
        self.coordinates: Coordinates = rows.coordinates
        self.fit_intercept: bool = rows.fit_intercept
        self.class_weights: FloatArray = rows.class_weights
        self.n_rows: int = rows.n_rows
        self.n_rows_coef: int = rows.n_rows_coef
        # The shape (K, d + 1) of parameters and gradients.
        self.shape = self.n_rows_coef, self.matrix.shape[1] + 1
        self.n_parameters: int = self.shape[0] * self.shape[1]
        uses_float32 = rows.is_faster_in_float32 and penalty.is_bounded and penalty.is_smooth
        self.fast_precision: FloatType = np.float32 if uses_float32 else np.float64
        # The bytes per row of arrays of probabilities. Proximal Newton stores a second array.
        self.bytes_per_row = (1 if penalty.is_smooth else 2) * (4 if uses_float32 else 8) * self.n_rows_coef
        # Whether the probabilities of all rows are stored. The rows must be in this process, and the budget must
        # suffice.
        self.stores_probabilities: bool = rows.has_labels and self.budget.allows_array_bytes(
            self.bytes_per_row * self.n_rows
        )
        # Whether Hessians over all rows are available, from stored probabilities or from workers.
        self.has_hessian: bool = self.stores_probabilities or not rows.has_labels

    def with_penalty(self, l2: float, l1: float) -> Objective:
        """Return the objective with other penalty strengths, for the same rows and coordinates."""
        old_penalty = self.penalty
        penalty = Penalty.of(self.rows, l2, l1, old_penalty.factors, old_penalty.group_lasso, old_penalty.box)
        return Objective(self.rows, penalty, self.budget)

    def with_intercept(self) -> Objective:
        """Return the objective with an intercept, for the same rows and without bounds on the coefficients."""
        penalty = self.penalty
        rows = self.rows.with_intercept(penalty.l2, penalty.factors)
        penalty = Penalty.of(rows, penalty.l2, penalty.l1, penalty.factors, penalty.group_lasso)
        return Objective(rows, penalty, self.budget)

    def sample(self, n_rows: int) -> Objective:
        """Return the objective of about `n_rows` evenly spaced rows. For all rows, its lower bounds are estimates."""
        return Objective(self.rows.sample(n_rows), self.penalty, self.budget)

    @property
    def n_passes(self) -> float:
        """The number of passes over X that were made for these rows and for subsets of them."""
        return self.rows.pass_counter[0]

    @cached_property
    def is_hessian_affordable(self) -> bool:
        """Whether the budget allows the full Hessian, in memory and in time."""
        return self.budget.allows_hessian(self.n_parameters, self.n_rows * self.n_parameters**2 // 2)

    def make_probability_buffer(self) -> ProbabilityBuffer | None:
        """Return a buffer for the probabilities of one point, or None if the budget is too small."""
        return (
            ProbabilityBuffer((self.n_rows_coef, self.n_rows), self.fast_precision)
            if self.stores_probabilities
            else None
        )

    def at(
        self, parameters: FloatArray, precision: FloatType = np.float64, out: ProbabilityBuffer | None = None
    ) -> Point:
        """Return the Point at the parameters (K, d + 1). The evaluation takes one pass.

        The parameters are rounded to `precision` (float64 or float32), but not copied. Products are computed in
        `precision`, and sums over rows in float64. The probabilities are written to the buffer `out`, which invalidates
        those of the previous point. If `out` is None, they are not stored.
        """
        rounded: FloatArray = parameters
        if precision != np.float64:
            rounded = parameters.astype(precision)
            # The gradient is computed at the rounded parameters, so the point stores them
            # (docs/benchmarks/design-choices.md: rounded parameters).
            parameters = rounded.astype(np.float64)
        loss = self.rows.evaluate(rounded, None if out is None else out.acquire_array(), self._sum_buffer)
        return self.make_point(parameters, precision, loss, self._sum_buffer, out)

    @cached_property
    def _sum_buffer(self):
        """A buffer for sums over the rows. Allocating it for a million parameters takes a fifth of a pass over text."""
        return np.empty(self.shape)

    def make_point(
        self,
        parameters: FloatArray,
        precision: FloatType,
        loss: float,
        total: FloatArray,
        buffer: ProbabilityBuffer | None,
    ) -> Point:
        """Return the Point at the parameters, given the mean loss and `total`, which is S times the gradient."""
        if buffer is not None:
            buffer.owner = parameters
        gradient = np.empty(self.shape)
        sums = self.penalty.fill_penalized_gradient(total, self.rows.total_weight, parameters, gradient)
        return Point(self, parameters, precision, buffer, loss, gradient, *sums)

    @cached_property
    def null_model(self) -> NullModel:
        """The null model, with values that include the penalty. Coefficients are as near to zero as bounds permit."""
        parameters = self.penalty.clip(np.zeros(self.shape))
        null_model = find_null_model(self.rows, parameters)
        if self.penalty.box is None:
            # The penalty of zero coefficients is zero.
            return null_model
        penalty = self.penalty.nonsmooth_value(parameters)
        penalty += 0.5 * float(np.sum(self.penalty.curvatures * np.square(parameters)))
        return null_model._replace(value=null_model.value + penalty, lower_bound=null_model.lower_bound + penalty)

    def start(self) -> FloatArray:
        """Return the parameters of the null model."""
        parameters = self.penalty.clip(np.zeros(self.shape))
        parameters[:, -1] = self.null_model.intercepts
        return parameters

    def compute_start_value(self) -> float:
        """Return J at `start`."""
        return self.null_model.value

    def center(self, parameters: FloatArray) -> FloatArray:
        """Return equivalent parameters whose sums over the classes are zero. For K = 1, nothing changes.

        Coefficients with bounds, or with an L1 penalty that is not grouped, do not change.
        """
        if self.n_rows_coef == 1:
            return parameters
        means, penalty = parameters.mean(axis=0), self.penalty
        if not (penalty.group_lasso or penalty.is_smooth):
            is_fixed_column = penalty.thresholds[:-1] > 0
            is_fixed_column = is_fixed_column if penalty.box is None else is_fixed_column | penalty.box.is_bounded
            means[-1] += np.where(is_fixed_column, means[:-1] * self.coordinates.shift, 0).sum()
            means[:-1][is_fixed_column] = 0
        return parameters - means

    def extract_coefficients(self, parameters: FloatArray, dtype: DTypeLike) -> tuple[FloatArray, FloatArray]:
        """Return coef (K, d) and intercept (K,), centered and rounded to `dtype`, for parameters (K, d + 1)."""
        centered_parameters = self.center(parameters)
        coef, intercept = self.coordinates.convert_to_coefficients(centered_parameters)
        coef, box = coef.astype(dtype), self.penalty.box
        return coef if box is None else box.round_coef(coef, centered_parameters), intercept.astype(dtype)

    def finish(self, solution: Any, dtype: DTypeLike) -> tuple[FloatArray, FloatArray, float]:
        """Return the centered coef (K, d) and intercept (K,) of a Solution, and a bound on the increase of J.

        Both arrays are rounded to `dtype`. The second derivative of a row's loss with respect to the scores is at most
        1/2. So a change of the parameters by e increases J by at most
        <g, e> + (1/4) ||e||^2 E ||x~||^2 + (1/2) sum curvature_j e_kj^2. The method raises a FloatRangeError if the
        coefficients are outside the range of `dtype`.
        """
        coordinates, centered_parameters = self.coordinates, self.center(solution.parameters)
        mean_square = float(np.add.reduce(coordinates.mean_squares))
        arguments = centered_parameters, solution.gradient, self.penalty.curvatures, mean_square, dtype
        coef, intercept, change, is_finite, increase = coordinates.round_coefficients(*arguments)
        if not is_finite:
            raise FloatRangeError(f"the coefficients are outside the range of {np.dtype(dtype)}")
        if self.penalty.box is not None:
            coef_within_bounds = self.penalty.box.round_coef(coef, centered_parameters)
            if (coef_within_bounds != coef).any():
                increase = self._add_change_due_to_bounds(
                    solution.gradient, change, (coef_within_bounds.astype(np.float64) - coef) / coordinates.scale
                )
                coef = coef_within_bounds
        return coef, intercept, increase + self.penalty.nonsmooth_value(change)

    def _add_change_due_to_bounds(self, gradient, change, change_due_to_bounds):
        """Add `change_due_to_bounds` (K, d) to `change` (K, d + 1). Return the increase of J."""
        change[:, :-1] += change_due_to_bounds
        change[:, -1] += np.abs(change_due_to_bounds * self.coordinates.shift).sum(axis=1)
        squares = np.square(change)
        increase = np.sum(np.abs(gradient * change)) + 0.5 * np.sum(self.penalty.curvatures * squares)
        return float(increase + 0.25 * np.sum(self.coordinates.mean_squares) * np.sum(squares))
