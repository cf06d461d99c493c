"""The memory that some rows of a batch need on their way through a network and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.threads import READ_WORK, count_blocks


class BatchArrays:
    """Arrays for n rows, without contents. An array that is never used takes no memory.

    `larger` are arrays for more rows, whose memory these use as well.

    Attributes
    ----------
    activations : list of ndarray of shape (n, units)
        Activations of the input and of each layer.
    slopes : list of ndarray of shape (n, units)
        Slopes of the loss by the units of each hidden layer.
    normalized : list of ndarray of shape (n, units)
        Normalised units of each hidden layer; (0, 0) where hidden layers are not normalised.
    n_blocks : list of int
        Number of blocks into which the rows of each layer's activations are cut.
    sums, products : list of ndarray of shape (n_blocks, units), float64
        Partial sums over rows; products are (n_blocks, 0) where hidden layers are not normalised.
    losses, n_correct : ndarray of shape (n_blocks,)
        Partial sums over rows of the last layer.
    """

    def __init__(
        self,
        n_rows: int,
        layer_sizes: tuple[int, ...],
        dtype: DTypeLike,
        normalizes_hidden: bool,
        larger: BatchArrays | None = None,
    ) -> None:
        hidden = layer_sizes[1:-1]
        self.n_rows = n_rows
        if larger is None:
            self.activations = [zeros_aligned((n_rows, size), dtype) for size in layer_sizes]
            self.slopes = [zeros_aligned((n_rows, size), dtype) for size in hidden]
            self.normalized = [zeros_aligned((n_rows, size) if normalizes_hidden else (0, 0), dtype) for size in hidden]
        else:
            self.activations, self.slopes, self.normalized = (
                [array[:n_rows] for array in arrays]
                for arrays in (larger.activations, larger.slopes, larger.normalized)
            )
        self.n_blocks = [
            count_blocks(n_rows, READ_WORK * size, 16 * size, n_rows * size * np.dtype(dtype).itemsize)
            for size in layer_sizes
        ]
        self.sums = [np.zeros(shape) for shape in zip(self.n_blocks, layer_sizes, strict=True)]
        self.products = [np.zeros((len(sums), sums.shape[1] * normalizes_hidden)) for sums in self.sums]
        self.losses, self.n_correct = np.zeros((2, self.n_blocks[-1]))
