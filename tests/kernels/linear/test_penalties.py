"""The gradient of the penalty and the terms of the dual objective, compared with NumPy."""

import numpy as np
import pytest
from conftest import make_python_callable
from reference import compute_magnitudes, min_norm_subgradient

from fastlin.kernels.linear import penalties
from fastlin.kernels.machine.threads import run_blocks

SHAPES = [(1, 1), (1, 7), (3, 5), (4, penalties.STRIP_COLUMNS + 3)]


class PenaltyCase:
    """Random parameters with zeros, a gradient of the loss, and a penalty with some factors of zero."""

    def __init__(self, n_classes, d, l2, seed=0):
        generator = np.random.default_rng(seed)
        self.K, self.d, self.generator = n_classes, d, generator
        scale, shift = 2.0 ** generator.integers(-3, 3, d), generator.normal(size=d)
        self.scale, self.shift, self.error_weight = scale, shift, generator.uniform(1, 3, d)
        factors = generator.uniform(0.5, 2, d) * (generator.uniform(size=d) < 0.9)
        self.curvatures = np.append(l2 * factors * scale**2, 0)
        self.roots = scale * np.sqrt(l2 * factors)
        self.thresholds = np.append(0.7 * factors * scale, 0)
        self.parameters = generator.normal(size=(n_classes, d + 1))
        self.parameters[:, :-1] *= generator.uniform(size=(n_classes, d)) < 0.6
        self.parameters[:, :-1] *= generator.uniform(size=d) < 0.7
        self.total_weight = 3.0
        self.loss_gradient = generator.normal(size=(n_classes, d + 1))

    def penalty(self, grouped):
        columns = {"scale": self.scale, "shift": self.shift, "error_weight": self.error_weight}
        return penalties.PenaltyArrays(self.curvatures, self.thresholds, self.roots, grouped, **columns)


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize(("n_classes", "d"), SHAPES)
def test_penalties_agree_with_numpy(n_classes, d, grouped):
    for n_blocks, l2 in [(1, 0.0), (1, 0.3), (3, 0.3)]:
        case = PenaltyCase(n_classes, d, l2)
        total, parameters = case.loss_gradient * case.total_weight, case.parameters
        gradient, actual = np.full_like(total, np.nan), np.full((n_blocks, 6), np.nan)
        error_weights = np.full((n_blocks, n_classes), np.nan)
        arguments = total, case.total_weight, parameters, case.penalty(grouped)
        run_blocks(penalties.fill_block_penalties, n_blocks, *arguments, gradient, actual, error_weights)
        np.testing.assert_allclose(gradient, case.loss_gradient + case.curvatures * parameters, rtol=1e-13)
        sums, coef = actual.sum(axis=0), parameters[:, :-1]
        assert sums[penalties.QUADRATIC_PENALTY] == pytest.approx((case.curvatures * parameters**2).sum(), rel=1e-12)
        assert sums[penalties.L1_PENALTY] == pytest.approx(
            (compute_magnitudes(coef, grouped) * case.thresholds[:-1]).sum(), rel=1e-12
        )
        assert sums[penalties.LOSS_SLOPE] == pytest.approx(
            (parameters * case.loss_gradient).sum(), rel=1e-10, abs=1e-12
        )
        assert sums[penalties.SLOPE_MAGNITUDE] == pytest.approx(
            np.abs(parameters * case.loss_gradient).sum(), rel=1e-12
        )
        error_weight = np.abs(coef) @ case.error_weight + np.abs(parameters[:, -1])
        np.testing.assert_allclose(error_weights.sum(axis=0), error_weight, rtol=1e-12)
        counted = case.roots > 0
        square = ((gradient[:, :-1][:, counted] / case.roots[counted]) ** 2).sum()
        assert sums[penalties.SQUARED_DUAL_NORM] == pytest.approx(square, rel=1e-12)
        # This is the gradient with respect to the coefficients of unshifted columns.
        slopes = gradient[:, :-1] - case.shift * gradient[:, -1:]
        entries = min_norm_subgradient(slopes, coef, case.thresholds[:-1], grouped) / case.scale
        expected = max(entries.max(), np.abs(gradient[:, -1]).max())
        assert actual[:, penalties.MAX_SUBGRADIENT].max() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("has_probability_transfer", [False, True])
