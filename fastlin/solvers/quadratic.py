"""Quadratic models of a penalised objective around a point, and where they are least by coordinate descent."""

import numpy as np

from fastlin.kernels.linear.coordinate_descent import descend_by_columns, descend_by_hessian, fill_block_curvatures
from fastlin.kernels.machine.cholesky import factorize_block, solve_block
from fastlin.kernels.machine.threads import count_blocks, run_blocks

# Visits of the coordinates that are not zero, between two of all.
ACTIVE_SWEEPS = 10
MAX_SWEEPS = 200
# With the whole Hessian at hand sweeps cost next to nothing: it is worth to solve the model well. breast cancer's 30
# columns, scaled, at C = 100 take 14 steps instead of 105.
MAX_HESSIAN_SWEEPS = 5000
HESSIAN_ACCURACY = 1e-5
# Added to the diagonal, relative to it, of what is solved directly: softmax is flat along some directions.
RIDGE = 1e-11
# Of a sweep's decrease to the best so far, below which the coordinates that are not zero are settled among themselves.
SETTLED = 0.1


def descend(visit, accuracy, max_sweeps=MAX_SWEEPS, leap=None):
    """Visit all coordinates and the active ones in turn until a sweep gains less than that part of all; return it all.

    visit(only_active) makes one sweep, leap() another kind of step among the active ones; both return the decrease of
    the model.
    """
    total = 0.0
    n_sweeps = 0
    while n_sweeps < max_sweeps:
        gained = visit(False)
        total += gained
        n_sweeps += 1
        if gained <= accuracy * total:
            break
        for _ in range(ACTIVE_SWEEPS):
            gained = visit(True)
            total += gained
            n_sweeps += 1
            if gained <= SETTLED * accuracy * total:
                break
        else:
            total += leap() if leap is not None else 0.0
    return total


