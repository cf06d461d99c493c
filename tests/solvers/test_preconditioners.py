"""Preconditioners, compared with matrices computed by NumPy."""

from types import SimpleNamespace

import numpy as np
import pytest
from conftest import COLUMN_KINDS, make_problem
from objectives import build_objective, evaluate, make_objective, replace_budget

from fastlin.solvers import preconditioners


def build_sampled_hessian(point):
    return preconditioners.factorize_sampled_hessian(preconditioners.sample_hessian_rows(point.objective), point)


BUILDERS = [
    preconditioners.diagonal,
    preconditioners.build_shared_block,
    preconditioners.build_class_blocks,
    build_sampled_hessian,
]


def make_newton_system(n, n_classes, l2=0.2, make_parameters=np.asarray):
    """Return an objective, its point at the result of `make_parameters`, and a random gradient."""
    objective, parameters = make_objective(n, 4, n_classes, l2=l2)
    gradient = np.random.default_rng(3).normal(size=parameters.shape)
    return objective, evaluate(objective, make_parameters(parameters)), gradient


@pytest.mark.parametrize("n_classes", [2, 3])
def test_class_blocks_equal_or_approximate_the_blocks_of_the_hessian(n_classes):
    for n in (20, 20_000):
        objective, point, gradient = make_newton_system(n, n_classes)
        n_passes, size = objective.n_passes, gradient.shape[1]
        actual = preconditioners.build_class_blocks(point).solve(gradient)
        assert n == 20 or objective.n_passes - n_passes < 0.1
        whole = preconditioners.build_class_blocks(point, sample_size_multiple=32).solve(gradient)
        blocks = np.diagonal(point.hessian().reshape(len(gradient), size, len(gradient), size), axis1=0, axis2=2)
        for k, (row, solved) in enumerate(zip(gradient, actual, strict=True)):
            expected = np.linalg.solve(blocks[..., k], row)
            if n == 20:
                np.testing.assert_allclose(solved, expected, rtol=1e-3, atol=1e-4)
            np.testing.assert_allclose(whole[k], expected, rtol=1e-3, atol=1e-4)
            assert np.sum(solved * row) / np.sum(expected * row) == pytest.approx(1, abs=0.8)


@pytest.mark.parametrize("build", BUILDERS)
def test_a_preconditioner_depends_only_on_its_point(build):
    objective, first, gradient = make_newton_system(60, 3)
    second = evaluate(objective, 5 * first.parameters)
    alone, actual, second_solution, again = (
        build(point).solve(gradient) for point in (make_newton_system(60, 3)[1], first, second, first)
    )
    np.testing.assert_array_equal(actual, alone)
    np.testing.assert_array_equal(again, alone)
    # The diagonal depends only on the class weights.
    assert build is preconditioners.diagonal or (second_solution != alone).any()


@pytest.mark.parametrize("n_classes", [2, 4])
def test_the_shared_block_and_the_diagonal_agree_with_numpy(n_classes):
    objective, start, gradient = make_newton_system(50, n_classes, make_parameters=np.zeros_like)
    scaled = objective.matrix.X * objective.coordinates.scale + objective.coordinates.shift
    rows, normalized_weights = (
        np.column_stack([scaled, np.ones(50)]),
        objective.rows.weights / objective.rows.total_weight,
    )
    covariance = rows.T @ ((normalized_weights * (n_classes - 1) / n_classes**2)[:, None] * rows)
    expected = np.linalg.solve(covariance + np.diag(objective.penalty.curvatures), gradient.T).T
    np.testing.assert_allclose(
        preconditioners.build_shared_block(start).solve(gradient), expected, rtol=1e-3, atol=1e-3
    )
    fractions = objective.class_weights[: len(gradient)]
    diagonal = np.outer(fractions * (1 - fractions), normalized_weights @ rows**2) + objective.penalty.curvatures
    np.testing.assert_allclose(preconditioners.diagonal(start).solve(gradient), gradient / diagonal, rtol=1e-6)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_hessian_solves_newtons_equations(n_classes):
    for l2 in (0.0, 0.1):
        # There are too few rows for a sample.
        objective, parameters = make_objective(20, 4, n_classes, l2=l2)
        # Over parameters that sum to zero over the classes, softmax has no flat direction.
        point = evaluate(objective, objective.center(parameters))
        step = build_sampled_hessian(point).solve(point.gradient)
        np.testing.assert_allclose(point.hessian() @ step.ravel(), point.gradient.ravel(), atol=1e-11)
        if n_classes > 2:
            np.testing.assert_allclose(step.sum(axis=0), 0, atol=1e-10)


