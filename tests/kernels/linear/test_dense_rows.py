"""Passes over dense rows, in tiles and in place, and scores, compared with the reference implementation."""

import numpy as np
import pytest
import reference
from conftest import (
    JIT_ENABLED,
    assert_bitwise_equal,
    make_offsets_and_targets,
    make_problem,
    make_python_callable,
    mark_params,
)

from fastlin.kernels.linear import dense_rows, logistic_rows, residuals
from fastlin.kernels.linear.operands import BlockSums, Curvature, Losses, Parameters, ProbabilityOutput, Samples
from fastlin.kernels.machine.arrays import make_any_layout_view
from fastlin.kernels.machine.threads import run_blocks
from fastlin.kernels.machine.tiles import MAX_TILE_ROWS, Scaling

ALL_ROWS = np.empty(0, np.int64)
# The types of X, the computation and the scaling. Products with a narrow X use float32 or float64. Products with a
# float64 X also use float32 while a fit is far from the minimum.
TYPES = {
    "float64": (np.float64, np.float64, np.float64),
    "float32": (np.float32, np.float32, np.float32),
    "uint8": (np.uint8, np.float64, np.float64),
    "float64 in float32": (np.float64, np.float32, np.float64),
    "uint8 in float32": (np.uint8, np.float32, np.float32),
}
TYPES_READ_IN_PLACE = [
    (np.float64, np.float64),
    (np.float32, np.float32),
    *mark_params(pytest.mark.thorough, (np.uint8, np.float64), (np.float64, np.float32)),
    *mark_params(pytest.mark.slow, (np.int16, np.float64)),
]
LAYOUTS = {"C": np.ascontiguousarray, "F": np.asfortranarray, "rows apart": lambda X: np.repeat(X, 2, axis=0)[::2]}
# Numbers of classes, and the layout of X if X is read in place.
CLASSES_AND_LAYOUTS = [(2, None), (3, None), (2, "C"), (2, "F")]


def round_to_type(values, kind):
    return values.astype(kind).astype(np.float64)


def make_block_sums(n_blocks, n_classes, d):
    return BlockSums(np.full((n_blocks, n_classes, d), np.nan), np.full((n_blocks, n_classes), np.nan))


def run_pass(
    X,
    labels,
    weights,
    coef,
    intercept,
    kind=np.float64,
    scaling=None,
    rows=ALL_ROWS,
    n_blocks=1,
    layout=None,
    tile_rows=16,
):
    """Return the loss, gradient, intercept gradient and probabilities. Blocks are summed in order.

    `kind` is the dtype of the computation; the package chooses the other dtypes. With a `layout`, X is read in place.
    """
    n_classes, d = coef.shape
    scaling_type = np.promote_types(X.dtype, kind) if layout else kind
    scaling = Scaling(np.ones(d, scaling_type), np.zeros(d, scaling_type)) if scaling is None else scaling
    losses, sums = np.full(n_blocks, np.nan), make_block_sums(n_blocks, n_classes, d)
    probabilities = np.full((n_classes, len(rows) or len(X)), np.nan, kind)
    samples = Samples(rows, labels.astype(np.int32), weights.astype(np.float64))
    parameters = Parameters(np.ascontiguousarray(coef, kind), intercept.astype(kind))
    arguments = scaling, parameters, tile_rows, sums, Losses(samples, losses, ProbabilityOutput.of(probabilities)), None
    if layout:
        run_blocks(
            logistic_rows.fill_block_pass_in_place, n_blocks, make_any_layout_view(LAYOUTS[layout](X)), *arguments
        )
    else:
        run_blocks(dense_rows.fill_block_pass, n_blocks, make_any_layout_view(X), rows, *arguments)
    return losses.sum(), sums.coef.sum(axis=0), sums.intercept.sum(axis=0), probabilities


def assert_matches_reference(actual, x, magnitudes, labels, weights, coef, intercept, eps):
    """Compare a pass over the rows `x` with the reference, up to the rounding error bounds for `magnitudes`."""
    expected = reference.loss_and_gradient(x, labels, weights, coef, intercept)
    rounding = reference.bound_loss_rounding(magnitudes, weights, coef, intercept, eps)
    for value, right, bound in zip(actual, expected, rounding, strict=False):
        assert (np.abs(value - right) <= bound).all(), x.shape
    largest = np.abs(coef).sum(axis=0) @ magnitudes.T + np.abs(intercept).max()
    bound = 2 * (x.shape[1] + 20) * eps * (1 + largest)
    _, right, _ = reference.evaluate_losses(x @ coef.T + intercept, labels)
    assert (np.abs(actual[3] - right.T) <= bound).all()


