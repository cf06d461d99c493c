"""`bootstrap` of linear models: fits of resamples of the rows, each of which starts from the minimum of all rows."""

from __future__ import annotations

import warnings
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from fastlin.budget import Budget
from fastlin.estimators.coefficients import read_coefficients
from fastlin.estimators.training_data import TrainingData, make_training_data
from fastlin.exceptions import ConvergenceWarning

if TYPE_CHECKING:
    from fastlin.estimators import LinearEstimator
    from fastlin.inference import Bootstrap


def bootstrap(
    model: LinearEstimator,
    data: TrainingData,
    C: float,
    l1_ratio: float,
    n_resamples: int,
    random_state: Any,
    clusters: ArrayLike | None,
) -> Bootstrap:
    """Return the Bootstrap of a fitted model at a C and an l1_ratio.

    data have the sample weights without the class weights, which follow from the rows of each resample.
    """
    from fastlin.estimators.problem import Problem
    from fastlin.inference import bootstrap as inference
    from fastlin.inference.clusters import read_clusters
    from fastlin.matrices import BlockMatrix

    if isinstance(n_resamples, bool) or not isinstance(n_resamples, (int, np.integer)) or n_resamples < 2:
        raise ValueError(f"n_resamples must be a whole number of at least 2, got {n_resamples!r}")
    if not isinstance(data, TrainingData):
        raise ValueError("bootstrap reads the rows for each resample: give arrays or Blocks, not Dask's collections.")
    n_resamples, matrix, n_rows = int(n_resamples), data.matrix, data.matrix.shape[0]
    numbers = _read_key(read_clusters(clusters, n_rows)) if clusters is not None else None
    seed = int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
    _, coef, intercept = read_coefficients(model)
    start = coef.astype(np.float64), intercept.astype(np.float64)
    # Other solvers ask for a small gradient, which tells no distance in standard errors.
    model = copy(model)
    model.solver = "auto"

    def make_problem(weights):
        if model.class_weight is None:
            return Problem(model, replace(data, weights=weights))
        weights = weights * data.weight_unit
        return Problem(model, make_training_data(model, matrix, data.y, weights, data.offsets, data.classes))

    def find(problem, start, tol, check=None):
        fit = problem.minimize(C, l1_ratio, [start], check, tol)
        return inference.Resampled(fit.coef, fit.intercept, fit.certificate, fit.solution.converged), fit.solution

    whole = make_problem(np.ones(n_rows) if data.weights is None else data.weights)
    objective = whole.objective(C, l1_ratio)
    first, solution = find(whole, start, model.tol)
    tol = inference.choose_tol(model.tol, solution.value, n_rows)
    best, solution = find(whole, (first.coef, first.intercept), tol)
    origin = best.coef.astype(np.float64), best.intercept.astype(np.float64)
    point = None
    if objective.keeps_probabilities and objective.affords_hessian and not objective.penalty.group_by_class:
        point = objective.at(solution.parameters, out=objective.make_room())
    shape = (len(best.coef), matrix.shape[1] + 1)
    most_at_once = 1
    # The reader of blocks need not stand several readings at once.
    if not isinstance(matrix, BlockMatrix):
        most_at_once = Budget.beside(matrix.budget_bytes).count_at_once(n_rows, shape, l1_ratio == 0)
    draws = inference.Draws(seed, data.labels, data.weights, data.targets, numbers)
    resampled = inference.resample(
        lambda weights, check: find(make_problem(weights), origin, tol, check)[0], draws, n_resamples, most_at_once
    )
    found = inference.collect(resampled, n_resamples, best, point, numbers, model.fit_intercept)
    n_missed = n_resamples - np.count_nonzero(found.converged)
    if n_missed:
        warnings.warn(
            f"{n_missed} of {n_resamples} fits of resamples stopped before they reached tol={tol:.2g}; `converged` "
            f"says which, and `certificates` what each has proven. Raise max_iter (now {model.max_iter}), or "
            "with C=inf look for resamples whose classes are separable: their coefficients grow without end.",
            ConvergenceWarning,
            stacklevel=4,
        )
    return found


def _read_key(keys):
    """Return the only key of clusters, of which there are at least two."""
    if len(keys) != 1:
        raise ValueError(f"clusters must be one key of the rows for a bootstrap, got {len(keys)} keys.")
    if not keys[0].any():
        raise ValueError("clusters must be at least two for a bootstrap, but all rows lie in one.")
    return keys[0]
