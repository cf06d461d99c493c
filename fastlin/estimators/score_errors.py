"""Bounds on the error of a score: how much a fit to two classes can differ from the exact minimum of J.

Let W be the fitted coefficients including the intercept, W* the minimizer, v = W - W*, H the Hessian of J at W without
the L1 penalty, and J(W) - J* <= e, where e is the certificate. Let B^2 be the largest x' H^-1 x over the training rows.

Theorem. If B^2 e <= 1 - 2 exp(-1), then v' H v <= r^2 = e / (1 - 2 exp(-1)).

Proof. Let D be the largest |x' v|, so D <= B |v| in the norm of H. At W* + u v the curvature along v is at least
exp(-D (1 - u)) times that at W (docs/derivations.md, section 9). J does not decrease in any direction at W*, so the
integral of (1 - u) exp(-D (1 - u)) over u from 0 to 1 gives

    e >= (1 - (1 + D) exp(-D)) |v|^2 / D^2

The right side decreases with D. At D = B |v| it gives 1 - (1 + B |v|) exp(-B |v|) <= B^2 e <= 1 - 2 exp(-1), so
B |v| <= 1, and with D <= 1 the right side is at least (1 - 2 exp(-1)) |v|^2.

Corollary 1. The error of the decision value of any row x is at most d = r sqrt(x' H^-1 x). The error of the mean log
loss of rows with residuals p - y is at most r sqrt(g' H^-1 g) + mean(d^2) / 8 with g = mean((p - y) x), because the
second derivative of the logistic loss is at most 1 / 4. Any matrix M <= H may replace H, for example the diagonal
matrix of l2 f_j for the coefficients and mean(p (1 - p)) for the intercept, if x is centered at its mean with the
weights p (1 - p), which lies in the range of each column.

Corollary 2. If the penalty P is L2 or zero, the error of the mean training loss J - P is at most 2 sqrt(P e) + 2 e,
because l2 |v|^2 <= 2 e gives |P(W) - P(W*)| <= 2 sqrt(P e) + e.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import exp, sqrt
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from fastlin.inference.hessian import CholeskyFactor
from fastlin.matrices import Matrix
from fastlin.objective.budget import SMALL_HESSIAN_SIZE
from fastlin.objective.coordinates import choose_coordinates
from fastlin.objective.problem_batch import BatchRows
from fastlin.objective.rounding import gamma
from fastlin.typing import FloatArray, IntArray

# If decision values differ by at most one, the Hessian decreases by at most a factor of e between the fit and the
# minimum, and J - J* is at least this number times the squared distance in the norm of the Hessian.
MIN_DECREASE_RATIO = 1 - 2 * exp(-1)
# Number of relative rounding errors in a logistic loss and in the sums and products that give the score.
N_LOSS_ROUNDING_ERRORS = 32


@dataclass(frozen=True, eq=False)
class BinaryFit:
    """A fit to two classes: its coefficients, and the penalty and weights of its objective J."""

    coef: np.ndarray  # (d,)
    suboptimality: float  # an upper bound on J - J*
    l2: float
    weights: np.ndarray  # (n,), the row weights; zero for rows outside of the training data


class FittedRows:
    """The rows (n, d) that several fits to two classes share, with bounds on the errors of their decision values."""

    def __init__(self, matrix: Matrix, factors: FloatArray, fit_intercept: bool) -> None:
        self.matrix, self.factors, self.fit_intercept = matrix, factors, fit_intercept
        self._columns = matrix.measure()
        # The distance of an entry from any weighted mean of its column is at most the range of the column.
        self._column_ranges = self._columns.largest_magnitudes
        if fit_intercept:
            self._column_ranges = self._columns.largest - self._columns.smallest

    def bound_rounding_errors(self, coef: FloatArray, intercept: FloatArray) -> FloatArray:
        """Return a bound on the float64 rounding error of the decision values of each fit.

        `coef` has shape (B, d), and `intercept` has shape (B,).
        """
        size = np.einsum("bj,j->b", np.abs(coef), self._columns.largest_magnitudes) + np.abs(intercept)
        return gamma(self.matrix.longest_row + 4) * size

    def bound_decision_errors(self, fit: BinaryFit, decisions: FloatArray) -> float:
        """Return a bound on the errors of all decision values, computed from the L2 penalty alone; it may be inf."""
        squared_norm = self._bound_squared_norms(fit, decisions)
        return sqrt(squared_norm) * bound_distance(fit.suboptimality, squared_norm)

    def _bound_squared_norms(self, fit, decisions):
        """Return a bound on x' H^-1 x for all rows, from the L2 penalty and the intercept curvature, or inf."""
        curvature = np.inf
        if self.fit_intercept:
            curvature = np.einsum("i,i->", fit.weights, compute_curvatures(decisions)) / fit.weights.sum()
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return float(
                np.where(self._column_ranges > 0, self._column_ranges**2 / (fit.l2 * self.factors), 0).sum()
                + 1 / curvature
            )

    def bound_training_loss_error(self, fit: BinaryFit) -> float:
        """Return a bound on the error of the mean training loss of a fit without an L1 penalty."""
        return bound_loss_error(fit.suboptimality, 0.5 * fit.l2 * float(np.sum(self.factors * np.square(fit.coef))))

    @cached_property
    def _batch_rows(self):
        coordinates = choose_coordinates(self._columns, 0.0, self.factors, self.fit_intercept)
        return BatchRows(self.matrix, coordinates, self.factors, self.fit_intercept)

    def _transform_rows(self, numbers):
        """Return rows in the coordinates of the Hessian. The last column is one, or zero without an intercept."""
        scale, shift = self._batch_rows.coordinates.scaling
        rows = self.matrix.densify(numbers) * scale + shift
        return np.column_stack([rows, np.full(len(rows), float(self.fit_intercept))])

    def compute_hessian_norm(self, fit: BinaryFit, decisions: FloatArray, numbers: IntArray) -> HessianNorm | None:
        """Return the Metric of the Hessian of J for the rows with these indices, or None.

        None means that the Hessian is too large or not positive definite, or that J - J* is too large for a bound.
        """
        if self.matrix.shape[1] > SMALL_HESSIAN_SIZE:
            return None
        hessian = self._batch_rows.gram(fit.weights / fit.weights.sum() * compute_curvatures(decisions), np.float64)
        diagonal = np.einsum("jj->j", hessian)
        diagonal += fit.l2 * self._batch_rows.unit_curvatures
        # Columns without curvature are zero in these coordinates; any positive diagonal entry regularizes the Hessian.
        diagonal[diagonal == 0] = 1
        factor = CholeskyFactor(hessian)
        if factor.dependent_column is not None:
            return None
        max_squared_norm = self._bound_squared_norms(fit, decisions)
        if not bound_distance(fit.suboptimality, max_squared_norm) < np.inf:
            max_squared_norm = compute_squared_norms(factor, self._transform_rows(fit.weights.nonzero()[0])).max()
        distance = bound_distance(fit.suboptimality, max_squared_norm)
        return HessianNorm(self._transform_rows(numbers), factor, distance) if distance < np.inf else None


