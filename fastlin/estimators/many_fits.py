"""Fits of one X that differ in rows, labels, weights and C: side by side on threads, or in batches where these are faster.

The folds of a search are such fits, and so are the labels of rows that have several, and resamples.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

import numpy as np

from fastlin.blocks.blocks import Blocks
from fastlin.budget import SMALL_HESSIAN
from fastlin.estimators.columns import choose_dtype, choose_form, read_matrix
from fastlin.estimators.folds import Fits, FoldFits, fit_along
from fastlin.estimators.labels import (
    TrainingData,
    choose_labels,
    make_training_data,
    read_labels,
    read_rows,
    take_label,
    weigh_rows,
)
from fastlin.estimators.linear_predictions import read_coefficients
from fastlin.estimators.parameters import TO_THE_CALLER_OF_FIT, is_by_alpha, limit_jobs, read_penalty
from fastlin.estimators.problem import LOST, Fit, Problem, count_fits_at_once
from fastlin.estimators.scikit_learn import check_parameters, has_callbacks
from fastlin.estimators.stop_reasons import Tasks, count_fits, tell_all, warn_of_limits
from fastlin.kernels.machine.threads import run_side_by_side
from fastlin.matrices import SparseMatrix
from fastlin.objective.coordinates import choose_coordinates
from fastlin.objective.objective import fill_factors
from fastlin.objective.rows import count_rows_coef, weigh_by_counts
from fastlin.solvers import row_space_lbfgs
from fastlin.typing import Array, FloatArray, IntArray

if TYPE_CHECKING:
    from fastlin.estimators import LogisticRegression, LogisticRegressionCV
    from fastlin.inference.bootstrap import Refits

# With fewer rows for each parameter resamples differ so much that single fits are faster: digits have 2.8 rows, and
# single fits take 0.8 times as long. With more classes their pairs take the time: 40 take as long, 60 1.6 times.
ROWS_PER_PARAMETER, MAX_CLASSES = 4, 20

Model = TypeVar("Model", bound="LogisticRegression")
# coef (K, d) and intercept (K,).
Start: TypeAlias = tuple[FloatArray, FloatArray]


class Task(NamedTuple):
    """The fit of some classes, all of which some rows of weight have."""

    labels: np.ndarray  # (n,), the numbers of classes
    weights: np.ndarray | None = None  # (n,), divided by the unit of TrainingData where fits begin; None for ones
    start: Start | None = None  # None for the solver's choice


def suits(problem: Problem, C: float, l1_ratio: float) -> bool:
    """Say whether fits to the rows of a problem, with its classes each, may be made in batches."""
    data, factors = problem.data, problem.penalty_factors
    return (
        data.matrix.lies_in_memory
        and problem.estimator.solver == "auto"
        and C < np.inf
        and problem.bounds is None
        and (factors is None or bool((factors > 0).all()))
        and data.targets is None
        and (len(data.classes) == 2 or (l1_ratio == 0 and _suits_softmax(data)))
        # Models with L1 take the square of the columns.
        and (l1_ratio == 0 or data.matrix.shape[1] < SMALL_HESSIAN)
        # They differ from task to task.
        and getattr(problem.estimator, "class_weight", None) is None
        # Wide rows are fitted in their own space, 2 to 57 times as fast as in batches.
        and not (l1_ratio == 0 and row_space_lbfgs.suits(problem.objective(C, l1_ratio)))
    )


def suits_parts(problem: Problem, C: float, l1_ratio: float) -> bool:
    """Say whether fits to many parts of the rows of a problem, at many C, are faster in batches than alone."""
    # With L1 and fewer rows for each column single fits take 0.25 to 0.9 of the time.
    n_rows, n_columns = problem.data.matrix.shape
    return n_rows >= ROWS_PER_PARAMETER * n_columns and suits(problem, C, l1_ratio)


def _suits_softmax(data):
    """Say whether the Hessian of the rows, with three or more classes, tells enough of those of resamples."""
    (n_rows, n_columns), K = data.matrix.shape, len(data.classes)
    is_told = n_rows >= ROWS_PER_PARAMETER * K * (n_columns + 1) and K <= MAX_CLASSES
    return is_told and data.offsets is None and not isinstance(data.matrix, SparseMatrix)


def fit_problem_batches(
    problem: Problem,
    pose: Callable[[int], Task],
    Cs: FloatArray,
    l1_ratio: float,
    pose_alone: Callable[[int], Problem] | None,
    *,
    curvatures: FloatArray | None = None,
    reference: Array | None = None,
    tol: float | None = None,
    **hints: Any,
) -> Iterator[tuple[int, Any]]:
    """Yield the number and the Fit of each task, in any order, of fits to the rows of a problem.

    pose returns the task of a number. What has not converged in batches, or does not suit them, comes last, side by side:
    pose_alone returns the Problem of a number, which is minimized with the hints, from where it was left after some
    iterations, or from its own start; without pose_alone its Fit is None. Cs and curvatures (B,) are the tasks' C and
    about the sums of their Points' curvatures; None stands for the mean p (1 - p) of two classes. The reference is that
    of `minimize_all`.
    """
    # From where, and after how many iterations, each task goes on that has no Fit yet.
    left: dict[int, tuple[Start | None, int]] = dict.fromkeys(range(len(Cs)), (None, 0))
    # Overflow at extreme scales is left to single fits.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for number, fit, rise in _try_batched(problem, pose, Cs, l1_ratio, curvatures, reference, tol):
            # It may be NaN.
            if not rise <= max(fit.solution.value, LOST):
                continue
            if fit.solution.converged:
                del left[number]
                yield number, fit
            elif fit.n_iter < problem.estimator.max_iter:
                left[number] = fit.start, fit.n_iter
    numbers = list(left)
    if pose_alone is None:
        yield from ((number, None) for number in numbers)
    elif numbers:

        def fit_alone(position, check):
            number = numbers[position]
            near, n_before = left[number]
            start = near or pose(number).start
            starts = [start] if start else []
            return pose_alone(number).minimize(Cs[number], l1_ratio, starts, check, n_before=n_before, **hints)

        data, is_smooth = problem.data, l1_ratio == 0 and problem.bounds is None
        shape = count_rows_coef(len(data.classes)), data.matrix.shape[1] + 1
        at_once = count_fits_at_once(data.matrix, shape, is_smooth)
        yield from zip(numbers, run_side_by_side(fit_alone, len(numbers), at_once), strict=True)


def _try_batched(problem, pose, Cs, l1_ratio, curvatures, reference, tol):
    """Yield the number of each task that suits batches, its Fit, and by how much the type of coefficients raised J."""
    from fastlin.objective import problem_batch
    from fastlin.solvers.batched_lbfgs import minimize_all

    estimator, data = problem.estimator, problem.data
    is_finite = Cs < np.inf
    if not (is_finite.any() and suits(problem, Cs[is_finite].max(), l1_ratio)):
        return
    if curvatures is None:
        curvatures = np.array([_find_curvature(pose(number)) for number in range(len(Cs))])
    # A class without a row of weight has no best intercept, from which a batch starts.
    numbers = np.flatnonzero((curvatures > 0) & is_finite)
    if not len(numbers):
        return
    strengths, total = np.array([problem.invert(C) for C in Cs[numbers]]), data.weigh()
    has_strength = is_by_alpha(estimator)
    factors, of_l2 = fill_factors(problem.penalty_factors, data.matrix.shape[1]), 1 - l1_ratio
    coordinates = choose_coordinates(problem.columns, of_l2 * float(strengths.min()), factors, estimator.fit_intercept)
    K, fit_intercept = count_rows_coef(len(data.classes)), estimator.fit_intercept
    rows = problem_batch.SharedRows(
        data.matrix, coordinates, factors, fit_intercept, offsets=data.offsets, n_rows_coef=K
    )
    dtype, ratios = choose_dtype(data.matrix, estimator.solver), strengths / curvatures[numbers]
    units = rows.thresholds if l1_ratio else rows.units
    penalties = strengths.min() * (l1_ratio or 1.0) * units[: data.matrix.shape[1]]
    tiny = np.finfo(np.float64).tiny
    if not (penalties.min(initial=1.0) >= tiny and ratios.min() >= tiny and ratios.max() < np.inf):
        return
    posed: dict[int, tuple[float, float]] = {}

    def pose_problem(position):
        labels, weights, start = pose(int(numbers[position]))
        strength = strengths[position] * (1.0 if weights is None or has_strength else total / weights.sum())
        posed[position] = l2, l1 = of_l2 * strength, l1_ratio * strength
        parameters = None if start is None else coordinates.to_parameters(*start).ravel()
        return problem_batch.Problem(labels, l2, weights, parameters, l1)

    given = rows, pose_problem, ratios, reference
    tol = estimator.tol if tol is None else tol
    for position, found in minimize_all(*given, tol=tol, max_iter=estimator.max_iter, has_l1=l1_ratio > 0):
        number = int(numbers[position])
        coef, intercept, rise = rows.finish(found.parameters, found.gradient, *posed.pop(position), dtype)
        yield number, Fit(Cs[number], coef, intercept, found.certificate + rise, found), rise


def _find_curvature(task):
    """Return the mean p (1 - p) of the rows of a task of two classes at the best intercept; NaN without weight."""
    if task.weights is None:
        fraction = np.mean(task.labels)
    else:
        fraction = np.multiply(task.labels, task.weights).sum() / task.weights.sum()
    return fraction * (1 - fraction)


def fit_folds(
    estimator: LogisticRegressionCV,
    data: TrainingData,
    training_rows: Sequence[IntArray | None],
    fits: FoldFits,
    tasks: Tasks,
    on_fit: Callable[[Fit], object],
    is_over: Callable[[], bool],
) -> None:
    """Fit every fold along the Cs for every l1_ratio, as many side by side as threads and memory allow.

    training_rows are the row numbers of each fold, None for all rows. fits are filled but for their scores. on_fit is
    called from any thread. After the time limit only the first C of each fold goes on.
    """
    is_plain = training_rows[0] is not None and estimator.time_limit is None and not has_callbacks(estimator)
    finite = fits.Cs[fits.Cs < np.inf]
    if is_plain and fits.l1_ratios.all() and data.matrix.lies_in_memory and len(finite):
        whole = Problem(estimator, data)
        # Batches take half of the time in the mean, with L1.
        if suits_parts(whole, finite[-1], fits.l1_ratios[0]):
            _fit_batched(whole, training_rows, fits, on_fit)
            return
    pairs = list(itertools.product(range(len(training_rows)), range(len(fits.l1_ratios))))

    def fit_pair(number, check):
        fold, r = pairs[number]
        # Without the first fit of each fold there would be no model.
        is_needed = r == 0
        if is_over() and not is_needed:
            return
        problem = Problem(estimator, data, training_rows[fold])
        path = tasks.begin_path(number, len(fits.Cs))

        def must_end(*_):
            return not is_needed and is_over()

        told = on_fit, tell_all(check, must_end), partial(tasks.begin_fit, path)
        for c, fit in enumerate(fit_along(problem, fits.Cs, fits.l1_ratios[r], *told, is_compared=True)):
            if fit.solution.converged or not must_end():
                fits.record((fold, r, c), fit)
                is_needed = False
            if must_end():
                break
        tasks.end(path)

    shape = count_rows_coef(len(data.classes)), data.matrix.shape[1] + 1
    is_smooth = not fits.l1_ratios.any() and estimator.lower_bounds is None and estimator.upper_bounds is None
    at_once = count_fits_at_once(data.matrix, shape, is_smooth)
    # On threads, since all fits share X.
    for _ in run_side_by_side(fit_pair, len(pairs), at_once):
        pass


def _fit_batched(whole, training_rows, fits, on_fit):
    """Fill the fits of all folds, those with one l1_ratio at once."""
    data, n_Cs = whole.data, len(fits.Cs)
    Cs = np.tile(fits.Cs, len(training_rows))

    def pose(number):
        return Task(data.labels, weigh_by_counts(training_rows[number // n_Cs], data.weights, len(data.labels)))

    def pose_alone(number):
        return Problem(whole.estimator, data, training_rows[number // n_Cs])

    for r, l1_ratio in enumerate(fits.l1_ratios):
        given = whole, pose, Cs, l1_ratio, pose_alone
        for number, fit in fit_problem_batches(*given, reference=data.weights, is_compared=True):
            fits.record((number // n_Cs, r, number % n_Cs), fit)
            on_fit(fit)


def fit_labels(estimator: Model, X: Any, several: Any, sample_weight: Any, given: Mapping[str, Any]) -> Model:
    """Fit an estimator to each label of several a row; given are arguments that such fits do not take."""
    check_parameters(estimator)
    for name, value in given.items():
        if value is not None:
            raise ValueError(f"{name} must be None where y has several labels a row; fit each label alone.")
    if has_callbacks(estimator):
        raise ValueError("Callbacks take fits to one label a row; fit each label alone, or without callbacks.")
    n_labels = several.shape[1]
    with limit_jobs(estimator.n_jobs):
        matrix = read_matrix(estimator, X, ensure_all_finite=False, takes_blocks=True)
        if isinstance(X, Blocks):
            _, sample_weight = choose_labels(X, None, sample_weight)
        labels = read_labels(estimator, np.zeros(several.shape[0], np.int8), matrix.shape[0])
        weights, _ = weigh_rows(labels, labels, sample_weight, None)
        constants = _find_constants(several, weights)
        fitted = np.flatnonzero(np.isnan(constants))
        starts = estimator._starts((n_labels, matrix.shape[1]))

        def take(position):
            k = fitted[position]
            own = [(coef[k : k + 1], intercept[k : k + 1]) for coef, intercept in starts]
            return Task(take_label(several, k), weights, *own)

        fits = _fit_each(estimator, matrix, take, len(fitted), weights)
    if len(fitted) < n_labels:
        _warn_of_constants(constants)
    warn_of_limits(fits.converged, fits.n_iter, estimator, stacklevel=TO_THE_CALLER_OF_FIT)
    estimator.n_samples_fit_, estimator.classes_ = matrix.shape[0], np.arange(n_labels)
    # A label that is constant has no coefficients, and infinite log odds: nothing is left to prove.
    estimator.coef_ = np.zeros((n_labels, matrix.shape[1]), fits.coef.dtype)
    estimator.intercept_ = np.where(constants > 0, np.inf, -np.inf).astype(fits.coef.dtype)
    estimator.n_iter_, certificates = np.zeros(n_labels, np.int32), np.zeros(n_labels)
    estimator.coef_[fitted], estimator.intercept_[fitted] = fits.coef[:, 0], fits.intercept[:, 0]
    estimator.n_iter_[fitted], certificates[fitted] = fits.n_iter, fits.certificates
    estimator.multilabel_, estimator.converged_ = True, bool(fits.converged.all())
    # Users of one label a row rely on the type that is declared.
    vars(estimator)["certificate_"] = certificates
    # Nothing is left of what the fit to one label a row had before.
    for name in ("history_", "n_passes_"):
        vars(estimator).pop(name, None)
    return estimator


def pack(labels: IntArray, weights: Any = None) -> Callable[[], Task]:
    """Return a function that returns a Task, and holds a bit a row for its labels, and a byte for counts up to 255."""
    n_rows, bits = len(labels), np.packbits(labels.astype(bool))
    if isinstance(weights, np.ndarray) and weights.dtype.kind in "biu" and weights.min(initial=0) >= 0:
        weights = weights.astype(np.min_scalar_type(int(weights.max(initial=0))))

    def unpack():
        given = None if weights is None else np.asarray(weights, np.float64)
        return Task(np.unpackbits(bits, count=n_rows), given)

    return unpack


def fit_tasks(
    estimator: LogisticRegression, X: Any, pose: Callable[[int], Task], n_tasks: int, reference: Any = None
) -> Fits:
    """Return the Fits of an estimator to rows of X; pose returns the task of a number, the same whenever it is asked.

    Either all tasks have weights, or none. The reference is about their mean, None for ones.
    """
    check_parameters(estimator)
    with limit_jobs(estimator.n_jobs):
        matrix, labels, reference = read_rows(estimator, X, pose(0).labels, reference)
        reference, _ = weigh_rows(labels, labels, reference, None)
        fits = _fit_each(estimator, matrix, pose, n_tasks, reference)
    warn_of_limits(fits.converged, fits.n_iter, estimator, stacklevel=TO_THE_CALLER_OF_FIT)
    return fits


def _fit_each(estimator, matrix, take, n_fits, reference):
    """Return the Fits to the rows of a matrix; take gives the Task of each, with weights as they were given.

    The reference is about the mean of the weights, None for ones.
    """
    matrix = choose_form(matrix)
    C, l1_ratio = read_penalty(estimator)
    if not n_fits:
        labels = np.zeros(matrix.shape[0], np.int32)
        data = TrainingData(matrix, labels, np.arange(2), labels, None, 1.0)
        # It raises where X is not finite.
        return Fits((0,), Problem(estimator, data).data, estimator)

    def pose_as_given(labels, weights):
        return Problem(estimator, make_training_data(estimator, matrix, labels, weights))

    # It raises where X is not finite.
    shared = pose_as_given(take(0).labels, reference)
    unit = shared.data.weight_unit

    def pose(k):
        labels, weights, start = take(k)
        return Task(labels, None if weights is None else weights / unit, start)

    def pose_alone(k):
        labels, weights, _ = take(k)
        return pose_as_given(labels, weights)

    fits = Fits((n_fits,), shared.data, estimator)
    given = shared, pose, np.full(n_fits, C), l1_ratio, pose_alone
    with count_fits(estimator, n_fits) as on_fit:
        for k, fit in fit_problem_batches(*given, reference=shared.data.weights):
            fits.record(k, fit)
            on_fit(fit)
    return fits


def _find_constants(several, weights):
    """Return (n_labels,): the value of each label that is the same in all rows of weight, NaN for other labels."""
    counted = several if weights is None else several[weights > 0]
    n_with, n_counted = np.asarray(counted.sum(axis=0, dtype=np.int64)).ravel(), counted.shape[0]
    return np.where(n_with == 0, 0.0, np.where(n_with == n_counted, 1.0, np.nan))


def _warn_of_constants(constants):
    """Warn of labels that are constant, in the words of OneVsRestClassifier for the first of them."""
    columns = np.flatnonzero(~np.isnan(constants))
    first = f"{'' if constants[columns[0]] else 'not '}{columns[0]}"
    warnings.warn(
        f"Label {first} is present in all training examples. Columns of y with the same value in all rows "
        f"that have a weight, {len(columns)} of {len(constants)}: {columns.tolist()!r:.200}. The model predicts that "
        f"value for every row. Leave such columns out, or give rows with both values.",
        UserWarning,
        stacklevel=TO_THE_CALLER_OF_FIT,
    )


def prepare_refits(estimator: Any, data: TrainingData, C: float, l1_ratio: float) -> Refits:
    """Return the function that fits resamples of the rows of data at C and l1_ratio, from a fitted estimator on."""
    from fastlin.inference.bootstrap import Refits, ResampleFit, choose_tol

    model = copy(estimator)
    # Other solvers ask for a small gradient, which tells no distance in standard errors.
    model.solver = "auto"
    _, coef, intercept = read_coefficients(model)

    def make_problem(weights):
        if model.class_weight is None:
            return Problem(model, replace(data, weights=weights))
        # Class weights follow from the rows of the resample.
        weights = weights * data.weight_unit
        return Problem(model, make_training_data(model, data.matrix, data.y, weights, data.offsets, data.classes))

    def find(problem, start, tol, check=None):
        fit = problem.minimize(C, l1_ratio, [start], check, tol)
        return ResampleFit(fit.coef, fit.intercept, fit.certificate, fit.solution.converged), fit.solution

    n_rows, n_features = data.matrix.shape
    whole = make_problem(np.ones(n_rows) if data.weights is None else data.weights)
    objective = whole.objective(C, l1_ratio)
    first, solution = find(whole, (coef.astype(np.float64), intercept.astype(np.float64)), model.tol)
    tol = choose_tol(model.tol, solution.value, n_rows)
    best, solution = find(whole, (first.coef, first.intercept), tol)
    origin = best.coef.astype(np.float64), best.intercept.astype(np.float64)
    point: Any = None
    if objective.keeps_probabilities and objective.affords_hessian and not objective.penalty.group_lasso:
        point = objective.at(solution.parameters, out=objective.make_buffer())

    def fit_batched(draws, n_resamples):
        total = whole.data.weigh()
        if len(point.parameters) == 1:
            (reference,) = point.curvatures()
            curvature = reference.sum() / total
        else:
            # The sum over the pairs of classes.
            curvature = 0.5 * sum(each.sum() for each in point.curvatures()) / total
            reference = point.hessian_of_loss() / curvature
        Cs, curvatures = np.full(n_resamples, C), np.full(n_resamples, curvature)
        given = whole, lambda number: Task(whole.data.labels, next(draws.draw(number)), origin), Cs, l1_ratio, None
        for number, fit in fit_problem_batches(*given, curvatures=curvatures, reference=reference, tol=tol):
            yield number, None if fit is None else ResampleFit(fit.coef, fit.intercept, fit.certificate, True)

    return Refits(
        lambda weights, check: find(make_problem(weights), origin, tol, check)[0],
        best,
        point,
        np.append(np.ones(n_features, bool), model.fit_intercept),
        count_fits_at_once(data.matrix, objective.shape, l1_ratio == 0),
        fit_batched if point is not None and suits(whole, C, l1_ratio) else None,
    )
