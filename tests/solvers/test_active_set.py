"""Newton steps over the active parameters of a penalized quadratic model."""

from types import SimpleNamespace

import numpy as np
import pytest
import reference

from fastlin.solvers import quadratic, tuning

K, N_COLUMNS = 3, 7
PENALTY_THRESHOLDS = np.append(np.linspace(0.05, 0.4, N_COLUMNS - 1), 0.0)


def make_model(grouped, standard_deviation):
    """Return the Hessian of nearly equal columns, a penalty, parameters with some zeros, and slopes."""
    generator = np.random.default_rng(1)
    rows = 1 + standard_deviation * generator.normal(size=(60, K * N_COLUMNS))
    hessian = rows.T @ rows / 60
    parameters = generator.normal(size=(K, N_COLUMNS))
    parameters[:, :2] = 0
    if not grouped:
        parameters[0, 2:4] = 0
    slopes = hessian @ parameters.ravel() - generator.normal(size=60) @ rows / 60
    penalty = SimpleNamespace(thresholds=PENALTY_THRESHOLDS, group_lasso=grouped, box=None)
    return hessian, penalty, parameters.ravel(), slopes


def value_of(hessian, penalty, slopes, change, parameters):
    """Return the value of the model. The slopes were computed at `parameters` minus `change`."""
    parameters = parameters.reshape(-1, len(penalty.thresholds))
    sizes = reference.compute_magnitudes(parameters, penalty.group_lasso)
    return slopes @ change + 0.5 * change @ hessian @ change + np.sum(penalty.thresholds * sizes)


@pytest.fixture(autouse=True)
def ignore_numpy_call_work(monkeypatch):
    """Allow small models to take as many group steps as large models."""
    monkeypatch.setattr(quadratic, "NUMPY_CALL_WORK", 0)


@pytest.fixture
def recorded_group_steps(monkeypatch):
    """Return a list to which the group steps of the solver are appended."""
    steps, take = [], quadratic._take_group_step
    monkeypatch.setattr(quadratic, "_take_group_step", lambda *arguments: steps.append(take(*arguments)) or steps[-1])
    return steps


def minimize(hessian, penalty, start, start_slopes, rel=1e-8):
    """Return the minimizer, its slopes and the decrease. Check slopes and decrease against the model."""
    parameters, slopes = start.copy(), start_slopes.copy()
    decrease = quadratic.minimize_active_set(hessian, penalty, parameters, slopes)
    before, after = (value_of(hessian, penalty, start_slopes, end - start, end) for end in (start, parameters))
    assert decrease == pytest.approx(before - after, rel=rel, abs=1e-12)
    np.testing.assert_allclose(slopes, start_slopes + hessian @ (parameters - start), rtol=0, atol=1e-9)
    return parameters, slopes, decrease


@pytest.mark.parametrize("standard_deviation", [1.0, 1e-2, 1e-4])
@pytest.mark.parametrize("grouped", [False, True])
def test_the_subgradient_of_active_coefficients_is_zero(recorded_group_steps, grouped, standard_deviation):
    hessian, penalty, start, start_slopes = make_model(grouped, standard_deviation)
    parameters, slopes, decrease = minimize(hessian, penalty, start, start_slopes)
    assert decrease > 0
    assert not parameters[start == 0].any()
    matrix = parameters.reshape(K, N_COLUMNS)
    subgradient = reference.min_norm_subgradient(slopes.reshape(K, N_COLUMNS), matrix, PENALTY_THRESHOLDS, grouped)
    free = (matrix != 0) | (PENALTY_THRESHOLDS == 0)
    # The last group step is exact up to the change in the curvature of the norms.
    assert subgradient[free].max() < (1e-3 if grouped else 1e-7)
    assert not (grouped and standard_deviation == 1) or 1 < len(recorded_group_steps) <= 12


def test_a_small_model_takes_one_group_step_between_sweeps(recorded_group_steps, monkeypatch):
    monkeypatch.setattr(quadratic, "NUMPY_CALL_WORK", tuning.NUMPY_CALL_WORK)
    minimize(*make_model(True, 1.0))
    assert len(recorded_group_steps) == 1


