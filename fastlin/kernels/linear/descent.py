"""A quasi-Newton descent over few parameters: line search, recursion and direction, compiled.

The steps are those of L-BFGS (Nocedal and Wright 2006, algorithm 7.4) whose starting matrix is a Hessian. In Python an
iteration takes 0.15 to 0.3 milliseconds beside its passes, which themselves take 0.005 to 0.1.

No function is made part of its caller, and none may change the order of its additions: the code of a kernel holds
copies of what it calls, and a copy that was compiled twice had other bits than the one that was compiled once. A
process that compiled a kernel differed in the last digit from one that loaded its code.
"""

from typing import NamedTuple, Self

import numpy as np

from fastlin.kernels.linear.columnwise import evaluate_columns, fill_gram
from fastlin.kernels.linear.residuals import weight_of
from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.instructions import compile_apart

# The places of numbers: J and its slope along the direction at the last point; the step along it, the bracket of the
# line search with values and slopes of its ends; the sums at the trial; gap, largest entry of the gradient, and gap but
# for the intercept at the last point.
VALUE, SLOPE, STEP, LOW, LOW_VALUE, LOW_SLOPE, HIGH, HIGH_VALUE, HIGH_SLOPE, LOSS, GAP, LARGEST, NATURAL = range(13)
# The places of counts: the newest pair and how many there are, trials of this search, iterations with this matrix,
# whether it is a Hessian, and iterations that neither J nor the gap has fallen in.
NEWEST, N_PAIRS, N_TRIALS, N_WITH_MATRIX, HAS_HESSIAN, N_FLAT = range(6)
# In the place of a number of iterations: the matrix is that of another point.
STALE = -1
# What a trial comes to.
SEARCHING, ACCEPTED, STALLED = range(3)
PAIRS = 12
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
PACE = 3


class Pairs(NamedTuple):
    """A ring of the last steps, and what they changed in the gradient.

    Attributes
    ----------
    steps, changes : ndarray of shape (PAIRS, K (d + 1))
        The steps and the changes.
    products : ndarray of shape (PAIRS,)
        The product of each step and its change.
    """

    steps: np.ndarray
    changes: np.ndarray
    products: np.ndarray


class Descent(NamedTuple):
    """Where a descent stands: arrays that the kernels here overwrite.

    Attributes
    ----------
    parameters, gradient : ndarray of shape (K, d + 1)
        The last point that was accepted, and the gradient of J there.
    direction, trial : ndarray of shape (K, d + 1)
        The direction from there, and the parameters to be evaluated next.
    total : ndarray of shape (K, d + 1)
        S times the gradient of the loss at the trial.
    slopes : ndarray of shape (K, d + 1)
        The gradient of J at the trial.
    pairs : Pairs
        The last steps.
    decrements : ndarray of shape (PACE + 1,)
        The last Newton decrements, halves of squares, the newest first.
    numbers : ndarray of shape (12,)
        What the names above say.
    counts : ndarray of shape (6,), int64
        What the names above say.
    blocks : ndarray of shape (K, d + 1, d + 1)
        The Cholesky factors of the first matrix, one for each class.
    hessian : ndarray of shape (1, K (d + 1), K (d + 1))
        The Cholesky factor of a Hessian, once there is one.
    """

    parameters: np.ndarray
    gradient: np.ndarray
    direction: np.ndarray
    trial: np.ndarray
    total: np.ndarray
    slopes: np.ndarray
    pairs: Pairs
    decrements: np.ndarray
    numbers: np.ndarray
    counts: np.ndarray
    blocks: np.ndarray
    hessian: np.ndarray

    @classmethod
    def at(cls, start: np.ndarray) -> Self:
        """Return a descent whose first trial are the parameters (K, d + 1) `start`."""
        (K, size), n = start.shape, start.size
        parameters, gradient, direction, trial, total, slopes = np.zeros((6, K, size))
        steps, changes = np.empty((2, PAIRS, n))
        blocks = np.empty((K, size, size))
        trial[:] = start
        return cls(
            parameters,
            gradient,
            direction,
            trial,
            total,
            slopes,
            Pairs(steps, changes, np.empty(PAIRS)),
            np.full(PACE + 1, np.inf),
            np.zeros(NATURAL + 1),
            np.zeros(N_FLAT + 1, np.int64),
            blocks,
            blocks if K == 1 else np.empty((1, n, n)),
        )


