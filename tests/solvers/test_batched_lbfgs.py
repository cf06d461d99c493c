"""Solving problems in batches: the minima of single fits, whatever the batch, its order and the threads."""

import numpy as np
import pytest
from objectives import objective_over
from scipy import sparse
from scipy.special import expit

from fastlin.kernels.machine.threads import limit_threads
from fastlin.matrices import Codes, TableMatrix, as_matrix
from fastlin.objective.coordinates import choose_coordinates
from fastlin.objective.problem_batch import SharedRows, Variant
from fastlin.solvers import choose
from fastlin.solvers.batched_lbfgs import MAX_FACTORS, MAX_MODELS, minimize_all

TOL = 1e-6


def solve(
    X, problems, *, fit_intercept=True, reference=None, order=None, offsets=None, curvature=1.0, n_rows_coef=1, **to
):
    """Return what was Found of each problem, posed in an order, by its number."""
    matrix, factors = as_matrix(X), np.ones(X.shape[1])
    coordinates = choose_coordinates(matrix.measure(), 1e-4, factors, fit_intercept)
    rows = SharedRows(matrix, coordinates, factors, fit_intercept, 16, offsets, n_rows_coef)
    order = np.arange(len(problems)) if order is None else order
    ratios = np.array([problems[number].l2 / curvature for number in order])
    posed = []

    def pose(place):
        posed.append(place)
        return problems[order[place]]

    to = {"tol": TOL, "max_iter": 300, "has_l1": problems[0].l1 > 0} | to
    found = dict(minimize_all(rows, pose, ratios, reference, **to))
    assert sorted(posed) == list(range(len(problems)))
    return {int(order[place]): each for place, each in found.items()}


@pytest.mark.parametrize("kind", ["float64", "float32", "table"])
def test_softmax_minima_are_those_of_single_fits(kind):
    generator = np.random.default_rng(0)
    X = generator.normal(size=(500, 4)) + 1
    labels = (X @ generator.normal(size=(4, 5)) + generator.gumbel(size=(500, 5))).argmax(axis=1)
    X = X.astype(np.float32) if kind == "float32" else X
    if kind == "table":
        X = TableMatrix([X[:, 0], Codes((np.arange(500) % 3).astype(np.int8), 3), X[:, 1]])
    # Resamples start at the minimum of all rows. `solve` has the coordinates of this penalty.
    objective = objective_over(X, labels.astype(np.int32), 5, l2=1e-4)
    best = choose.minimize(objective, solver="auto", tol=1e-9, max_iter=1000)
    point = objective.at(best.parameters, out=objective.make_buffer())
    drawn = np.random.default_rng(0).multinomial(500, np.full(500, 1 / 500), 30).astype(float)
    resamples = [Variant(labels, 1e-4, weights, best.parameters.ravel()) for weights in drawn]
    curvature = 0.5 * sum(np.mean(each) for each in point.curvatures())
    given = {"curvature": curvature, "reference": point.hessian_of_loss() / curvature, "n_rows_coef": 5}
    found = solve(X, resamples, **given)
    with limit_threads(1):
        others = solve(X, resamples[:3], **given)
    assert np.mean([each.n_iter for each in found.values()]) < 20
    for number, each in found.items():
        assert each.converged
        assert each.certificate <= TOL * each.value
        assert_near_alone(each, X, resamples[number])
        # Equal parameters of all classes are of no use.
        np.testing.assert_allclose(each.parameters.reshape(5, -1).sum(axis=0), 0, atol=1e-6)
        if number in others:
            np.testing.assert_array_equal(each.parameters, others[number].parameters)


def assert_near_alone(found, X, problem, **choices):
    """Fail where J of what was found is not that of a single fit, up to both certificates."""
    labels, l2, weights, _, l1 = problem
    options = {"weights": weights, "l2": l2, "l1": l1} | choices
    objective = objective_over(X, labels.astype(np.int32), int(labels.max()) + 1, **options)
    alone = choose.minimize(objective, solver="auto", tol=1e-9, max_iter=1000)
    assert -alone.certificate - 1e-13 <= found.value - alone.value <= found.certificate + 1e-13


def draw_problems(X, n_problems, seed=0, is_weighted=False, l1_ratio=0.0):
    """Return problems of labels that the columns tell something of, rare ones too, and of many strengths."""
    generator = np.random.default_rng(seed)
    n, d = X.shape
    problems = []
    for fraction in np.linspace(0.02, 0.5, n_problems):
        scores = X @ generator.normal(size=d) / np.sqrt(d)
        scores = 2 * scores / scores.std() + generator.logistic(size=n)
        labels = (scores > np.quantile(scores, 1 - fraction)).astype(np.uint8)
        weights = generator.integers(1, 4, n).astype(float) if is_weighted else None
        strength = 10.0 ** generator.uniform(-4, 0)
        problems.append(Variant(labels, (1 - l1_ratio) * strength, weights, l1=l1_ratio * strength))
    return problems


