"""Many fits to the same X, in batches or in parallel threads.

The fits differ in rows, labels, weights and C. Examples are fits to cross-validation folds, to the labels of multilabel
y, and to bootstrap resamples.
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
from fastlin.estimators.columns import choose_dtype, densify_if_faster, validate_matrix
from fastlin.estimators.fit_reporting import CallbackTasks, combine_listeners, show_fits, warn_of_unconverged_fits
from fastlin.estimators.folds import FitResults, FoldFits, fit_path
from fastlin.estimators.labels import (
    TrainingData,
    choose_labels_and_weights,
    compute_row_weights,
    make_training_data,
    take_label_column,
    validate_labels,
    validate_rows,
)
from fastlin.estimators.linear_predictions import validate_coefficients
from fastlin.estimators.parameters import FIT_STACKLEVEL, limit_jobs, resolve_penalty, uses_alpha
from fastlin.estimators.problem import MAX_OBJECTIVE_ROUNDING_RISE, Fit, Problem, count_concurrent_fits
from fastlin.estimators.scikit_learn import check_parameters, has_callbacks
from fastlin.kernels.machine.threads import run_concurrently
from fastlin.matrices import SparseMatrix
from fastlin.objective.budget import SMALL_HESSIAN_SIZE
from fastlin.objective.coordinates import choose_coordinates
from fastlin.objective.objective import make_penalty_factors
from fastlin.objective.rows import count_coefficient_rows, multiply_weights_by_counts
from fastlin.solvers import row_space_lbfgs
from fastlin.typing import Array, FloatArray, IntArray

if TYPE_CHECKING:
    from fastlin.estimators import LogisticRegression, LogisticRegressionCV
    from fastlin.inference.bootstrap import RefitOptions

# With fewer rows per parameter, resamples differ so much that single fits are faster. With more classes, most of the
# time is spent on pairs of classes (docs/benchmarks/design-choices.md: batched softmax fits).
MIN_ROWS_PER_PARAMETER, MAX_BATCHED_CLASSES = 4, 20

Model = TypeVar("Model", bound="LogisticRegression")
# The starting point of a fit: coef has shape (K, d), and intercept has shape (K,).
StartingPoint: TypeAlias = tuple[FloatArray, FloatArray]


class FitTask(NamedTuple):
    """The labels, weights and starting point of one fit; each class must have rows of positive weight."""

    labels: np.ndarray  # (n,), class indices
    weights: np.ndarray | None = None  # (n,); `fit_in_batches` needs the unit of TrainingData; None means ones
    start: StartingPoint | None = None  # None if the solver chooses it


def can_batch_fits(problem: Problem, C: float, l1_ratio: float) -> bool:
    """Return whether fits to the rows and classes of a problem can be batched."""
    data, factors = problem.data, problem.penalty_factors
    return (
        data.matrix.lies_in_memory
        and problem.estimator.solver == "auto"
        and C < np.inf
        and problem.bounds is None
        and (factors is None or bool((factors > 0).all()))
        and data.targets is None
        and (len(data.classes) == 2 or (l1_ratio == 0 and _can_batch_softmax(data)))
        # L1 models need memory proportional to the square of the number of columns.
        and (l1_ratio == 0 or data.matrix.shape[1] < SMALL_HESSIAN_SIZE)
        # Class weights differ between tasks.
        and getattr(problem.estimator, "class_weight", None) is None
        # Wide data are faster in the space of their rows (docs/benchmarks/design-choices.md: batches of wide rows).
        and not (l1_ratio == 0 and row_space_lbfgs.is_suitable(problem.objective(C, l1_ratio)))
    )


def are_batches_faster(problem: Problem, C: float, l1_ratio: float) -> bool:
    """Return whether fits to many subsets of the rows, for many C, are faster in batches than one at a time."""
    # With fewer rows per column, single fits are faster (docs/benchmarks/design-choices.md: batched L1 fits).
    n_rows, n_columns = problem.data.matrix.shape
    return n_rows >= MIN_ROWS_PER_PARAMETER * n_columns and can_batch_fits(problem, C, l1_ratio)


def _can_batch_softmax(data):
    """Return whether the Hessian of all rows is a good preconditioner for resamples with three or more classes."""
    (n_rows, n_columns), K = data.matrix.shape, len(data.classes)
    has_enough_rows = n_rows >= MIN_ROWS_PER_PARAMETER * K * (n_columns + 1) and K <= MAX_BATCHED_CLASSES
    return has_enough_rows and data.offsets is None and not isinstance(data.matrix, SparseMatrix)


def fit_in_batches(
    problem: Problem,
    make_task: Callable[[int], FitTask],
    Cs: FloatArray,
    l1_ratio: float,
    make_problem: Callable[[int], Problem] | None,
    *,
    curvatures: FloatArray | None = None,
    reference: Array | None = None,
    tol: float | None = None,
    **solver_options: Any,
) -> Iterator[tuple[int, Any]]:
    """Fit many tasks to the rows of a problem; yield the number and the Fit of each task, in any order.

    `make_task` returns the Task with a given number, and `make_problem` returns its Problem. `Cs` has shape (B,) and
    contains the C of each task. `curvatures` has shape (B,) and approximates the sum of the curvatures at each
    solution. None means p (1 - p) of the intercept-only model for two classes. `reference` is passed to
    `minimize_problems`.

    Tasks that cannot be batched or do not converge in a batch run last, in parallel threads. Their Problems are
    minimized with `solver_options`, from the last coefficients of the batch or from the start of the task. Their Fit is
    None if `make_problem` is None.
    """
    # The coefficients from which each unfinished task continues, and its number of iterations so far.
    remaining_problems: dict[int, tuple[StartingPoint | None, int]] = dict.fromkeys(range(len(Cs)), (None, 0))
    # Batched fits that overflow at extreme scales are repeated as single fits.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for number, fit, rise in _fit_batches(problem, make_task, Cs, l1_ratio, curvatures, reference, tol):
            # The increase of J may be NaN.
            if not rise <= max(fit.solution.value, MAX_OBJECTIVE_ROUNDING_RISE):
                continue
            if fit.solution.converged:
                del remaining_problems[number]
                yield number, fit
            elif fit.n_iter < problem.estimator.max_iter:
                remaining_problems[number] = fit.start, fit.n_iter
    numbers = list(remaining_problems)
    if make_problem is None:
        yield from ((number, None) for number in numbers)
    elif numbers:

        def fit_task(index, check):
            number = numbers[index]
            last_coefficients, n_iter_before = remaining_problems[number]
            start = last_coefficients or make_task(number).start
            starts = [start] if start else []
            return make_problem(number).minimize(
                Cs[number], l1_ratio, starts, check, n_iter_before=n_iter_before, **solver_options
            )

        data, is_smooth = problem.data, l1_ratio == 0 and problem.bounds is None
        shape = count_coefficient_rows(len(data.classes)), data.matrix.shape[1] + 1
        n_concurrent_fits = count_concurrent_fits(data.matrix, shape, is_smooth)
        yield from zip(numbers, run_concurrently(fit_task, len(numbers), n_concurrent_fits), strict=True)


def _fit_batches(problem, make_task, Cs, l1_ratio, curvatures, reference, tol):
    """Yield the number of each task that can be batched, its Fit, and the increase of J from rounding coefficients."""
    from fastlin.objective import problem_batch
    from fastlin.solvers.batched_lbfgs import minimize_problems

    estimator, data = problem.estimator, problem.data
    is_finite = Cs < np.inf
    if not (is_finite.any() and can_batch_fits(problem, Cs[is_finite].max(), l1_ratio)):
        return
    if curvatures is None:
        curvatures = np.array([_compute_null_curvature(make_task(number)) for number in range(len(Cs))])
    # A batch starts from the best intercept, which does not exist if a class has no rows of positive weight.
    numbers = np.flatnonzero((curvatures > 0) & is_finite)
    if not len(numbers):
        return
    strengths, total = np.array([problem.convert_between_C_and_penalty(C) for C in Cs[numbers]]), data.sum_weights()
    has_alpha = uses_alpha(estimator)
    K, fit_intercept, l2_ratio = count_coefficient_rows(len(data.classes)), estimator.fit_intercept, 1 - l1_ratio
    factors = make_penalty_factors(problem.penalty_factors, data.matrix.shape[1])
    coordinates = choose_coordinates(problem.columns, l2_ratio * float(strengths.min()), factors, fit_intercept)
    rows = problem_batch.BatchRows(
        data.matrix, coordinates, factors, fit_intercept, offsets=data.offsets, n_rows_coef=K
    )
    dtype, ratios = choose_dtype(data.matrix, estimator.solver), strengths / curvatures[numbers]
    unit_curvatures = rows.thresholds if l1_ratio else rows.unit_curvatures
    penalties = strengths.min() * (l1_ratio or 1.0) * unit_curvatures[: data.matrix.shape[1]]
    tiny = np.finfo(np.float64).tiny
    if not (penalties.min(initial=1.0) >= tiny and ratios.min() >= tiny and ratios.max() < np.inf):
        return
    batch_penalties: dict[int, tuple[float, float]] = {}

    def make_batch_problem(index):
        labels, weights, start = make_task(int(numbers[index]))
        strength = strengths[index] * (1.0 if weights is None or has_alpha else total / weights.sum())
        batch_penalties[index] = l2, l1 = l2_ratio * strength, l1_ratio * strength
        parameters = None if start is None else coordinates.to_parameters(*start).ravel()
        return problem_batch.BatchProblem(labels, l2, weights, parameters, l1)

    tol = estimator.tol if tol is None else tol
    options = {"tol": tol, "max_iter": estimator.max_iter, "has_l1": l1_ratio > 0}
    for index, solution in minimize_problems(rows, make_batch_problem, ratios, reference, **options):
        number = int(numbers[index])
        penalty_strengths = batch_penalties.pop(index)
        coef, intercept, rise = rows.finish(solution.parameters, solution.gradient, *penalty_strengths, dtype)
        yield number, Fit(Cs[number], coef, intercept, solution.certificate + rise, solution), rise


def _compute_null_curvature(task):
    """Return p (1 - p) of the intercept-only model of a task with two classes, or NaN if the total weight is zero."""
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
    tasks: CallbackTasks,
    on_fit: Callable[[Fit], object],
    is_time_over: Callable[[], bool],
) -> None:
    """Fit all folds along the Cs for each l1_ratio, in as many threads as memory allows.

    `training_rows` contains the row indices of each fold, or None for all rows. `fits` stores all results except the
    scores. `on_fit` may be called from any thread. After the time limit, only the fit at the first C of each fold
    continues.
    """
    may_batch_folds = training_rows[0] is not None and estimator.time_limit is None and not has_callbacks(estimator)
    finite_Cs = fits.Cs[fits.Cs < np.inf]
    if may_batch_folds and fits.l1_ratios.all() and data.matrix.lies_in_memory and len(finite_Cs):
        full_problem = Problem(estimator, data)
        # With an L1 penalty, batches are faster (docs/benchmarks/design-choices.md: batched L1 fits).
        if are_batches_faster(full_problem, finite_Cs[-1], fits.l1_ratios[0]):
            _fit_folds_in_batches(full_problem, training_rows, fits, on_fit)
            return
    pairs = list(itertools.product(range(len(training_rows)), range(len(fits.l1_ratios))))

    def fit_fold_path(number, check):
        fold, r = pairs[number]
        # The first fit of each fold always finishes, so that there is a model.
        must_finish_fit = r == 0
        if is_time_over() and not must_finish_fit:
            return
        problem = Problem(estimator, data, training_rows[fold])
        path = tasks.begin_path(number, len(fits.Cs))

        def must_stop_fits(*_):
            return not must_finish_fit and is_time_over()

        callbacks = on_fit, combine_listeners(check, must_stop_fits), partial(tasks.begin_fit, path)
        for c, fit in enumerate(fit_path(problem, fits.Cs, fits.l1_ratios[r], *callbacks, is_model_comparison=True)):
            if fit.solution.converged or not must_stop_fits():
                fits.record((fold, r, c), fit)
                must_finish_fit = False
            if must_stop_fits():
                break
        tasks.end(path)

    shape = count_coefficient_rows(len(data.classes)), data.matrix.shape[1] + 1
    is_smooth = not fits.l1_ratios.any() and estimator.lower_bounds is None and estimator.upper_bounds is None
    n_concurrent_fits = count_concurrent_fits(data.matrix, shape, is_smooth)
    # Threads are used instead of processes, because all fits share X.
    for _ in run_concurrently(fit_fold_path, len(pairs), n_concurrent_fits):
        pass


def _fit_folds_in_batches(full_problem, training_rows, fits, on_fit):
    """Fit all folds and Cs in batches, one l1_ratio at a time."""
    data, n_Cs = full_problem.data, len(fits.Cs)
    Cs = np.tile(fits.Cs, len(training_rows))

    def make_task(number):
        return FitTask(
            data.labels, multiply_weights_by_counts(training_rows[number // n_Cs], data.weights, len(data.labels))
        )

    def make_problem(number):
        return Problem(full_problem.estimator, data, training_rows[number // n_Cs])

    for r, l1_ratio in enumerate(fits.l1_ratios):
        arguments = full_problem, make_task, Cs, l1_ratio, make_problem
        for number, fit in fit_in_batches(*arguments, reference=data.weights, is_model_comparison=True):
            fits.record((number // n_Cs, r, number % n_Cs), fit)
            on_fit(fit)


def fit_multilabel(
    estimator: Model, X: Any, label_indicators: Any, sample_weight: Any, unsupported_arguments: Mapping[str, Any]
) -> Model:
    """Fit a binary model to each label of multilabel y; the arguments in `unsupported_arguments` must be None."""
    check_parameters(estimator)
    for name, value in unsupported_arguments.items():
        if value is not None:
            raise ValueError(f"{name} must be None for multilabel y; fit a separate model to each label instead.")
    if has_callbacks(estimator):
        raise ValueError("Callbacks do not support multilabel y; fit a model to each label, or remove the callbacks.")
    n_labels = label_indicators.shape[1]
    with limit_jobs(estimator.n_jobs):
        matrix = validate_matrix(estimator, X, ensure_all_finite=False, allows_blocks=True)
        if isinstance(X, Blocks):
            _, sample_weight = choose_labels_and_weights(X, None, sample_weight)
        labels = validate_labels(estimator, np.zeros(label_indicators.shape[0], np.int8), matrix.shape[0])
        weights, _ = compute_row_weights(labels, labels, sample_weight, None)
        constant_values = _find_constant_labels(label_indicators, weights)
        fitted = np.flatnonzero(np.isnan(constant_values))
        starts = estimator._choose_starting_points((n_labels, matrix.shape[1]))

        def make_task(index):
            k = fitted[index]
            start = [(coef[k : k + 1], intercept[k : k + 1]) for coef, intercept in starts]
            return FitTask(take_label_column(label_indicators, k), weights, *start)

        fits = _fit_each_task(estimator, matrix, make_task, len(fitted), weights)
    if len(fitted) < n_labels:
        _warn_of_constant_labels(constant_values)
    warn_of_unconverged_fits(fits.converged, fits.n_iter, estimator, stacklevel=FIT_STACKLEVEL)
    estimator.n_samples_fit_, estimator.classes_ = matrix.shape[0], np.arange(n_labels)
    # A constant label has zero coefficients and infinite log odds, with a duality gap of zero.
    estimator.coef_ = np.zeros((n_labels, matrix.shape[1]), fits.coef.dtype)
    estimator.intercept_ = np.where(constant_values > 0, np.inf, -np.inf).astype(fits.coef.dtype)
    estimator.n_iter_, certificates = np.zeros(n_labels, np.int32), np.zeros(n_labels)
    estimator.coef_[fitted], estimator.intercept_[fitted] = fits.coef[:, 0], fits.intercept[:, 0]
    estimator.n_iter_[fitted], certificates[fitted] = fits.n_iter, fits.certificates
    estimator.multilabel_, estimator.converged_ = True, bool(fits.converged.all())
    # The declared type is a float, which is correct for fits with one label per row.
    vars(estimator)["certificate_"] = certificates
    # Remove the attributes of a previous fit with one label per row.
    for name in ("history_", "n_passes_"):
        vars(estimator).pop(name, None)
    return estimator


def pack_fit_task(labels: IntArray, weights: Any = None) -> Callable[[], FitTask]:
    """Return a function that creates a Task. It stores labels as bits, and integer weights in their smallest dtype."""
    n_rows, packed_labels = len(labels), np.packbits(labels.astype(bool))
    if isinstance(weights, np.ndarray) and weights.dtype.kind in "biu" and weights.min(initial=0) >= 0:
        weights = weights.astype(np.min_scalar_type(int(weights.max(initial=0))))

    def unpack_fit_task():
        row_weights = None if weights is None else np.asarray(weights, np.float64)
        return FitTask(np.unpackbits(packed_labels, count=n_rows), row_weights)

    return unpack_fit_task


def fit_tasks(
    estimator: LogisticRegression, X: Any, make_task: Callable[[int], FitTask], n_tasks: int, reference: Any = None
) -> FitResults:
    """Fit an estimator to X for `n_tasks` tasks, and return the Fits.

    `make_task` returns the Task with a given number and must be deterministic. Either all tasks have weights, or none
    has. `reference` is approximately the mean of their weights; None means ones.
    """
    check_parameters(estimator)
    with limit_jobs(estimator.n_jobs):
        matrix, labels, reference = validate_rows(estimator, X, make_task(0).labels, reference)
        reference, _ = compute_row_weights(labels, labels, reference, None)
        fits = _fit_each_task(estimator, matrix, make_task, n_tasks, reference)
    warn_of_unconverged_fits(fits.converged, fits.n_iter, estimator, stacklevel=FIT_STACKLEVEL)
    return fits


def _fit_each_task(estimator, matrix, make_unscaled_task, n_fits, reference):
    """Fit an estimator to the rows of a matrix for `n_fits` tasks, and return the Fits.

    `make_unscaled_task` returns the Task with a given number and the user's weights. `reference` is approximately the
    mean of these weights; None means ones.
    """
    matrix = densify_if_faster(matrix)
    C, l1_ratio = resolve_penalty(estimator)
    if not n_fits:
        labels = np.zeros(matrix.shape[0], np.int32)
        data = TrainingData(matrix, labels, np.arange(2), labels, None, 1.0)
        # Problem raises an error if X is not finite.
        return FitResults((0,), Problem(estimator, data).data, estimator)

    def make_unscaled_problem(labels, weights):
        return Problem(estimator, make_training_data(estimator, matrix, labels, weights))

    # Problem raises an error if X is not finite.
    shared_problem = make_unscaled_problem(make_unscaled_task(0).labels, reference)
    unit = shared_problem.data.weight_unit

    def make_task(k):
        labels, weights, start = make_unscaled_task(k)
        return FitTask(labels, None if weights is None else weights / unit, start)

    def make_problem(k):
        labels, weights, _ = make_unscaled_task(k)
        return make_unscaled_problem(labels, weights)

    fits = FitResults((n_fits,), shared_problem.data, estimator)
    arguments = shared_problem, make_task, np.full(n_fits, C), l1_ratio, make_problem
    with show_fits(estimator, n_fits) as on_fit:
        for k, fit in fit_in_batches(*arguments, reference=shared_problem.data.weights):
            fits.record(k, fit)
            on_fit(fit)
    return fits


def _find_constant_labels(label_indicators, weights):
    """Return the value of each label that is constant in the rows of positive weight, and NaN for other labels."""
    fitted_indicators = label_indicators if weights is None else label_indicators[weights > 0]
    n_ones_per_label, n_rows = (
        np.asarray(fitted_indicators.sum(axis=0, dtype=np.int64)).ravel(),
        fitted_indicators.shape[0],
    )
    return np.where(n_ones_per_label == 0, 0.0, np.where(n_ones_per_label == n_rows, 1.0, np.nan))


def _warn_of_constant_labels(constant_values):
    """Warn about constant labels; the message begins with OneVsRestClassifier's text for the first such label."""
    columns = np.flatnonzero(~np.isnan(constant_values))
    first = f"{'' if constant_values[columns[0]] else 'not '}{columns[0]}"
    warnings.warn(
        f"Label {first} is present in all training examples. {len(columns)} of {len(constant_values)} columns of y "
        f"have the same value in all rows of positive weight: {columns.tolist()!r:.200}. The model predicts this value "
        f"for all rows. Remove these columns, or add rows with both values.",
        UserWarning,
        stacklevel=FIT_STACKLEVEL,
    )


