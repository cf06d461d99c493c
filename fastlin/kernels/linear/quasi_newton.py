"""A quasi-Newton descent over few parameters: line search, recursion and direction, compiled.

The steps are those of L-BFGS (Nocedal and Wright 2006, algorithm 7.4) whose starting matrix is a Hessian B. They are
taken in coordinates in which B is the identity: with a factor U' U = B, a gradient g is g^ = U'^-1 g there, and a step
s^ is s = U^-1 s^, so an iteration solves with either triangle once. In Python an iteration would take several times as
long as its passes.

Large functions, slices and tuples take long to compile: pass, judgment, direction and matrices are functions of their
own, and vectors are rows of one array, read number by number. Loops that begin at a variable count in unsigned
numbers: Numba counts a negative number from the end, so a loop over signed ones is not vectorized.
"""

from typing import NamedTuple, Self

import numpy as np

from fastlin.kernels.linear.column_scaling import ROW_ROUNDINGS, UNIT_ROUNDOFF
from fastlin.kernels.linear.columnwise import evaluate_within, fill_gram, make_buffer
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.instructions import add_freely

PAIRS = 12
# The rows of vectors: the last point that was accepted and the gradient of J there; the direction from there, and the
# parameters to be evaluated next; the derivative of the sum of the losses at the start and at the trial, and the
# gradient of J at that; what the penalty adds to the diagonal of the Hessian, and its reciprocals, zero for intercepts;
# in the other coordinates gradient and direction, and then the last steps, and what they changed in the gradient.
PARAMETERS, GRADIENT, DIRECTION, TRIAL, AT_START, TOTAL, SLOPES, CURVATURES, INVERSES, TURNED, AIM, STEPS = range(12)
CHANGES = STEPS + PAIRS
# The last Newton decrements that are kept besides the newest.
PACE = 6
# What a descent knows besides its vectors.
FIELDS = [
    # At the last point: J, its slope along the direction, the gap, the largest entry of the gradient, the gap but
    # for the intercept, and the quadratic penalty; the least J and gap so far.
    *((name, np.float64) for name in ("value", "slope", "gap", "largest", "natural", "squares", "lowest", "min_gap")),
    # The line search: the step, and the bracket with the slopes of its ends.
    *((name, np.float64) for name in ("step", "low", "low_slope", "high", "high_slope")),
    # The sum of the losses at the trial, and S; J without features and the floor of the gap, as `ask` takes them.
    *((name, np.float64) for name in ("loss", "total_weight", "null_objective", "floor")),
    # Of the newest pair, by how much the step is longer than its change; of each pair the product of both, and what
    # the recursion keeps of it; halves of squares of Newton decrements, the newest first.
    ("scale", np.float64),
    ("products", np.float64, PAIRS),
    ("scales", np.float64, PAIRS),
    ("decrements", np.float64, PACE + 1),
    # The newest pair and how many there are; trials of this search; iterations with this matrix, and its kind;
    # iterations since J fell below all before, or the gap by half.
    *((name, np.int64) for name in ("newest", "n_pairs", "n_trials", "n_with_matrix", "kind", "n_flat")),
]
# The type of a record has them as attributes without the compiler too.
STATE = np.dtype((np.record, FIELDS))
# The kinds of matrices: one block for all classes, one for each, a Hessian.
SHARED, SEPARATE, WHOLE = range(3)
# In the place of a number of trials: the trial is the start. In the place of a number of iterations: there is no
# matrix yet, and it is to be one for rows that matter alike, or for those of the start.
BEGINNING, NO_MATRIX, STALE = -1, -2, -1
# What a trial comes to.
SEARCHING, ACCEPTED, STALLED = range(3)
# What ends a call of `descend_in_cache` besides: a new matrix is worth it.
LACKING = 3
# As in solvers/line_search.py.
SUFFICIENT_DECREASE, CURVATURE, ROUNDING = 1e-4, 0.9, 1e-14
MAX_TRIALS = 30
# MAX_FLAT iterations in which neither J falls below all before nor the gap by half end a descent. Gradients fall
# further than J can tell, and with them the coefficients gain digits. At the floor of rounding steps may undo each
# other, and take both up and down by turns.
MAX_FLAT = 3
# Class sums this close to those of the labels are equal up to the rounding of a row.
SUM_ROUNDING = ROW_ROUNDINGS * UNIT_ROUNDOFF
# Values of J this close, relative to the first, are equal up to rounding.
VALUE_ROUNDING = 1e-13
RIDGE = 1e-13
SMALLEST_PIVOT = 1e-15
# A matrix is built again after each iteration if it takes no more than CHEAP_PASSES, and else once the pace of the last
# iterations foretells more passes than the matrix and STEPS_AFTER take.
CHEAP_PASSES, STEPS_AFTER, MAX_PASSES_AT_END = 0.5, 8.0, 1000.0