@pytest.mark.parametrize(
    ("kind", "n_problems", "l1_ratio", "is_weighted"),
    [
        *(("dense", 40, 0.0, each) for each in (False, True)),
        *(("sparse", 40, 0.0, each) for each in (False, True)),
        *(("sparse in parts", 8, 0.0, each) for each in (False, True)),
        ("dense", 40, 0.5, False),
        ("dense", 40, 1.0, True),
        ("sparse", 40, 1.0, False),
    ],
)
def test_minima_are_those_of_single_fits(kind, n_problems, l1_ratio, is_weighted):
    X = np.random.default_rng(1).normal(size=(400, 8)) + 1
    if kind != "dense":
        n_rows = 30_000 if kind == "sparse in parts" else 400
        X = sparse.random_array((n_rows, 30), density=0.1, rng=1, format="csr")
    problems = draw_problems(X, n_problems, is_weighted=is_weighted, l1_ratio=l1_ratio)
    offsets = np.random.default_rng(2).normal(size=(X.shape[0], 1))
    for fit_intercept, given in ((True, None), (False, None), (True, offsets), (False, offsets)):
        found = solve(X, problems, fit_intercept=fit_intercept, offsets=given)
        assert all(each.certificate <= TOL * each.value for each in found.values() if each.converged)
        # What few rows have a curvature for is left to a Hessian of its own.
        left = [each.n_iter for each in found.values() if not each.converged]
        assert left == ([MAX_MODELS] * len(left) if l1_ratio else [])
        assert len(left) <= 0.3 * n_problems
        for number in (each for each in range(0, n_problems, 7) if found[each].converged):
            assert_near_alone(found[number], X, problems[number], fit_intercept=fit_intercept, offsets=given)
        # With an L1 penalty many coefficients are zero, and not nearly.
        parameters = np.array([each.parameters for each in found.values()])
        assert (l1_ratio > 0) == (np.mean(parameters[:, :-1] == 0) > 0.1)


def test_bits_depend_neither_on_the_order_nor_on_the_lot_nor_on_threads():
    X = np.random.default_rng(1).normal(size=(3000, 70))
    order = np.random.default_rng(2).permutation(30)
    for l1 in (0.0, 1e-3):
        # A factor serves problems of one strength.
        problems = [problem._replace(l2=0.0 if l1 else 1e-3, l1=l1) for problem in draw_problems(X, 30)]
        expected = solve(X, problems)
        with limit_threads(1):
            others = {**solve(X, problems, order=order), **solve(X, problems[:3])}
        for number, found in others.items():
            np.testing.assert_array_equal(found.parameters, expected[number].parameters)
            assert found[2:] == expected[number][2:]


def test_a_start_and_a_hessian_near_the_minimum_take_fewer_iterations():
    X = np.random.default_rng(1).normal(size=(2000, 10))
    problem = draw_problems(X, 1)[0]._replace(l2=1e-3)
    (first,) = solve(X, [problem]).values()
    drawn = np.random.default_rng(0).multinomial(2000, np.full(2000, 1 / 2000), 20).astype(float)
    resampled = [problem._replace(weights=weights) for weights in drawn]
    coordinates = choose_coordinates(as_matrix(X).measure(), 1e-4, np.ones(10), True)
    coef, intercept = coordinates.to_coefficients(first.parameters[None])
    p = expit(X @ coef[0] + intercept)
    far = solve(X, resampled)
    near = solve(X, [each._replace(start=first.parameters) for each in resampled], reference=p * (1 - p))
    assert sum(each.n_iter for each in near.values()) < 0.7 * sum(each.n_iter for each in far.values())
    for number, each in near.items():
        assert abs(each.value - far[number].value) <= 2 * TOL * each.value
    (again,) = solve(X, [problem._replace(start=first.parameters)]).values()
    assert (again.n_iter, again.converged) == (0, True)


def test_what_does_not_end_says_so():
    X = np.random.default_rng(1).normal(size=(200, 5))
    problems = draw_problems(X, 20)
    stopped = solve(X, problems, tol=1e-12, max_iter=1)
    assert {(each.n_iter, each.converged) for each in stopped.values()} == {(1, False)}
    # Scores that overflow are no minimum.
    with np.errstate(over="ignore", invalid="ignore"):
        (lost,) = solve(X, [problems[0]._replace(start=np.full(6, 1e308))]).values()
    assert (lost.certificate, lost.converged) == (np.inf, False)


def test_many_columns_are_preconditioned_by_their_variances():
    generator = np.random.default_rng(0)
    X = sparse.random_array((300, MAX_FACTORS + 10), density=0.01, rng=generator, format="csr")
    problems = [problem._replace(l2=1e-2) for problem in draw_problems(X, 10)]
    found = solve(X, problems)
    assert all(each.converged and each.certificate <= TOL * each.value for each in found.values())
    assert_near_alone(found[3], X, problems[3])
