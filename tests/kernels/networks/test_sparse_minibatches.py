"""Compiled steps on sparse rows against a naive loop over all weights."""

import numpy as np
import pytest
from conftest import COMPILED
from scipy import sparse

from fastlin.kernels.linear.operands import Compressed, Samples
from fastlin.kernels.networks.minibatches import Measured, MomentumRule, MomentumState
from fastlin.kernels.networks.sparse_minibatches import train_sparse_steps

N, BATCH_SIZE, N_STEPS = 43, 10, 12
# Of many columns a batch has few.
FEW, MANY = 6, 1_920


def make_rows(d, seed=0):
    """Return rows with unsorted indices, of which some are empty and some have two entries of one place."""
    generator = np.random.default_rng(seed)
    counts = generator.integers(0, 6, N)
    indices = generator.integers(0, d, counts.sum()).astype(np.int32)
    # A column that nearly all batches have.
    indices[generator.random(len(indices)) < 0.2] = d // 2
    return sparse.csr_array(
        (generator.normal(size=len(indices)), indices, np.append(0, np.cumsum(counts)).astype(np.int32)), shape=(N, d)
    )


def step_naively(X, labels, weights, batches, start, rule):
    """Return parameters (d + 1, K) and velocities after the steps, what they measured, and the mean of the steps."""
    w, v = (array.copy() for array in start)
    measured, steps = [], []
    for batch in batches:
        rows, s = np.column_stack([X[batch], np.ones(len(batch))]), weights[batch]
        scores = rows @ w
        if w.shape[1] == 1:
            p = 1 / (1 + np.exp(-scores))
            target, right = labels[batch][:, None], (scores[:, 0] >= 0) == (labels[batch] == 1)
            losses = np.where(labels[batch] == 1, -np.log(p[:, 0]), -np.log(1 - p[:, 0]))
        else:
            p = np.exp(scores - scores.max(axis=1, keepdims=True))
            p /= p.sum(axis=1, keepdims=True)
            target, right = np.eye(w.shape[1])[labels[batch]], scores.argmax(axis=1) == labels[batch]
            losses = -np.log(p[np.arange(len(batch)), labels[batch]])
        total = s.sum()
        if total == 0:
            measured.append((0, 0, 0, 0))
            continue
        measured.append((s @ losses / total, (w[:-1] ** 2).sum(), s @ right, total))
        g = rows.T @ (s[:, None] * (p - target)) / total
        g[:-1] += rule.l2 * w[:-1]
        g[-1] *= rule.has_intercept
        v = rule.momentum * v + rule.gradient_part * g
        w = w - rule.velocity_part * v
        steps.append(w)
    return w, v, np.array(measured).T, np.mean(steps, axis=0)


@pytest.mark.parametrize("dtype", [np.float64, np.float32] if COMPILED else [np.float64])
@pytest.mark.parametrize("n_classes", [1, 3])
@pytest.mark.parametrize("d", [FEW, MANY])
@pytest.mark.parametrize(
    ("momentum", "l2", "has_intercept", "averages"),
    [(0.0, 0.0, True, False), (0.9, 0.3, True, True), (0.5, 0.1, False, True)],
)
def test_steps_agree_with_naive(dtype, n_classes, d, momentum, l2, has_intercept, averages):
    X, generator = make_rows(d), np.random.default_rng(1)
    labels, weights = generator.integers(0, max(2, n_classes), N), generator.uniform(0, 2, N)
    order = np.concatenate([generator.permutation(N) for _ in range(3)])[: N_STEPS * BATCH_SIZE - 4]
    # A batch without weight takes no step.
    weights[order[20:30]] = 0
    rule = MomentumRule(-0.3, -1.0, momentum, l2, has_intercept)
    start = generator.normal(size=(2, d + 1, n_classes)).astype(dtype)
    if not has_intercept:
        start[1, -1] = 0
    batches = [order[step * BATCH_SIZE : (step + 1) * BATCH_SIZE] for step in range(N_STEPS)]
    expected = step_naively(X.toarray(), labels, weights, batches, start.astype(np.float64), rule)
    counts, mean = np.zeros(2, np.int64), np.zeros((d + 1, n_classes) if averages else (0, n_classes))
    (w, intercept), (v, intercept_velocity) = ((array[:-1].copy(), array[-1].copy()) for array in start)
    state = MomentumState(w, np.empty((0, 0), dtype), v, intercept, intercept_velocity, mean, counts)
    measured = Measured(*np.full((4, N_STEPS), np.nan))
    # Two calls, and tiles smaller than a batch.
    for first, last in ((0, 7), (7, N_STEPS)):
        part = Measured(*(array[first:last] for array in measured))
        samples = Samples(order, labels, weights)
        train_sparse_steps(
            Compressed(X.data, X.indices, X.indptr), samples, BATCH_SIZE, first, last, state, rule, 8, part
        )
    tolerance = 1e-12 if dtype == np.float64 else 2e-5
    found = np.vstack([w, intercept]), np.vstack([v, intercept_velocity]), np.array(measured), mean
    for value, right in zip(found[: 3 + averages], expected, strict=False):
        np.testing.assert_allclose(value, right, rtol=tolerance, atol=tolerance)
    assert counts.tolist() == [len(order), (N_STEPS - 1) * averages]
