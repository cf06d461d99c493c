"""Preconditioners against the matrices that NumPy builds for them."""

from types import SimpleNamespace

import numpy as np
import pytest
from conftest import COLUMNS
from objectives import evaluate, make_objective, with_budget

from fastlin.solvers import preconditioners

ALL = ["diagonal", "shared_block", "class_blocks", "sampled_hessian"]


def make_system(n, n_classes, l2=0.2, make_slot=np.asarray):
    """Return an objective, the point at a place made of parameters, and a gradient."""
    objective, parameters = make_objective(n, 4, n_classes, l2=l2)
    gradient = np.random.default_rng(3).normal(size=parameters.shape)
    return objective, evaluate(objective, make_slot(parameters)), gradient


@pytest.mark.parametrize("n_classes", [2, 3])
def test_class_blocks_are_the_blocks_of_the_hessian_or_stand_for_them_where_rows_are_drawn(n_classes):
    for n in (20, 20_000):
        objective, point, gradient = make_system(n, n_classes)
        n_passes, size = objective.n_passes, gradient.shape[1]
        found = preconditioners.class_blocks(point).solve(gradient)
        assert n == 20 or objective.n_passes - n_passes < 0.1
        whole = preconditioners.class_blocks(point, n_times=32).solve(gradient)
        blocks = np.diagonal(point.hessian().reshape(len(gradient), size, len(gradient), size), axis1=0, axis2=2)
        for k, (row, solved) in enumerate(zip(gradient, found, strict=True)):
            expected = np.linalg.solve(blocks[..., k], row)
            if n == 20:
                np.testing.assert_allclose(solved, expected, rtol=1e-3, atol=1e-4)
            np.testing.assert_allclose(whole[k], expected, rtol=1e-3, atol=1e-4)
            assert np.sum(solved * row) / np.sum(expected * row) == pytest.approx(1, abs=0.8)


@pytest.mark.parametrize("name", ALL)
def test_a_preconditioner_is_that_of_the_point_which_is_asked(name):
    build = getattr(preconditioners, name)
    objective, first, gradient = make_system(60, 3)
    second = evaluate(objective, 5 * first.parameters)
    alone, found, elsewhere, again = (
        build(point).solve(gradient) for point in (make_system(60, 3)[1], first, second, first)
    )
    np.testing.assert_array_equal(found, alone)
    np.testing.assert_array_equal(again, alone)
    # The diagonal knows the class weights alone.
    assert name == "diagonal" or (elsewhere != alone).any()


@pytest.mark.parametrize("n_classes", [2, 4])
def test_the_shared_block_and_the_diagonal_are_those_of_numpy(n_classes):
    objective, start, gradient = make_system(50, n_classes, make_slot=np.zeros_like)
    scaled = objective.matrix.X * objective.coordinates.scale + objective.coordinates.shift
    rows, parts = np.column_stack([scaled, np.ones(50)]), objective.rows.weights / objective.rows.total_weight
    covariance = rows.T @ ((parts * (n_classes - 1) / n_classes**2)[:, None] * rows)
    expected = np.linalg.solve(covariance + np.diag(objective.penalty.curvatures), gradient.T).T
    np.testing.assert_allclose(preconditioners.shared_block(start).solve(gradient), expected, rtol=1e-3, atol=1e-3)
    fractions = objective.class_weights[: len(gradient)]
    diagonal = np.outer(fractions * (1 - fractions), parts @ rows**2) + objective.penalty.curvatures
    np.testing.assert_allclose(preconditioners.diagonal(start).solve(gradient), gradient / diagonal, rtol=1e-6)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_hessian_solves_newtons_equations_on_gradients(n_classes):
    for l2 in (0.0, 0.1):
        # There are too few rows to leave some out.
        objective, parameters = make_objective(20, 4, n_classes, l2=l2)
        # At sums of zero over the classes softmax is not flat.
        point = evaluate(objective, objective.center(parameters))
        step = preconditioners.sampled_hessian(point).solve(point.gradient)
        np.testing.assert_allclose(point.hessian() @ step.ravel(), point.gradient.ravel(), atol=1e-11)
        if n_classes > 2:
            np.testing.assert_allclose(step.sum(axis=0), 0, atol=1e-10)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("columns", COLUMNS)
def test_solutions_are_finite_and_descend(name, columns):
    for l2 in (0.0, 1e-3):
        for n, n_classes, fit_intercept in [(40, 2, True), (40, 3, False), (4, 3, True), (4, 3, False)]:
            objective, parameters = make_objective(n, 6, n_classes, columns=columns, l2=l2, fit_intercept=fit_intercept)
            for place in (np.zeros_like(parameters), parameters, 30 * parameters):
                point = evaluate(objective, place)
                before = point.gradient.copy()
                solution = getattr(preconditioners, name)(point).solve(point.gradient)
                np.testing.assert_array_equal(point.gradient, before)
                assert solution.shape == before.shape
                assert np.isfinite(solution).all()
                assert np.sum(solution * before) > 0


