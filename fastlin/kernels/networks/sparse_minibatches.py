"""The kernel of mini-batch gradient descent on sparse rows: a sequence of update steps.

Labels, steps and metrics are as in minibatches.py. X is a `CompressedMatrix` in CSR format with indices in any order.
Each step updates all weights.
"""

import numpy as np

from fastlin.kernels.machine.arrays import zeros_aligned
from fastlin.kernels.machine.compilation import kernel
from fastlin.kernels.machine.gather import add_sparse_entries, dot_sparse_entries
from fastlin.kernels.networks.minibatches import (
    add_weights_to_mean,
    finish_batch,
    make_empty_batch,
    measure_rows,
    scale_in_place,
    update_weights,
)


@kernel(reassociate=False)
def train_sparse_steps(X, samples, batch_size, first, last, state, rule, tile_rows, metrics):
    """Take steps like `train_steps`, for X in CSR format. state.gradient is not changed."""
    w, v, row_order = state.w, state.velocity, samples.rows
    n_features, n_classes = w.shape
    g = zeros_aligned((n_features, n_classes), np.float64)
    scores = zeros_aligned((n_classes, tile_rows), w.dtype)
    batch = make_empty_batch(n_classes, tile_rows)
    scale_in_place(state.mean, np.float64(state.counts[1]))
    for step in range(first, last):
        end, squares = min((step + 1) * batch_size, row_order.shape[0]), 0.0
        for start in range(step * batch_size, end, tile_rows):
            row_indices = row_order[start : min(start + tile_rows, end)]
            _fill_scores(X, row_indices, w, state.intercept, scores)
            measure_rows(scores, row_indices, samples, batch)
            _add_sparse_gradient(X, row_indices, scores, g)
        total = batch.sums[1]
        if total > 0:
            squares = update_weights(w.ravel(), g.ravel(), v.ravel(), total, rule, False)
            add_weights_to_mean(w.T, state.mean)
        finish_batch(batch, metrics, step - first, squares, rule, state)
    scale_in_place(state.mean, 1.0 / max(state.counts[1], 1))
    state.counts[0] += min(last * batch_size, row_order.shape[0]) - first * batch_size


@kernel(inner=True)
def _fill_scores(X, row_indices, w, intercept, scores):
    """Fill scores[k, i] with the score of row row_indices[i] for class k."""
    data, indices, indptr = X
    kind, flat_weights = w.dtype.type, w.ravel()
    n_classes = w.shape[1]
    for i in range(row_indices.shape[0]):
        row = row_indices[i]
        first, last = np.int64(indptr[row]), np.int64(indptr[row + 1])
        if n_classes == 1:
            scores[0, i] = dot_sparse_entries(data, indices, first, last, flat_weights) + intercept[0]
        else:
            for k in range(n_classes):
                scores[k, i] = intercept[k]
            for p in range(first, last):
                x, j = kind(data[np.uint64(p)]), np.uint64(indices[np.uint64(p)])
                for k in range(n_classes):
                    scores[k, i] += x * w[j, k]


@kernel(inner=True)
def _add_sparse_gradient(X, row_indices, residuals, g):
    """Add residuals[k, i] x_i to g (d, K) over the rows ``row_indices``."""
    data, indices, indptr = X
    n_classes, flat_gradient = residuals.shape[0], g.ravel()
    for i in range(row_indices.shape[0]):
        first, last = np.int64(indptr[row_indices[i]]), np.int64(indptr[row_indices[i] + 1])
        if n_classes == 1:
            add_sparse_entries(data, indices, first, last, np.float64(residuals[0, i]), flat_gradient)
        else:
            for p in range(first, last):
                x, j = np.float64(data[np.uint64(p)]), np.uint64(indices[np.uint64(p)])
                for k in range(n_classes):
                    g[j, k] += x * np.float64(residuals[k, i])
