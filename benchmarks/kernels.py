"""asv benchmarks of the kernels that walk over dense rows: loss and gradient, and scores."""

import numpy as np

from benchmarks.common import interleaved_ratio, load_data
from benchmarks.plain_numpy import NumPyObjective
from fastlin.objective import LinearObjective, compute_scores

N_ROWS = 60_000
N_CLASSES = 10
L2 = 1 / N_ROWS
# Passes per timed call of a ratio: one after the other, as a solver makes them.
N_PASSES = 5


def draw_coef(X):
    """Return coefficients and intercept that give scores of order 1."""
    coef = np.random.default_rng(0).normal(0, 0.05, (N_CLASSES, X.shape[1])) / max(1, X.max())
    dtype = np.float32 if X.dtype == np.float32 else np.float64
    return coef.astype(dtype), np.zeros(N_CLASSES, dtype)


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
        self.objective = LinearObjective(self.X, self.labels, N_CLASSES, l2=L2)
        # Compiles for this type; asv times the first call too.
        self.objective.value_and_gradient(self.coef, self.intercept)


class ValueAndGradient(_Pass):
    """One walk over X for J and its gradient."""

    def time_value_and_gradient(self, data, dtype):
        self.objective.value_and_gradient(self.coef, self.intercept)

    def peakmem_value_and_gradient(self, data, dtype):
        self.objective.value_and_gradient(self.coef, self.intercept)


class ValueAndGradientAndNumPy(_Pass):
    """The same beside NumPy and BLAS, which get uint8 data as float64: BLAS does not multiply bytes."""

    params = (*_Pass.params, ["C", "F"])
    param_names = (*_Pass.param_names, "scores_order")

    def setup(self, data, dtype, order):
        super().setup(data, dtype)
        X = self.X.astype(np.float64) if dtype == "uint8" else self.X
        self.numpy_objective = NumPyObjective(X, self.labels, N_CLASSES, l2=L2, order=order)

    def track_ratio_to_numpy(self, data, dtype, order):
        return interleaved_ratio(lambda: self._walk(self.numpy_objective), lambda: self._walk(self.objective), 5)

    track_ratio_to_numpy.unit = "NumPy's time / fastlin's"

    def track_gradient_difference(self, data, dtype, order):
        _, gradient, _ = self.objective.value_and_gradient(self.coef, self.intercept)
        _, expected, _ = self.numpy_objective.value_and_gradient(self.coef, self.intercept)
        return float(np.abs(gradient - expected).max() / np.abs(expected).max())

    track_gradient_difference.unit = "relative to the largest entry"

    def _walk(self, objective):
        for _ in range(N_PASSES):
            objective.value_and_gradient(self.coef, self.intercept)


class Scores(_Pass):
    """The scores of all rows, what predict computes."""

    def setup(self, data, dtype):
        super().setup(data, dtype)
        compute_scores(self.X, self.coef, self.intercept)

    def time_scores(self, data, dtype):
        compute_scores(self.X, self.coef, self.intercept)

    def peakmem_scores(self, data, dtype):
        compute_scores(self.X, self.coef, self.intercept)
