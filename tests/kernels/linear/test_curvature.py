"""Hessian products and Gram matrices against the naive oracle, NumPy, finite differences and each other."""

import naive
import numpy as np
import pytest
from conftest import COMPILED, make_problem

from fastlin.kernels.linear import curvature, dense_rows
from fastlin.kernels.machine.threads import limit_threads, run_blocks

TOLERANCE = {np.float64: 1e-11, np.float32: 5e-5}
CLASSES = [1, 3, 4, 5, 7, 11]


def make_rows(n, d, n_classes, kind, dtype=np.float64):
    """Return X, row numbers, their weights and probabilities, factors and offsets, and the scaled rows."""
    generator = np.random.default_rng(d)
    X, *_ = make_problem(n, d, 3, dtype)
    rows = generator.permutation(n)[: max(1, 2 * n // 3)]
    weights = generator.uniform(0, 2, len(rows)).astype(kind)
    probabilities = generator.uniform(0, 1, (n_classes, len(rows)))
    if n_classes > 1:
        probabilities /= probabilities.sum(axis=0)
    largest = np.abs(X.astype(float)).max()
    factors = (2.0 ** generator.integers(-2, 2, d) / 2.0 ** np.ceil(np.log2(largest))).astype(kind)
    offsets = generator.normal(size=d).astype(kind)
    scaled = X[rows].astype(kind) * factors + offsets
    return X, rows, weights, probabilities.astype(kind), factors, offsets, scaled.astype(float)


def assert_close(found, expected, kind):
    expected = np.asarray(expected)
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE[kind], atol=TOLERANCE[kind] * np.abs(expected).max())


def multiply_hessian(X, rows, weights, probabilities, factors, offsets, direction, intercept_direction, n_blocks=1):
    products = np.full((n_blocks, *direction.shape), np.nan)
    intercept_products = np.full((n_blocks, len(direction)), np.nan)
    run_blocks(
        curvature.fill_block_hessian_product, n_blocks, X, rows, weights, probabilities, factors, offsets, direction,
        intercept_direction, 8, products, intercept_products,
    )  # fmt: skip
    return products.sum(axis=0), intercept_products.sum(axis=0)


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("n_classes", CLASSES)
@pytest.mark.parametrize("d", [1, 2, 7, 16, 17, 33])
def test_all_agree_with_naive(d, n_classes, kind):
    X, rows, weights, probabilities, factors, offsets, scaled = make_rows(14, d, n_classes, kind)
    generator = np.random.default_rng(5)
    direction = generator.normal(size=(n_classes, d)).astype(kind)
    intercept_direction = generator.normal(size=n_classes).astype(kind)
    expected = naive.hessian_product(scaled, weights, probabilities.T, direction, intercept_direction)
    found = multiply_hessian(X, rows, weights, probabilities, factors, offsets, direction, intercept_direction, 2)
    assert_close(found[0], expected[0], kind)
    assert_close(found[1], expected[1], kind)

    grams = np.full((n_classes, d + 1, d + 1), np.nan, kind)
    row_weights = weights * probabilities
    run_blocks(curvature.fill_block_gram, 2, X, rows, row_weights, factors, offsets, 8, grams)
    for k in range(n_classes):
        assert_close(grams[k], naive.weighted_gram(scaled, row_weights[k].astype(float)), kind)


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("n_classes", CLASSES)
@pytest.mark.parametrize("d", [1, 3, 7])
def test_class_pairs_agree_with_naive(d, n_classes, kind):
    X, rows, weights, probabilities, factors, offsets, scaled = make_rows(11, d, n_classes, kind)
    hessian = np.full((n_classes * (d + 1),) * 2, np.nan)
    for n_blocks in (1, 3):
        run_blocks(
            curvature.fill_block_class_pair_gram,
            n_blocks,
            X,
            rows,
            weights,
            probabilities,
            factors,
            offsets,
            8,
            hessian,
        )
        expected = naive.class_pair_hessian(scaled, weights.astype(float), probabilities.T.astype(float))
        assert_close(hessian, expected, kind)
        np.testing.assert_array_equal(hessian, hessian.T)


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
@pytest.mark.parametrize("order", ["C", "F"])
def test_other_types_and_layouts(dtype, order):
    X, rows, weights, probabilities, factors, offsets, scaled = make_rows(40, 9, 3, np.float32, dtype)
    X = np.asarray(X, order=order)
    direction, intercept_direction = np.ones((3, 9), np.float32), np.arange(3).astype(np.float32)
    expected = naive.hessian_product(scaled, weights, probabilities.T, direction, intercept_direction)
    found = multiply_hessian(X, rows, weights, probabilities, factors, offsets, direction, intercept_direction)
    assert_close(found[0], expected[0], np.float32)
    grams = np.empty((1, 10, 10), np.float32)
    run_blocks(curvature.fill_block_gram, 1, X, rows, weights[None], factors, offsets, 8, grams)
    assert_close(grams[0], naive.weighted_gram(scaled, weights), np.float32)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_hessian_product_is_the_derivative_of_the_gradient(n_classes):
    n, d = 21, 5
    X, labels, weights, coef, intercept = make_problem(n, d, n_classes)
    n_scores = len(coef)
    factors, offsets = np.full(d, 0.5), np.arange(d) / 3
    probabilities = np.full((n_scores, n), np.nan)

    def gradient(coef, intercept):
        losses, gradients, intercept_gradients = np.empty(1), np.empty((1, n_scores, d)), np.empty((1, n_scores))
        dense_rows.fill_block_loss_and_gradient(
            0, 1, X, np.empty(0, np.int64), labels, weights, factors, offsets, coef, intercept, 8, losses, gradients,
            intercept_gradients, probabilities,
        )  # fmt: skip
        return gradients[0], intercept_gradients[0]

    generator = np.random.default_rng(2)
    direction, intercept_direction = generator.normal(size=coef.shape), generator.normal(size=n_scores)
    step = 1e-6
    ahead = gradient(coef + step * direction, intercept + step * intercept_direction)
    behind = gradient(coef - step * direction, intercept - step * intercept_direction)
    gradient(coef, intercept)
    found = multiply_hessian(
        X, np.arange(n), weights, probabilities, factors, offsets, direction, intercept_direction, 3
    )
    for part in (0, 1):
        np.testing.assert_allclose(found[part], (ahead[part] - behind[part]) / (2 * step), rtol=1e-6, atol=1e-7)
    hessian = np.empty((n_scores * (d + 1),) * 2)
    curvature.fill_block_class_pair_gram(0, 1, X, np.arange(n), weights, probabilities, factors, offsets, 8, hessian)
    product = hessian @ np.column_stack([direction, intercept_direction]).ravel()
    expected = np.column_stack([found[0], found[1]]).ravel()
    np.testing.assert_allclose(product, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_large_ones_agree_with_numpy_and_do_not_depend_on_threads(kind):
    n, d, n_classes = (900, 70, 3) if COMPILED else (30, 25, 3)
    X, rows, weights, probabilities, factors, offsets, scaled = make_rows(n, d, n_classes, kind)
    ones = np.column_stack([scaled, np.ones(len(scaled))])
    row_weights = weights * probabilities
    results = []
    for n_threads in (1, 2):
        with limit_threads(n_threads):
            grams = np.full((n_classes, d + 1, d + 1), np.nan, kind)
            run_blocks(curvature.fill_block_gram, 3, X, rows, row_weights, factors, offsets, 16, grams)
            hessian = np.full((n_classes * (d + 1),) * 2, np.nan)
            run_blocks(
                curvature.fill_block_class_pair_gram, 5, X, rows, weights, probabilities, factors, offsets, 16, hessian
            )
            direction = np.ones((n_classes, d), kind)
            products = multiply_hessian(
                X, rows, weights, probabilities, factors, offsets, direction, np.arange(n_classes).astype(kind), 4
            )
            results.append((grams, hessian, *products))
    for k in range(n_classes):
        assert_close(results[0][0][k], ones.T @ (row_weights[k][:, None] * ones), kind)
    for first, second in zip(*results, strict=True):
        np.testing.assert_array_equal(first, second)
