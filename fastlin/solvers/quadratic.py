"""Quadratic models of a penalized objective around a point, and where they are least by coordinate descent."""

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
from fastlin.objective.conjugate_gradients import iterate
from fastlin.objective.rounding import UNIT_ROUNDOFF
from fastlin.solvers.tuning import CALLS_WORK, INNER_ACCURACY, MIN_ACCURACY, ROUNDING, ROUNDS, SLOW_WORK, VISIT_WORK
from fastlin.typing import BoolArray, FloatArray, FloatType

if TYPE_CHECKING:
    from fastlin.objective.penalty import Penalty
    from fastlin.objective.point import Point

# Products with the Hessian that a leap among coordinates by columns takes at most: levels take 18 on average.
MAX_PRODUCTS = 30


def _descend(visit, accuracy, leap=None, n_sweeps=ROUNDS):
    """Visit all coordinates and the active ones in turn; return the decrease of the model.

    It ends when a sweep over all gains less than the part `accuracy` of all gains. visit(only_active) makes one sweep,
    and leap(), which comes after n_sweeps, another kind of step among the active ones; both return the decrease.
    """
    total = 0.0
    for _ in range(ROUNDS):
        gained = visit(False)
        total += gained
        if gained <= accuracy * total:
            break
        for _ in range(n_sweeps):
            gained = visit(True)
            total += gained
            if gained <= INNER_ACCURACY * accuracy * total:
                break
        else:
            total += leap() if leap is not None else 0.0
    return total


class HessianModel:
    """The model of all coordinates around a point, by the whole Hessian of ``curved`` or of a ``borrowed`` model.

    The part ``mixed`` of the curvature of equal probabilities is added along the columns. `is_borrowed` says that the
    Hessian belongs to another point, `is_sampled` that it is a sum over some rows only.
    """

    def __init__(self, point: Point, curved: Point, borrowed: HessianModel | None = None, mixed: float = 0.0) -> None:
        self._point = point
        objective, K = point.objective, len(point.parameters)
        self._of_loss: FloatArray = curved.hessian_of_loss() if borrowed is None else borrowed._of_loss
        self._home: FloatArray = point.parameters if borrowed is None else borrowed._home
        self._hessian = self._of_loss + np.diag(np.tile(objective.penalty.curvatures, K))
        if mixed:
            equal = np.eye(K) / K - 1 / K**2 if K > 1 else np.full((1, 1), 0.25)
            squares = objective.coordinates.mean_squares.copy()
            squares[-1] = objective.fit_intercept
            by_class = self._hessian.reshape(*point.parameters.shape, *point.parameters.shape)
            np.einsum("kjlj->klj", by_class)[...] += mixed * equal[:, :, None] * squares
        self._parameters, self._slopes = point.parameters.ravel().copy(), point.gradient.ravel().copy()
        self.is_borrowed = borrowed is not None and not self.is_of(point)
        self.is_sampled: bool = borrowed.is_sampled if borrowed is not None else curved is not point

    def is_of(self, point: Point) -> bool:
        """Say whether the Hessian was computed at this point."""
        return bool((self._home == point.parameters).all())

    def minimize(self, accuracy: float, penalty: Penalty | None = None) -> FloatArray:
        """Return the point (K, d + 1) where the model is least, up to a part of its decrease.

        The descent starts where the last one ended. A penalty with other thresholds may replace the objective's.
        """
        point, parameters, slopes = self._point, self._parameters, self._slopes
        penalty = point.objective.penalty if penalty is None else penalty
        n_classes = len(point.parameters)

        def visit(only_active):
            return descend_by_hessian(self._hessian, slopes, penalty.arrays, n_classes, only_active, parameters)

        unseen = UNIT_ROUNDOFF * abs(point.value)

        def leap():
            return minimize_active(self._hessian, penalty, parameters, slopes, unseen)

        _descend(visit, MIN_ACCURACY**2 * accuracy, leap, 4 * ROUNDS)
        return parameters.reshape(point.parameters.shape).copy()


