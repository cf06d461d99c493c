"""A compiled quasi-Newton method for few parameters: line search, L-BFGS recursion and preconditioner.

The method is L-BFGS (Nocedal and Wright 2006, algorithm 7.4) with a Hessian B as the initial Hessian approximation. The
recursion uses scaled coordinates, in which B is the identity. With the Cholesky factorization U' U = B, the scaled
gradient is U'^-1 g, and a scaled step s^ corresponds to the step U^-1 s^, so an iteration solves one system with U' and
one with U. In Python, an iteration would take several times as long as its passes.

Large functions, slices and tuples are slow to compile. Therefore, the pass, the line search, the direction and the
matrix are separate functions. Vectors are rows of one array, and their entries are read individually. Loops that start
at a variable use unsigned indices, because Numba wraps negative indices around, which prevents vectorization.
"""

from typing import NamedTuple, Self

import numpy as np

from fastlin.kernels.linear.column_scaling import ROUNDING_ERRORS_PER_ROW, UNIT_ROUNDOFF
from fastlin.kernels.linear.columnwise import evaluate_tiles, fill_gram, make_tile_buffer
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.intrinsics import add_reassociated

MAX_PAIRS = 12
# Indices of the rows of `Descent.vectors`. PARAMETERS and GRADIENT are the last accepted parameters and the gradient of
# J at these parameters. DIRECTION is the search direction. `TRIAL_PARAMETERS` are the trial parameters, which are
# evaluated next. START_LOSS_GRADIENT and `TRIAL_LOSS_GRADIENT` are the gradients of the sum of the losses at the start
# and at the trial parameters. TRIAL_GRADIENT is the gradient of J at the trial parameters. CURVATURES are those of the
# penalty, and INVERSE_CURVATURES are their reciprocals, zero for intercepts. The other rows are in scaled coordinates:
# the gradient, the direction, the last steps, and the gradient changes along these steps.
(
    PARAMETERS,
    GRADIENT,
    DIRECTION,
    TRIAL_PARAMETERS,
    START_LOSS_GRADIENT,
    TRIAL_LOSS_GRADIENT,
    TRIAL_GRADIENT,
    CURVATURES,
    INVERSE_CURVATURES,
    SCALED_GRADIENT,
    SCALED_DIRECTION,
    STEPS,
) = range(12)
GRADIENT_CHANGES = STEPS + MAX_PAIRS
# The number of stored Newton decrements, not counting the newest one.
N_OLD_DECREMENTS = 6
# The fields of the scalars of a descent.
DESCENT_FIELDS = [
    # At the last accepted parameters: J, the slope of J along the direction, the duality gap, the largest entry of the
    # gradient, the gap without the terms of the intercept, and the quadratic penalty. After them: the smallest J and
    # the smallest gap so far.
    *(
        (name, np.float64)
        for name in ("value", "slope", "gap", "largest", "coef_gap", "squares", "min_value", "min_gap")
    ),
    # The line search: the step length, and the ends of the bracket with the slopes of J at these ends.
    *((name, np.float64) for name in ("step", "low", "low_slope", "high", "high_slope")),
    # The sum of the losses at the trial parameters, and S. `compute_allowed_gap` uses the null objective and the floor
    # of the gap.
    *((name, np.float64) for name in ("loss", "total_weight", "null_objective", "floor")),
    # The initial scale of the recursion, which is computed from the newest pair. For each pair: the inner product of
    # step and gradient change, and the coefficient in the recursion. The decrements are half the squared Newton
    # decrements, newest first.
    ("scale", np.float64),
    ("products", np.float64, MAX_PAIRS),
    ("scales", np.float64, MAX_PAIRS),
    ("decrements", np.float64, N_OLD_DECREMENTS + 1),
    # The index of the newest pair; the number of pairs; the number of trials in this line search; the number of
    # iterations with this matrix; the kind of the matrix; and the number of iterations since J reached a new minimum or
    # the gap fell below half of its minimum.
    *((name, np.int64) for name in ("newest", "n_pairs", "n_trials", "n_matrix_steps", "kind", "n_flat_steps")),
]
# With np.record, uncompiled code can access the fields as attributes.
DESCENT_DTYPE = np.dtype((np.record, DESCENT_FIELDS))
# The kinds of matrices: one block shared by all classes, one block per class, the full Hessian.
SHARED_MATRIX, CLASS_MATRICES, FULL_HESSIAN = range(3)
# NOT_STARTED is a value of n_trials. It means that the trial parameters are the start. The others are values of
# n_matrix_steps before the first matrix exists. With NO_MATRIX, the first matrix assumes equal curvatures of all
# rows. With STALE_MATRIX, it uses the curvatures at the start.
NOT_STARTED, NO_MATRIX, STALE_MATRIX = -1, -2, -1
# The outcomes of a trial.
SEARCH_CONTINUES, ACCEPTED, STALLED = range(3)
# An additional outcome of `descend_in_cache`: it stopped because a new Hessian approximation should pay off.
NEEDS_MATRIX = 3
# The constants of the line search, as in solvers/line_search.py.
SUFFICIENT_DECREASE, CURVATURE_CONDITION, VALUE_SLACK = 1e-4, 0.9, 1e-14
MAX_TRIALS = 30
# The descent stops after MAX_FLAT_STEPS consecutive iterations without a new minimum of J or a gap below half of
# its minimum. The gap is part of the criterion because the gradient and the coefficients can still improve when J no
# longer changes in floating-point arithmetic. At the limit of floating-point accuracy, J and the gap may oscillate.
MAX_FLAT_STEPS = 3
# Relative tolerance for the equality of the class sums of probabilities and labels: the rounding error of a row.
CLASS_SUM_TOL = ROUNDING_ERRORS_PER_ROW * UNIT_ROUNDOFF
# Values of J are equal up to rounding error if their relative difference is at most this tolerance.
VALUE_TOL = 1e-13
RIDGE = 1e-13
MIN_PIVOT = 1e-15
# A matrix that costs at most MAX_CHEAP_PASSES passes is rebuilt after each iteration. Any other matrix is rebuilt once
# the recent rate of convergence predicts more passes than a new matrix and STEPS_PER_MATRIX iterations with it would
# cost.
MAX_CHEAP_PASSES, STEPS_PER_MATRIX, MAX_PASSES_AT_END = 0.5, 8.0, 1000.0


