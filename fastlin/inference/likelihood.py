"""The log-likelihood of logistic and softmax regression as statisticians write it, with Firth's penalty or without.

It is l = sum_i s_i log p_i(y_i), and Firth's l + log det I / 2, as functions of theta (R P,): the parameters of the R
classes but the first, or of the second of two, and of the P free columns, in the objective's coordinates.

Firth's maximum is finite whatever the classes look like, and its bias is of order 1 / n^2 in place of 1 / n (Firth
1993). The derivative of the penalty by the coefficients of class c is, with V_ab = x_i' (I^-1)_ab x_i (Kosmidis and
Firth 2011), all classes but the reference in the sums::

    (1/2) sum_i s_i p_c (V_cc - sum_a p_a V_aa - 2 sum_a V_ca p_a + 2 sum_ab p_a V_ab p_b) x_i

For two classes that is sum_i h_i (1/2 - p_i) x_i, h_i being the leverage of the row.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import DTypeLike

from fastlin.inference.hessian import Factor, find_hessian_of_loss
from fastlin.inference.optimum import make_buffer
from fastlin.matrices.matrix import Passes
from fastlin.objective.null_model import fit_null_model
from fastlin.objective.objective import Objective
from fastlin.typing import BoolArray, FloatArray, IntArray

# Likelihoods and covariances of rows whose weights sum to a number from 1 / HEAVIEST to HEAVIEST are finite.
HEAVIEST = 1e100


def sum_weights(objective: Objective, unit: float) -> float:
    """Return the sum of the weights of all rows as given; ValueError: beyond HEAVIEST, or below 1 / HEAVIEST."""
    total = float(objective.rows.total_weight) * float(unit)
    if not 1 / HEAVIEST <= total <= HEAVIEST:
        raise ValueError(
            f"sample_weight must sum to a number from {1 / HEAVIEST:g} to {HEAVIEST:g} where likelihoods follow from "
            f"it, got the sum {total:g}; multiply all weights by a number."
        )
    return total


def find_null_likelihood(objective: Objective, total_weight: float) -> float:
    """Return the log-likelihood of intercepts alone, whether the model has them or not."""
    rows = objective.rows
    return -total_weight * fit_null_model(rows.select_samples(), rows.class_weights, rows.offset_range).value


@dataclass(frozen=True, eq=False)
class Likelihood:
    """A log-likelihood of the rows of an objective without a penalty, weights times a unit, of free columns."""

    objective: Objective
    unit: float
    is_firth: bool
    free: BoolArray

    @property
    def n_rows_theta(self) -> int:
        """R, the number of classes that have parameters in theta."""
        return max(1, self.objective.n_rows_coef - 1)

    @property
    def total_weight(self) -> float:
        """The sum of the weights of all rows."""
        return sum_weights(self.objective, self.unit)

    def to_parameters(self, theta: FloatArray) -> FloatArray:
        """Return the parameters (K, d + 1) of the objective at theta; for softmax the first class has zeros."""
        parameters = np.zeros(self.objective.shape)
        parameters.ravel()[self.positions] = theta
        return parameters

    def to_theta(self, parameters: FloatArray) -> FloatArray:
        """Return theta of parameters (K, d + 1) of the objective."""
        if len(parameters) > 1:
            parameters = parameters - parameters[0]
        return parameters.ravel()[self.positions]

    def at(self, theta: FloatArray) -> State | None:
        """Return the State at theta, or None where the likelihood or its information is not finite and definite."""
        objective, total, positions = self.objective, self.total_weight, self.positions
        point = objective.at(self.to_parameters(theta), out=self._buffer)
        if not point.is_finite:
            return None
        information = total * find_hessian_of_loss(point)[np.ix_(positions, positions)]
        if not np.isfinite(information).all():
            return None
        factor = Factor(information)
        if factor.first_dependent is not None:
            return None
        score = -total * point.gradient.ravel()[positions]
        return State(self, theta, -total * point.loss, score, information, factor)

    @cached_property
    def _buffer(self):
        return make_buffer(self.objective)

    def restore_value(self, state: State) -> float:
        """Return the value at a State with the information of the columns as they are, not of the coordinates."""
        scale = self.objective.coordinates.scale[self.free[:-1]]
        return state.value - self.is_firth * self.n_rows_theta * float(np.log(scale).sum())

    @cached_property
    def positions(self) -> IntArray:
        """Where the entries of theta stand among the raveled parameters of the objective."""
        may_move = np.tile(self.free, (self.objective.n_rows_coef, 1))
        may_move[: -self.n_rows_theta] = False
        return np.flatnonzero(may_move)


@dataclass(frozen=True, eq=False)
class State:
    """A Likelihood at theta (n,): l and its derivative (n,) without a penalty, and I (n, n) with its factor."""

    likelihood: Likelihood
    theta: np.ndarray
    log_likelihood: float
    plain_score: np.ndarray
    information: np.ndarray
    factor: Factor

    @cached_property
    def parameters(self) -> FloatArray:
        """The parameters (K, d + 1) of the objective; for softmax the first class has zeros."""
        return self.likelihood.to_parameters(self.theta)

    def read_off(self, dtype: DTypeLike) -> tuple[FloatArray, FloatArray]:
        """Return coef (K, d) and intercept (K,), as `Objective.read_off`."""
        return self.likelihood.objective.read_off(self.parameters, dtype)

    @property
    def value(self) -> float:
        """l, with Firth's penalty where it is part of the likelihood."""
        if not self.likelihood.is_firth:
            return self.log_likelihood
        return self.log_likelihood + 0.5 * self.factor.log_determinant

    @cached_property
    def score(self) -> FloatArray:
        """The derivative of the value by theta, (n,)."""
        if not self.likelihood.is_firth:
            return self.plain_score
        return self.plain_score + adjust_score(self)

    @cached_property
    def step(self) -> FloatArray:
        """I^-1 times the score, (n,)."""
        return self.factor.solve(self.score)