class Terms(NamedTuple):
    """What the sums over the rows become J by.

    Attributes
    ----------
    total_weight : float
        S.
    class_weights : ndarray of shape (n_classes,)
        The part of S that each class has.
    curvatures : ndarray of shape (d + 1,)
        What the penalty adds to the diagonal of the Hessian.
    """

    total_weight: float
    class_weights: np.ndarray
    curvatures: np.ndarray


class InCache(NamedTuple):
    """The rows of a small fit, as the kernels take them.

    Attributes
    ----------
    columns : ndarray of shape (d + 1, m)
        X column by column, scaled and centred, and the column of the intercept, with zeros behind the n rows.
    numbers : ndarray of shape (n,), int64
        0 to n - 1.
    samples : Samples
        Labels and weights of the rows.
    kept : Kept
        Room for their probabilities, in float64.
    """

    columns: np.ndarray
    numbers: np.ndarray
    samples: NamedTuple
    kept: NamedTuple


@kernel(reassociate=False)
def judge(descent, loss, total, terms):
    """Take note of the sums at the trial, and return what it comes to.

    The line search is that of solvers/line_search.py but that a step is taken, too, where J falls and its slope has
    become positive: the pair is sound there, since J is convex.
    """
    compile_apart()
    numbers, counts, curvatures = descent.numbers, descent.counts, terms.curvatures
    n_classes, n_columns = descent.trial.shape
    square, slope = 0.0, 0.0
    for k in range(n_classes):
        v, g, t, d = descent.trial[k], descent.slopes[k], total[k], descent.direction[k]
        for j in range(n_columns):
            bent = curvatures[j] * v[j]
            g[j] = t[j] / terms.total_weight + bent
            square += bent * v[j]
            slope += g[j] * d[j]
    value = loss / terms.total_weight + 0.5 * square
    numbers[LOSS] = loss
    if counts[N_TRIALS] < 0:
        # The start.
        _accept(descent, value, curvatures, terms.class_weights)
        return ACCEPTED
    counts[N_TRIALS] += 1
    step, start_slope = numbers[STEP], numbers[SLOPE]
    slack = ROUNDING * abs(numbers[VALUE])
    is_too_far = not value <= numbers[VALUE] + slack + SUFFICIENT_DECREASE * step * start_slope
    if not is_too_far and slope >= CURVATURE * start_slope:
        is_lower, gap = value < numbers[VALUE] - 2 * UNIT_ROUNDOFF * abs(numbers[VALUE]), numbers[GAP]
        _keep_pair(descent)
        _accept(descent, value, curvatures, terms.class_weights)
        counts[N_FLAT] = 0 if is_lower or numbers[GAP] < 0.5 * gap else counts[N_FLAT] + 1
        return ACCEPTED if counts[N_FLAT] < MOST_FLAT else STALLED
    if counts[N_TRIALS] >= MAX_TRIALS:
        return STALLED
    if is_too_far:
        numbers[HIGH], numbers[HIGH_VALUE], numbers[HIGH_SLOPE] = step, value, slope
    else:
        numbers[LOW], numbers[LOW_VALUE], numbers[LOW_SLOPE] = step, value, slope
    if numbers[HIGH] == 0.0:
        numbers[STEP] = 4.0 * step
    else:
        width = numbers[HIGH] - numbers[LOW]
        if not width > 1e-12 * numbers[HIGH]:
            return STALLED
        numbers[STEP] = numbers[LOW] + width * _part(numbers, width)
    for k in range(n_classes):
        v, x, d = descent.trial[k], descent.parameters[k], descent.direction[k]
        for j in range(n_columns):
            v[j] = x[j] + numbers[STEP] * d[j]
    return SEARCHING


