"""A quasi-Newton descent over few parameters: line search, recursion and direction, compiled.

The steps are those of L-BFGS (Nocedal and Wright 2006, algorithm 7.4) whose starting matrix is a Hessian. In Python an
iteration takes 0.15 to 0.3 milliseconds beside its passes, which themselves take 0.005 to 0.1.

Each function becomes part of the few kernels that Python calls before they are compiled, and matrices have a kernel of
their own, since compilation takes longer than in proportion to its size. Vectors are rows of one array, read number by
number: what Numba makes of a slice or a tuple takes longer to compile than the loop over it. With slices and functions
that were compiled one by one a first fit of iris took 19 seconds.
"""

from typing import NamedTuple, Self

import numpy as np

from fastlin.kernels.linear.columnwise import evaluate, fill_gram, make_room
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.instructions import add_freely

PAIRS = 12
# The rows of vectors: the last point that was accepted and the gradient of J there; the direction from there, and the
# parameters to be evaluated next; the derivative of the sum of the losses at the start and at the trial, and the
# gradient of J at that; what the penalty adds to the diagonal of the Hessian, and its reciprocals, zero for intercepts;
# two that the direction is computed in; then the last steps, and what they changed in the gradient.
PARAMETERS, GRADIENT, DIRECTION, TRIAL, AT_START, TOTAL, SLOPES, CURVATURES, INVERSES, VECTOR, IMAGE, STEPS = range(12)
CHANGES = STEPS + PAIRS
# The places of numbers: J and its slope along the direction at the last point; the step along it, the bracket of the
# line search with values and slopes of its ends; the sum of the losses at the trial; gap, largest entry of the
# gradient, and gap but for the intercept at the last point; S; the last Newton decrements, halves of squares, the
# newest first; and of each pair the product, and what the recursion keeps of it.
VALUE, SLOPE, STEP, LOW, LOW_SLOPE, HIGH, HIGH_SLOPE, LOSS, GAP, LARGEST, NATURAL, TOTAL_WEIGHT, DECREMENTS = range(13)
PACE = 3
PRODUCTS = DECREMENTS + PACE + 1
SCALES = PRODUCTS + PAIRS
# The places of counts: the newest pair and how many there are, trials of this search, iterations with this matrix,
# whether it is a Hessian, and iterations that neither J nor the gap has fallen in.
NEWEST, N_PAIRS, N_TRIALS, N_WITH_MATRIX, HAS_HESSIAN, N_FLAT = range(6)
# In the place of a number of trials: the trial is the start. In the place of a number of iterations: there is no
# matrix, or it is that of another point.
BEGINNING, NO_MATRIX, STALE = -1, -2, -1
# What a trial comes to.
SEARCHING, ACCEPTED, STALLED = range(3)
# What ends a call of `descend_in_cache` besides: a new matrix is worth it.
LACKING = 3
# As in solvers/line_search.py.
SUFFICIENT_DECREASE, CURVATURE, ROUNDING = 1e-4, 0.9, 1e-14
MAX_TRIALS = 30
# So many iterations in which neither J falls nor the gap by half end a descent. Gradients fall further than J can tell,
# and with them the coefficients gain digits.
MOST_FLAT = 3
UNIT_ROUNDOFF = 2.0**-53
RIDGE = 1e-13
SMALLEST_PIVOT = 1e-15
# A matrix is built anew after each iteration where it takes no more than so much of a pass, and else once the pace of
# the last iterations foretells more passes than the matrix and so many steps after it take.
CHEAP_PASSES, STEPS_AFTER = 0.5, 3.0


