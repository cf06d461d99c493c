"""Mini-batch gradient descent for networks without hidden layers, with many steps per kernel call."""

import math

import numpy as np

from fastlin.kernels.linear.operands import EMPTY_FLOAT64_MATRIX, Samples
from fastlin.kernels.machine.arrays import make_any_layout_view
from fastlin.kernels.machine.tiles import count_tile_rows
from fastlin.kernels.networks.minibatches import MomentumRule, MomentumState, StepMetrics, train_steps
from fastlin.kernels.networks.sparse_minibatches import train_sparse_steps
from fastlin.matrices import DenseMatrix
from fastlin.matrices.sparse import as_compressed_matrix
from fastlin.networks import Network
from fastlin.networks.network import Examples
from fastlin.training.network_descent import EpochTotals, GradientDescent
from fastlin.typing import IntArray

# The multiply-adds of one kernel call. Calls are short, because Ctrl-C takes effect only between calls. An entry of a
# sparse row costs as much as SPARSE_ENTRY_COST dense entries.
MAX_KERNEL_CALL_WORK = 100_000_000
SPARSE_ENTRY_COST = 16


class LinearDescent(GradientDescent):
    """Momentum steps for softmax regression. Optionally, predictions use averaged parameters.

    Averaging (Polyak and Juditsky 1992) starts after `first_row` rows. Steps run on one thread. The network must have
    one layer, and neither normalization nor dropout.
    """

    def __init__(self, network: Network, momentum: float = 0.0, first_row: float = np.inf) -> None:
        self.velocity, self.mean = np.zeros_like(network.parameters), np.zeros(len(network.parameters))
        super().__init__(network, ())
        self.optimizer_arrays = self.velocity, self.mean, self.counts[1:]
        self.first_row, self._momentum = first_row, float(momentum)
        vectors = network.parameters, self.velocity, network.gradient
        self._layers = [(coef, intercept) for (coef,), (intercept,), _ in map(network.make_layer_views, vectors)]

    @property
    def n_averaged_steps(self) -> int:
        """The number of steps over which the parameters are averaged."""
        return int(self.counts[1])

    def make_predictor(self) -> Network:
        """See `GradientDescent.make_predictor`. Once averaging has started, the network has the averaged parameters."""
        if not self.n_averaged_steps:
            return super().make_predictor()
        averaged_network = Network(self.network.layer_sizes, dtype=self.network.dtype)
        averaged_network.parameters[:] = self.mean
        return averaged_network

    def reset(self) -> None:
        """See `GradientDescent.reset`. The averaged parameters do not change."""
        self.velocity[:] = 0

    def restart_averaging(self) -> None:
        """Restart the averaging of the parameters."""
        self.mean[:], self.counts[1] = 0, 0

    def run_epoch(
        self, examples: Examples, order: IntArray | None, batch_size: int, learning_rate: float, alpha: float
    ) -> EpochTotals:
        """See `GradientDescent.run_epoch`. `alpha` is the l2 of a step, and is not divided by the weight of a batch."""
        if order is None:
            order = np.arange(len(examples)) if examples.rows is None else examples.rows
        n_steps = -(-len(order) // batch_size)
        steps_per_call = max(1, MAX_KERNEL_CALL_WORK // self._count_work(examples.matrix, batch_size))
        rule = MomentumRule(-float(learning_rate), -1.0, self._momentum, float(alpha), self.network.has_intercepts)
        loss = n_correct = total = 0.0
        first = 0
        while first < n_steps and math.isfinite(loss):
            last = min(first + steps_per_call, n_steps)
            n_rows_left = self.first_row - self.n_rows
            if n_rows_left > 0:
                last = int(min(last, first + -(-n_rows_left // batch_size)))
            metrics = self.take_steps(examples, order, batch_size, (first, last), rule)
            losses = metrics.losses + alpha / 2 * metrics.squares
            sizes = np.diff(np.minimum(np.arange(first, last + 1) * batch_size, len(order)))
            # A batch of weight zero has no loss, and takes no step.
            loss += float(sizes @ np.where(metrics.totals > 0, losses, 0.0))
            n_correct, total = n_correct + float(metrics.correct.sum()), total + float(metrics.totals.sum())
            first = last
        return EpochTotals(loss, len(order), n_correct, total)

    def _count_work(self, matrix, batch_size):
        """Return the number of multiply-adds of a step."""
        n_coefficients = self.network.n_coefficients
        if isinstance(matrix, DenseMatrix):
            return 2 * batch_size * n_coefficients
        n, d = matrix.shape
        return SPARSE_ENTRY_COST * batch_size * max(1, matrix.n_entries // n) * (n_coefficients // d) + n_coefficients

    def take_steps(
        self, examples: Examples, order: IntArray, batch_size: int, steps: tuple[int, int], rule: MomentumRule
    ) -> StepMetrics:
        """Take the steps with numbers steps[0] to steps[1] - 1 of an epoch. Return the metrics of each step."""
        first, last = steps
        has_averaging_started = self.n_rows >= self.first_row
        (w, intercept), (velocity, intercept_velocity), (gradient, _) = self._layers
        mean = self.mean.reshape(-1, w.shape[1])[: len(self.mean) * has_averaging_started]
        state = MomentumState(w, gradient, velocity, intercept, intercept_velocity, mean, self.counts)
        weights = np.empty(0) if examples.weights is None else examples.weights
        targets = examples.labels if examples.labels.ndim == 2 else EMPTY_FLOAT64_MATRIX
        samples = Samples(order, examples.most_probable_classes, weights, targets=targets)
        measured = StepMetrics(*np.empty((4, last - first)))
        if isinstance(examples.matrix, DenseMatrix):
            train, X, tile_columns = train_steps, make_any_layout_view(examples.matrix.X), w.shape[0]
        else:
            train, X, tile_columns = train_sparse_steps, as_compressed_matrix(examples.matrix.X), 0
        tile_rows = count_tile_rows(tile_columns, w.shape[1], w.itemsize)
        train(X, samples, batch_size, first, last, state, rule, tile_rows, measured)
        return measured
