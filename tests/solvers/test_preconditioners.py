"""Preconditioners against the matrices that NumPy builds for them."""

import numpy as np
import pytest
from conftest import COLUMNS, make_objective

from fastlin.kernels.machine.threads import limit_threads
from fastlin.objective import LinearObjective
from fastlin.solvers import preconditioners

ALL = ["diagonal", "shared_block", "class_blocks", "hessian"]


def build(name, objective, parameters):
    objective.evaluate(parameters)
    if name == "hessian":
        return preconditioners.hessian(objective)
    return getattr(preconditioners, name)(objective, parameters)


def scaled_rows(objective):
    scaled = objective.matrix.X * objective.scale + objective.shift
    return np.column_stack([scaled, np.ones(len(scaled))])


@pytest.mark.parametrize("n_classes", [2, 3])
def test_class_blocks_are_the_blocks_of_the_hessian_where_every_row_is_taken(n_classes):
    objective, parameters = make_objective(20, 4, n_classes, l2=0.2)
    gradient = np.random.default_rng(3).normal(size=parameters.shape)
    found = build("class_blocks", objective, parameters).solve(gradient)
    hessian, size = objective.hessian(), 5
    for k, row in enumerate(gradient):
        block = hessian[k * size : (k + 1) * size, k * size : (k + 1) * size]
        np.testing.assert_allclose(found[k], np.linalg.solve(block, row), rtol=1e-3, atol=1e-4)


