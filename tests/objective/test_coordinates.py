"""Scales and shifts of columns, and the way between parameters and coefficients."""

import numpy as np
import pytest
from conftest import COLUMNS, make_objective, make_problem

from fastlin.objective import Objective


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
