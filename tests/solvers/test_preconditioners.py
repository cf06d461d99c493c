"""Preconditioners against the matrices that NumPy builds for them."""

from types import SimpleNamespace

import numpy as np
import pytest
from conftest import COLUMNS, evaluate, make_objective, with_budget

from fastlin.solvers import preconditioners

ALL = ["diagonal", "shared_block", "class_blocks", "sampled_hessian", "hessian"]


def build(name, objective, parameters):
    return getattr(preconditioners, name)(evaluate(objective, parameters))


def draw_gradient(parameters):
    return np.random.default_rng(3).normal(size=parameters.shape)


def scaled_rows(objective):
    scaled = objective.matrix.X * objective.coordinates.scale + objective.coordinates.shift
    return np.column_stack([scaled, np.ones(len(scaled))])


def blocks_of_hessian(point):
    """Yield the block of each class on the diagonal of the Hessian."""
    hessian, size = point.hessian(), point.parameters.shape[1]
    for k in range(len(point.parameters)):
        yield hessian[k * size : (k + 1) * size, k * size : (k + 1) * size]


@pytest.mark.parametrize("n_classes", [2, 3])
def test_class_blocks_are_the_blocks_of_the_hessian_where_every_row_is_taken(n_classes):
    objective, parameters = make_objective(20, 4, n_classes, l2=0.2)
    gradient, point = draw_gradient(parameters), evaluate(objective, parameters)
    found = preconditioners.class_blocks(point).solve(gradient)
    for row, solved, block in zip(gradient, found, blocks_of_hessian(point), strict=True):
        np.testing.assert_allclose(solved, np.linalg.solve(block, row), rtol=1e-3, atol=1e-4)


def test_drawn_rows_stand_for_all_of_them():
    objective, parameters = make_objective(20_000, 4, 3, l2=0.01)
    gradient, point = draw_gradient(parameters), evaluate(objective, parameters)
    n_passes = objective.n_passes
    found = preconditioners.class_blocks(point).solve(gradient)
    assert objective.n_passes - n_passes < 0.1
    for row, solved, block in zip(gradient, found, blocks_of_hessian(point), strict=True):
        expected = np.linalg.solve(block, row)
        assert np.sum(solved * row) / np.sum(expected * row) == pytest.approx(1, abs=0.8)