@kernel(reassociate=False, inner=True)
def _part(numbers, width):
    """Return the part of the bracket at which the cubic through both ends is least, or one half."""
    compile_apart()
    low_slope, high_slope = numbers[LOW_SLOPE], numbers[HIGH_SLOPE]
    if np.isfinite(numbers[HIGH_VALUE]) and np.isfinite(high_slope):
        first = low_slope + high_slope - 3.0 * (numbers[HIGH_VALUE] - numbers[LOW_VALUE]) / width
        unit = max(abs(first), abs(low_slope), abs(high_slope))
        radicand = (first / unit) * (first / unit) - (low_slope / unit) * (high_slope / unit)
        if radicand >= 0:
            second = unit * np.sqrt(radicand)
            denominator = high_slope - low_slope + 2.0 * second
            if denominator != 0:
                return min(max(1.0 - (high_slope + second - first) / denominator, 0.1), 0.9)
    return 0.5


@kernel(reassociate=False, inner=True)
def _keep_pair(descent):
    """Take the step to the trial into the ring, unless rounding has spoilt it."""
    compile_apart()
    counts = descent.counts
    place = (counts[NEWEST] + 1) % PAIRS
    step, change = descent.pairs.steps[place], descent.pairs.changes[place]
    n_columns, product, square = descent.trial.shape[1], 0.0, 0.0
    for k in range(descent.trial.shape[0]):
        v, x, g, h = descent.trial[k], descent.parameters[k], descent.slopes[k], descent.gradient[k]
        s, c = step[k * n_columns : (k + 1) * n_columns], change[k * n_columns : (k + 1) * n_columns]
        for j in range(n_columns):
            s[j] = v[j] - x[j]
            c[j] = g[j] - h[j]
            product += s[j] * c[j]
            square += c[j] * c[j]
    if product > 2 * UNIT_ROUNDOFF * square:
        descent.pairs.products[place] = product
        counts[NEWEST] = place
        counts[N_PAIRS] = min(counts[N_PAIRS] + 1, PAIRS)
    else:
        counts[N_PAIRS] = 0


@kernel(reassociate=False, inner=True)
def _accept(descent, value, curvatures, class_weights):
    """Make the trial the last point, and measure its gradient.

    The gap is that of objective/duality.py but for what classes exchange in the features, which is less.
    """
    compile_apart()
    numbers, (n_classes, n_columns) = descent.numbers, descent.trial.shape
    gap, largest, natural = 0.0, 0.0, 0.0
    for c in range(class_weights.shape[0]):
        # Two classes have one row, that of the second.
        excess = descent.slopes[c if n_classes > 1 else 0, n_columns - 1]
        excess = -excess if n_classes == 1 and c == 0 else excess
        if excess > 0:
            gap += 2.0 * excess * (1.0 - np.log(class_weights[c] + excess))
    for k in range(n_classes):
        v, x, g, h = descent.trial[k], descent.parameters[k], descent.slopes[k], descent.gradient[k]
        for j in range(n_columns):
            x[j] = v[j]
            h[j] = g[j]
            largest = max(largest, abs(g[j]))
        for j in range(n_columns - 1):
            natural += g[j] * g[j] / curvatures[j]
    numbers[VALUE], numbers[LARGEST] = value, largest
    numbers[GAP], numbers[NATURAL] = 0.5 * (gap + natural), 0.5 * natural
    descent.counts[N_WITH_MATRIX] += 1


