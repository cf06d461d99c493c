"""asv benchmarks of the kernels that read dense rows: loss and gradient, and scores."""

import numpy as np

from benchmarks.common import interleaved_ratio, load_data
from benchmarks.plain_numpy import NumPyObjective
from fastlin.matrices import as_matrix
from fastlin.objective import Objective

N_ROWS = 60_000
N_CLASSES = 10
L2 = 1 / N_ROWS
# A timed call of a ratio makes so many passes one after the other, as a solver does.
N_PASSES = 5


def find_precision(X):
    """Return the type in which solvers compute most passes: float64 for data in float64, otherwise float32."""
    return np.float64 if X.dtype == np.float64 else np.float32


def draw_coef(X, n_classes=N_CLASSES):
    """Return random coefficients, and an intercept of zeros, that give scores of order 1."""
    rows = 1 if n_classes == 2 else n_classes
    coef = np.random.default_rng(0).normal(0, 0.05, (rows, X.shape[1])) / max(1, X.max())
    dtype = find_precision(X)
    return coef.astype(dtype), np.zeros(rows, dtype)


class FusedPass:
    """The pass of fastlin over X for J and its gradient, at a point in the objective's own coordinates.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        The rows.
    labels : ndarray of shape (n,), int64
        The classes of the rows, from 0 on.
    n_classes : int
        The number of classes.
    coef : ndarray of shape (K, d)
        The coefficients of the point.
    intercept : ndarray of shape (K,)
        The intercept of the point.
    l2 : float
        The weight of half the sum of the squares of the coefficients.

    Attributes
    ----------
    objective : Objective
        J over the rows.
    parameters : ndarray of shape (K, d + 1), float64
        The point in the objective's own coordinates.
    precision : type
        The type that products are computed in.
    """

    def __init__(self, X, labels, n_classes, coef, intercept, *, l2=L2):
        self.objective = Objective.over(X, labels, n_classes, l2=l2)
        self.parameters = self.objective.coordinates.to_parameters(
            coef.astype(np.float64), intercept.astype(np.float64)
        )
        self.precision = find_precision(X)

    def __call__(self):
        """Make the pass."""
        return self.objective.at(self.parameters, self.precision)

    def value_and_gradient(self):
        """Return J and its gradient by coefficients (K, d) and intercept (K,), in the columns' own coordinates."""
        point, coordinates = self(), self.objective.coordinates
        by_intercept = point.gradient[:, -1]
        by_coef = point.gradient[:, :-1] - by_intercept[:, None] * coordinates.shift
        return point.value, by_coef / coordinates.scale, by_intercept


class NumPyPass:
    """The same pass by NumPyObjective, in the type that fastlin computes in, because BLAS cannot multiply bytes.

    Parameters
    ----------
    X, labels, n_classes, coef, intercept, l2
        As `FusedPass` has them.
    order : {"C", "F"}
        The order in memory of the scores, as `NumPyObjective` has it.
    """

    def __init__(self, X, labels, n_classes, coef, intercept, *, l2=L2, order="C"):
        self._objective = NumPyObjective(X.astype(find_precision(X), copy=False), labels, n_classes, l2=l2, order=order)
        self._coef, self._intercept = coef, intercept

    def __call__(self):
        """Make the pass."""
        return self.value_and_gradient()

    def value_and_gradient(self):
        """Return J and its gradient by coefficients (K, d) and intercept (K,)."""
        return self._objective.value_and_gradient(self._coef, self._intercept)


def repeat(call):
    """Return a function that makes N_PASSES calls, one after the other."""

    def call_repeatedly():
        for _ in range(N_PASSES):
            call()

    return call_repeatedly


class _Pass:
    """An objective and a point at which to evaluate it."""

    params = (["mnist", "synthetic"], ["float64", "float32", "uint8"])
    param_names = ("data", "dtype")
    timeout = 120
    rounds = 1
    repeat = (5, 50, 3.0)

    def setup(self, data, dtype):
        loaded = load_data(data, N_ROWS, dtype)
        self.X, self.labels = loaded.X_train, loaded.y_train
        self.coef, self.intercept = draw_coef(self.X)
        self.fused_pass = FusedPass(self.X, self.labels, N_CLASSES, self.coef, self.intercept)
        # asv times the first call too, so that the compilation for this type has to come before it.
        self.fused_pass()


class ValueAndGradient(_Pass):
    """One pass over X for J and its gradient."""

    def time_value_and_gradient(self, data, dtype):
        self.fused_pass()

    def peakmem_value_and_gradient(self, data, dtype):
        self.fused_pass()


class ValueAndGradientAndNumPy(_Pass):
    """The same pass beside NumPy and BLAS."""

    params = (*_Pass.params, ["C", "F"])
    param_names = (*_Pass.param_names, "scores_order")

    def setup(self, data, dtype, order):
        super().setup(data, dtype)
        self.numpy_pass = NumPyPass(self.X, self.labels, N_CLASSES, self.coef, self.intercept, order=order)

    def track_ratio_to_numpy(self, data, dtype, order):
        return interleaved_ratio(repeat(self.numpy_pass), repeat(self.fused_pass), 5)

    track_ratio_to_numpy.unit = "NumPy's time / fastlin's"

    def track_gradient_difference(self, data, dtype, order):
        _, gradient, _ = self.fused_pass.value_and_gradient()
        _, expected, _ = self.numpy_pass.value_and_gradient()
        return float(np.abs(gradient - expected).max() / np.abs(expected).max())

    track_gradient_difference.unit = "relative to the largest entry"


class Scores(_Pass):
    """The scores of all rows, which predict computes."""

    def setup(self, data, dtype):
        super().setup(data, dtype)
        as_matrix(self.X).compute_scores(self.coef, self.intercept)

    def time_scores(self, data, dtype):
        as_matrix(self.X).compute_scores(self.coef, self.intercept)

    def peakmem_scores(self, data, dtype):
        as_matrix(self.X).compute_scores(self.coef, self.intercept)
