"""Cholesky factors and solutions, compared with NumPy, and modified factors of matrices that are not definite."""

import numpy as np
import pytest
from conftest import JIT_ENABLED

from fastlin.kernels.machine import cholesky
from fastlin.kernels.machine.cholesky import ROWS_PER_BATCH
from fastlin.kernels.machine.threads import run_blocks

# The sizes are close to the number of rows in a step or a product, or to the size of a cache line.
SIZES = [1, 2, 3, 7, 8, 9, 16, 17, ROWS_PER_BATCH - 1, ROWS_PER_BATCH, ROWS_PER_BATCH + 1, 2 * ROWS_PER_BATCH, 100, 170]
SIZES = SIZES if JIT_ENABLED else [1, 2, 5, 17, ROWS_PER_BATCH + 1]
TOLERANCE = {np.float64: 1e-12, np.float32: 1e-4}
DEGENERATE_MATRICES = ["zero", "low rank", "repeated columns", "indefinite by rounding", "indefinite", "badly scaled"]
EACH_FLOAT_TYPE = pytest.mark.parametrize("kind", [np.float64, np.float32])


def make_matrices(n_matrices, size, kind, seed=0):
    """Return symmetric matrices, (n_matrices, size, size), with eigenvalues between 1 and about 5."""
    columns = np.random.default_rng(seed).normal(size=(n_matrices, size, size)) / np.sqrt(size)
    return (columns @ columns.transpose(0, 2, 1) + np.eye(size)).astype(kind)


