"""The one statement of the objective: penalised logistic and softmax regression.

For rows x_i with label y_i and weight s_i >= 0 (S = sum s_i), coefficients W (K, d), intercept b (K) and a factor
f_j >= 0 for each feature::

    J(W, b) = (1 / S) sum_i s_i l(W x_i + b, y_i) + (l2 / 2) sum_j f_j ||W_.j||^2 + l1 sum_kj f_j |W_kj|

l is the logistic loss log(1 + exp(-z)) with K = 1, labels 0 and 1 and z = +-(score) for two classes, and the softmax
cross-entropy log(sum_k exp(score_k)) - score_y for K >= 3. The intercept is not penalised, nor is a feature of factor
zero; factors are not rescaled. The grouped penalty (`group_by_class`) has l1 sum_j f_j ||W_.j||_2 in place of the last
term, W_.j being the coefficients of feature j over the classes: a feature is in or out for all classes at once. The
derivatives are derived in docs/derivations.md; the walks over X that compute them are in matrices/.

Solvers see J in *scaled* coordinates, one array (K, d + 1) of parameters (V, c), in which every column has a
curvature of order one whatever its unit and its offset::

    x~_j = scale_j x_j + shift_j,   W_kj = scale_j V_kj,   b_k = c_k + sum_j shift_j V_kj

scale_j is a power of two near 1 / sqrt(var_j + l2 f_j), with the l2 that the objective was made for (`with_penalties`
keeps it), shift_j = -scale_j mean_j (zero without an intercept). X stays as it is: a walk scales and centres while it
reads. The scores, and so J and its optimum, are the same; V_kj is penalised by l2 f_j scale_j^2 / 2 times its square
and by l1 f_j scale_j times its size.

Softmax does not change when a constant is added to all scores. The solution is made unique by `center`: intercepts
and coefficients that are not penalised by their size sum to zero over the classes (with l2 > 0 that is where the
optimum lies).
"""

import copy
from dataclasses import dataclass

import numpy as np

from fastlin.kernels.linear.penalties import (
    CONJUGATE,
    DUAL_SQUARE,
    FIRST,
    LARGEST,
    SECOND,
    SIZES,
    SLOPE,
    SQUARES,
    WITHIN,
    fill_block_dual,
    fill_block_penalties,
)
from fastlin.kernels.machine.threads import MAX_BLOCKS, run_blocks
from fastlin.kernels.machine.vectors import compensated_dot, dot
from fastlin.matrices import as_matrix

# An array (K, n) of probabilities is kept where it takes no more than this, or than X.
MAX_PROBABILITY_BYTES = 64 << 20
# Units beyond these powers of two are not worked on in float32, whose range ends at 2^128.
FLOAT32_EXPONENTS = 60
# Penalties beyond it leave nothing, and their sums would leave the range of float64.
LARGEST_PENALTY = 1e200
# Rows whose curvature is below this part of the mean are decided; to leave them out pays where no more are left.
DECIDED = 3e-3
WORTH_NARROWING = 0.7
# Steps of conjugate gradients for the intercept alone.
SETTLING_STEPS = 20
# Part of the largest curvature that it may have, below which a direction is flat.
FLATNESS = 1e-10
# Steps towards the best point between the labels and the probabilities.
MAX_DUAL_STEPS = 20
# Parameters whose penalties are summed in a block, some 100 microseconds.
MIN_COLUMN_BLOCK = 100_000


@dataclass(frozen=True, eq=False)
class Evaluation:
    """J at a point.

    Attributes
    ----------
    parameters : ndarray of shape (K, d + 1)
    value : float
        J.
    gradient : ndarray of shape (K, d + 1)
        Of the smooth part of J.
    loss : float
        The mean loss.
    slope : float
        The parameters times the gradient of the loss.
    dual_square : float
        The gradient by the coefficients in the norm of the dual, sum_kj gradient_kj^2 / penalty_j.
    largest_entry : float
        Of the smallest subgradient by coefficients and intercept, as scikit-learn has it: zero exactly at a minimum.
    precision : type
        What was computed in.
    """

    parameters: np.ndarray
    value: float
    gradient: np.ndarray
    loss: float
    slope: float
    dual_square: float
    largest_entry: float
    precision: type

    @property
    def is_finite(self):
        """Whether neither value nor gradient has overflowed."""
        return bool(np.isfinite(self.value) and np.isfinite(self.gradient).all())


