"""The one statement of the objective: penalised logistic and softmax regression over dense rows.

For rows x_i with label y_i and weight s_i >= 0 (S = sum s_i), coefficients W (K, d) and intercept b (K)::

    J(W, b) = (1 / S) sum_i s_i l(W x_i + b, y_i) + (l2 / 2) ||W||^2

l is the logistic loss log(1 + exp(-z)) with K = 1, labels 0 and 1 and z = +-(score) for two classes, and the softmax
cross-entropy log(sum_k exp(score_k)) - score_y for K >= 3. The intercept is not penalised. Its derivatives are
derived in docs/derivations.md; the kernels that compute them are in kernels/dense.py.

Solvers see J in *scaled* coordinates, one array (K, d + 1) of parameters (V, c), in which every column has a
curvature of order one whatever its unit and its offset::

    x~_j = unit_j x_j + offset_j,   W_kj = unit_j V_kj,   b_k = c_k + sum_j offset_j V_kj

unit_j is a power of two near 1 / sqrt(var_j + l2), offset_j = -unit_j mean_j (zero without an intercept). X stays as it
is: kernels scale and centre a row while they load it. The scores, and so J and its optimum, are the same; the penalty
of V_kj is l2 unit_j^2.

Softmax does not change when a constant is added to all scores. The solution is made unique by `center`: intercepts
and coefficients sum to zero over the classes (for l2 > 0 that is where the optimum lies).
"""

import copy
from dataclasses import dataclass
from math import fsum

import numpy as np

from fastlin.kernels.arrays import copy_aligned, writable_view
from fastlin.kernels.columns import fill_block_column_statistics
from fastlin.kernels.curvature import (
    PANEL,
    fill_block_class_pair_gram,
    fill_block_gram,
    fill_block_hessian_product,
)
from fastlin.kernels.dense import fill_block_best_class, fill_block_loss_and_gradient, fill_block_scores
from fastlin.kernels.threads import count_blocks, run_blocks
from fastlin.kernels.tiles import count_tile_rows

# An array (K, n) of probabilities is kept where it takes no more than this, or than X.
MAX_PROBABILITY_BYTES = 64 << 20
# Units beyond these powers of two are not worked on in float32, whose range ends at 2^128.
FLOAT32_EXPONENTS = 60
# Steps of conjugate gradients for the intercept alone.
SETTLING_STEPS = 20
# Below this many multiply-adds a walk takes less than the rest of an iteration, and float64 is as fast.
MIN_FLOAT32_WORK = 20_000_000


@dataclass(frozen=True, eq=False)
class Columns:
    """What one walk over X tells of its columns, weighted by s: arrays of shape (d,), float64."""

    mean: np.ndarray
    spread: np.ndarray
    root_mean_square: np.ndarray
    largest: np.ndarray
    finite: bool


@dataclass(frozen=True, eq=False)
class Evaluation:
    """J and its gradient (K, d + 1) by the parameters, the mean loss alone, and the type that was computed in."""

    value: float
    gradient: np.ndarray
    loss: float
    precision: type

    @property
    def is_finite(self):
        """Whether neither value nor gradient has overflowed."""
        return bool(np.isfinite(self.value) and np.isfinite(self.gradient).all())


