"""Newton's method, exact and truncated."""

from itertools import chain, repeat
from types import SimpleNamespace
from unittest.mock import Mock, patch

import numpy as np
import pytest
from objectives import begin, build_objective, evaluate, find_reference_minimum, make_objective

from fastlin.solvers import newton, preconditioners
from fastlin.solvers.solution import AT_ROUNDING_LIMIT, CONVERGED, SEPARABLE_CLASSES
from fastlin.solvers.stopping import Stopping

PRECONDITIONERS = [preconditioners.diagonal, preconditioners.build_shared_block, preconditioners.build_class_blocks]


def minimize(objective, tol=1e-12, rule="suboptimality"):
    stopping = Stopping(objective, tol, rule, 100)
    return newton.minimize_by_cholesky(begin(objective, stopping))


def minimize_by_truncated_newton(objective, precondition, n_passes=0, tol=1e-12, rule="gradient"):
    fit = begin(objective, Stopping(objective, tol, rule, 100))
    patched_functions = {"choose": lambda *_, **__: precondition, "choose_first_builder": lambda *_: precondition}
    with patch.multiple(preconditioners, count_hessian_products=lambda *_: n_passes, **patched_functions):
        return newton.minimize_by_conjugate_gradients(fit)


def test_the_gradient_decreases_quadratically_near_the_minimum():
    objective, _ = make_objective(150, 5, 3, l2=1e-2)
    gradients = np.array([iteration.gradient for iteration in minimize(objective).history])
    near = gradients[:-1] < 1e-2
    assert near.any()
    assert (gradients[1:][near] < np.maximum(10 * gradients[:-1][near] ** 2, 1e-12)).all()


@pytest.mark.parametrize("n_classes", [2, 3])
def test_repeated_columns_without_a_penalty_converge(n_classes):
    objective, _ = make_objective(80, 3, n_classes)
    X, labels = objective.matrix.X, objective.rows.labels
    twice = np.column_stack([X, X[:, :2]])
    doubled_objective = build_objective(twice, labels, n_classes, weights=objective.rows.weights)
    solution = minimize(doubled_objective, tol=1e-10)
    assert solution.converged
    assert solution.value == pytest.approx(minimize(objective, tol=1e-10).value, rel=1e-9)


@pytest.mark.parametrize("n_classes", [2, 3, 4])
def test_unpenalized_fits_are_certified_without_extra_iterations(monkeypatch, n_classes):
    objective, _ = make_objective(500, 6, n_classes)
    minimum = minimize(objective, tol=1e-15).value
    for rule in ("suboptimality", "gradient"):
        for tol in (1e-2, 1e-3, 1e-4, 1e-6, 1e-9):
            solution = minimize(objective, tol=tol, rule=rule)
            assert solution.converged
            assert solution.value - minimum <= solution.certificate
            assert tol > 1e-4 or solution.certificate < 3 * tol * solution.value + 1e-12
            # The last step ends far below tol.
            assert tol < 1e-4 or rule == "gradient" or solution.value - minimum < 0.01 * tol * solution.value
            with monkeypatch.context() as context:
                context.setattr(Stopping, "update_dual_value", lambda *_: None)
                without = minimize(objective, tol=tol, rule=rule)
            assert without.certificate == np.inf
            assert solution.n_iter <= without.n_iter


@pytest.mark.parametrize("precondition", PRECONDITIONERS)
@pytest.mark.parametrize("forcing_term", [0.5, 1e-1, 1e-3, 1e-11])
def test_conjugate_gradient_residuals_meet_the_forcing_term(forcing_term, precondition):
    for n_classes in (2, 4):
        objective, parameters = make_objective(100, 12, n_classes, l2=1e-3)
        point = evaluate(objective, objective.center(parameters))
        preconditioner, before, n_passes = precondition(point), point.gradient.copy(), objective.n_passes
        (step, computed_residual), n_products = newton.conjugate_gradients(point, preconditioner, forcing_term)
        assert n_products == pytest.approx(objective.n_passes - n_passes)
        np.testing.assert_array_equal(point.gradient, before)
        residual = point.hessian_product(step) + point.gradient
        np.testing.assert_allclose(computed_residual, residual, atol=1e-14)
        remaining, initial = (np.sqrt(np.sum(r * preconditioner.solve(r))) for r in (residual, point.gradient))
        assert remaining <= forcing_term * initial * (1 + 1e-9) + 1e-15
        assert 1 <= n_products <= newton.SWITCH_THRESHOLD
        assert np.sum(step * point.gradient) < 0


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_stationary_start_is_returned():
    objective = build_objective(np.zeros((20, 2)), np.arange(20) % 2, 2)
    solution = minimize_by_truncated_newton(objective, preconditioners.diagonal)
    assert solution.converged and solution.n_iter == 0
    np.testing.assert_array_equal(solution.parameters, 0)