class Descent(NamedTuple):
    """The arrays of a descent, which the kernels of this module overwrite."""

    # (GRADIENT_CHANGES + MAX_PAIRS, K (d + 1)), the rows listed above; the entries of a row are ordered by class, then
    # column.
    vectors: np.ndarray
    state: np.ndarray  # (1,) DESCENT_DTYPE
    class_weights: np.ndarray  # (n_classes,), the fraction of S of each class; not overwritten
    # (K, d + 1, d + 1), the Cholesky factors of one matrix per class; a shared matrix uses only the first. Diagonals
    # contain reciprocals.
    blocks: np.ndarray
    # (1, K (d + 1), K (d + 1)), the Cholesky factor of the Hessian, if it was built, with reciprocals on its diagonal.
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
        """Return a descent whose first trial parameters are ``start`` (K, d + 1).

        `curvatures` (d + 1,) are those of the penalty. Only the curvature of the intercept is zero. For
        `null_objective` and `floor`, see `compute_allowed_gap`.
        """
        (K, size), n = start.shape, start.size
        vectors, state = np.zeros((GRADIENT_CHANGES + MAX_PAIRS, n)), np.zeros(1, DESCENT_DTYPE)
        class_rows = vectors.reshape(-1, K, size)
        class_rows[TRIAL_PARAMETERS], class_rows[CURVATURES] = start, curvatures
        # The reciprocal is also zero if a curvature underflowed. In that case `Point` computes an infinite gap.
        is_normal = curvatures[:-1] >= np.finfo(np.float64).tiny
        np.divide(1.0, curvatures[:-1], out=class_rows[INVERSE_CURVATURES, :, :-1], where=is_normal)
        state["total_weight"], state["decrements"] = total_weight, np.inf
        state["null_objective"], state["floor"] = null_objective, floor
        state["n_trials"] = NOT_STARTED
        state["n_matrix_steps"] = STALE_MATRIX if start[:, :-1].any() else NO_MATRIX
        blocks = np.empty((K, size, size))
        return cls(vectors, state, class_weights, blocks, blocks if K == 1 else np.empty((1, n, n)))

    @property
    def now(self) -> np.void:
        """The scalars of the descent, the only entry of `state`."""
        return self.state[0]

    def row(self, position: int) -> np.ndarray:
        """Return row ``position`` of `vectors` as an array (K, d + 1)."""
        return self.vectors[position].reshape(self.blocks.shape[:2])

    def compute_allowed_gap(self, tol: float) -> float:
        """Return the allowed gap at the last accepted parameters."""
        value, squares, null_objective, floor = self.now[["value", "squares", "null_objective", "floor"]].item()
        return compute_allowed_gap(tol, value, value, squares, null_objective, VALUE_TOL, floor)


