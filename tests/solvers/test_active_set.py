"""Newton's steps among the active parameters of a penalised quadratic model."""

from types import SimpleNamespace

import numpy as np
import pytest

from fastlin.solvers import active_set

K, SIZE = 3, 7
THRESHOLDS = np.append(np.linspace(0.05, 0.4, SIZE - 1), 0.0)


def make_model(grouped, spread):
    """Return a Hessian whose columns differ by `spread` of what they share, slopes and parameters with zeros."""
    generator = np.random.default_rng(1)
    rows = 1 + spread * generator.normal(size=(60, K * SIZE))
    hessian = rows.T @ rows / 60
    parameters = generator.normal(size=(K, SIZE))
    parameters[:, :2] = 0
    if not grouped:
        parameters[0, 2:4] = 0
    slopes = hessian @ parameters.ravel() - generator.normal(size=60) @ rows / 60
    penalty = SimpleNamespace(thresholds=THRESHOLDS, group_by_class=grouped)
    return hessian, penalty, parameters.ravel(), slopes


def value_of(hessian, penalty, slopes, change, parameters):
    """Return the model at parameters that lie `change` away from where the slopes are."""
    parameters = parameters.reshape(K, SIZE)
    sizes = np.linalg.norm(parameters, axis=0) if penalty.group_by_class else np.abs(parameters).sum(axis=0)
    return slopes @ change + 0.5 * change @ hessian @ change + penalty.thresholds @ sizes


@pytest.mark.parametrize("spread", [1.0, 1e-2, 1e-4])
@pytest.mark.parametrize("grouped", [False, True])
def test_the_subgradient_is_zero_where_settled(grouped, spread):
    hessian, penalty, start, slopes_at_start = make_model(grouped, spread)
    parameters, slopes = start.copy(), slopes_at_start.copy()
    before = value_of(hessian, penalty, slopes, np.zeros(len(start)), start)
    decrease = active_set.minimize_active(hessian, penalty, parameters, slopes)
    change = parameters - start
    after = value_of(hessian, penalty, slopes_at_start, change, parameters)
    assert decrease == pytest.approx(before - after, rel=1e-8, abs=1e-12)
    assert decrease > 0
    assert not parameters[start == 0].any()
    np.testing.assert_allclose(slopes, slopes_at_start + hessian @ change, rtol=0, atol=1e-9)
    matrix = parameters.reshape(K, SIZE)
    sizes = np.linalg.norm(matrix, axis=0, keepdims=True) if grouped else np.abs(matrix)
    directions = np.divide(matrix, sizes, out=np.zeros_like(matrix), where=matrix != 0)
    left = slopes.reshape(K, SIZE) + THRESHOLDS * directions
    free = (matrix != 0) | (THRESHOLDS == 0)
    # The last step for groups is exact up to what the norms' curvature changed on the way.
    assert np.abs(left[free]).max() < (1e-3 if grouped else 1e-7)


def test_signs_end_with_one_factor(monkeypatch):
    factorize, sizes, solve, solved = active_set._factorize, [], active_set._solve, []
    monkeypatch.setattr(active_set, "_factorize", lambda block: sizes.append(len(block)) or factorize(block))
    monkeypatch.setattr(
        active_set, "_solve", lambda factor, size, slopes: solved.append(size) or solve(factor, size, slopes)
    )
    hessian, penalty, parameters, slopes = make_model(False, 1e-2)
    n_active = np.count_nonzero((parameters.reshape(K, SIZE) != 0) | (THRESHOLDS == 0))
    active_set.minimize_active(hessian, penalty, parameters, slopes)
    assert sizes == [n_active]
    # Several steps, between which parameters became zero and left the factor.
    assert len(solved) > 2 and solved[-1] == np.count_nonzero(parameters) < n_active


def test_groups_end_in_few_steps(monkeypatch):
    along_groups, lengths = active_set._along_groups, []

    def step(block, *arguments):
        lengths.append(len(block))
        return along_groups(block, *arguments)

    monkeypatch.setattr(active_set, "_along_groups", step)
    hessian, penalty, parameters, slopes = make_model(True, 1.0)
    active_set.minimize_active(hessian, penalty, parameters, slopes)
    assert 1 < len(lengths) <= 12