class Descent(NamedTuple):
    """Where a descent stands: arrays that the kernels here overwrite.

    Attributes
    ----------
    vectors : ndarray of shape (CHANGES + PAIRS, K (d + 1))
        Parameters and gradients, class after class, and the last pairs.
    numbers, counts : ndarray
        Numbers and whole numbers.
    class_weights : ndarray of shape (n_classes,)
        The part of S that each class has. Not overwritten.
    blocks : ndarray of shape (K, d + 1, d + 1)
        The Cholesky factors of one matrix for each class.
    hessian : ndarray of shape (1, K (d + 1), K (d + 1))
        The Cholesky factor of a Hessian, once there is one.
    """

    vectors: np.ndarray
    numbers: np.ndarray
    counts: np.ndarray
    class_weights: np.ndarray
    blocks: np.ndarray
    hessian: np.ndarray

    @classmethod
    def at(cls, start: np.ndarray, total_weight: float, class_weights: np.ndarray, curvatures: np.ndarray) -> Self:
        """Return a descent whose first trial are the parameters (K, d + 1) `start`.

        curvatures (d + 1,) are those of the penalty, zero for the intercept alone.
        """
        (K, size), n = start.shape, start.size
        vectors, numbers, counts = np.zeros((CHANGES + PAIRS, n)), np.zeros(SCALES + PAIRS), np.zeros(6, np.int64)
        of_classes = vectors.reshape(-1, K, size)
        of_classes[TRIAL], of_classes[CURVATURES] = start, curvatures
        # Zero too where a curvature has underflowed: the bound of the point itself is infinite then.
        np.divide(1.0, curvatures[:-1], out=of_classes[INVERSES, :, :-1], where=curvatures[:-1] > 0)
        numbers[TOTAL_WEIGHT], numbers[DECREMENTS:PRODUCTS] = total_weight, np.inf
        counts[N_TRIALS] = BEGINNING
        counts[N_WITH_MATRIX] = STALE if start[:, :-1].any() else NO_MATRIX
        blocks = np.empty((K, size, size))
        return cls(vectors, numbers, counts, class_weights, blocks, blocks if K == 1 else np.empty((1, n, n)))

    def row(self, place: int) -> np.ndarray:
        """Return a row of vectors, (K, d + 1)."""
        return self.vectors[place].reshape(self.blocks.shape[:2])


def _judge(descent, loss):
    """Take note of the sums at the trial, and return what it comes to.

    The line search is that of solvers/line_search.py but that a step is taken, too, where J falls and its slope has
    become positive: the pair is sound there, since J is convex.
    """
    vectors, numbers, counts = descent.vectors, descent.numbers, descent.counts
    square, slope, part = 0.0, 0.0, 1.0 / numbers[TOTAL_WEIGHT]
    for i in range(vectors.shape[1]):
        bent = vectors[CURVATURES, i] * vectors[TRIAL, i]
        vectors[SLOPES, i] = part * vectors[TOTAL, i] + bent
        square = add_freely(square, bent * vectors[TRIAL, i])
        slope = add_freely(slope, vectors[SLOPES, i] * vectors[DIRECTION, i])
    value = part * loss + 0.5 * square
    numbers[LOSS] = loss
    is_start, outcome = counts[N_TRIALS] == BEGINNING, ACCEPTED
    counts[N_TRIALS] += 1
    if not is_start:
        slack = ROUNDING * abs(numbers[VALUE])
        most = numbers[VALUE] + slack + SUFFICIENT_DECREASE * numbers[STEP] * numbers[SLOPE]
        if not value <= most:
            numbers[HIGH], numbers[HIGH_SLOPE], outcome = numbers[STEP], slope, SEARCHING
        elif slope < CURVATURE * numbers[SLOPE]:
            numbers[LOW], numbers[LOW_SLOPE], outcome = numbers[STEP], slope, SEARCHING
    if outcome == SEARCHING:
        low, width = numbers[LOW], numbers[HIGH] - numbers[LOW]
        if counts[N_TRIALS] >= MAX_TRIALS or (numbers[HIGH] > 0 and not width > 1e-12 * numbers[HIGH]):
            return STALLED
        # Where the slope is zero, were it a line; the end that is too far may have none.
        part = numbers[LOW_SLOPE] / (numbers[LOW_SLOPE] - numbers[HIGH_SLOPE])
        part = min(max(part, 0.1), 0.9) if -np.inf < part < np.inf else 0.5
        numbers[STEP] = low + width * part if numbers[HIGH] > 0 else 4.0 * numbers[STEP]
        for i in range(vectors.shape[1]):
            vectors[TRIAL, i] = vectors[PARAMETERS, i] + numbers[STEP] * vectors[DIRECTION, i]
        return SEARCHING
    n_rows, size = descent.blocks.shape[0], descent.blocks.shape[1]
    place, product, change_square, gap, natural, largest = (counts[NEWEST] + 1) % PAIRS, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(vectors.shape[1]):
        g = vectors[SLOPES, i]
        step, change = vectors[TRIAL, i] - vectors[PARAMETERS, i], g - vectors[GRADIENT, i]
        vectors[STEPS + place, i], vectors[CHANGES + place, i] = step, change
        vectors[PARAMETERS, i], vectors[GRADIENT, i] = vectors[TRIAL, i], g
        product = add_freely(product, step * change)
        change_square = add_freely(change_square, change * change)
        natural = add_freely(natural, 0.5 * g * g * vectors[INVERSES, i])
        largest = abs(g) if abs(g) > largest else largest
    # The gap is that of objective/duality.py but for what classes exchange in the features, which is less.
    for c in range(descent.class_weights.shape[0]):
        # Two classes have one row, that of the second.
        excess = vectors[GRADIENT, (c + 1 if n_rows > 1 else 1) * size - 1]
        excess = -excess if n_rows == 1 and c == 0 else excess
        if excess > 0:
            gap += excess * (1.0 - np.log(descent.class_weights[c] + excess))
    gap += natural
    if is_start:
        counts[N_FLAT] = 0
    else:
        # Rounding may have spoilt the pair.
        is_sound = product > 2 * UNIT_ROUNDOFF * change_square
        counts[NEWEST] = place if is_sound else counts[NEWEST]
        counts[N_PAIRS] = min(counts[N_PAIRS] + 1, PAIRS) if is_sound else 0
        numbers[PRODUCTS + place] = product
        is_lower = value < numbers[VALUE] - 2 * UNIT_ROUNDOFF * abs(numbers[VALUE])
        counts[N_FLAT] = 0 if is_lower or gap < 0.5 * numbers[GAP] else counts[N_FLAT] + 1
        counts[N_WITH_MATRIX] += 1
    numbers[VALUE], numbers[GAP], numbers[NATURAL], numbers[LARGEST] = value, gap, natural, largest
    return ACCEPTED if counts[N_FLAT] < MOST_FLAT else STALLED