def test_drawn_rows_stand_for_all_of_them():
    objective, parameters = make_objective(20_000, 4, 3, l2=0.01)
    gradient = np.random.default_rng(3).normal(size=parameters.shape)
    n_passes = objective.n_passes
    found = build("class_blocks", objective, parameters).solve(gradient)
    assert objective.n_passes - n_passes < 1.1
    hessian, size = objective.hessian(), 5
    for k, row in enumerate(gradient):
        block = hessian[k * size : (k + 1) * size, k * size : (k + 1) * size]
        expected = np.linalg.solve(block, row)
        assert np.sum(found[k] * row) / np.sum(expected * row) == pytest.approx(1, abs=0.8)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_the_shared_block_is_the_covariance_at_equal_probabilities(n_classes):
    objective, parameters = make_objective(50, 4, n_classes, l2=0.2)
    gradient = np.random.default_rng(3).normal(size=parameters.shape)
    objective.evaluate(0 * parameters)
    found = build("shared_block", objective, 0 * parameters).solve(gradient)
    rows, share = scaled_rows(objective), 1 / n_classes
    weights = objective.weights / objective.total_weight * share * (1 - share)
    block = rows.T @ (weights[:, None] * rows) + np.diag(objective.penalties)
    np.testing.assert_allclose(found, np.linalg.solve(block, gradient.T).T, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_the_diagonal_is_the_variance_times_the_curvature_of_the_class_shares(n_classes):
    objective, parameters = make_objective(50, 4, n_classes, l2=0.2)
    found = build("diagonal", objective, parameters).solve(np.ones_like(parameters))
    shares = objective.class_weights[: len(parameters)]
    mean_squares = np.average(scaled_rows(objective) ** 2, axis=0, weights=objective.weights)
    expected = 1 / (np.outer(shares * (1 - shares), mean_squares) + objective.penalties)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_the_hessian_solves_newtons_equations_on_gradients(n_classes, l2):
    objective, parameters = make_objective(60, 4, n_classes, l2=l2)
    # Sums of zero over the classes: there softmax is not flat.
    gradient = objective.evaluate(objective.center(parameters)).gradient
    step = preconditioners.hessian(objective).solve(gradient)
    np.testing.assert_allclose(objective.hessian() @ step.ravel(), gradient.ravel(), atol=1e-11)
    if n_classes > 2:
        np.testing.assert_allclose(step.sum(axis=0), 0, atol=1e-10)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize(("n", "n_classes"), [(40, 2), (40, 3), (4, 3)])
@pytest.mark.parametrize("l2", [0.0, 1e-3])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_solutions_are_finite_and_descend(name, columns, n, n_classes, l2, fit_intercept):
    objective, parameters = make_objective(n, 6, n_classes, columns=columns, l2=l2, fit_intercept=fit_intercept)
    for point in (np.zeros_like(parameters), parameters, 30 * parameters):
        gradient = objective.evaluate(point).gradient
        before = gradient.copy()
        solution = build(name, objective, point).solve(gradient)
        np.testing.assert_array_equal(gradient, before)
        assert solution.shape == gradient.shape
        assert np.isfinite(solution).all()
        assert np.sum(solution * gradient) > 0


@pytest.mark.parametrize("n_classes", [2, 3])
def test_without_room_for_probabilities_the_blocks_come_from_a_sample(n_classes):
    objective, parameters = make_objective(500, 4, n_classes, l2=0.1)
    gradient = np.random.default_rng(3).normal(size=parameters.shape)
    expected = build("class_blocks", objective, parameters).solve(gradient)
    objective.keeps_probabilities, objective.probabilities = False, np.empty((len(parameters), 0))
    found = build("class_blocks", objective, parameters).solve(gradient)
    assert objective.probabilities.shape[1] == 0
    for k in range(len(parameters)):
        assert np.sum(found[k] * gradient[k]) / np.sum(expected[k] * gradient[k]) == pytest.approx(1, abs=0.8)


@pytest.mark.parametrize("name", ALL)
def test_bits_do_not_depend_on_threads(name):
    objective, parameters = make_objective(3000, 40, 4, l2=0.1)
    gradient = np.random.default_rng(3).normal(size=parameters.shape)
    results = []
    for n_threads in (1, 2, 3):
        with limit_threads(n_threads):
            results.append(build(name, objective, parameters).solve(gradient))
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_chances_add_up_to_the_number_drawn_and_follow_the_curvature():
    curvature = 0.25 * np.random.default_rng(0).uniform(size=1000) ** 20
    chance = preconditioners._chances(curvature, 100)
    assert chance.sum() == pytest.approx(100, rel=1e-9)
    uncertain = chance < 1
    np.testing.assert_allclose((chance / curvature)[uncertain], (chance / curvature)[uncertain][0], rtol=1e-9)
    assert (chance[curvature > curvature[uncertain].max()] == 1).all()
    sparse = np.where(np.arange(1000) < 50, curvature, 0.0)
    np.testing.assert_array_equal(preconditioners._chances(sparse, 100), sparse > 0)


def test_large_weights_give_the_preconditioner_of_small_ones():
    objective, parameters = make_objective(20, 4, 3, l2=0.1)
    heavy = LinearObjective(objective.matrix.X, objective.labels, 3, weights=1e6 * objective.weights, l2=0.1)
    gradient = np.random.default_rng(3).normal(size=parameters.shape)
    found, expected = (build("class_blocks", each, parameters).solve(gradient) for each in (heavy, objective))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_where_no_row_has_curvature_the_blocks_are_the_penalty(n_classes):
    objective, parameters = make_objective(30, 4, n_classes, l2=0.5)
    # Scores so large that every probability is 0 or 1 in float64.
    saturated = np.zeros_like(parameters)
    saturated[0, -1] = 5000.0
    gradient = np.random.default_rng(3).normal(size=parameters.shape)
    found = build("class_blocks", objective, saturated).solve(gradient)
    assert not (objective.probabilities * (1 - objective.probabilities)).any()
    np.testing.assert_allclose(found[:, :-1], (gradient / objective.penalties.clip(1e-300))[:, :-1], rtol=1e-4)
    np.testing.assert_allclose(found[:, -1], gradient[:, -1], rtol=1e-4)


def test_a_gradient_below_the_range_of_float32_is_still_solved():
    objective, parameters = make_objective(30, 4, 2, l2=0.5)
    gradient = np.random.default_rng(3).normal(size=parameters.shape)
    preconditioner = build("class_blocks", objective, parameters)
    np.testing.assert_allclose(
        preconditioner.solve(1e-60 * gradient), 1e-60 * preconditioner.solve(gradient), rtol=1e-4
    )
