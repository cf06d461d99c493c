"""The one statement of the objective: penalised logistic and softmax regression over dense rows.

For rows x_i with label y_i and weight s_i >= 0 (S = sum s_i), coefficients W (K, d) and intercept b (K,)::

    J(W, b) = (1 / S) sum_i s_i l(W x_i + b, y_i) + (l2 / 2) ||W||^2

l is the logistic loss log(1 + exp(-z)) with K = 1, labels 0 and 1 and z = +-(score) for two classes, and the softmax
cross-entropy log(sum_k exp(score_k)) - score_y for K >= 3. The intercept is not penalised. Its derivatives are
derived in docs/derivations.md; the kernels that compute them are in kernels/dense.py.

Softmax does not change when a constant is added to all scores. The solution is made unique by `center`: intercepts
and coefficients sum to zero over the classes (for l2 > 0 that is where the optimum lies).
"""

import numpy as np

from fastlin.kernels.arrays import compute_type, copy_aligned, empty_aligned, writable_view
from fastlin.kernels.dense import count_tile_rows, fill_block_loss_and_gradient, fill_block_scores
from fastlin.kernels.threads import count_blocks, run_blocks

SAMPLED_ROWS = 500


class LinearObjective:
    """J for given data: value and gradient in one walk over X.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        float64, float32 or uint8, in C order, finite. It is read in place.
    labels : ndarray of shape (n,), int64
        0 to n_classes - 1.
    n_classes : int
        At least 2; two classes have one row of coefficients.
    weights : ndarray of shape (n,) or None
        s_i >= 0, not all zero; None means ones.
    l2 : float
    fit_intercept : bool

    Attributes
    ----------
    n_rows_coef : int
        K, the number of rows of coefficients.
    scale : float
        A power of two near the largest |X|: coefficients of X / scale are of order one, and dividing by it is exact.
    n_passes : int
        Walks over X so far.
    """

    def __init__(self, X, labels, n_classes, *, weights=None, l2=0.0, fit_intercept=True):
        self.X = writable_view(X)
        self.labels = labels
        self.l2 = l2
        largest = max(float(X.max()), -float(X.min()))
        self.scale = 2.0 ** min(round(np.log2(largest)), 1023) if largest > 0 else 1.0
        self.fit_intercept = fit_intercept
        self.n_rows_coef = 1 if n_classes == 2 else n_classes
        self.n_passes = 0
        self.dtype = compute_type(X)
        self.weights = np.ones(len(X), self.dtype) if weights is None else weights.astype(self.dtype)
        self.total_weight = float(np.sum(self.weights, dtype=np.float64))
        n, d = X.shape
        K = self.n_rows_coef
        self._tile_rows = count_tile_rows(d, K, np.dtype(self.dtype).itemsize)
        n_blocks = count_blocks(n, row_work=2 * K * d, partial_bytes=8 * K * d, data_bytes=X.nbytes)
        self._coef = empty_aligned(K, d, np.empty(0, self.dtype))
        self._losses = np.empty(n_blocks)
        self._gradients = np.empty((n_blocks, K, d))
        self._intercept_gradients = np.empty((n_blocks, K))

    def value_and_gradient(self, coef, intercept):
        """Return J and its gradient at coef (K, d) and intercept (K,).

        Returns
        -------
        value : float
        coef_gradient : ndarray of shape (K, d), float64
        intercept_gradient : ndarray of shape (K,), float64
            Zero where the objective has no intercept.
        """
        self.n_passes += 1
        self._coef[:] = coef
        run_blocks(
            fill_block_loss_and_gradient, len(self._losses), self.X, self.labels, self.weights, self._coef,
            intercept.astype(self.dtype), self._tile_rows, self._losses, self._gradients, self._intercept_gradients,
        )  # fmt: skip
        value = self._losses.sum() / self.total_weight + 0.5 * self.l2 * np.sum(coef * coef)
        coef_gradient = self._gradients.sum(axis=0) / self.total_weight + self.l2 * coef
        intercept_gradient = self._intercept_gradients.sum(axis=0) / self.total_weight
        return value, coef_gradient, intercept_gradient if self.fit_intercept else np.zeros_like(intercept_gradient)

    def estimate_column_scale(self):
        """Return the largest |x| of each column, of shape (d,), over a sample of the rows."""
        step = max(1, len(self.X) // SAMPLED_ROWS)
        sample = self.X[::step].astype(np.float64)
        return np.abs(sample).max(axis=0)

    def center(self, coef, intercept):
        """Return the equivalent coef and intercept whose sums over the classes are zero, for K >= 3.

        The scores change by the same number for all classes, so that the loss stays and the penalty can only fall.
        Without an intercept of its own the objective's intercept stays zero.
        """
        if self.n_rows_coef == 1:
            return coef, intercept
        return coef - coef.mean(axis=0), intercept - intercept.mean()


def compute_scores(X, coef, intercept):
    """Return X coef' + intercept, of shape (n, K), in the type of coef; X as LinearObjective takes it."""
    n, d = X.shape
    K = len(coef)
    scores = np.empty((n, K), coef.dtype)
    n_blocks = count_blocks(n, row_work=K * d, partial_bytes=0, data_bytes=X.nbytes)
    tile_rows = count_tile_rows(d, K, coef.itemsize)
    run_blocks(
        fill_block_scores,
        n_blocks,
        writable_view(X),
        copy_aligned(coef),
        intercept.astype(coef.dtype),
        tile_rows,
        scores,
    )
    return scores
