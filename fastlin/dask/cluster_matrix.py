"""X in partitions on the workers of a Dask cluster, and sums over its rows."""

from __future__ import annotations

from collections.abc import Callable
from threading import local
from typing import Any

import numpy as np
from scipy import sparse

from fastlin.dask.cluster import Cluster
from fastlin.dask.shard import evaluate_pass_term, measure_weighted_columns
from fastlin.kernels.linear.operands import NO_ROWS, Samples
from fastlin.kernels.machine.tiles import Scaling
from fastlin.matrices import DenseMatrix, Passes, PiecewiseMatrix, SparseMatrix, as_matrix
from fastlin.matrices.matrix import ColumnStatistics, Sum, add
from fastlin.matrices.pieces import PiecewisePasses, add_losses_and_gradients, evaluate, merge_statistics
from fastlin.objective.rows import split_row_positions
from fastlin.typing import FloatArray

EMPTY_SAMPLES = Samples(NO_ROWS, NO_ROWS, np.empty(0))


class ClusterMatrix(PiecewiseMatrix):
    """X of shape (n, d) in partitions on workers. Passes are calls to the Cluster, and do not return probabilities."""

    stores_probabilities = False

    def __init__(self, cluster: Cluster, *matrix_arguments: Any) -> None:
        super().__init__(*matrix_arguments)
        self.cluster = cluster
        # Folds are fitted in parallel, with one thread per fold.
        self._cached_sample = local()

    def measure(self, weights: FloatArray | None = None) -> ColumnStatistics:
        """See `Matrix.measure`."""
        samples = EMPTY_SAMPLES if weights is None else EMPTY_SAMPLES._replace(weights=weights)
        _, column_statistics = self.cluster.sum(samples, measure_weighted_columns, merge_statistics)
        return column_statistics

    def take(self, rows: Any) -> DenseMatrix | SparseMatrix:
        """See `Matrix.take`; the rows must be sorted."""
        # All preconditioners of a fit use the same sample.
        cached_sample = self._cached_sample
        if not (hasattr(cached_sample, "rows") and np.array_equal(cached_sample.rows, rows)):
            vars(cached_sample).clear()
            positions = dict(enumerate(split_row_positions(rows, [n for n, _ in self.pieces])))
            X = [*self.cluster.call(EMPTY_SAMPLES, "take", positions).values()]
            cached_sample.matrix = as_matrix(sparse.vstack(X, format="csr") if self.is_sparse else np.concatenate(X))
            cached_sample.rows = rows
        return cached_sample.matrix

    def passes(self, samples: Samples, scaling: Scaling, n_rows_coef: int) -> ClusterPasses:
        """See `Matrix.passes`."""
        return ClusterPasses(self, samples, scaling, n_rows_coef)


class ClusterPasses(PiecewisePasses):
    """Sums over rows for an objective, computed by calls to all workers."""

    _matrix: ClusterMatrix

    def evaluate(self, parameters: FloatArray, probabilities: FloatArray | None, gradient: FloatArray) -> float:
        """See `Passes.evaluate`; the probabilities are not filled."""
        loss, gradient[:] = self._sum_over_cluster(evaluate, add_losses_and_gradients, parameters)
        return loss

    def sum_with_probabilities(self, term: Callable[..., Sum], parameters: FloatArray, *arguments: Any) -> Sum:
        """See `Passes.sum_with_probabilities`. Workers compute the probabilities again, so this takes two passes."""
        return self._sum_over_cluster(Passes.sum_with_probabilities, add, term, parameters, *arguments)

    def _add_hessian_terms(self, term, hessian_argument, *arguments):
        return self.sum_with_probabilities(term, hessian_argument, *arguments)

    def _sum_over_cluster(self, term, join, *arguments):
        term_arguments = term, self._scaling, self.shape[0], *arguments
        return self._matrix.cluster.sum(self.samples, evaluate_pass_term, join, *term_arguments)
