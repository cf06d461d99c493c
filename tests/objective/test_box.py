"""Bounds on the coefficients: the dual objective and bounds on rounding errors, compared with exact sums."""

from itertools import product

import numpy as np
import pytest
from objectives import build_objective, make_objective, make_offset_objective

from tests.objective.test_duality import exact_value_and_bound

# Rows, features, classes, columns and intercept.
SHAPES = [
    (1, 2, 3, "plain", False),
    (12, 6, 4, "badly scaled", True),
    (80, 5, 3, "shifted", True),
    (60, 4, 2, "constant", True),
]
PENALTIES = [(0, 1e-6), (0, 0.1), (0.02, 0), (1e-3, 0.05), (0, 0)]
KINDS = ["below", "around", "away", "mixed"]


def make_bounds(generator, shape, kind, size=1.0):
    """Return bounds of a kind: lower bounds, intervals with or without zero, or a mixture with unbounded entries."""
    sides = [size * generator.uniform(size=shape) for _ in range(3)]
    if kind == "below":
        return np.zeros(shape), np.full(shape, np.inf)
    if kind == "around":
        return -sides[0], sides[1]
    if kind == "away":
        # Some bounds fix a coefficient.
        lower = sides[0] * generator.choice([-1, 1], shape)
        return lower, lower + sides[1] * (sides[2] > 0.3)
    lower = np.where(sides[2] < 0.5, -sides[0], -np.inf)
    return lower, np.where(sides[1] < 0.5, np.maximum(lower, 0) + sides[0], np.inf)


def make_bounded_objective(n, d, n_classes, columns, kind, offset=0.0, soft=False, seed=0, **options):
    """Return an objective with bounds of a kind, and a random generator. Bounds are chosen in scaled coordinates."""
    generator = np.random.default_rng(seed)
    plain, _ = make_objective(n, d, n_classes, columns=columns, seed=seed, **options)
    scale = plain.coordinates.scale
    bounds = tuple(scale * side for side in make_bounds(generator, (plain.n_rows_coef, d), kind))
    options |= {"columns": columns, "bounds": bounds}
    return make_offset_objective(n, d, n_classes, offset, soft, seed, **options)[0], generator


@pytest.mark.filterwarnings("ignore:(invalid value|divide by zero)")
@pytest.mark.parametrize("has_offsets", [False, True])
def test_the_lower_bound_is_below_the_dual_value_in_extended_precision(has_offsets):
    # Each kind of bounds is tested with one shape, and with a different shape if there are offsets and soft labels.
    shapes, offset = (SHAPES[-1:] + SHAPES[:-1], 3.0) if has_offsets else (SHAPES, 0.0)
    for (kind, shape), (l1, l2) in product(zip(KINDS, shapes, strict=True), PENALTIES):
        for n, d, n_classes, columns, fit_intercept in (shape, (40, 5, 3, "plain", False)):
            options = {"l1": l1, "l2": l2, "fit_intercept": fit_intercept}
            objective, generator = make_bounded_objective(
                n, d, n_classes, columns, kind, offset, has_offsets, seed=n, **options
            )
            has_finite_bound = objective.penalty.is_bounded
            assert has_finite_bound or not (l1 or l2 or kind in ("around", "away"))
            for size in (0.3, 100.0):
                parameters = size * generator.normal(size=objective.shape)
                parameters[:, -1] *= fit_intercept
                point = objective.at(objective.penalty.clip(parameters))
                value, bound = exact_value_and_bound(objective, point.parameters)
                assert abs(point.value - value) <= point.rounding
                if not has_finite_bound:
                    assert point.lower_bound() == -np.inf
                    continue
                assert point.lower_bound() <= bound <= value + 1e-16 * (value + offset)
                # If probability moves between classes, the entropy has only a lower bound.
                assert point.dual_value <= bound + point.dual_value_rounding
                # Without an intercept, no probability moves. Far from the minimum, a point between labels and
                # probabilities has a larger entropy.
                if not fit_intercept and size < 1 and n == 40 and (l1 or l2 > 0.01):
                    assert point.dual_value == pytest.approx(float(bound), rel=1e-9, abs=1e-9 * float(value))


def test_the_smallest_subgradient_ignores_directions_out_of_the_bounds():
    # The expected values are one-sided derivatives of J for each coefficient.
    lower, upper = np.array([[-1.0, 0.5, 0.0, 0.2, -3.0]]), np.array([[1.0, 0.9, np.inf, 0.2, -2.0]])
    objective, _ = make_objective(30, 5, 2, l1=0.05, l2=0.1, bounds=(lower, upper))
    assert (objective.penalty.box.parameter_lower_bounds[:, :-1] * objective.coordinates.scale == lower).all()

    def evaluate_coef(coef):
        return objective.at(objective.coordinates.to_parameters(coef, np.zeros(1)))

    for coef in ([-1.0, 0.5, 0.0, 0.2, -2.0], [1.0, 0.9, 0.7, 0.2, -3.0], [0.0, 0.6, 0.0, 0.2, -2.5]):
        coef, step = np.array([coef]), 1e-6
        point = evaluate_coef(coef)
        expected = [abs(point.gradient[0, -1])]
        for j, move in enumerate(step * np.eye(5)):
            for sign, is_free in ((1, coef[0, j] < upper[0, j]), (-1, coef[0, j] > lower[0, j])):
                if is_free:
                    expected.append((point.value - evaluate_coef(coef + sign * move).value) / step)
        assert point.largest_subgradient_entry == pytest.approx(max(expected), rel=1e-4)


def test_coefficients_are_rounded_towards_the_inside_of_their_bounds():
    generator = np.random.default_rng(0)
    lower = generator.normal(size=(1, 400))
    upper = lower + generator.choice([0.0, 1e-9, 1e-7, 1.0, np.inf], lower.shape)
    X = generator.normal(size=(9, 400))
    box = build_objective(X, np.arange(9) % 2, 2, l2=0.1, bounds=(lower, upper)).penalty.box
    has_float32_in_bounds = np.nextafter(lower.astype(np.float32), np.float32(np.inf)) <= upper
    for width_fraction in (0.0, 0.3, 1.0):
        parameters = box.clip(
            box.parameter_lower_bounds
            + width_fraction * np.minimum(box.parameter_upper_bounds - box.parameter_lower_bounds, 1.0)
        )
        parameters[:, -1] = 0
        exact = parameters[:, :-1] * np.divide(lower, box.parameter_lower_bounds[:, :-1])
        actual = box.round_coef(exact.astype(np.float32), parameters)
        assert actual.dtype == np.float32
        assert ((actual >= lower) & (actual <= upper))[has_float32_in_bounds].all()
        np.testing.assert_allclose(actual, exact, rtol=0, atol=1e-6)
        np.testing.assert_array_equal(box.round_coef(lower.copy(), box.parameter_lower_bounds), lower)


def test_features_with_bounds_are_not_centered():
    lower = np.full((3, 4), -np.inf)
    lower[1, 2] = 0.0
    objective, parameters = make_objective(30, 4, 3, l2=0.1, bounds=(lower, np.full((3, 4), np.inf)))
    before, after = (
        objective.coordinates.convert_to_coefficients(p) for p in (parameters, objective.center(parameters))
    )
    np.testing.assert_array_equal(after[0][:, 2], before[0][:, 2])
    np.testing.assert_allclose(after[0][:, [0, 1, 3]].sum(axis=0), 0, atol=1e-12)
    assert after[1].sum() == pytest.approx(0, abs=1e-12)
    assert objective.at(parameters).loss == pytest.approx(objective.at(objective.center(parameters)).loss, rel=1e-12)