def test_groups_reach_the_minimum_if_only_their_norms_have_curvature():
    generator = np.random.default_rng(0)
    # There are three rows for eight parameters. Along the other five directions, a Newton step is far too long.
    rows = generator.normal(size=(3, 8))
    hessian, start = rows.T @ rows, generator.normal(size=8)
    slopes = hessian @ (0.5 * generator.normal(size=8))
    penalty = SimpleNamespace(thresholds=np.full(4, 1e-3), group_lasso=True, box=None)
    parameters, *_ = minimize(hessian, penalty, start, slopes, rel=1e-9)
    change = parameters - start
    minimum = -0.5 * slopes @ np.linalg.pinv(hessian) @ slopes
    assert slopes @ change + 0.5 * change @ hessian @ change < 0.99 * minimum < 0


def test_groups_at_their_minimum_do_not_follow_rounding_errors(recorded_group_steps):
    # Only intercepts are active, and the model is flat along equal changes of all of them.
    probabilities = np.full(K, 1 / K)
    intercept_hessian = np.diag(probabilities) - np.outer(probabilities, probabilities)
    hessian = np.kron(intercept_hessian, np.diag([1.0, 2.0, 0.5, 1.0]))
    penalty = SimpleNamespace(thresholds=np.array([1.0, 1.0, 1.0, 0.0]), group_lasso=True, box=None)
    parameters = np.tile([0.0, 0.0, 0.0, 0.3], K)
    slopes = np.random.default_rng(0).normal(scale=1e-17, size=len(parameters))
    min_model_decrease = 2.0**-53
    assert (
        abs(quadratic.minimize_active_set(hessian, penalty, parameters, slopes, min_model_decrease=min_model_decrease))
        <= min_model_decrease
    )
    assert len(recorded_group_steps) == 1


def test_parameters_that_change_sign_become_zero():
    # The first two parameters are equal, and become zero together.
    hessian = np.eye(4) + 0.2
    penalty = SimpleNamespace(thresholds=np.ones(4), group_lasso=False, box=None)
    parameters, slopes, _ = minimize(hessian, penalty, np.array([0.3, 0.3, 2.0, 0.0]), np.array([0.3, 0.3, 0.5, 0.0]))
    assert not parameters[[0, 1, 3]].any()
    assert parameters[2] > 0 and slopes[2] == pytest.approx(-1)
    parameters, _, decrease = minimize(np.eye(4), penalty, np.zeros(4), np.ones(4))
    assert decrease == 0 and not parameters.any()


def test_bounds_are_respected():
    hessian, penalty, start, start_slopes = make_model(False, 1e-2)
    free, _, max_decrease = minimize(hessian, penalty, start, start_slopes)
    # Some bounds lie between start and minimizer, and one pair fixes a parameter.
    lower, upper = np.minimum(start, free) - 1, np.maximum(start, free) + 1
    lower[4:8], upper[4:8] = np.minimum(start, 0.5 * (start + free))[4:8], np.maximum(start, 0.5 * (start + free))[4:8]
    lower[9] = upper[9] = start[9]
    penalty.box = SimpleNamespace(
        parameter_lower_bounds=lower.reshape(K, N_COLUMNS), parameter_upper_bounds=upper.reshape(K, N_COLUMNS)
    )
    parameters, slopes, decrease = minimize(hessian, penalty, start, start_slopes)
    assert ((lower <= parameters) & (parameters <= upper)).all()
    is_at_bound = (parameters == lower) | (parameters == upper)
    assert is_at_bound[9] and is_at_bound[4:8].any() and not is_at_bound.all()
    assert 0 < decrease < max_decrease
    subgradient = slopes + np.tile(PENALTY_THRESHOLDS, K) * np.sign(parameters)
    is_free = ((parameters != 0) | (np.tile(PENALTY_THRESHOLDS, K) == 0)) & ~is_at_bound
    assert np.abs(subgradient[is_free]).max() < 1e-7
