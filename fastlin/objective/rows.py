"""The weighted rows that the sums of an objective run over, and the passes over X that make these sums."""

from functools import cached_property

import numpy as np

# Rows whose labels are counted or sorted together: NumPy makes a copy of them in eight bytes each.
ROWS_TOGETHER = 1_000_000
N_SKETCHES = 4
# Where the largest square of most columns is so many times the mean one, few rows may have much of the curvature. Of
# 240,000 x 100 where one row in a hundred is not zero L-BFGS came to no end in 1,000 iterations, and now takes 103.
# Normal numbers have 10 to 30, and MNIST 25: there it gained a quarter with 60,000 rows and C = 100, and lost as much
# with 20,000.
UNEVEN = 50.0
# Rows that are fewer than this part of X are copied to be measured.
COPIED_BELOW = 0.25


class Rows:
    """Rows of X with labels and weights, in coordinates: their sums, divided by the total weight.

    A sum is zero where the intercept or a vanishing column has no part in J. Each pass is counted.

    Parameters
    ----------
    matrix : DenseMatrix, SparseMatrix or BlockMatrix
        All rows of X.
    labels : ndarray of shape (n,), int32
        0 to n_classes - 1, of all rows of X.
    weights : ndarray of shape (n,), float64
        s_i >= 0 of all rows of X. Without entries all are one.
    n_classes : int
        The number of classes, at least 2.
    coordinates : Coordinates
        How the columns enter.
    fit_intercept : bool
        Whether there is an intercept.
    numbers : ndarray of shape (m,), int64
        The row numbers that the sums run over. Without entries they run over all rows.
    whole : Rows or None
        Rows that these are a part of. The sums are then divided by the total weight of all of them, and the class
        weights are theirs, since the other rows enter J in another way.

    Attributes
    ----------
    n_rows : int
        The number of rows that the sums run over.
    n_rows_coef : int
        K, the number of rows of coefficients: one for two classes.
    total_weight : float
        S.
    class_weights : ndarray of shape (n_classes,)
        The part of S that each class has.
    gains_from_float32 : bool
        Whether passes in float32 are faster and the columns allow them.
    passes : DensePasses or SparsePasses
        What makes the sums.
    """

    def __init__(self, matrix, labels, weights, n_classes, coordinates, fit_intercept, numbers, whole=None):
        self.matrix, self.labels, self.weights = matrix, labels, weights
        self.n_classes = n_classes
        self.n_rows_coef = 1 if n_classes == 2 else n_classes
        self.coordinates, self.fit_intercept, self.numbers = coordinates, fit_intercept, numbers
        self.n_rows = len(numbers) or matrix.shape[0]
        self._whole = whole
        if whole is None:
            own_weights = weights[numbers] if len(numbers) and len(weights) else weights
            self.total_weight = float(own_weights.sum()) if len(weights) else float(self.n_rows)
            own_labels = labels[numbers] if len(numbers) else labels
            self.class_weights = _weigh_classes(own_labels, own_weights, n_classes) / self.total_weight
        else:
            self.total_weight, self.class_weights = whole.total_weight, whole.class_weights
        self.passes = matrix.passes(
            rows=numbers,
            labels=labels,
            weights=weights,
            n_rows_coef=self.n_rows_coef,
            scale=coordinates.scale,
            shift=coordinates.shift,
        )
        self.gains_from_float32 = coordinates.allows_float32 and matrix.gains_from_float32(self.n_rows_coef)
        # A list, which all parts of the same rows share.
        self._tally, self._n_all = [0.0], matrix.shape[0]
        self._total = self._class_features = None

    @cached_property
    def smallest_weight(self):
        """The smallest s_i of the rows that is not zero."""
        if not len(self.weights):
            return 1.0
        weights = self.weights_of(self.numbers)
        return float(weights[weights > 0].min())

    @cached_property
    def influence(self):
        """About how much each row adds to the curvature of a loss, relative to the mean: (n_rows,), or the number one.

        That is half the square of its length in the coordinates, estimated by N_SKETCHES random directions (Achlioptas
        2003), and one half. It takes a pass, which is left out where the columns do not say that a few rows are far
        longer than others.
        """
        coordinates = self.coordinates
        seen = coordinates.mean_squares[:-1] > 0
        if not seen.any() or np.median(coordinates.peaks[seen]) <= UNEVEN:
            return 1.0
        signs = np.random.default_rng(0).choice([-1.0, 1.0], (N_SKETCHES, len(seen))) * seen
        coef = (signs * coordinates.scale).astype(np.float32 if self.gains_from_float32 else np.float64)
        is_copied = 0 < len(self.numbers) < COPIED_BELOW * self.matrix.shape[0]
        matrix = self.matrix.take(self.numbers) if is_copied else self.matrix
        squares = matrix.sum_squared_scores(coef, np.einsum("kj,j->k", signs, coordinates.shift))
        if len(self.numbers) and not is_copied:
            squares = squares[self.numbers]
        self._count(self.n_rows)
        # A row without weight may lie anywhere, and has no part in the mean.
        is_weighty = np.broadcast_to(self.weights_of(self.numbers) > 0, squares.shape)
        squares[~is_weighty] = 0
        mean = squares.sum(dtype=np.float64) / np.count_nonzero(is_weighty)
        squares *= 0.5 / max(mean, np.finfo(np.float64).tiny)
        squares += 0.5
        return squares

    @property
    def blur(self):
        """By how much a unit of each column's parameter can blur a score, relative to the roundings of a product: (d,).

        In the mean over the rows, as a root of squares. The shift of a column takes part in fewer roundings, or more.
        """
        coordinates = self.coordinates
        return np.sqrt(coordinates.mean_squares[:-1]) + self.passes.shift_roundings * np.abs(coordinates.shift)

    @property
    def n_passes(self):
        """How many passes over X have been made; one over a tenth of the rows is a tenth of a pass."""
        return self._tally[0]

    def take(self, numbers, *, within_whole=False):
        """Return some of the rows, by their row numbers in X.

        Parameters
        ----------
        numbers : ndarray of int64
            The row numbers, in the order of the new sums.
        within_whole : bool
            Whether sums are still divided by the weight of all of these rows.
        """
        whole = self if within_whole else None
        matrix, own_numbers = self.matrix.select(numbers)
        labels, weights = self.labels, self.weights
        if matrix is not self.matrix:
            labels, weights = labels[numbers], weights[numbers] if len(weights) else weights
        part = Rows(
            matrix,
            labels,
            weights,
            self.n_classes,
            self.coordinates,
            self.fit_intercept,
            own_numbers,
            whole,
        )
        part._tally, part._n_all = self._tally, self._n_all
        return part

    def weights_of(self, numbers):
        """Return s_i of the given row numbers (all where there are none), as an array or the number one."""
        if not len(self.weights):
            return 1.0
        return self.weights[numbers] if len(numbers) else self.weights

    def evaluate(self, parameters, precision, probabilities=None):
        """Return the mean loss, and S times its gradient (K, d + 1), at parameters (K, d + 1).

        probabilities (K, n_rows) are filled, where they are given. The next call overwrites the gradient.
        """
        if self._total is None:
            # New memory for a million parameters takes a fifth of a pass over sparse text.
            self._total = np.empty(parameters.shape)
        loss = self.passes.evaluate(parameters.astype(precision, copy=False), probabilities, self._total)
        self._count(self.n_rows)
        total = self._clean(self._total)
        is_exact = precision == np.float64 and self._whole is None
        if is_exact and self._class_features is None and not parameters[:, :-1].any():
            self._class_features = self._find_class_features(parameters, total)
        return loss / self.total_weight, total

    def hessian_product(self, direction, probabilities):
        """Return the Hessian of the mean loss at the probabilities (K, n_rows), times direction (K, d + 1)."""
        product = self.passes.hessian_product(direction, probabilities)
        self._count(self.n_rows)
        product = self._clean(product)
        product /= self.total_weight
        return product

    def gram(self, numbers, row_weights, precision):
        """Return (1 / S) sum over i of row_weights[c, i] [x~_i, 1] [x~_i, 1]', of shape (C, d + 1, d + 1).

        Over the given row numbers (all where there are none), row_weights (C, m) in their order.
        """
        size = self.matrix.shape[1] + 1
        if not row_weights.shape[1]:
            return np.zeros((len(row_weights), size, size), precision)
        grams = self.passes.gram(numbers, row_weights / self.total_weight, precision)
        self._count(len(numbers) or self.matrix.shape[0])
        self._clean(grams)
        self._clean(grams.transpose(0, 2, 1))
        return grams

    def hessian(self, probabilities):
        """Return the Hessian of the mean loss at the probabilities, (K (d + 1), K (d + 1)), by classes."""
        size = self.matrix.shape[1] + 1
        hessian = self.passes.class_pair_gram(probabilities)
        self._count(self.n_rows)
        hessian /= self.total_weight
        by_columns = hessian.reshape(len(hessian), -1, size)
        self._clean(by_columns)
        self._clean(by_columns.reshape(-1, size, len(hessian)).transpose(0, 2, 1))
        return hessian

    def class_features(self):
        """Return (1 / S) times the sum of s_i x~_i over the rows of each class, (n_classes, d).

        Certificates are made of them, so they come from float64: from the first point without features, or from a pass
        of their own.
        """
        if self._whole is not None:
            return self._whole.class_features()
        if self._class_features is None:
            self.evaluate(np.zeros((self.n_rows_coef, self.matrix.shape[1] + 1)), np.float64)
        return self._class_features

    def _find_class_features(self, parameters, total):
        """Return the sums by class from the gradient at parameters that are zero but for the intercept.

        All rows then have the same probabilities, and the gradient is their share of the mean less the class's part.
        """
        scores = parameters[:, -1] if len(parameters) > 1 else np.append(0.0, parameters[:, -1])
        probabilities = np.exp(scores - scores.max())
        probabilities /= probabilities.sum()
        mean = self.coordinates.mean
        features = np.outer(probabilities[-len(parameters) :], mean) - total[:, :-1] / self.total_weight
        if len(features) == 1:
            features = np.concatenate([mean - features, features])
        return features

    def _clean(self, total):
        """Return sums over the rows (..., d + 1) with zeros where the intercept, or a column, has no part in J."""
        if len(self.coordinates.vanishing):
            total[..., self.coordinates.vanishing] = 0
        if not self.fit_intercept:
            total[..., -1] = 0
        return total

    def count_pass(self):
        """Take note of a pass over the rows that was made elsewhere."""
        self._count(self.n_rows)

    def _count(self, n_rows):
        self._tally[0] += n_rows / self._n_all


def _weigh_classes(labels, weights, n_classes):
    """Return the weight of each class; weights (n,) without entries are ones."""
    total = np.zeros(n_classes)
    for first in range(0, len(labels), ROWS_TOGETHER):
        part = slice(first, first + ROWS_TOGETHER)
        total += np.bincount(labels[part], weights[part] if len(weights) else None, minlength=n_classes)
    return total


def weigh_named_rows(numbers, weights, n):
    """Return the weights (n,) of rows that count as often as they are named, and zero for all others.

    weights (n,) may be None, which means ones.
    """
    counts = np.bincount(numbers, minlength=n).astype(np.float64)
    return counts if weights is None else counts * weights