class LinearObjective:
    """J for given data: value, gradient, curvature and a lower bound of its minimum, in scaled coordinates.

    Parameters
    ----------
    X : ndarray of shape (n, d) or a matrix of fastlin.matrices
        Finite. It is read in place.
    labels : ndarray of shape (n,), integer
        0 to n_classes - 1.
    n_classes : int
        At least 2; two classes have one row of coefficients.
    weights : ndarray of shape (n,) or None
        s_i >= 0, not all zero; None means ones.
    l2, l1 : float
    penalty_factors : ndarray of shape (d,) or None
        f_j >= 0; None means ones.
    group_by_class : bool
        Whether l1 weighs the norm of a feature's coefficients over the classes.
    fit_intercept : bool
    columns : Columns or None
        Of the same X, weights and rows, where they are known.
    rows : ndarray of int64 or None
        The row numbers that all sums run over; None: all.

    Attributes
    ----------
    n_rows_coef : int
        K, the number of rows of coefficients.
    shape : tuple of int
        (K, d + 1), of parameters and gradients.
    penalties : ndarray of shape (d + 1,)
        l2 f_j scale_j^2, and zero for the intercept: the curvature of the penalty by each parameter.
    thresholds : ndarray of shape (d + 1,)
        l1 f_j scale_j, and zero for the intercept: the slope of the penalty by each parameter.
    is_smooth : bool
        Whether J has a gradient everywhere: no threshold is above zero.
    is_bounded : bool
        Whether every coefficient is penalised, so that J has a minimum and lower bounds of it exist.
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

    def __init__(
        self, X, labels, n_classes, *, weights=None, l2=0.0, l1=0.0, penalty_factors=None, group_by_class=False,
        fit_intercept=True, columns=None, rows=None,
    ):  # fmt: skip
        self.matrix = as_matrix(X)
        self.labels = labels.astype(np.int32)
        # None is an array without entries, which costs no memory.
        self.weights = np.empty(0) if weights is None else weights.astype(np.float64)
        self.group_by_class = group_by_class
        self.fit_intercept = fit_intercept
        self.n_rows_coef = 1 if n_classes == 2 else n_classes
        n, d = self.matrix.shape
        self.shape = self.n_rows_coef, d + 1
        self._n_classes = n_classes
        self._factors = np.ones(d) if penalty_factors is None else penalty_factors.astype(np.float64)
        rows = np.empty(0, np.int64) if rows is None else rows
        columns = columns or self.matrix.measure(weights_of_rows(rows, weights, n) if len(rows) else weights)
        spread = columns.spread if fit_intercept else columns.root_mean_square
        with np.errstate(over="ignore"):
            curvatures = np.minimum(l2 * self._factors, LARGEST_PENALTY)
        exponents = -np.log2(
            np.hypot(spread, np.sqrt(curvatures)), where=spread + curvatures > 0, out=np.zeros_like(spread)
        )
        exponents = np.clip(np.round(exponents), -1000, 1000)
        self.scale = 2.0**exponents
        # In float32, so that both precisions share one system of coordinates.
        with np.errstate(over="ignore"):
            shift = np.float32(-columns.mean * self.scale) if fit_intercept else np.zeros(d, np.float32)
        self.allows_float32 = bool(
            np.isfinite(shift).all()
            and (np.abs(exponents) < FLOAT32_EXPONENTS).all()
            and (columns.largest * self.scale < 2.0**FLOAT32_EXPONENTS).all()
        )
        self.shift = shift.astype(np.float64)
        if not np.isfinite(shift).all():
            self.shift = -columns.mean * self.scale
        # A centred column that does not vary is zero, but for rounding, by which nothing may be divided.
        self._vanishing = np.flatnonzero(columns.spread == 0) if fit_intercept else np.empty(0, np.int64)
        self._mean = columns.mean * self.scale + self.shift
        self.mean_squares = np.append(self._mean**2 + (self.scale * columns.spread) ** 2, 1.0)
        self.mean_squares[self._vanishing] = 0
        self._n_column_blocks = int(np.clip(self.n_rows_coef * d // MIN_COLUMN_BLOCK, 1, MAX_BLOCKS))
        self._walked = np.zeros(1)
        self._tangent = None
        self._set_penalties(l2, l1)
        self._use_rows(rows)

    def with_penalties(self, l2, l1):
        """Return J with other penalties, over the same data in the same coordinates, which are shared."""
        other = copy.copy(self)
        other._walked = np.zeros(1)
        other._set_penalties(l2, l1)
        other._forget()
        return other

    def _set_penalties(self, l2, l1):
        self.l2, self.l1 = l2, l1
        with np.errstate(over="ignore"):
            curvatures = np.minimum(l2 * self._factors, LARGEST_PENALTY)
            self.penalties = np.append(np.minimum(curvatures * self.scale**2, LARGEST_PENALTY), 0.0)
            self.thresholds = np.append(np.minimum(l1 * self._factors * self.scale, LARGEST_PENALTY), 0.0)
        # A square root of the penalties that does not leave the range of float64 where they do.
        self._roots = self.scale * np.sqrt(curvatures)
        self.is_smooth = not self.thresholds.any()
        self.is_bounded = (l2 > 0 or l1 > 0) and bool((self._factors > 0).all())
        # Without a penalty nothing bends the directions that float32 would blur.
        gains = self.matrix.gains_from_float32(self.n_rows_coef) and self.allows_float32
        self.fast_precision = np.float32 if gains and self.is_bounded and self.is_smooth else np.float64

    def _use_rows(self, rows):
        """Let all sums run over the given rows, or over all of X where there are none."""
        self.rows = rows
        self.n_rows = len(rows) or self.matrix.shape[0]
        weights = self.weights[rows] if len(rows) and len(self.weights) else self.weights
        self.total_weight = float(weights.sum()) if len(weights) else float(self.n_rows)
        labels = self.labels[rows] if len(rows) else self.labels
        counts = np.bincount(labels, weights if len(weights) else None, minlength=self._n_classes)
        self.class_weights = counts / self.total_weight
        self.passes = self.matrix.passes(
            rows=rows, labels=self.labels, weights=self.weights, n_rows_coef=self.n_rows_coef, scale=self.scale,
            shift=self.shift,
        )  # fmt: skip
        self._class_features = self._total = None
        self._forget()

    def _forget(self):
        """Begin without a point last evaluated."""
        # The models of proximal Newton hold another such array.
        n_arrays = 1 if self.is_smooth else 2
        n_bytes = n_arrays * np.dtype(self.fast_precision).itemsize * self.n_rows_coef * self.n_rows
        self.keeps_probabilities = n_bytes <= max(MAX_PROBABILITY_BYTES, self.matrix.nbytes)
        self.probabilities = np.empty((self.n_rows_coef, 0), self.fast_precision)

    def sample(self, n_rows):
        """Return J over about `n_rows` rows spread evenly over the classes, with the same coordinates and l2.

        Its lower bounds are estimates: the mean of the columns stays that of all rows.
        """
        order = np.argsort(self.labels[self.rows] if len(self.rows) else self.labels, kind="stable")
        if len(self.rows):
            order = self.rows[order]
        if len(self.weights):
            order = order[self.weights[order] > 0]
        n_rows = min(n_rows, len(order))
        # One row of each of n_rows equal stretches: distinct, and each class has its share.
        places = (np.arange(n_rows) + np.random.default_rng(0).random(n_rows)) * (len(order) / n_rows)
        sample = copy.copy(self)
        sample._use_rows(np.sort(order[places.astype(np.int64)]))
        return sample

    def narrow(self, evaluation):
        """Return J near the point last evaluated with its decided rows by their tangent there; itself if they are few.

        A row whose probabilities are nearly 0 and 1 hardly bends J: of weak penalties on MNIST three rows in four.
        Value and gradient at the point are those of J.
        """
        if not self.probabilities.size:
            return self
        curvature = np.zeros(self.n_rows)
        for class_curvature in self.curvatures():
            curvature += class_curvature
        undecided = np.flatnonzero(curvature > DECIDED * curvature.mean())
        if len(undecided) > WORTH_NARROWING * self.n_rows:
            return self
        part = copy.copy(self)
        part._use_rows(self.rows[undecided] if len(self.rows) else undecided)
        part.total_weight, part.class_weights, part._class_features = (
            self.total_weight, self.class_weights, self._class_features
        )  # fmt: skip
        part.keeps_probabilities = False
        loss, total = part._walk(evaluation.parameters, evaluation.precision, part.probabilities)
        slopes = evaluation.gradient - self.penalties * evaluation.parameters - total / self.total_weight
        part._tangent = evaluation.parameters, evaluation.loss - loss, slopes
        return part

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
            self.probabilities = self.passes.empty_probabilities(self.fast_precision)
        loss, total = self._walk(parameters, precision, self.probabilities)
        if self._tangent is not None:
            point, rest, slopes = self._tangent
            loss += rest + float(np.sum(slopes * (parameters - point)))
            total += self.total_weight * slopes
        elif self._class_features is None and not parameters[:, :-1].any():
            self._learn_class_features(parameters, total)
        gradient, figures = np.empty(self.shape), np.empty((self._n_column_blocks, 5))
        run_blocks(
            fill_block_penalties, self._n_column_blocks, total, self.total_weight, parameters, self.penalties,
            self.thresholds, self.group_by_class, self.scale, self.shift, self._roots, gradient, figures,
        )  # fmt: skip
        sums = figures.sum(axis=0)
        return Evaluation(
            parameters,
            value=float(loss + 0.5 * sums[SQUARES] + sums[SIZES]),
            gradient=gradient,
            loss=loss,
            slope=float(sums[SLOPE]),
            dual_square=float(sums[DUAL_SQUARE]),
            largest_entry=float(figures[:, LARGEST].max()),
            precision=precision,
        )

    def size_penalty(self, parameters):
        """Return the part of J that l1 weighs, at parameters (K, d + 1)."""
        if self.is_smooth:
            return 0.0
        if self.group_by_class:
            sizes = np.sqrt(np.einsum("kj,kj->j", parameters, parameters))
        else:
            sizes = np.abs(parameters).sum(axis=0)
        return float(np.sum(sizes * self.thresholds))

    def _walk(self, parameters, precision, probabilities):
        """Return the mean loss and S times its gradient (K, d + 1); without an intercept its part is zero.

        probabilities (K, n_rows) are filled, (K, 0) left out.
        """
        if self._total is None:
            self._total = np.empty(self.shape)
        total = self._total
        loss = self.passes.evaluate(parameters, precision, probabilities, total)
        self._count(self.n_rows)
        return loss / self.total_weight, self._clean(total)

    def _clean(self, total):
        """Return sums over the rows (..., d + 1) with zeros where the intercept, or a column, has no part in J."""
        total[..., self._vanishing] = 0
        if not self.fit_intercept:
            total[..., -1] = 0
        return total

    def _count(self, n_rows):
        self._walked += n_rows / self.matrix.shape[0]

    def hessian_product(self, direction):
        """Return the second derivative of J at the point last evaluated, times direction (K, d + 1).

        In the type of the kept probabilities; one walk over the rows.
        """
        product = self.passes.hessian_product(direction, self.probabilities)
        self._count(self.n_rows)
        product = self._clean(product)
        product /= self.total_weight
        product += self.penalties * direction
        return product

    def gram(self, rows, row_weights, precision):
        """Return (1 / S) sum over i of row_weights[c, i] [x~_i, 1] [x~_i, 1]', of shape (C, d + 1, d + 1).

        Over the given row numbers (all where there are none), row_weights (C, m) in their order. Without an intercept
        its row and column are zero.
        """
        size = self.shape[1]
        if not row_weights.shape[1]:
            return np.zeros((len(row_weights), size, size), precision)
        grams = self.passes.gram(rows, row_weights / self.total_weight, precision)
        self._count(len(rows) or self.matrix.shape[0])
        self._clean(grams)
        self._clean(grams.transpose(0, 2, 1))
        return grams

    def hessian(self):
        """Return the second derivative of J at the point last evaluated, (K (d + 1), K (d + 1)), by classes."""
        hessian = self.hessian_of_loss()
        hessian[np.diag_indices(len(hessian))] += np.tile(self.penalties, self.n_rows_coef)
        return hessian

    def hessian_of_loss(self):
        """Return the same without the penalties."""
        size = self.shape[1]
        hessian = self.passes.class_pair_gram(self.probabilities)
        self._count(self.n_rows)
        hessian /= self.total_weight
        by_columns = hessian.reshape(len(hessian), -1, size)
        self._clean(by_columns)
        self._clean(by_columns.reshape(-1, size, len(hessian)).transpose(0, 2, 1))
        return hessian

    def row_weights(self, rows):
        """Return s_i of the given row numbers (all where there are none), as an array or the number one."""
        if not len(self.weights):
            return 1.0
        return self.weights[rows] if len(rows) else self.weights

    def curvatures(self):
        """Yield s_i p_ik (1 - p_ik) of all rows at the point last evaluated, class by class."""
        weights = self.row_weights(self.rows)
        for probability in self.probabilities:
            yield probability * (1 - probability) * weights

    def lower_bound(self, parameters, evaluation):
        """Return a lower bound of the minimum of J from an evaluation: the dual objective at a feasible point.

        With Q_i a distribution over the classes for each row, H the entropy and e the one-hot label, Fenchel's
        inequality for each loss gives, for every Q whose class sums equal those of the labels::

            min J >= (1 / S) sum_i s_i H(Q_i) - sum_kj G_kj^2 / (2 penalty_j),   G = (1 / S) sum_i s_i (Q_i - e_i) x~_i'

        for l1 = 0; `_dual_value` has the other cases. At Q = P, the probabilities, the right-hand side is
        J - ||dJ/dW||^2 / (2 l2). Where the intercept is not stationary, P gives a class k of mean probability m_k an
        excess g_k: then each class with g_k > 0 gives up the part g_k / m_k of its probability in every row, and those
        with g_k < 0 share it, in proportion. Since
        -q log q is concave and its slope at least -1, the mean entropy falls by no more than the sum of
        g_k (1 - log m_k) over the classes with g_k > 0. No walk over X is needed, save one in the life of the
        objective for the class means. Minus infinity where something is not penalised.
        """
        if not self.is_bounded or not evaluation.is_finite:
            return -np.inf
        # Without an intercept nothing ties the class sums.
        excess = evaluation.gradient[:, -1]
        if len(excess) == 1:
            # Two classes have one row: the other's is its negative.
            excess = np.append(-excess, excess)
        entropy = evaluation.loss - evaluation.slope
        if not excess.max() > 0 > excess.min():
            nothing = np.empty(0)
            return self._dual_value(evaluation, entropy, nothing, nothing)
        given = np.maximum(excess, 0)
        shares = self.class_weights + excess
        parts = np.divide(given, shares, where=given > 0, out=np.zeros_like(given))
        taken = np.maximum(-excess, 0)
        entropy -= float(np.sum(given - given * np.log(shares, where=given > 0, out=np.zeros_like(given))))
        return self._dual_value(evaluation, entropy, parts, taken / taken.sum())

    def _dual_value(self, evaluation, entropy, parts, taken):
        """Return the best dual value between the labels and Q, the probabilities after the given exchange.

        With part t of the way from the labels to Q the gradient is t G, the entropy at least t times Q's (it is
        concave, and zero at the labels), and the conjugate of the penalty is max(t |G_kj| - threshold_j, 0)^2 /
        (2 penalty_j): zero within the box, and infinite outside it without l2. Grouped, |G_kj| is a norm over classes.
        """
        if entropy <= 0 and not self.is_smooth:
            # The labels themselves are better.
            return 0.0
        features = self._features_of_classes() if len(parts) else np.empty((0, 0))
        figures = np.empty((self._n_column_blocks, 4))

        def walk(way):
            run_blocks(
                fill_block_dual, self._n_column_blocks, evaluation.gradient, evaluation.parameters, self.penalties,
                self.thresholds, self.group_by_class, self._roots, features, parts, taken, way, figures,
            )  # fmt: skip
            return figures[:, :WITHIN].sum(axis=0)

        way = 1.0
        sums = walk(way)
        value = entropy - sums[CONJUGATE]
        if self.is_smooth:
            return float(value) if value == value else -np.inf
        if self.l2 == 0:
            return entropy * float(min(figures[:, WITHIN].min(), 1.0))
        # Newton's steps for a concave function of one number, from above: they stay above and end where the set of
        # entries outside the box no longer changes.
        for _ in range(MAX_DUAL_STEPS):
            slope = entropy - sums[FIRST]
            if not slope < 0:
                break
            way += slope / sums[SECOND]
            sums = walk(way)
            better = way * entropy - sums[CONJUGATE]
            if not better > value:
                break
            value = better
        return float(value) if value == value else -np.inf

    def natural_gap(self, evaluation):
        """Return what bounds J - J* as soon as the intercept is stationary: ||dJ/dW||^2 / (2 l2) where l1 = 0."""
        if not self.is_bounded:
            return np.inf
        if self.is_smooth:
            return 0.5 * evaluation.dual_square
        nothing = np.empty(0)
        return evaluation.value - self._dual_value(evaluation, evaluation.loss - evaluation.slope, nothing, nothing)

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
        # Equal steps of all classes change nothing: along them there is neither slope nor curvature but rounding.
        is_flat = len(residual) > 1
        residual -= residual.mean() if is_flat else 0
        direction = solved = residual / diagonal
        square = first = dot(residual, solved)
        for _ in range(SETTLING_STEPS):
            means = np.einsum("ki,k->i", self.probabilities, direction, dtype=np.float64) * weights
            product = shares * direction - np.einsum("ki,i->k", self.probabilities, means, dtype=np.float64)
            curvature = dot(direction, product)
            if not curvature > FLATNESS * float(np.sum(shares * direction * direction)):
                break
            step += square / curvature * direction
            residual -= square / curvature * product
            solved = residual / diagonal
            last, square = square, dot(residual, solved)
            if not square > 1e-8 * first:
                break
            direction = solved + square / last * direction
        settled = parameters.copy()
        settled[:, -1] -= step - step.mean() if is_flat else step
        return settled

    def _features_of_classes(self):
        """Return (1 / S) times the sum of s_i x~_i over the rows of each class, for all classes: (n_classes, d)."""
        if self._class_features is None:
            # The kept probabilities stay those of the point last evaluated.
            none = np.empty((self.n_rows_coef, 0), self.fast_precision)
            parameters = np.zeros(self.shape)
            _, total = self._walk(parameters, self.fast_precision, none)
            self._learn_class_features(parameters, total)
        return self._class_features

    def _learn_class_features(self, parameters, total):
        """Take the sums by class from a walk at parameters that are zero but for the intercept.

        With the same probabilities for all rows the gradient is their share of the mean, less the class's part.
        """
        scores = parameters[:, -1] if len(parameters) > 1 else np.append(0.0, parameters[:, -1])
        probabilities = np.exp(scores - scores.max())
        probabilities /= probabilities.sum()
        features = np.outer(probabilities[-len(parameters) :], self._mean) - total[:, :-1] / self.total_weight
        if len(features) == 1:
            features = np.concatenate([self._mean - features, features])
        self._class_features = features

    def to_coefficients(self, parameters):
        """Return coef (K, d) and intercept (K,) of parameters (K, d + 1)."""
        # Far from zero the terms cancel.
        intercept = [compensated_dot(row[-1], row[:-1], self.shift) for row in parameters]
        return parameters[:, :-1] * self.scale, np.array(intercept)

    def to_parameters(self, coef, intercept):
        """Return the parameters (K, d + 1) of coef (K, d) and intercept (K,)."""
        scaled = coef / self.scale
        return np.column_stack([scaled, intercept - np.einsum("kj,j->k", scaled, self.shift)])

    def center(self, parameters):
        """Return the equivalent parameters whose sums over the classes are zero, for K >= 3.

        The scores change by the same number for all classes, so that the loss stays and the penalty can only fall.
        Coefficients that are penalised by their size stay, and of the intercepts those of `to_coefficients` sum to
        zero. Where there is no intercept its entries are zero and stay so.
        """
        if self.n_rows_coef == 1:
            return parameters
        means = parameters.mean(axis=0)
        if not self.group_by_class:
            sized = self.thresholds > 0
            means[-1] += np.where(sized[:-1], means[:-1] * self.shift, 0).sum()
            means[sized] = 0
        return parameters - means

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
        change[:, :-1] = (coef - exact_coef) / self.scale
        # Half a unit in the last place of the float64 intercept, and what rounding it further adds.
        change[:, -1] = np.finfo(np.float64).eps * np.abs(exact_intercept) + np.abs(intercept - exact_intercept)
        change[:, -1] += np.abs(change[:, :-1] * self.shift).sum(axis=1)
        rise = float(np.sum(np.abs(solution.gradient * change)))
        rise += 0.25 * float(np.sum(change * change) * self.mean_squares.sum())
        rise += 0.5 * float(np.sum(self.penalties * change * change)) + self.size_penalty(change)
        return coef, intercept, solution.certificate + rise


def weights_of_rows(rows, weights, n):
    """Return weights (n,), None for ones, times how often each row is named: zero for all but the given rows."""
    counts = np.bincount(rows, minlength=n).astype(np.float64)
    return counts if weights is None else counts * weights
