"""Quadratic models of a penalized objective around a point, minimized by coordinate descent."""

from __future__ import annotations

from itertools import islice
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from fastlin.kernels.linear.coordinate_descent import (
    DescentState,
    ModelArrays,
    WorkingColumns,
    descend_by_columns,
    descend_by_hessian,
    fill_block_curvatures,
)
from fastlin.kernels.linear.operands import Curvature
from fastlin.kernels.machine.cholesky import factorize_block, remove_row, solve_block
from fastlin.kernels.machine.threads import count_blocks, run_blocks
from fastlin.objective.conjugate_gradients import iterate_conjugate_gradients
from fastlin.objective.rounding import UNIT_ROUNDOFF
from fastlin.solvers.tuning import (
    COORDINATE_WORK,
    INNER_TOL,
    MIN_INNER_TOL,
    N_CHEAP_STEPS,
    NUMPY_CALL_WORK,
    RIDGE,
    SLOW_OPERATION_WORK,
)
from fastlin.typing import BoolArray, FloatArray, FloatType

if TYPE_CHECKING:
    from fastlin.objective.penalty import Penalty
    from fastlin.objective.point import Point

# The maximum number of Hessian products per Newton step of a ColumnModel. One-hot columns take 18 on average.
MAX_HESSIAN_PRODUCTS = 30


def _alternate_full_and_active_sweeps(sweep, accuracy, newton_step=None, n_sweeps=N_CHEAP_STEPS):
    """Alternate sweeps over all coordinates and over the active coordinates. Return the decrease of the model.

    The function stops if a sweep over all coordinates gains at most the fraction `accuracy` of the total decrease.
    `sweep` makes a sweep; its argument is true for a sweep over the active coordinates. After `n_sweeps` such sweeps,
    `newton_step` takes a Newton step of the active coordinates. Both return the decrease.
    """
    total = 0.0
    for _ in range(N_CHEAP_STEPS):
        gain = sweep(False)
        total += gain
        if gain <= accuracy * total:
            break
        for _ in range(n_sweeps):
            gain = sweep(True)
            total += gain
            if gain <= INNER_TOL * accuracy * total:
                break
        else:
            total += newton_step() if newton_step is not None else 0.0
    return total


class HessianModel:
    """The model of all coordinates around a point, with the Hessian at `curvature_point` or from `reused_model`.

    The fraction `mixing_fraction` of the curvature at equal probabilities is added to the diagonal of the block of each
    pair of classes. `is_reused` is true if the Hessian belongs to another point. `is_sampled` is true if the Hessian is
    a sum over a sample of the rows.
    """

    def __init__(
        self,
        point: Point,
        curvature_point: Point,
        reused_model: HessianModel | None = None,
        mixing_fraction: float = 0.0,
    ) -> None:
        self._point = point
        objective, K = point.objective, len(point.parameters)
        self._loss_hessian: FloatArray = (
            curvature_point.compute_loss_hessian() if reused_model is None else reused_model._loss_hessian
        )
        self._hessian_parameters: FloatArray = (
            point.parameters if reused_model is None else reused_model._hessian_parameters
        )
        self._hessian = self._loss_hessian + np.diag(np.tile(objective.penalty.curvatures, K))
        if mixing_fraction:
            equal_probability_curvature = np.eye(K) / K - 1 / K**2 if K > 1 else np.full((1, 1), 0.25)
            squares = objective.coordinates.mean_squares.copy()
            squares[-1] = objective.fit_intercept
            blocked_hessian = self._hessian.reshape(*point.parameters.shape, *point.parameters.shape)
            np.einsum("kjlj->klj", blocked_hessian)[...] += (
                mixing_fraction * equal_probability_curvature[:, :, None] * squares
            )
        self._parameters, self._slopes = point.parameters.ravel().copy(), point.gradient.ravel().copy()
        self.is_reused = reused_model is not None and not self.has_hessian_at(point)
        self.is_sampled: bool = reused_model.is_sampled if reused_model is not None else curvature_point is not point

    def has_hessian_at(self, point: Point) -> bool:
        """Return whether the Hessian was computed at the point."""
        return bool((self._hessian_parameters == point.parameters).all())

    def minimize(self, accuracy: float, penalty: Penalty | None = None) -> FloatArray:
        """Return an approximate minimizer (K, d + 1) of the model.

        The result misses at most about the fraction `accuracy` of the possible decrease. The descent continues from the
        previous result. `penalty`, if given, replaces the penalty of the objective; only its thresholds may differ.
        """
        point, parameters, slopes = self._point, self._parameters, self._slopes
        penalty = point.objective.penalty if penalty is None else penalty
        n_classes = len(point.parameters)

        def sweep(should_skip_inactive):
            return descend_by_hessian(
                self._hessian, slopes, penalty.arrays, n_classes, should_skip_inactive, parameters
            )

        min_model_decrease = UNIT_ROUNDOFF * abs(point.value)

        def newton_step():
            return minimize_active_set(self._hessian, penalty, parameters, slopes, min_model_decrease)

        _alternate_full_and_active_sweeps(sweep, MIN_INNER_TOL**2 * accuracy, newton_step, 4 * N_CHEAP_STEPS)
        return parameters.reshape(point.parameters.shape).copy()


