"""The minimum of a quadratic model with a penalty by size among its active parameters, by Newton's steps."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from fastlin.kernels.machine.cholesky import factorize_block, remove_row, solve_block
from fastlin.objective.rounding import UNIT_ROUNDOFF
from fastlin.solvers.tuning import CALLS_WORK, INNER_ACCURACY, MIN_ACCURACY, ROUNDING, ROUNDS
from fastlin.typing import FloatArray

if TYPE_CHECKING:
    from fastlin.objective.box import Box
    from fastlin.objective.penalty import Penalty


def minimize_active(
    hessian: FloatArray,
    penalty: Penalty,
    parameters: FloatArray,
    slopes: FloatArray,
    box: Box | None = None,
    unseen: float = 0.0,
) -> float:
    """Move towards the model's minimum while parameters at zero or at a bound stay there; return the decrease.

    hessian (p, p), of the smooth part, is ordered by classes and then by features. parameters (p,) and slopes (p,) of
    the smooth part are kept up to date. A step for groups that gains no more than ``unseen``, which rounding hides, is
    the last.
    """
    is_curved = np.diagonal(hessian) > 0
    if penalty.group_by_class:
        return _minimize_groups(hessian, penalty.thresholds, is_curved, parameters, slopes, unseen)
    bounds = None if box is None else (box.least.ravel(), box.most.ravel())
    return _minimize_signs(hessian, penalty.thresholds, is_curved, parameters, slopes, bounds)


def _minimize_signs(hessian, thresholds, is_curved, parameters, slopes, bounds):
    """Minimise over parameters that are not zero: Newton's steps for the signs, by one factor that loses rows."""
    thresholds = np.resize(thresholds, len(parameters))
    is_active = ((parameters != 0) | (thresholds == 0)) & is_curved
    if bounds is not None:
        is_active &= (bounds[0] < parameters) & (parameters < bounds[1])
    active = np.flatnonzero(is_active)
    if not len(active):
        return 0.0
    block, start, thresholds = hessian[np.ix_(active, active)], parameters[active], thresholds[active]
    bounds = None if bounds is None else [each[active] for each in bounds]
    now, own_slopes, left = start.copy(), slopes[active], np.arange(len(active))
    factor, total = _factorize(block), 0.0
    for _ in range(ROUNDS**2):
        pull = own_slopes[left] + thresholds[left] * np.sign(now[left])
        step = _solve(factor, len(left), pull)
        ends, met = _find_bounds(now[left], step, bounds and [each[left] for each in bounds])
        # What the factorisation has added to the block makes steps shorter, and the decrease no larger than it is.
        length, decrease, corners = _along_signs(own_slopes[left], -pull, now[left], step, thresholds[left], ends.min())
        if not decrease > 0:
            break
        total += decrease
        now[left] += length * step
        own_slopes[left] -= length * pull
        now[left[corners == length]] = 0
        is_held = ends <= length
        now[left[is_held]] = met[is_held]
        is_gone = ((now[left] == 0) & (thresholds[left] > 0)) | is_held
        for place in np.flatnonzero(is_gone)[::-1]:
            remove_row(factor, len(left), place)
        left = left[~is_gone]
        if not ((corners <= length) | is_held).any() or not len(left):
            break
    parameters[active] = now
    slopes += np.einsum("ij,j->i", hessian[:, active], now - start)
    return total


def _find_bounds(start, step, bounds):
    """Return the lengths (m,) at which a step meets the bounds ahead, infinite where there are none, and the bounds."""
    if bounds is None:
        return np.full_like(start, np.inf), start
    ahead = np.where(step > 0, bounds[1], bounds[0])
    is_met = np.isfinite(ahead) & (step != 0)
    return np.divide(ahead - start, step, out=np.full_like(start, np.inf), where=is_met), ahead


def _along_signs(slopes, rises, start, step, thresholds, farthest=np.inf):
    """Return the length to the least point along Newton's step for the present signs, the decrease, and all corners.

    corners (m,) are the lengths at which each parameter is zero: feature-sign search (Lee, Battle, Raina and Ng 2006,
    algorithm 1). `farthest` is the length at which a bound is met.
    """
    slope = float(np.sum((slopes + thresholds * np.sign(start)) * step))
    bend = float(np.sum(step * rises))
    if not slope < 0:
        return 0.0, 0.0, start
    is_turning = (np.sign(step) * np.sign(start) < 0) & (np.abs(start) <= np.abs(step)) & (thresholds > 0)
    all_corners = np.divide(-start, step, out=np.full_like(start, np.inf), where=is_turning)
    turning = np.argsort(all_corners, kind="stable")[: np.count_nonzero(is_turning)]
    corners = all_corners[turning]
    # By how much the slope along the step rises at each corner, and what it would be at the start without those before.
    turns = 2 * thresholds[turning] * np.abs(step[turning])
    slopes_at_start = slope + np.append(0.0, np.cumsum(turns))
    n_passed = int(np.argmax(np.append(slopes_at_start[1:] + bend * corners >= 0, True)))
    # Where the model is flat, rounding alone would lead any way beyond the whole step.
    length = min(-slopes_at_start[n_passed] / bend if bend > 0 else 1.0, np.append(corners, 1.0)[n_passed])
    if farthest < length:
        length, n_passed = farthest, int(np.count_nonzero(corners <= farthest))
    risen = float(np.sum(turns[:n_passed] * (length - corners[:n_passed])))
    decrease = -(slope * length + 0.5 * bend * length * length + risen)
    return length, decrease, all_corners


def _minimize_groups(hessian, thresholds, is_curved, parameters, slopes, unseen):
    """Minimise over the groups that are not zero: Newton's steps with the curvature of the norms."""
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
        n_left -= 1
        block, start = hessian[np.ix_(active, active)], parameters[active]
        own_thresholds = thresholds[is_active]
        end, decrease, is_last = _along_groups(block, slopes[active], start, own_thresholds)
        if not decrease > unseen:
            break
        parameters[active] = end
        slopes += np.einsum("ij,j->i", hessian[:, active], end - start)
        total += decrease
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
    slope, bend = float(np.sum(slopes * step)), _multiply(step.ravel(), block, step.ravel())

    def rise(length):
        end = start + length * step
        ends = _norms(end)
        rises = np.divide(np.einsum("kj,kj->j", end, step), ends, out=np.zeros_like(ends), where=ends > 0)
        return slope + bend * length + float(np.sum(thresholds * rises))

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