def adjust_score(state: State) -> FloatArray:
    """Return the derivative of log det I / 2 at a State, (n,)."""
    likelihood, root = state.likelihood, state.factor.inverse_root
    rows = likelihood.objective.rows
    # Row m of the root of I^-1, as one row of parameters for each class.
    roots = np.zeros((len(root) * likelihood.n_rows_theta, len(likelihood.free)))
    roots[:, likelihood.free] = root.reshape(len(roots), -1)
    found = rows.passes.sum_curvature(sum_adjustments, state.parameters, roots)
    rows.count_pass()
    return likelihood.unit * found[:, likelihood.free].ravel()


def sum_adjustments(passes: Passes, probabilities: FloatArray, roots: FloatArray) -> FloatArray:
    """Return the derivative of log det I / 2 of a piece, (R, d + 1); roots (R P R, d + 1) are R' R = I^-1."""
    K = len(probabilities)
    n_classes = max(1, K - 1)
    probabilities = probabilities[-n_classes:]
    multipliers = np.empty(probabilities.shape)
    for part, scores in passes.score_parts(roots):
        p = probabilities[:, part]
        turned = scores.reshape(len(scores), -1, n_classes)
        if n_classes == 1:
            multipliers[0, part] = np.einsum("im,im->i", turned[:, :, 0], turned[:, :, 0]) * p[0]
            multipliers[0, part] *= (1 - p[0]) * (0.5 - p[0])
            continue
        V = np.einsum("ima,imb->abi", turned, turned)
        own = np.einsum("aai->ai", V)
        mixed = np.einsum("abi,bi->ai", V, p)
        common = np.einsum("ai,ai->i", p, 2 * mixed - own)
        multipliers[:, part] = 0.5 * p * (own - 2 * mixed + common)
    multipliers *= passes.samples.weigh()
    return passes.gram(passes.samples.rows, multipliers, np.float64)[:, :, -1]
