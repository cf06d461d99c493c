"""The lower bound that a Newton step leaves behind, against the minimum and sums in extended precision."""

import numpy as np
import pytest
import reference
from conftest import COLUMNS, data_of, evaluate, make_objective, make_offset, make_problem, minimum_of, with_budget
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from fastlin.objective import Objective
from fastlin.objective.newton_dual import LARGEST_LEAVING, Direction, NewtonStep
from fastlin.solvers import newton, preconditioners


def solve(point):
    """Return Newton's direction at a point, by the Cholesky factor of the Hessian."""
    return direct(point, -preconditioners.hessian(point).solve(point.gradient))


def direct(point, step):
    """Return any step from a point as a Direction."""
    return Direction(step, point.gradient + (point.hessian() @ step.ravel()).reshape(step.shape), np.abs(step))


def follow(point, direction):
    """Return the end of a step from a point, and the lower bound of the step there with its rounding."""
    objective, newton_step = point.objective, NewtonStep.begin(point, direction)
    end = evaluate(objective, point.parameters + direction.step)
    return end, *newton_step.find_dual_value(end)


def walk(objective, n_steps, find=solve):
    """Yield the end, the dual value and its rounding of Newton's steps from the start."""
    point = evaluate(objective, objective.start())
    for _ in range(n_steps):
        point, value, rounding = follow(point, find(point))
        yield point, value, rounding


def exact_probabilities(objective, parameters):
    """Return the scaled columns with a one (n, d + 1), and the probabilities (n, classes), in extended precision."""
    X, labels, weights = data_of(objective)
    coordinates = objective.coordinates
    X = X.astype(np.longdouble) * coordinates.scale + coordinates.shift
    X = np.column_stack([X, np.ones(len(X))])
    scores = X @ parameters.T.astype(np.longdouble)
    if len(parameters) == 1:
        scores = np.column_stack([np.zeros(len(X)), scores])
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    return X, scores, exponentials / exponentials.sum(axis=1, keepdims=True), labels, weights / weights.sum()


def exact_dual_value(objective, start, step, leaving):
    """Return the dual objective at the linearised probabilities, those of the end in rows that leave, and its sums.

    The sums by class, (classes,), are by how much the probabilities exceed the labels.
    """
    X, scores, before, labels, shares = exact_probabilities(objective, start)
    _, ends, after, *_ = exact_probabilities(objective, start + step)
    moves = ends - scores
    dual = before * (1 + moves - (before * moves).sum(axis=1, keepdims=True))
    dual[leaving] = after[leaving]
    residuals = dual.copy()
    residuals[np.arange(len(X)), labels] -= 1
    gradient = (residuals * shares[:, None]).T @ X
    rows = gradient[-1:] if len(start) == 1 else gradient
    logarithms = np.log(np.where(dual > 0, dual, 1))
    entropy = -np.sum(shares * (dual * logarithms).sum(axis=1))
    return entropy - np.sum(rows[:, :-1] ** 2 / (2 * objective.penalty.curvatures[:-1])), gradient[:, -1]


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_the_bound_of_a_step_is_tight_where_that_of_its_end_lags(n_classes, fit_intercept):
    for l2 in (1e-5, 1e-3):
        objective, _ = make_objective(400, 10, n_classes, fit_intercept=fit_intercept, l2=l2)
        minimum, *_ = minimum_of(objective)
        lags = []
        for end, value, rounding in walk(objective, 8):
            excess = float(end.value - minimum)
            assert value - rounding <= minimum
            if 1e-10 < excess < 1e-4:
                assert end.value - (value - rounding) < 5 * excess
                lags.append((end.value - end.lower_bound()) / excess)
        assert lags and max(lags) > (100 if l2 == 1e-5 else 5)


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_value_is_the_dual_objective_but_for_its_rounding(n_classes, columns):
    for fit_intercept in (True, False):
        objective, _ = make_objective(
            200, 6, n_classes, columns=columns, fit_intercept=fit_intercept, penalty_factors=np.full(6, 1e-3), l2=1.0
        )
        point = evaluate(objective, objective.start())
        n_compared = 0
        for _ in range(8):
            direction = solve(point)
            step = NewtonStep.begin(point, direction)
            end = evaluate(objective, point.parameters + direction.step)
            leaving = step._compare(end.probabilities)[1]
            value, rounding = step.find_dual_value(end)
            exact, sums = exact_dual_value(objective, point.parameters, direction.step, leaving)
            if np.isfinite(value) and (not fit_intercept or np.abs(sums).max() < 1e-14):
                assert abs(value - exact) <= rounding
                assert rounding < 1e-10 * end.value or columns not in ("plain", "constant")
                n_compared += 1
            point = end
        assert n_compared


@pytest.mark.parametrize("n_classes", [2, 4])
def test_rows_that_leave_take_the_probabilities_of_the_end(n_classes):
    objective, _ = make_objective(400, 3, n_classes, l2=1e-3, seed=3)
    minimum, coef, intercept = minimum_of(objective)
    best = objective.coordinates.to_parameters(coef, intercept)
    generator = np.random.default_rng(0)
    n_left = []
    for size in np.linspace(0.3, 1.5, 9):
        # Steps to the minimum, from where rows are nearly certain.
        point = evaluate(objective, best + size * generator.normal(size=best.shape))
        direction = direct(point, best - point.parameters)
        step = NewtonStep.begin(point, direction)
        end = evaluate(objective, point.parameters + direction.step)
        leaving = step._compare(end.probabilities)[1]
        value, rounding = step.find_dual_value(end)
        if len(leaving) > LARGEST_LEAVING * 400:
            assert (value, rounding) == (-np.inf, 0)
            continue
        assert -np.inf < value - rounding <= minimum
        exact, sums = exact_dual_value(objective, point.parameters, direction.step, leaving)
        # What the classes exchange takes some of it.
        assert value <= exact + rounding + 30 * float(np.abs(sums).max())
        n_left.append(len(leaving))
    assert max(n_left) > 0