class HessianModel:
    """The model of all coordinates by the whole Hessian of the objective.

    Parameters
    ----------
    objective : LinearObjective
    evaluation : Evaluation
    near : HessianModel or None
        A model at a point that is near, or of nearly the same objective, whose Hessian will do; None: the Hessian at
        the point last evaluated.
    """

    def __init__(self, objective, evaluation, near=None):
        self._objective = objective
        self._evaluation = evaluation
        self._of_loss = objective.hessian_of_loss() if near is None else near._of_loss
        self._hessian = self._of_loss + np.diag(np.tile(objective.penalties, objective.n_rows_coef))
        self.is_borrowed = near is not None

    def minimize(self, accuracy):
        """Return the point (K, d + 1) where the model is least, up to a part of its decrease."""
        objective = self._objective
        parameters = self._evaluation.parameters.ravel().copy()
        slopes = self._evaluation.gradient.ravel().copy()

        def visit(only_active):
            return descend_by_hessian(
                self._hessian, slopes, objective.penalties, objective.thresholds, objective.n_rows_coef,
                objective.group_by_class, only_active, parameters,
            )  # fmt: skip

        # A norm over the classes has no signs to keep.
        leap = None if objective.group_by_class else lambda: self._leap(parameters, slopes)
        descend(visit, HESSIAN_ACCURACY * accuracy, MAX_HESSIAN_SWEEPS, leap)
        return parameters.reshape(objective.shape)

    def _leap(self, parameters, slopes):
        """Move to where the model with the present signs is least, or until a parameter is zero; return the decrease.

        parameters and slopes (K (d + 1),) are kept up to date. Where columns are nearly dependent, coordinate descent
        alone does not get there.
        """
        thresholds = np.tile(self._objective.thresholds, self._objective.n_rows_coef)
        is_active = (parameters != 0) | (thresholds == 0)
        active = np.flatnonzero(is_active & (np.diagonal(self._hessian) > 0))
        slope = slopes[active] + thresholds[active] * np.sign(parameters[active])
        block = np.ascontiguousarray(self._hessian[np.ix_(active, active)])
        step = -slope[None]
        factors = np.empty((1, len(active) * (len(active) + 1) // 2))
        factorize_block(0, 1, block[None], RIDGE, factors)
        solve_block(0, 1, factors, step)
        step = step[0]
        turns = (step * parameters[active] < 0) & (thresholds[active] > 0)
        lengths = np.divide(-parameters[active], step, where=turns, out=np.full(len(step), np.inf))
        length = min(1.0, lengths.min(initial=1.0))
        change = length * step
        # einsum, not BLAS, whose bits depend on its threads.
        decrease = -float(np.sum(slope * change) + 0.5 * np.sum(change * np.einsum("ij,j->i", block, change)))
        if not decrease > 0:
            return 0.0
        parameters[active] += change
        parameters[active[lengths <= length]] = 0
        slopes += np.einsum("ij,j->i", self._hessian[:, active], change)
        return decrease


class ColumnModel:
    """The model of a working set of coordinates by the columns of X, at the point that the objective last evaluated.

    Parameters
    ----------
    objective : LinearObjective
        One that keeps probabilities.
    evaluation : Evaluation
        Of the point.
    working_set : ndarray of shape (K, d), bool
        Grouped, equal for all classes.
    precision : type
    """

    # Its columns stand for one point only.
    is_borrowed = False

    def __init__(self, objective, evaluation, working_set, precision):
        self._objective = objective
        self._evaluation = evaluation
        # By features, so that a column stays in the cache for all its classes.
        self._features, self._classes = np.nonzero(working_set.T)
        transposed = objective.matrix.transposed(precision)
        scales = objective.scale / transposed.scale
        shifts = objective.shift - scales * transposed.shift
        # Entries are not centred: what that leaves to the intercept comes back with its step.
        self._left_out = np.where(transposed.places < 0, objective.shift, 0)
        self._columns = (
            transposed.panel, transposed.places, transposed.starts, transposed.indices, transposed.values,
            scales.astype(precision), shifts.astype(precision), self._features, self._classes,
        )  # fmt: skip
        self._row_weights, self._probabilities = _spread(objective, precision)
        self._curvatures = np.empty(len(self._features))
        work = max(len(transposed.panel) * len(self._row_weights), len(transposed.indices)) // max(1, len(scales))
        n_blocks = count_blocks(len(self._features), row_work=work, partial_bytes=0, data_bytes=0)
        run_blocks(
            fill_block_curvatures, n_blocks, *self._columns, self._row_weights, self._probabilities, self._curvatures
        )

    def minimize(self, accuracy):
        """Return the point (K, d + 1) where the model is least over the working set, up to a part of its decrease."""
        objective, evaluation = self._objective, self._evaluation
        p, s = self._probabilities, self._row_weights
        intercept_gradient = evaluation.gradient[:, -1].copy()
        gradient = evaluation.gradient[self._classes, self._features]
        gradient -= intercept_gradient[self._classes] * self._left_out[self._features]
        origins = evaluation.parameters[self._classes, self._features]
        parameters = origins.copy()
        steps = np.zeros(len(p))
        # einsum, not BLAS, whose bits depend on its threads.
        intercept_curvatures = (
            np.einsum("i,ki,ki->k", s, p, 1 - p, dtype=np.float64) if objective.fit_intercept else np.zeros(len(p))
        )
        scores, means = np.zeros_like(p), np.zeros_like(s)

        def visit(only_active):
            return descend_by_columns(
                *self._columns, gradient, self._curvatures, objective.penalties,
                objective.thresholds, objective.group_by_class, only_active, s, p, intercept_curvatures,
                intercept_gradient, origins, parameters, steps, scores, means,
            )  # fmt: skip

        descend(visit, accuracy)
        point = evaluation.parameters.copy()
        point[self._classes, self._features] = parameters
        point[:, -1] += steps
        np.subtract.at(point[:, -1], self._classes, (parameters - origins) * self._left_out[self._features])
        return point


def _spread(objective, precision):
    """Return the weights (n,) and the probabilities (K, n) of all rows of X; weights are zero where none is walked."""
    n, rows = objective.matrix.shape[0], objective.rows
    weights = np.broadcast_to(objective.row_weights(rows), objective.n_rows) / objective.total_weight
    if not len(rows):
        return weights.astype(precision), np.ascontiguousarray(objective.probabilities, precision)
    all_weights, probabilities = np.zeros(n, precision), np.zeros((objective.n_rows_coef, n), precision)
    # A row counts as often as it is named.
    np.add.at(all_weights, rows, weights)
    probabilities[:, rows] = objective.probabilities
    return all_weights, probabilities
