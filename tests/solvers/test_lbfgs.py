"""L-BFGS on problems with a known optimum."""

import numpy as np
import pytest
from conftest import make_problem

from fastlin.objective import LinearObjective
from fastlin.solvers import lbfgs, line_search


class Quadratic:
    """Half (w - center)' A (w - center), in the shape of an objective."""

    dtype = np.float64
    scale = 4.0
    l2 = 0.0

    def __init__(self, eigenvalues, seed=0):
        generator = np.random.default_rng(seed)
        d = len(eigenvalues)
        rotation = np.linalg.qr(generator.normal(size=(d, d)))[0]
        self.matrix = rotation @ np.diag(eigenvalues) @ rotation.T
        self.center_point = generator.normal(size=d)
        self.n_passes = 0

    def value_and_gradient(self, coef, intercept):
        self.n_passes += 1
        gradient = self.matrix @ (coef[0] - self.center_point)
        return 1 + 0.5 * gradient @ (coef[0] - self.center_point), gradient[None], np.zeros(1)

    def estimate_column_scale(self):
        return np.full(len(self.center_point), np.sqrt(np.linalg.eigvalsh(self.matrix)[-1]))

    def center(self, coef, intercept):
        return coef, intercept


def test_reaches_the_known_optimum_of_a_quadratic():
    objective = Quadratic(np.logspace(0, 3, 12))
    start = np.zeros((1, 12))
    solution = lbfgs.minimize(objective, start, np.zeros(1), tol=1e-9, max_iter=500)
    assert solution.converged
    np.testing.assert_allclose(solution.coef[0], objective.center_point, atol=1e-7)
    assert not start.any()


@pytest.mark.parametrize("n_classes", [2, 5])
def test_gradient_at_the_end_is_below_tol_and_the_objective_fell(n_classes):
    X, labels, weights, coef, intercept = make_problem(200, 6, n_classes)
    objective = LinearObjective(X, labels, n_classes, weights=weights, l2=0.01)
    seen = []
    solution = lbfgs.minimize(
        objective, np.zeros_like(coef), np.zeros_like(intercept), tol=1e-8, max_iter=300,
        on_iteration=lambda n_iter, iteration: seen.append((n_iter, iteration)),
    )  # fmt: skip
    value, gradient, intercept_gradient = objective.value_and_gradient(solution.coef, solution.intercept)
    assert solution.converged
    assert max(np.abs(gradient).max(), np.abs(intercept_gradient).max()) <= 1.1e-8
    objectives = [iteration.objective for iteration in solution.history]
    assert (np.diff(objectives) <= 1e-14).all()
    assert value == pytest.approx(objectives[-1], rel=1e-12)
    assert seen == list(enumerate(solution.history, 1))
    assert solution.n_iter == len(seen)


def test_stops_at_max_iter_and_says_so():
    X, labels, _, coef, intercept = make_problem(100, 5, 3)
    objective = LinearObjective(X, labels, 3, l2=1e-3)
    solution = lbfgs.minimize(objective, 0 * coef, 0 * intercept, tol=1e-12, max_iter=3)
    assert not solution.converged
    assert solution.n_iter == 3
    assert "max_iter" in solution.message


def test_a_start_at_the_optimum_takes_no_step():
    X, labels, _, coef, intercept = make_problem(100, 5, 3)
    objective = LinearObjective(X, labels, 3, l2=0.1)
    first = lbfgs.minimize(objective, 0 * coef, 0 * intercept, tol=1e-8, max_iter=200)
    again = lbfgs.minimize(objective, first.coef, first.intercept, tol=1e-6, max_iter=200)
    assert again.n_iter == 0
    assert again.converged


def test_a_tol_below_rounding_ends_without_a_false_alarm():
    X, labels, _, coef, intercept = make_problem(300, 5, 3, np.float32)
    objective = LinearObjective(X, labels, 3, l2=0.1)
    solution = lbfgs.minimize(objective, 0 * coef, 0 * intercept, tol=0.0, max_iter=1000)
    assert solution.converged
    assert solution.n_iter < 200


@pytest.mark.filterwarnings("ignore:(overflow|invalid value):RuntimeWarning")
def test_an_infinite_start_is_refused():
    X, labels, _, coef, intercept = make_problem(20, 2, 2)
    objective = LinearObjective(X * 1e300, labels, 2, l2=0.0)
    with pytest.raises(OverflowError):
        lbfgs.minimize(objective, coef * 1e100, intercept, tol=1e-4, max_iter=10)


@pytest.mark.parametrize("first_step", [1e-4, 1.0, 50.0, 1e6])
@pytest.mark.parametrize(
    "function",
    [
        lambda t: ((t - 3) ** 2, 2 * (t - 3)),
        lambda t: (np.cosh(t - 2), np.sinh(t - 2)) if t < 700 else (np.inf, np.inf),
        lambda t: (-t / (t * t + 2), (t * t - 2) / (t * t + 2) ** 2),
    ],
)
def test_line_search_meets_the_strong_wolfe_conditions(function, first_step):
    value, slope = function(0.0)
    step = line_search.search(function, value, slope, first_step, 60)
    end_value, end_slope = function(step)
    assert end_value <= value + line_search.SUFFICIENT_DECREASE * step * slope
    assert abs(end_slope) <= line_search.CURVATURE * abs(slope)


def test_line_search_steps_back_from_infinity():
    def function(t):
        return (np.inf, np.nan) if t > 1 else (-t + t * t / 1.5, -1 + 2 * t / 1.5)

    step = line_search.search(function, 0.0, -1.0, 100.0, 60)
    assert 0 < step <= 1


def test_line_search_gives_up_where_nothing_falls():
    assert line_search.search(lambda t: (1.0 + t, 1.0), 1.0, -1e-3, 1.0, 40) is None