class LinearObjective:
    """J for given data: value, gradient, curvature and a lower bound of its minimum, in scaled coordinates.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        float64, float32, uint8, int8, int16, int32 or bool, of any strides, finite. It is read in place.
    labels : ndarray of shape (n,), integer
        0 to n_classes - 1.
    n_classes : int
        At least 2; two classes have one row of coefficients.
    weights : ndarray of shape (n,) or None
        s_i >= 0, not all zero; None means ones.
    l2 : float
    fit_intercept : bool
    columns : Columns or None
        Of the same X and weights, where they are known.

    Attributes
    ----------
    n_rows_coef : int
        K, the number of rows of coefficients.
    shape : tuple of int
        (K, d + 1), of parameters and gradients.
    penalties : ndarray of shape (d + 1,)
        l2 unit_j^2, and zero for the intercept: the curvature of the penalty by each parameter.
    n_passes : float
        Walks over X so far; a walk over a tenth of the rows is a tenth.
    mean_squares : ndarray of shape (d + 1,)
        Of the scaled columns, and one for the intercept.
    allows_float32 : bool
        Whether the scaled columns are within the range of float32.
    fast_precision : type
        float32 where that makes walks faster and the columns allow it, else float64: what a solver may work in until
        the end, and what curvature is computed in.
    probabilities : ndarray of shape (K, n) or (K, 0)
        Of the point last evaluated, where there is room for them (`keeps_probabilities`).
    """

    def __init__(self, X, labels, n_classes, *, weights=None, l2=0.0, fit_intercept=True, columns=None):
        self.X = writable_view(X)
        self.labels = labels.astype(np.int32)
        # None is an array without entries, which costs no memory.
        self.weights = np.empty(0) if weights is None else weights.astype(np.float64)
        self.l2 = l2
        self.fit_intercept = fit_intercept
        self.n_rows_coef = 1 if n_classes == 2 else n_classes
        self.shape = self.n_rows_coef, X.shape[1] + 1
        self._n_classes = n_classes
        columns = columns or measure_columns(X, weights)
        spread = columns.spread if fit_intercept else columns.root_mean_square
        exponents = -np.log2(np.hypot(spread, np.sqrt(l2)), where=spread + l2 > 0, out=np.zeros_like(spread))
        exponents = np.clip(np.round(exponents), -1000, 1000)
        self.units = 2.0**exponents
        # In float32, so that both precisions share one system of coordinates.
        with np.errstate(over="ignore"):
            offsets = np.float32(-columns.mean * self.units) if fit_intercept else np.zeros(X.shape[1], np.float32)
        self.allows_float32 = bool(
            np.isfinite(offsets).all()
            and (np.abs(exponents) < FLOAT32_EXPONENTS).all()
            and (columns.largest * self.units < 2.0**FLOAT32_EXPONENTS).all()
        )
        is_large = X.size * self.n_rows_coef >= MIN_FLOAT32_WORK
        # Without a penalty nothing bends the directions that float32 would blur.
        self.fast_precision = np.float32 if is_large and self.allows_float32 and l2 > 0 else np.float64
        self.offsets = offsets.astype(np.float64)
        if not np.isfinite(offsets).all():
            self.offsets = -columns.mean * self.units
        self._mean = columns.mean * self.units + self.offsets
        self.mean_squares = np.append(self._mean**2 + (self.units * columns.spread) ** 2, 1.0)
        self.penalties = np.append(l2 * self.units**2, 0.0)
        self._walked = np.zeros(1)
        self._use_rows(np.empty(0, np.int64))

    def _use_rows(self, rows):
        """Let all sums run over the given rows, or over all of X where there are none."""
        n, d = self.X.shape
        self.rows = rows
        self.n_rows = len(rows) or n
        K = self.n_rows_coef
        weights = self.weights[rows] if len(rows) and len(self.weights) else self.weights
        self.total_weight = float(weights.sum()) if len(weights) else float(self.n_rows)
        labels = self.labels[rows] if len(rows) else self.labels
        counts = np.bincount(labels, weights if len(weights) else None, minlength=self._n_classes)
        self.class_weights = counts / self.total_weight
        row_bytes = self.X.itemsize * d
        self._n_blocks = count_blocks(
            self.n_rows, row_work=2 * K * d, partial_bytes=8 * K * d, data_bytes=self.n_rows * row_bytes
        )
        self._losses = np.empty(self._n_blocks)
        self._gradients = np.empty((self._n_blocks, K, d))
        self._intercept_gradients = np.empty((self._n_blocks, K))
        self.keeps_probabilities = np.dtype(self.fast_precision).itemsize * K * self.n_rows <= max(
            MAX_PROBABILITY_BYTES, row_bytes * n
        )
        self.probabilities = np.empty((K, 0), self.fast_precision)
        self._class_features = None

    def sample(self, n_rows):
        """Return J over about `n_rows` rows spread evenly over the classes, with the same coordinates and l2.

        Its lower bounds are estimates: the mean of the columns stays that of all rows.
        """
        order = np.argsort(self.labels, kind="stable")
        if len(self.weights):
            order = order[self.weights[order] > 0]
        n_rows = min(n_rows, len(order))
        # One row of each of n_rows equal stretches: distinct, and each class has its share.
        places = (np.arange(n_rows) + np.random.default_rng(0).random(n_rows)) * (len(order) / n_rows)
        sample = copy.copy(self)
        sample._use_rows(np.sort(order[places.astype(np.int64)]))
        return sample

    def start(self):
        """Return the parameters whose scores are the logarithms of the class weights: the best without features."""
        parameters = np.zeros(self.shape)
        if self.fit_intercept and (self.class_weights > 0).all():
            intercept = np.log(self.class_weights)
            parameters[:, -1] = intercept[1] - intercept[0] if len(parameters) == 1 else intercept - intercept.mean()
        return parameters

    def value_at_start(self):
        """Return J at `start`, which needs no walk over X: the entropy of the class weights."""
        if self.fit_intercept and (self.class_weights > 0).all():
            return float(-np.sum(self.class_weights * np.log(self.class_weights)))
        return float(np.log(self._n_classes))

    @property
    def n_passes(self):
        return float(self._walked[0])

    def evaluate(self, parameters, precision=np.float64):
        """Return the Evaluation at parameters (K, d + 1), computed in float64 or float32: one walk over the rows.

        Sums over rows are float64 in both. Without an intercept its entry of the gradient is zero.
        """
        if self.keeps_probabilities and not self.probabilities.size:
            self.probabilities = np.empty((self.n_rows_coef, self.n_rows), self.fast_precision)
        loss, gradient = self._walk(parameters, precision, self.probabilities)
        shrinkage = self.penalties * parameters
        value = loss + 0.5 * float(np.sum(shrinkage * parameters))
        return Evaluation(float(value), gradient + shrinkage, float(loss), precision)

    def _walk(self, parameters, precision, probabilities):
        """Return the mean loss and its gradient (K, d + 1); probabilities (K, n_rows) are filled, (K, 0) left out."""
        run_blocks(
            fill_block_loss_and_gradient, self._n_blocks, self.X, self.rows, self.labels, self.weights,
            *self._columns(precision), *_split(parameters, precision), self._tile_rows(precision),
            self._losses, self._gradients, self._intercept_gradients, probabilities,
        )  # fmt: skip
        self._walked += self.n_rows / len(self.X)
        return self._losses.sum() / self.total_weight, self._mean_of_blocks()

    def _mean_of_blocks(self):
        """Return the sums of the blocks of a walk over S, (K, d + 1); without an intercept its part is zero."""
        total = np.empty(self.shape)
        total[:, :-1] = self._gradients.sum(axis=0)
        total[:, -1] = self._intercept_gradients.sum(axis=0) if self.fit_intercept else 0
        return total / self.total_weight

    def hessian_product(self, direction):
        """Return the second derivative of J at the point last evaluated, times direction (K, d + 1).

        In the type of the kept probabilities; one walk over the rows.
        """
        precision = self.probabilities.dtype.type
        run_blocks(
            fill_block_hessian_product, self._n_blocks, self.X, self._row_numbers(self.rows),
            self._row_weights(precision), self.probabilities, *self._columns(precision), *_split(direction, precision),
            self._tile_rows(precision), self._gradients, self._intercept_gradients,
        )  # fmt: skip
        self._walked += self.n_rows / len(self.X)
        return self._mean_of_blocks() + self.penalties * direction

    def gram(self, rows, row_weights, precision):
        """Return (1 / S) sum over i of row_weights[c, i] [x~_i, 1] [x~_i, 1]', of shape (C, d + 1, d + 1).

        Over the given row numbers (all where there are none), row_weights (C, m) in their order. Without an intercept
        its row and column are zero.
        """
        size = self.shape[1]
        grams = np.empty((len(row_weights), size, size), precision)
        if not row_weights.shape[1]:
            grams[:] = 0
            return grams
        rows = self._row_numbers(rows)
        run_blocks(
            fill_block_gram, _count_panels(size), self.X, rows, (row_weights / self.total_weight).astype(precision),
            *self._columns(precision), count_tile_rows(size, PANEL, grams.itemsize), grams,
        )  # fmt: skip
        self._walked += len(rows) / len(self.X)
        if not self.fit_intercept:
            grams[:, -1] = grams[:, :, -1] = 0
        return grams

    def hessian(self):
        """Return the second derivative of J at the point last evaluated, (K (d + 1), K (d + 1)), by classes."""
        K, size = self.shape
        precision = self.probabilities.dtype.type
        hessian = np.empty((K * size, K * size))
        run_blocks(
            fill_block_class_pair_gram, _count_panels(K * size), self.X, self._row_numbers(self.rows),
            self._row_weights(precision), self.probabilities, *self._columns(precision),
            count_tile_rows(K * size, PANEL, self.probabilities.itemsize), hessian,
        )  # fmt: skip
        self._walked += self.n_rows / len(self.X)
        hessian /= self.total_weight
        if not self.fit_intercept:
            hessian[size - 1 :: size] = hessian[:, size - 1 :: size] = 0
        hessian[np.diag_indices(K * size)] += np.tile(self.penalties, K)
        return hessian

    def row_weights(self, rows):
        """Return s_i of the given row numbers (all where there are none), as an array or the number one."""
        if not len(self.weights):
            return 1.0
        return self.weights[rows] if len(rows) else self.weights

    def lower_bound(self, parameters, evaluation):
        """Return a lower bound of the minimum of J from an evaluation: the dual objective at a feasible point.

        With Q_i a distribution over the classes for each row, H the entropy and e the one-hot label, Fenchel's
        inequality for each loss gives, for every Q whose class sums equal those of the labels::

            min J >= (1 / S) sum_i s_i H(Q_i) - sum_kj G_kj^2 / (2 penalty_j),   G = (1 / S) sum_i s_i (Q_i - e_i) x~_i'

        At Q = P, the probabilities, the right-hand side is J - ||dJ/dW||^2 / (2 l2). Where the intercept is not
        stationary, P gives a class k of mean probability m_k an excess g_k: then each class with g_k > 0 gives up the
        part g_k / m_k of its probability in every row, and those with g_k < 0 share it, in proportion. Since
        -q log q is concave and its slope at least -1, the mean entropy falls by no more than the sum of
        g_k (1 - log m_k) over the classes with g_k > 0. No walk over X is needed, save one in the life of the
        objective for the class means. Minus infinity where something is not penalised.
        """
        if self.l2 == 0 or not evaluation.is_finite:
            return -np.inf
        gradient = evaluation.gradient - self.penalties * parameters
        excess, features = gradient[:, -1], gradient[:, :-1]
        entropy = evaluation.loss - float(np.sum(parameters * gradient))
        if len(excess) == 1:
            # Two classes have one row: the other's is its negative.
            excess, features = np.append(-excess, excess), np.concatenate([-features, features])
        if excess.max() > 0 > excess.min():
            given = np.maximum(excess, 0)
            shares = self.class_weights + excess
            parts = np.divide(given, shares, where=given > 0, out=np.zeros_like(given))
            taken = np.maximum(-excess, 0)
            taken /= taken.sum()
            moved = parts[:, None] * (features + self._features_of_classes())
            features = features - moved + np.outer(taken, moved.sum(axis=0))
            entropy -= float(np.sum(given - given * np.log(shares, where=given > 0, out=np.zeros_like(given))))
        return entropy - 0.5 * self._square(features[-len(gradient) :])

    def natural_gap(self, evaluation):
        """Return ||dJ/dW||^2 / (2 l2), which bounds J - J* as soon as the intercept is stationary."""
        return 0.5 * self._square(evaluation.gradient[:, :-1]) if self.l2 > 0 else np.inf

    def settle_intercept(self, parameters, evaluation):
        """Return the parameters after a Newton step of the intercept alone, at the point last evaluated.

        The step solves (diag(m) - E[p p']) step = gradient, m the mean probabilities, by conjugate gradients.

        Returns
        -------
        ndarray of shape (K, d + 1) or None
            None where there is no intercept, no probabilities are kept, or all of them are 0 or 1.
        """
        if not self.fit_intercept or not self.probabilities.size:
            return None
        weights = np.broadcast_to(self.row_weights(self.rows), self.n_rows) / self.total_weight
        # einsum, not BLAS, whose bits depend on its threads; the matrix of K^2 entries would take n K^2 steps.
        shares = np.einsum("ki,i->k", self.probabilities, weights, dtype=np.float64)
        diagonal = shares - np.einsum("ki,ki,i->k", self.probabilities, self.probabilities, weights, dtype=np.float64)
        if not diagonal.min() > 0:
            return None
        step = np.zeros(len(diagonal))
        residual = evaluation.gradient[:, -1].copy()
        direction = solved = residual / diagonal
        square = first = residual @ solved
        for _ in range(SETTLING_STEPS):
            means = np.einsum("ki,k->i", self.probabilities, direction, dtype=np.float64) * weights
            product = shares * direction - np.einsum("ki,i->k", self.probabilities, means, dtype=np.float64)
            curvature = direction @ product
            if not curvature > 0:
                break
            step += square / curvature * direction
            residual -= square / curvature * product
            solved = residual / diagonal
            last, square = square, residual @ solved
            if not square > 1e-8 * first:
                break
            direction = solved + square / last * direction
        settled = parameters.copy()
        settled[:, -1] -= step
        return settled

    def _features_of_classes(self):
        """Return (1 / S) times the sum of s_i x~_i over the rows of each class, for all classes: (n_classes, d)."""
        if self._class_features is None:
            # The kept probabilities stay those of the point last evaluated.
            none = np.empty((self.n_rows_coef, 0), self.fast_precision)
            _, gradient = self._walk(np.zeros(self.shape), self.fast_precision, none)
            # With all probabilities equal the gradient is their share of the mean, less the class's part.
            features = self._mean / self._n_classes - gradient[:, :-1]
            if len(features) == 1:
                features = np.concatenate([self._mean - features, features])
            self._class_features = features
        return self._class_features

    def largest_gradient_entry(self, evaluation):
        """Return the largest absolute entry of the gradient by coefficients and intercept, as scikit-learn has it."""
        excess = evaluation.gradient[:, -1:]
        by_coef = (evaluation.gradient[:, :-1] - excess * self.offsets) / self.units
        return float(max(np.abs(by_coef).max(initial=0), np.abs(excess).max()))

    def to_coefficients(self, parameters):
        """Return coef (K, d) and intercept (K,) of parameters (K, d + 1)."""
        # Far from zero the terms cancel; BLAS's sum would also depend on its threads.
        intercept = [fsum([row[-1], *(row[:-1] * self.offsets)]) for row in parameters]
        return parameters[:, :-1] * self.units, np.array(intercept)

    def to_parameters(self, coef, intercept):
        """Return the parameters (K, d + 1) of coef (K, d) and intercept (K,)."""
        scaled = coef / self.units
        return np.column_stack([scaled, intercept - np.einsum("kj,j->k", scaled, self.offsets)])

    def center(self, parameters):
        """Return the equivalent parameters whose sums over the classes are zero, for K >= 3.

        The scores change by the same number for all classes, so that the loss stays and the penalty can only fall.
        Where there is no intercept its entries are zero and stay so.
        """
        return parameters - parameters.mean(axis=0) if self.n_rows_coef > 1 else parameters

    def finish(self, solution, dtype):
        """Return coef, intercept and certificate of a Solution, centred and rounded to dtype.

        Returns
        -------
        coef : ndarray of shape (K, d)
        intercept : ndarray of shape (K,)
        certificate : float
            The solution's, and what rounding adds at most: the second derivative of the loss of a row by its scores
            is at most 1/2, so that a change of the parameters by e raises J by no more than
            <g, e> + (1/4) ||e||^2 E ||x~||^2 + (1/2) sum penalty_j e_kj^2.
        """
        centred = self.center(solution.parameters)
        exact_coef, exact_intercept = self.to_coefficients(centred)
        with np.errstate(over="ignore"):
            coef, intercept = exact_coef.astype(dtype), exact_intercept.astype(dtype)
        if not (np.isfinite(coef).all() and np.isfinite(intercept).all()):
            raise OverflowError("the coefficients are outside the range of their type")
        change = np.empty_like(centred)
        change[:, :-1] = (coef - exact_coef) / self.units
        # Half a unit in the last place of the float64 intercept, and what rounding it further adds.
        change[:, -1] = np.finfo(np.float64).eps * np.abs(exact_intercept) + np.abs(intercept - exact_intercept)
        change[:, -1] += np.abs(change[:, :-1] * self.offsets).sum(axis=1)
        rise = float(np.sum(np.abs(solution.gradient * change)))
        rise += 0.25 * float(np.sum(change * change) * self.mean_squares.sum())
        rise += 0.5 * float(np.sum(self.penalties * change * change))
        return coef, intercept, solution.certificate + rise

    def _row_numbers(self, rows):
        return rows if len(rows) else np.arange(len(self.X))

    def _row_weights(self, precision):
        return np.full(self.n_rows, 1, precision) * np.asarray(self.row_weights(self.rows), precision)

    def _columns(self, precision):
        # Numbers that float32 cannot hold are centred before they are rounded to it.
        kind = np.float64 if self.X.dtype in (np.float64, np.int32) else precision
        return self.units.astype(kind), self.offsets.astype(kind)

    def _square(self, features):
        """Return ||G||^2 / l2 of a gradient by the coefficients, given by the parameters (K, d)."""
        # Infinite for columns beyond 1e150, where no float64 gradient is small enough for a bound.
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            square = float(np.sum(np.square(features / (self.units * np.sqrt(self.l2)))))
        return square if square == square else np.inf

    def _tile_rows(self, precision):
        return count_tile_rows(self.X.shape[1], self.n_rows_coef, np.dtype(precision).itemsize)