class Descent(NamedTuple):
    """Where a descent stands: arrays that the kernels here overwrite."""

    # (CHANGES + PAIRS, K (d + 1)), parameters and gradients, class after class, and the last pairs.
    vectors: np.ndarray
    state: np.ndarray  # (1,) STATE
    class_weights: np.ndarray  # (n_classes,), the part of S that each class has; not overwritten
    # (K, d + 1, d + 1), the Cholesky factors of one matrix for each class, or the first one for all; their diagonals
    # are reciprocals.
    blocks: np.ndarray
    # (1, K (d + 1), K (d + 1)), the Cholesky factor of a Hessian, once there is one, with a diagonal of reciprocals.
    hessian: np.ndarray

    @classmethod
    def at(
        cls,
        start: np.ndarray,
        total_weight: float,
        class_weights: np.ndarray,
        curvatures: np.ndarray,
        null_objective: float,
        floor: float,
    ) -> Self:
        """Return a descent whose first trial is at the parameters (K, d + 1) `start`.

        curvatures (d + 1,) are the penalty's, zero for the intercept alone; `ask` takes null_objective and floor.
        """
        (K, size), n = start.shape, start.size
        vectors, state = np.zeros((CHANGES + PAIRS, n)), np.zeros(1, STATE)
        of_classes = vectors.reshape(-1, K, size)
        of_classes[TRIAL], of_classes[CURVATURES] = start, curvatures
        # Zero too where a curvature has underflowed: the bound of the point itself is infinite then.
        is_normal = curvatures[:-1] >= np.finfo(np.float64).tiny
        np.divide(1.0, curvatures[:-1], out=of_classes[INVERSES, :, :-1], where=is_normal)
        state["total_weight"], state["decrements"] = total_weight, np.inf
        state["null_objective"], state["floor"] = null_objective, floor
        state["n_trials"], state["n_with_matrix"] = BEGINNING, STALE if start[:, :-1].any() else NO_MATRIX
        blocks = np.empty((K, size, size))
        return cls(vectors, state, class_weights, blocks, blocks if K == 1 else np.empty((1, n, n)))

    @property
    def now(self) -> np.void:
        """The only entry of state."""
        return self.state[0]

    def row(self, position: int) -> np.ndarray:
        """Return a row of vectors, (K, d + 1)."""
        return self.vectors[position].reshape(self.blocks.shape[:2])

    def ask(self, tol: float) -> float:
        """Return the excess that `ask` allows at the last point."""
        value, squares, null_objective, floor = self.now[["value", "squares", "null_objective", "floor"]].item()
        return ask(tol, value, value, squares, null_objective, VALUE_ROUNDING, floor)


def ask(tol, value, scale, squares, null_objective, rounding, floor):
    """Return the excess of J over its minimum that a fit may leave at a point of that value.

    It is tol times the gain of the features, null_objective less the value, or times the scale, which is J itself, if
    that is less. Where a gain is within the rounding of J, the quadratic penalty at the point, squares, stands for it:
    without features J is at least that far above the minimum. Rounding of the gap makes the floor the least excess.
    """
    gain = null_objective - value - rounding * value
    # Without calls of min and max it takes half as long, and small fits ask often.
    of_gain, of_value = tol * (gain if gain > squares else squares), tol * scale
    suboptimality = of_gain if of_gain < of_value else of_value
    least = floor if floor < of_value else of_value
    return suboptimality if suboptimality > least else least


