"""Passes with one row of coefficients that read X in place, beside the naive oracle and the passes by tiles."""

import naive
import numpy as np
import pytest
from conftest import make_problem, marked

from fastlin.kernels.linear import logistic_rows
from fastlin.kernels.linear.operands import BlockSums, Curvature, Kept, Losses, Parameters, Samples
from fastlin.kernels.machine.arrays import any_layout
from fastlin.kernels.machine.threads import run_blocks
from fastlin.kernels.machine.tiles import Scaling

NONE = np.empty(0, np.int64)
TYPES = [
    (np.float64, np.float64),
    (np.float32, np.float32),
    *marked(pytest.mark.thorough, (np.uint8, np.float64), (np.float64, np.float32)),
    *marked(pytest.mark.slow, (np.int16, np.float64)),
]
LAYOUTS = {"C": np.ascontiguousarray, "F": np.asfortranarray, "rows apart": lambda X: np.repeat(X, 2, axis=0)[::2]}


def make_sums(n_blocks, d):
    return BlockSums(np.full((n_blocks, 1, d), np.nan), np.full((n_blocks, 1), np.nan))


def run_pass(X, labels, weights, coef, intercept, kind=np.float64, scaling=None, n_blocks=1, tile_rows=16):
    """Return loss, gradient, intercept gradient and probabilities of the kernel, blocks added in order."""
    d = X.shape[1]
    scaling = Scaling(np.ones(d), np.zeros(d)) if scaling is None else scaling
    losses, sums = np.full(n_blocks, np.nan), make_sums(n_blocks, d)
    probabilities = np.full((1, len(X)), np.nan, kind)
    samples = Samples(NONE, labels.astype(np.int32), weights.astype(np.float64))
    parameters = Parameters(np.ascontiguousarray(coef, kind), intercept.astype(kind))
    arguments = any_layout(X), scaling, parameters, tile_rows, sums
    turn = Losses(samples, losses, Kept.of(probabilities)), None
    run_blocks(logistic_rows.fill_block_pass_in_place, n_blocks, *arguments, *turn)
    return losses.sum(), sums.coef.sum(axis=0), sums.intercept.sum(axis=0), probabilities


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("dtype", "kind"), TYPES)
def test_a_pass_agrees_with_naive(dtype, kind, layout):
    # Below, at and above groups of eight rows, of four columns, and vectors; several tiles and blocks.
    for n, d in [(1, 1), (8, 4), (13, 17), (37, 33), (50, 5)]:
        X, labels, weights, coef, intercept = make_problem(n, d, 2, dtype, seed=n)
        X, coef = LAYOUTS[layout](X), coef.astype(kind).astype(float)
        generator = np.random.default_rng(d)
        scale = 2.0 ** generator.integers(-9 if dtype in (np.uint8, np.int16) else -2, 1, d)
        scaling = Scaling(scale, generator.normal(size=d).astype(kind).astype(float))
        x = X.astype(float) * scale + scaling.shift
        for given in (weights, np.ones(n)):
            expected = naive.loss_and_gradient(x, labels, given, coef, intercept)
            # A shift is part of an entry and of the intercept.
            magnitudes = np.abs(X.astype(float) * scale) + 2 * np.abs(scaling.shift)
            eps = np.finfo(kind).eps
            rounding = naive.rounding_of_loss_and_gradient(magnitudes, given, coef, intercept, eps)
            for n_blocks in (1, 3):
                passed = given if given is weights else np.empty(0)
                found = run_pass(X, labels, passed, coef, intercept, kind, scaling, n_blocks)
                for value, right, bound in zip(found, expected, rounding, strict=False):
                    assert (np.abs(value - right) <= bound).all(), (n, d)
                scores = x @ coef[0] + intercept
                bound = 2 * (d + 20) * eps * (1 + magnitudes @ np.abs(coef[0]) + np.abs(intercept))
                right = np.array([naive.logistic(score, 0)[1][0] for score in scores])
                assert (np.abs(found[3][0] - right) <= bound).all()