def test_a_preconditioner_is_that_of_the_point_which_is_asked():
    objective, parameters = make_objective(60, 4, 3, l2=0.2)
    gradient = draw_gradient(parameters)
    first, second = evaluate(objective, parameters), evaluate(objective, 5 * parameters)
    for name in ALL:
        alone = build(name, make_objective(60, 4, 3, l2=0.2)[0], parameters).solve(gradient)
        np.testing.assert_array_equal(getattr(preconditioners, name)(first).solve(gradient), alone)
        elsewhere = getattr(preconditioners, name)(second).solve(gradient)
        # The diagonal knows the class weights alone.
        assert name == "diagonal" or (elsewhere != alone).any()
        np.testing.assert_array_equal(getattr(preconditioners, name)(first).solve(gradient), alone)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_the_shared_block_is_the_covariance_at_equal_probabilities(n_classes):
    objective, parameters = make_objective(50, 4, n_classes, l2=0.2)
    gradient = draw_gradient(parameters)
    found = build("shared_block", objective, 0 * parameters).solve(gradient)
    rows, share = scaled_rows(objective), 1 / n_classes
    weights = objective.rows.weights / objective.rows.total_weight * share * (1 - share)
    block = rows.T @ (weights[:, None] * rows) + np.diag(objective.penalty.curvatures)
    np.testing.assert_allclose(found, np.linalg.solve(block, gradient.T).T, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_the_diagonal_is_the_variance_times_the_curvature_of_the_class_shares(n_classes):
    objective, parameters = make_objective(50, 4, n_classes, l2=0.2)
    found = build("diagonal", objective, parameters).solve(np.ones_like(parameters))
    shares = objective.class_weights[: len(parameters)]
    mean_squares = np.average(scaled_rows(objective) ** 2, axis=0, weights=objective.rows.weights)
    expected = 1 / (np.outer(shares * (1 - shares), mean_squares) + objective.penalty.curvatures)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["hessian", "sampled_hessian"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_hessian_solves_newtons_equations_on_gradients(n_classes, name):
    for l2 in (0.0, 0.1):
        # There are too few rows to leave some out.
        objective, parameters = make_objective(20, 4, n_classes, l2=l2)
        # At sums of zero over the classes softmax is not flat.
        point = evaluate(objective, objective.center(parameters))
        step = getattr(preconditioners, name)(point).solve(point.gradient)
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
    objective, parameters = make_objective(500, 4, n_classes, l2=0.1)
    gradient = draw_gradient(parameters)
    expected = build(name, objective, parameters).solve(gradient)
    narrow = with_budget(objective, 16 * 120 * objective.bytes_a_row)
    assert not narrow.keeps_probabilities
    n_passes = objective.n_passes
    found = build(name, narrow, parameters).solve(gradient)
    # Of the sample there are its probabilities, and the rows that are drawn from it.
    assert objective.n_passes - n_passes <= 1 + 120 / 500 + n_classes * 120 / 500
    for k in range(len(parameters)):
        assert 1 / 4 < np.sum(found[k] * gradient[k]) / np.sum(expected[k] * gradient[k]) < 4


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
    objective, parameters = make_objective(30, 4, n_classes, l2=0.5)
    # Scores so large that every probability is 0 or 1 in float64.
    saturated = np.zeros_like(parameters)
    saturated[0, -1] = 5000.0
    gradient = draw_gradient(parameters)
    point = evaluate(objective, saturated)
    found = preconditioners.class_blocks(point).solve(gradient)
    assert not np.array(list(point.curvatures())).any()
    np.testing.assert_allclose(found[:, :-1], (gradient / objective.penalty.curvatures.clip(1e-300))[:, :-1], rtol=1e-4)
    np.testing.assert_allclose(found[:, -1], gradient[:, -1], rtol=1e-4)


def test_a_gradient_below_the_range_of_float32_is_still_solved():
    objective, parameters = make_objective(30, 4, 2, l2=0.5)
    gradient = draw_gradient(parameters)
    preconditioner = build("class_blocks", objective, parameters)
    np.testing.assert_allclose(
        preconditioner.solve(1e-60 * gradient), 1e-60 * preconditioner.solve(gradient), rtol=1e-4
    )


def test_directions_are_counted_by_the_spread_of_the_eigenvalues():
    orthogonal = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0]
    preconditioner = preconditioners.Preconditioner(1, 6, np.float64)
    for eigenvalues, n_directions in [(np.full(6, 3.0), 6.0), ([2.0, 2.0, 1e-9, 1e-9, 1e-9, 1e-9], 2.0)]:
        preconditioner.factorize(0, (orthogonal * eigenvalues @ orthogonal.T)[None])
        assert preconditioner.n_directions == pytest.approx(n_directions, rel=1e-6)


@pytest.mark.parametrize("size", [1e-300, 1e-170, 1e170])
def test_directions_of_squares_beyond_float64_are_not_counted(size):
    preconditioner = preconditioners.Preconditioner(1, 2, np.float64)
    with np.errstate(all="raise", under="ignore"):
        preconditioner.factorize(0, size * np.diag([1.0, 2.0])[None])
    assert not np.isfinite(preconditioner.n_directions)
    np.testing.assert_allclose(size * preconditioner.solve(np.array([[1.0, 2.0]])), 1)


@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_columns_of_a_factor_are_squared_where_they_lie(precision):
    matrix = np.random.default_rng(0).normal(size=(40, 7))
    preconditioner = preconditioners.Preconditioner(1, 7, precision)
    preconditioner.factorize(0, (matrix.T @ matrix)[None].astype(precision))
    np.testing.assert_allclose(
        preconditioner.square_columns(), (preconditioner.unpack()[0] ** 2).sum(axis=0), rtol=1e-12
    )
