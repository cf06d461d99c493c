"""What the penalty adds to a gradient and what a dual point costs, against NumPy."""

import numpy as np
import pytest

from fastlin.kernels.linear.penalties import (
    CONJUGATE,
    DUAL_SQUARE,
    FIRST,
    LARGEST,
    SECOND,
    SIZES,
    SLOPE,
    SQUARES,
    STRIP,
    WITHIN,
    fill_block_dual,
    fill_block_penalties,
)
from fastlin.kernels.machine.threads import run_blocks

SHAPES = [(1, 1), (1, 7), (3, 5), (4, STRIP + 3)]


class Case:
    """Random parameters with zeros, a gradient of the loss, and a penalty some of whose numbers are zero."""

    def __init__(self, n_classes, d, l2, seed=0):
        generator = np.random.default_rng(seed)
        self.K, self.d, self.generator = n_classes, d, generator
        self.units, self.offsets = 2.0 ** generator.integers(-3, 3, d), generator.normal(size=d)
        factors = generator.uniform(0.5, 2, d) * (generator.uniform(size=d) < 0.9)
        self.penalties = np.append(l2 * factors * self.units**2, 0)
        self.roots = self.units * np.sqrt(l2 * factors)
        self.thresholds = np.append(0.7 * factors * self.units, 0)
        self.parameters = generator.normal(size=(n_classes, d + 1))
        self.parameters[:, :-1] *= generator.uniform(size=(n_classes, d)) < 0.6
        self.parameters[:, :-1] *= generator.uniform(size=d) < 0.7
        self.total_weight = 3.0
        self.of_loss = generator.normal(size=(n_classes, d + 1))


def lengths(values, grouped):
    return np.sqrt((values**2).sum(axis=0, keepdims=True)) if grouped else np.abs(values)


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("l2", [0.0, 0.3])
@pytest.mark.parametrize(("n_classes", "d"), SHAPES)
@pytest.mark.parametrize("n_blocks", [1, 3])
def test_penalties_are_numpys(n_blocks, n_classes, d, l2, grouped):
    case = Case(n_classes, d, l2)
    total, parameters = case.of_loss * case.total_weight, case.parameters
    gradient, figures = np.full_like(total, np.nan), np.full((n_blocks, 5), np.nan)
    run_blocks(
        fill_block_penalties, n_blocks, total, case.total_weight, parameters, case.penalties, case.thresholds, grouped,
        case.units, case.offsets, case.roots, gradient, figures,
    )  # fmt: skip
    np.testing.assert_allclose(gradient, case.of_loss + case.penalties * parameters, rtol=1e-13)
    sums, coef = figures.sum(axis=0), parameters[:, :-1]
    assert sums[SQUARES] == pytest.approx((case.penalties * parameters**2).sum(), rel=1e-12)
    assert sums[SIZES] == pytest.approx((lengths(coef, grouped) * case.thresholds[:-1]).sum(), rel=1e-12)
    assert sums[SLOPE] == pytest.approx((parameters * case.of_loss).sum(), rel=1e-10, abs=1e-12)
    counted = case.roots > 0
    square = ((gradient[:, :-1][:, counted] / case.roots[counted]) ** 2).sum()
    assert sums[DUAL_SQUARE] == pytest.approx(square, rel=1e-12)
    # By the coefficients of columns that are not shifted.
    slopes = gradient[:, :-1] - case.offsets * gradient[:, -1:]
    sizes, thresholds = lengths(coef, grouped), case.thresholds[:-1]
    along = np.divide(coef, sizes, out=np.zeros_like(coef), where=sizes > 0)
    at_zero = np.maximum(lengths(slopes, grouped) - thresholds, 0)
    entries = np.where(sizes > 0, np.abs(slopes + thresholds * along), at_zero) / case.units
    expected = max(entries.max(), np.abs(gradient[:, -1]).max())
    assert figures[:, LARGEST].max() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("l2", [0.0, 0.3])
@pytest.mark.parametrize("exchanged", [False, True])
@pytest.mark.parametrize(("n_classes", "d"), SHAPES)
@pytest.mark.parametrize("way", [1.0, 0.4])
def test_dual_points_are_numpys(way, n_classes, d, exchanged, l2, grouped):
    case = Case(n_classes, d, l2)
    of_loss, n_all = case.of_loss, max(2, n_classes)
    gradient = of_loss + case.penalties * case.parameters
    parts, taken, labels = np.empty(0), np.empty(0), np.empty((0, 0))
    # The gradient for all classes: of two, that of the first is minus that of the second.
    everyone = of_loss[:, :-1] if n_classes > 1 else np.concatenate([-of_loss[:, :-1], of_loss[:, :-1]])
    if exchanged:
        parts, taken = np.array([[0.3, 0.0], [0.0, 1.0]]) @ np.eye(2, n_all)
        labels = case.generator.normal(size=(n_all, d))
        moved = parts[:, None] * (everyone + labels)
        everyone = everyone - moved + np.outer(taken, moved.sum(axis=0))
    expected = everyone[-n_classes:]
    figures = np.full((3, 4), np.nan)
    run_blocks(
        fill_block_dual, 3, gradient, case.parameters, case.penalties, case.thresholds, grouped, case.roots, labels,
        parts, taken, way, figures,
    )  # fmt: skip
    sizes, thresholds = lengths(expected, grouped), case.thresholds[:-1]
    excess = np.maximum(way * sizes - thresholds, 0)
    squares = np.where(case.roots > 0, case.roots, np.inf) ** 2
    sums = figures.sum(axis=0)
    assert sums[CONJUGATE] == pytest.approx((excess**2 / squares).sum() / 2, rel=1e-11)
    assert sums[FIRST] == pytest.approx((sizes * excess / squares).sum(), rel=1e-11)
    assert sums[SECOND] == pytest.approx((sizes**2 / squares)[excess > 0].sum(), rel=1e-11)
    beyond = (case.roots == 0) & (excess > 0)
    ratios = np.divide(thresholds, sizes, out=np.full_like(sizes, np.inf), where=beyond)
    assert figures[:, WITHIN].min() == pytest.approx(ratios.min(), rel=1e-12)
    assert l2 == 0 or d < 5 or sums[CONJUGATE] > 0
    assert l2 > 0 or d < 5 or figures[:, WITHIN].min() < 1


@pytest.mark.parametrize("size", [1e152, 1e-152])
def test_roots_whose_squares_are_at_the_end_of_float64(size):
    figures = np.empty((1, 4))
    fill_block_dual(
        0, 1, np.array([[3 * size, 0.0]]), np.zeros((1, 2)), np.zeros(2), np.zeros(2), False, np.array([size]),
        np.empty((0, 0)), np.empty(0), np.empty(0), 1.0, figures,
    )  # fmt: skip
    np.testing.assert_allclose(figures[0, [CONJUGATE, FIRST, SECOND]], [4.5, 9, 9], rtol=1e-12)