@pytest.mark.parametrize("layout", ["C", "F"])
@pytest.mark.parametrize(("dtype", "kind"), TYPES[:2])
def test_a_hessian_product_is_that_of_the_definition(dtype, kind, layout):
    for n, d in [(1, 1), (37, 19)]:
        X, _, weights, direction, shift = make_problem(n, d, 2, dtype, seed=n)
        X, direction = LAYOUTS[layout](X), direction.astype(kind).astype(float)
        generator = np.random.default_rng(d)
        scaling = Scaling(2.0 ** generator.integers(-2, 2, d), generator.normal(size=d).astype(kind).astype(float))
        probabilities = generator.uniform(0, 1, (1, n)).astype(kind)
        given = Parameters(direction.astype(kind), shift.astype(kind))
        rows = weights.astype(kind), probabilities
        found = []
        for n_blocks in (1, 2):
            products = make_sums(n_blocks, d)
            arguments = any_layout(X), scaling, given, 16, products, None, Curvature(*rows)
            run_blocks(logistic_rows.fill_block_pass_in_place, n_blocks, *arguments)
            found.append(np.append(products.coef.sum(axis=0), products.intercept.sum(axis=0)))
        x = np.column_stack([X.astype(float) * scaling.scale + scaling.shift, np.ones(n)])
        p = probabilities[0].astype(float)
        curvatures = rows[0] * p * (1 - p)
        v = np.append(direction, shift.astype(kind))
        magnitudes = np.abs(x) + np.append(2 * np.abs(scaling.shift), 0)
        bound = 4 * (n + d + 10) * np.finfo(kind).eps * (curvatures * (magnitudes @ np.abs(v))) @ magnitudes
        for each in found:
            assert (np.abs(each - (curvatures * (x @ v)) @ x) <= bound).all()


@pytest.mark.parametrize("layout", ["C", "F"])
@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_extreme_scores_neither_overflow_nor_lose_the_loss(kind, layout):
    X = LAYOUTS[layout](np.array([[1e4], [-1e4], [1e4], [0.0], [40.0]], dtype=kind))
    labels = np.array([0, 0, 1, 1, 1])
    coef, intercept = np.array([[1.0]]), np.zeros(1)
    expected = naive.loss_and_gradient(X, labels, np.ones(5), coef, intercept)
    found = run_pass(X, labels, np.ones(5), coef, intercept, kind)
    for value, right in zip(found, expected, strict=False):
        assert np.isfinite(value).all()
        np.testing.assert_allclose(value, right, rtol=4 * np.finfo(kind).eps, atol=4e4 * np.finfo(kind).eps)


# NumPy, which stands in where kernels are not compiled, warns of them.
@pytest.mark.filterwarnings("ignore:(invalid value|overflow) encountered:RuntimeWarning")
@pytest.mark.parametrize("layout", ["C", "F"])
def test_what_is_not_finite_reaches_loss_and_gradient(layout):
    X, labels, weights, coef, intercept = make_problem(9, 3, 2)
    X = LAYOUTS[layout](X)
    for broken in (np.where(np.arange(3) == 1, np.nan, coef), coef):
        at = intercept if broken is not coef else np.array([np.nan])
        loss, gradient, by_intercept, _ = run_pass(X, labels, weights, broken, at)
        assert np.isnan(loss)
        assert np.isnan(gradient).all()
        assert np.isnan(by_intercept).all()
    labels[:] = 0
    loss, gradient, *_ = run_pass(X, labels, weights, coef, np.array([np.inf]))
    assert loss == np.inf
    assert (np.abs(gradient[0] - weights @ X) <= 20 * np.finfo(float).eps * (weights @ np.abs(X))).all()


def test_a_pass_of_rows_that_all_but_agree_keeps_their_losses():
    # Losses far below the rounding of one, whose products are added up.
    X, labels = np.full((70, 1), 50.0), np.ones(70, np.int64)
    loss, *_ = run_pass(X, labels, np.empty(0), np.ones((1, 1)), np.zeros(1), tile_rows=64)
    assert loss == pytest.approx(70 * np.log1p(np.exp(-50.0)), rel=1e-13)


@pytest.mark.parametrize(
    ("precision", "scale", "shift", "allowed"),
    [
        (np.float64, 1.0, 64.0, True),
        (np.float64, 1.0, -64.1, False),
        (np.float32, 1.0, 2.0, True),
        (np.float32, 1.0, 2.1, False),
        (np.float64, 2.0**256, 0.0, True),
        (np.float64, 2.0**-257, 0.0, False),
        (np.float32, 2.0**33, 0.0, False),
    ],
)
def test_columns_far_from_zero_and_of_extreme_scales_are_not_read_in_place(precision, scale, shift, allowed):
    scales, shifts = np.array([1.0, scale]), np.array([0.0, shift])
    assert logistic_rows.allows_folding(scales, shifts, precision) == allowed
