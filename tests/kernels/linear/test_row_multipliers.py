"""What a fit in the space of the rows is made of, against the naive oracle and NumPy."""

import naive
import numpy as np
import pytest
from scipy import sparse

from fastlin.kernels.linear.operands import Compressed, Kept, Samples
from fastlin.kernels.linear.row_multipliers import (
    fill_block_lines,
    fill_block_residuals_along,
    fill_block_row_products,
)
from fastlin.kernels.machine.arrays import any_layout, copy_aligned
from fastlin.kernels.machine.gather import zeros_table
from fastlin.kernels.machine.threads import run_blocks
from fastlin.kernels.machine.tiles import Scaling

N = 13


def make_table(n_rows, n_classes, seed):
    table = zeros_table(n_rows, n_classes)
    table[:, :n_classes] = np.random.default_rng(seed).normal(size=(n_rows, n_classes))
    return table


@pytest.mark.parametrize("n_classes", [1, 3, 20])
@pytest.mark.parametrize("n_blocks", [1, 3])
def test_residuals_along_a_direction(n_classes, n_blocks):
    generator = np.random.default_rng(0)
    labels = generator.integers(0, max(2, n_classes), N).astype(np.int32)
    weights, step = generator.uniform(0, 2, N), 0.3
    scores, direction = make_table(N + 1, n_classes, 1), make_table(N + 1, n_classes, 2)
    residuals = np.full_like(scores, 7.0)
    losses, slopes, sums = np.empty(n_blocks), np.empty(n_blocks), np.empty((n_blocks, n_classes))
    samples = Samples(np.empty(0, np.int64), labels, weights)
    outputs = residuals, losses, slopes, sums
    run_blocks(fill_block_residuals_along, n_blocks, samples, scores, direction, step, 8, Kept.of(None), *outputs)
    # The rows of an identity have the scores for their coefficients.
    moved, along = (table[:N, :n_classes] + table[N, :n_classes] for table in (scores + step * direction, direction))
    loss, expected = 0.0, np.empty((N, n_classes))
    for i in range(N):
        of_row = naive.logistic(moved[i, 0], labels[i]) if n_classes == 1 else naive.softmax(list(moved[i]), labels[i])
        loss += weights[i] * of_row[0]
        expected[i] = weights[i] * np.array(of_row[1])
    np.testing.assert_allclose(losses.sum(), loss, rtol=1e-13)
    np.testing.assert_allclose(residuals[:N, :n_classes], expected, atol=1e-14)
    np.testing.assert_array_equal(residuals[N], 7.0)
    np.testing.assert_allclose(slopes.sum(), np.sum(expected * along), atol=1e-13)
    np.testing.assert_allclose(sums.sum(axis=0), expected.sum(axis=0), atol=1e-13)


@pytest.mark.parametrize("n_classes", [1, 3, 20])
def test_lines_are_combinations_of_a_table(n_classes):
    X = sparse.random_array((N, 9), density=0.4, format="csr", rng=np.random.default_rng(0))
    table, factors, product = make_table(9, n_classes, 0), np.linspace(0.5, 2, N), zeros_table(N, n_classes)
    lines = Compressed(X.data, X.indices, X.indptr)
    run_blocks(fill_block_lines, 2, lines, np.array([0, 4, N]), table, factors, product)
    np.testing.assert_allclose(product, factors[:, None] * (X.toarray() @ table), atol=1e-14)


@pytest.mark.parametrize("n_classes", [1, 3, 12])
@pytest.mark.parametrize("n_blocks", [1, 2])
def test_products_of_dense_rows(n_classes, n_blocks):
    generator = np.random.default_rng(0)
    X, scaling = generator.normal(size=(N, 75)), Scaling(generator.uniform(0.5, 2, 75), generator.normal(size=75))
    multipliers, factors = copy_aligned(generator.normal(size=(n_classes, N))), generator.uniform(0.5, 2, 75)
    coef, products = np.empty((n_classes, 75)), np.empty((n_blocks, n_classes, N))
    run_blocks(fill_block_row_products, n_blocks, any_layout(X), scaling, multipliers, factors, 32, coef, products)
    scaled = X * scaling.scale + scaling.shift
    np.testing.assert_allclose(coef, multipliers @ scaled * factors, atol=1e-13)
    np.testing.assert_allclose(products.sum(axis=0), coef @ scaled.T, atol=1e-11)
