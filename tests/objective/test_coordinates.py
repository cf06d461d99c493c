"""Scales and shifts of columns, the way between parameters and coefficients, and the penalty there."""

import numpy as np
import pytest
from conftest import COLUMNS, make_objective, make_problem

from fastlin.objective import LARGEST_PENALTY, Objective


@pytest.mark.parametrize("columns", COLUMNS)
def test_parameters_and_coefficients_are_each_others_inverse_and_give_the_same_scores(columns):
    for n_classes in (2, 4):
        objective, parameters = make_objective(20, 5, n_classes, columns=columns, l2=0.1)
        coordinates, X = objective.coordinates, objective.matrix.X
        coef, intercept = coordinates.to_coefficients(parameters)
        np.testing.assert_allclose(coordinates.to_parameters(coef, intercept), parameters, rtol=1e-9, atol=1e-9)
        expected = (X * coordinates.scale + coordinates.shift) @ parameters[:, :-1].T + parameters[:, -1]
        np.testing.assert_allclose(X @ coef.T + intercept, expected, rtol=1e-9, atol=1e-9)


def test_the_curvature_of_the_penalty_counts_in_the_scale():
    X, labels, *_ = make_problem(50, 3, 2)
    weak, strong = (Objective.over(X, labels, 2, l2=l2).coordinates.scale for l2 in (1e-6, 1e6))
    np.testing.assert_array_equal(np.log2(strong), np.round(np.log2(strong)))
    assert (np.abs(np.log2(strong * 1e3)) <= 0.51).all()
    assert (weak > 100 * strong).all()


def test_a_factor_of_zero_frees_its_feature_and_a_penalty_of_zero_is_none():
    factors = np.array([1.0, 0.0, 2.0, 1.0, 1.0, 1.0])
    objective, parameters = make_objective(30, 6, 3, l1=0.4, l2=0.2, penalty_factors=factors)
    penalty = objective.penalty
    assert not penalty.is_bounded
    moved = parameters.copy()
    moved[:, 1] = 0
    assert penalty.size(moved) == penalty.size(parameters) > 0
    assert penalty.thresholds[1] == penalty.curvatures[1] == 0
    point = objective.at(parameters)
    assert (point.lower_bound(), point.natural_gap) == (-np.inf, np.inf)
    assert make_objective(30, 6, 3, l1=0.0, l2=0.2, penalty_factors=factors)[0].penalty.is_smooth
    free = make_objective(30, 6, 3, l1=0.4, penalty_factors=np.zeros(6))[0].penalty
    assert (free.is_smooth, free.is_bounded, free.is_none) == (True, False, True)


def test_penalties_beyond_the_range_of_float64_are_cut():
    objective, parameters = make_objective(20, 3, 3, l2=1e300, l1=1e300, penalty_factors=np.full(3, 1e20))
    assert max(objective.penalty.curvatures.max(), objective.penalty.thresholds.max()) <= LARGEST_PENALTY
    assert np.isfinite(objective.at(0 * parameters).lower_bound())