def _aim(descent):
    """Find the direction from the last point, and make its end the next trial."""
    vectors, numbers, counts = descent.vectors, descent.numbers, descent.counts
    n, n_pairs, newest = vectors.shape[1], counts[N_PAIRS], counts[NEWEST]
    # The gradient and, for the scale of the matrix, the newest change.
    for i in range(n):
        vectors[VECTOR, i], vectors[IMAGE, i] = vectors[GRADIENT, i], vectors[CHANGES + newest, i]
    for age in range(n_pairs):
        place, product = (newest - age) % PAIRS, 0.0
        for i in range(n):
            product = add_freely(product, vectors[STEPS + place, i] * vectors[VECTOR, i])
        product /= numbers[PRODUCTS + place]
        numbers[SCALES + place] = product
        for i in range(n):
            vectors[VECTOR, i] -= product * vectors[CHANGES + place, i]
    factors = descent.hessian if counts[HAS_HESSIAN] else descent.blocks
    for which in range(VECTOR, VECTOR + (2 if n_pairs > 0 else 1)):
        _solve(factors, vectors, which, descent.blocks.shape[0])
    product = 0.0
    for i in range(n):
        product = add_freely(product, vectors[CHANGES + newest, i] * vectors[IMAGE, i])
    scale = numbers[PRODUCTS + newest] / product if n_pairs > 0 else 1.0
    for i in range(n):
        vectors[VECTOR, i] *= scale
    for age in range(n_pairs):
        place, product = (newest - n_pairs + 1 + age) % PAIRS, 0.0
        for i in range(n):
            product = add_freely(product, vectors[CHANGES + place, i] * vectors[VECTOR, i])
        product = numbers[SCALES + place] - product / numbers[PRODUCTS + place]
        for i in range(n):
            vectors[VECTOR, i] += product * vectors[STEPS + place, i]
    slope = 0.0
    for i in range(n):
        vectors[DIRECTION, i] = -vectors[VECTOR, i]
        vectors[TRIAL, i] = vectors[PARAMETERS, i] - vectors[VECTOR, i]
        slope = add_freely(slope, vectors[GRADIENT, i] * vectors[DIRECTION, i])
    numbers[SLOPE], numbers[STEP], numbers[LOW], numbers[LOW_SLOPE], numbers[HIGH] = slope, 1.0, 0.0, slope, 0.0
    counts[N_TRIALS] = 0
    for age in range(PACE, 0, -1):
        numbers[DECREMENTS + age] = numbers[DECREMENTS + age - 1]
    numbers[DECREMENTS] = -0.5 * slope


