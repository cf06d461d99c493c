"""Compiled steps and evaluation against the naive oracle."""

import naive
import numpy as np
import pytest
from conftest import COMPILED, assert_same_bits, make_problem

from fastlin.kernels.linear.operands import Samples
from fastlin.kernels.machine.arrays import any_layout
from fastlin.kernels.networks.minibatches import Measured, MomentumRule, MomentumState, evaluate_block, train_steps


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n_classes", [2, 3, 10])
@pytest.mark.parametrize(("momentum", "l2"), [(0.0, 0.0), (0.9, 0.3)])
def test_steps_agree_with_naive(dtype, n_classes, momentum, l2):
    n, d, batch_size, n_steps = 43, 6, 10, 4
    X, labels, _, coef, _ = make_problem(n, d, n_classes, dtype)
    order = np.random.default_rng(1).permutation(n)
    w = np.ascontiguousarray(coef.T, dtype=dtype)
    batches = [order[step * batch_size : (step + 1) * batch_size] for step in range(n_steps)]
    expected, expected_losses = naive.train(X, labels, w.tolist(), 0.1, batches, l2, momentum)
    samples = Samples(order, labels, np.empty(0))
    counts, intercepts = np.zeros(2, np.int64), np.zeros((2, w.shape[1]), dtype)
    state = MomentumState(w, *np.zeros((2, *w.shape), dtype), *intercepts, np.empty((0, 0)), counts)
    losses = np.full(n_steps, np.nan)
    # Two calls and tiles smaller than a batch.
    for first, last in ((0, 3), (3, 4)):
        rule = MomentumRule(1.0, 0.1, momentum, l2, False)
        measured = Measured(losses[first:last], *np.empty((3, last - first)))
        train_steps(any_layout(X), samples, batch_size, first, last, state, rule, 8, measured)
    tolerance = 1e-12 if dtype == np.float64 else 1e-4
    np.testing.assert_allclose(w, expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(losses, expected_losses, rtol=tolerance)
    assert counts.tolist() == [batch_size * n_steps, 0]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n_classes", [2, 5])
def test_evaluation_counts_right_classes(n_classes, dtype):
    n = 400 if COMPILED else 30
    X, labels, _, coef, _ = make_problem(n, 6, n_classes, dtype)
    coef = coef.astype(dtype)
    results = []
    # Rows that are read in place, and rows that are not contiguous.
    for layout in (X, np.asfortranarray(X)) if dtype == np.float64 else (X,):
        losses, n_correct = np.full(3, np.nan), np.full(3, -1)
        for block in range(3):
            evaluate_block(block, 3, layout, labels, coef, 8, losses, n_correct)
        results.append((losses, n_correct))
    assert_same_bits(results)
    scores = X.astype(float) @ coef.T.astype(float)
    best = scores.argmax(axis=1) if n_classes > 2 else (scores[:, 0] >= 0).astype(int)
    assert n_correct.sum() == np.sum(best == labels)
    expected, *_ = naive.loss_and_gradient(X, labels, np.ones(n), coef, np.zeros(len(coef)))
    assert losses.sum() == pytest.approx(expected, rel=1e-12 if dtype == np.float64 else 1e-5)


def test_of_equal_scores_the_first_class_wins():
    n_correct = np.empty(1, np.int64)
    evaluate_block(0, 1, np.ones((3, 2)), np.array([0, 1, 2]), np.zeros((3, 2)), 8, np.empty(0), n_correct)
    assert n_correct[0] == 1
    # One output: a probability of exactly one half is class 1.
    evaluate_block(0, 1, np.ones((3, 2)), np.array([0, 1, 1]), np.zeros((1, 2)), 8, np.empty(0), n_correct)
    assert n_correct[0] == 2