_ask_within = kernel(ask, inline=True)


@kernel(inline=True)
def _ask_at(state, tol):
    """Return what `Descent.ask` returns."""
    return _ask_within(
        tol,
        state.value,
        state.value,
        state.squares,
        state.null_objective,
        VALUE_ROUNDING,
        state.floor,
    )


@kernel(reassociate=False)
def check_step(descent, loss):
    """Take note of the sums at the trial, and return the outcome.

    As in solvers/line_search.py, but a step is taken, too, where J falls and its slope has become positive: the pair is
    sound there, since J is convex. Between two trials the next one is where the slope, were it a line, would be zero.
    """
    vectors, state = descent.vectors, descent.state[0]
    square, slope, part = 0.0, 0.0, 1.0 / state.total_weight
    for i in range(vectors.shape[1]):
        bent = vectors[CURVATURES, i] * vectors[TRIAL, i]
        vectors[SLOPES, i] = part * vectors[TOTAL, i] + bent
        square = add_freely(square, bent * vectors[TRIAL, i])
        slope = add_freely(slope, vectors[SLOPES, i] * vectors[DIRECTION, i])
    value = part * loss + 0.5 * square
    state.loss = loss
    is_start, outcome = state.n_trials == BEGINNING, ACCEPTED
    state.n_trials += 1
    if not is_start:
        slack = ROUNDING * abs(state.value)
        most = state.value + slack + SUFFICIENT_DECREASE * state.step * state.slope
        if not value <= most:
            state.high, state.high_slope, outcome = state.step, slope, SEARCHING
        elif slope < CURVATURE * state.slope:
            state.low, state.low_slope, outcome = state.step, slope, SEARCHING
    if not is_start and not state.slope < 0:
        # A direction that does not descend, or is not a number.
        return STALLED
    if outcome == SEARCHING:
        low, width = state.low, state.high - state.low
        if state.n_trials >= MAX_TRIALS or (state.high > 0 and not width > 1e-12 * state.high):
            return STALLED
        # Where the slope is zero, were it a line; the end that is too far may have none.
        part = state.low_slope / (state.low_slope - state.high_slope)
        part = min(max(part, 0.1), 0.9) if -np.inf < part < np.inf else 0.5
        state.step = low + width * part if state.high > 0 else 4.0 * state.step
        for i in range(vectors.shape[1]):
            vectors[TRIAL, i] = vectors[PARAMETERS, i] + state.step * vectors[DIRECTION, i]
        return SEARCHING
    n_rows, size = descent.blocks.shape[0], descent.blocks.shape[1]
    gap, natural, largest = 0.0, 0.0, 0.0
    for i in range(vectors.shape[1]):
        g = vectors[SLOPES, i]
        vectors[PARAMETERS, i], vectors[GRADIENT, i] = vectors[TRIAL, i], g
        natural = add_freely(natural, 0.5 * g * g * vectors[INVERSES, i])
        largest = abs(g) if abs(g) > largest else largest
    # The gap of objective/duality.py, but for what the exchange between classes does to the features.
    for c in range(descent.class_weights.shape[0]):
        # Two classes have one row, that of the second.
        suboptimality = vectors[GRADIENT, (c + 1 if n_rows > 1 else 1) * size - 1]
        suboptimality = -suboptimality if n_rows == 1 and c == 0 else suboptimality
        if suboptimality > SUM_ROUNDING:
            gap += suboptimality * (1.0 - np.log(descent.class_weights[c] + suboptimality))
    gap += natural
    if is_start:
        state.lowest, state.min_gap = np.inf, np.inf
    else:
        state.n_with_matrix += 1
    is_lower = value < state.lowest - 2 * UNIT_ROUNDOFF * abs(state.lowest)
    state.n_flat = 0 if is_start or is_lower or gap < 0.5 * state.min_gap else state.n_flat + 1
    state.lowest, state.min_gap = min(state.lowest, value), min(state.min_gap, gap)
    state.value, state.gap, state.natural, state.largest = value, gap, natural, largest
    state.squares = 0.5 * square
    return ACCEPTED if state.n_flat < MAX_FLAT else STALLED