@kernel(reassociate=False, inner=True)
def aim(descent, factors):
    """Find the direction from the last point, and make its end the next trial."""
    compile_apart()
    numbers, counts = descent.numbers, descent.counts
    n_classes, n_columns = descent.parameters.shape
    n, n_pairs = n_classes * n_columns, counts[N_PAIRS]
    vector, image, scales = zeros_aligned(n, np.float64), zeros_aligned(n, np.float64), zeros_aligned(PAIRS, np.float64)
    for k in range(n_classes):
        for j in range(n_columns):
            vector[k * n_columns + j] = descent.gradient[k, j]
    for age in range(n_pairs):
        place = (counts[NEWEST] - age) % PAIRS
        scales[place] = _dot(descent.pairs.steps[place], vector) / descent.pairs.products[place]
        _add(-scales[place], descent.pairs.changes[place], vector)
    solve(factors, n_classes, vector)
    if n_pairs > 0:
        newest = counts[NEWEST]
        for j in range(n):
            image[j] = descent.pairs.changes[newest, j]
        solve(factors, n_classes, image)
        scale = descent.pairs.products[newest] / _dot(descent.pairs.changes[newest], image)
        for j in range(n):
            vector[j] *= scale
    for age in range(n_pairs - 1, -1, -1):
        place = (counts[NEWEST] - age) % PAIRS
        second = _dot(descent.pairs.changes[place], vector) / descent.pairs.products[place]
        _add(scales[place] - second, descent.pairs.steps[place], vector)
    slope = 0.0
    for k in range(n_classes):
        d, v, x, g = descent.direction[k], descent.trial[k], descent.parameters[k], descent.gradient[k]
        for j in range(n_columns):
            d[j] = -vector[k * n_columns + j]
            v[j] = x[j] + d[j]
            slope += g[j] * d[j]
    numbers[SLOPE], numbers[STEP] = slope, 1.0
    numbers[LOW], numbers[LOW_VALUE], numbers[LOW_SLOPE], numbers[HIGH] = 0.0, numbers[VALUE], slope, 0.0
    counts[N_TRIALS] = 0
    for age in range(PACE, 0, -1):
        descent.decrements[age] = descent.decrements[age - 1]
    descent.decrements[0] = -0.5 * slope


@kernel(reassociate=False, inner=True)
def _dot(a, b):
    """Return the sum of a_j b_j in an order that no compilation changes, eight sums side by side."""
    compile_apart()
    p, q, r, s, t, u, v, w = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    n = a.shape[0] // 8 * 8
    for j in range(0, n, 8):
        p += a[j] * b[j]
        q += a[j + 1] * b[j + 1]
        r += a[j + 2] * b[j + 2]
        s += a[j + 3] * b[j + 3]
        t += a[j + 4] * b[j + 4]
        u += a[j + 5] * b[j + 5]
        v += a[j + 6] * b[j + 6]
        w += a[j + 7] * b[j + 7]
    total = ((p + q) + (r + s)) + ((t + u) + (v + w))
    for j in range(n, a.shape[0]):
        total += a[j] * b[j]
    return total


@kernel(reassociate=False, inner=True)
def _add(factor, a, b):
    compile_apart()
    for j in range(a.shape[0]):
        b[j] += factor * a[j]


@kernel(reassociate=False, inner=True)
def factorize(matrix):
    """Overwrite the upper triangle of a matrix with U, where U' U is the matrix and what rounding has cost it."""
    compile_apart()
    size = matrix.shape[0]
    for i in range(size):
        matrix[i, i] *= 1.0 + RIDGE
    floors = zeros_aligned(size, np.float64)
    for i in range(size):
        floors[i] = SMALLEST_PIVOT * matrix[i, i]
    for i in range(size):
        row = matrix[i, i:]
        pivot = row[0]
        if not pivot > floors[i]:
            pivot = floors[i] / SMALLEST_PIVOT if floors[i] > 0 else 1.0
        root = np.sqrt(pivot)
        for j in range(row.shape[0]):
            row[j] /= root
        row[0] = root
        for other in range(i + 1, size):
            _add(-matrix[i, other], matrix[i, other:], matrix[other, other:])


