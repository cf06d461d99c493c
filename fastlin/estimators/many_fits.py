"""Fits of one X that differ in labels, weights and C: side by side in lots, where their objectives allow it.

A fit to several labels a row is one fit for each label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from fastlin.estimators.endings import count_fits, warn_of_limits
from fastlin.estimators.labels import take_label
from fastlin.estimators.parameters import TO_THE_CALLER_OF_FIT, limit_jobs, read_penalty
from fastlin.estimators.problem import LOST, Fit, Problem, count_fits_at_once
from fastlin.estimators.scikit_learn import check_parameters
from fastlin.estimators.training_data import choose_dtype, choose_form, make_training_data, read_rows
from fastlin.kernels.machine.threads import run_side_by_side
from fastlin.matrices import BlockMatrix
from fastlin.objective import choose_coordinates, fill_factors
from fastlin.typing import Array, FloatArray

if TYPE_CHECKING:
    from fastlin.estimators import LogisticRegression
    from fastlin.inference.bootstrap import Draws, Resampled

Model = TypeVar("Model", bound="LogisticRegression")


class Task(NamedTuple):
    """The fit of two classes, both of which some rows of weight have."""

    labels: np.ndarray  # (n,), 0 or 1
    weights: np.ndarray | None = None  # (n,), divided by the unit of TrainingData; None for ones
    start: tuple[FloatArray, FloatArray] | None = None  # coef (1, d) and intercept (1,); None for the solver's choice


def suits(problem: Problem, C: float, l1_ratio: float) -> bool:
    """Say whether fits to the rows of a problem, with two classes each, may be made in lots."""
    data, factors = problem.data, problem.penalty_factors
    return (
        problem.estimator.solver == "auto"
        and C < np.inf
        and l1_ratio == 0
        and problem.bounds is None
        and (factors is None or bool((factors > 0).all()))
        and data.offsets is None
        and data.targets is None
        and data.matrix.lies_in_memory
        and not isinstance(data.matrix, BlockMatrix)
    )


def fit_lots(
    problem: Problem,
    pose: Callable[[int], Task],
    Cs: FloatArray,
    curvatures: FloatArray,
    *,
    reference: Array | None = None,
    tol: float | None = None,
) -> Iterator[tuple[int, Fit | None]]:
    """Yield the number and the Fit of each task, in any order, of fits to the rows of a problem that `suits` allows.

    pose returns the task of a number. None are fits that have not converged, or whose penalty leaves the range of
    float64 here: they may converge alone. Cs and curvatures (B,) are the tasks' C and about their mean p (1 - p). The
    Hessians of the losses are about those of the rows with the weights of the reference (n,), None for ones.
    """
    from fastlin.objective import lot
    from fastlin.solvers.lots import minimize_all

    estimator, data = problem.estimator, problem.data
    strengths, total = np.array([problem.invert(C) for C in Cs]), data.weigh()
    factors = fill_factors(problem.penalty_factors, data.matrix.shape[1])
    coordinates = choose_coordinates(problem.columns, float(strengths.min()), factors, estimator.fit_intercept)
    rows = lot.SharedRows(data.matrix, coordinates, factors, estimator.fit_intercept)
    dtype, ratios = choose_dtype(data.matrix, estimator.solver), strengths / curvatures
    penalties, tiny = strengths.min() * rows.units[:-1], np.finfo(np.float64).tiny
    if not (penalties.min(initial=1.0) >= tiny and ratios.min() >= tiny and ratios.max() < np.inf):
        yield from ((number, None) for number in range(len(Cs)))
        return
    posed: dict[int, float] = {}

    def pose_problem(number):
        labels, weights, start = pose(number)
        posed[number] = l2 = strengths[number] * (1.0 if weights is None else total / weights.sum())
        return lot.Problem(labels, l2, weights, None if start is None else coordinates.to_parameters(*start)[0])

    tol = estimator.tol if tol is None else tol
    for number, found in minimize_all(rows, pose_problem, ratios, reference, tol=tol, max_iter=estimator.max_iter):
        coef, intercept, rise = rows.finish(found.parameters, found.gradient, posed.pop(number), dtype)
        is_found = found.converged and rise <= max(found.value, LOST)
        yield number, Fit(Cs[number], coef, intercept, found.certificate + rise, found) if is_found else None


def fit_labels(estimator: Model, X: Any, several: Any, sample_weight: Any, given: Mapping[str, Any]) -> Model:
    """Fit an estimator to each label of `read_several_labels`; given are arguments that such fits do not take."""
    check_parameters(estimator)
    for name, value in given.items():
        if value is not None:
            raise ValueError(f"{name} must be None where y has several labels a row; fit each label alone.")
    C, l1_ratio = read_penalty(estimator.penalty, estimator.C, estimator.l1_ratio)
    n_labels = several.shape[1]
    n_iter, converged, certificates = np.empty(n_labels, np.int32), np.empty(n_labels, bool), np.empty(n_labels)
    with limit_jobs(estimator.n_jobs), count_fits(estimator.verbose, n_labels) as on_fit:
        matrix, _, sample_weight = read_rows(estimator, X, np.zeros(several.shape[0], np.int8), sample_weight)
        matrix = choose_form(matrix)
        _check_labels(several, sample_weight)
        dtype = choose_dtype(matrix, estimator.solver)
        coef, intercept = np.empty((n_labels, matrix.shape[1]), dtype), np.empty(n_labels, dtype)
        # What leaves the range of float64 at extreme scales is fitted alone.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            for k, fit in _fit_each(estimator, matrix, several, sample_weight, C, l1_ratio):
                coef[k], intercept[k], certificates[k] = fit.coef[0], fit.intercept[0], fit.certificate
                n_iter[k], converged[k] = fit.solution.n_iter, fit.solution.converged
                if on_fit is not None:
                    on_fit(fit)
    warn_of_limits(converged, n_iter, estimator, stacklevel=TO_THE_CALLER_OF_FIT)
    estimator.n_samples_fit_, estimator.classes_ = matrix.shape[0], np.arange(n_labels)
    estimator.coef_, estimator.intercept_, estimator.n_iter_ = coef, intercept, n_iter
    estimator.multilabel_, estimator.converged_ = True, bool(converged.all())
    # Users of one label a row rely on the type that is declared.
    vars(estimator)["certificate_"] = certificates
    # Nothing is left of what the fit to one label a row had before.
    for name in ("history_", "n_passes_"):
        vars(estimator).pop(name, None)
    return estimator


def _fit_each(estimator, matrix, several, sample_weight, C, l1_ratio):
    """Yield the number of each label and its Fit, in any order."""

    def pose_alone(k):
        return Problem(estimator, make_training_data(estimator, matrix, take_label(several, k), sample_weight))

    def fit_alone(k, check=None):
        return pose_alone(k).minimize(C, l1_ratio, on_iteration=check)

    # It raises where X is not finite.
    first, n_labels = pose_alone(0), several.shape[1]
    weights = first.data.weights
    # Class weights differ from label to label.
    if estimator.class_weight is None and suits(first, C, l1_ratio):
        shares = np.array([np.average(take_label(several, k), weights=weights) for k in range(n_labels)])

        def pose(k):
            return Task(take_label(several, k), weights)

        for k, fit in fit_lots(first, pose, np.full(n_labels, C), shares * (1 - shares), reference=weights):
            yield k, fit_alone(k) if fit is None else fit
        return
    is_smooth = l1_ratio == 0 and first.bounds is None
    at_once = count_fits_at_once(matrix, (1, matrix.shape[1] + 1), is_smooth)
    yield from enumerate(run_side_by_side(fit_alone, n_labels, at_once))


def _check_labels(several, sample_weight):
    """Raise a ValueError unless each label has rows of weight with it and without it."""
    weights = None if sample_weight is None else np.asarray(sample_weight)
    is_counted = slice(None) if weights is None or weights.ndim != 1 else weights > 0
    n_with = np.asarray(several[is_counted].sum(axis=0, dtype=np.int64)).ravel()
    n_counted = several.shape[0] if isinstance(is_counted, slice) else np.count_nonzero(is_counted)
    constant = np.flatnonzero((n_with == 0) | (n_with == n_counted))
    if len(constant):
        k = constant[0]
        value = int(n_with[k] > 0)
        raise ValueError(
            f"y has several labels a row, and each must be 0 in some rows and 1 in others, but column {k} of y is "
            f"{value} in all rows that have a weight; leave it out."
        )


def fit_resamples(
    problem: Problem,
    C: float,
    start: tuple[FloatArray, FloatArray],
    curvature: FloatArray,
    tol: float,
    draws: Draws,
    n_resamples: int,
) -> Iterator[tuple[int, Resampled | None]]:
    """Yield the number of each resample of the rows of a problem and its Resampled, in any order, as `fit_lots` does.

    They begin at a start, coef (1, d) and intercept (1,), where the rows have a curvature s p (1 - p), (n,).
    """
    from fastlin.inference.bootstrap import Resampled

    def pose(number):
        return Task(problem.data.labels, next(draws.draw(number)), start)

    Cs, curvatures = np.full(n_resamples, C), np.full(n_resamples, curvature.sum() / problem.data.weigh())
    for number, fit in fit_lots(problem, pose, Cs, curvatures, reference=curvature, tol=tol):
        yield number, None if fit is None else Resampled(fit.coef, fit.intercept, fit.certificate, True)
