"""Newton's method with the whole Hessian."""

import numpy as np
import pytest
from conftest import make_objective, minimum_of

from fastlin.objective import Objective
from fastlin.objective.newton_dual import NewtonStep
from fastlin.solvers import newton_cholesky
from fastlin.solvers.stopping import Stopping


def minimize(objective, start=None, tol=1e-12, rule="excess", max_iter=100):
    start = objective.start() if start is None else start
    stopping = Stopping(objective, tol, rule, max_iter)
    return newton_cholesky.minimize(objective, start, stopping, room=objective.make_room())


@pytest.mark.parametrize("n_classes", [2, 3, 6])
def test_few_steps_lead_to_the_minimum(n_classes):
    for l2 in (1e-6, 1e-2):
        objective, _ = make_objective(150, 5, n_classes, l2=l2)
        solution = minimize(objective)
        minimum, *_ = minimum_of(objective)
        assert solution.converged
        assert solution.n_iter < 15
        assert solution.value == pytest.approx(float(minimum), rel=1e-12)


def test_the_gradient_falls_quadratically_near_the_end():
    objective, _ = make_objective(150, 5, 3, l2=1e-2)
    gradients = np.array([each.gradient for each in minimize(objective).history])
    near = gradients[:-1] < 1e-2
    assert near.any()
    assert (gradients[1:][near] < np.maximum(10 * gradients[:-1][near] ** 2, 1e-12)).all()


@pytest.mark.parametrize("n_classes", [2, 3])
def test_repeated_columns_share_their_coefficient(n_classes):
    objective, _ = make_objective(80, 3, n_classes)
    doubled = Objective.over(
        np.column_stack([objective.matrix.X, objective.matrix.X]),
        objective.rows.labels,
        n_classes,
        weights=objective.rows.weights,
        l2=0.1,
    )
    single = Objective.over(
        objective.matrix.X, objective.rows.labels, n_classes, weights=objective.rows.weights, l2=0.05
    )
    coef, intercept, _ = doubled.finish(minimize(doubled), np.float64)
    expected_coef, expected_intercept, _ = single.finish(minimize(single), np.float64)
    np.testing.assert_allclose(coef[:, :3], coef[:, 3:], atol=1e-7)
    np.testing.assert_allclose(coef[:, :3] + coef[:, 3:], expected_coef, atol=1e-6)
    np.testing.assert_allclose(intercept, expected_intercept, atol=1e-6)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_repeated_columns_without_penalty_have_a_singular_hessian_and_still_an_end(n_classes):
    objective, _ = make_objective(80, 3, n_classes)
    doubled = Objective.over(
        np.column_stack([objective.matrix.X, objective.matrix.X[:, :2]]),
        objective.rows.labels,
        n_classes,
        weights=objective.rows.weights,
    )
    solution = minimize(doubled, tol=1e-10)
    assert solution.converged
    assert solution.value == pytest.approx(minimize(objective, tol=1e-10).value, rel=1e-9)


def test_a_single_step_on_a_nearly_quadratic_objective_is_enough():
    # With a strong penalty the loss is as good as its second-order expansion.
    objective, _ = make_objective(80, 3, 2, l2=1e4)
    solution = minimize(objective, tol=1e-9)
    assert solution.n_iter <= 1
    assert solution.converged


@pytest.mark.parametrize("n_classes", [2, 4])
def test_a_step_proves_what_the_point_alone_does_not(monkeypatch, n_classes):
    objective, _ = make_objective(500, 10, n_classes, l2=1e-5)
    minimum, *_ = minimum_of(objective)
    n_saved = 0
    for tol in (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8):
        solution = minimize(objective, tol=tol)
        assert solution.converged
        assert solution.value - minimum <= solution.certificate <= tol * solution.value
        with monkeypatch.context() as context:
            context.setattr(NewtonStep, "begin", lambda *_: None)
            n_saved += minimize(objective, tol=tol).n_iter - solution.n_iter
    assert n_saved >= 1


@pytest.mark.parametrize("n_classes", [2, 4])
def test_without_penalty_the_end_has_a_certificate_and_no_more_iterations(monkeypatch, n_classes):
    objective, _ = make_objective(500, 6, n_classes)
    minimum = minimize(objective, tol=1e-15).value
    for rule in ("excess", "gradient", "estimate"):
        for tol in (1e-4, 1e-6, 1e-9):
            solution = minimize(objective, tol=tol, rule=rule)
            assert solution.converged
            assert solution.value - minimum <= solution.certificate < 3 * tol * solution.value + 1e-12
            with monkeypatch.context() as context:
                context.setattr(Stopping, "note_dual", lambda *_: None)
                without = minimize(objective, tol=tol, rule=rule)
            assert without.certificate == np.inf
            assert solution.n_iter <= without.n_iter