def test_the_hessian_of_a_sample_approximates_that_of_all_rows():
    # A sample has four rows per parameter or, if it is more, 1/32 of the rows, if the budget allows.
    for n, kind, budget, n_sampled_rows in (
        (59, "weights", 10**9, 59),
        (1_000, "even", 10**9, 60),
        (3_200, "even", 10**9, 100),
        (3_200, "even", 9_600, 50),
        (3_200, "weights", 10**9, 100),
        (1_000, "rare value", 10**9, 60),
    ):
        X, labels, _, _, _ = make_problem(n, 4, 3)
        weights = np.where(np.arange(n) % 50 == 3, 100.0, 1.0) if kind == "weights" else None
        if kind == "rare value":
            X[:, 0] = np.arange(n) % 250 == 3
        objective = build_objective(X, labels, 3, weights=weights, l2=1e-5)
        parameters = objective.center(np.random.default_rng(1).normal(size=objective.shape))
        hessian = evaluate(objective, parameters).hessian()
        objective = replace_budget(objective, budget)
        sample = preconditioners.sample_hessian_rows(objective)
        if kind == "even" or sample is objective:
            assert sample.n_rows == n_sampled_rows
        else:
            # Rows with large weights or rare values are sampled at random. Weighted sums estimate those of all rows.
            assert abs(sample.n_rows - n_sampled_rows) <= 4 * np.sqrt(n_sampled_rows)
            assert sample.rows.total_weight == pytest.approx(objective.rows.total_weight, rel=0.5)
        preconditioner = build_sampled_hessian(evaluate(objective, parameters))
        columns = [preconditioner.solve(column.reshape(objective.shape)).ravel() for column in hessian]
        # Softmax is flat along equal changes of all classes.
        ratios = np.sort(np.linalg.eigvals(columns).real)[objective.shape[1] :]
        tolerance = 1e-9 if sample is objective else np.log(4)
        assert np.abs(np.log(ratios)).max() <= tolerance


@pytest.mark.parametrize("build", BUILDERS)
@pytest.mark.parametrize("columns", COLUMN_KINDS)
def test_solutions_are_finite_and_descend(build, columns):
    for l2 in (0.0, 1e-3):
        for n, n_classes, fit_intercept in [(40, 2, True), (40, 3, False), (4, 3, True), (4, 3, False)]:
            objective, parameters = make_objective(n, 6, n_classes, columns=columns, l2=l2, fit_intercept=fit_intercept)
            for start in (np.zeros_like(parameters), parameters, 30 * parameters):
                point = evaluate(objective, start)
                before = point.gradient.copy()
                solution = build(point).solve(point.gradient)
                np.testing.assert_array_equal(point.gradient, before)
                assert solution.shape == before.shape
                assert np.isfinite(solution).all()
                assert np.sum(solution * before) > 0


