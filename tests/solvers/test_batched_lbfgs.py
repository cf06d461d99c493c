"""Batched fits: minima agree with single fits for any batch, order and number of threads."""

import numpy as np
import pytest
from objectives import build_objective
from scipy import sparse
from scipy.special import expit

from fastlin.kernels.machine.threads import limit_threads
from fastlin.matrices import CategoricalColumn, TableMatrix, as_matrix
from fastlin.objective.coordinates import choose_coordinates
from fastlin.objective.problem_batch import BatchProblem, BatchRows
from fastlin.solvers import choose
from fastlin.solvers.batched_lbfgs import MAX_FACTORIZED_PARAMETERS, MAX_MODELS_PER_PROBLEM, minimize_problems

BATCH_TOL = 1e-6


def solve(
    X, problems, *, fit_intercept=True, reference=None, order=None, offsets=None, curvature=1.0, n_rows_coef=1, **to
):
    """Solve the problems in an order. Return {index: ProblemSolution}."""
    matrix, factors = as_matrix(X), np.ones(X.shape[1])
    coordinates = choose_coordinates(matrix.measure(), 1e-4, factors, fit_intercept)
    rows = BatchRows(matrix, coordinates, factors, fit_intercept, 16, offsets, n_rows_coef)
    order = np.arange(len(problems)) if order is None else order
    ratios = np.array([problems[number].l2 / curvature for number in order])
    requested_positions = []

    def get_problem(position):
        requested_positions.append(position)
        return problems[order[position]]

    to = {"tol": BATCH_TOL, "max_iter": 300, "has_l1": problems[0].l1 > 0} | to
    solutions = dict(minimize_problems(rows, get_problem, ratios, reference, **to))
    assert sorted(requested_positions) == list(range(len(problems)))
    return {int(order[position]): solution for position, solution in solutions.items()}


@pytest.mark.parametrize("kind", ["float64", "float32", "table"])
def test_softmax_minima_agree_with_single_fits(kind):
    generator = np.random.default_rng(0)
    X = generator.normal(size=(500, 4)) + 1
    labels = (X @ generator.normal(size=(4, 5)) + generator.gumbel(size=(500, 5))).argmax(axis=1)
    X = X.astype(np.float32) if kind == "float32" else X
    if kind == "table":
        X = TableMatrix([X[:, 0], CategoricalColumn((np.arange(500) % 3).astype(np.int8), 3), X[:, 1]])
    # Resamples start from the minimum over all rows. `solve` uses the coordinates of this penalty.
    objective = build_objective(X, labels.astype(np.int32), 5, l2=1e-4)
    best = choose.minimize(objective, solver="auto", tol=1e-9, max_iter=1000)
    point = objective.at(best.parameters, out=objective.make_probability_buffer())
    drawn = np.random.default_rng(0).multinomial(500, np.full(500, 1 / 500), 30).astype(float)
    resamples = [BatchProblem(labels, 1e-4, weights, best.parameters.ravel()) for weights in drawn]
    curvature = 0.5 * sum(np.mean(curvature) for curvature in point.curvatures())
    options = {"curvature": curvature, "reference": point.compute_loss_hessian() / curvature, "n_rows_coef": 5}
    solutions = solve(X, resamples, **options)
    with limit_threads(1):
        others = solve(X, resamples[:3], **options)
    assert np.mean([solution.n_iter for solution in solutions.values()]) < 20
    for number, solution in solutions.items():
        assert solution.converged
        assert solution.certificate <= BATCH_TOL * solution.value
        assert_agrees_with_single_fit(solution, X, resamples[number])
        # The parameters are centered over the classes.
        np.testing.assert_allclose(solution.parameters.reshape(5, -1).sum(axis=0), 0, atol=1e-6)
        if number in others:
            np.testing.assert_array_equal(solution.parameters, others[number].parameters)


def assert_agrees_with_single_fit(solution, X, problem, **objective_options):
    """Assert that J equals that of a single fit, up to both certificates."""
    labels, l2, weights, _, l1 = problem
    options = {"weights": weights, "l2": l2, "l1": l1} | objective_options
    objective = build_objective(X, labels.astype(np.int32), int(labels.max()) + 1, **options)
    alone = choose.minimize(objective, solver="auto", tol=1e-9, max_iter=1000)
    assert -alone.certificate - 1e-13 <= solution.value - alone.value <= solution.certificate + 1e-13


def sample_problems(X, n_problems, seed=0, is_weighted=False, l1_ratio=0.0):
    """Return problems with different penalties. The labels depend on the columns, and some labels are rare."""
    generator = np.random.default_rng(seed)
    n, d = X.shape
    problems = []
    for fraction in np.linspace(0.02, 0.5, n_problems):
        scores = X @ generator.normal(size=d) / np.sqrt(d)
        scores = 2 * scores / scores.std() + generator.logistic(size=n)
        labels = (scores > np.quantile(scores, 1 - fraction)).astype(np.uint8)
        weights = generator.integers(1, 4, n).astype(float) if is_weighted else None
        strength = 10.0 ** generator.uniform(-4, 0)
        problems.append(BatchProblem(labels, (1 - l1_ratio) * strength, weights, l1=l1_ratio * strength))
    return problems


