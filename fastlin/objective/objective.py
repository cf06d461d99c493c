"""The one statement of the objective: penalized logistic and softmax regression.

For rows x_i with label y_i and weight s_i >= 0 (S = sum s_i), coefficients W (K, d), intercept b (K) and a factor
f_j >= 0 for each feature::

    J(W, b) = (1 / S) sum_i s_i l(W x_i + b, y_i) + (l2 / 2) sum_j f_j ||W_.j||^2 + l1 sum_kj f_j |W_kj|

l is the logistic loss log(1 + exp(-z)) with K = 1, labels 0 and 1 and z = +-(score) for two classes, and the softmax
cross-entropy log(sum_k exp(score_k)) - score_y for K >= 3. Rows may have offsets, which are added to their scores, and
targets, probabilities of the labels, by which l is the expected loss. The intercept is not penalized, nor is a feature
of factor zero. W may have lower and upper bounds. The grouped penalty (`group_lasso`) has l1 sum_j f_j ||W_.j||_2 in
place of the last term, W_.j being the coefficients of feature j over the classes. The derivatives are derived in
docs/derivations.md, and the passes over X that compute them are in matrices/.

Solvers see J in the coordinates of coordinates.py, one array (K, d + 1) of parameters. Softmax does not change when a
constant is added to all scores. `Objective.center` makes the solution unique: intercepts and coefficients that are not
penalized by their size and have no bounds sum to zero over the classes. With l2 > 0 the minimum lies there.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from fastlin.budget import Budget
from fastlin.objective.coordinates import Coordinates
from fastlin.objective.null_model import NullModel, find_null_model
from fastlin.objective.penalty import Penalty
from fastlin.objective.point import Point, ProbabilityBuffer
from fastlin.objective.rows import Rows
from fastlin.typing import FloatArray, FloatType

if TYPE_CHECKING:
    from fastlin.matrices import Matrix


def fill_factors(penalty_factors: FloatArray | None, n_features: int) -> FloatArray:
    """Return the penalty factor of each feature, (d,) float64; None means ones."""
    return np.ones(n_features) if penalty_factors is None else penalty_factors.astype(np.float64)


class RangeError(OverflowError):
    """J, its gradient or its coefficients are outside the range of their type."""


class Objective:
    """J for given data, which `at` evaluates at one point; many attributes come from the rows.

    Passes of solvers are in `fast_precision` until the end, as are curvatures: in float32 where that makes passes
    faster and the columns allow it. Without a penalty nothing bends the directions that float32 would perturb.
    """

    def __init__(self, rows: Rows, penalty: Penalty, budget: Budget | None = None) -> None:
        # budget is the memory that may be held besides X.
        self.rows, self.penalty = rows, penalty
        self.budget = Budget.beside(rows.matrix.budget_bytes) if budget is None else budget
        self.matrix: Matrix = rows.matrix
        self.coordinates: Coordinates = rows.coordinates
        self.fit_intercept: bool = rows.fit_intercept
        self.class_weights: FloatArray = rows.class_weights
        self.n_rows: int = rows.n_rows
        self.n_rows_coef: int = rows.n_rows_coef
        # (K, d + 1), of parameters and gradients.
        self.shape = self.n_rows_coef, self.matrix.shape[1] + 1
        is_fast = rows.gains_from_float32 and penalty.is_bounded and penalty.is_smooth
        self.fast_precision: FloatType = np.float32 if is_fast else np.float64
        # The bytes of the arrays of probabilities that a row needs. Models of proximal Newton hold a second array.
        self.bytes_a_row = (1 if penalty.is_smooth else 2) * (4 if is_fast else 8) * self.n_rows_coef
        # Whether the probabilities of all rows are kept: the rows are here, and the budget allows it.
        self.keeps_probabilities: bool = rows.has_labels and self.budget.holds(self.bytes_a_row * self.n_rows)
        # Whether there are Hessians over all rows: by probabilities that are kept, or again on other machines.
        self.has_hessian: bool = self.keeps_probabilities or not rows.has_labels

    def with_penalty(self, l2: float, l1: float) -> Objective:
        """Return J with penalties of other strengths, over the same rows in the same coordinates."""
        last = self.penalty
        penalty = Penalty.of(self.rows, l2, l1, last.factors, last.group_lasso, last.box)
        return Objective(self.rows, penalty, self.budget)

    def sample(self, n_rows: int) -> Objective:
        """Return J over about n_rows rows, evenly spread, in the same coordinates; its lower bounds are estimates."""
        return Objective(self.rows.sample(n_rows), self.penalty, self.budget)

    @property
    def n_passes(self) -> float:
        """How many passes over X these rows, and parts of them, have made."""
        return self.rows.tally[0]

    @cached_property
    def affords_hessian(self) -> bool:
        """Whether neither the memory nor the time of the whole Hessian is too much."""
        n_parameters = self.shape[0] * self.shape[1]
        return self.budget.holds_hessian(n_parameters, self.n_rows * n_parameters**2 // 2)

    def make_buffer(self) -> ProbabilityBuffer | None:
        """Return a Room for the probabilities of one point, or None if the budget has none."""
        return (
            ProbabilityBuffer((self.n_rows_coef, self.n_rows), self.fast_precision)
            if self.keeps_probabilities
            else None
        )

    def at(
        self, parameters: FloatArray, precision: FloatType = np.float64, out: ProbabilityBuffer | None = None
    ) -> Point:
        """Return the Point at parameters (K, d + 1), which it keeps, rounded to the precision: one pass over the rows.

        Products are computed in ``precision``, float64 or float32, sums over rows in float64. The probabilities move
        into the room ``out``, and the point that had it before loses its own; None leaves them out.
        """
        rounded: FloatArray = parameters
        if precision != np.float64:
            rounded = parameters.astype(precision)
            # The gradient of a rounded point belongs to another place: it left the certificate at 1e-4 of J (MNIST).
            parameters = rounded.astype(np.float64)
        loss = self.rows.evaluate(rounded, None if out is None else out.give(), self._total)
        return self.make_point(parameters, precision, loss, self._total, out)

    @cached_property
    def _total(self):
        """Memory for sums over the rows: new memory for a million parameters takes a fifth of a pass over text."""
        return np.empty(self.shape)

    def make_point(
        self,
        parameters: FloatArray,
        precision: FloatType,
        loss: float,
        total: FloatArray,
        buffer: ProbabilityBuffer | None,
    ) -> Point:
        """Return the Point at parameters from the mean loss there, S times its gradient, and the room filled last."""
        if buffer is not None:
            buffer.owner = parameters
        gradient = np.empty(self.shape)
        sums = self.penalty.add_to(total, self.rows.total_weight, parameters, gradient)
        return Point(self, parameters, precision, buffer, loss, gradient, *sums)

    @cached_property
    def null_model(self) -> NullModel:
        """The best model whose coefficients are zero, or at the bound next to zero; its values include the penalty."""
        parameters = self.penalty.clip(np.zeros(self.shape))
        found = find_null_model(self.rows, parameters)
        if self.penalty.box is None:
            # Zeros have no penalty.
            return found
        size = self.penalty.size(parameters)
        size += 0.5 * float(np.sum(self.penalty.curvatures * np.square(parameters)))
        return found._replace(value=found.value + size, lower_bound=found.lower_bound + size)

    def start(self) -> FloatArray:
        """Return the parameters of the null model."""
        parameters = self.penalty.clip(np.zeros(self.shape))
        parameters[:, -1] = self.null_model.intercepts
        return parameters

    def value_at_start(self) -> float:
        """Return J at `start`."""
        return self.null_model.value

    def center(self, parameters: FloatArray) -> FloatArray:
        """Return the equivalent parameters whose sums over the classes are zero, for K >= 3.

        Coefficients that are penalized by their size or have bounds stay.
        """
        if self.n_rows_coef == 1:
            return parameters
        means, penalty = parameters.mean(axis=0), self.penalty
        if not (penalty.group_lasso or penalty.is_smooth):
            stays = penalty.thresholds[:-1] > 0
            stays = stays if penalty.box is None else stays | penalty.box.is_bounded
            means[-1] += np.where(stays, means[:-1] * self.coordinates.shift, 0).sum()
            means[:-1][stays] = 0
        return parameters - means

    def read_off(self, parameters: FloatArray, dtype: DTypeLike) -> tuple[FloatArray, FloatArray]:
        """Return coef (K, d) and intercept (K,) of parameters (K, d + 1), centered and rounded to dtype."""
        centered = self.center(parameters)
        coef, intercept = self.coordinates.to_coefficients(centered)
        coef, box = coef.astype(dtype), self.penalty.box
        return coef if box is None else box.round(coef, centered), intercept.astype(dtype)

    def finish(self, solution: Any, dtype: DTypeLike) -> tuple[FloatArray, FloatArray, float]:
        """Return coef (K, d) and intercept (K,) of a Solution, centered and rounded to dtype, and J's largest rise.

        The second derivative of the loss of a row by its scores is at most 1/2, so a change of the parameters by e
        raises J by no more than <g, e> + (1/4) ||e||^2 E ||x~||^2 + (1/2) sum curvature_j e_kj^2. RangeError: the
        coefficients are outside the range of dtype.
        """
        coordinates, centered = self.coordinates, self.center(solution.parameters)
        mean_square = float(np.add.reduce(coordinates.mean_squares))
        given = centered, solution.gradient, self.penalty.curvatures, mean_square, dtype
        coef, intercept, change, is_finite, rise = coordinates.round_off(*given)
        if not is_finite:
            raise RangeError("the coefficients are outside the range of their type")
        if self.penalty.box is not None:
            within = self.penalty.box.round(coef, centered)
            if (within != coef).any():
                rise = self._move(solution.gradient, change, (within.astype(np.float64) - coef) / coordinates.scale)
                coef = within
        return coef, intercept, rise + self.penalty.size(change)

    def _move(self, gradient, change, further):
        """Add what bounds brought, (K, d), to the change (K, d + 1) of parameters with a gradient; return the rise."""
        change[:, :-1] += further
        change[:, -1] += np.abs(further * self.coordinates.shift).sum(axis=1)
        squares = np.square(change)
        rise = np.sum(np.abs(gradient * change)) + 0.5 * np.sum(self.penalty.curvatures * squares)
        return float(rise + 0.25 * np.sum(self.coordinates.mean_squares) * np.sum(squares))
