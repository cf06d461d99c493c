"""Tiles that are cut into panels, in the kernels that use them, against NumPy."""

import numpy as np
import pytest
from conftest import COMPILED, assert_same_bits, marked

from fastlin.kernels.linear import curvature, dense_rows
from fastlin.kernels.linear.operands import BlockSums, Kept, Parameters, Samples
from fastlin.kernels.machine import panels
from fastlin.kernels.machine.arrays import any_layout
from fastlin.kernels.machine.emitter import VECTOR_BYTES
from fastlin.kernels.machine.panels import COLUMNS_TURNED, MANY_CLASSES
from fastlin.kernels.machine.threads import limit_threads, run_blocks
from fastlin.kernels.machine.tiles import MAX_TILE_ROWS, Scaling

KINDS = [np.float64, np.float32]
# Below, at and above a vector, a panel and the columns that are turned together; two of these and a remainder.
FEATURES = [1, 15, 16, 17, COLUMNS_TURNED, 65, 150] if COMPILED else [17]
# The fewest that are cut, with remainders in the loops, and more than are worked on together.
CLASSES = [MANY_CLASSES, MANY_CLASSES + 1, 2 * panels.CLASSES_CACHED + 2] if COMPILED else [MANY_CLASSES + 1]
# A tile and one row, and a tile less one.
ROWS = [MAX_TILE_ROWS + 1, MAX_TILE_ROWS - 1] if COMPILED else [9]


class Problem:
    """Rows in no order, a scaling and parameters, with what NumPy makes of them in float64."""

    def __init__(self, n_rows, n_features, n_classes, kind, dtype=None):
        generator = np.random.default_rng(n_features)
        self.kind, self.shape = kind, (n_classes, n_features)
        self.X = generator.normal(0, 3, size=(n_rows + 5, n_features)).astype(dtype or kind)
        self.numbers = generator.permutation(len(self.X))[:n_rows]
        self.labels = generator.integers(0, n_classes, len(self.X)).astype(np.int32)
        scale, shift = 2.0 ** generator.integers(-2, 2, n_features), generator.normal(size=n_features)
        self.scaling = Scaling(scale.astype(kind), shift.astype(kind))
        coef, intercept = generator.normal(size=self.shape) / 10, generator.normal(size=n_classes)
        self.parameters = Parameters(coef.astype(kind), intercept.astype(kind))
        self.x = self.X[self.numbers].astype(float) * self.scaling.scale + self.scaling.shift
        scores = self.multiply(self.x)
        # What rounding may change in a score, as a part of the largest sum of magnitudes in a row.
        sizes = np.abs(self.x) @ np.abs(coef.T) + np.abs(intercept)
        self.error = 2 * (n_features + 20) * np.finfo(kind).eps * (1 + sizes.max())
        scores -= scores.max(axis=1, keepdims=True)
        self.probabilities = np.exp(scores)
        self.probabilities /= self.probabilities.sum(axis=1, keepdims=True)
        self.losses = -np.log(self.probabilities[np.arange(n_rows), self.labels[self.numbers]])

    def multiply(self, x):
        """Return the scores of rows x."""
        return x @ self.parameters.coef.T.astype(float) + self.parameters.intercept

    def sum(self, residuals):
        """Return the sums of residuals (n, K) times rows, by coefficients and by intercepts, and bounds of rounding."""
        bound = (self.error + len(residuals) * np.finfo(self.kind).eps) * (1 + np.abs(residuals).sum())
        return residuals.T @ self.x, residuals.sum(axis=0), bound * (1 + np.abs(self.x).max())

    def evaluate(self, X, n_blocks=1):
        """Return loss, gradient by coefficients and by intercepts, and probabilities (n, K) as the kernel has them."""
        losses, sums = np.full(n_blocks, np.nan), self.open_sums(n_blocks)
        probabilities = np.full((self.shape[0], len(self.numbers)), np.nan, self.kind)
        samples = Samples(self.numbers, self.labels, np.empty(0))
        arguments = any_layout(X), samples, self.scaling, self.parameters, MAX_TILE_ROWS, losses, sums
        run_blocks(dense_rows.fill_block_loss_and_gradient, n_blocks, *arguments, Kept.of(probabilities))
        return losses.sum(), sums.coef.sum(axis=0), sums.intercept.sum(axis=0), probabilities.T

    def open_sums(self, n_blocks=1):
        return BlockSums(np.full((n_blocks, *self.shape), np.nan), np.full((n_blocks, self.shape[0]), np.nan))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_features", FEATURES)
