"""Lots of logistic problems: their sums against NumPy, bits that depend on no other problem, and what they prove."""

import numpy as np
import pytest
from conftest import marked
from scipy import sparse
from scipy.special import expit

from fastlin.kernels.linear.dense_rows import LOT_COLUMNS
from fastlin.kernels.machine.threads import limit_threads
from fastlin.matrices import Codes, TableMatrix, as_matrix
from fastlin.objective import choose_coordinates
from fastlin.objective.lot import LEAST_TOGETHER, Lot, Problem, SharedRows, count_together


def make_rows(X, *, fit_intercept=True, factors=None, l2=0.01, n_together=16):
    """Return the SharedRows of X and the rows as they enter, dense."""
    matrix = X if isinstance(X, TableMatrix) else as_matrix(X)
    factors = np.ones(matrix.shape[1]) if factors is None else factors
    coordinates = choose_coordinates(matrix.measure(), l2, factors, fit_intercept)
    rows = SharedRows(matrix, coordinates, factors, fit_intercept, n_together)
    scaled = matrix.densify(slice(None)) * coordinates.scale + coordinates.shift
    scaled[:, coordinates.vanishing] = 0
    return rows, np.column_stack([scaled, np.full(len(scaled), float(fit_intercept))])


def draw_X(kind, n=300, d=6):
    generator = np.random.default_rng(0)
    X = generator.normal(size=(n, d)) + 3
    if kind == "sparse":
        return sparse.csr_array(X * (generator.random((n, d)) < 0.3))
    if kind == "one-hot":
        return sparse.csr_array(np.eye(d)[generator.integers(d, size=n)])
    if kind == "table":
        return TableMatrix([X[:, 0], Codes(generator.integers(0, 4, n).astype(np.int8), 4), X[:, 1]])
    if kind == "wide":
        # A pass works on some columns at a time.
        return generator.normal(size=(n, LOT_COLUMNS + d)).T.copy().T
    if kind == "uint8":
        return generator.integers(0, 255, (n, d)).astype(np.uint8)
    return X.astype(kind)


KINDS = ["float64", "float32", "uint8", "wide", "sparse", "one-hot", "table"]


def draw_problems(n, n_problems, seed=0, is_weighted=False):
    generator = np.random.default_rng(seed)
    for _ in range(n_problems):
        labels = (generator.random(n) < generator.uniform(0.05, 0.95)).astype(np.uint8)
        labels[:2] = 0, 1
        weights = generator.integers(0, 4, n).astype(float) if is_weighted else None
        if is_weighted:
            weights[:2] = 1
        yield Problem(labels, 10.0 ** generator.uniform(-4, 0), weights)


def fill_lot(rows, problems):
    lot = Lot(rows, len(problems), problems[0].weights is not None)
    return lot, np.array([lot.take(place, problem) for place, problem in enumerate(problems)])


@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_sums_are_those_of_numpy(kind, is_weighted):
    rows, X = make_rows(draw_X(kind))
    problems = list(draw_problems(rows.n_rows, 11, is_weighted=is_weighted))
    lot, starts = fill_lot(rows, problems)
    parameters = starts + 0.5 * np.random.default_rng(1).normal(size=starts.shape)
    points = lot.evaluate(parameters)
    for b, (labels, l2, weights, _) in enumerate(problems):
        s = np.ones(rows.n_rows) if weights is None else weights
        scores = X @ parameters[b]
        p = expit(scores)
        penalty = l2 * rows.units
        loss = np.average(np.logaddexp(0, scores) - labels * scores, weights=s)
        value = loss + 0.5 * np.sum(penalty * parameters[b] ** 2)
        gradient = X.T @ (s * (p - labels)) / s.sum() + penalty * parameters[b]
        gradient[:-1][rows.coordinates.vanishing] = (penalty * parameters[b])[:-1][rows.coordinates.vanishing]
        found = points.loss[b], points.value[b], points.curvature[b]
        np.testing.assert_allclose(found, [loss, value, np.average(p * (1 - p), weights=s)], rtol=1e-12)
        np.testing.assert_allclose(points.gradient[b], gradient, rtol=1e-10, atol=1e-13)


def test_a_problem_starts_where_its_intercept_alone_is_best():
    rows, _ = make_rows(draw_X("float64"))
    lot, starts = fill_lot(rows, list(draw_problems(rows.n_rows, 9, is_weighted=True)))
    points = lot.evaluate(starts)
    np.testing.assert_allclose(points.of_loss[:, -1], 0, atol=1e-14)
    np.testing.assert_allclose(points.value, lot.without_features, rtol=1e-13)