class HessianNorm(NamedTuple):
    """The norm of a Hessian H, and the rows x whose errors it bounds."""

    rows: np.ndarray  # (m, d + 1)
    factor: CholeskyFactor
    distance: float  # a bound on the distance from the minimum

    def bound_decision_errors(self) -> FloatArray:
        """Return bounds (m,) on the errors of the decision values."""
        return self.distance * np.sqrt(compute_squared_norms(self.factor, self.rows))

    def bound_mean_error(self, factors: FloatArray) -> float:
        """Return a bound on the mean of the products of errors of decision values and factors."""
        mean = np.einsum("i,ij->j", factors, self.rows)[None] / len(self.rows)
        return self.distance * sqrt(compute_squared_norms(self.factor, mean)[0])


def compute_squared_norms(factor: CholeskyFactor, rows: FloatArray) -> FloatArray:
    """Return x' H^-1 x for each row x of `rows`, which has shape (m, d + 1); `factor` is the factor of H."""
    return np.maximum(np.einsum("ij,ij->i", rows, factor.solve(rows)), 0.0)


def compute_curvatures(decisions: FloatArray) -> FloatArray:
    """Return p (1 - p) for decision values."""
    probabilities = expit(decisions)
    return probabilities * (1 - probabilities)


def bound_suboptimality(certificate: float, objective: float, tol: float, has_converged: bool) -> float:
    """Return a bound on J - J*, or the estimate of the stopping criterion if there is no certificate.

    For a fit that has not converged, the result is zero. The score of the fit is then used without a bound, because
    the bound would make all scores equal.
    """
    if not has_converged:
        return 0.0
    # tol is relative to J, which is at least J* >= 0.
    return certificate if certificate < np.inf else tol * objective