def _split(parameters, precision):
    """Return coefficients and intercept as the kernels take them."""
    return np.ascontiguousarray(parameters[:, :-1], precision), np.ascontiguousarray(parameters[:, -1], precision)


def compute_scores(X, coef, intercept):
    """Return X coef' + intercept, of shape (n, K), in the type of coef; X as LinearObjective takes it."""
    scores = np.empty((len(X), len(coef)), coef.dtype)
    _score(fill_block_scores, X, coef, intercept, scores)
    return scores


def find_best_class(X, coef, intercept):
    """Return the class of the largest of the scores of each row, (n,) int64, without holding the scores of all rows."""
    best = np.empty(len(X), np.int64)
    _score(fill_block_best_class, X, coef, intercept, best)
    return best


def _score(kernel, X, coef, intercept, found):
    K, d = coef.shape
    n_blocks = count_blocks(len(X), row_work=K * d, partial_bytes=0, data_bytes=X.nbytes)
    run_blocks(
        kernel, n_blocks, writable_view(X), np.ones(d, coef.dtype), np.zeros(d, coef.dtype), copy_aligned(coef),
        intercept.astype(coef.dtype), count_tile_rows(d, K, coef.itemsize), found,
    )  # fmt: skip


def measure_columns(X, weights=None):
    """Return the Columns of X, as LinearObjective takes it; numbers that are not finite are reported, not refused."""
    n, d = X.shape
    origins = X[0].astype(np.float64)
    n_blocks = count_blocks(n, row_work=d, partial_bytes=32 * d, data_bytes=X.nbytes)
    sums, squares, smallest, largest = np.empty((4, n_blocks, d))
    run_blocks(
        fill_block_column_statistics, n_blocks, writable_view(X), np.empty(0) if weights is None else weights, origins,
        count_tile_rows(d, 1, origins.itemsize), sums, squares, smallest, largest,
    )  # fmt: skip
    smallest, largest = smallest.min(axis=0), largest.max(axis=0)
    total = float(n) if weights is None else float(weights.sum())
    with np.errstate(over="ignore", invalid="ignore"):
        shift = sums.sum(axis=0) / total
        mean = origins + shift
        variance = np.maximum(squares.sum(axis=0) / total - shift**2, 0)
        spread = np.sqrt(variance)
        # Squares of numbers beyond 1e+-150 leave the range of float64.
        half = 0.5 * largest - 0.5 * smallest
        spread = np.where(np.isfinite(spread) & ((spread > 1e-150) | (half == 0)), spread, half)
        return Columns(
            mean=mean,
            spread=spread,
            root_mean_square=np.hypot(mean, spread),
            largest=np.maximum(-smallest, largest),
            finite=bool(np.isfinite(smallest).all() and np.isfinite(largest).all() and not np.isnan(squares).any()),
        )


def _count_panels(size):
    return -(-size // PANEL)
