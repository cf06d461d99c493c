"""The passes over dense rows, by tiles and in place, and scores, against the naive oracle and on several threads."""

import numpy as np
import pytest
import reference
from conftest import COMPILED, assert_same_bits, from_python, make_offsets_and_targets, make_problem, marked

from fastlin.kernels.linear import dense_rows, logistic_rows, residuals
from fastlin.kernels.linear.operands import BlockSums, Curvature, Losses, Parameters, ProbabilityOutput, Samples
from fastlin.kernels.machine.arrays import any_layout
from fastlin.kernels.machine.threads import run_blocks
from fastlin.kernels.machine.tiles import MAX_TILE_ROWS, Scaling

NONE = np.empty(0, np.int64)
# What the package computes in: narrow numbers in either type, float64 also in float32 while it is far from the minimum.
TYPES = {
    "float64": (np.float64, np.float64, np.float64),
    "float32": (np.float32, np.float32, np.float32),
    "uint8": (np.uint8, np.float64, np.float64),
    "float64 in float32": (np.float64, np.float32, np.float64),
    "uint8 in float32": (np.uint8, np.float32, np.float32),
}
TYPES_IN_PLACE = [
    (np.float64, np.float64),
    (np.float32, np.float32),
    *marked(pytest.mark.thorough, (np.uint8, np.float64), (np.float64, np.float32)),
    *marked(pytest.mark.slow, (np.int16, np.float64)),
]
LAYOUTS = {"C": np.ascontiguousarray, "F": np.asfortranarray, "rows apart": lambda X: np.repeat(X, 2, axis=0)[::2]}
# Numbers of classes, and the layouts of what is read in place.
WAYS = [(2, None), (3, None), (2, "C"), (2, "F")]


def round_to(values, kind):
    return values.astype(kind).astype(np.float64)


def make_sums(n_blocks, n_classes, d):
    return BlockSums(np.full((n_blocks, n_classes, d), np.nan), np.full((n_blocks, n_classes), np.nan))


def run_pass(
    X, labels, weights, coef, intercept, kind=np.float64, scaling=None, rows=NONE, n_blocks=1, layout=None, tile_rows=16
):
    """Return loss, gradient, intercept gradient and probabilities of the kernel, blocks added in order.

    kind is the type computed in; the other types are those that the package passes. With a layout X is read in place.
    """
    n_classes, d = coef.shape
    kind_of_scaling = np.promote_types(X.dtype, kind) if layout else kind
    scaling = Scaling(np.ones(d, kind_of_scaling), np.zeros(d, kind_of_scaling)) if scaling is None else scaling
    losses, sums = np.full(n_blocks, np.nan), make_sums(n_blocks, n_classes, d)
    probabilities = np.full((n_classes, len(rows) or len(X)), np.nan, kind)
    samples = Samples(rows, labels.astype(np.int32), weights.astype(np.float64))
    parameters = Parameters(np.ascontiguousarray(coef, kind), intercept.astype(kind))
    arguments = scaling, parameters, tile_rows, sums, Losses(samples, losses, ProbabilityOutput.of(probabilities)), None
    if layout:
        run_blocks(logistic_rows.fill_block_pass_in_place, n_blocks, any_layout(LAYOUTS[layout](X)), *arguments)
    else:
        run_blocks(dense_rows.fill_block_pass, n_blocks, any_layout(X), rows, *arguments)
    return losses.sum(), sums.coef.sum(axis=0), sums.intercept.sum(axis=0), probabilities


def assert_naive(found, x, magnitudes, labels, weights, coef, intercept, eps):
    """Compare a pass over rows x with the oracle, within the rounding of magnitudes."""
    expected = reference.loss_and_gradient(x, labels, weights, coef, intercept)
    rounding = reference.rounding_of_loss_and_gradient(magnitudes, weights, coef, intercept, eps)
    for value, right, bound in zip(found, expected, rounding, strict=False):
        assert (np.abs(value - right) <= bound).all(), x.shape
    largest = np.abs(coef).sum(axis=0) @ magnitudes.T + np.abs(intercept).max()
    bound = 2 * (x.shape[1] + 20) * eps * (1 + largest)
    _, right, _ = reference.losses_of(x @ coef.T + intercept, labels)
    assert (np.abs(found[3] - right.T) <= bound).all()