def bound_distance(suboptimality: float, max_squared_norm: float) -> float:
    """Return a bound on the distance from the minimum in the norm of the Hessian, or infinity.

    max_squared_norm is the largest x' H^-1 x over the training rows. Any matrix M <= H may replace H.
    """
    return (
        sqrt(suboptimality / MIN_DECREASE_RATIO) if suboptimality * max_squared_norm <= MIN_DECREASE_RATIO else np.inf
    )


def bound_loss_error(suboptimality: float, penalty: float) -> float:
    """Return a bound on the error of the mean training loss; the only penalty of J must be (l2 / 2) ||W||^2."""
    # J - J* >= (l2 / 2) ||W - W*||^2, and the loss is J without the penalty.
    return 2 * sqrt(penalty * suboptimality) + 2 * suboptimality


class HeldOutRows(NamedTuple):
    """Test rows of two classes: their decision values and labels."""

    decisions: np.ndarray  # (m,)
    labels: np.ndarray  # (m,), 0 or 1
    rounding: float  # a bound on the rounding error of the decision values

    def score_accuracy(self, errors: FloatArray, are_near_zeros_exact: bool) -> tuple[float, float]:
        """Return the accuracy and a bound on its error; `errors` bounds the errors of the decision values.

        Decision values that are at most their bounds in absolute value are treated as zero. They are assumed to be
        exactly zero if `are_near_zeros_exact` is true, and then do not contribute to the bound.
        """
        is_near = np.abs(self.decisions) <= errors + self.rounding
        accuracy = float(np.mean(((self.decisions > 0) & ~is_near) == self.labels))
        return accuracy, 0.0 if are_near_zeros_exact else float(np.mean(is_near))

    def score_log_loss(self, errors: FloatArray, first_order_error: float | None) -> tuple[float, float]:
        """Return the negative log loss and a bound on its error; `errors` bounds the errors of the decision values.

        `first_order_error` is a bound on the mean, over the rows, of the loss derivative times the error. If it is
        None, the error of each row is bounded separately.
        """
        margins = np.where(self.labels, self.decisions, -self.decisions)
        missed, loss = expit(-margins), float(np.mean(np.logaddexp(0, -margins)))
        if not np.isfinite(errors).all():
            return -loss, np.inf
        error = float(np.mean(missed * errors)) if first_order_error is None else first_order_error
        # The second derivative of a logistic loss is at most 1 / 4.
        error += float(np.mean(missed)) * self.rounding + float(np.mean(np.square(errors + self.rounding))) / 8
        return -loss, error + gamma(len(margins) + N_LOSS_ROUNDING_ERRORS) * loss

    @property
    def residuals(self) -> FloatArray:
        """The derivative of the loss of each row with respect to its decision value."""
        return expit(self.decisions) - self.labels