def prepare_refits(estimator: Any, data: TrainingData, C: float, l1_ratio: float) -> RefitOptions:
    """Return the RefitOptions of a fitted estimator for resamples of the rows of `data`, at C and l1_ratio."""
    from fastlin.inference.bootstrap import RefitOptions, ResampleFit, choose_refit_tol

    model = copy(estimator)
    # The tol of other solvers bounds the gradient, but not the distance from the optimum in standard errors.
    model.solver = "auto"
    _, coef, intercept = validate_coefficients(model)

    def make_problem(weights):
        if model.class_weight is None:
            return Problem(model, replace(data, weights=weights))
        # Class weights are recomputed for the resample.
        weights = weights * data.weight_unit
        return Problem(model, make_training_data(model, data.matrix, data.y, weights, data.offsets, data.classes))

    def find(problem, start, tol, check=None):
        fit = problem.minimize(C, l1_ratio, [start], check, tol)
        return ResampleFit(fit.coef, fit.intercept, fit.certificate, fit.solution.converged), fit.solution

    n_rows, n_features = data.matrix.shape
    full_problem = make_problem(np.ones(n_rows) if data.weights is None else data.weights)
    objective = full_problem.objective(C, l1_ratio)
    first, solution = find(full_problem, (coef.astype(np.float64), intercept.astype(np.float64)), model.tol)
    tol = choose_refit_tol(model.tol, solution.value, n_rows)
    best, solution = find(full_problem, (first.coef, first.intercept), tol)
    starting_point = best.coef.astype(np.float64), best.intercept.astype(np.float64)
    point: Any = None
    if objective.stores_probabilities and objective.is_hessian_affordable and not objective.penalty.group_lasso:
        point = objective.at(solution.parameters, out=objective.make_probability_buffer())

    def refit_in_batches(resampler, n_resamples):
        total = full_problem.data.sum_weights()
        if len(point.parameters) == 1:
            (reference,) = point.curvatures()
            curvature_sum = reference.sum() / total
        else:
            # This is the sum over the pairs of classes.
            curvature_sum = 0.5 * sum(class_curvatures.sum() for class_curvatures in point.curvatures()) / total
            reference = point.compute_loss_hessian() / curvature_sum
        Cs, curvatures = np.full(n_resamples, C), np.full(n_resamples, curvature_sum)

        def make_task(number):
            return FitTask(full_problem.data.labels, next(resampler.generate_weights(number)), starting_point)

        arguments = full_problem, make_task, Cs, l1_ratio, None
        for number, fit in fit_in_batches(*arguments, curvatures=curvatures, reference=reference, tol=tol):
            yield number, None if fit is None else ResampleFit(fit.coef, fit.intercept, fit.certificate, True)

    return RefitOptions(
        lambda weights, check: find(make_problem(weights), starting_point, tol, check)[0],
        best,
        point,
        np.append(np.ones(n_features, bool), model.fit_intercept),
        count_concurrent_fits(data.matrix, objective.shape, l1_ratio == 0),
        refit_in_batches if point is not None and can_batch_fits(full_problem, C, l1_ratio) else None,
    )
