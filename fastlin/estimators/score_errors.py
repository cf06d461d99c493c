"""How far the score of a fit to two classes can be from the score at the exact minimum of J, from its certificate.

Let W be the end of a fit with the intercept in it, W* the minimum, v = W - W*, H the Hessian of J at W without its L1
penalty, and J(W) - J* <= e. Let B^2 be the largest x' H^-1 x of the rows of the fit. If B^2 e <= 1 - 2 exp(-1), then

    v' H v <= r^2 = e / (1 - 2 exp(-1))

Proof. Let D be the largest |x' v|, so D <= B |v| in the norm of H. At W* + u v the curvature along v is at least
exp(-D (1 - u)) times that at W (docs/derivations.md, section 9). J falls in no direction at W*, so with the integral of
(1 - u) exp(-D (1 - u)) over u from 0 to 1

    e >= (1 - (1 + D) exp(-D)) |v|^2 / D^2

The right side falls with D. At D = B |v| it gives 1 - (1 + B |v|) exp(-B |v|) <= B^2 e <= 1 - 2 exp(-1), so B |v| <= 1,
and with D <= 1 the right side is at least (1 - 2 exp(-1)) |v|^2.

Hence the decision value of any row x is off by at most d = r sqrt(x' H^-1 x), and the mean log loss of some rows with
residuals p - y by at most r sqrt(g' H^-1 g) + mean(d^2) / 8 with g = mean((p - y) x), because the second derivative of
a logistic loss is at most 1 / 4. A matrix that is nowhere above H may replace it: l2 f_j for the coefficients and
mean(p (1 - p)) for the intercept, where x is centered at its mean with the weights p (1 - p), which lies in the range
of each column.

If the penalty P is L2 or none, the mean loss J - P of the rows of the fit is off by at most 2 sqrt(P e) + 2 e, because
l2 |v|^2 <= 2 e gives |P(W) - P(W*)| <= 2 sqrt(P e) + e.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import exp, sqrt
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from fastlin.budget import SMALL_HESSIAN
from fastlin.inference.hessian import CholeskyFactor
from fastlin.matrices import Matrix
from fastlin.objective.coordinates import choose_coordinates
from fastlin.objective.problem_batch import SharedRows
from fastlin.objective.rounding import gamma
from fastlin.typing import FloatArray, IntArray

# If decision values differ by at most one, the Hessian falls by at most a factor of e on the way to the minimum, and a
# squared distance in its norm is at most the certificate over this number.
MIN_FALL = 1 - 2 * exp(-1)
# Relative rounding errors of a logistic loss and of the sums and products that make a score of it.
LOSS_ROUNDINGS = 32


@dataclass(frozen=True, eq=False)
class BinaryFit:
    """A fit to two classes: its coef (d,), and the J of which it is near the minimum."""

    coef: np.ndarray
    suboptimality: float  # an upper bound on J - J*
    l2: float
    weights: np.ndarray  # (n,), of the rows, zero for those that had no part in the fit


class FittedRows:
    """The rows (n, d) that fits to two classes share, and how far their decision values can be off."""

    def __init__(self, matrix: Matrix, factors: FloatArray, fit_intercept: bool) -> None:
        self.matrix, self.factors, self.fit_intercept = matrix, factors, fit_intercept
        self._columns = matrix.measure()
        # Entries of a column differ from any mean of it by no more than its range.
        self._reach = self._columns.magnitude
        if fit_intercept:
            self._reach = self._columns.largest - self._columns.smallest

    def bound_rounding(self, coef: FloatArray, intercept: FloatArray) -> FloatArray:
        """Return the rounding error (B,) of decision values in float64 of coef (B, d) and intercept (B,)."""
        size = np.einsum("bj,j->b", np.abs(coef), self._columns.magnitude) + np.abs(intercept)
        return gamma(self.matrix.longest_row + 4) * size

    def bound_decisions(self, fit: BinaryFit, decisions: FloatArray) -> float:
        """Return a bound on the error of each decision value by the L2 penalty alone, or infinity."""
        square = self._bound_rows(fit, decisions)
        return sqrt(square) * find_distance(fit.suboptimality, square)

    def _bound_rows(self, fit, decisions):
        """Return a bound on x' H^-1 x of all rows by the L2 penalty and the curvature of the intercept, or infinity."""
        curvature = np.inf
        if self.fit_intercept:
            curvature = np.einsum("i,i->", fit.weights, find_curvatures(decisions)) / fit.weights.sum()
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return float(np.where(self._reach > 0, self._reach**2 / (fit.l2 * self.factors), 0).sum() + 1 / curvature)

    def bound_own_loss(self, fit: BinaryFit) -> float:
        """Return a bound on the error of the mean loss of the rows of a fit without an L1 penalty."""
        return bound_loss(fit.suboptimality, 0.5 * fit.l2 * float(np.sum(self.factors * np.square(fit.coef))))

    @cached_property
    def _shared(self):
        coordinates = choose_coordinates(self._columns, 0.0, self.factors, self.fit_intercept)
        return SharedRows(self.matrix, coordinates, self.factors, self.fit_intercept)

    def _read(self, numbers):
        """Return some rows in the coordinates of the Hessian, with a one for the intercept, (m, d + 1)."""
        scale, shift = self._shared.coordinates.scaling
        rows = self.matrix.densify(numbers) * scale + shift
        return np.column_stack([rows, np.full(len(rows), float(self.fit_intercept))])

    def find_metric(self, fit: BinaryFit, decisions: FloatArray, numbers: IntArray) -> Metric | None:
        """Return the Metric of the Hessian of J for rows of some numbers, or None.

        None means that the Hessian is too large, or not positive definite, or that J - J* is too large for a bound.
        """
        if self.matrix.shape[1] > SMALL_HESSIAN:
            return None
        hessian = self._shared.gram(fit.weights / fit.weights.sum() * find_curvatures(decisions), np.float64)
        diagonal = np.einsum("jj->j", hessian)
        diagonal += fit.l2 * self._shared.units
        # Columns without curvature are zero in the coordinates of the Hessian.
        diagonal[diagonal == 0] = 1
        factor = CholeskyFactor(hessian)
        if factor.first_dependent is not None:
            return None
        longest = self._bound_rows(fit, decisions)
        if not find_distance(fit.suboptimality, longest) < np.inf:
            longest = find_squares(factor, self._read(fit.weights.nonzero()[0])).max()
        distance = find_distance(fit.suboptimality, longest)
        return Metric(self._read(numbers), factor, distance) if distance < np.inf else None


