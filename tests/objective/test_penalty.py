"""The penalty in scaled coordinates: curvatures, thresholds, values, smoothness and boundedness."""

import numpy as np
import pytest
from conftest import COLUMN_KINDS
from objectives import FACTORS, make_objective, make_scale_free_objective

from fastlin.objective.penalty import MAX_PENALTY


@pytest.mark.parametrize("columns", COLUMN_KINDS)
def test_the_penalty_of_parameters_is_that_of_the_coefficients(columns):
    for n_classes, grouped in [(2, False), (5, True)]:
        objective, parameters = make_scale_free_objective(20, n_classes, columns, l2=0.7, l1=0.4, group_lasso=grouped)
        penalty = objective.penalty
        coef, _ = objective.coordinates.convert_to_coefficients(parameters)
        square = np.sum(penalty.factors * coef**2)
        assert np.sum(penalty.curvatures * parameters**2) == pytest.approx(0.7 * square, rel=1e-12)
        sizes = np.sqrt((coef**2).sum(axis=0)) if grouped else np.abs(coef).sum(axis=0)
        assert penalty.nonsmooth_value(parameters) == pytest.approx(0.4 * sizes @ penalty.factors, rel=1e-12)
        assert penalty.curvatures[-1] == penalty.thresholds[-1] == 0
        np.testing.assert_array_equal(penalty.thresholds[:-1], 0.4 * penalty.factors * objective.coordinates.scale)
        np.testing.assert_allclose(penalty.arrays.roots**2, penalty.curvatures[:-1], rtol=1e-15)
        assert (penalty.is_smooth, penalty.is_bounded, penalty.is_zero) == (False, True, False)
        assert columns == "badly scaled" or (penalty.factors == FACTORS).all()


def test_extreme_penalty_factors_are_supported():
    factors = np.array([1.0, 0.0, 2.0, 1.0, 1.0, 1.0])
    objective, parameters = make_objective(30, 6, 3, l1=0.4, l2=0.2, penalty_factors=factors)
    penalty = objective.penalty
    assert not penalty.is_bounded
    zeroed_parameters = parameters.copy()
    zeroed_parameters[:, 1] = 0
    assert penalty.nonsmooth_value(zeroed_parameters) == penalty.nonsmooth_value(parameters) > 0
    assert penalty.thresholds[1] == penalty.curvatures[1] == 0
    point = objective.at(parameters)
    assert (point.lower_bound(), point.stationary_gap) == (-np.inf, np.inf)
    assert make_objective(30, 6, 3, l1=0.0, l2=0.2, penalty_factors=factors)[0].penalty.is_smooth
    free = make_objective(30, 6, 3, l1=0.4, penalty_factors=np.zeros(6))[0].penalty
    assert (free.is_smooth, free.is_bounded, free.is_zero) == (True, False, True)
    objective, parameters = make_objective(20, 3, 3, l2=1e300, l1=1e300, penalty_factors=np.full(3, 1e20))
    assert max(objective.penalty.curvatures.max(), objective.penalty.thresholds.max()) <= MAX_PENALTY
    assert np.isfinite(objective.at(0 * parameters).lower_bound())