class ColumnModel:
    """The model of a working set (K, d) of coordinates around a point, by the columns of X.

    Of the probabilities of ``curved`` the part ``mixed`` is equal for all classes. With a grouped penalty all classes
    have the same coordinates. Columns and scores are computed in ``precision``.
    """

    # Its columns stand for one point only.
    is_borrowed = False
    work = 0  # the multiply-adds of its sweeps and products, about

    def __init__(
        self, point: Point, curved: Point, working_set: BoolArray, precision: FloatType, mixed: float = 0.0
    ) -> None:
        self._point, self.is_sampled = point, curved is not point
        # By features, so that a column stays in the cache for all its classes. NumPy's arrays have gaps unless there is
        # a single coordinate, for which Numba would compile again.
        features, classes = map(np.ascontiguousarray, np.nonzero(working_set.T))
        used = np.flatnonzero(working_set.any(axis=0))
        transposed, row_weights, probabilities = _read_columns(curved, precision, used, is_sample=curved is not point)
        coordinates = point.objective.coordinates
        scale = coordinates.scale / transposed.scale
        # Entries are not centered: what that leaves to the intercept comes back with its step.
        self._left_out = np.where(transposed.positions < 0, coordinates.shift, 0)
        shift = coordinates.shift - scale * transposed.shift - self._left_out
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
        if mixed:
            equal = probabilities.dtype.type(mixed / max(2, len(probabilities)))
            probabilities = probabilities * probabilities.dtype.type(1 - mixed) + equal
        curved = row_weights * probabilities * (1 - probabilities)
        self._of_intercepts = point.objective.fit_intercept * curved.sum(axis=1, dtype=np.float64)
        # For a row of two classes a sweep reads and writes two numbers then, not four.
        self._curvature = Curvature(row_weights, curved if len(curved) == 1 else probabilities)
        self._curvatures = np.empty(len(features))
        means = np.zeros(0 if len(probabilities) == 1 else len(row_weights), row_weights.dtype)
        origins = point.parameters[classes, features]
        self._state = DescentState(origins, np.zeros(len(probabilities)), np.zeros_like(probabilities), means)
        # Entries are gathered, whole columns are read in their order.
        lengths = np.where(transposed.positions < 0, SLOW_WORK * np.diff(transposed.starts), 2 * len(row_weights))
        self._works = VISIT_WORK + lengths[features]
        entries = 2 * point.objective.matrix.n_entries + SLOW_WORK * point.objective.n_rows
        self._of_product = CALLS_WORK + len(probabilities) * entries
        self._n_sweeps = self._count_sweeps(mixed)
        work = max(len(transposed.panel) * len(row_weights), len(transposed.indices)) // max(1, len(scale))
        n_blocks = count_blocks(len(features), row_work=work)
        run_blocks(fill_block_curvatures, n_blocks, self._columns, curved, self._curvatures)

    def _count_sweeps(self, mixed):
        """Return after how many sweeps over active coordinates a leap has taken no longer.

        0 means no leap: it would take longer than so many sweeps as are made, or the model is no plain one.
        """
        objective = self._point.objective
        is_plain = not (mixed or objective.penalty.group_lasso or objective.penalty.box is not None)
        if self.is_sampled or not (is_plain and objective.matrix.lies_in_memory):
            return 0
        is_active = self._point.parameters[self._columns.classes, self._columns.features] != 0
        of_sweep = int(self._works[is_active].sum())
        n_sweeps = max(ROUNDS, MAX_PRODUCTS * self._of_product // max(1, of_sweep))
        return n_sweeps if n_sweeps <= 4 * ROUNDS else 0

    def minimize(self, accuracy: float, penalty: Penalty | None = None) -> FloatArray:
        """Return the point (K, d + 1) where the model is least over the working set, up to a part of its decrease.

        The descent starts where the last one ended. A penalty with other thresholds may replace the objective's.
        """
        point, state = self._point, self._state
        penalty = point.objective.penalty if penalty is None else penalty
        features, classes = self._columns.features, self._columns.classes
        intercept_gradient = point.gradient[:, -1].copy()
        gradient = point.gradient[classes, features]
        gradient -= intercept_gradient[classes] * self._left_out[features]
        origins = point.parameters[classes, features]
        model = ModelArrays(gradient, self._curvatures, origins, intercept_gradient, self._of_intercepts)
        of_sweep = int(self._works.sum())

        def visit(only_active):
            self.work += of_sweep
            return descend_by_columns(self._columns, self._curvature, penalty.arrays, model, only_active, state)

        def find_end():
            end = point.parameters.copy()
            end[classes, features] = state.parameters
            end[:, -1] += state.intercept_steps
            np.subtract.at(end[:, -1], classes, (state.parameters - origins) * self._left_out[features])
            return end

        def leap():
            return self._leap(find_end(), state, penalty)

        # Far from the minimum the model misleads, and what sweeps leave undone does no harm.
        if self._n_sweeps and accuracy <= INNER_ACCURACY**2:
            _descend(visit, accuracy, leap, self._n_sweeps)
        else:
            _descend(visit, accuracy)
        return find_end()

    def _leap(self, start, state, penalty):
        """Move the active coordinates by Newton's step for their signs, as far as the model falls; return the decrease.

        Conjugate gradients find the step: of each of their points from zero on the curvature along it is minus its
        slope. What sweeps add up column by column, as of levels with an intercept, it finds at once.
        """
        point, rows = self._point, self._point.objective.rows
        features, classes, probabilities = self._columns.features, self._columns.classes, self._curvature.probabilities
        curvatures = np.zeros(start.shape)
        curvatures[classes, features] = self._curvatures + penalty.curvatures[features]
        curvatures[:, -1] = self._of_intercepts
        is_active = (curvatures > 0) & ((start != 0) | (penalty.thresholds == 0))
        slopes = point.gradient + point.hessian_product(start - point.parameters)
        pull = np.where(is_active, slopes + penalty.thresholds * np.sign(start), 0.0)

        def multiply(direction):
            self.work += self._of_product
            return np.where(is_active, point.hessian_product(direction), 0.0)

        iterates = iterate(
            multiply,
            -pull,
            lambda residual: np.divide(residual, curvatures, out=np.zeros(start.shape), where=is_active),
        )
        found = next(iterates)
        least_square = INNER_ACCURACY**6 * found.square
        for found in islice(iterates, MAX_PRODUCTS):
            if not found.square > least_square:
                break
        step = found.solution
        corners = _measure_lengths(start, step, 0.0, (start * step < 0) & (penalty.thresholds > 0))
        curvature, rises = -float(np.sum(pull * step)), 2 * penalty.thresholds * np.abs(step)
        length, decrease, _ = _along_signs(curvature, corners.ravel(), rises.ravel(), 1.0)
        if not decrease > 0:
            return 0.0
        change = np.where(corners == length, 0.0, start + length * step) - start
        scores, own = rows.passes.compute_scores(change).T, rows.numbers if len(rows.numbers) else slice(None)
        rows.count_pass()
        if len(state.means):
            state.scores[:, own] += scores
            state.means[own] += np.einsum("ki,ki->i", probabilities[:, own], scores)
        else:
            state.scores[:, own] += probabilities[:, own] * scores
        moved = change[classes, features]
        state.parameters[:] += moved
        state.intercept_steps[:] += change[:, -1]
        np.add.at(state.intercept_steps, classes, moved * self._left_out[features])
        return decrease


def _read_columns(point, precision, features, is_sample):
    """Return X column by column, and the weights (m,) and probabilities (K, m) of its rows.

    These are all rows of X, with zero weights for rows that the sums leave out, or a copy of a small sample.
    """
    rows = point.objective.rows
    weights = np.broadcast_to(rows.weights_of(rows.numbers), rows.n_rows) / rows.total_weight
    n = rows.matrix.shape[0]
    is_copied = is_sample and rows.matrix.copies(rows.numbers)
    if is_copied or not len(rows.numbers):
        matrix = rows.matrix.take(rows.numbers) if is_copied else rows.matrix
        probabilities = np.ascontiguousarray(point.probabilities, precision)
        return matrix.transposed(precision, features), weights.astype(precision), probabilities
    all_weights, probabilities = np.zeros(n, precision), np.zeros((rows.n_rows_coef, n), precision)
    # A row counts as often as it is named.
    np.add.at(all_weights, rows.numbers, weights)
    probabilities[:, rows.numbers] = point.probabilities
    return rows.matrix.transposed(precision, features), all_weights, probabilities


def minimize_active(
    hessian: FloatArray, penalty: Penalty, parameters: FloatArray, slopes: FloatArray, unseen: float = 0.0
) -> float:
    """Move towards the model's minimum while parameters at zero or at a bound stay there; return the decrease.

    hessian (p, p), of the smooth part, is ordered by classes and then by features. parameters (p,) and slopes (p,) of
    the smooth part are kept up to date. A step for groups that gains no more than ``unseen``, which rounding hides, is
    the last.
    """
    is_curved = np.diagonal(hessian) > 0
    if penalty.group_lasso:
        return _minimize_groups(hessian, penalty.thresholds, is_curved, parameters, slopes, unseen)
    return _minimize_signs(hessian, penalty.thresholds, is_curved, parameters, slopes, penalty.box)


def _minimize_signs(hessian, thresholds, is_curved, parameters, slopes, box):
    """Minimize over parameters that are not zero: Newton's steps for the signs, by one factor that loses rows.

    Feature-sign search (Lee, Battle, Raina and Ng 2006, algorithm 1). A step passes changes of sign while the model
    falls; a parameter stays where it is zero, or at its bound, at the end of a step.
    """
    thresholds = np.resize(thresholds, len(parameters))
    bounds = None if box is None else np.stack([box.least.ravel(), box.most.ravel()])
    least, most = (-np.inf, np.inf) if bounds is None else bounds
    is_active = ((parameters != 0) | (thresholds == 0)) & is_curved & (least < parameters) & (parameters < most)
    active = np.flatnonzero(is_active)
    if not len(active):
        return 0.0
    thresholds, start, left = thresholds[active], parameters[active], np.arange(len(active))
    now, own_slopes, total = start.copy(), slopes[active], 0.0
    factor = _factorize(hessian[np.ix_(active, active)])
    for _ in range(ROUNDS**2):
        sizes = thresholds[left]
        pull = own_slopes[left] + sizes * np.sign(now[left])
        step = _solve(factor, len(left), pull)
        to_zero = _measure_lengths(now[left], step, 0.0, (now[left] * step < 0) & (sizes > 0))
        farthest = 1.0
        if bounds is not None:
            ends = bounds[(step > 0).astype(int), active[left]]
            to_bound = _measure_lengths(now[left], step, ends, np.isfinite(ends) & (step != 0))
            farthest = min(to_bound.min(), 1.0)
        curvature, rises = -float(np.sum(pull * step)), 2 * sizes * np.abs(step)
        length, decrease, n_passed = _along_signs(curvature, to_zero, rises, farthest)
        if not decrease > 0:
            break
        total += decrease
        own_slopes[left] -= length * pull
        is_held = to_zero == length
        now[left] = np.where(is_held, 0.0, now[left] + length * step)
        if bounds is not None:
            now[left] = np.where(to_bound == length, ends, now[left])
            is_held |= to_bound == length
        for n_gone, position in enumerate(np.flatnonzero(is_held)[::-1]):
            remove_row(factor, len(left) - n_gone, position)
        left = left[~is_held]
        if not (n_passed or is_held.any()) or not len(left):
            break
    parameters[active] = now
    slopes += np.einsum("ij,j->i", hessian[:, active], now - start)
    return total


def _measure_lengths(start, step, ends, is_ahead):
    """Return the parts of a step at which its parameters reach their ends, infinite for those that do not."""
    return np.divide(ends - start, step, out=np.full_like(step, np.inf), where=is_ahead)


def _along_signs(curvature, corners, rises, farthest):
    """Return the length to the least point along a Newton step, the decrease, and how many signs it changes.

    The slope along the step is -``curvature`` at its start, grows by ``curvature`` over its length, and rises at the corners.
    What the factorization has added to the block makes steps shorter, and the decrease no larger than it is.
    """
    if not curvature > 0:
        return 0.0, 0.0, 0
    order = np.flatnonzero(corners <= farthest)
    order = order[np.argsort(corners[order], kind="stable")]
    corners, risen = corners[order], np.append(0.0, np.cumsum(rises[order])) - curvature
    n_passed = int(np.argmax(np.append(risen[1:] + curvature * corners >= 0, True)))
    length = min(-risen[n_passed] / curvature, np.append(corners, farthest)[n_passed])
    passed = float(np.sum(rises[order[:n_passed]] * (length - corners[:n_passed])))
    return length, curvature * length * (1 - 0.5 * length) - passed, n_passed


def _minimize_groups(hessian, thresholds, is_curved, parameters, slopes, unseen):
    """Minimize over the groups that are not zero: Newton's steps with the curvature of the norms."""
    shape = (-1, len(thresholds))
    is_curved = is_curved.reshape(shape).all(axis=0)
    total, n_left, is_last = 0.0, None, False
    while not is_last and n_left != 0:
        is_active = ((parameters.reshape(shape) != 0) | (thresholds == 0)).any(axis=0) & is_curved
        active = np.flatnonzero(np.broadcast_to(is_active, parameters.reshape(shape).shape))
        if not len(active):
            break
        if n_left is None:
            # As many as take as long as the sweeps over the active ones may, and one in any case.
            work = len(active) ** 3 / 3 + len(active) ** 2 + CALLS_WORK
            n_left = max(1, int(ROUNDS**2 * hessian.size / work))
        block, start = hessian[np.ix_(active, active)], parameters[active]
        own_thresholds = thresholds[is_active]
        end, decrease, is_last = _along_groups(block, slopes[active], start, own_thresholds)
        if not decrease > 0:
            break
        parameters[active] = end
        slopes += np.einsum("ij,j->i", hessian[:, active], end - start)
        total += decrease
        # A small group that has become zero has cut its step short, which does not count: of two copies of a column
        # one is often small.
        if np.count_nonzero(end) >= np.count_nonzero(start):
            n_left -= 1
            is_last |= decrease <= unseen
    return total


def _along_groups(block, slopes, start, thresholds):
    """Return the least point along Newton's step with the norms' curvature, the decrease, and whether to end."""
    slopes, start = slopes.reshape(-1, len(thresholds)), start.reshape(-1, len(thresholds))
    n_classes = len(start)
    norms = _norms(start)
    units = np.divide(start, norms, out=np.zeros_like(start), where=norms > 0)
    with np.errstate(over="ignore"):
        along = np.divide(thresholds, norms, out=np.zeros_like(norms), where=norms > 0)
    curved = block.copy().reshape(*start.shape, *start.shape)
    features = np.arange(start.shape[1])
    curved[:, features, :, features] += along[:, None, None] * (
        np.eye(n_classes) - units.T[:, :, None] * units.T[:, None, :]
    )
    of_norms = thresholds * units
    factor = _factorize(curved.reshape(block.shape))
    step = _solve(factor, len(block), (slopes + of_norms).ravel()).reshape(start.shape)
    promised = -0.5 * float(np.sum((slopes + of_norms) * step))
    slope, curvature = float(np.sum(slopes * step)), _multiply(step.ravel(), block, step.ravel())

    def rise(length):
        end = start + length * step
        ends = _norms(end)
        rises = np.divide(np.einsum("kj,kj->j", end, step), ends, out=np.zeros_like(ends), where=ends > 0)
        return slope + curvature * length + float(np.sum(thresholds * rises))

    def change_to(end):
        change, sums = end - start, norms + _norms(end)
        # The difference of two norms, without cancellation.
        grown = np.divide(np.einsum("kj,kj->j", change, start + end), sums, out=np.zeros_like(sums), where=sums > 0)
        smooth = float(np.sum(slopes * change)) + 0.5 * _multiply(change.ravel(), block, change.ravel())
        return smooth + float(np.sum(thresholds * grown))

    # Half of the digits of the length are all that the model tells, which is flat at its least point. The length itself
    # may be 1e-9, where the model is flat but for the norms.
    shorter, length = 0.0 if rise(1.0) > 0 else 1.0, 1.0
    while length - shorter > sqrt(UNIT_ROUNDOFF) * length > 0:
        middle = 0.5 * (shorter + length)
        shorter, length = (middle, length) if rise(middle) < 0 else (shorter, middle)
    end = start + length * step
    change = change_to(end)
    without = np.where((_norms(end) < INNER_ACCURACY * norms) & (thresholds > 0), 0.0, end)
    change_without = change_to(without)
    is_whole = length > 1 - MIN_ACCURACY
    if (without != end).any() and change_without <= 0.5 * change:
        end, change, is_whole = without, change_without, False
    return end.ravel(), -change, is_whole and abs(-change - promised) <= MIN_ACCURACY * promised


def _factorize(block):
    """Return the factor of a symmetric matrix (m, m), packed."""
    factors = np.empty((1, len(block) * (len(block) + 1) // 2))
    factorize_block(0, 1, block[None], ROUNDING[np.float64], factors)
    return factors[0]


def _solve(factor, size, slopes):
    """Return Newton's step, -A^-1 slopes, by the factor of A (size, size)."""
    step = -slopes[None]
    solve_block(0, 1, factor[None, : size * (size + 1) // 2], step)
    return step[0]


def _multiply(left, matrix, right):
    return float(np.sum(left * np.einsum("ij,j->i", matrix, right)))


def _norms(vectors):
    """Return the norm over the classes of each feature of vectors (K, m)."""
    return np.sqrt(np.einsum("kj,kj->j", vectors, vectors))