def test_groups_end_where_the_model_is_flat_but_for_their_norms():
    generator = np.random.default_rng(0)
    # Three rows for eight parameters: along the other five directions a step by the curvature is far too long.
    rows = generator.normal(size=(3, 8))
    hessian, start = rows.T @ rows, generator.normal(size=8)
    slopes_at_start = hessian @ (0.5 * generator.normal(size=8))
    penalty = SimpleNamespace(thresholds=np.full(4, 1e-3), group_by_class=True)
    parameters, slopes = start.copy(), slopes_at_start.copy()
    decrease = active_set.minimize_active(hessian, penalty, parameters, slopes)
    change = parameters - start
    smooth = slopes_at_start @ change + 0.5 * change @ hessian @ change
    norms_before, norms = (np.linalg.norm(each.reshape(2, 4), axis=0).sum() for each in (start, parameters))
    assert decrease == pytest.approx(-smooth - 1e-3 * (norms - norms_before), rel=1e-9)
    least = -0.5 * slopes_at_start @ np.linalg.pinv(hessian) @ slopes_at_start
    assert smooth < 0.99 * least < 0


def test_groups_at_their_minimum_take_no_steps_of_rounding(monkeypatch):
    # Intercepts alone are active, and along equal changes of all the model is flat.
    probabilities = np.full(K, 1 / K)
    of_intercepts = np.diag(probabilities) - np.outer(probabilities, probabilities)
    hessian = np.kron(of_intercepts, np.diag([1.0, 2.0, 0.5, 1.0]))
    penalty = SimpleNamespace(thresholds=np.array([1.0, 1.0, 1.0, 0.0]), group_by_class=True)
    parameters = np.tile([0.0, 0.0, 0.0, 0.3], K)
    slopes = np.random.default_rng(0).normal(scale=1e-17, size=len(parameters))
    steps, take = [], active_set._along_groups
    monkeypatch.setattr(active_set, "_along_groups", lambda *given: steps.append(take(*given)) or steps[-1])
    unseen = 2.0**-53
    assert abs(active_set.minimize_active(hessian, penalty, parameters, slopes, unseen=unseen)) <= unseen
    assert len(steps) == 1


def test_a_parameter_that_would_turn_is_zero():
    # Along the step the first parameter's least point is zero: |z| - 0.5 z there.
    hessian, parameters = np.eye(2), np.array([0.3, 0.0])
    penalty = SimpleNamespace(thresholds=np.array([1.0, 1.0]), group_by_class=False)
    slopes = hessian @ parameters - np.array([0.5, 0.0])
    before = 0.3 * 1.0 + 0.5 * 0.3**2 - 0.5 * 0.3
    assert active_set.minimize_active(hessian, penalty, parameters, slopes) == pytest.approx(before)
    assert not parameters.any()
    np.testing.assert_allclose(slopes, [-0.5, 0.0])


def test_bounds_that_are_met_are_kept_to():
    hessian, penalty, start, slopes_at_start = make_model(False, 1e-2)
    free, slopes = start.copy(), slopes_at_start.copy()
    most = active_set.minimize_active(hessian, penalty, free, slopes)
    # Some lie between a start and where it would go, one holds a parameter where it is.
    lower, upper = np.minimum(start, free) - 1, np.maximum(start, free) + 1
    lower[4:8], upper[4:8] = np.minimum(start, 0.5 * (start + free))[4:8], np.maximum(start, 0.5 * (start + free))[4:8]
    lower[9] = upper[9] = start[9]
    parameters, slopes = start.copy(), slopes_at_start.copy()
    box = SimpleNamespace(least=lower.reshape(K, SIZE), most=upper.reshape(K, SIZE))
    decrease = active_set.minimize_active(hessian, penalty, parameters, slopes, box)
    assert ((lower <= parameters) & (parameters <= upper)).all()
    is_held = (parameters == lower) | (parameters == upper)
    assert is_held[9] and is_held[4:8].any() and not is_held.all()
    change = parameters - start
    before, after = (
        value_of(hessian, penalty, slopes_at_start, moved, end)
        for moved, end in ((np.zeros(len(start)), start), (change, parameters))
    )
    assert decrease == pytest.approx(before - after, rel=1e-8)
    assert 0 < decrease < most
    np.testing.assert_allclose(slopes, slopes_at_start + hessian @ change, rtol=0, atol=1e-9)
    left = slopes + np.tile(THRESHOLDS, K) * np.sign(parameters)
    is_free = ((parameters != 0) | (np.tile(THRESHOLDS, K) == 0)) & ~is_held
    assert np.abs(left[is_free]).max() < 1e-7


def test_nothing_active_is_left_alone():
    penalty = SimpleNamespace(thresholds=np.ones(2), group_by_class=False)
    parameters, slopes = np.zeros(2), np.ones(2)
    assert active_set.minimize_active(np.eye(2), penalty, parameters, slopes) == 0
    assert not parameters.any()
    np.testing.assert_array_equal(slopes, np.ones(2))
