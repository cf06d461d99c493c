"""L-BFGS on an objective: quasi-Newton steps from the last gradients (Liu and Nocedal 1989)."""

from time import perf_counter

import numpy as np

from fastlin.kernels.vectors import apply_inverse_hessian, dot
from fastlin.solvers import line_search
from fastlin.solvers.solution import Iteration, Solution

# Pairs of steps and gradient changes kept. SciPy's L-BFGS-B is not used: its inner products go through BLAS, whose
# sums depend on the number of threads above 10,000 parameters.
N_PAIRS = 20
MAX_EVALUATIONS = 30
# The relative decrease of an iteration that is rounding rather than progress.
SMALLEST_DECREASE = np.finfo(np.float64).eps


def minimize(objective, coef, intercept, *, tol, max_iter, on_iteration=None):
    """Minimise the objective from the given start.

    Parameters
    ----------
    objective : LinearObjective
    coef, intercept : ndarray of shape (K, d) and (K,)
        The start; not changed.
    tol : float
        Stop when no entry of the gradient exceeds this in absolute value, or when an iteration lowers the
        objective by no more than rounding.
    max_iter : int
    on_iteration : callable or None
        Called with (n_iter, Iteration) after each iteration.

    Returns
    -------
    Solution

    Raises
    ------
    OverflowError
        The objective or its gradient is not finite at the start.
    """
    started = perf_counter()
    shape, n_coef = coef.shape, coef.size
    # The coordinates worked in are the coefficients of X / scale, beside the intercept: images of 0 to 255 or data
    # of 1e150 then take the same path as data of order one. Where the penalty is the larger curvature, as for data
    # of 1e-10, it sets the unit instead.
    unit = np.ones(n_coef + len(intercept))
    unit[:n_coef] = 2.0 ** min(round(np.log2(np.hypot(objective.scale, np.sqrt(objective.l2)))), 1023)
    parameters = np.concatenate([coef.ravel(), intercept]) * unit

    def evaluate(parameters):
        unscaled = parameters / unit
        value, coef_gradient, intercept_gradient = objective.value_and_gradient(
            unscaled[:n_coef].reshape(shape), unscaled[n_coef:]
        )
        return value, np.concatenate([coef_gradient.ravel(), intercept_gradient]) / unit

    def is_rounding(gradient):
        # The objective resolves a relative eps, which a step of relative size sqrt(eps) makes: a gradient entry below
        # sqrt(eps) of the root of its curvature, a few times, is all that can be asked for.
        floor = np.ones((len(intercept), shape[1] + 1))
        floor[:, :-1] = np.hypot(objective.estimate_column_scale(), np.sqrt(objective.l2))
        floor = np.maximum(tol, 4 * np.sqrt(np.finfo(objective.dtype).eps) * floor)
        gradient = np.abs(gradient) * unit
        return (gradient[:n_coef] <= floor[:, :-1].ravel()).all() and (gradient[n_coef:] <= floor[:, -1]).all()

    def largest_entry(gradient):
        return float(np.max(np.abs(gradient) * unit))

    value, gradient = evaluate(parameters)
    if not (np.isfinite(value) and np.isfinite(gradient).all()):
        raise OverflowError("the objective or its gradient is not finite at the start")
    pairs = _Pairs(len(parameters))
    history = []
    converged, stalled, message = False, False, ""
    while not message:
        if largest_entry(gradient) <= tol:
            converged, message = True, "no gradient entry exceeds tol"
            break
        if len(history) >= max_iter:
            message = "max_iter reached"
            break
        direction = pairs.direction(gradient)
        slope = dot(direction, gradient)
        if not slope < 0:
            # Rounding has spoilt the pairs: start again from steepest descent.
            pairs = _Pairs(len(parameters))
            direction = -gradient
            slope = dot(direction, gradient)
        trial = {}

        def along(step, start=parameters, direction=direction, trial=trial):
            trial["parameters"] = start + step * direction
            trial["value"], trial["gradient"] = evaluate(trial["parameters"])
            return trial["value"], dot(trial["gradient"], direction)

        first_step = 1.0 if pairs.n_pairs else min(1.0, 1.0 / np.sqrt(-slope))
        step = line_search.search(along, value, slope, first_step, MAX_EVALUATIONS)
        if step is None:
            # No lower point although the direction descends.
            converged, message = is_rounding(gradient), "the objective cannot be lowered further in its precision"
            break
        pairs.add(trial["parameters"] - parameters, trial["gradient"] - gradient)
        decrease = value - trial["value"]
        parameters, value, gradient = trial["parameters"], trial["value"], trial["gradient"]
        history.append(Iteration(float(value), largest_entry(gradient), objective.n_passes, perf_counter() - started))
        if on_iteration is not None:
            on_iteration(len(history), history[-1])
        if decrease > SMALLEST_DECREASE * abs(value):
            stalled = False
        elif is_rounding(gradient):
            converged, message = True, "the objective no longer falls"
        elif stalled:
            message = "the objective no longer falls, though its gradient is not small"
        else:
            # The pairs may be at fault: one more try without them.
            pairs, stalled = _Pairs(len(parameters)), True
    parameters /= unit
    coef, intercept = objective.center(parameters[:n_coef].reshape(shape), parameters[n_coef:])
    return Solution(coef, intercept, len(history), converged, message, history)


class _Pairs:
    """The last steps and the gradient changes they made, in a ring of N_PAIRS rows."""

    def __init__(self, n_parameters):
        self._steps = np.empty((N_PAIRS, n_parameters))
        self._changes = np.empty((N_PAIRS, n_parameters))
        self._inner_products = np.empty(N_PAIRS)
        self._newest = -1
        self.n_pairs = 0

    def add(self, step, change):
        inner_product = dot(step, change)
        # Positive by the Wolfe conditions, save for rounding; without it the approximation is not positive definite.
        if inner_product > np.finfo(np.float64).eps * dot(change, change):
            self._newest = (self._newest + 1) % N_PAIRS
            self._steps[self._newest] = step
            self._changes[self._newest] = change
            self._inner_products[self._newest] = inner_product
            self.n_pairs = min(self.n_pairs + 1, N_PAIRS)

    def direction(self, gradient):
        direction = -gradient
        apply_inverse_hessian(self._steps, self._changes, self._inner_products, self._newest, self.n_pairs, direction)
        return direction