@kernel(inline=True)
def _solve(factors, vectors, which, n_rows):
    """Overwrite a vector with the solution x of U' U x = vector, factor by factor, less what all classes have in it."""
    n_factors, size = factors.shape[0], factors.shape[1]
    for c in range(n_factors):
        first = c * size
        for i in range(size):
            pivot = vectors[which, first + i] / factors[c, i, i]
            vectors[which, first + i] = pivot
            for j in range(i + 1, size):
                vectors[which, first + j] -= pivot * factors[c, i, j]
        for i in range(size - 1, -1, -1):
            product = 0.0
            for j in range(i + 1, size):
                product = add_freely(product, factors[c, i, j] * vectors[which, first + j])
            vectors[which, first + i] = (vectors[which, first + i] - product) / factors[c, i, i]
    n_columns = vectors.shape[1] // n_rows
    if n_rows > 1:
        for j in range(n_columns):
            mean = 0.0
            for k in range(n_rows):
                mean += vectors[which, k * n_columns + j] / n_rows
            for k in range(n_rows):
                vectors[which, k * n_columns + j] -= mean


@kernel(inline=True)
def _factorize(matrices):
    """Overwrite upper triangles (C, size, size) with U, where U' U is the matrix and what rounding has cost it."""
    size = matrices.shape[1]
    for c in range(matrices.shape[0]):
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
            for j in range(i + 1, size):
                matrices[c, i, j] *= scale
            matrices[c, i, i] = pivot * scale
            for other in range(i + 1, size):
                factor = matrices[c, i, other]
                for j in range(other, size):
                    matrices[c, other, j] -= factor * matrices[c, i, j]


@kernel(inline=True)
def _is_worth_it(descent, target, passes_of_matrix):
    """Say whether a new matrix, which costs so many passes, is worth it at the last point."""
    numbers, n_before = descent.numbers, descent.counts[N_WITH_MATRIX]
    # The first decrement with a matrix stands n_before - 1 places behind the newest.
    n_steps = max(min(n_before - 1, PACE), 1)
    now, before = numbers[DECREMENTS], numbers[DECREMENTS + n_steps]
    pace = np.log(before / now) / n_steps if 0 < now < before < np.inf else 0.0
    left = np.log(max(numbers[GAP] / target, 1.0))
    # No more goes to matrices than to passes: blocks may bring no better pace than the ones before.
    is_slow = n_before >= max(2, passes_of_matrix) and left > pace * (passes_of_matrix + STEPS_AFTER)
    return n_before < 0 or (n_before > 0 and passes_of_matrix <= CHEAP_PASSES) or is_slow


