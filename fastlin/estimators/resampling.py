"""`bootstrap` of linear models: fits of resamples of the rows, each of which starts from the minimum of all rows."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from fastlin.estimators.coefficients import read_coefficients
from fastlin.estimators.training_data import TrainingData, make_training_data
from fastlin.exceptions import ConvergenceWarning
from fastlin.typing import RandomState

if TYPE_CHECKING:
    from fastlin.estimators import LinearEstimator
    from fastlin.inference.bootstrap import Bootstrap, Refits


def bootstrap(
    prepare: Callable[[], Refits],
    data: TrainingData,
    n_resamples: int,
    random_state: RandomState,
    clusters: ArrayLike | None,
) -> Bootstrap:
    """Return the Bootstrap of fits that `prepare` makes ready, once the other arguments are checked.

    data are the rows of the fit, with their sample weights but without class weights.
    """
    from fastlin.inference.bootstrap import Draws, collect, resample
    from fastlin.inference.clusters import read_clusters

    if isinstance(n_resamples, bool) or not isinstance(n_resamples, (int, np.integer)) or n_resamples < 2:
        raise ValueError(f"n_resamples must be a whole number of at least 2, got {n_resamples!r}")
    n_resamples = int(n_resamples)
    numbers = _read_key(read_clusters(clusters, len(data.labels))) if clusters is not None else None
    seed = int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
    draws = Draws(seed, data.labels, data.weights, data.targets, numbers)
    refits = prepare()
    found = collect(resample(refits, draws, n_resamples), n_resamples, refits, numbers)
    n_missed = n_resamples - np.count_nonzero(found.converged)
    if n_missed:
        warnings.warn(
            f"{n_missed} of {n_resamples} fits of resamples stopped before they came near their optimum; `converged` "
            "says which, and `certificates` what each has proven. Raise max_iter, or with C=inf look for resamples "
            "whose classes are separable: their coefficients grow without end.",
            ConvergenceWarning,
            stacklevel=3,
        )
    return found


def prepare_refits(model: LinearEstimator, data: TrainingData, C: float, l1_ratio: float) -> Refits:
    """Return the Refits of a fitted model at a C and an l1_ratio, which find the class weights of their rows anew."""
    from fastlin.estimators.problem import Problem, count_fits_at_once
    from fastlin.inference.bootstrap import Refits, Resampled, choose_tol

    matrix, n_rows = data.matrix, data.matrix.shape[0]
    _, coef, intercept = read_coefficients(model)
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
        return Resampled(fit.coef, fit.intercept, fit.certificate, fit.solution.converged), fit.solution

    whole = make_problem(np.ones(n_rows) if data.weights is None else data.weights)
    objective = whole.objective(C, l1_ratio)
    first, solution = find(whole, (coef.astype(np.float64), intercept.astype(np.float64)), model.tol)
    tol = choose_tol(model.tol, solution.value, n_rows)
    best, solution = find(whole, (first.coef, first.intercept), tol)
    origin = best.coef.astype(np.float64), best.intercept.astype(np.float64)
    point = None
    if objective.keeps_probabilities and objective.affords_hessian and not objective.penalty.group_by_class:
        point = objective.at(solution.parameters, out=objective.make_room())
    return Refits(
        lambda weights, check: find(make_problem(weights), origin, tol, check)[0],
        best,
        point,
        np.append(np.ones(matrix.shape[1], bool), model.fit_intercept),
        count_fits_at_once(matrix, objective.shape, l1_ratio == 0),
    )


def _read_key(keys):
    """Return the only key of clusters, of which there are at least two."""
    if len(keys) != 1:
        raise ValueError(f"clusters must be one key of the rows for a bootstrap, got {len(keys)} keys.")
    if not keys[0].any():
        raise ValueError("clusters must be at least two for a bootstrap, but all rows lie in one.")
    return keys[0]