@kernel(reassociate=False, inner=True)
def solve(factors, n_classes, vector):
    """Overwrite vector with the solution of U' U x = vector, factor by factor, without what moves all classes alike."""
    compile_apart()
    n_factors, size = factors.shape[0], factors.shape[1]
    for c in range(n_factors):
        factor, x = factors[c], vector[c * size : (c + 1) * size]
        for i in range(size):
            x[i] /= factor[i, i]
            _add(-x[i], factor[i, i + 1 :], x[i + 1 :])
        for i in range(size - 1, -1, -1):
            x[i] = (x[i] - _dot(factor[i, i + 1 :], x[i + 1 :])) / factor[i, i]
    if n_classes > 1:
        n_columns = vector.shape[0] // n_classes
        for j in range(n_columns):
            mean = 0.0
            for k in range(n_classes):
                mean += vector[k * n_columns + j]
            mean /= n_classes
            for k in range(n_classes):
                vector[k * n_columns + j] -= mean


@kernel(reassociate=False)
def begin(descent, loss, total, terms, gram):
    """Take note of the sums at the start, and build the first matrix from the mean of x~ x~' over the rows.

    Where all rows have the probabilities of the class weights, the Hessian by the parameters of class k is that mean
    times their p (1 - p); with three or more classes p alone stands for it, since no step moves all classes alike.
    """
    compile_apart()
    n_classes, n_columns = descent.parameters.shape
    for k in range(n_classes):
        share = terms.class_weights[k] if n_classes > 1 else terms.class_weights[0] * terms.class_weights[1]
        block = descent.blocks[k]
        for j in range(n_columns):
            for other in range(j, n_columns):
                block[j, other] = share * gram[j, other]
            block[j, j] += terms.curvatures[j]
            if not block[j, j] > 0:
                block[j, j] = 1.0
        factorize(block)
    descent.counts[N_TRIALS] = -1
    judge(descent, loss, total, terms)
    descent.counts[N_WITH_MATRIX] = 0


@kernel(reassociate=False)
def turn(descent, target, passes_of_hessian):
    """Find the next direction, or return True where a new matrix, which costs so many passes, is worth it before."""
    if _is_worth_it(descent, target, passes_of_hessian):
        return True
    aim(descent, descent.hessian if descent.counts[HAS_HESSIAN] else descent.blocks)
    return False


@kernel(reassociate=False)
def renew(descent, matrices, terms, is_exact):
    """Take matrices, (K, d + 1, d + 1) of the loss or the factor (1, K (d + 1), K (d + 1)) of a Hessian, for the next.

    Pairs tell nothing more than an exact Hessian does.
    """
    counts = descent.counts
    if matrices.shape[0] == 1 and matrices.shape[1] == descent.hessian.shape[1] and descent.parameters.shape[0] > 1:
        descent.hessian[0] = matrices[0]
        counts[HAS_HESSIAN] = 1
    else:
        for k in range(matrices.shape[0]):
            block, matrix = descent.blocks[k], matrices[k]
            for j in range(block.shape[0]):
                for other in range(j, block.shape[0]):
                    block[j, other] = matrix[j, other]
                block[j, j] += terms.curvatures[j]
                if not block[j, j] > 0:
                    block[j, j] = 1.0
            factorize(block)
        counts[HAS_HESSIAN] = 0
    counts[N_WITH_MATRIX] = 0
    if is_exact:
        counts[N_PAIRS] = 0


@kernel(reassociate=False)
def begin_in_cache(rows, terms, descent):
    """Evaluate the first trial, and build the first matrix."""
    n_rows, (n_columns, n_padded) = rows.numbers.shape[0], rows.columns.shape
    weights, gram = zeros_aligned(n_padded, np.float64), zeros_aligned((n_columns, n_columns), np.float64)
    for i in range(n_rows):
        weights[i] = weight_of(rows.samples.weights, i) / terms.total_weight
    fill_gram(rows.columns, weights, gram)
    loss = evaluate_columns(rows.columns, rows.numbers, rows.samples, descent.trial, rows.kept, descent.total)
    begin(descent, loss, descent.total, terms, gram)


@kernel(reassociate=False, inner=True)
def _try(rows, terms, descent):
    """Evaluate the trial, and return what it comes to."""
    compile_apart()
    loss = evaluate_columns(rows.columns, rows.numbers, rows.samples, descent.trial, rows.kept, descent.total)
    return judge(descent, loss, descent.total, terms)