def compute_allowed_gap(tol, value, scale, squares, null_objective, rounding, floor):
    """Return the largest suboptimality J - J* for which a fit has converged if J is ``value``.

    The result is tol times the smaller of two numbers: ``scale``, which is J itself, and the improvement over the null
    model, null_objective - value. If the improvement minus the rounding error of J is below ``squares``, the quadratic
    penalty, then ``squares`` replaces the improvement, because the null objective exceeds the minimum by at least
    ``squares``. The result is at least ``floor``, the rounding error of the gap, unless ``floor`` exceeds tol times
    scale.
    """
    improvement = null_objective - value - rounding * value
    # Comparisons take half the time of min and max, and small fits call this function often.
    improvement_limit, value_limit = tol * (improvement if improvement > squares else squares), tol * scale
    allowed_gap = improvement_limit if improvement_limit < value_limit else value_limit
    lower_limit = floor if floor < value_limit else value_limit
    return allowed_gap if allowed_gap > lower_limit else lower_limit


_compute_allowed_gap = kernel(compute_allowed_gap, inline=True)


@kernel(inline=True)
def _compute_allowed_gap_at(state, tol):
    """Return the result of `Descent.compute_allowed_gap`."""
    return _compute_allowed_gap(
        tol,
        state.value,
        state.value,
        state.squares,
        state.null_objective,
        VALUE_TOL,
        state.floor,
    )


