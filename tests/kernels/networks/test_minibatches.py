"""Compiled steps over dense and sparse rows, and evaluation, compared with naive steps and the reference."""

import numpy as np
import pytest
import reference
from conftest import JIT_ENABLED, assert_bitwise_equal, make_problem, mark_params
from naive_mini_batches import take_steps
from scipy import sparse

from fastlin.kernels.linear.operands import CompressedMatrix, Samples
from fastlin.kernels.machine.arrays import make_any_layout_view
from fastlin.kernels.networks.minibatches import MomentumRule, MomentumState, StepMetrics, evaluate_block, train_steps
from fastlin.kernels.networks.sparse_minibatches import train_sparse_steps

N, BATCH_SIZE, N_STEPS = 43, 10, 12
# With MANY columns, a batch has entries in only a few columns.
SMALL_COLUMN_COUNT, LARGE_COLUMN_COUNT = 6, 1_920


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n_classes", [2, 3, 10])
@pytest.mark.parametrize(("momentum", "l2"), [(0.0, 0.0), (0.9, 0.3)])
def test_steps_agree_with_the_reference(dtype, n_classes, momentum, l2):
    n, d, batch_size, n_steps = 43, 6, 10, 4
    X, labels, _, coef, _ = make_problem(n, d, n_classes, dtype)
    order = np.random.default_rng(1).permutation(n)
    w = np.ascontiguousarray(coef.T, dtype=dtype)
    batches = [order[step * batch_size : (step + 1) * batch_size] for step in range(n_steps)]
    rule, start = MomentumRule(1.0, 0.1, momentum, l2, False), np.zeros((2, d + 1, w.shape[1]))
    start[0, :-1] = w
    expected, _, measured, _ = take_steps(X, labels, np.ones(n), batches, start, rule)
    samples = Samples(order, labels, np.empty(0))
    counts, intercepts = np.zeros(2, np.int64), np.zeros((2, w.shape[1]), dtype)
    state = MomentumState(w, *np.zeros((2, *w.shape), dtype), *intercepts, np.empty((0, 0)), counts)
    losses = np.full(n_steps, np.nan)
    # Two calls, and tiles that are smaller than a batch.
    for first, last in ((0, 3), (3, 4)):
        part = StepMetrics(losses[first:last], *np.empty((3, last - first)))
        train_steps(make_any_layout_view(X), samples, batch_size, first, last, state, rule, 8, part)
    tolerance = 1e-12 if dtype == np.float64 else 1e-4
    np.testing.assert_allclose(w, expected[:-1], rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(losses, measured[0], rtol=tolerance)
    assert counts.tolist() == [batch_size * n_steps, 0]


@pytest.mark.parametrize("dtype", [np.float64, *mark_params(pytest.mark.thorough, np.float32)])
@pytest.mark.parametrize("n_classes", [2, 5])
def test_evaluation_counts_correct_rows(n_classes, dtype):
    n = 400 if JIT_ENABLED else 30
    X, labels, _, coef, _ = make_problem(n, 6, n_classes, dtype)
    coef = coef.astype(dtype)
    results = []
    # The rows are contiguous, so that they are read in place, or not contiguous.
    for layout in (X, np.asfortranarray(X)) if dtype == np.float64 else (X,):
        losses, n_correct = np.full(3, np.nan), np.full(3, -1)
        for block in range(3):
            evaluate_block(block, 3, make_any_layout_view(layout), labels, coef, 8, losses, n_correct)
        results.append((losses, n_correct))
    assert_bitwise_equal(results)
    scores = X.astype(float) @ coef.T.astype(float)
    best = scores.argmax(axis=1) if n_classes > 2 else (scores[:, 0] >= 0).astype(int)
    assert n_correct.sum() == np.sum(best == labels)
    expected, *_ = reference.loss_and_gradient(X, labels, np.ones(n), coef, np.zeros(len(coef)))
    assert losses.sum() == pytest.approx(expected, rel=1e-12 if dtype == np.float64 else 1e-5)


def test_the_first_class_is_predicted_in_a_tie():
    X, n_correct = make_any_layout_view(np.ones((3, 2))), np.empty(1, np.int64)
    evaluate_block(0, 1, X, np.array([0, 1, 2], np.int32), np.zeros((3, 2)), 8, np.empty(0), n_correct)
    assert n_correct[0] == 1
    # With one output, a probability of exactly one half predicts class 1.
    evaluate_block(0, 1, X, np.array([0, 1, 1], np.int32), np.zeros((1, 2)), 8, np.empty(0), n_correct)
    assert n_correct[0] == 2


def make_rows(d, seed=0):
    """Return rows with unsorted indices. Some rows are empty, and some contain duplicates."""
    generator = np.random.default_rng(seed)
    counts = generator.integers(0, 6, N)
    indices = generator.integers(0, d, counts.sum()).astype(np.int32)
    # Nearly all batches have entries in this column.
    indices[generator.random(len(indices)) < 0.2] = d // 2
    indptr = np.append(0, np.cumsum(counts)).astype(np.int32)
    return sparse.csr_array((generator.normal(size=len(indices)), indices, indptr), shape=(N, d))


@pytest.mark.parametrize("dtype", [np.float64, np.float32] if JIT_ENABLED else [np.float64])
@pytest.mark.parametrize("n_classes", [1, 3])
@pytest.mark.parametrize("d", [SMALL_COLUMN_COUNT, LARGE_COLUMN_COUNT])
@pytest.mark.parametrize(
    ("momentum", "l2", "has_intercept", "has_averaging"),
    [(0.0, 0.0, True, False), (0.9, 0.3, True, True), (0.5, 0.1, False, True)],
)
def test_steps_over_sparse_rows_agree_with_the_reference(
    dtype, n_classes, d, momentum, l2, has_intercept, has_averaging
):
    X, generator = make_rows(d), np.random.default_rng(1)
    labels, weights = generator.integers(0, max(2, n_classes), N, np.int32), generator.uniform(0, 2, N)
    order = np.concatenate([generator.permutation(N) for _ in range(3)])[: N_STEPS * BATCH_SIZE - 4]
    # A batch with total weight zero takes no step.
    weights[order[20:30]] = 0
    rule = MomentumRule(-0.3, -1.0, momentum, l2, has_intercept)
    start = generator.normal(size=(2, d + 1, n_classes)).astype(dtype)
    if not has_intercept:
        start[1, -1] = 0
    batches = [order[step * BATCH_SIZE : (step + 1) * BATCH_SIZE] for step in range(N_STEPS)]
    expected = take_steps(X.toarray(), labels, weights, batches, start.astype(np.float64), rule)
    counts, mean = np.zeros(2, np.int64), np.zeros((d + 1, n_classes) if has_averaging else (0, n_classes))
    (w, intercept), (v, intercept_velocity) = ((array[:-1].copy(), array[-1].copy()) for array in start)
    state = MomentumState(w, np.empty((0, 0), dtype), v, intercept, intercept_velocity, mean, counts)
    measured = StepMetrics(*np.full((4, N_STEPS), np.nan))
    # Two calls, and tiles that are smaller than a batch.
    rows, samples = CompressedMatrix(X.data, X.indices, X.indptr), Samples(order, labels, weights)
    for first, last in ((0, 7), (7, N_STEPS)):
        part = StepMetrics(*(array[first:last] for array in measured))
        train_sparse_steps(rows, samples, BATCH_SIZE, first, last, state, rule, 8, part)
    tolerance = 1e-12 if dtype == np.float64 else 2e-5
    actual = np.vstack([w, intercept]), np.vstack([v, intercept_velocity]), np.array(measured), mean
    for value, right in zip(actual[: 3 + has_averaging], expected, strict=False):
        np.testing.assert_allclose(value, right, rtol=tolerance, atol=tolerance)
    assert counts.tolist() == [len(order), (N_STEPS - 1) * has_averaging]