@pytest.mark.parametrize("types", [*list(TYPES)[:-1], *marked(pytest.mark.thorough, list(TYPES)[-1])])
# Classes of one, below, at and above the three and the five of a loop, with a remainder of each kind.
@pytest.mark.parametrize("n_classes", [1, 3, 4, 5, 7, 11])
def test_pass_agrees_with_naive(types, n_classes):
    dtype, kind, scale_kind = TYPES[types]
    # The third has whole tiles of few columns, and a tile of few rows; the last more features than one chunk of a
    # product, and more rows than tiles and than are summed in one part.
    shapes = [(1, 1, 1, 16), (13, 17, 2, 16), (290, 13, 2, MAX_TILE_ROWS), (9, 33, 1, 16)]
    for n, d, n_blocks, tile_rows in [*shapes, (300, 900, 7, 16) if COMPILED else (40, 300, 2, 16)]:
        X, labels, weights, coef, intercept = make_problem(n, d, max(2, n_classes), dtype, seed=n)
        generator = np.random.default_rng(d)
        scale = 2.0 ** generator.integers(-9 if dtype == np.uint8 else -2, 1, d)
        scaling = Scaling(scale.astype(scale_kind), generator.normal(size=d).astype(scale_kind))
        coef, intercept = round_to(coef, kind), round_to(intercept, kind)
        x, shift = X.astype(float) * scale, scaling.shift.astype(float)
        given = labels, weights, coef, intercept
        options = {"n_blocks": n_blocks, "tile_rows": tile_rows}
        results = [run_pass(layout, *given, kind, scaling, **options) for layout in (X, np.asfortranarray(X))]
        for found in results:
            assert_naive(found, x + shift, np.abs(x) + np.abs(shift), *given, np.finfo(kind).eps)
        # Every layout gives the same.
        assert_same_bits(results)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("dtype", "kind"), TYPES_IN_PLACE)
def test_a_pass_in_place_agrees_with_naive(dtype, kind, layout):
    # Below, at and above groups of eight rows, of four columns, and vectors; several tiles and blocks.
    for n, d in [(1, 1), (8, 4), (13, 17), (37, 33), (50, 5)]:
        X, labels, weights, coef, intercept = make_problem(n, d, 2, dtype, seed=n)
        coef, generator = round_to(coef, kind), np.random.default_rng(d)
        scale = 2.0 ** generator.integers(-9 if dtype in (np.uint8, np.int16) else -2, 1, d)
        shift, kind_of_scaling = generator.normal(size=d).astype(kind), np.promote_types(dtype, kind)
        scaling = Scaling(scale.astype(kind_of_scaling), shift.astype(kind_of_scaling))
        x = X.astype(float) * scale
        # A shift is part of an entry and of the intercept.
        magnitudes = np.abs(x) + 2 * np.abs(scaling.shift)
        for passed in (weights, np.empty(0)):
            own = passed if len(passed) else np.ones(n)
            for n_blocks in (1, 3):
                options = {"n_blocks": n_blocks, "layout": layout}
                found = run_pass(X, labels, passed, coef, intercept, kind, scaling, **options)
                assert_naive(found, x + scaling.shift, magnitudes, labels, own, coef, intercept, np.finfo(kind).eps)


@pytest.mark.parametrize("layout", ["C", "F"])
@pytest.mark.parametrize(("dtype", "kind"), TYPES_IN_PLACE[:2])
def test_a_hessian_product_in_place_is_that_of_the_definition(dtype, kind, layout):
    for n, d in [(1, 1), (37, 19)]:
        X, _, weights, direction, shift = make_problem(n, d, 2, dtype, seed=n)
        generator = np.random.default_rng(d)
        scaling = Scaling((2.0 ** generator.integers(-2, 2, d)).astype(kind), generator.normal(size=d).astype(kind))
        given = Parameters(direction.astype(kind), shift.astype(kind))
        rows = Curvature(weights.astype(kind), generator.uniform(0, 1, (1, n)).astype(kind))
        x = np.column_stack([X.astype(float) * scaling.scale + scaling.shift, np.ones(n)])
        p, v = rows[1][0].astype(float), np.append(*given).astype(float)
        curvatures = rows[0] * p * (1 - p)
        magnitudes = np.abs(x) + np.append(2 * np.abs(scaling.shift), 0)
        bound = 4 * (n + d + 10) * np.finfo(kind).eps * (curvatures * (magnitudes @ np.abs(v))) @ magnitudes
        for n_blocks in (1, 2):
            sums = make_sums(n_blocks, 1, d)
            arguments = any_layout(LAYOUTS[layout](X)), scaling, given, 16, sums, None, rows
            run_blocks(logistic_rows.fill_block_pass_in_place, n_blocks, *arguments)
            found = np.append(sums.coef.sum(axis=0), sums.intercept.sum(axis=0))
            assert (np.abs(found - (curvatures * (x @ v)) @ x) <= bound).all()


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize(("n_classes", "layout"), WAYS)
def test_extreme_scores_neither_overflow_nor_lose_the_loss(kind, n_classes, layout):
    X = np.array([[1e4], [-1e4], [1e4], [0.0], [40.0]], dtype=kind)
    labels = np.array([0, 0, 1, 1, 1])
    coef = np.array([[1.0]]) if n_classes == 2 else np.array([[1.0], [0.0], [-1.0]])
    given = X, labels, np.ones(5), coef, np.zeros(len(coef))
    for value, right in zip(run_pass(*given, kind, layout=layout), reference.loss_and_gradient(*given), strict=False):
        assert np.isfinite(value).all()
        # Losses are whole or a logarithm, residuals 0, 1 or a simple fraction.
        np.testing.assert_allclose(value, right, rtol=4 * np.finfo(kind).eps, atol=4e4 * np.finfo(kind).eps)


