"""The log-likelihood of logistic and softmax regression, with or without Firth's penalty.

The log-likelihood is l = sum_i s_i log p_i(y_i), and Firth's is l + log det I / 2. Both are functions of theta (R P,),
the parameters of R classes (all except the first) and P free columns, in the objective's coordinates.

Firth's maximum is always finite, and its bias is of order 1 / n^2 instead of 1 / n (Firth 1993). With V_ab = x_i'
(I^-1)_ab x_i, the derivative of the penalty with respect to the coefficients of class c is (Kosmidis and Firth 2011)::

    (1/2) sum_i s_i p_c (V_cc - sum_a p_a V_aa - 2 sum_a V_ca p_a + 2 sum_ab p_a V_ab p_b) x_i

The sums over a and b exclude the reference class. For two classes this is sum_i h_i (1/2 - p_i) x_i, where h_i is the
leverage of row i.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import DTypeLike

from fastlin.inference.hessian import CholeskyFactor, compute_loss_hessian
from fastlin.inference.optimum import make_probability_buffer
from fastlin.matrices.matrix import Passes
from fastlin.objective.null_model import fit_null_model
from fastlin.objective.objective import Objective
from fastlin.typing import BoolArray, FloatArray, IntArray

# Likelihoods and covariances are finite if the total weight lies between 1 / MAX_TOTAL_WEIGHT and MAX_TOTAL_WEIGHT.
MAX_TOTAL_WEIGHT = 1e100


def sum_weights(objective: Objective, unit: float) -> float:
    """Return the total weight of the rows in the user's unit; raise a ValueError if it is out of range."""
    total = float(objective.rows.total_weight) * float(unit)
    if not 1 / MAX_TOTAL_WEIGHT <= total <= MAX_TOTAL_WEIGHT:
        raise ValueError(
            f"sample_weight must have a sum from {1 / MAX_TOTAL_WEIGHT:g} to {MAX_TOTAL_WEIGHT:g} for inference, got "
            f"{total:g}. Multiply all weights by the same constant, so that their sum is in this range."
        )
    return total


def compute_null_log_likelihood(objective: Objective, total_weight: float) -> float:
    """Return the log-likelihood of the null (intercept-only) model, even if the model itself has no intercept."""
    rows = objective.rows
    return -total_weight * fit_null_model(rows.select_samples(), rows.class_weights, rows.offset_range).value


@dataclass(frozen=True, eq=False)
class Likelihood:
    """The log-likelihood for the rows of an objective, with weights multiplied by `unit`.

    `free` (d + 1,) is a mask of the columns with parameters.
    """

    objective: Objective
    unit: float
    is_firth: bool
    free: BoolArray

    @property
    def n_theta_rows(self) -> int:
        """R, the number of classes with parameters in theta."""
        return max(1, self.objective.n_rows_coef - 1)

    @property
    def total_weight(self) -> float:
        """The total weight of the rows."""
        return sum_weights(self.objective, self.unit)

    def to_parameters(self, theta: FloatArray) -> FloatArray:
        """Return the parameters (K, d + 1) of the objective at theta. For softmax, the first class has zeros."""
        parameters = np.zeros(self.objective.shape)
        parameters.ravel()[self.positions] = theta
        return parameters

    def to_theta(self, parameters: FloatArray) -> FloatArray:
        """Return theta for parameters (K, d + 1) of the objective."""
        if len(parameters) > 1:
            parameters = parameters - parameters[0]
        return parameters.ravel()[self.positions]

    def at(self, theta: FloatArray) -> LikelihoodState | None:
        """Return the state at `theta`.

        Return None if the likelihood is infinite or the information is not positive definite.
        """
        objective, total, positions = self.objective, self.total_weight, self.positions
        point = objective.at(self.to_parameters(theta), out=self._probability_buffer)
        if not point.is_finite:
            return None
        information = total * compute_loss_hessian(point)[np.ix_(positions, positions)]
        if not np.isfinite(information).all():
            return None
        factor = CholeskyFactor(information)
        if factor.dependent_column is not None:
            return None
        score = -total * point.gradient.ravel()[positions]
        return LikelihoodState(self, theta, -total * point.loss, score, information, factor)

    @cached_property
    def _probability_buffer(self):
        return make_probability_buffer(self.objective)

    def unscale_log_likelihood(self, state: LikelihoodState) -> float:
        """Return the value at a state if Firth's penalty uses the information matrix for the original columns."""
        scale = self.objective.coordinates.scale[self.free[:-1]]
        return state.value - self.is_firth * self.n_theta_rows * float(np.log(scale).sum())

    @cached_property
    def positions(self) -> IntArray:
        """The indices of the entries of theta in the raveled parameters of the objective."""
        is_free = np.tile(self.free, (self.objective.n_rows_coef, 1))
        is_free[: -self.n_theta_rows] = False
        return np.flatnonzero(is_free)


