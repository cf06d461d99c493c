"""Truncated Newton and its conjugate gradients."""

from types import SimpleNamespace

import numpy as np
import pytest
from conftest import evaluate, make_objective, minimum_of

from fastlin.objective import Objective
from fastlin.solvers import newton_cg, preconditioners
from fastlin.solvers.stopping import Stopping

PRECONDITIONERS = [preconditioners.diagonal, preconditioners.shared_block, preconditioners.class_blocks]


@pytest.mark.parametrize("precondition", PRECONDITIONERS)
def test_conjugate_gradients_solve_newtons_equations(precondition):
    for n_classes in (2, 4):
        objective, parameters = make_objective(100, 5, n_classes, l2=0.01)
        point = evaluate(objective, parameters)
        before = point.gradient.copy()
        (step, *_), _ = newton_cg.conjugate_gradients(point, precondition(point), 1e-11)
        np.testing.assert_allclose(point.hessian_product(step), -before, atol=1e-8)
        np.testing.assert_array_equal(point.gradient, before)


@pytest.mark.parametrize("forcing", [0.5, 1e-1, 1e-3])
def test_the_residual_falls_to_the_forcing_term_and_the_step_descends(forcing):
    objective, parameters = make_objective(100, 12, 4, l2=1e-3)
    point = evaluate(objective, parameters)
    preconditioner = preconditioners.diagonal(point)
    n_passes = objective.n_passes
    (step, known, path), n_products = newton_cg.conjugate_gradients(point, preconditioner, forcing)
    assert n_products == objective.n_passes - n_passes
    residual = point.hessian_product(step) + point.gradient
    np.testing.assert_allclose(known, residual, atol=1e-14)
    assert (path >= np.abs(step) * (1 - 1e-14)).all()
    left, first = (np.sqrt(np.sum(r * preconditioner.solve(r))) for r in (residual, point.gradient))
    assert left <= forcing * first * (1 + 1e-9)
    assert 1 <= n_products <= newton_cg.MAX_PRODUCTS
    assert np.sum(step * point.gradient) < 0


def test_the_last_step_goes_on_until_its_residual_is_small_beside_what_is_asked_for():
    objective, parameters = make_objective(200, 12, 4, l2=1e-3)
    preconditioner = preconditioners.diagonal(objective.at(parameters))

    def cost(point, asked):
        direction, n_products = newton_cg.conjugate_gradients(point, preconditioner, 0.5, asked)
        return np.sum(direction.residual[:, :-1] ** 2 / objective.penalty.curvatures[:-1]) / 2, n_products

    _, coef, intercept = minimum_of(objective)
    best = objective.coordinates.to_parameters(coef, intercept)
    near = evaluate(objective, best + 1e-3 * parameters)
    loose, few = cost(near, 0.0)
    tight, more = cost(near, 1e-5)
    assert tight <= newton_cg.RESIDUAL_SHARE * 1e-5 < loose and few < more
    # Far from the end it is no use.
    far = evaluate(objective, parameters)
    assert cost(far, 1e-9) == cost(far, 0.0)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_start_without_gradient_is_the_end():
    objective = Objective.over(np.zeros((20, 2)), np.arange(20) % 2, 2)
    stopping = Stopping(objective, 1e-9, "gradient", 10)
    preconditions = [(preconditioners.diagonal, 0)]
    solution = newton_cg.minimize(
        objective, objective.start(), stopping, preconditions=preconditions, room=objective.make_room()
    )
    assert solution.converged and solution.n_iter == 0
    np.testing.assert_array_equal(solution.parameters, 0)


def test_without_curvature_the_step_is_the_preconditioned_gradient():
    objective, parameters = make_objective(40, 3, 3)
    preconditioner = preconditioners.diagonal(objective.at(parameters))
    # A gradient along which softmax is flat.
    flat = SimpleNamespace(gradient=np.ones_like(parameters), hessian_product=np.zeros_like)
    (step, *_), _ = newton_cg.conjugate_gradients(flat, preconditioner, 0.5)
    np.testing.assert_allclose(step, -preconditioner.solve(flat.gradient))


@pytest.mark.parametrize("n_passes", [0, 3, np.inf])
@pytest.mark.parametrize("precondition", PRECONDITIONERS)
def test_few_steps_lead_to_the_minimum(precondition, n_passes):
    for n_classes in (2, 5):
        objective, _ = make_objective(150, 6, n_classes, l2=1e-3)
        preconditioned, passes = [], []

        def precondition_and_tell(point, preconditioned=preconditioned, passes=passes):
            preconditioned.append(point)
            passes.append(point.objective.n_passes)
            return precondition(point)

        solution = newton_cg.minimize(
            objective,
            objective.start(),
            Stopping(objective, 1e-10, "excess", 100),
            preconditions=[(precondition_and_tell, n_passes)],
            room=objective.make_room(),
        )
        minimum, *_ = minimum_of(objective)
        assert solution.converged
        assert solution.n_iter < 20
        assert -1e-14 * minimum <= solution.value - minimum <= solution.certificate <= 1e-10 * solution.value
        # Each is built at a point of the way, and serves until products have taken as long as it took.
        values = [point.value for point in preconditioned]
        way = [preconditioned[0].value, *(step.objective for step in solution.history)]
        assert [value for value in way if value in values] == values
        assert np.all(np.diff(passes) > n_passes)
        assert n_passes > 0 or len(values) >= solution.n_iter