@kernel(reassociate=False)
def check_step(descent, loss):
    """Process the loss and the gradient at the trial parameters, and return the outcome of the trial.

    If the outcome is SEARCH_CONTINUES, the kernel also chooses the next trial parameters. The conditions are those of
    solvers/line_search.py, with one exception: a step with a positive slope is also accepted if it decreases J
    sufficiently. The pair of such a step is valid because J is convex. Within a bracket, the next step is the zero of
    the linear interpolation of the slopes.
    """
    vectors, state = descent.vectors, descent.state[0]
    square, slope, part = 0.0, 0.0, 1.0 / state.total_weight
    for i in range(vectors.shape[1]):
        penalty_slope = vectors[CURVATURES, i] * vectors[TRIAL_PARAMETERS, i]
        vectors[TRIAL_GRADIENT, i] = part * vectors[TRIAL_LOSS_GRADIENT, i] + penalty_slope
        square = add_reassociated(square, penalty_slope * vectors[TRIAL_PARAMETERS, i])
        slope = add_reassociated(slope, vectors[TRIAL_GRADIENT, i] * vectors[DIRECTION, i])
    value = part * loss + 0.5 * square
    state.loss = loss
    is_start, outcome = state.n_trials == NOT_STARTED, ACCEPTED
    state.n_trials += 1
    if not is_start:
        slack = VALUE_SLACK * abs(state.value)
        max_value = state.value + slack + SUFFICIENT_DECREASE * state.step * state.slope
        if not value <= max_value:
            state.high, state.high_slope, outcome = state.step, slope, SEARCH_CONTINUES
        elif slope < CURVATURE_CONDITION * state.slope:
            state.low, state.low_slope, outcome = state.step, slope, SEARCH_CONTINUES
    if not is_start and not state.slope < 0:
        # The direction is not a descent direction, or contains NaN.
        return STALLED
    if outcome == SEARCH_CONTINUES:
        low, width = state.low, state.high - state.low
        if state.n_trials >= MAX_TRIALS or (state.high > 0 and not width > 1e-12 * state.high):
            return STALLED
        # The next step is the zero of the interpolated slope. The slope at the far end may be infinite or NaN.
        part = state.low_slope / (state.low_slope - state.high_slope)
        part = min(max(part, 0.1), 0.9) if -np.inf < part < np.inf else 0.5
        state.step = low + width * part if state.high > 0 else 4.0 * state.step
        for i in range(vectors.shape[1]):
            vectors[TRIAL_PARAMETERS, i] = vectors[PARAMETERS, i] + state.step * vectors[DIRECTION, i]
        return SEARCH_CONTINUES
    n_rows, size = descent.blocks.shape[0], descent.blocks.shape[1]
    gap, coef_gap, largest = 0.0, 0.0, 0.0
    for i in range(vectors.shape[1]):
        g = vectors[TRIAL_GRADIENT, i]
        vectors[PARAMETERS, i], vectors[GRADIENT, i] = vectors[TRIAL_PARAMETERS, i], g
        coef_gap = add_reassociated(coef_gap, 0.5 * g * g * vectors[INVERSE_CURVATURES, i])
        largest = abs(g) if abs(g) > largest else largest
    # This is the gap of objective/duality.py, except that the effect of the transfer on the features is omitted.
    for c in range(descent.class_weights.shape[0]):
        # With two classes, the single row of coefficients belongs to the second class.
        imbalance = vectors[GRADIENT, (c + 1 if n_rows > 1 else 1) * size - 1]
        imbalance = -imbalance if n_rows == 1 and c == 0 else imbalance
        if imbalance > CLASS_SUM_TOL:
            gap += imbalance * (1.0 - np.log(descent.class_weights[c] + imbalance))
    gap += coef_gap
    if is_start:
        state.min_value, state.min_gap = np.inf, np.inf
    else:
        state.n_matrix_steps += 1
    is_new_minimum = value < state.min_value - 2 * UNIT_ROUNDOFF * abs(state.min_value)
    state.n_flat_steps = 0 if is_start or is_new_minimum or gap < 0.5 * state.min_gap else state.n_flat_steps + 1
    state.min_value, state.min_gap = min(state.min_value, value), min(state.min_gap, gap)
    state.value, state.gap, state.coef_gap, state.largest = value, gap, coef_gap, largest
    state.squares = 0.5 * square
    return ACCEPTED if state.n_flat_steps < MAX_FLAT_STEPS else STALLED