@pytest.mark.parametrize("types", [*list(TYPES)[:-1], *mark_params(pytest.mark.thorough, list(TYPES)[-1])])
# The numbers of classes are close to multiples of the loops' steps, 3 and 5, with every remainder.
@pytest.mark.parametrize("n_classes", [1, 3, 4, 5, 7, 11])
def test_passes_agree_with_the_reference(types, n_classes):
    dtype, kind, scaling_kind = TYPES[types]
    # The third shape has full tiles of few columns and a tile of few rows. The last has more features than a chunk of a
    # product, and more rows than a tile or a partial sum.
    shapes = [(1, 1, 1, 16), (13, 17, 2, 16), (290, 13, 2, MAX_TILE_ROWS), (9, 33, 1, 16)]
    for n, d, n_blocks, tile_rows in [*shapes, (300, 900, 7, 16) if JIT_ENABLED else (40, 300, 2, 16)]:
        X, labels, weights, coef, intercept = make_problem(n, d, max(2, n_classes), dtype, seed=n)
        generator = np.random.default_rng(d)
        scale = 2.0 ** generator.integers(-9 if dtype == np.uint8 else -2, 1, d)
        scaling = Scaling(scale.astype(scaling_kind), generator.normal(size=d).astype(scaling_kind))
        coef, intercept = round_to_type(coef, kind), round_to_type(intercept, kind)
        x, shift = X.astype(float) * scale, scaling.shift.astype(float)
        problem = labels, weights, coef, intercept
        options = {"n_blocks": n_blocks, "tile_rows": tile_rows}
        results = [run_pass(layout, *problem, kind, scaling, **options) for layout in (X, np.asfortranarray(X))]
        for actual in results:
            assert_matches_reference(actual, x + shift, np.abs(x) + np.abs(shift), *problem, np.finfo(kind).eps)
        # The results are bitwise equal for every layout.
        assert_bitwise_equal(results)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("dtype", "kind"), TYPES_READ_IN_PLACE)
def test_passes_in_place_agree_with_the_reference(dtype, kind, layout):
    # The sizes are close to groups of eight rows and four columns, and to vector widths, in several tiles and blocks.
    for n, d in [(1, 1), (8, 4), (13, 17), (37, 33), (50, 5)]:
        X, labels, weights, coef, intercept = make_problem(n, d, 2, dtype, seed=n)
        coef, generator = round_to_type(coef, kind), np.random.default_rng(d)
        scale = 2.0 ** generator.integers(-9 if dtype in (np.uint8, np.int16) else -2, 1, d)
        shift, scaling_type = generator.normal(size=d).astype(kind), np.promote_types(dtype, kind)
        scaling = Scaling(scale.astype(scaling_type), shift.astype(scaling_type))
        x = X.astype(float) * scale
        # Each shift contributes to an entry and to the intercept.
        magnitudes = np.abs(x) + 2 * np.abs(scaling.shift)
        for given_weights in (weights, np.empty(0)):
            row_weights = given_weights if len(given_weights) else np.ones(n)
            for n_blocks in (1, 3):
                options = {"n_blocks": n_blocks, "layout": layout}
                actual = run_pass(X, labels, given_weights, coef, intercept, kind, scaling, **options)
                assert_matches_reference(
                    actual, x + scaling.shift, magnitudes, labels, row_weights, coef, intercept, np.finfo(kind).eps
                )


