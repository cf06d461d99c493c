"""Column scales and shifts, and the conversion between parameters and coefficients."""

import numpy as np
import pytest
from conftest import COLUMN_KINDS, make_problem
from objectives import build_objective, make_objective


@pytest.mark.parametrize("columns", COLUMN_KINDS)
def test_converted_coefficients_give_the_same_scores(columns):
    for n_classes in (2, 4):
        objective, parameters = make_objective(20, 5, n_classes, columns=columns, l2=0.1)
        coordinates, X = objective.coordinates, objective.matrix.X
        coef, intercept = coordinates.convert_to_coefficients(parameters)
        np.testing.assert_allclose(coordinates.to_parameters(coef, intercept), parameters, rtol=1e-9, atol=1e-9)
        expected = (X * coordinates.scale + coordinates.shift) @ parameters[:, :-1].T + parameters[:, -1]
        np.testing.assert_allclose(X @ coef.T + intercept, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("columns", COLUMN_KINDS)
def test_scaled_columns_are_approximately_standardized(columns):
    objective, _ = make_objective(200, 5, 2, columns=columns)
    coordinates, X, weights = objective.coordinates, objective.matrix.X, objective.rows.weights
    scaled = X * coordinates.scale + coordinates.shift
    is_varying = np.ptp(X, axis=0) > 0
    mean = np.average(scaled, axis=0, weights=weights)
    variance = np.average((scaled - mean) ** 2, axis=0, weights=weights)
    assert (np.abs(mean) < 1e-2).all()
    assert (variance[is_varying] > 0.4).all()
    assert (variance < 2.1).all()
    np.testing.assert_allclose(coordinates.mean_squares[:-1], mean**2 + variance, rtol=1e-6)
    np.testing.assert_allclose(coordinates.mean, mean, atol=1e-12)
    assert coordinates.mean_squares[-1] == 1
    np.testing.assert_array_equal(np.log2(coordinates.scale) % 1, 0)
    np.testing.assert_array_equal(coordinates.vanishing_columns, np.flatnonzero(~is_varying))


def test_the_scale_includes_the_curvature_of_the_penalty():
    X, labels, *_ = make_problem(50, 3, 2)
    weak, strong = (build_objective(X, labels, 2, l2=l2).coordinates.scale for l2 in (1e-6, 1e6))
    np.testing.assert_array_equal(np.log2(strong), np.round(np.log2(strong)))
    assert (np.abs(np.log2(strong * 1e3)) <= 0.51).all()
    assert (weak > 100 * strong).all()


@pytest.mark.parametrize(("factor", "allows_float32"), [(1.0, True), (1e15, True), (1e25, False), (1e-25, False)])
def test_float32_is_allowed_within_its_range(factor, allows_float32):
    X, labels, *_ = make_problem(30, 3, 2)
    assert build_objective(X * factor, labels, 2).coordinates.allows_float32 == allows_float32