@kernel(reassociate=False)
def iterate_in_cache(rows, terms, descent, tol, passes_of_hessian, history):
    """Make iterations until the gap is within tol of J, or history (m, 4) is full; return their outcome and number.

    The rows of history take J, gap, largest entry of the gradient and passes of each iteration. A Hessian, which costs
    so many passes, is built where that is worth it.
    """
    counts, numbers = descent.counts, descent.numbers
    for n_iter in range(history.shape[0]):
        if _is_worth_it(descent, tol * numbers[VALUE], passes_of_hessian):
            _fill_hessian(rows, terms, descent.hessian[0])
            factorize(descent.hessian[0])
            counts[N_PAIRS], counts[N_WITH_MATRIX], counts[HAS_HESSIAN] = 0, 0, 1
        aim(descent, descent.hessian if counts[HAS_HESSIAN] else descent.blocks)
        outcome = SEARCHING
        while outcome == SEARCHING:
            outcome = _try(rows, terms, descent)
        history[n_iter, 0], history[n_iter, 1] = numbers[VALUE], numbers[GAP]
        history[n_iter, 2], history[n_iter, 3] = numbers[LARGEST], counts[N_TRIALS]
        if outcome == STALLED or numbers[GAP] <= tol * numbers[VALUE]:
            return outcome, n_iter + 1
    return ACCEPTED, history.shape[0]


@kernel(reassociate=False, inner=True)
def _is_worth_it(descent, target, passes_of_hessian):
    compile_apart()
    n_before = descent.counts[N_WITH_MATRIX]
    if n_before == STALE:
        return True
    if passes_of_hessian <= CHEAP_PASSES:
        return n_before > 0
    # No more goes to matrices than to passes: blocks may bring no better pace than the ones before.
    if n_before < 2 or n_before < passes_of_hessian:
        return False
    # The first decrement with a matrix stands n_before - 1 places behind the newest.
    n_steps = PACE if n_before > PACE else n_before - 1
    now, before = descent.decrements[0], descent.decrements[n_steps]
    pace = np.log(before / now) / n_steps if 0 < now < before < np.inf else 0.0
    left = np.log(max(descent.numbers[GAP] / target, 1.0))
    return left > pace * (passes_of_hessian + STEPS_AFTER)


@kernel(reassociate=False, inner=True)
def _fill_hessian(rows, terms, matrix):
    """Fill the upper triangle of matrix with the Hessian of J at the probabilities that are kept.

    Softmax is flat along equal changes of all classes; there it gets a curvature of its own, which the gradient has no
    part in.
    """
    compile_apart()
    probabilities, all_weights = rows.kept.double, rows.samples.weights
    n_classes, n_rows = probabilities.shape
    n_columns, n_padded = rows.columns.shape
    weights, gram = zeros_aligned(n_padded, np.float64), zeros_aligned((n_columns, n_columns), np.float64)
    for k in range(n_classes):
        p = probabilities[k]
        for other in range(k, n_classes):
            q = probabilities[other]
            for i in range(n_rows):
                weights[i] = p[i] * ((1.0 - p[i]) if k == other else -q[i]) / terms.total_weight
            if all_weights.shape[0] > 0:
                for i in range(n_rows):
                    weights[i] *= all_weights[i]
            fill_gram(rows.columns, weights, gram)
            for j in range(n_columns):
                for h in range(j, n_columns):
                    matrix[k * n_columns + j, other * n_columns + h] = gram[j, h]
                    matrix[k * n_columns + h, other * n_columns + j] = gram[j, h]
    for j in range(n_columns):
        flat = 0.0
        for k in range(n_classes):
            matrix[k * n_columns + j, k * n_columns + j] += terms.curvatures[j]
            flat += matrix[k * n_columns + j, k * n_columns + j]
        flat /= n_classes * n_classes
        flat = flat if flat > 0 else 1.0
        if n_classes > 1:
            for k in range(n_classes):
                for other in range(k, n_classes):
                    matrix[k * n_columns + j, other * n_columns + j] += flat
        elif not matrix[j, j] > 0:
            matrix[j, j] = 1.0