@pytest.mark.parametrize("layout", ["C", "F"])
@pytest.mark.parametrize(("dtype", "kind"), TYPES_READ_IN_PLACE[:2])
def test_hessian_products_in_place_agree_with_their_definition(dtype, kind, layout):
    for n, d in [(1, 1), (37, 19)]:
        X, _, weights, direction, shift = make_problem(n, d, 2, dtype, seed=n)
        generator = np.random.default_rng(d)
        scaling = Scaling((2.0 ** generator.integers(-2, 2, d)).astype(kind), generator.normal(size=d).astype(kind))
        parameters = Parameters(direction.astype(kind), shift.astype(kind))
        rows = Curvature(weights.astype(kind), generator.uniform(0, 1, (1, n)).astype(kind))
        x = np.column_stack([X.astype(float) * scaling.scale + scaling.shift, np.ones(n)])
        p, v = rows[1][0].astype(float), np.append(*parameters).astype(float)
        curvatures = rows[0] * p * (1 - p)
        magnitudes = np.abs(x) + np.append(2 * np.abs(scaling.shift), 0)
        bound = 4 * (n + d + 10) * np.finfo(kind).eps * (curvatures * (magnitudes @ np.abs(v))) @ magnitudes
        for n_blocks in (1, 2):
            sums = make_block_sums(n_blocks, 1, d)
            arguments = make_any_layout_view(LAYOUTS[layout](X)), scaling, parameters, 16, sums, None, rows
            run_blocks(logistic_rows.fill_block_pass_in_place, n_blocks, *arguments)
            actual = np.append(sums.coef.sum(axis=0), sums.intercept.sum(axis=0))
            assert (np.abs(actual - (curvatures * (x @ v)) @ x) <= bound).all()


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize(("n_classes", "layout"), CLASSES_AND_LAYOUTS)
def test_losses_of_extreme_scores_are_accurate(kind, n_classes, layout):
    X = np.array([[1e4], [-1e4], [1e4], [0.0], [40.0]], dtype=kind)
    labels = np.array([0, 0, 1, 1, 1])
    coef = np.array([[1.0]]) if n_classes == 2 else np.array([[1.0], [0.0], [-1.0]])
    problem = X, labels, np.ones(5), coef, np.zeros(len(coef))
    for value, right in zip(
        run_pass(*problem, kind, layout=layout), reference.loss_and_gradient(*problem), strict=False
    ):
        assert np.isfinite(value).all()
        # Losses are integers or logarithms. Residuals are 0, 1 or simple fractions.
        np.testing.assert_allclose(value, right, rtol=4 * np.finfo(kind).eps, atol=4e4 * np.finfo(kind).eps)


@pytest.mark.filterwarnings("ignore:(invalid value|overflow) encountered:RuntimeWarning")
@pytest.mark.parametrize(("n_classes", "layout"), CLASSES_AND_LAYOUTS)
def test_nonfinite_parameters_propagate_to_loss_and_gradient(n_classes, layout):
    X, labels, weights, coef, intercept = make_problem(9, 3, n_classes)
    for k in range(len(coef)):
        for position in (1, -1):
            broken = np.column_stack([coef, intercept])
            broken[k, position] = np.nan
            actual = run_pass(X, labels, weights, broken[:, :-1], broken[:, -1], layout=layout)
            assert all(np.isnan(value).all() for value in actual[:3])
    if layout:
        loss, gradient, *_ = run_pass(X, 0 * labels, weights, coef, np.array([np.inf]), layout=layout)
        assert loss == np.inf
        assert (np.abs(gradient[0] - weights @ X) <= 20 * np.finfo(float).eps * (weights @ np.abs(X))).all()


def test_tiny_losses_are_accurate():
    # The losses are far below the rounding error of 1. Kernels sum them as logarithms of products.
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
    ("precision", "allowed_scalings", "rejected_scalings"),
    [
        (np.float64, [(1.0, 64.0), (2.0**256, 0.0)], [(1.0, -64.1), (2.0**-257, 0.0)]),
        (np.float32, [(1.0, 2.0)], [(1.0, 2.1), (2.0**33, 0.0)]),
    ],
)
def test_columns_far_from_zero_are_not_read_in_place(precision, allowed_scalings, rejected_scalings):
    for scale, shift in allowed_scalings + rejected_scalings:
        actual = logistic_rows.allows_folding(np.array([1.0, scale]), np.array([0.0, shift]), precision)
        assert actual == ((scale, shift) in allowed_scalings)


def fill_scores(X, parameters, scores, best):
    """Fill `scores` and `best`. A view of X in layers is processed in blocks, X itself by the kernel for small X."""
    if X.ndim == 3:
        tile_rows = 8 if X.shape[1] < MAX_TILE_ROWS else MAX_TILE_ROWS
        run_blocks(dense_rows.fill_block_scores, 3, X, parameters, tile_rows, scores, best)
    else:
        dense_rows.fill_scores(X, *parameters, scores, best)


@pytest.mark.parametrize("types", ["float64", "float32", *mark_params(pytest.mark.thorough, "uint8")])
@pytest.mark.parametrize("n_classes", [1, 3, 5, 11])
def test_scores_and_the_best_class_agree_with_numpy(types, n_classes):
    dtype, kind, _ = TYPES[types]
    # With many rows and eleven classes, tiles are transposed, except for the last tile of a block.
    for n, d in [(1, 1), (21, 9), (30, 700 if JIT_ENABLED else 20), (3 * (MAX_TILE_ROWS + 20), 9)]:
        X, _, _, coef, intercept = make_problem(n, d, max(2, n_classes), dtype)
        coef, intercept = round_to_type(coef, kind), round_to_type(intercept, kind)
        parameters = Parameters(coef.astype(kind), intercept.astype(kind))
        expected = X.astype(float) @ coef.T + intercept
        bound = (d + 2) * np.finfo(kind).eps * (np.abs(X.astype(float)) @ np.abs(coef).T + np.abs(intercept))
        results = []
        for layout in (make_any_layout_view(X), make_any_layout_view(np.asfortranarray(X)), X.astype(kind)):
            scores, best, best_from_both_outputs = np.full((n, n_classes), np.nan, kind), np.full(n, -1), np.full(n, -1)
            fill_scores(layout, parameters, scores, best[:0])
            fill_scores(layout, parameters, scores[:0], best)
            fill_scores(layout, parameters, scores.copy(), best_from_both_outputs)
            np.testing.assert_array_equal(best_from_both_outputs, best)
            assert (np.abs(scores - expected) <= bound).all()
            np.testing.assert_array_equal(best, scores[:, 0] > 0 if n_classes == 1 else scores.argmax(axis=1))
            results.append([scores])
        # X is read in place or through a tile.
        assert_bitwise_equal(results[:2])


