"""The fused pass over dense rows, and scores, against the naive oracle, finite differences, and on several threads."""

import naive
import numpy as np
import pytest
import reference
from conftest import COMPILED, assert_same_bits, make_problem, marked

from fastlin.kernels.linear import dense_rows
from fastlin.kernels.linear.operands import BlockSums, Kept, Losses, Parameters, Samples
from fastlin.kernels.machine.arrays import any_layout
from fastlin.kernels.machine.threads import run_blocks
from fastlin.kernels.machine.tiles import Scaling

NONE = np.empty(0, np.int64)
# What the package computes in: narrow numbers in either type, float64 also in float32 while it is far from the minimum.
TYPES = {
    "float64": (np.float64, np.float64, np.float64),
    "float32": (np.float32, np.float32, np.float32),
    "uint8": (np.uint8, np.float64, np.float64),
    "float64 in float32": (np.float64, np.float32, np.float64),
    "uint8 in float32": (np.uint8, np.float32, np.float32),
}


def round_to(values, kind):
    """Return values as they are in a type, in float64."""
    return values.astype(kind).astype(np.float64)


def run_pass(X, labels, weights, coef, intercept, kind=np.float64, scaling=None, rows=NONE, n_blocks=1):
    """Return loss, gradient, intercept gradient and probabilities of the kernel, blocks added in order.

    kind is the type computed in; the other types are those that the package passes.
    """
    n_classes, d = coef.shape
    scaling = Scaling(np.ones(d, kind), np.zeros(d, kind)) if scaling is None else scaling
    losses = np.full(n_blocks, np.nan)
    sums = BlockSums(np.full((n_blocks, n_classes, d), np.nan), np.full((n_blocks, n_classes), np.nan))
    probabilities = np.full((n_classes, len(rows) or len(X)), np.nan, kind)
    samples = Samples(rows, labels.astype(np.int32), weights.astype(np.float64))
    parameters = Parameters(np.ascontiguousarray(coef, kind), intercept.astype(kind))
    arguments = any_layout(X), rows, scaling, parameters, 8, sums
    run_blocks(dense_rows.fill_block_pass, n_blocks, *arguments, Losses(samples, losses, Kept.of(probabilities)), None)
    return losses.sum(), sums.coef.sum(axis=0), sums.intercept.sum(axis=0), probabilities


def naive_probabilities(scores):
    """Return the probabilities (K, n) of scores (n, K)."""
    if scores.shape[1] == 1:
        return np.array([[naive.logistic(s[0], 0)[1][0] for s in scores]])
    return np.array([np.array(naive.softmax(list(s), 0)[1]) + np.eye(len(s))[0] for s in scores]).T


@pytest.mark.parametrize("types", [*list(TYPES)[:-1], *marked(pytest.mark.thorough, list(TYPES)[-1])])
# Classes of one, below, at and above the three and the five of a loop, with a remainder of each kind.
@pytest.mark.parametrize("n_classes", [1, 3, 4, 5, 7, 11])
def test_pass_agrees_with_naive(types, n_classes):
    dtype, kind, scale_kind = TYPES[types]
    for n, d in [(1, 1), (13, 17), (9, 33)]:
        X, labels, weights, coef, intercept = make_problem(n, d, max(2, n_classes), dtype, seed=n)
        generator = np.random.default_rng(d)
        scale = 2.0 ** generator.integers(-9 if dtype == np.uint8 else -2, 1, d)
        scaling = Scaling(scale.astype(scale_kind), generator.normal(size=d).astype(scale_kind))
        coef, intercept = round_to(coef, kind), round_to(intercept, kind)
        shift = scaling.shift.astype(float)
        x = X.astype(float) * scale + shift
        expected = naive.loss_and_gradient(x, labels, weights, coef, intercept)
        magnitudes = np.abs(X.astype(float) * scale) + np.abs(shift)
        rounding = naive.rounding_of_loss_and_gradient(magnitudes, weights, coef, intercept, np.finfo(kind).eps)
        results = []
        for layout in (X, np.asfortranarray(X)):
            found = run_pass(layout, labels, weights, coef, intercept, kind, scaling)
            for value, right, bound in zip(found, expected, rounding, strict=False):
                assert (np.abs(value - right) <= bound).all(), (n, d)
            scores = x @ coef.T + intercept
            largest = np.abs(coef).sum(axis=0) @ magnitudes.T + np.abs(intercept).max()
            bound = 2 * (d + 20) * np.finfo(kind).eps * (1 + largest)
            assert (np.abs(found[3] - naive_probabilities(scores)) <= bound).all()
            results.append(found)
        # Every layout gives the same.
        assert_same_bits(results)


@pytest.mark.parametrize("types", ["float64", "float32", "uint8"])
@pytest.mark.parametrize("n_classes", [2, 10])
def test_pass_agrees_over_many_tiles_chunks_and_blocks(types, n_classes):
    dtype, kind, _ = TYPES[types]
    # More features than one chunk of a product, more rows than tiles and than the rows summed in one part.
    n, d = (300, 900) if COMPILED else (20, 18)
    X, labels, weights, coef, intercept = make_problem(n, d, n_classes, dtype)
    coef, intercept = round_to(coef / np.sqrt(d), kind), round_to(intercept, kind)
    X64 = X.astype(np.float64)
    given, total = (X64, labels, coef, intercept, weights), weights.sum()
    slopes = (float(total) * part.astype(float) for part in reference.gradient(*given))
    expected = float(reference.mean_loss(*given)) * total, *slopes
    rounding = naive.rounding_of_loss_and_gradient(np.abs(X64), weights, coef, intercept, np.finfo(kind).eps)
    for n_blocks in (1, 7):
        results = [
            run_pass(layout, labels, weights, coef, intercept, kind, n_blocks=n_blocks)
            for layout in (X, np.asfortranarray(X))
        ]
        for value, right, bound in zip(results[0], expected, rounding, strict=False):
            assert (np.abs(value - right) <= bound).all()
        assert_same_bits(results)


