"""L-BFGS: the float32 phase, preconditioners and refreshes."""

import itertools

import numpy as np
import pytest
from objectives import begin, build_objective, evaluate, find_reference_minimum, make_objective

from fastlin.objective.objective import Objective
from fastlin.solvers import lbfgs, preconditioners
from fastlin.solvers.preconditioners import build_class_blocks
from fastlin.solvers.stopping import Stopping


def minimize(
    objective,
    tol=1e-8,
    max_iter=500,
    precondition=build_class_blocks,
    refreshes=(),
    precision=np.float64,
    nearby_fit=None,
):
    objective.fast_precision = precision
    fit = begin(objective, Stopping(objective, tol, "suboptimality", max_iter), nearby_fit=nearby_fit)
    return lbfgs.minimize(fit, dict.fromkeys((0, *refreshes), precondition))


@pytest.fixture
def points(monkeypatch):
    """Return a list of the evaluated points, in order."""
    evaluated, at = [], Objective.at

    def record_evaluation(*arguments, **options):
        evaluated.append(at(*arguments, **options))
        return evaluated[-1]

    monkeypatch.setattr(Objective, "at", record_evaluation)
    return evaluated


@pytest.mark.parametrize(
    "precondition", [preconditioners.diagonal, preconditioners.build_shared_block, build_class_blocks]
)
def test_every_preconditioner_reaches_the_minimum_with_centered_steps(points, precondition):
    for n_classes, refreshes, l2 in [(2, (), 1e-3), (5, (), 1e-3), (5, (2, 5), 1e-3), (4, (), 1e-5)]:
        objective, _ = make_objective(150, 6, n_classes, l2=l2)
        points.clear()
        solution = minimize(objective, precondition=precondition, refreshes=refreshes)
        assert solution.converged
        assert solution.value - find_reference_minimum(objective)[0] <= solution.certificate <= 1e-8 * solution.value
        # Without a penalty, J does not change along equal changes of all classes. Different blocks would introduce
        # such changes.
        for parameters in (point.parameters for point in points if n_classes > 2):
            size = np.abs(parameters).sum(axis=0)
            assert (np.abs(parameters.sum(axis=0)) <= 1e-12 * (1 + size)).all()


@pytest.mark.parametrize("columns", ["plain", "badly scaled", "shifted"])
def test_a_phase_in_float32_ends_with_a_certificate_in_float64(points, columns):
    for n_classes, tol in itertools.product((2, 5), (1e-2, 1e-4, 1e-8)):
        objective, _ = make_objective(150, 4, n_classes, columns=columns, l2=1e-3)
        points.clear()
        solution = minimize(objective, tol=tol, precision=np.float32)
        assert points[0].precision is np.float32
        assert points[-1].precision is np.float64
        assert solution.converged
        minimum, end = find_reference_minimum(objective)[0], objective.at(solution.parameters)
        assert minimum - solution.value <= end.rounding
        assert solution.value - minimum <= solution.certificate
        assert end.value == solution.value
        if columns == "plain":
            assert solution.certificate <= tol * solution.value


@pytest.mark.parametrize("precision", [np.float64, np.float32])
def test_max_iter_returns_a_point_in_float64(precision):
    for max_iter in (0, 1, 3):
        objective, _ = make_objective(150, 6, 4, l2=1e-4)
        solution = minimize(objective, max_iter=max_iter, precision=precision)
        assert solution.n_iter == max_iter
        assert not solution.converged
        assert objective.at(solution.parameters).value == solution.value
        assert solution.value - find_reference_minimum(objective)[0] <= solution.certificate < np.inf


@pytest.mark.parametrize("precision", [np.float64, np.float32])
def test_the_preconditioner_is_rebuilt_at_the_current_point_on_schedule(precision):
    objective, _ = make_objective(150, 6, 4, l2=1e-4)
    recorded_builds = []

    def precondition(point):
        recorded_builds.append((point, point.probabilities.copy()))
        return build_class_blocks(point)

    solution = minimize(objective, precondition=precondition, refreshes=(2, 4), tol=1e-10, precision=precision)
    assert solution.n_iter > 4 and len(recorded_builds) == 3
    np.testing.assert_array_equal(recorded_builds[0][0].parameters, objective.start().astype(precision))
    for (point, probabilities), n_iter in zip(recorded_builds[1:], (2, 4), strict=True):
        assert point.objective is objective
        assert point.value == solution.history[n_iter - 1].objective
        again = evaluate(objective, point.parameters, point.precision)
        np.testing.assert_array_equal(again.probabilities, probabilities)


def test_float32_reaches_the_minimum_if_most_probabilities_are_near_zero_or_one():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 5, 3_000)
    X = generator.normal(size=(3_000, 40)) * np.linspace(0.7, 0.01, 40) + 2.5 * np.eye(40)[labels]
    objective, options = build_objective(X, labels, 5, l2=1e-7), {"precondition": preconditioners.diagonal}
    expected = minimize(objective, max_iter=2000)
    solution = minimize(objective, tol=1e-6, precision=np.float32, max_iter=2000, **options)
    assert expected.converged and solution.converged
    assert abs(solution.value - expected.value) <= 2e-6 * expected.value
    assert solution.value - expected.value <= solution.certificate