def factorize(matrices, ridge=0.0):
    size = matrices.shape[1]
    triangles = np.full((len(matrices), size * (size + 1) // 2), np.nan, matrices.dtype)
    run_blocks(cholesky.factorize_block, len(matrices), matrices, ridge, triangles)
    return triangles


def solve_with_factors(triangles, values):
    solution = values.copy()
    run_blocks(cholesky.solve_block, len(values), triangles, solution)
    return solution


def solve(matrix, values, ridge=0.0):
    return solve_with_factors(factorize(matrix[None], ridge), values[None])[0]


@EACH_FLOAT_TYPE
def test_cholesky_factors_and_solutions_agree_with_numpy(kind):
    batch_size = cholesky.count_interleaved_rows(np.dtype(kind).itemsize)
    close = {"atol": TOLERANCE[kind], "rtol": 1e-7}
    for size in SIZES:
        matrices = make_matrices(2, size, kind, seed=size)
        # The kernel neither reads nor writes the lower triangle.
        below, upper_matrices = np.tril_indices(size, -1), matrices.copy()
        upper_matrices[:, *below] = np.nan
        triangles = factorize(upper_matrices)
        assert np.isnan(upper_matrices[:, *below]).all()
        exact = matrices.astype(float)
        expected = np.linalg.cholesky(exact, upper=True)[:, *np.triu_indices(size)]
        np.testing.assert_allclose(triangles, expected, **close, err_msg=f"size {size}")
        values = np.random.default_rng(1).normal(size=(2, size))
        expected = np.linalg.solve(exact, values[..., None])[..., 0]
        np.testing.assert_allclose(solve_with_factors(triangles, values), expected, **close, err_msg=f"size {size}")
        # The factor is also used for several right-hand sides.
        mirrored_factor = np.empty((size, size), kind)
        run_blocks(cholesky.fill_mirrored_factor_block, 3, triangles[0], mirrored_factor)
        for n_rows in (1, batch_size, 2 * batch_size + 1):
            values = np.random.default_rng(1).normal(size=(n_rows, size))
            actual = values.copy()
            run_blocks(cholesky.solve_interleaved_block, -(-n_rows // batch_size), mirrored_factor, actual)
            for expected in (np.linalg.solve(exact[0], values.T).T, solve_with_factors(triangles[:1], values)):
                np.testing.assert_allclose(actual, expected, **close, err_msg=f"size {size}")


@pytest.mark.parametrize("size", [1, 2, 3, 17])
@pytest.mark.parametrize("condition", [1.0, 1e12])
def test_removing_rows_from_a_factor_agrees_with_factorizing_the_smaller_matrix(size, condition):
    [matrix] = make_matrices(1, size, np.float64)
    unit = np.geomspace(1, condition**0.5, size)
    matrix = matrix * unit * unit[:, None]
    [triangle], left = factorize(matrix[None]), np.arange(size)
    for position in (size - 1, 0, size // 2):
        if position < len(left):
            cholesky.remove_row(triangle, len(left), position)
            left = np.delete(left, position)
        if len(left):
            expected = np.linalg.cholesky(matrix[np.ix_(left, left)], upper=True)[np.triu_indices(len(left))]
            np.testing.assert_allclose(triangle[: len(expected)], expected, rtol=1e-11, atol=1e-13 * condition**0.5)


def multiply_by_transpose(columns):
    return columns @ columns.T


def make_degenerate_matrix(name, size, kind):
    generator = np.random.default_rng(size)
    normal = generator.normal(size=(size, size))
    low_rank_matrix = multiply_by_transpose(normal[:, : max(1, size // 3)])
    matrix = make_matrices(1, size, np.float64)[0]
    match name:
        case "zero":
            matrix = np.zeros((size, size))
        case "low rank":
            matrix = low_rank_matrix
        case "repeated columns":
            normal[size // 2 :] = normal[: size - size // 2]
            matrix = multiply_by_transpose(normal)
        case "indefinite":
            matrix = normal + normal.T
            np.fill_diagonal(matrix, np.abs(np.diagonal(matrix)))
        case "indefinite by rounding":
            noise = generator.normal(size=(size, size))
            matrix = low_rank_matrix + 4 * np.finfo(kind).eps * (noise + noise.T)
        case "badly scaled":
            scale = 10.0 ** generator.uniform(-6, 6, size)
            matrix *= np.outer(scale, scale)
    return matrix.astype(kind)


@EACH_FLOAT_TYPE
@pytest.mark.parametrize("name", DEGENERATE_MATRICES)
def test_any_symmetric_matrix_gives_a_finite_descent_direction(name, kind):
    for size in (2, 6, ROWS_PER_BATCH + 5) if JIT_ENABLED else (2, 6):
        matrix = make_degenerate_matrix(name, size, kind)
        for gradient in np.random.default_rng(0).normal(size=(3, size)):
            solution = solve(matrix, gradient)
            assert np.isfinite(solution).all(), size
            assert np.sum(solution * gradient) > 0, size


def test_a_bad_pivot_does_not_affect_other_columns():
    [matrix], gradient, others = make_matrices(1, 8, np.float64), np.linspace(-1, 2, 8), np.arange(8) != 5
    matrix[5] = matrix[:, 5] = gradient[5] = 0
    actual = solve(matrix, gradient)
    expected = np.linalg.solve(matrix[np.ix_(others, others)], gradient[others])
    np.testing.assert_allclose(actual[others], expected, atol=1e-12)
    assert actual[5] == 0


@EACH_FLOAT_TYPE
@pytest.mark.parametrize("name", ["decaying eigenvalues", "nearly ones"])
def test_the_ridge_exceeds_the_rounding_error_of_nearly_singular_matrices(name, kind):
    # The error of a factorization is a few rounding errors of the largest diagonal entry (Higham 2002, theorem 10.3).
    # If the error exceeds the ridge, which is relative to the diagonal, pivots are replaced and the matrix changes.
    size = 300 if JIT_ENABLED else 40
    matrix = np.ones((size, size)) + 1e-4 * np.eye(size)
    if name == "decaying eigenvalues":
        basis = np.linalg.qr(np.random.default_rng(0).normal(size=(size, size)))[0]
        matrix = multiply_by_transpose(basis * np.logspace(0, -8, size))
    matrix, ridge = matrix.astype(kind), 1e-6 if kind == np.float32 else 1e-13
    factor = np.zeros((size, size))
    factor[np.triu_indices(size)] = factorize(matrix[None], ridge)[0]
    expected = matrix.astype(float) * (1 + ridge * np.eye(size))
    error = np.abs(factor.T @ factor - expected).max() / np.abs(expected).max()
    assert error < 32 * np.finfo(kind).eps