def test_without_curvature_the_step_is_the_preconditioned_gradient():
    objective, parameters = make_objective(40, 3, 3)
    preconditioner = preconditioners.diagonal(objective.at(parameters))
    gradient = objective.center(parameters)
    flat = SimpleNamespace(objective=objective, gradient=gradient, hessian_product=np.zeros_like)
    (step, *_), _ = newton.conjugate_gradients(flat, preconditioner, 0.5)
    np.testing.assert_allclose(step, -objective.center(preconditioner.solve(gradient)))


def test_rounding_along_equal_changes_of_all_classes_is_not_followed():
    for seed in range(40):
        generator = np.random.default_rng(seed)
        X = generator.normal(size=(200, 3))
        X[:, 0], X[:, 2] = 3, 0
        # With larger scores, some classes have no rows. Then J has no minimum, and rounding determines the stop reason.
        labels = np.argmax(0.2 * X @ generator.normal(size=(3, 5)) + generator.gumbel(size=(200, 5)), axis=1)
        objective = build_objective(X, labels, 5, weights=generator.uniform(0.1, 3, 200))
        solution = minimize_by_truncated_newton(
            objective, lambda point: preconditioners.factorize_hessian(point.objective, point.hessian())
        )
        assert solution.stop_reason in (CONVERGED, AT_ROUNDING_LIMIT, SEPARABLE_CLASSES)


@pytest.mark.parametrize("n_passes", [0, 3, np.inf])
@pytest.mark.parametrize("precondition", PRECONDITIONERS)
def test_few_truncated_steps_reach_the_minimum(precondition, n_passes):
    for n_classes in (2, 5):
        objective, _ = make_objective(150, 6, n_classes, l2=1e-3)
        recorded_builds = []

        def record_and_precondition(point, recorded_builds=recorded_builds):
            recorded_builds.append((point.value, point.objective.n_passes))
            return precondition(point)

        solution = minimize_by_truncated_newton(objective, record_and_precondition, n_passes, 1e-10, "suboptimality")
        minimum, *_ = find_reference_minimum(objective)
        assert solution.converged and solution.n_iter < 20
        assert -1e-14 * minimum <= solution.value - minimum <= solution.certificate <= 1e-10 * solution.value
        # Each preconditioner is built at an iterate and used until products have cost as many passes as building it.
        values, passes = map(list, zip(*recorded_builds, strict=True))
        iterates = [values[0], *(step.objective for step in solution.history)]
        assert [value for value in iterates if value in values] == values
        assert np.all(np.diff(passes) > n_passes)
        assert n_passes > 0 or len(values) >= solution.n_iter


def test_class_blocks_use_more_rows_if_conjugate_gradients_fail(monkeypatch):
    objective, _ = make_objective(150, 6, 3, l2=1e-3)
    solve, counts = newton.conjugate_gradients, chain([100, 99], repeat(100))
    build = Mock(side_effect=preconditioners.build_class_blocks)
    monkeypatch.setattr(preconditioners, "build_class_blocks", build)
    monkeypatch.setattr(newton, "conjugate_gradients", lambda *arguments: (solve(*arguments)[0], next(counts)))
    assert minimize_by_truncated_newton(objective, build).converged
    assert [call.args[1] for call in build.call_args_list[:5]] == [1, 2, 2, 4, 8]