@kernel(reassociate=False)
def renew_in_cache(rows, descent, scratch):
    """Build and factorize the next matrix: the Hessian of J, or where none was before, a block for each class.

    rows are SmallRows, scratch a Scratch.

    At the start all rows have the probabilities of the class weights. The Hessian by the parameters of class k is then
    p (1 - p) times the mean of x~ x~'; with three or more classes p alone stands for it, since no step moves all
    classes alike. Softmax is flat along equal changes of all classes; there the Hessian gets a curvature of its own,
    which the gradient has no part in.
    """
    probabilities, room, row_weights, gram = scratch
    hessian, blocks, n_classes, n_columns = descent.hessian, descent.blocks, descent.blocks.shape[0], gram.shape[0]
    is_first = descent.counts[N_WITH_MATRIX] == NO_MATRIX
    k, other, part = 0, 0, 1.0 / descent.numbers[TOTAL_WEIGHT]
    for _ in range(1 if is_first else n_classes * (n_classes + 1) // 2):
        for t in range(row_weights.shape[0]):
            for i in range(row_weights.shape[1]):
                p, q = probabilities[t, k, i], probabilities[t, other, i]
                share = 1.0 if is_first else p * (1.0 - q) if k == other else -p * q
                row_weights[t, i] = share * rows.weights[t, i] * part
        fill_gram(rows.values, row_weights, room, gram)
        for j in range(n_columns):
            for h in range(j, n_columns):
                bent = descent.vectors[CURVATURES, j] if j == h else 0.0
                if is_first:
                    for c in range(n_classes):
                        share = descent.class_weights[c] * (1.0 if n_classes > 1 else descent.class_weights[1])
                        blocks[c, j, h] = share * gram[j, h] + bent
                else:
                    entry = gram[j, h] + (bent if k == other else 0.0)
                    hessian[0, k * n_columns + j, other * n_columns + h] = entry
                    hessian[0, k * n_columns + h, other * n_columns + j] = entry
        k, other = (k + 1, k + 1) if other == n_classes - 1 else (k, other + 1)
    if not is_first and n_classes > 1:
        for j in range(n_columns):
            flat = 0.0
            for c in range(n_classes):
                flat += hessian[0, c * n_columns + j, c * n_columns + j] / (n_classes * n_classes)
            for c in range(n_classes):
                for h in range(c, n_classes):
                    hessian[0, c * n_columns + j, h * n_columns + j] += flat if flat > 0 else 1.0
    _factorize(blocks if is_first else hessian)
    descent.counts[N_PAIRS] *= is_first
    descent.counts[HAS_HESSIAN], descent.counts[N_WITH_MATRIX] = not is_first, 0


judge, _judge_within = kernel(_judge, reassociate=False), kernel(_judge, inline=True)
_aim_within, _evaluate_within = kernel(_aim, inline=True), kernel(evaluate, inline=True)


@kernel(reassociate=False)
def descend_in_cache(rows, descent, scratch, tol, passes_of_matrix, history):
    """Make iterations until the gap is within tol of J, or history (m, 4) is full; return their outcome and number.

    rows are SmallRows, scratch a Scratch. The rows of history take J, gap, largest entry of the gradient and passes of
    each iteration. Where a new matrix, which costs so many passes, is worth it, the outcome is LACKING. The first call
    evaluates the start, and ends there where J or its gradient is not finite, or within tol but for the intercept.
    """
    probabilities, room = scratch.probabilities, scratch.room
    vectors, counts, numbers = descent.vectors, descent.counts, descent.numbers
    n_iter, outcome, is_start = 0, ACCEPTED, counts[N_TRIALS] == BEGINNING
    while n_iter < history.shape[0]:
        if outcome != SEARCHING and not is_start:
            if _is_worth_it(descent, tol * numbers[VALUE], passes_of_matrix):
                return LACKING, n_iter
            _aim_within(descent)
        loss = _evaluate_within(rows, vectors[TRIAL], probabilities, room, vectors[TOTAL])
        outcome = _judge_within(descent, loss)
        if is_start:
            is_start = False
            for i in range(vectors.shape[1]):
                vectors[AT_START, i] = vectors[TOTAL, i]
            if not tol * numbers[VALUE] < numbers[NATURAL] < np.inf:
                return outcome, n_iter
        elif outcome != SEARCHING:
            history[n_iter, 0], history[n_iter, 1] = numbers[VALUE], numbers[GAP]
            history[n_iter, 2], history[n_iter, 3] = numbers[LARGEST], counts[N_TRIALS]
            n_iter += 1
            if outcome == STALLED or numbers[GAP] <= tol * numbers[VALUE]:
                return outcome, n_iter
    return outcome, n_iter


class Scratch(NamedTuple):
    """What `descend_in_cache` overwrites.

    Attributes
    ----------
    probabilities : ndarray of shape (T, K, m)
        The probabilities of the rows at the trial.
    room : ndarray
        That of `evaluate`.
    row_weights : ndarray of shape (T, m)
        The weights of a Gram matrix.
    gram : ndarray of shape (d + 1, d + 1)
        A Gram matrix.
    """

    probabilities: np.ndarray
    room: np.ndarray
    row_weights: np.ndarray
    gram: np.ndarray

    @classmethod
    def of(cls, n_tiles: int, tile_rows: int, n_rows_coef: int, n_columns: int) -> Self:
        """Return room for so many tiles, rows in each, rows of coefficients and columns."""
        probabilities = np.empty((n_tiles, n_rows_coef, tile_rows))
        room = make_room(n_rows_coef, tile_rows)
        return cls(probabilities, room, np.empty((n_tiles, tile_rows)), np.empty((n_columns, n_columns)))


@kernel(reassociate=False)
def turn(descent, target, passes_of_matrix):
    """Find the next direction, or return True where a new matrix, which costs so many passes, is worth it before."""
    if _is_worth_it(descent, target, passes_of_matrix):
        return True
    _aim_within(descent)
    return False


@kernel(reassociate=False)
def renew(descent, matrices, is_exact):
    """Take matrices, (K, d + 1, d + 1) of the loss or (1, K (d + 1), K (d + 1)) of a Hessian's factor, for the next.

    Pairs tell nothing more than an exact Hessian does.
    """
    blocks, counts = descent.blocks, descent.counts
    has_hessian = matrices.shape[0] == 1 and blocks.shape[0] > 1
    if has_hessian:
        descent.hessian[0] = matrices[0]
    else:
        for k in range(blocks.shape[0]):
            for j in range(blocks.shape[1]):
                for h in range(j, blocks.shape[1]):
                    blocks[k, j, h] = matrices[k, j, h] + (descent.vectors[CURVATURES, j] if j == h else 0.0)
        _factorize(blocks)
    counts[HAS_HESSIAN], counts[N_WITH_MATRIX] = has_hessian, 0
    if is_exact:
        counts[N_PAIRS] = 0
