"""The penalty in scaled coordinates: curvatures, thresholds, sizes, and which penalties are smooth or bounded."""

import numpy as np
import pytest
from conftest import COLUMNS, FACTORS, make_objective, make_sized

from fastlin.kernels.linear.penalties import CONJUGATE
from fastlin.objective import LARGEST_PENALTY
from fastlin.objective.penalty import NO_EXCHANGE


@pytest.mark.parametrize("columns", COLUMNS)
def test_curvatures_and_sizes_are_those_of_the_coefficients(columns):
    for n_classes, grouped in [(2, False), (5, True)]:
        objective, parameters = make_sized(20, n_classes, columns, l2=0.7, l1=0.4, group_by_class=grouped)
        penalty = objective.penalty
        coef, _ = objective.coordinates.to_coefficients(parameters)
        square = np.sum(penalty.factors * coef**2)
        assert np.sum(penalty.curvatures * parameters**2) == pytest.approx(0.7 * square, rel=1e-12)
        sizes = np.sqrt((coef**2).sum(axis=0)) if grouped else np.abs(coef).sum(axis=0)
        assert penalty.size(parameters) == pytest.approx(0.4 * sizes @ penalty.factors, rel=1e-12)
        assert penalty.curvatures[-1] == penalty.thresholds[-1] == 0
        np.testing.assert_array_equal(penalty.thresholds[:-1], 0.4 * penalty.factors * objective.coordinates.scale)
        np.testing.assert_allclose(penalty.arrays.roots**2, penalty.curvatures[:-1], rtol=1e-15)
        assert (penalty.is_smooth, penalty.is_bounded, penalty.is_none) == (False, True, False)
        assert columns == "badly scaled" or (penalty.factors == FACTORS).all()


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("columns", COLUMNS)
def test_the_conjugate_is_the_largest_slope_less_penalty(grouped, columns):
    # At a dual point G the conjugate is max over V of <G, V> - penalty(V), which no other V exceeds.
    objective, parameters = make_sized(20, 4, columns, l2=0.7, l1=0.4, group_by_class=grouped)
    penalty, generator = objective.penalty, np.random.default_rng(0)
    thresholds, curvatures = penalty.thresholds[:-1], penalty.curvatures[:-1]
    slopes = generator.normal(size=parameters.shape)
    slopes[:, :-1] *= 3 * thresholds
    of_coef = slopes[:, :-1]
    # The gradient at zero is that of the loss alone.
    found = penalty.conjugate(np.zeros_like(parameters), slopes, NO_EXCHANGE, 1.0)[CONJUGATE]
    sizes = np.sqrt((of_coef**2).sum(axis=0)) if grouped else np.abs(of_coef)
    best = of_coef / sizes * np.maximum(sizes - thresholds, 0) / curvatures

    def value(coef):
        full = np.column_stack([coef, np.zeros(len(coef))])
        return np.sum(of_coef * coef) - 0.5 * np.sum(curvatures * coef**2) - penalty.size(full)

    assert found > 0
    assert found == pytest.approx(value(best), rel=1e-12)
    for _ in range(20):
        moved = best + generator.normal(size=best.shape) * 10.0 ** generator.uniform(-4, 1) / curvatures
        assert value(moved) <= found * (1 + 1e-12)


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
    assert point.lower_bound() == -np.inf
    assert point.natural_gap == np.inf
    assert make_objective(30, 6, 3, l1=0.0, l2=0.2, penalty_factors=factors)[0].penalty.is_smooth
    free = make_objective(30, 6, 3, l1=0.4, penalty_factors=np.zeros(6))[0].penalty
    assert (free.is_smooth, free.is_bounded, free.is_none) == (True, False, True)


def test_penalties_beyond_the_range_of_float64_are_cut():
    objective, parameters = make_objective(20, 3, 3, l2=1e300, l1=1e300, penalty_factors=np.full(3, 1e20))
    penalty = objective.penalty
    assert penalty.curvatures.max() <= LARGEST_PENALTY
    assert penalty.thresholds.max() <= LARGEST_PENALTY
    assert np.isfinite(objective.at(np.zeros_like(parameters)).lower_bound())
