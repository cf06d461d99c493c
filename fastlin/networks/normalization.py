"""Batch normalisation of a layer's columns: by each batch in training, by running statistics in predictions."""

import numpy as np

from fastlin.kernels.machine.threads import run_blocks
from fastlin.kernels.networks.layers import backpropagate_normalization_block, normalize_block, sum_block_columns
from fastlin.typing import FloatArray

# What is added to variances, and the part of each batch in the running statistics. PyTorch has the same values.
EPSILON = 1e-5
RUNNING_PART = 0.1


class Normalization:
    """N(z) = (z - mean) / sqrt(variance + EPSILON), column by column (Ioffe and Szegedy 2015, algorithm 1).

    `mean` and `variance` (width,) are the running statistics, which take RUNNING_PART of each batch. The variance is
    the unbiased one; a batch of one row leaves it as it is.
    """

    def __init__(self, width: int) -> None:
        self.mean, self.variance = np.zeros(width), np.ones(width)
        # Those of the batch that was normalised last.
        self._inverse_deviations: FloatArray = np.empty(0)

    def normalize(self, values: FloatArray, normalized: FloatArray, n_blocks: int) -> None:
        """Fill `normalized` (n, m), which may be `values` itself, with N(values) by the statistics of the batch.

        The running statistics take the batch in. The rows are cut into n_blocks blocks.
        """
        n = len(values)
        sums, squares = np.empty((2, n_blocks, values.shape[1]))
        origin = values[0].astype(np.float64)
        run_blocks(sum_block_columns, n_blocks, values, origin, sums, squares)
        shift = sums.sum(axis=0) / n
        mean, variance = origin + shift, np.maximum(squares.sum(axis=0) / n - shift**2, 0)
        inverse_deviations = (1 / np.sqrt(variance + EPSILON)).astype(values.dtype)
        run_blocks(normalize_block, n_blocks, values, mean.astype(values.dtype), inverse_deviations, normalized)
        self._inverse_deviations = inverse_deviations
        self.mean += RUNNING_PART * (mean - self.mean)
        # One row says nothing about the variance.
        if n > 1:
            self.variance += RUNNING_PART * (variance * n / (n - 1) - self.variance)

    def backpropagate(
        self,
        normalized: FloatArray,
        scale: FloatArray,
        mean_slope: FloatArray,
        mean_product: FloatArray,
        slopes: FloatArray,
        n_blocks: int,
    ) -> None:
        """Turn slopes (n, m) by scale * N(z) + shift into slopes by z, for the batch that was normalised last.

        `normalized` is N(z), and mean_slope and mean_product (m,) are means over the batch of the slopes, and of the
        slopes times N(z).
        """
        means, products = mean_slope.astype(slopes.dtype), mean_product.astype(slopes.dtype)
        scales = self._inverse_deviations * scale
        run_blocks(backpropagate_normalization_block, n_blocks, normalized, scales, means, products, slopes)

    def inverse_deviations(self) -> FloatArray:
        """Return 1 / sqrt(running variance + EPSILON), float64."""
        return 1 / np.sqrt(self.variance + EPSILON)