@pytest.mark.parametrize("name", ["class_blocks", "shared_block"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_without_room_for_probabilities_the_blocks_come_from_a_sample(n_classes, name):
    build = getattr(preconditioners, name)
    objective, point, gradient = make_system(500, n_classes, l2=0.1)
    expected = build(point).solve(gradient)
    narrow = with_budget(objective, 16 * 120 * objective.bytes_a_row)
    assert not narrow.keeps_probabilities
    n_passes = objective.n_passes
    found = build(evaluate(narrow, point.parameters)).solve(gradient)
    # Of the sample there are its probabilities, and the rows that are drawn from it.
    assert objective.n_passes - n_passes <= 1 + 120 / 500 + n_classes * 120 / 500
    ratios = np.sum(found * gradient, axis=1) / np.sum(expected * gradient, axis=1)
    assert ((1 / 4 < ratios) & (ratios < 4)).all()


def test_chances_add_up_to_the_number_drawn_and_follow_the_curvature():
    curvature = 0.25 * np.random.default_rng(0).uniform(size=1000) ** 20
    chance = preconditioners._chances(curvature, 100)
    assert chance.sum() == pytest.approx(100, rel=1e-9)
    uncertain = chance < 1
    np.testing.assert_allclose((chance / curvature)[uncertain], (chance / curvature)[uncertain][0], rtol=1e-9)
    assert (chance[curvature > curvature[uncertain].max()] == 1).all()
    sparse = np.where(np.arange(1000) < 50, curvature, 0.0)
    np.testing.assert_array_equal(preconditioners._chances(sparse, 100), sparse > 0)


def test_rows_are_drawn_as_often_as_their_curvature_says_however_few_are_drawn():
    curvature = np.repeat([0.25, 0.1, 0.01, 0.0], 5000)
    rows = SimpleNamespace(influence=1.0, numbers=np.empty(0, np.int64))
    for n_drawn in (500, 5000):
        generator, counts = np.random.default_rng(0), np.zeros(4)
        for _ in range(40):
            numbers, weights, _ = preconditioners._draw(SimpleNamespace(rows=rows), curvature, n_drawn, generator)
            assert (np.diff(numbers) > 0).all()
            np.testing.assert_allclose(weights[0], curvature.sum() / n_drawn, rtol=1e-12)
            counts += np.bincount(numbers // 5000, minlength=4)
        expected = 40 * n_drawn * np.array([0.25, 0.1, 0.01, 0.0]) / 0.36
        assert (np.abs(counts - expected) <= 5 * np.sqrt(expected)).all()


@pytest.mark.parametrize("n_classes", [2, 3])
def test_where_no_row_has_curvature_the_blocks_are_the_penalty(n_classes):
    # Scores so large that every probability is 0 or 1 in float64.
    saturate = lambda parameters: np.pad([[5000.0]], ((0, len(parameters) - 1), (4, 0)))  # noqa: E731
    objective, point, gradient = make_system(30, n_classes, l2=0.5, make_slot=saturate)
    assert not np.array(list(point.curvatures())).any()
    # Where nothing has a curvature, any number will do.
    curvatures = np.append(objective.penalty.curvatures[:-1], 1.0)
    np.testing.assert_allclose(preconditioners.class_blocks(point).solve(gradient), gradient / curvatures, rtol=1e-4)


def test_a_gradient_below_the_range_of_float32_is_still_solved():
    _, point, gradient = make_system(30, 2, l2=0.5)
    solve = preconditioners.class_blocks(point).solve
    np.testing.assert_allclose(solve(1e-60 * gradient), 1e-60 * solve(gradient), rtol=1e-4)


def test_directions_are_counted_by_the_spread_of_the_eigenvalues_and_columns_of_the_factor_squared():
    orthogonal = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0]
    preconditioner = preconditioners.Preconditioner(1, 6, np.float64)
    for eigenvalues, n_directions in [(np.full(6, 3.0), 6.0), ([2.0, 2.0, 1e-9, 1e-9, 1e-9, 1e-9], 2.0)]:
        matrix = orthogonal * eigenvalues @ orthogonal.T
        preconditioner.factorize(0, matrix[None])
        assert preconditioner.n_directions == pytest.approx(n_directions, rel=1e-6)
        np.testing.assert_allclose(preconditioner.square_columns(), np.diagonal(matrix), rtol=1e-9)


@pytest.mark.parametrize("size", [1e-300, 1e-170, 1e170])
def test_directions_of_squares_beyond_float64_are_not_counted(size):
    preconditioner = preconditioners.Preconditioner(1, 2, np.float64)
    with np.errstate(all="raise", under="ignore"):
        preconditioner.factorize(0, size * np.diag([1.0, 2.0])[None])
    assert not np.isfinite(preconditioner.n_directions)
    np.testing.assert_allclose(size * preconditioner.solve(np.array([[1.0, 2.0]])), 1)