@pytest.mark.parametrize("kind", ["float64", "wide", "sparse", "table"])
def test_bits_depend_on_no_other_problem_and_on_no_thread(kind):
    rows, _ = make_rows(draw_X(kind, n=3000), n_together=24)
    problems = list(draw_problems(rows.n_rows, 24, is_weighted=True))
    lot, starts = fill_lot(rows, problems)
    whole = lot.evaluate(starts)
    for n_threads, places in [(1, [5]), (2, [3, 5, 20]), (1, [5, *range(6, 17)])]:
        part, own = fill_lot(rows, [problems[place] for place in places])
        with limit_threads(n_threads):
            points = part.evaluate(own)
        for of_part, of_whole in zip(points, whole, strict=True):
            np.testing.assert_array_equal(of_part, of_whole[places])
    lot.keep(np.array([5]))
    for kept, of_whole in zip(lot.evaluate(starts[[5]]), whole, strict=True):
        np.testing.assert_array_equal(kept, of_whole[[5]])


def minimize_exactly(X, problem, units):
    """Return J at the minimum, by Newton's steps in extended precision; units are the penalty at l2 = 1."""
    X, labels, penalty = X.astype(np.longdouble), problem.labels.astype(np.longdouble), problem.l2 * units
    s = np.ones(len(X)) if problem.weights is None else problem.weights
    s = (s / s.sum()).astype(np.longdouble)
    # Where there is no intercept, or a column vanishes, a parameter stays zero.
    free = X.any(axis=0)

    def evaluate(v):
        scores = X @ v
        return np.sum(s * (np.logaddexp(0, scores) - labels * scores)) + np.sum(penalty * v * v) / 2

    v = np.zeros(X.shape[1], np.longdouble)
    for _ in range(60):
        p = 1 / (1 + np.exp(-(X @ v)))
        gradient = X.T @ (s * (p - labels)) + penalty * v
        hessian = ((X * (s * p * (1 - p))[:, None]).T @ X + np.diag(penalty)).astype(float)
        step = np.zeros_like(v)
        step[free] = np.linalg.solve(hessian[np.ix_(free, free)], -gradient[free].astype(float))
        length, before = np.longdouble(1), evaluate(v)
        while evaluate(v + length * step) > before and length > 1e-6:
            length /= 2
        v = v + length * step
    return evaluate(v)


@pytest.mark.parametrize(
    ("first", "last"), [(0, 25), *marked(pytest.mark.thorough, (25, 300)), *marked(pytest.mark.slow, (300, 4000))]
)
def test_certificates_are_true_and_near_at_the_end(first, last):
    for seed in range(first, last):
        generator = np.random.default_rng(seed)
        n, d = generator.integers(5, 40), generator.integers(1, 5)
        X = generator.normal(size=(n, d)) * 10.0 ** generator.uniform(-2, 2, d) + 10.0 ** generator.uniform(-2, 2)
        fit_intercept, factors = bool(generator.integers(4)), 10.0 ** generator.uniform(-1, 1, d)
        rows, scaled = make_rows(X, fit_intercept=fit_intercept, factors=factors)
        (problem,) = draw_problems(n, 1, seed, is_weighted=bool(generator.integers(2)))
        lot, (start,) = fill_lot(rows, [problem])
        least = minimize_exactly(scaled, problem, rows.units)
        free = np.append(np.ones(d), fit_intercept)
        for size in (1.0, 1e-2, 1e-5):
            parameters = start + size * generator.normal(size=d + 1) * free
            points = lot.evaluate(parameters[None])
            s = np.ones(n) if problem.weights is None else problem.weights
            scores = scaled.astype(np.longdouble) @ parameters
            loss = np.average(np.logaddexp(0, scores) - problem.labels * scores, weights=s.astype(np.longdouble))
            excess = loss + np.sum(problem.l2 * rows.units * parameters**2) / 2 - least
            assert excess <= lot.certify(parameters[None], points)[0] * (1 + 1e-12) + 1e-18, f"seed {seed}"


def test_the_bound_is_of_second_order_in_the_slope_of_the_intercept():
    rows, _ = make_rows(draw_X("float64"))
    (problem,) = draw_problems(rows.n_rows, 1)
    lot, starts = fill_lot(rows, [problem._replace(l2=0.1)])
    bounds = []
    for distance in (1e-2, 1e-3):
        moved = starts + distance * (np.arange(rows.size) == rows.size - 1)
        points = lot.evaluate(moved)
        # Only what the intercept adds.
        points = points._replace(gradient=points.of_loss * (np.arange(rows.size) == rows.size - 1))
        bounds.append(lot.certify(moved, points)[0])
    assert bounds[0] / bounds[1] == pytest.approx(100, rel=0.1)


def test_a_lot_has_whole_groups_and_no_more_bytes_than_said():
    for n, d in [(10, 1), (1000, 20), (20_000, 768), (10_000_000, 5), (100, 100_000)]:
        n_together = count_together(n, d)
        assert n_together % LEAST_TOGETHER == 0
        assert n_together == LEAST_TOGETHER or n_together * 9 * n <= 1 << 26