class Metric(NamedTuple):
    """The norm of a Hessian H, for rows x (m, d + 1) with their intercept."""

    rows: np.ndarray
    factor: CholeskyFactor
    distance: float  # a bound on the distance from the minimum

    def bound_decisions(self) -> FloatArray:
        """Return bounds (m,) on the errors of the decision values."""
        return self.distance * np.sqrt(find_squares(self.factor, self.rows))

    def bound_mean(self, factors: FloatArray) -> float:
        """Return a bound on the mean of the errors of the decision values times factors (m,)."""
        mean = np.einsum("i,ij->j", factors, self.rows)[None] / len(self.rows)
        return self.distance * sqrt(find_squares(self.factor, mean)[0])


def find_squares(factor: CholeskyFactor, rows: FloatArray) -> FloatArray:
    """Return x' H^-1 x of rows x (m, d + 1), (m,), for the factor of H."""
    return np.maximum(np.einsum("ij,ij->i", rows, factor.solve(rows)), 0.0)


def find_curvatures(decisions: FloatArray) -> FloatArray:
    """Return p (1 - p) of decision values."""
    probabilities = expit(decisions)
    return probabilities * (1 - probabilities)


def bound_suboptimality(certificate: float, objective: float, tol: float, has_converged: bool) -> float:
    """Return a bound on J - J*, or without a certificate what the stopping criterion estimates.

    It is zero for a fit that has not converged, whose score counts as it is: a bound would make all scores equal.
    """
    if not has_converged:
        return 0.0
    # J* is not below zero.
    return certificate if certificate < np.inf else tol * objective


def find_distance(suboptimality: float, longest: float) -> float:
    """Return a bound on the distance from the minimum in the norm of the Hessian, or infinity.

    longest is the largest x' H^-1 x of the rows of the fit. A matrix that is nowhere above H may stand for it.
    """
    return sqrt(suboptimality / MIN_FALL) if suboptimality * longest <= MIN_FALL else np.inf


def bound_loss(suboptimality: float, penalty: float) -> float:
    """Return a bound on the error of the mean loss of the rows of a fit.

    penalty is (l2 / 2) ||W||^2 at the fit, and the only penalty of J.
    """
    # J - J* bounds (l2 / 2) ||W - W*||^2, and the loss is J without the penalty.
    return 2 * sqrt(penalty * suboptimality) + 2 * suboptimality


class HeldOut(NamedTuple):
    """Rows of two classes that a fit is scored on: their decision values (m,), and labels (m,), 0 or 1."""

    decisions: np.ndarray
    labels: np.ndarray
    rounding: float  # of the decision values

    def score_accuracy(self, errors: FloatArray, is_zero: bool) -> tuple[float, float]:
        """Return the accuracy and a bound on its error, from bounds (m,) on the errors of the decision values.

        Decision values within the bounds count as zero, and are exactly zero if is_zero says so.
        """
        is_near = np.abs(self.decisions) <= errors + self.rounding
        accuracy = float(np.mean(((self.decisions > 0) & ~is_near) == self.labels))
        return accuracy, 0.0 if is_zero else float(np.mean(is_near))

    def score_log_loss(self, errors: FloatArray, first_order: float | None) -> tuple[float, float]:
        """Return the negative log loss and a bound on its error, from bounds (m,) on those of the decision values.

        first_order bounds the mean of the gradients of the rows' losses times the errors; None takes each by itself.
        """
        margins = np.where(self.labels, self.decisions, -self.decisions)
        missed, loss = expit(-margins), float(np.mean(np.logaddexp(0, -margins)))
        if not np.isfinite(errors).all():
            return -loss, np.inf
        error = float(np.mean(missed * errors)) if first_order is None else first_order
        # The second derivative of a logistic loss is at most 1 / 4.
        error += float(np.mean(missed)) * self.rounding + float(np.mean(np.square(errors + self.rounding))) / 8
        return -loss, error + gamma(len(margins) + LOSS_ROUNDINGS) * loss

    @property
    def residuals(self) -> FloatArray:
        """The derivatives of the losses of the rows by the decision values, (m,)."""
        return expit(self.decisions) - self.labels