@pytest.mark.parametrize("name", ["build_class_blocks", "build_shared_block"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_without_memory_for_probabilities_the_blocks_come_from_a_sample(n_classes, name):
    build = getattr(preconditioners, name)
    objective, point, gradient = make_newton_system(500, n_classes, l2=0.1)
    expected = build(point).solve(gradient)
    narrow = replace_budget(objective, 16 * 120 * objective.bytes_per_row)
    assert not narrow.stores_probabilities
    n_passes = objective.n_passes
    actual = build(evaluate(narrow, point.parameters)).solve(gradient)
    # The passes are for the sample's probabilities and for the rows drawn from the sample.
    assert objective.n_passes - n_passes <= 1 + 120 / 500 + n_classes * 120 / 500
    ratios = np.sum(actual * gradient, axis=1) / np.sum(expected * gradient, axis=1)
    assert ((1 / 4 < ratios) & (ratios < 4)).all()


def test_sampling_probabilities_are_proportional_to_the_curvature():
    curvature = 0.25 * np.random.default_rng(0).uniform(size=1000) ** 20
    probability = preconditioners._find_sampling_probabilities(curvature, 100)
    assert probability.sum() == pytest.approx(100, rel=1e-9)
    has_probability_below_one = probability < 1
    np.testing.assert_allclose(
        (probability / curvature)[has_probability_below_one],
        (probability / curvature)[has_probability_below_one][0],
        rtol=1e-9,
    )
    assert (probability[curvature > curvature[has_probability_below_one].max()] == 1).all()
    sparse = np.where(np.arange(1000) < 50, curvature, 0.0)
    np.testing.assert_array_equal(preconditioners._find_sampling_probabilities(sparse, 100), sparse > 0)


def test_rows_are_sampled_in_proportion_to_their_curvature():
    curvature = np.repeat([0.25, 0.1, 0.01, 0.0], 5000)
    rows = SimpleNamespace(row_indices=np.empty(0, np.int64))
    for n_drawn in (500, 5000):
        generator, counts = np.random.default_rng(0), np.zeros(4)
        for _ in range(40):
            row_indices, weights, _ = preconditioners._sample_rows(
                SimpleNamespace(rows=rows), curvature, 1.0, n_drawn, generator
            )
            assert (np.diff(row_indices) > 0).all()
            np.testing.assert_allclose(weights, curvature.sum() / n_drawn, rtol=1e-12)
            counts += np.bincount(row_indices // 5000, minlength=4)
        expected = 40 * n_drawn * np.array([0.25, 0.1, 0.01, 0.0]) / 0.36
        assert (np.abs(counts - expected) <= 5 * np.sqrt(expected)).all()


@pytest.mark.parametrize("n_classes", [2, 3])
def test_blocks_equal_the_penalty_if_rows_have_no_curvature(n_classes):
    # Scores are so large that every probability is 0 or 1 in float64.
    saturate_scores = lambda parameters: np.pad([[5000.0]], ((0, len(parameters) - 1), (4, 0)))  # noqa: E731
    objective, point, gradient = make_newton_system(30, n_classes, l2=0.5, make_parameters=saturate_scores)
    assert not np.array(list(point.curvatures())).any()
    # A curvature of 1 replaces zero curvature.
    curvatures = np.append(objective.penalty.curvatures[:-1], 1.0)
    np.testing.assert_allclose(
        preconditioners.build_class_blocks(point).solve(gradient), gradient / curvatures, rtol=1e-4
    )


def test_systems_with_gradients_below_the_range_of_float32_are_solved():
    _, point, gradient = make_newton_system(30, 2, l2=0.5)
    solve = preconditioners.build_class_blocks(point).solve
    np.testing.assert_allclose(solve(1e-60 * gradient), 1e-60 * solve(gradient), rtol=1e-4)


def test_the_number_of_directions_counts_large_eigenvalues():
    orthogonal_matrix = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0]
    preconditioner = preconditioners.Preconditioner(1, 6, np.float64)
    for eigenvalues, n_effective_directions in [(np.full(6, 3.0), 6.0), ([2.0, 2.0, 1e-9, 1e-9, 1e-9, 1e-9], 2.0)]:
        matrix = orthogonal_matrix * eigenvalues @ orthogonal_matrix.T
        preconditioner.factorize(0, matrix[None])
        assert preconditioner.n_effective_directions == pytest.approx(n_effective_directions, rel=1e-6)
        np.testing.assert_allclose(preconditioner.compute_column_squares(), np.diagonal(matrix), rtol=1e-9)


@pytest.mark.parametrize("size", [1e-300, 1e-170, 1e170])
def test_the_number_of_directions_is_not_finite_if_squares_overflow(size):
    preconditioner = preconditioners.Preconditioner(1, 2, np.float64)
    with np.errstate(all="raise", under="ignore"):
        preconditioner.factorize(0, size * np.diag([1.0, 2.0])[None])
    assert not np.isfinite(preconditioner.n_effective_directions)
    np.testing.assert_allclose(size * preconditioner.solve(np.array([[1.0, 2.0]])), 1)