@kernel(reassociate=False, inner=True)
def _aim(descent):
    """Find the direction from the last point, and make its end the next trial."""
    vectors, state = descent.vectors, descent.state[0]
    n, position = vectors.shape[1], (state.newest + 1) % PAIRS
    factors = descent.hessian if state.kind == WHOLE else descent.blocks
    size, n_classes, is_shared = factors.shape[1], descent.class_weights.shape[0], state.kind == SHARED
    # The gradient before, which becomes the change.
    for i in range(n):
        vectors[CHANGES + position, i], vectors[TURNED, i] = -vectors[TURNED, i], vectors[GRADIENT, i]
    for part in range(n // size):
        # A factor that all classes share is that of a class of the mean weight.
        scale = np.sqrt(1.0 / (n_classes * descent.class_weights[part])) if is_shared and n > size else 1.0
        _solve_transposed(factors, 0 if is_shared else part, vectors, part * size)
        for i in range(part * size, (part + 1) * size):
            vectors[TURNED, i] *= scale
    product, square = 0.0, 0.0
    for i in range(n):
        step, change = state.step * vectors[AIM, i], vectors[CHANGES + position, i] + vectors[TURNED, i]
        vectors[STEPS + position, i], vectors[CHANGES + position, i] = step, change
        product = add_freely(product, step * change)
        square = add_freely(square, change * change)
    if state.n_with_matrix == 0:
        # What is known of the pairs are their old coordinates.
        state.n_pairs = 0
    elif product > 2 * UNIT_ROUNDOFF * square:
        state.newest, state.n_pairs = position, min(state.n_pairs + 1, PAIRS)
        state.products[position], state.scale = product, product / square
    n_pairs, newest = state.n_pairs, state.newest
    for i in range(n):
        vectors[AIM, i] = -vectors[TURNED, i]
    for age in range(n_pairs):
        position, product = (newest - age) % PAIRS, 0.0
        for i in range(n):
            product = add_freely(product, vectors[STEPS + position, i] * vectors[AIM, i])
        product /= state.products[position]
        state.scales[position] = product
        for i in range(n):
            vectors[AIM, i] -= product * vectors[CHANGES + position, i]
    scale = state.scale if n_pairs > 0 else 1.0
    for i in range(n):
        vectors[AIM, i] *= scale
    for age in range(n_pairs):
        position, product = (newest - n_pairs + 1 + age) % PAIRS, 0.0
        for i in range(n):
            product = add_freely(product, vectors[CHANGES + position, i] * vectors[AIM, i])
        product = state.scales[position] - product / state.products[position]
        for i in range(n):
            vectors[AIM, i] += product * vectors[STEPS + position, i]
    for part in range(n // size):
        scale = np.sqrt(1.0 / (n_classes * descent.class_weights[part])) if is_shared and n > size else 1.0
        for i in range(part * size, (part + 1) * size):
            vectors[DIRECTION, i] = scale * vectors[AIM, i]
        _solve(factors, 0 if is_shared else part, vectors, part * size)
    if n_classes > 2:
        # No step moves all classes alike.
        n_columns = n // n_classes
        for j in range(n_columns):
            mean = 0.0
            for k in range(n_classes):
                mean += vectors[DIRECTION, k * n_columns + j] / n_classes
            for k in range(n_classes):
                vectors[DIRECTION, k * n_columns + j] -= mean
    slope = 0.0
    for i in range(n):
        vectors[TRIAL, i] = vectors[PARAMETERS, i] + vectors[DIRECTION, i]
        slope = add_freely(slope, vectors[GRADIENT, i] * vectors[DIRECTION, i])
    state.slope, state.step, state.low, state.low_slope, state.high = slope, 1.0, 0.0, slope, 0.0
    state.n_trials = 0
    for age in range(PACE, 0, -1):
        state.decrements[age] = state.decrements[age - 1]
    state.decrements[0] = -0.5 * slope


@kernel(inline=True)
def _solve_transposed(factors, c, vectors, first):
    """Overwrite TURNED, from its entry first on, with the solution x of U' x = TURNED, four rows of U at a time."""
    size, begin = factors.shape[1], np.uint64(first)
    for i in range(0, size, 4):
        last = min(i + 4, size)
        for j in range(i, last):
            for h in range(i, j):
                vectors[TURNED, first + j] -= factors[c, h, j] * vectors[TURNED, first + h]
            vectors[TURNED, first + j] *= factors[c, j, j]
        if last < size:
            p, q = vectors[TURNED, first + i], vectors[TURNED, first + i + 1]
            u, v = vectors[TURNED, first + i + 2], vectors[TURNED, first + i + 3]
            for j in range(np.uint64(last), np.uint64(size)):
                less = p * factors[c, i, j] + q * factors[c, i + 1, j]
                vectors[TURNED, begin + j] -= less + (u * factors[c, i + 2, j] + v * factors[c, i + 3, j])


@kernel(inline=True)
def _solve(factors, c, vectors, first):
    """Overwrite DIRECTION, from its entry first on, with the solution x of U x = DIRECTION, four rows at a time."""
    size, begin = factors.shape[1], np.uint64(first)
    for i in range((size - 1) // 4 * 4, -1, -4):
        last = min(i + 4, size)
        if last < size:
            p, q, u, v = 0.0, 0.0, 0.0, 0.0
            for j in range(np.uint64(last), np.uint64(size)):
                p = add_freely(p, factors[c, i, j] * vectors[DIRECTION, begin + j])
                q = add_freely(q, factors[c, i + 1, j] * vectors[DIRECTION, begin + j])
                u = add_freely(u, factors[c, i + 2, j] * vectors[DIRECTION, begin + j])
                v = add_freely(v, factors[c, i + 3, j] * vectors[DIRECTION, begin + j])
            vectors[DIRECTION, first + i] -= p
            vectors[DIRECTION, first + i + 1] -= q
            vectors[DIRECTION, first + i + 2] -= u
            vectors[DIRECTION, first + i + 3] -= v
        for j in range(last - 1, i - 1, -1):
            for h in range(j + 1, last):
                vectors[DIRECTION, first + j] -= factors[c, j, h] * vectors[DIRECTION, first + h]
            vectors[DIRECTION, first + j] *= factors[c, j, j]


@kernel(inline=True)
def _factorize(matrices, n_matrices):
    """Overwrite the first upper triangles A (C, size, size) with U, where U' U = A; its diagonal is reciprocals."""
    size = matrices.shape[1]
    for c in range(n_matrices):
        for i in range(size):
            # The diagonal below carries what it was, since what lies left of the diagonal means nothing.
            diagonal = matrices[c, i, i] if matrices[c, i, i] > 0 else 1.0
            matrices[c, i, i] = diagonal * (1.0 + RIDGE)
            if i > 0:
                matrices[c, i, 0] = diagonal
        for i in range(size):
            diagonal = matrices[c, i, 0] if i > 0 else matrices[c, 0, 0]
            pivot = matrices[c, i, i] if matrices[c, i, i] > SMALLEST_PIVOT * diagonal else diagonal
            scale = 1.0 / np.sqrt(pivot)
            for j in range(np.uint64(i + 1), np.uint64(size)):
                matrices[c, i, j] *= scale
            matrices[c, i, i] = scale
            for other in range(i + 1, size):
                factor = matrices[c, i, other]
                for j in range(np.uint64(other), np.uint64(size)):
                    matrices[c, other, j] -= factor * matrices[c, i, j]


@kernel(inline=True)
def _is_worth_it(descent, target, passes_of_matrix):
    """Say whether a new matrix, which costs passes_of_matrix passes, is worth it at the last point."""
    state = descent.state[0]
    n_before = state.n_with_matrix
    # The first decrement with a matrix stands n_before - 1 places behind the newest.
    n_steps = max(min(n_before - 1, PACE), 1)
    now, before = state.decrements[0], state.decrements[n_steps]
    pace = np.log(before / now) / n_steps if 0 < now < before < np.inf else 0.0
    left = np.log(max(state.gap / target, 1.0))
    # No more goes to matrices than to passes: blocks may bring no better pace than the ones before.
    is_slow = n_before >= max(2, passes_of_matrix) and left > pace * (passes_of_matrix + STEPS_AFTER)
    # Where J no longer tells which way is down, steps of Newton's still gain digits.
    is_flat = state.n_flat > 0 and n_before > 1 and passes_of_matrix <= MAX_PASSES_AT_END
    return n_before < 0 or (n_before > 0 and passes_of_matrix <= CHEAP_PASSES) or is_slow or is_flat


@kernel(reassociate=False)
def renew_in_cache(rows, descent, scratch, is_whole):
    """Build and factorize the next matrix: the Hessian of J, or its blocks, or where none was before, one for all.

    rows are TiledRows, scratch a Scratch; is_whole tells the Hessian from its blocks, one for each class. At the start
    all rows have the probabilities of the class weights. The Hessian by the parameters of class k is then p (1 - p)
    times the mean of x~ x~'; with three or more classes p alone stands for it, since no step moves all classes alike,
    and the block is that of a class of the mean weight. Softmax is flat along equal changes of all classes; there the
    Hessian gets a curvature of its own, which the gradient has no part in.
    """
    probabilities, buffer, row_weights, gram = scratch
    hessian, blocks, n_classes, n_columns = descent.hessian, descent.blocks, descent.blocks.shape[0], gram.shape[0]
    state = descent.state[0]
    is_first = state.n_with_matrix == NO_MATRIX
    k, other, part = 0, 0, 1.0 / state.total_weight
    n_pairs = n_classes * (n_classes + 1) // 2 if is_whole else n_classes
    for _ in range(1 if is_first else n_pairs):
        for t in range(row_weights.shape[0]):
            for i in range(row_weights.shape[1]):
                p, q = probabilities[t, k, i], probabilities[t, other, i]
                fraction = 1.0 if is_first else p * (1.0 - q) if k == other else -p * q
                row_weights[t, i] = fraction * rows.weights[t, i] * part
        fill_gram(rows.values, row_weights, buffer, gram)
        for j in range(n_columns):
            for h in range(j, n_columns):
                bent = descent.vectors[CURVATURES, j] if j == h else 0.0
                if is_first:
                    fraction = 1.0 / n_classes if n_classes > 1 else descent.class_weights[0] * descent.class_weights[1]
                    blocks[0, j, h] = fraction * gram[j, h] + bent
                elif not is_whole:
                    blocks[k, j, h] = gram[j, h] + bent
                else:
                    entry = gram[j, h] + (bent if k == other else 0.0)
                    hessian[0, k * n_columns + j, other * n_columns + h] = entry
                    hessian[0, k * n_columns + h, other * n_columns + j] = entry
        k, other = (k, other + 1) if is_whole and other < n_classes - 1 else (k + 1, k + 1)
    if is_whole and not is_first and n_classes > 1:
        for j in range(n_columns):
            flat = 0.0
            for c in range(n_classes):
                flat += hessian[0, c * n_columns + j, c * n_columns + j] / (n_classes * n_classes)
            for c in range(n_classes):
                for h in range(c, n_classes):
                    hessian[0, c * n_columns + j, h * n_columns + j] += flat if flat > 0 else 1.0
    is_block = is_first or not is_whole
    _factorize(blocks if is_block else hessian, n_classes if is_block and not is_first else 1)
    state.kind, state.n_with_matrix = SHARED if is_first else WHOLE if is_whole else SEPARATE, 0


@kernel(reassociate=False)
def descend_in_cache(rows, descent, scratch, tol, passes_of_matrix, history):
    """Make iterations until the gap is that of `ask` for tol, or history (m, 4) is full; return outcome and number.

    rows are TiledRows, scratch a Scratch. The rows of history take J, gap, largest entry of the gradient and passes of
    each iteration. Where a new matrix, which costs passes_of_matrix passes, is worth it, the outcome is LACKING. The
    first call evaluates the start. It ends there if J or its gradient is not finite, if only the intercept has not
    arrived, and in any case if tol is infinite.
    """
    probabilities, buffer = scratch.probabilities, scratch.buffer
    vectors, state = descent.vectors, descent.state[0]
    n_iter, outcome, is_start = 0, ACCEPTED, state.n_trials == BEGINNING
    while n_iter < history.shape[0]:
        if outcome != SEARCHING and not is_start:
            if _is_worth_it(descent, _ask_at(state, tol), passes_of_matrix):
                return LACKING, n_iter
            _aim(descent)
        loss = evaluate_within(rows, vectors[TRIAL], probabilities, buffer, vectors[TOTAL])
        outcome = check_step(descent, loss)
        if is_start:
            is_start = False
            for i in range(vectors.shape[1]):
                vectors[AT_START, i] = vectors[TOTAL, i]
            if tol == np.inf or not _ask_at(state, tol) < state.natural < np.inf:
                return outcome, n_iter
        elif outcome != SEARCHING:
            history[n_iter, 0], history[n_iter, 1] = state.value, state.gap
            history[n_iter, 2], history[n_iter, 3] = state.largest, state.n_trials
            n_iter += 1
            if outcome == STALLED or state.gap <= _ask_at(state, tol):
                return outcome, n_iter
    return outcome, n_iter


class Scratch(NamedTuple):
    """The memory that `descend_in_cache` overwrites."""

    probabilities: np.ndarray  # (T, K, m), of the rows at the trial
    buffer: np.ndarray  # of `evaluate`
    row_weights: np.ndarray  # (T, m), of a Gram matrix
    gram: np.ndarray  # (d + 1, d + 1)

    @classmethod
    def of(cls, n_tiles: int, tile_rows: int, n_rows_coef: int, n_columns: int) -> Self:
        """Return memory for n_tiles tiles of tile_rows rows, rows of coefficients and columns."""
        probabilities = np.empty((n_tiles, n_rows_coef, tile_rows))
        buffer = make_buffer(n_rows_coef, tile_rows)
        return cls(probabilities, buffer, np.empty((n_tiles, tile_rows)), np.empty((n_columns, n_columns)))


@kernel(reassociate=False)
def turn(descent, target, passes_of_matrix):
    """Find the next direction, or return True if a new matrix, which costs passes_of_matrix passes, is worth it."""
    if _is_worth_it(descent, target, passes_of_matrix):
        return True
    _aim(descent)
    return False


@kernel(reassociate=False)
def renew(descent, matrices):
    """Take matrices for the next steps, of (1, d + 1, d + 1) or (K, d + 1, d + 1), or the factor of a Hessian.

    The former are the loss's, for all classes or each; the factor (1, K (d + 1), K (d + 1)) has no diagonal of
    reciprocals.
    """
    blocks, state = descent.blocks, descent.state[0]
    if matrices.shape[1] > blocks.shape[1]:
        for i in range(matrices.shape[1]):
            for j in range(matrices.shape[1]):
                descent.hessian[0, i, j] = matrices[0, i, j]
            descent.hessian[0, i, i] = 1.0 / matrices[0, i, i]
        state.kind = WHOLE
    else:
        for k in range(matrices.shape[0]):
            for j in range(blocks.shape[1]):
                for h in range(j, blocks.shape[1]):
                    blocks[k, j, h] = matrices[k, j, h] + (descent.vectors[CURVATURES, j] if j == h else 0.0)
        _factorize(blocks, matrices.shape[0])
        state.kind = SHARED if matrices.shape[0] == 1 else SEPARATE
    state.n_with_matrix = 0