class ColumnModel:
    """The model of a working set (K, d) of coordinates around a point, computed from the columns of X.

    The fraction `mixing_fraction` of equal probabilities is mixed into the probabilities of `curvature_point`. With a
    grouped penalty, the working set must contain the same features for all classes. Columns and scores are computed in
    `precision`.
    """

    # A ColumnModel belongs to one point.
    is_reused = False
    work = 0  # the approximate number of multiply-adds of the sweeps and products

    def __init__(
        self,
        point: Point,
        curvature_point: Point,
        working_set: BoolArray,
        precision: FloatType,
        mixing_fraction: float = 0.0,
    ) -> None:
        self._point, self.is_sampled = point, curvature_point is not point
        # The order by feature keeps a column in the cache for all classes. The copies are contiguous. NumPy's own
        # arrays are strided, except for a single coordinate, so Numba would compile two versions.
        features, classes = map(np.ascontiguousarray, np.nonzero(working_set.T))
        used_features = np.flatnonzero(working_set.any(axis=0))
        transposed, row_weights, probabilities = _read_columns(
            curvature_point, precision, used_features, is_row_sample=curvature_point is not point
        )
        coordinates = point.objective.coordinates
        scale = coordinates.scale / transposed.scale
        # Entries of sparse columns are not centered. The step of the intercept corrects for the omitted shifts.
        self._omitted_shifts = np.where(transposed.positions < 0, coordinates.shift, 0)
        shift = coordinates.shift - scale * transposed.shift - self._omitted_shifts
        self._columns = WorkingColumns(
            transposed.panel,
            transposed.positions,
            transposed.starts,
            transposed.indices,
            transposed.values,
            scale.astype(precision),
            shift.astype(precision),
            features,
            classes,
        )
        if mixing_fraction:
            equal_probability = probabilities.dtype.type(mixing_fraction / max(2, len(probabilities)))
            probabilities = probabilities * probabilities.dtype.type(1 - mixing_fraction) + equal_probability
        row_curvatures = row_weights * probabilities * (1 - probabilities)
        self._row_curvature_sums = row_curvatures.sum(axis=1, dtype=np.float64)
        self._intercept_curvatures = point.objective.fit_intercept * self._row_curvature_sums
        # For two classes, storing the curvatures halves the memory traffic of a sweep.
        self._curvature = Curvature(row_weights, row_curvatures if len(row_curvatures) == 1 else probabilities)
        self._curvatures = np.empty(len(features))
        means = np.zeros(0 if len(probabilities) == 1 else len(row_weights), row_weights.dtype)
        expansion_point = point.parameters[classes, features]
        self._descent_state = DescentState(
            expansion_point, np.zeros(len(probabilities)), np.zeros_like(probabilities), means
        )
        # Sparse columns require gathers. Dense columns are read sequentially.
        lengths = np.where(
            transposed.positions < 0, SLOW_OPERATION_WORK * np.diff(transposed.starts), 2 * len(row_weights)
        )
        self._visit_work = COORDINATE_WORK + lengths[features]
        entries = 2 * point.objective.matrix.n_entries + SLOW_OPERATION_WORK * point.objective.n_rows
        self._product_work = NUMPY_CALL_WORK + len(probabilities) * entries
        self._n_sweeps = self._count_sweeps(mixing_fraction)
        work = max(len(transposed.panel) * len(row_weights), len(transposed.indices)) // max(1, len(scale))
        n_blocks = count_blocks(len(features), row_work=work)
        run_blocks(fill_block_curvatures, n_blocks, self._columns, row_curvatures, self._curvatures)

    def estimate_hessian_diagonal(self) -> FloatArray:
        """Return an estimate of the diagonal (K, d + 1) of the Hessian, in which sparse columns are not centered."""
        objective = self._point.objective
        diagonal = np.outer(self._row_curvature_sums, objective.coordinates.mean_squares)
        diagonal[self._columns.classes, self._columns.features] = self._curvatures
        diagonal[:, -1] = self._intercept_curvatures
        return diagonal + objective.penalty.curvatures

    def _count_sweeps(self, mixing_fraction):
        """Return how many sweeps over the active coordinates precede a Newton step.

        They cost as much as the Newton step, and there are at least N_CHEAP_STEPS of them. The result is 0 if Newton
        steps are too expensive or the model does not allow them.
        """
        objective = self._point.objective
        allows_newton = not (mixing_fraction or objective.penalty.group_lasso or objective.penalty.box is not None)
        if self.is_sampled or not (allows_newton and objective.matrix.lies_in_memory):
            return 0
        is_active = self._point.parameters[self._columns.classes, self._columns.features] != 0
        sweep_work = int(self._visit_work[is_active].sum())
        n_sweeps = max(N_CHEAP_STEPS, MAX_HESSIAN_PRODUCTS * self._product_work // max(1, sweep_work))
        return n_sweeps if n_sweeps <= 4 * N_CHEAP_STEPS else 0

    def minimize(self, accuracy: float, penalty: Penalty | None = None) -> FloatArray:
        """Return an approximate minimizer (K, d + 1) over the working set.

        The result misses at most about the fraction `accuracy` of the possible decrease. The descent continues from the
        previous result. `penalty`, if given, replaces the penalty of the objective; only its thresholds may differ.
        """
        point, state = self._point, self._descent_state
        penalty = point.objective.penalty if penalty is None else penalty
        features, classes = self._columns.features, self._columns.classes
        intercept_gradient = point.gradient[:, -1].copy()
        gradient = point.gradient[classes, features]
        gradient -= intercept_gradient[classes] * self._omitted_shifts[features]
        expansion_point = point.parameters[classes, features]
        model = ModelArrays(gradient, self._curvatures, expansion_point, intercept_gradient, self._intercept_curvatures)
        sweep_work = int(self._visit_work.sum())

        def sweep(should_skip_inactive):
            self.work += sweep_work
            return descend_by_columns(
                self._columns, self._curvature, penalty.arrays, model, should_skip_inactive, state
            )

        def compute_end_parameters():
            end = point.parameters.copy()
            end[classes, features] = state.parameters
            end[:, -1] += state.intercept_steps
            np.subtract.at(end[:, -1], classes, (state.parameters - expansion_point) * self._omitted_shifts[features])
            return end

        def newton_step():
            return self._take_newton_step(compute_end_parameters(), state, penalty)

        # Far from the minimum of J, the model is inaccurate, so low accuracy is sufficient.
        if self._n_sweeps and accuracy <= INNER_TOL**2:
            _alternate_full_and_active_sweeps(sweep, accuracy, newton_step, self._n_sweeps)
        else:
            _alternate_full_and_active_sweeps(sweep, accuracy)
        return compute_end_parameters()

    def _take_newton_step(self, start, state, penalty):
        """Move along a Newton step of the active coordinates while the model decreases. Return the decrease.

        Conjugate gradients compute the step for fixed signs. Along each iterate, the curvature equals minus the slope.
        Unlike sweeps, which converge slowly for correlated columns, the step solves for such columns simultaneously.
        One-hot columns with an intercept are an example.
        """
        point, rows = self._point, self._point.objective.rows
        features, classes, probabilities = self._columns.features, self._columns.classes, self._curvature.probabilities
        curvatures = np.zeros(start.shape)
        curvatures[classes, features] = self._curvatures + penalty.curvatures[features]
        curvatures[:, -1] = self._intercept_curvatures
        is_active = (curvatures > 0) & ((start != 0) | (penalty.thresholds == 0))
        slopes = point.gradient + point.hessian_product(start - point.parameters)
        subgradient = np.where(is_active, slopes + penalty.thresholds * np.sign(start), 0.0)

        def multiply(direction):
            self.work += self._product_work
            return np.where(is_active, point.hessian_product(direction), 0.0)

        iterates = iterate_conjugate_gradients(
            multiply,
            -subgradient,
            lambda residual: np.divide(residual, curvatures, out=np.zeros(start.shape), where=is_active),
        )
        current_iterate = next(iterates)
        min_residual_square = INNER_TOL**6 * current_iterate.square
        for current_iterate in islice(iterates, MAX_HESSIAN_PRODUCTS):
            if not current_iterate.square > min_residual_square:
                break
        step = current_iterate.solution
        lengths_to_corners = _measure_lengths(start, step, 0.0, (start * step < 0) & (penalty.thresholds > 0))
        curvature, rises = -float(np.sum(subgradient * step)), 2 * penalty.thresholds * np.abs(step)
        length, decrease, _ = _search_over_signs(curvature, lengths_to_corners.ravel(), rises.ravel(), 1.0)
        if not decrease > 0:
            return 0.0
        change = np.where(lengths_to_corners == length, 0.0, start + length * step) - start
        scores = rows.passes.compute_scores(change).T
        indices = rows.row_indices if len(rows.row_indices) else slice(None)
        rows.add_to_pass_counter()
        if len(state.means):
            state.scores[:, indices] += scores
            state.means[indices] += np.einsum("ki,ki->i", probabilities[:, indices], scores)
        else:
            state.scores[:, indices] += probabilities[:, indices] * scores
        moved = change[classes, features]
        state.parameters[:] += moved
        state.intercept_steps[:] += change[:, -1]
        np.add.at(state.intercept_steps, classes, moved * self._omitted_shifts[features])
        return decrease


def _read_columns(point, precision, features, is_row_sample):
    """Return the columns of X, and the weights (m,) and probabilities (K, m) of the rows.

    The m rows are a copy of a small sample, or all rows of X. In the latter case, rows outside the sums have zero
    weight.
    """
    rows = point.objective.rows
    weights = np.broadcast_to(rows.get_weights(rows.row_indices), rows.n_rows) / rows.total_weight
    n = rows.matrix.shape[0]
    is_copied = is_row_sample and rows.matrix.should_copy_rows(rows.row_indices)
    if is_copied or not len(rows.row_indices):
        matrix = rows.matrix.take(rows.row_indices) if is_copied else rows.matrix
        probabilities = np.ascontiguousarray(point.probabilities, precision)
        return matrix.transposed(precision, features), weights.astype(precision), probabilities
    matrix_row_weights, probabilities = np.zeros(n, precision), np.zeros((rows.n_rows_coef, n), precision)
    # The weight of a row is multiplied by the number of times that its index occurs.
    np.add.at(matrix_row_weights, rows.row_indices, weights)
    probabilities[:, rows.row_indices] = point.probabilities
    return rows.matrix.transposed(precision, features), matrix_row_weights, probabilities


def minimize_active_set(
    hessian: FloatArray, penalty: Penalty, parameters: FloatArray, slopes: FloatArray, min_model_decrease: float = 0.0
) -> float:
    """Minimize the model over the active set, and return the decrease. Parameters at zero or at a bound are fixed.

    `hessian` (p, p) is the Hessian of the smooth part, ordered by class and then by feature. `parameters` (p,) and
    `slopes` (p,), the gradient of the smooth part, are updated. Group steps stop after a step that gains at most
    `min_model_decrease`.
    """
    has_curvature = np.diagonal(hessian) > 0
    if penalty.group_lasso:
        return _minimize_over_groups(hessian, penalty.thresholds, has_curvature, parameters, slopes, min_model_decrease)
    return _minimize_with_signs(hessian, penalty.thresholds, has_curvature, parameters, slopes, penalty.box)


def _minimize_with_signs(hessian, thresholds, has_curvature, parameters, slopes, box):
    """Minimize over the nonzero parameters by Newton steps, with their signs held fixed.

    This is feature-sign search (Lee, Battle, Raina and Ng 2006, algorithm 1). A step may cross zeros while the model
    decreases. If a parameter is zero or at a bound after a step, it is fixed, and its row is removed from the factor.
    """
    thresholds = np.resize(thresholds, len(parameters))
    bounds = None if box is None else np.stack([box.parameter_lower_bounds.ravel(), box.parameter_upper_bounds.ravel()])
    lower, upper = (-np.inf, np.inf) if bounds is None else bounds
    is_active = ((parameters != 0) | (thresholds == 0)) & has_curvature & (lower < parameters) & (parameters < upper)
    active = np.flatnonzero(is_active)
    if not len(active):
        return 0.0
    thresholds, start, free_indices = thresholds[active], parameters[active], np.arange(len(active))
    current_parameters, active_slopes, total = start.copy(), slopes[active], 0.0
    factor = _factorize(hessian[np.ix_(active, active)])
    for _ in range(N_CHEAP_STEPS**2):
        sizes = thresholds[free_indices]
        subgradient = active_slopes[free_indices] + sizes * np.sign(current_parameters[free_indices])
        step = _solve(factor, len(free_indices), subgradient)
        lengths_to_zero = _measure_lengths(
            current_parameters[free_indices], step, 0.0, (current_parameters[free_indices] * step < 0) & (sizes > 0)
        )
        max_length = 1.0
        if bounds is not None:
            ends = bounds[(step > 0).astype(int), active[free_indices]]
            lengths_to_bounds = _measure_lengths(
                current_parameters[free_indices], step, ends, np.isfinite(ends) & (step != 0)
            )
            max_length = min(lengths_to_bounds.min(), 1.0)
        curvature, rises = -float(np.sum(subgradient * step)), 2 * sizes * np.abs(step)
        length, decrease, n_sign_changes = _search_over_signs(curvature, lengths_to_zero, rises, max_length)
        if not decrease > 0:
            break
        total += decrease
        active_slopes[free_indices] -= length * subgradient
        is_fixed_parameter = lengths_to_zero == length
        current_parameters[free_indices] = np.where(
            is_fixed_parameter, 0.0, current_parameters[free_indices] + length * step
        )
        if bounds is not None:
            current_parameters[free_indices] = np.where(
                lengths_to_bounds == length, ends, current_parameters[free_indices]
            )
            is_fixed_parameter |= lengths_to_bounds == length
        for n_removed_rows, position in enumerate(np.flatnonzero(is_fixed_parameter)[::-1]):
            remove_row(factor, len(free_indices) - n_removed_rows, position)
        free_indices = free_indices[~is_fixed_parameter]
        if not (n_sign_changes or is_fixed_parameter.any()) or not len(free_indices):
            break
    parameters[active] = current_parameters
    slopes += np.einsum("ij,j->i", hessian[:, active], current_parameters - start)
    return total


def _measure_lengths(start, step, ends, may_reach_end):
    """Return the fraction of the step at which each parameter reaches its end; infinity if it does not."""
    return np.divide(ends - start, step, out=np.full_like(step, np.inf), where=may_reach_end)


def _search_over_signs(curvature, lengths_to_corners, rises, max_length):
    """Return the length to the minimum along a Newton step, the decrease, and the number of signs that change.

    The slope is minus `curvature` at the start of the step, and increases by `curvature` along the full step. At each
    of the `lengths_to_corners`, where a parameter crosses zero, the slope jumps by an entry of `rises`. The ridge of
    the factorization makes steps shorter, so the decrease is not overestimated.
    """
    if not curvature > 0:
        return 0.0, 0.0, 0
    order = np.flatnonzero(lengths_to_corners <= max_length)
    order = order[np.argsort(lengths_to_corners[order], kind="stable")]
    lengths_to_corners, segment_slopes = lengths_to_corners[order], np.append(0.0, np.cumsum(rises[order])) - curvature
    n_sign_changes = int(np.argmax(np.append(segment_slopes[1:] + curvature * lengths_to_corners >= 0, True)))
    length = min(-segment_slopes[n_sign_changes] / curvature, np.append(lengths_to_corners, max_length)[n_sign_changes])
    sign_change_cost = float(np.sum(rises[order[:n_sign_changes]] * (length - lengths_to_corners[:n_sign_changes])))
    return length, curvature * length * (1 - 0.5 * length) - sign_change_cost, n_sign_changes


def _minimize_over_groups(hessian, thresholds, has_curvature, parameters, slopes, min_model_decrease):
    """Minimize over the nonzero groups by Newton steps that include the curvature of the group norms."""
    shape = (-1, len(thresholds))
    has_curvature = has_curvature.reshape(shape).all(axis=0)
    total, n_steps_left, is_last_step = 0.0, None, False
    while not is_last_step and n_steps_left != 0:
        is_active = ((parameters.reshape(shape) != 0) | (thresholds == 0)).any(axis=0) & has_curvature
        active = np.flatnonzero(np.broadcast_to(is_active, parameters.reshape(shape).shape))
        if not len(active):
            break
        if n_steps_left is None:
            # The steps may cost as much as the sweeps over the active coordinates, but one step is always allowed.
            work = len(active) ** 3 / 3 + len(active) ** 2 + NUMPY_CALL_WORK
            n_steps_left = max(1, int(N_CHEAP_STEPS**2 * hessian.size / work))
        block, start = hessian[np.ix_(active, active)], parameters[active]
        end, decrease, is_last_step = _take_group_step(block, slopes[active], start, thresholds[is_active])
        if not decrease > 0:
            break
        parameters[active] = end
        slopes += np.einsum("ij,j->i", hessian[:, active], end - start)
        total += decrease
        # Steps in which a small group becomes zero do not count towards the limit, because one of two copies of a
        # column is often small.
        if np.count_nonzero(end) >= np.count_nonzero(start):
            n_steps_left -= 1
            is_last_step |= decrease <= min_model_decrease
    return total


def _take_group_step(block, slopes, start, thresholds):
    """Return the minimizer along a Newton step, the decrease, and whether this step is the last one."""
    slopes, start = slopes.reshape(-1, len(thresholds)), start.reshape(-1, len(thresholds))
    n_classes = len(start)
    norms = _compute_norms(start)
    unit_vectors = np.divide(start, norms, out=np.zeros_like(start), where=norms > 0)
    with np.errstate(over="ignore"):
        threshold_ratios = np.divide(thresholds, norms, out=np.zeros_like(norms), where=norms > 0)
    penalized_hessian = block.copy().reshape(*start.shape, *start.shape)
    features = np.arange(start.shape[1])
    penalized_hessian[:, features, :, features] += threshold_ratios[:, None, None] * (
        np.eye(n_classes) - unit_vectors.T[:, :, None] * unit_vectors.T[:, None, :]
    )
    norm_slopes = thresholds * unit_vectors
    factor = _factorize(penalized_hessian.reshape(block.shape))
    step = _solve(factor, len(block), (slopes + norm_slopes).ravel()).reshape(start.shape)
    predicted_decrease = -0.5 * float(np.sum((slopes + norm_slopes) * step))
    slope, curvature = float(np.sum(slopes * step)), _multiply(step.ravel(), block, step.ravel())

    def rise(length):
        end = start + length * step
        ends = _compute_norms(end)
        rises = np.divide(np.einsum("kj,kj->j", end, step), ends, out=np.zeros_like(ends), where=ends > 0)
        return slope + curvature * length + float(np.sum(thresholds * rises))

    def compute_change(end):
        change, sums = end - start, norms + _compute_norms(end)
        # The difference of two norms is computed without cancellation.
        norm_changes = np.divide(
            np.einsum("kj,kj->j", change, start + end), sums, out=np.zeros_like(sums), where=sums > 0
        )
        smooth_change = float(np.sum(slopes * change)) + 0.5 * _multiply(change.ravel(), block, change.ravel())
        return smooth_change + float(np.sum(thresholds * norm_changes))

    # The model is flat at its minimum, so half of the digits of the length are enough. The length may be as small as
    # 1e-9 if only the norms have curvature.
    lower_length, length = 0.0 if rise(1.0) > 0 else 1.0, 1.0
    while length - lower_length > sqrt(UNIT_ROUNDOFF) * length > 0:
        middle = 0.5 * (lower_length + length)
        lower_length, length = (middle, length) if rise(middle) < 0 else (lower_length, middle)
    end = start + length * step
    change = compute_change(end)
    end_with_zeroed_groups = np.where((_compute_norms(end) < INNER_TOL * norms) & (thresholds > 0), 0.0, end)
    change_with_zeroed_groups = compute_change(end_with_zeroed_groups)
    is_full_step = length > 1 - MIN_INNER_TOL
    if (end_with_zeroed_groups != end).any() and change_with_zeroed_groups <= 0.5 * change:
        end, change, is_full_step = end_with_zeroed_groups, change_with_zeroed_groups, False
    return (
        end.ravel(),
        -change,
        is_full_step and abs(-change - predicted_decrease) <= MIN_INNER_TOL * predicted_decrease,
    )


def _factorize(block):
    """Return the packed Cholesky factor of a symmetric matrix (m, m)."""
    factors = np.empty((1, len(block) * (len(block) + 1) // 2))
    factorize_block(0, 1, block[None], RIDGE[np.float64], factors)
    return factors[0]


def _solve(factor, size, slopes):
    """Return the Newton step -A^-1 slopes, given the factor of A (size, size)."""
    step = -slopes[None]
    solve_block(0, 1, factor[None, : size * (size + 1) // 2], step)
    return step[0]


def _multiply(left_vector, matrix, right_vector):
    return float(np.sum(left_vector * np.einsum("ij,j->i", matrix, right_vector)))


def _compute_norms(vectors):
    """Return the norm over the classes for each of m features. `vectors` has shape (K, m)."""
    return np.sqrt(np.einsum("kj,kj->j", vectors, vectors))