def test_a_pass_agrees_with_numpy(n_features, kind):
    for n_classes in CLASSES:
        for n_rows in ROWS:
            problem = Problem(n_rows, n_features, n_classes, kind)
            results = [problem.evaluate(layout) for layout in (problem.X, np.asfortranarray(problem.X))]
            assert_same_bits(results)
            loss, coef, intercept, probabilities = results[0]
            assert abs(loss - problem.losses.sum()) <= n_rows * problem.error
            assert np.abs(probabilities - problem.probabilities).max() <= problem.error
            residuals = problem.probabilities.copy()
            residuals[np.arange(n_rows), problem.labels[problem.numbers]] -= 1
            by_coef, by_intercept, bound = problem.sum(residuals)
            assert np.abs(coef - by_coef).max() <= bound
            assert np.abs(intercept - by_intercept).max() <= bound


@pytest.mark.parametrize("kind", KINDS)
def test_a_hessian_product_agrees_with_numpy(kind):
    problem = Problem(MAX_TILE_ROWS + 1 if COMPILED else 9, 70, MANY_CLASSES + 1, kind)
    products, weights = problem.open_sums(), np.random.default_rng(0).uniform(0, 2, len(problem.numbers)).astype(kind)
    probabilities = np.ascontiguousarray(problem.probabilities.T, kind)
    arguments = any_layout(problem.X), problem.numbers, weights, probabilities, problem.scaling
    curvature.fill_block_hessian_product(0, 1, *arguments, problem.parameters, MAX_TILE_ROWS, products)
    slopes, p = problem.multiply(problem.x), probabilities.T.astype(float)
    slopes = weights[:, None] * p * (slopes - (p * slopes).sum(axis=1, keepdims=True))
    by_coef, by_intercept, bound = problem.sum(slopes)
    assert np.abs(products.coef[0] - by_coef).max() <= bound
    assert np.abs(products.intercept[0] - by_intercept).max() <= bound


@pytest.mark.parametrize("kind", [np.float64, *marked(pytest.mark.thorough, np.float32)])
def test_scores_and_best_classes_agree_with_numpy(kind):
    problem = Problem(MAX_TILE_ROWS + 1 if COMPILED else 9, 70, MANY_CLASSES, kind, np.uint8)
    expected = problem.multiply(problem.X.astype(float))
    error = 200 * np.finfo(kind).eps * (1 + np.abs(problem.X) @ np.abs(problem.parameters.coef.T)).max()
    for layout in (problem.X, np.asfortranarray(problem.X)):
        scores, best = np.full(expected.shape, np.nan, kind), np.full(len(layout), -1)
        arguments = any_layout(layout), problem.parameters, MAX_TILE_ROWS
        dense_rows.fill_block_scores(0, 1, *arguments, scores, best)
        assert np.abs(scores - expected).max() <= error
        np.testing.assert_array_equal(best, scores.argmax(axis=1))


@pytest.mark.parametrize("kind", KINDS)
def test_the_bits_are_those_of_one_thread(kind):
    problem, results = Problem(3 * MAX_TILE_ROWS if COMPILED else 9, 40, MANY_CLASSES, kind), []
    for n_threads in (1, 2, 3):
        with limit_threads(n_threads):
            results.append(problem.evaluate(problem.X, n_blocks=3))
    assert_same_bits(results)


@pytest.mark.parametrize("n_rows", [1, 60, MAX_TILE_ROWS - 1, MAX_TILE_ROWS, 5000])
def test_full_tiles_are_cut_where_there_are_many_classes(n_rows):
    for n_features in (3, 40, 700):
        for n_classes in (3, MANY_CLASSES - 1, MANY_CLASSES, 1000):
            rows = panels.choose_tile_rows(n_rows, n_features, n_classes, 4)
            assert rows % 8 == 0
            assert (rows == MAX_TILE_ROWS) == (n_rows >= MAX_TILE_ROWS) or n_classes < MANY_CLASSES


def test_panels_are_whole_parts_of_a_tile_and_of_the_columns_that_are_turned():
    for itemsize in (4, 8):
        width = panels.PANEL_VECTORS * VECTOR_BYTES // itemsize
        assert MAX_TILE_ROWS % width == 0
        assert COLUMNS_TURNED % width == 0