@pytest.mark.parametrize("forcing", [0.5, 1e-2, 1e-5])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_the_bound_of_an_inexact_step_counts_its_residual(n_classes, forcing):
    objective, _ = make_objective(300, 8, n_classes, l2=1e-2)
    minimum, *_ = minimum_of(objective)

    def find(point):
        return newton.conjugate_gradients(point, preconditioners.diagonal(point), forcing)[0]

    gaps = []
    for end, value, rounding in walk(objective, 8, find):
        assert value - rounding <= minimum
        gaps.append(end.value - value + rounding)
    # Where the gradient is rounding, steps go anywhere, and the best bound is kept.
    assert min(gaps) < (1e-3 if forcing == 0.5 else 1e-9)


@settings(max_examples=60)
@given(
    n=st.integers(16, 60),
    d=st.integers(1, 5),
    n_classes=st.integers(2, 5),
    exponent=st.floats(-5, 1),
    distance=st.floats(-6, 1),
    fit_intercept=st.booleans(),
    is_sparse=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_no_step_has_a_bound_above_the_minimum(n, d, n_classes, exponent, distance, fit_intercept, is_sparse, seed):
    # Any step from any point: what does not solve Newton's equations is in its residual.
    generator = np.random.default_rng(seed)
    X, labels = generator.normal(size=(n, d)), np.arange(n) % n_classes
    if is_sparse:
        X = sparse.csr_array(np.where(generator.uniform(size=X.shape) < 0.5, X, 0))
    weights = generator.uniform(0.1, 3, n) * (generator.uniform(size=n) < 0.9)
    weights[:n_classes] = 1.0
    objective = Objective.over(X, labels, n_classes, weights=weights, l2=10**exponent, fit_intercept=fit_intercept)
    minimum, coef, intercept = minimum_of(objective)
    shape, best = objective.shape, objective.coordinates.to_parameters(coef, intercept)
    has_part = np.array([1.0] * d + [fit_intercept])
    for centre in (best, np.zeros(shape)):
        point = evaluate(objective, centre + 10**distance * generator.normal(size=shape) * has_part)
        newton = solve(point)
        for step in (newton.step, newton.step + 0.1 * 10**distance * generator.normal(size=shape) * has_part):
            end, value, rounding = follow(point, direct(point, step))
            assert value - rounding <= minimum <= end.value + end.rounding
            assert rounding >= 0


def test_rows_that_are_certain_at_both_ends_keep_the_bound():
    for scale in (1.0, 30.0, 200.0):
        X, labels, *_ = make_problem(200, 3, 2)
        X[:100] *= 100
        labels[:100] = X[:100, 0] > 0
        objective = Objective.over(X, labels, 2, l2=1e-4)
        minimum, coef, intercept = minimum_of(objective)
        best = objective.coordinates.to_parameters(coef, intercept)
        point = evaluate(objective, best * (1 + 1e-4 * scale))
        assert (np.minimum(point.probabilities, 1 - point.probabilities) < 1e-15).any()
        end, value, rounding = follow(point, solve(point))
        assert minimum - 1e-2 * minimum < value - rounding <= minimum <= end.value + end.rounding


def test_a_class_of_no_weight_and_unweighted_rows_keep_the_bound():
    X, labels, *_ = make_problem(90, 3, 3)
    objective = Objective.over(X, labels, 3, weights=(labels != 1).astype(float), l2=0.1)
    others = labels != 1
    minimum = reference.minimum(X[others], labels[others] // 2, 2, 0.1 / 2)[0]
    point = evaluate(objective, np.zeros(objective.shape))
    for _ in range(6):
        point, value, rounding = follow(point, solve(point))
        assert value - rounding <= minimum


def test_there_is_no_bound_without_what_it_needs():
    objective, parameters = make_objective(60, 3, 3, l2=0.1)
    point = evaluate(objective, 0.1 * parameters)
    direction = solve(point)
    step = NewtonStep.begin(point, direction)
    half = evaluate(objective, point.parameters + 0.5 * direction.step)
    assert step.find_dual_value(half) == (-np.inf, 0)
    without_room = objective.at(point.parameters + direction.step)
    assert step.find_dual_value(without_room) == (-np.inf, 0)
    assert NewtonStep.begin(objective.at(point.parameters), direction) is None
    small = with_budget(objective, 4 * 8 * 3 * 60)
    assert small.keeps_probabilities
    assert NewtonStep.begin(evaluate(small, point.parameters), direction) is None
    free, _ = make_objective(60, 3, 3)
    assert NewtonStep.begin(evaluate(free, point.parameters), direction) is None


def test_the_bound_of_a_step_holds_with_offsets_and_targets():
    for n_classes, size, soft, fit_intercept in [
        (2, 2.0, False, True),
        (2, 1e3, True, True),
        (4, 2.0, True, False),
        (4, 1e3, False, True),
    ]:
        objective, _ = make_offset(400, 5, n_classes, size, soft, fit_intercept=fit_intercept, l2=1e-4)
        minimum, lags = minimum_of(objective)[0], []
        for end, value, rounding in walk(objective, 9):
            assert value - rounding <= minimum <= end.value + end.rounding
            excess = float(end.value - minimum)
            if 1e-13 < excess < 1e-9:
                lags.append((end.value - value) / excess)
        assert lags and max(lags) < 20