def test_rows_in_any_order_are_those_of_their_copy():
    X, labels, weights, coef, intercept = make_problem(40, 9, 4)
    rows = np.random.default_rng(1).permutation(40)[:23]
    found = run_pass(X, labels, weights, coef, intercept, rows=rows, n_blocks=3)
    copied = run_pass(X[rows], labels[rows], weights[rows], coef, intercept, n_blocks=3)
    for first, second in zip(found, copied, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_extreme_scores_neither_overflow_nor_lose_the_loss(kind, n_classes):
    X = np.array([[1e4], [-1e4], [1e4], [0.0]], dtype=kind)
    labels = np.array([0, 0, 1, 1])
    coef = np.array([[1.0]]) if n_classes == 2 else np.array([[1.0], [0.0], [-1.0]])
    intercept = np.zeros(len(coef))
    expected = naive.loss_and_gradient(X, labels, np.ones(4), coef, intercept)
    found = run_pass(X, labels, np.ones(4), coef, intercept, kind)
    for value, right in zip(found, expected, strict=False):
        assert np.isfinite(value).all()
        # Losses are whole or a logarithm, residuals 0, 1 or a simple fraction.
        np.testing.assert_allclose(value, right, rtol=4 * np.finfo(kind).eps, atol=4e4 * np.finfo(kind).eps)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_nan_reaches_loss_and_gradient(n_classes):
    X, labels, weights, coef, intercept = make_problem(9, 2, n_classes)
    for k in range(len(coef)):
        broken = coef.copy()
        broken[k, 1] = np.nan
        loss, gradient, *_ = run_pass(X, labels, weights, broken, intercept)
        assert np.isnan(loss)
        assert np.isnan(gradient).all()


def fill_scores(X, parameters, scores, best):
    """Score the layers of an X in blocks, and a plain X by the kernel for few rows."""
    if X.ndim == 3:
        run_blocks(dense_rows.fill_block_scores, 3, X, parameters, 8, scores, best)
    else:
        dense_rows.fill_scores(X, *parameters, scores, best)


@pytest.mark.parametrize("types", ["float64", "float32", "uint8"])
@pytest.mark.parametrize("n_classes", [1, 3, 5, 11])
def test_scores_and_best_class(types, n_classes):
    dtype, kind, _ = TYPES[types]
    for n, d in [(1, 1), (21, 9), (30, 700 if COMPILED else 20)]:
        X, _, _, coef, intercept = make_problem(n, d, max(2, n_classes), dtype)
        coef, intercept = round_to(coef, kind), round_to(intercept, kind)
        parameters = Parameters(coef.astype(kind), intercept.astype(kind))
        expected = X.astype(float) @ coef.T + intercept
        bound = (d + 2) * np.finfo(kind).eps * (np.abs(X.astype(float)) @ np.abs(coef).T + np.abs(intercept))
        results = []
        for layout in (any_layout(X), any_layout(np.asfortranarray(X)), X.astype(kind)):
            scores, best, of_all = np.full((n, n_classes), np.nan, kind), np.full(n, -1), np.full(n, -1)
            fill_scores(layout, parameters, scores, best[:0])
            fill_scores(layout, parameters, scores[:0], best)
            fill_scores(layout, parameters, scores.copy(), of_all)
            np.testing.assert_array_equal(of_all, best)
            assert (np.abs(scores - expected) <= bound).all()
            np.testing.assert_array_equal(best, scores[:, 0] > 0 if n_classes == 1 else scores.argmax(axis=1))
            results.append([scores])
        # Read in place or by way of a tile.
        assert_same_bits(results[:2])


def test_of_equal_scores_the_first_class_is_best():
    X, no_scores = np.ones((3, 2)), np.empty((0, 4))
    for intercept, first in (([0.0, 1, 1, 0], 1), ([0.0], 0)):
        parameters, best = Parameters(np.zeros((len(intercept), 2)), np.array(intercept)), np.full((2, 3), -1)
        fill_scores(any_layout(X), parameters, no_scores, best[0])
        fill_scores(X, parameters, no_scores, best[1])
        assert (best == first).all()


@pytest.mark.parametrize(
    ("dtype", "target"),
    [
        *((dtype, np.float32) for dtype in (np.float64, np.float32, np.uint8)),
        *marked(pytest.mark.slow, *((dtype, np.float32) for dtype in (np.int32, np.bool_))),
        (np.float64, np.float64),
    ],
)
def test_rows_are_taken_from_every_type_and_layout(dtype, target):
    X = np.random.default_rng(0).integers(0, 200, (6, 4)).astype(dtype)
    rows = np.array([5, 0, 0, 3])
    for layout in (X, np.asfortranarray(X), np.repeat(X, 2, axis=0)[::2]):
        for n_blocks in (1, 3, 9):
            gathered = np.full((4, 4), np.nan, target)
            run_blocks(dense_rows.fill_block_rows, n_blocks, any_layout(layout), rows, gathered)
            np.testing.assert_array_equal(gathered, X[rows].astype(target))