def test_the_first_class_is_predicted_in_a_tie():
    for intercept, first in (([0.0, 1, 1, 0], 1), ([0.0], 0)):
        parameters, best = Parameters(np.zeros((len(intercept), 2)), np.array(intercept)), np.full(3, -1)
        for X in (make_any_layout_view(np.ones((3, 2))), np.ones((3, 2))):
            fill_scores(X, parameters, np.empty((0, 4)), best)
            assert (best == first).all()
            best[:] = -1


@pytest.mark.parametrize(
    ("dtype", "target"),
    [
        *((dtype, np.float32) for dtype in (np.float64, np.float32, np.uint8)),
        *mark_params(pytest.mark.slow, *((dtype, np.float32) for dtype in (np.int32, np.bool_))),
        (np.float64, np.float64),
    ],
)
def test_rows_are_gathered_from_every_dtype_and_layout(dtype, target):
    X = np.random.default_rng(0).integers(0, 200, (6, 4)).astype(dtype)
    rows = np.array([5, 0, 0, 3])
    for layout in (X, np.asfortranarray(X), np.repeat(X, 2, axis=0)[::2]):
        for n_blocks in (1, 3, 9):
            target_rows = np.full((4, 4), np.nan, target)
            run_blocks(dense_rows.fill_block_gathered_rows, n_blocks, make_any_layout_view(layout), rows, target_rows)
            np.testing.assert_array_equal(target_rows, X[rows].astype(target))


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("n_classes", [1, 5])
def test_offsets_are_added_and_targets_replace_labels(kind, n_classes):
    convert = make_python_callable(residuals.convert_scores_to_residuals)
    generator, size = np.random.default_rng(1), 1e3 if (n_classes, kind) == (5, np.float64) else 8
    numbers, weights = generator.permutation(30)[:11], generator.uniform(0, 2, 30)
    labels = generator.integers(0, max(2, n_classes), 30).astype(np.int32)
    offsets, soft_targets = make_offsets_and_targets(labels, max(2, n_classes), size, standard_deviation=size)
    raw_scores = generator.normal(0, 8, (n_classes, 16)).astype(kind)
    shifted = raw_scores[:, :11].T.astype(np.longdouble) + offsets[numbers]
    # Targets of 0 and 1 are equivalent to labels.
    for targets in (soft_targets, np.eye(max(2, n_classes))[labels][:, -n_classes:].copy()):
        scores, probabilities = raw_scores.copy(), np.empty((n_classes, 11), kind)
        samples = Samples(ALL_ROWS, labels, weights, offsets, targets)
        loss = convert(scores, numbers, samples, ProbabilityOutput.of(probabilities), np.int64(0))
        y = targets[numbers] if n_classes > 1 else np.column_stack([1 - targets, targets])[numbers]
        losses, p, row_residuals = reference.evaluate_losses(shifted, y)
        eps = 64 * float(np.finfo(kind).eps)
        # Rounding errors of the scores change the losses of rows with a class probability near 1.
        bound = eps * max(1.0, float(np.abs(shifted).max()))
        assert loss == pytest.approx(float(weights[numbers] @ losses), rel=eps, abs=11 * bound)
        np.testing.assert_allclose(probabilities, p.T.astype(float), atol=bound)
        slopes = weights[numbers] * row_residuals.T
        np.testing.assert_allclose(scores[:, :11], slopes.astype(float), atol=2 * bound)
    # With offsets of zero, the result is bitwise equal.
    samples = Samples(ALL_ROWS, labels, weights), Samples(ALL_ROWS, labels, weights, np.zeros_like(offsets))
    actual = [
        convert(raw_scores.copy(), numbers, row_samples, ProbabilityOutput.of(None), np.int64(0))
        for row_samples in samples
    ]
    assert actual[0] == actual[1]
