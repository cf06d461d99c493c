"""The penalty in scaled coordinates: curvatures, thresholds, sizes, and which penalties are smooth or bounded."""

import numpy as np
from conftest import make_objective

from fastlin.objective import LARGEST_PENALTY


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