@pytest.mark.filterwarnings("ignore:(invalid value|overflow) encountered:RuntimeWarning")
@pytest.mark.parametrize(("n_classes", "layout"), WAYS)
def test_what_is_not_finite_reaches_loss_and_gradient(n_classes, layout):
    X, labels, weights, coef, intercept = make_problem(9, 3, n_classes)
    for k in range(len(coef)):
        for place in (1, -1):
            broken = np.column_stack([coef, intercept])
            broken[k, place] = np.nan
            found = run_pass(X, labels, weights, broken[:, :-1], broken[:, -1], layout=layout)
            assert all(np.isnan(each).all() for each in found[:3])
    if layout:
        loss, gradient, *_ = run_pass(X, 0 * labels, weights, coef, np.array([np.inf]), layout=layout)
        assert loss == np.inf
        assert (np.abs(gradient[0] - weights @ X) <= 20 * np.finfo(float).eps * (weights @ np.abs(X))).all()


def test_a_pass_of_rows_that_all_but_agree_keeps_their_losses_and_a_column_left_out_may_overflow():
    # Losses far below the rounding of one, whose products are added up.
    X, labels = np.full((70, 1), 50.0), np.ones(70, np.int64)
    loss, *_ = run_pass(X, labels, np.empty(0), np.ones((1, 1)), np.zeros(1), layout="C", tile_rows=64)
    assert loss == pytest.approx(70 * np.log1p(np.exp(-50.0)), rel=1e-13)
    X, _, weights, coef, intercept = make_problem(20, 2, 2, np.float64)
    X[:, 1] = 1e308
    options = {"scaling": Scaling(np.array([1.0, 0.0]), np.zeros(2)), "layout": "C"}
    with np.errstate(over="ignore"):
        loss, gradient, *_ = run_pass(X, np.zeros(20), weights, coef, intercept, **options)
    assert np.isfinite(loss) and np.isfinite(gradient).all() and gradient[0, 1] == 0


@pytest.mark.parametrize(
    ("precision", "allowed", "refused"),
    [
        (np.float64, [(1.0, 64.0), (2.0**256, 0.0)], [(1.0, -64.1), (2.0**-257, 0.0)]),
        (np.float32, [(1.0, 2.0)], [(1.0, 2.1), (2.0**33, 0.0)]),
    ],
)
def test_columns_far_from_zero_and_of_extreme_scales_are_not_read_in_place(precision, allowed, refused):
    for scale, shift in allowed + refused:
        found = logistic_rows.allows_folding(np.array([1.0, scale]), np.array([0.0, shift]), precision)
        assert found == ((scale, shift) in allowed)


def fill_scores(X, parameters, scores, best):
    """Score the layers of an X in blocks, and a plain X by the kernel for few rows."""
    if X.ndim == 3:
        run_blocks(dense_rows.fill_block_scores, 3, X, parameters, 8, scores, best)
    else:
        dense_rows.fill_scores(X, *parameters, scores, best)


