"""The bound on J - J* without a penalty, compared with the minimum."""

import numpy as np
import pytest
from conftest import COLUMN_KINDS
from hypothesis import given, settings
from hypothesis import strategies as st
from objectives import begin, build_objective, evaluate, get_data, make_objective, make_offset_objective

from fastlin.objective.self_concordance import bound_row_entries, bound_suboptimality
from fastlin.solvers import newton
from fastlin.solvers.newton import solve_newton_equations
from fastlin.solvers.stopping import Stopping


def compute_suboptimality_bound(point):
    direction, diagonal, factor = solve_newton_equations(point)
    return bound_suboptimality(point, direction, diagonal, factor.compute_column_squares(), factor.solve), direction


def minimize(objective):
    stopping = Stopping(objective, 1e-15, "suboptimality", 100)
    return newton.minimize_by_cholesky(begin(objective, stopping))


@pytest.mark.parametrize("columns", [*COLUMN_KINDS, "offsets", "offsets and soft labels"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_self_concordance_bound_is_close_near_the_minimum(n_classes, columns):
    for fit_intercept in (True, False) if columns in ("plain", "badly scaled", "constant") else (True,):
        if columns in COLUMN_KINDS:
            objective, _ = make_objective(300, 4, n_classes, columns=columns, fit_intercept=fit_intercept)
        else:
            size, soft = (1e3, True) if "soft" in columns else (2.0, False)
            objective, _ = make_offset_objective(300, 4, n_classes, size, soft)
        minimum, ratios = minimize(objective).value, []
        point = evaluate(objective, objective.start())
        for _ in range(8):
            bound, direction = compute_suboptimality_bound(point)
            suboptimality = point.value - minimum
            assert suboptimality - point.rounding <= bound
            if suboptimality > 1e-9:
                ratios.append((suboptimality, bound / suboptimality))
            point = evaluate(objective, point.parameters + direction.step)
        assert min(ratio for _, ratio in ratios) < 5
        assert all(ratio < 5 for suboptimality, ratio in ratios if suboptimality < 1e-5)
        assert columns not in COLUMN_KINDS or ratios[-1][0] < 1e-5


@pytest.mark.parametrize("columns", COLUMN_KINDS)
def test_no_row_is_longer_than_the_bound(columns):
    for dtype in (np.float64, np.uint8):
        objective, _ = make_objective(200, 6, 3, dtype, columns if dtype == np.float64 else "plain")
        X, *_ = get_data(objective)
        coordinates = objective.coordinates
        longest = np.abs(X.astype(np.longdouble) * coordinates.scale + coordinates.shift).max(axis=0)
        varying_columns = np.delete(np.arange(6), coordinates.vanishing_columns)
        assert (longest <= bound_row_entries(coordinates)[:-1])[varying_columns].all()
        np.testing.assert_allclose(
            longest[varying_columns].astype(float), bound_row_entries(coordinates)[:-1][varying_columns], rtol=1e-3
        )


@settings(max_examples=40)
@given(
    n_classes=st.integers(2, 4),
    d=st.integers(1, 5),
    distance=st.floats(-6, 1),
    fit_intercept=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_bound_holds_at_random_points(n_classes, d, distance, fit_intercept, seed):
    generator = np.random.default_rng(seed)
    X, labels = generator.standard_t(3, size=(80, d)), np.arange(80) % n_classes
    objective = build_objective(
        X, labels, n_classes, weights=generator.uniform(0.1, 3, 80), fit_intercept=fit_intercept
    )
    solution = minimize(objective)
    best, minimum = solution.parameters, solution.value
    step = 10**distance * generator.normal(size=best.shape)
    step[:, -1] *= fit_intercept
    for parameters in (best, best + objective.center(step), objective.start()):
        point = evaluate(objective, parameters)
        assert point.value - minimum <= compute_suboptimality_bound(point)[0] + point.rounding


def test_only_collinear_columns_have_no_bound():
    X = np.random.default_rng(0).normal(size=(100, 3))
    X[:, 1] = 3.0
    labels = np.arange(100) % 3
    for l2, factors in ((0.0, [1, 1, 1]), (0.1, [1, 1, 0])):
        objective = build_objective(X, labels, 3, l2=l2, penalty_factors=np.array(factors, float))
        assert not objective.penalty.is_bounded
        point = evaluate(objective, objective.start())
        for _ in range(2):
            point = evaluate(objective, point.parameters + compute_suboptimality_bound(point)[1].step)
        assert point.value - minimize(objective).value - point.rounding <= compute_suboptimality_bound(point)[0] < 1e-4
    dependent = build_objective(np.column_stack([X, X.sum(axis=1)]), labels % 2, 2)
    assert compute_suboptimality_bound(evaluate(dependent, dependent.start()))[0] == np.inf