@kernel(reassociate=False, inner=True)
def _compute_direction(descent):
    """Compute the direction at the last accepted parameters, and set the next trial to a full step."""
    vectors, state = descent.vectors, descent.state[0]
    n, position = vectors.shape[1], (state.newest + 1) % MAX_PAIRS
    factors = descent.hessian if state.kind == FULL_HESSIAN else descent.blocks
    size, n_classes, is_shared_matrix = factors.shape[1], descent.class_weights.shape[0], state.kind == SHARED_MATRIX
    # The gradient change starts as the negative previous gradient.
    for i in range(n):
        vectors[GRADIENT_CHANGES + position, i] = -vectors[SCALED_GRADIENT, i]
        vectors[SCALED_GRADIENT, i] = vectors[GRADIENT, i]
    for part in range(n // size):
        # The shared factor is that of a class with the mean class weight.
        scale = np.sqrt(1.0 / (n_classes * descent.class_weights[part])) if is_shared_matrix and n > size else 1.0
        _solve_transposed(factors, 0 if is_shared_matrix else part, vectors, part * size)
        for i in range(part * size, (part + 1) * size):
            vectors[SCALED_GRADIENT, i] *= scale
    product, square = 0.0, 0.0
    for i in range(n):
        step, change = (
            state.step * vectors[SCALED_DIRECTION, i],
            vectors[GRADIENT_CHANGES + position, i] + vectors[SCALED_GRADIENT, i],
        )
        vectors[STEPS + position, i], vectors[GRADIENT_CHANGES + position, i] = step, change
        product = add_reassociated(product, step * change)
        square = add_reassociated(square, change * change)
    if state.n_matrix_steps == 0:
        # The pairs are discarded, because they are in the scaled coordinates of the previous matrix.
        state.n_pairs = 0
    elif product > 2 * UNIT_ROUNDOFF * square:
        state.newest, state.n_pairs = position, min(state.n_pairs + 1, MAX_PAIRS)
        state.products[position], state.scale = product, product / square
    n_pairs, newest = state.n_pairs, state.newest
    for i in range(n):
        vectors[SCALED_DIRECTION, i] = -vectors[SCALED_GRADIENT, i]
    for pair_age in range(n_pairs):
        position, product = (newest - pair_age) % MAX_PAIRS, 0.0
        for i in range(n):
            product = add_reassociated(product, vectors[STEPS + position, i] * vectors[SCALED_DIRECTION, i])
        product /= state.products[position]
        state.scales[position] = product
        for i in range(n):
            vectors[SCALED_DIRECTION, i] -= product * vectors[GRADIENT_CHANGES + position, i]
    scale = state.scale if n_pairs > 0 else 1.0
    for i in range(n):
        vectors[SCALED_DIRECTION, i] *= scale
    for pair_age in range(n_pairs):
        position, product = (newest - n_pairs + 1 + pair_age) % MAX_PAIRS, 0.0
        for i in range(n):
            product = add_reassociated(product, vectors[GRADIENT_CHANGES + position, i] * vectors[SCALED_DIRECTION, i])
        product = state.scales[position] - product / state.products[position]
        for i in range(n):
            vectors[SCALED_DIRECTION, i] += product * vectors[STEPS + position, i]
    for part in range(n // size):
        scale = np.sqrt(1.0 / (n_classes * descent.class_weights[part])) if is_shared_matrix and n > size else 1.0
        for i in range(part * size, (part + 1) * size):
            vectors[DIRECTION, i] = scale * vectors[SCALED_DIRECTION, i]
        _solve(factors, 0 if is_shared_matrix else part, vectors, part * size)
    if n_classes > 2:
        # The component that is equal in all classes is removed, because it does not change the loss.
        n_columns = n // n_classes
        for j in range(n_columns):
            mean = 0.0
            for k in range(n_classes):
                mean += vectors[DIRECTION, k * n_columns + j] / n_classes
            for k in range(n_classes):
                vectors[DIRECTION, k * n_columns + j] -= mean
    slope = 0.0
    for i in range(n):
        vectors[TRIAL_PARAMETERS, i] = vectors[PARAMETERS, i] + vectors[DIRECTION, i]
        slope = add_reassociated(slope, vectors[GRADIENT, i] * vectors[DIRECTION, i])
    state.slope, state.step, state.low, state.low_slope, state.high = slope, 1.0, 0.0, slope, 0.0
    state.n_trials = 0
    for pair_age in range(N_OLD_DECREMENTS, 0, -1):
        state.decrements[pair_age] = state.decrements[pair_age - 1]
    state.decrements[0] = -0.5 * slope


@kernel(inline=True)
def _solve_transposed(factors, c, vectors, first):
    """Solve U' x = SCALED_GRADIENT in place for the entries from ``first``, with four rows of U at a time."""
    size, begin = factors.shape[1], np.uint64(first)
    for i in range(0, size, 4):
        last = min(i + 4, size)
        for j in range(i, last):
            for h in range(i, j):
                vectors[SCALED_GRADIENT, first + j] -= factors[c, h, j] * vectors[SCALED_GRADIENT, first + h]
            vectors[SCALED_GRADIENT, first + j] *= factors[c, j, j]
        if last < size:
            p, q = vectors[SCALED_GRADIENT, first + i], vectors[SCALED_GRADIENT, first + i + 1]
            u, v = vectors[SCALED_GRADIENT, first + i + 2], vectors[SCALED_GRADIENT, first + i + 3]
            for j in range(np.uint64(last), np.uint64(size)):
                subtrahend = p * factors[c, i, j] + q * factors[c, i + 1, j]
                vectors[SCALED_GRADIENT, begin + j] -= subtrahend + (
                    u * factors[c, i + 2, j] + v * factors[c, i + 3, j]
                )


@kernel(inline=True)
def _solve(factors, c, vectors, first):
    """Solve U x = DIRECTION in place for the entries from ``first``, with four rows of U at a time."""
    size, begin = factors.shape[1], np.uint64(first)
    for i in range((size - 1) // 4 * 4, -1, -4):
        last = min(i + 4, size)
        if last < size:
            p, q, u, v = 0.0, 0.0, 0.0, 0.0
            for j in range(np.uint64(last), np.uint64(size)):
                p = add_reassociated(p, factors[c, i, j] * vectors[DIRECTION, begin + j])
                q = add_reassociated(q, factors[c, i + 1, j] * vectors[DIRECTION, begin + j])
                u = add_reassociated(u, factors[c, i + 2, j] * vectors[DIRECTION, begin + j])
                v = add_reassociated(v, factors[c, i + 3, j] * vectors[DIRECTION, begin + j])
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
    """Overwrite the first n_matrices upper triangles A with their Cholesky factors U, where U' U = A.

    `matrices` has shape (C, size, size). The diagonals of U are stored as reciprocals.
    """
    size = matrices.shape[1]
    for c in range(n_matrices):
        for i in range(size):
            # The original diagonal is stored in column 0, which is left of the diagonal and otherwise unused.
            diagonal = matrices[c, i, i] if matrices[c, i, i] > 0 else 1.0
            matrices[c, i, i] = diagonal * (1.0 + RIDGE)
            if i > 0:
                matrices[c, i, 0] = diagonal
        for i in range(size):
            diagonal = matrices[c, i, 0] if i > 0 else matrices[c, 0, 0]
            pivot = matrices[c, i, i] if matrices[c, i, i] > MIN_PIVOT * diagonal else diagonal
            scale = 1.0 / np.sqrt(pivot)
            for j in range(np.uint64(i + 1), np.uint64(size)):
                matrices[c, i, j] *= scale
            matrices[c, i, i] = scale
            for other in range(i + 1, size):
                factor = matrices[c, i, other]
                for j in range(np.uint64(other), np.uint64(size)):
                    matrices[c, other, j] -= factor * matrices[c, i, j]


@kernel(inline=True)
def _needs_matrix(descent, target, passes_per_matrix):
    """Return whether a new matrix, whose cost equals passes_per_matrix passes, would pay off now."""
    state = descent.state[0]
    n_iterations = state.n_matrix_steps
    # The first decrement with this matrix is n_iterations - 1 positions after the newest one.
    n_steps = max(min(n_iterations - 1, N_OLD_DECREMENTS), 1)
    newest, older = state.decrements[0], state.decrements[n_steps]
    rate = np.log(older / newest) / n_steps if 0 < newest < older < np.inf else 0.0
    log_gap_ratio = np.log(max(state.gap / target, 1.0))
    # In total, matrices never cost more than the passes, because a new matrix may not speed up convergence.
    is_slow = n_iterations >= max(2, passes_per_matrix) and log_gap_ratio > rate * (
        passes_per_matrix + STEPS_PER_MATRIX
    )
    # If rounding error hides the decrease of J, Newton steps still improve the coefficients.
    is_value_flat = state.n_flat_steps > 0 and n_iterations > 1 and passes_per_matrix <= MAX_PASSES_AT_END
    return n_iterations < 0 or (n_iterations > 0 and passes_per_matrix <= MAX_CHEAP_PASSES) or is_slow or is_value_flat


@kernel(reassociate=False)
def build_matrix_in_cache(rows, descent, workspace, is_full_hessian):
    """Build and factorize the next matrix: the Hessian of J if is_full_hessian, otherwise its diagonal blocks.

    The first matrix is a single block that all classes share. `rows` are a TiledRows, and `workspace` is a
    `DescentWorkspace`. The shared block assumes that the probabilities of all rows are the class weights. The Hessian
    with respect to the parameters of class k is then p (1 - p) times the mean of x~ x~'. With three or more classes, p
    = 1 / K replaces p (1 - p), because steps have no component that all classes share. The softmax loss is constant
    along equal changes of all classes, and the gradient is orthogonal to these changes. A positive curvature in their
    directions is added to the full Hessian to make it invertible.
    """
    probabilities, buffer, row_weights, gram = workspace
    hessian, blocks, n_classes, n_columns = descent.hessian, descent.blocks, descent.blocks.shape[0], gram.shape[0]
    state = descent.state[0]
    is_first_matrix = state.n_matrix_steps == NO_MATRIX
    k, other, part = 0, 0, 1.0 / state.total_weight
    n_pairs = n_classes * (n_classes + 1) // 2 if is_full_hessian else n_classes
    for _ in range(1 if is_first_matrix else n_pairs):
        for t in range(row_weights.shape[0]):
            for i in range(row_weights.shape[1]):
                p, q = probabilities[t, k, i], probabilities[t, other, i]
                fraction = 1.0 if is_first_matrix else p * (1.0 - q) if k == other else -p * q
                row_weights[t, i] = fraction * rows.weights[t, i] * part
        fill_gram(rows.values, row_weights, buffer, gram)
        for j in range(n_columns):
            for h in range(j, n_columns):
                penalty_curvature = descent.vectors[CURVATURES, j] if j == h else 0.0
                if is_first_matrix:
                    fraction = 1.0 / n_classes if n_classes > 1 else descent.class_weights[0] * descent.class_weights[1]
                    blocks[0, j, h] = fraction * gram[j, h] + penalty_curvature
                elif not is_full_hessian:
                    blocks[k, j, h] = gram[j, h] + penalty_curvature
                else:
                    entry = gram[j, h] + (penalty_curvature if k == other else 0.0)
                    hessian[0, k * n_columns + j, other * n_columns + h] = entry
                    hessian[0, k * n_columns + h, other * n_columns + j] = entry
        k, other = (k, other + 1) if is_full_hessian and other < n_classes - 1 else (k + 1, k + 1)
    if is_full_hessian and not is_first_matrix and n_classes > 1:
        for j in range(n_columns):
            null_curvature = 0.0
            for c in range(n_classes):
                null_curvature += hessian[0, c * n_columns + j, c * n_columns + j] / (n_classes * n_classes)
            for c in range(n_classes):
                for h in range(c, n_classes):
                    hessian[0, c * n_columns + j, h * n_columns + j] += null_curvature if null_curvature > 0 else 1.0
    uses_blocks = is_first_matrix or not is_full_hessian
    _factorize(blocks if uses_blocks else hessian, n_classes if uses_blocks and not is_first_matrix else 1)
    state.kind = SHARED_MATRIX if is_first_matrix else FULL_HESSIAN if is_full_hessian else CLASS_MATRICES
    state.n_matrix_steps = 0


@kernel(reassociate=False)
def descend_in_cache(rows, descent, workspace, tol, passes_per_matrix, history):
    """Iterate until the gap is at most the gap allowed for `tol`, or until `history` (m, 4) is full.

    The kernel returns the outcome and the number of iterations. `rows` are a TiledRows, and `workspace` is a
    `DescentWorkspace`. Each iteration fills a row of `history` with J, the gap, the largest entry of the gradient, and
    the number of passes. The outcome is NEEDS_MATRIX if a new matrix, whose cost equals passes_per_matrix passes, would
    pay off. The first call evaluates the start. It returns at once if J or its gradient is not finite, if only the
    intercept has not converged, or if `tol` is infinite.
    """
    probabilities, buffer = workspace.probabilities, workspace.buffer
    vectors, state = descent.vectors, descent.state[0]
    n_iter, outcome, is_start = 0, ACCEPTED, state.n_trials == NOT_STARTED
    while n_iter < history.shape[0]:
        if outcome != SEARCH_CONTINUES and not is_start:
            if _needs_matrix(descent, _compute_allowed_gap_at(state, tol), passes_per_matrix):
                return NEEDS_MATRIX, n_iter
            _compute_direction(descent)
        loss = evaluate_tiles(rows, vectors[TRIAL_PARAMETERS], probabilities, buffer, vectors[TRIAL_LOSS_GRADIENT])
        outcome = check_step(descent, loss)
        if is_start:
            is_start = False
            for i in range(vectors.shape[1]):
                vectors[START_LOSS_GRADIENT, i] = vectors[TRIAL_LOSS_GRADIENT, i]
            if tol == np.inf or not _compute_allowed_gap_at(state, tol) < state.coef_gap < np.inf:
                return outcome, n_iter
        elif outcome != SEARCH_CONTINUES:
            history[n_iter, 0], history[n_iter, 1] = state.value, state.gap
            history[n_iter, 2], history[n_iter, 3] = state.largest, state.n_trials
            n_iter += 1
            if outcome == STALLED or state.gap <= _compute_allowed_gap_at(state, tol):
                return outcome, n_iter
    return outcome, n_iter


class DescentWorkspace(NamedTuple):
    """The workspace of `descend_in_cache`."""

    probabilities: np.ndarray  # (T, K, m), at the trial parameters
    buffer: np.ndarray  # the buffer of `evaluate_tiles`
    row_weights: np.ndarray  # (T, m), the row weights of a Gram matrix
    gram: np.ndarray  # (d + 1, d + 1)

    @classmethod
    def of(cls, n_tiles: int, tile_rows: int, n_rows_coef: int, n_columns: int) -> Self:
        """Return a workspace for the given numbers of tiles, rows per tile, rows of coefficients and columns."""
        probabilities = np.empty((n_tiles, n_rows_coef, tile_rows))
        buffer = make_tile_buffer(n_rows_coef, tile_rows)
        return cls(probabilities, buffer, np.empty((n_tiles, tile_rows)), np.empty((n_columns, n_columns)))


@kernel(reassociate=False)
def update_direction(descent, target, passes_per_matrix):
    """Return True if a new matrix, whose cost equals passes_per_matrix passes, pays off; else update the direction."""
    if _needs_matrix(descent, target, passes_per_matrix):
        return True
    _compute_direction(descent)
    return False


@kernel(reassociate=False)
def set_matrix(descent, matrices):
    """Set the matrix for the next steps, given Hessians of the loss or the Cholesky factor of the Hessian of J.

    `matrices` are one Hessian for all classes (1, d + 1, d + 1), one Hessian per class (K, d + 1, d + 1), or the factor
    (1, K (d + 1), K (d + 1)). The diagonal of this factor does not contain reciprocals.
    """
    blocks, state = descent.blocks, descent.state[0]
    if matrices.shape[1] > blocks.shape[1]:
        for i in range(matrices.shape[1]):
            for j in range(matrices.shape[1]):
                descent.hessian[0, i, j] = matrices[0, i, j]
            descent.hessian[0, i, i] = 1.0 / matrices[0, i, i]
        state.kind = FULL_HESSIAN
    else:
        for k in range(matrices.shape[0]):
            for j in range(blocks.shape[1]):
                for h in range(j, blocks.shape[1]):
                    blocks[k, j, h] = matrices[k, j, h] + (descent.vectors[CURVATURES, j] if j == h else 0.0)
        _factorize(blocks, matrices.shape[0])
        state.kind = SHARED_MATRIX if matrices.shape[0] == 1 else CLASS_MATRICES
    state.n_matrix_steps = 0