@pytest.mark.parametrize(("n_classes", "d"), SHAPES)
def test_dual_sums_agree_with_numpy(n_classes, d, has_probability_transfer, grouped):
    for step, l2 in [(1.0, 0.0), (0.4, 0.0), (0.4, 0.3)]:
        case = PenaltyCase(n_classes, d, l2)
        loss_gradient, n_all = case.loss_gradient, max(2, n_classes)
        gradient = loss_gradient + case.curvatures * case.parameters
        exchange = penalties.ProbabilityTransfer(np.empty((0, 0)), np.empty(0), np.empty(0))
        # These are the gradients of all classes. With two classes, the first gradient is minus the second.
        class_gradients = (
            loss_gradient[:, :-1] if n_classes > 1 else np.concatenate([-loss_gradient[:, :-1], loss_gradient[:, :-1]])
        )
        if has_probability_transfer:
            parts, received_fractions = np.array([[0.3, 0.0], [0.0, 1.0]]) @ np.eye(2, n_all)
            exchange = penalties.ProbabilityTransfer(case.generator.normal(size=(n_all, d)), parts, received_fractions)
            moved = parts[:, None] * (class_gradients + exchange.features)
            class_gradients = class_gradients - moved + np.outer(received_fractions, moved.sum(axis=0))
        expected = class_gradients[-n_classes:]
        actual = np.full((3, 4), np.nan)
        arguments = gradient, case.parameters, case.penalty(grouped), exchange, step
        run_blocks(penalties.fill_block_dual, 3, *arguments, actual)
        sizes, thresholds = compute_magnitudes(expected, grouped), case.thresholds[:-1]
        exceedance = np.maximum(step * sizes - thresholds, 0)
        squares = np.where(case.roots > 0, case.roots, np.inf) ** 2
        sums = actual.sum(axis=0)
        assert sums[penalties.CONJUGATE] == pytest.approx((exceedance**2 / squares).sum() / 2, rel=1e-11)
        assert sums[penalties.FIRST_DERIVATIVE] == pytest.approx((sizes * exceedance / squares).sum(), rel=1e-11)
        assert sums[penalties.SECOND_DERIVATIVE] == pytest.approx((sizes**2 / squares)[exceedance > 0].sum(), rel=1e-11)
        beyond = (case.roots == 0) & (exceedance > 0)
        ratios = np.divide(thresholds, sizes, out=np.full_like(sizes, np.inf), where=beyond)
        assert actual[:, penalties.MAX_FEASIBLE_STEP].min() == pytest.approx(ratios.min(), rel=1e-12)
        assert l2 == 0 or d < 5 or sums[penalties.CONJUGATE] > 0
        assert l2 > 0 or d < 5 or actual[:, penalties.MAX_FEASIBLE_STEP].min() < 1


@pytest.mark.parametrize("size", [1e152, 1e-152])
def test_roots_whose_squares_leave_the_range_of_float64(size):
    actual, penalty = np.empty((1, 4)), penalties.PenaltyArrays(np.zeros(2), np.zeros(2), np.array([size]), False)
    exchange = penalties.ProbabilityTransfer(np.empty((0, 0)), np.empty(0), np.empty(0))
    penalties.fill_block_dual(0, 1, np.array([[3 * size, 0.0]]), np.zeros((1, 2)), penalty, exchange, 1.0, actual)
    sums = actual[0, [penalties.CONJUGATE, penalties.FIRST_DERIVATIVE, penalties.SECOND_DERIVATIVE]]
    np.testing.assert_allclose(sums, [4.5, 9, 9], rtol=1e-12)


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize(("threshold", "curvature"), [(1.0, 0.0), (0.3, 0.1), (0.01, 1.0), (0.0, 1.0), (1.0, 1e-6)])
def test_the_best_shift_minimizes_the_penalty(threshold, curvature, grouped):
    for n_classes in (3, 4, 7):
        function = make_python_callable(penalties.find_best_shift)
        generator = np.random.default_rng(n_classes)
        for case in range(30):
            values = generator.normal(generator.normal(), 1, n_classes)
            if case % 3 == 0:
                values[generator.uniform(size=n_classes) < 0.5] = 0
            elif case % 3 == 1:
                values = values.round()
            shift = function(values.copy(), threshold, curvature, grouped)
            near = shift + np.array([-1e-3, -1e-5, 1e-5, 1e-3])
            tried = np.concatenate([np.linspace(-6, 6, 401), -values, [0.0, -values.mean()], near])
            moved = values + np.append(tried, shift)[:, None]
            sizes = np.linalg.norm(moved, axis=1) if grouped else np.abs(moved).sum(axis=1)
            costs = threshold * sizes + curvature / 2 * (moved**2).sum(axis=1)
            assert costs[-1] <= costs[:-1].min() + 1e-14
            if not grouped and threshold > 0:
                # At the minimum the best shift is zero.
                assert function(values + shift, threshold, curvature, grouped) == pytest.approx(0, abs=1e-12)


def test_the_best_shift_preserves_a_majority_of_zeros():
    function = make_python_callable(penalties.find_best_shift)
    assert function(np.array([0.0, 5.0, 0.0]), 0.1, 0.0, False) == 0
    assert function(np.array([0.0, 5.0, 0.0]), 1.0, 0.1, False) == 0
    # The median of an odd number of values becomes exactly zero.
    values = np.array([0.3, -0.1, 0.7])
    assert values[0] + function(values, 0.1, 0.0, False) == 0
