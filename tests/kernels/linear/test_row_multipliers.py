"""Kernels for row-space fits, for every type and layout of X, compared with the reference and NumPy."""

import numpy as np
import pytest
import reference
from conftest import JIT_ENABLED, LAYOUTS, make_sparse, mark_params
from scipy import sparse

from fastlin.kernels.linear.operands import ProbabilityOutput, Samples
from fastlin.kernels.linear.row_multipliers import fill_block_residuals_after_step
from fastlin.kernels.machine.gather import make_zero_table
from fastlin.kernels.machine.threads import run_blocks
from fastlin.matrices import CategoricalColumn, TableMatrix, as_matrix, dense

N, D = 21, 70


def make_dense_rows(dtype=np.float64, n=N, d=D):
    generator = np.random.default_rng(0)
    if np.issubdtype(dtype, np.floating):
        return generator.normal(size=(n, d)).astype(dtype)
    return generator.integers(0, 2 if dtype is bool else 100, (n, d)).astype(dtype)


def make_vector(n, n_classes, seed=1):
    """Return a random table with n rows, and with one additional row that products ignore."""
    table = make_zero_table(n + 1, n_classes)
    table[:, :n_classes] = np.random.default_rng(seed).normal(size=(n + 1, n_classes))
    return table


def assert_products_accurate(X, products, n_classes, factors):
    """Compare products with NumPy's, up to d + n rounding errors of the sums of magnitudes."""
    n, d = X.shape
    X = (X.toarray() if sparse.issparse(X) else X).astype(np.float64)
    vector, product = make_vector(n, n_classes), make_zero_table(n + 1, n_classes)
    product[:] = 7.0
    products.multiply(vector, product)
    numbers = vector[:n, :n_classes]
    coef, sizes = (X / factors).T @ numbers, (np.abs(X) / factors).T @ np.abs(numbers)
    unit = 2.0**-52
    assert (np.abs(product[:n, :n_classes] - X @ coef) <= (n + d + 4) * unit * (np.abs(X) @ sizes)).all()
    np.testing.assert_array_equal(product[n], 7.0)
    actual = np.empty(coef.T.shape)
    products.combine_rows(vector, actual)
    assert (np.abs(actual - coef.T) <= (n + 4) * unit * sizes.T).all()


@pytest.mark.parametrize("n_classes", [1, 3, 20])
@pytest.mark.parametrize("n_blocks", [1, 3])
def test_residuals_along_a_direction_match_the_reference(n_classes, n_blocks):
    generator, step, K = np.random.default_rng(0), 0.3, n_classes
    labels, weights = generator.integers(0, max(2, K), N).astype(np.int32), generator.uniform(0, 2, N)
    scores, direction = make_vector(N, K), make_vector(N, K, 2)
    residuals = np.full_like(scores, 7.0)
    losses, slopes, sums = np.empty(n_blocks), np.empty(n_blocks), np.empty((n_blocks, K))
    arguments = Samples(np.empty(0, np.int64), labels, weights), scores, direction, step, 8, ProbabilityOutput.of(None)
    run_blocks(fill_block_residuals_after_step, n_blocks, *arguments, residuals, losses, slopes, sums)
    # If X is the identity matrix, the coefficients are the scores.
    moved, direction_scores = (table[:N, :K] + table[N, :K] for table in (scores + step * direction, direction))
    reference_arguments = np.eye(N), labels, moved.T, 0.0, weights
    expected = (reference.gradient(*reference_arguments)[0].T * weights.sum()).astype(float)
    np.testing.assert_allclose(
        losses.sum(), float(reference.mean_loss(*reference_arguments) * weights.sum()), rtol=1e-13
    )
    np.testing.assert_allclose(residuals[:N, :K], expected, atol=1e-14)
    np.testing.assert_array_equal(residuals[N], 7.0)
    np.testing.assert_allclose(slopes.sum(), np.sum(expected * direction_scores), atol=1e-13)
    np.testing.assert_allclose(sums.sum(axis=0), expected.sum(axis=0), atol=1e-13)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "dtype", [np.float64, *mark_params(pytest.mark.thorough, np.float32, np.uint8, np.float16, bool)]
)
@pytest.mark.parametrize("n_classes", [1, 3, 12])
def test_products_of_dense_rows_are_accurate(dtype, layout, n_classes):
    X, factors = LAYOUTS[layout](make_dense_rows(dtype)), np.linspace(0.5, 3, D)
    assert_products_accurate(X, as_matrix(X).row_products(n_classes, factors, False), n_classes, factors)


@pytest.mark.parametrize(
    ("n_classes", "index_dtype"),
    [*((K, np.int32) for K in (1, 3, 8, 20, 40)), *mark_params(pytest.mark.thorough, (1, np.int64))],
)
def test_products_of_sparse_rows_are_accurate(n_classes, index_dtype):
    X = sparse.csr_array(make_sparse(N, D, index_dtype=index_dtype), shape=(N, D))
    factors = np.linspace(0.5, 3, D)
    assert_products_accurate(X, as_matrix(X).row_products(n_classes, factors, True), n_classes, factors)


@pytest.mark.parametrize("n_classes", [1, 3, 12])
@pytest.mark.parametrize("n", [1, N, 5_000 if JIT_ENABLED else 100])
def test_products_of_tables_are_accurate(n_classes, n):
    generator = np.random.default_rng(2)
    codes, numbers = generator.integers(-1, 60, n).astype(np.int8), generator.normal(size=n)
    category = (codes[:, None] == np.arange(60)) * 1.0
    X = np.column_stack([numbers, category, codes < 0, category])
    table = TableMatrix(
        [numbers, CategoricalColumn(codes, 61, has_missing_category=True), CategoricalColumn(codes, 60)]
    )
    factors = np.linspace(0.5, 3, X.shape[1])
    assert_products_accurate(X, table.row_products(n_classes, factors, False), n_classes, factors)


@pytest.mark.parametrize(("n", "d"), [(1, 1), (1, 300), (40, 1), (5, 257), (300, 600)])
def test_products_are_accurate_for_panels_of_any_shape(monkeypatch, n, d):
    for panel_bytes in (1, 1 << 21):
        monkeypatch.setattr(dense, "PANEL_BYTES", panel_bytes)
        X = make_dense_rows(n=n, d=d)
        assert_products_accurate(X, as_matrix(X).row_products(2, np.ones(d), False), 2, np.ones(d))


def test_the_gram_matrix_is_computed_once_it_pays_off():
    X, factors = make_dense_rows(n=4 * dense.ROWS_PER_PRODUCT), np.linspace(0.5, 3, D)
    matrix, gram = as_matrix(X), None
    # The second fit uses the cached matrix after the same number of products, so earlier fits do not affect results.
    for penalty_factors, is_first_product in ((factors, True), (factors, False), (2 * factors, False)):
        products = matrix.row_products(2, penalty_factors, True)
        for _ in range(3):
            assert products._gram is None
            assert (matrix._row_gram is None) == is_first_product
            assert_products_accurate(X, products, 2, penalty_factors)
        gram = gram or matrix._row_gram[1]
        assert (products._gram is gram) == (penalty_factors is factors)