@pytest.mark.parametrize(
    ("kind", "n_problems", "l1_ratio", "is_weighted"),
    [
        *(("dense", 40, 0.0, is_weighted) for is_weighted in (False, True)),
        *(("sparse", 40, 0.0, is_weighted) for is_weighted in (False, True)),
        *(("sparse in blocks", 8, 0.0, is_weighted) for is_weighted in (False, True)),
        ("dense", 40, 0.5, False),
        ("dense", 40, 1.0, True),
        ("sparse", 40, 1.0, False),
    ],
)
def test_minima_agree_with_single_fits(kind, n_problems, l1_ratio, is_weighted):
    X = np.random.default_rng(1).normal(size=(400, 8)) + 1
    if kind != "dense":
        n_rows = 30_000 if kind == "sparse in blocks" else 400
        X = sparse.random_array((n_rows, 30), density=0.1, rng=1, format="csr")
    problems = sample_problems(X, n_problems, is_weighted=is_weighted, l1_ratio=l1_ratio)
    offsets = np.random.default_rng(2).normal(size=(X.shape[0], 1))
    for fit_intercept, row_offsets in ((True, None), (False, None), (True, offsets), (False, offsets)):
        solutions = solve(X, problems, fit_intercept=fit_intercept, offsets=row_offsets)
        assert all(
            solution.certificate <= BATCH_TOL * solution.value for solution in solutions.values() if solution.converged
        )
        # Problems in which few rows have curvature do not converge without a separate Hessian.
        n_iters = [solution.n_iter for solution in solutions.values() if not solution.converged]
        assert n_iters == ([MAX_MODELS_PER_PROBLEM] * len(n_iters) if l1_ratio else [])
        assert len(n_iters) <= 0.3 * n_problems
        for number in (i for i in range(0, n_problems, 7) if solutions[i].converged):
            assert_agrees_with_single_fit(
                solutions[number], X, problems[number], fit_intercept=fit_intercept, offsets=row_offsets
            )
        # With an L1 penalty, many coefficients are exactly zero.
        parameters = np.array([solution.parameters for solution in solutions.values()])
        assert (l1_ratio > 0) == (np.mean(parameters[:, :-1] == 0) > 0.1)


def test_results_do_not_depend_on_order_batch_or_threads():
    X = np.random.default_rng(1).normal(size=(3000, 70))
    order = np.random.default_rng(2).permutation(30)
    for l1 in (0.0, 1e-3):
        # Problems with the same penalty strength use the same factor.
        problems = [problem._replace(l2=0.0 if l1 else 1e-3, l1=l1) for problem in sample_problems(X, 30)]
        expected = solve(X, problems)
        with limit_threads(1):
            others = {**solve(X, problems, order=order), **solve(X, problems[:3])}
        for number, solution in others.items():
            np.testing.assert_array_equal(solution.parameters, expected[number].parameters)
            assert solution[2:] == expected[number][2:]


def test_a_good_start_takes_fewer_iterations():
    X = np.random.default_rng(1).normal(size=(2000, 10))
    problem = sample_problems(X, 1)[0]._replace(l2=1e-3)
    (first,) = solve(X, [problem]).values()
    drawn = np.random.default_rng(0).multinomial(2000, np.full(2000, 1 / 2000), 20).astype(float)
    resampled = [problem._replace(weights=weights) for weights in drawn]
    coordinates = choose_coordinates(as_matrix(X).measure(), 1e-4, np.ones(10), True)
    coef, intercept = coordinates.convert_to_coefficients(first.parameters[None])
    p = expit(X @ coef[0] + intercept)
    far = solve(X, resampled)
    near = solve(
        X,
        [resampled_problem._replace(start=first.parameters) for resampled_problem in resampled],
        reference=p * (1 - p),
    )
    assert sum(solution.n_iter for solution in near.values()) < 0.7 * sum(solution.n_iter for solution in far.values())
    for number, solution in near.items():
        assert abs(solution.value - far[number].value) <= 2 * BATCH_TOL * solution.value
    (again,) = solve(X, [problem._replace(start=first.parameters)]).values()
    assert (again.n_iter, again.converged) == (0, True)


def test_fits_that_do_not_converge_are_marked():
    X = np.random.default_rng(1).normal(size=(200, 5))
    problems = sample_problems(X, 20)
    stopped = solve(X, problems, tol=1e-12, max_iter=1)
    assert {(solution.n_iter, solution.converged) for solution in stopped.values()} == {(1, False)}
    # A point whose scores overflow is not a minimum.
    with np.errstate(over="ignore", invalid="ignore"):
        (lost,) = solve(X, [problems[0]._replace(start=np.full(6, 1e308))]).values()
    assert (lost.certificate, lost.converged) == (np.inf, False)


def test_many_columns_are_preconditioned_by_their_variances():
    generator = np.random.default_rng(0)
    X = sparse.random_array((300, MAX_FACTORIZED_PARAMETERS + 10), density=0.01, rng=generator, format="csr")
    problems = [problem._replace(l2=1e-2) for problem in sample_problems(X, 10)]
    solutions = solve(X, problems)
    assert all(
        solution.converged and solution.certificate <= BATCH_TOL * solution.value for solution in solutions.values()
    )
    assert_agrees_with_single_fit(solutions[3], X, problems[3])
