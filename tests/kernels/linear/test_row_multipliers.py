"""What a fit in the space of the rows is made of, against the reference and NumPy."""

import numpy as np
import pytest
import reference
from scipy import sparse

from fastlin.kernels.linear import row_multipliers as kernels
from fastlin.kernels.linear.operands import Compressed, Kept, Samples
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
    generator, step, K = np.random.default_rng(0), 0.3, n_classes
    labels, weights = generator.integers(0, max(2, K), N).astype(np.int32), generator.uniform(0, 2, N)
    scores, direction = make_table(N + 1, K, 1), make_table(N + 1, K, 2)
    residuals = np.full_like(scores, 7.0)
    losses, slopes, sums = np.empty(n_blocks), np.empty(n_blocks), np.empty((n_blocks, K))
    given = Samples(np.empty(0, np.int64), labels, weights), scores, direction, step, 8, Kept.of(None)
    run_blocks(kernels.fill_block_residuals_along, n_blocks, *given, residuals, losses, slopes, sums)
    # The rows of an identity have the scores for their coefficients.
    moved, along = (table[:N, :K] + table[N, :K] for table in (scores + step * direction, direction))
    oracle = np.eye(N), labels, moved.T, 0.0, weights
    expected = (reference.gradient(*oracle)[0].T * weights.sum()).astype(float)
    np.testing.assert_allclose(losses.sum(), float(reference.mean_loss(*oracle) * weights.sum()), rtol=1e-13)
    np.testing.assert_allclose(residuals[:N, :K], expected, atol=1e-14)
    np.testing.assert_array_equal(residuals[N], 7.0)
    np.testing.assert_allclose(slopes.sum(), np.sum(expected * along), atol=1e-13)
    np.testing.assert_allclose(sums.sum(axis=0), expected.sum(axis=0), atol=1e-13)


@pytest.mark.parametrize("n_classes", [1, 3, 20])
def test_lines_are_combinations_of_a_table(n_classes):
    X = sparse.random_array((N, 9), density=0.4, format="csr", rng=np.random.default_rng(0))
    table, factors, product = make_table(9, n_classes, 0), np.linspace(0.5, 2, N), zeros_table(N, n_classes)
    lines = Compressed(X.data, X.indices, X.indptr)
    run_blocks(kernels.fill_block_lines, 2, lines, np.array([0, 4, N]), table, factors, product)
    np.testing.assert_allclose(product, factors[:, None] * (X.toarray() @ table), atol=1e-14)


@pytest.mark.parametrize("n_classes", [1, 3, 12])
@pytest.mark.parametrize("n_blocks", [1, 2])
def test_products_of_dense_rows(n_classes, n_blocks):
    generator = np.random.default_rng(0)
    X, scaling = generator.normal(size=(N, 75)), Scaling(generator.uniform(0.5, 2, 75), generator.normal(size=75))
    multipliers, factors = copy_aligned(generator.normal(size=(n_classes, N))), generator.uniform(0.5, 2, 75)
    coef, products = np.empty((n_classes, 75)), np.empty((n_blocks, n_classes, N))
    run_blocks(
        kernels.fill_block_row_products, n_blocks, any_layout(X), scaling, multipliers, factors, 32, coef, products
    )
    scaled = X * scaling.scale + scaling.shift
    np.testing.assert_allclose(coef, multipliers @ scaled * factors, atol=1e-13)
    np.testing.assert_allclose(products.sum(axis=0), coef @ scaled.T, atol=1e-11)
