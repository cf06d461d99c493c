"""The pass of the logistic loss by rows alone, and sums by columns, against the naive oracle."""

import naive
import numpy as np
import pytest
from sparse_problem import NONE, SparseProblem, assert_close

from fastlin.kernels.linear import sparse_rows
from fastlin.kernels.linear.operands import Curvature, Kept, Losses, Samples
from fastlin.kernels.machine.threads import run_blocks

ROWS = {"all": NONE, "some": np.array([1, 4, 5, 20, 22]), "in another order": np.array([7, 3, 3, 0, 22, 15, 1])}


def make_problem(is_one=False, dtype=np.float64):
    """Return a problem of two classes whose columns enter as they are, and X as its kernels read it."""
    problem = SparseProblem(23, 11, 1, dtype)
    X = problem.rows
    if is_one:
        problem.dense = (problem.dense != 0).astype(float)
        X = X._replace(data=X.data[:0])
    return problem, X


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("is_one", [False, True])
def test_the_pass_and_its_hessian_agree_with_naive(is_one, rows):
    problem, X = make_problem(is_one)
    rows = ROWS[rows]
    taken = rows if len(rows) else np.arange(23)
    dense, labels, weights = problem.dense[taken], problem.labels[taken], problem.weights[taken]
    coef, intercept, m = problem.coef[0], float(problem.intercept[0]), len(taken)
    borders, losses, sums = np.array([0, m // 3, m]), np.full(2, np.nan), np.full((2, 12), np.nan)
    probabilities = np.full((1, m), np.nan)
    samples = Samples(rows, problem.labels, problem.weights)
    # Tiles smaller than a block.
    given = X, rows, borders, coef, intercept, 8, sums
    turn = Losses(samples, losses, Kept.of(probabilities)), None
    run_blocks(sparse_rows.fill_block_logistic_pass, 2, *given, *turn)
    loss, gradient, totals = naive.loss_and_gradient(dense, labels, weights, problem.coef, problem.intercept)
    p = 1 / (1 + np.exp(-(dense @ coef + intercept)))
    found = losses.sum(), sums.sum(axis=0)[:-1], sums.sum(axis=0)[-1], probabilities[0]
    assert_close(found, (loss, gradient[0], totals[0], p))
    direction, shift = np.cos(problem.coef), np.sin(problem.intercept)
    given = X, rows, borders, direction[0], float(shift[0]), 8, sums
    run_blocks(sparse_rows.fill_block_logistic_pass, 2, *given, None, Curvature(weights, probabilities))
    product, totals = naive.hessian_product(dense, weights, p[:, None], direction, shift)
    assert_close((sums.sum(axis=0)[:-1], sums.sum(axis=0)[-1]), (product[0], totals[0]))


@pytest.mark.parametrize("is_one", [False, True])
def test_sums_by_columns(is_one):
    problem, X = make_problem(is_one)
    borders, sums, squares = np.array([0, 9, 23]), np.full((2, 11, 4), np.nan), np.full((2, 11), np.nan)
    run_blocks(sparse_rows.fill_block_row_sums, 2, X, borders, sums)
    means = np.linspace(-1, 1, 11)
    run_blocks(sparse_rows.fill_block_row_squares, 2, X, borders, means, squares)
    for j in range(11):
        entries = problem.dense[:, j][problem.dense[:, j] != 0]
        expected = len(entries), entries.sum(), entries.min(initial=np.inf), entries.max(initial=-np.inf)
        found = *sums[:, j, :2].sum(axis=0), sums[:, j, 2].min(), sums[:, j, 3].max()
        np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-13)
        assert squares[:, j].sum() == pytest.approx(((entries - means[j]) ** 2).sum(), rel=1e-13)
