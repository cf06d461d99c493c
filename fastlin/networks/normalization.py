"""Batch normalisation of a layer's columns: by each batch in training, by running statistics in predictions."""

import numpy as np

from fastlin.kernels.machine.threads import run_blocks
from fastlin.kernels.networks.layers import backpropagate_normalization_block, normalize_block, sum_block_columns

# Added to variances, and the part of a batch in the running statistics; both as PyTorch has them.
EPSILON = 1e-5
RUNNING_PART = 0.1


class Normalization:
    """N(z) = (z - mean) / sqrt(variance + EPSILON), column by column (Ioffe and Szegedy 2015, algorithm 1).

    Attributes
    ----------
    mean, variance : ndarray of shape (m,), float64
        Running: of each batch they take RUNNING_PART; the variance is the unbiased one, of two rows and more.
    """

    def __init__(self, width):
        self.mean, self.variance = np.zeros(width), np.ones(width)
        self._factors = None

    def normalize(self, values, normalized, n_blocks):
        """Fill normalized (n, m), which may be values (n, m), by the batch; the running statistics take it in."""
        n = len(values)
        sums, squares = np.empty((2, n_blocks, values.shape[1]))
        origin = values[0].astype(np.float64)
        run_blocks(sum_block_columns, n_blocks, values, origin, sums, squares)
        shift = sums.sum(axis=0) / n
        mean, variance = origin + shift, np.maximum(squares.sum(axis=0) / n - shift**2, 0)
        self._factors = (1 / np.sqrt(variance + EPSILON)).astype(values.dtype)
        run_blocks(normalize_block, n_blocks, values, mean.astype(values.dtype), self._factors, normalized)
        self.mean += RUNNING_PART * (mean - self.mean)
        # One row says nothing of the variance.
        if n > 1:
            self.variance += RUNNING_PART * (variance * n / (n - 1) - self.variance)

    def backpropagate(self, normalized, scale, mean_slope, mean_product, slopes, n_blocks):
        """Turn slopes (n, m) by scale * N(z) + shift into slopes by z, for the batch that was normalised last.

        mean_slope and mean_product (m,) are the means over the batch of the slopes and of the slopes times N(z).
        """
        kind = slopes.dtype.type
        run_blocks(
            backpropagate_normalization_block, n_blocks, normalized, self._factors * scale,
            mean_slope.astype(kind), mean_product.astype(kind), slopes,
        )  # fmt: skip

    def factors(self):
        """Return 1 / sqrt(running variance + EPSILON), float64."""
        return 1 / np.sqrt(self.variance + EPSILON)