@pytest.mark.parametrize("types", ["float64", "float32", *marked(pytest.mark.thorough, "uint8")])
@pytest.mark.parametrize("n_classes", [1, 3, 5, 11])
def test_scores_and_best_class(types, n_classes):
    dtype, kind, _ = TYPES[types]
    for n, d in [(1, 1), (21, 9), (30, 700 if COMPILED else 20)]:
        X, _, _, coef, intercept = make_problem(n, d, max(2, n_classes), dtype)
        coef, intercept = round_to(coef, kind), round_to(intercept, kind)
        parameters = Parameters(coef.astype(kind), intercept.astype(kind))
        expected = X.astype(float) @ coef.T + intercept
        bound = (d + 2) * np.finfo(kind).eps * (np.abs(X.astype(float)) @ np.abs(coef).T + np.abs(intercept))
        results = []
        for layout in (any_layout(X), any_layout(np.asfortranarray(X)), X.astype(kind)):
            scores, best, of_all = np.full((n, n_classes), np.nan, kind), np.full(n, -1), np.full(n, -1)
            fill_scores(layout, parameters, scores, best[:0])
            fill_scores(layout, parameters, scores[:0], best)
            fill_scores(layout, parameters, scores.copy(), of_all)
            np.testing.assert_array_equal(of_all, best)
            assert (np.abs(scores - expected) <= bound).all()
            np.testing.assert_array_equal(best, scores[:, 0] > 0 if n_classes == 1 else scores.argmax(axis=1))
            results.append([scores])
        # Read in place or by way of a tile.
        assert_same_bits(results[:2])


def test_of_equal_scores_the_first_class_is_best():
    for intercept, first in (([0.0, 1, 1, 0], 1), ([0.0], 0)):
        parameters, best = Parameters(np.zeros((len(intercept), 2)), np.array(intercept)), np.full(3, -1)
        for X in (any_layout(np.ones((3, 2))), np.ones((3, 2))):
            fill_scores(X, parameters, np.empty((0, 4)), best)
            assert (best == first).all()
            best[:] = -1


@pytest.mark.parametrize(
    ("dtype", "target"),
    [
        *((dtype, np.float32) for dtype in (np.float64, np.float32, np.uint8)),
        *marked(pytest.mark.slow, *((dtype, np.float32) for dtype in (np.int32, np.bool_))),
        (np.float64, np.float64),
    ],
)
def test_rows_are_taken_from_every_type_and_layout(dtype, target):
    X = np.random.default_rng(0).integers(0, 200, (6, 4)).astype(dtype)
    rows = np.array([5, 0, 0, 3])
    for layout in (X, np.asfortranarray(X), np.repeat(X, 2, axis=0)[::2]):
        for n_blocks in (1, 3, 9):
            gathered = np.full((4, 4), np.nan, target)
            run_blocks(dense_rows.fill_block_rows, n_blocks, any_layout(layout), rows, gathered)
            np.testing.assert_array_equal(gathered, X[rows].astype(target))


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("n_classes", [1, 5])
def test_offsets_are_added_and_targets_take_the_place_of_labels(kind, n_classes):
    turn = from_python(residuals.convert_scores_to_residuals)
    generator, size = np.random.default_rng(1), 1e3 if (n_classes, kind) == (5, np.float64) else 8
    numbers, weights = generator.permutation(30)[:11], generator.uniform(0, 2, 30)
    labels = generator.integers(0, max(2, n_classes), 30).astype(np.int32)
    offsets, soft = make_offsets_and_targets(labels, max(2, n_classes), size, standard_deviation=size)
    given = generator.normal(0, 8, (n_classes, 16)).astype(kind)
    shifted = given[:, :11].T.astype(np.longdouble) + offsets[numbers]
    # Certain targets are labels.
    for targets in (soft, np.eye(max(2, n_classes))[labels][:, -n_classes:].copy()):
        scores, probabilities = given.copy(), np.empty((n_classes, 11), kind)
        samples = Samples(NONE, labels, weights, offsets, targets)
        loss = turn(scores, numbers, samples, ProbabilityOutput.of(probabilities), np.int64(0))
        y = targets[numbers] if n_classes > 1 else np.column_stack([1 - targets, targets])[numbers]
        losses, p, of_rows = reference.losses_of(shifted, y)
        eps = 64 * float(np.finfo(kind).eps)
        # The rounding of scores moves the losses of rows that are nearly certain.
        most = eps * max(1.0, float(np.abs(shifted).max()))
        assert loss == pytest.approx(float(weights[numbers] @ losses), rel=eps, abs=11 * most)
        np.testing.assert_allclose(probabilities, p.T.astype(float), atol=most)
        slopes = weights[numbers] * of_rows.T
        np.testing.assert_allclose(scores[:, :11], slopes.astype(float), atol=2 * most)
    # Rows without offsets and targets have the bits that they had.
    samples = Samples(NONE, labels, weights), Samples(NONE, labels, weights, np.zeros_like(offsets))
    found = [turn(given.copy(), numbers, each, ProbabilityOutput.of(None), np.int64(0)) for each in samples]
    assert found[0] == found[1]