@dataclass(frozen=True, eq=False)
class LikelihoodState:
    """A likelihood at `theta` (n,).

    `log_likelihood` and its gradient `unpenalized_score` (n,) exclude the penalty. `factor` is the Cholesky factor of
    `information` (n, n).
    """

    likelihood: Likelihood
    theta: np.ndarray
    log_likelihood: float
    unpenalized_score: np.ndarray
    information: np.ndarray
    factor: CholeskyFactor

    @cached_property
    def parameters(self) -> FloatArray:
        """The parameters (K, d + 1) of the objective. For softmax, the parameters of the first class are zero."""
        return self.likelihood.to_parameters(self.theta)

    def extract_coefficients(self, dtype: DTypeLike) -> tuple[FloatArray, FloatArray]:
        """Return coef (K, d) and intercept (K,); see `Objective.extract_coefficients`."""
        return self.likelihood.objective.extract_coefficients(self.parameters, dtype)

    @property
    def value(self) -> float:
        """The log-likelihood, including Firth's penalty if `is_firth`."""
        if not self.likelihood.is_firth:
            return self.log_likelihood
        return self.log_likelihood + 0.5 * self.factor.log_determinant

    @cached_property
    def score(self) -> FloatArray:
        """The gradient (n,) of the value with respect to theta."""
        if not self.likelihood.is_firth:
            return self.unpenalized_score
        return self.unpenalized_score + compute_score_adjustment(self)

    @cached_property
    def step(self) -> FloatArray:
        """The scoring step (n,), I^-1 times the score."""
        return self.factor.solve(self.score)


def compute_score_adjustment(state: LikelihoodState) -> FloatArray:
    """Return the gradient (n,) of log det I / 2 at a state."""
    likelihood, inverse_root_matrix = state.likelihood, state.factor.inverse_root
    rows = likelihood.objective.rows
    # Each row of the square root of I^-1 becomes one row of parameters per class.
    roots = np.zeros((len(inverse_root_matrix) * likelihood.n_theta_rows, len(likelihood.free)))
    roots[:, likelihood.free] = inverse_root_matrix.reshape(len(roots), -1)
    score_adjustment = rows.passes.sum_with_probabilities(sum_score_adjustments, state.parameters, roots)
    rows.add_to_pass_counter()
    return likelihood.unit * score_adjustment[:, likelihood.free].ravel()


def sum_score_adjustments(passes: Passes, probabilities: FloatArray, roots: FloatArray) -> FloatArray:
    """Return the gradient (R, d + 1) of log det I / 2, summed over rows.

    `roots` (R P R, d + 1) are the rows of a square root of I^-1. Each is divided into one row per class.
    """
    K = len(probabilities)
    n_classes = max(1, K - 1)
    probabilities = probabilities[-n_classes:]
    row_multipliers = np.empty(probabilities.shape)
    for part, scores in passes.iterate_score_chunks(roots):
        p = probabilities[:, part]
        root_scores = scores.reshape(len(scores), -1, n_classes)
        if n_classes == 1:
            row_multipliers[0, part] = np.einsum("im,im->i", root_scores[:, :, 0], root_scores[:, :, 0]) * p[0]
            row_multipliers[0, part] *= (1 - p[0]) * (0.5 - p[0])
            continue
        V = np.einsum("ima,imb->abi", root_scores, root_scores)
        diagonal = np.einsum("aai->ai", V)
        mixed_products = np.einsum("abi,bi->ai", V, p)
        common = np.einsum("ai,ai->i", p, 2 * mixed_products - diagonal)
        row_multipliers[:, part] = 0.5 * p * (diagonal - 2 * mixed_products + common)
    row_multipliers *= passes.samples.get_row_weights()
    return passes.gram(passes.samples.rows, row_multipliers, np.float64)[:, :, -1]
