"""The fused pass against the naive oracle, finite differences, extreme scores and numbers of threads."""

import naive
import numpy as np
import pytest
from conftest import COMPILED, make_problem

from fastlin.kernels.linear import dense_rows
from fastlin.kernels.machine.threads import limit_threads, run_blocks

DTYPES = [np.float64, np.float32, np.uint8]
# Products of float32 data are float32: a few units in the last place of sums over d features.
TOLERANCE = {np.float64: 1e-12, np.float32: 2e-5, np.uint8: 1e-12}


def compute_type(dtype):
    return np.float32 if dtype == np.float32 else np.float64


def run_pass(X, labels, weights, coef, intercept, n_blocks=1, tile_rows=8):
    """Return loss, gradient and intercept gradient of the kernel, blocks added in order."""
    dtype = compute_type(X.dtype.type)
    n_classes, d = coef.shape
    losses = np.full(n_blocks, np.nan)
    gradients = np.full((n_blocks, n_classes, d), np.nan)
    intercept_gradients = np.full((n_blocks, n_classes), np.nan)
    run_blocks(
        dense_rows.fill_block_loss_and_gradient,
        n_blocks,
        X,
        np.empty(0, np.int64),
        labels,
        weights.astype(dtype),
        np.ones(d, dtype),
        np.zeros(d, dtype),
        coef.astype(dtype),
        intercept.astype(dtype),
        tile_rows,
        losses,
        gradients,
        intercept_gradients,
        np.empty((n_classes, 0), dtype),
    )
    return losses.sum(), gradients.sum(axis=0), intercept_gradients.sum(axis=0)


def assert_agrees(found, expected, tolerance):
    for value, right in zip(found, expected, strict=True):
        np.testing.assert_allclose(value, right, rtol=tolerance, atol=tolerance * max(1, np.abs(right).max()))


@pytest.mark.parametrize("dtype", DTYPES)
# Classes below, at and above the five of a tile, with every remainder; rows and features likewise.
@pytest.mark.parametrize("n_classes", [2, 3, 4, 5, 6, 9, 10])
@pytest.mark.parametrize(("n", "d"), [(1, 1), (3, 7), (13, 17)])
def test_pass_agrees_with_naive(dtype, n_classes, n, d):
    X, labels, weights, coef, intercept = make_problem(n, d, n_classes, dtype)
    expected = naive.loss_and_gradient(X, labels, weights, coef, intercept)
    assert_agrees(run_pass(X, labels, weights, coef, intercept), expected, TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_classes", [2, 10])
def test_pass_agrees_over_many_tiles_chunks_and_blocks(dtype, n_classes):
    # More features than one chunk of a product, more rows than tiles and than the rows summed in one part.
    n, d = (300, 900) if COMPILED else (20, 18)
    X, labels, weights, coef, intercept = make_problem(n, d, n_classes, dtype)
    coef = coef / np.sqrt(d)
    X64 = X.astype(np.float64)
    scores = X64 @ coef.T + intercept
    if n_classes == 2:
        residuals = weights[:, None] * (1 / (1 + np.exp(-scores)) - labels[:, None])
        loss = weights @ np.logaddexp(0, np.where(labels == 1, -scores[:, 0], scores[:, 0]))
    else:
        log_total = np.log(np.exp(scores - scores.max(axis=1, keepdims=True)).sum(axis=1)) + scores.max(axis=1)
        loss = weights @ (log_total - scores[np.arange(n), labels])
        residuals = np.exp(scores - log_total[:, None])
        residuals[np.arange(n), labels] -= 1
        residuals *= weights[:, None]
    expected = loss, residuals.T @ X64, residuals.sum(axis=0)
    for n_blocks in (1, 7):
        assert_agrees(run_pass(X, labels, weights, coef, intercept, n_blocks), expected, 20 * TOLERANCE[dtype])


@pytest.mark.parametrize("n_classes", [2, 3, 6])
def test_gradient_is_the_derivative_of_the_loss(n_classes):
    X, labels, weights, coef, intercept = make_problem(9, 4, n_classes)
    _, gradient, intercept_gradient = run_pass(X, labels, weights, coef, intercept)
    step = 1e-6
    for index in np.ndindex(*coef.shape):
        shifted = []
        for sign in (1, -1):
            moved = coef.copy()
            moved[index] += sign * step
            shifted.append(run_pass(X, labels, weights, moved, intercept)[0])
        assert gradient[index] == pytest.approx((shifted[0] - shifted[1]) / (2 * step), rel=1e-6, abs=1e-7)
    for k in range(len(intercept)):
        moved = np.eye(len(intercept))[k] * step
        difference = run_pass(X, labels, weights, coef, intercept + moved)[0]
        difference -= run_pass(X, labels, weights, coef, intercept - moved)[0]
        assert intercept_gradient[k] == pytest.approx(difference / (2 * step), rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_extreme_scores_neither_overflow_nor_lose_the_loss(dtype, n_classes):
    X = np.array([[1e4], [-1e4], [1e4], [0.0]], dtype=dtype)
    labels = np.array([0, 0, 1, 1])
    coef = np.array([[1.0]]) if n_classes == 2 else np.array([[1.0], [0.0], [-1.0]])
    intercept = np.zeros(len(coef))
    expected = naive.loss_and_gradient(X, labels, np.ones(4), coef, intercept)
    found = run_pass(X, labels, np.ones(4), coef, intercept)
    assert np.isfinite(found[0])
    assert np.isfinite(found[1]).all()
    assert_agrees(found, expected, 1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_classes", [2, 7])
def test_any_number_of_threads_gives_the_same_bits(dtype, n_classes):
    n, d = (2000, 33) if COMPILED else (40, 5)
    problem = make_problem(n, d, n_classes, dtype)
    results = []
    for n_threads in (1, 2, 3):
        with limit_threads(n_threads):
            results.append(run_pass(*problem, n_blocks=11))
    for other in results[1:]:
        for first, second in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_nan_reaches_loss_and_gradient(n_classes):
    X, labels, weights, coef, intercept = make_problem(9, 2, n_classes)
    for k in range(len(coef)):
        broken = coef.copy()
        broken[k, 1] = np.nan
        loss, gradient, _ = run_pass(X, labels, weights, broken, intercept)
        assert np.isnan(loss)
        assert np.isnan(gradient).all()


def test_weights_of_zero_leave_rows_out():
    X, labels, weights, coef, intercept = make_problem(12, 5, 4)
    weights[3:] = 0
    assert_agrees(
        run_pass(X, labels, weights, coef, intercept),
        run_pass(X[:3].copy(), labels[:3], weights[:3], coef, intercept),
        1e-13,
    )


def test_whole_weights_count_like_repeated_rows():
    X, labels, _, coef, intercept = make_problem(6, 5, 3)
    times = np.array([1, 2, 3, 1, 2, 1])
    assert_agrees(
        run_pass(X, labels, times.astype(float), coef, intercept),
        run_pass(np.repeat(X, times, axis=0), np.repeat(labels, times), np.ones(times.sum()), coef, intercept),
        1e-12,
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_classes", [2, 3, 11])
def test_scores(dtype, n_classes):
    X, _, _, coef, intercept = make_problem(21, 9, n_classes, dtype)
    kind = compute_type(dtype)
    scores = np.full((21, len(coef)), np.nan, kind)
    run_blocks(
        dense_rows.fill_block_scores,
        3,
        X,
        np.ones(9, kind),
        np.zeros(9, kind),
        coef.astype(kind),
        intercept.astype(kind),
        8,
        scores,
    )
    np.testing.assert_allclose(scores, X.astype(float) @ coef.T + intercept, rtol=1e-4 if kind == np.float32 else 1e-12)


# Every type and layout is loaded in test_tiles.py; here are those that a pass is compiled for most.
@pytest.mark.parametrize(
    ("dtype", "kind"),
    [
        ("float64", np.float64),
        ("float64", np.float32),
        ("float32", np.float32),
        ("uint8", np.float32),
        ("bool", np.float64),
    ],
)
def test_every_type_and_layout_scaled_and_centred(dtype, kind):
    generator = np.random.default_rng(3)
    for n_classes in (1, 3, 7):
        n, d = 19, 5
        X = (generator.normal(0, 40, (n, d)) % 120).astype(dtype)
        labels, weights = generator.integers(0, max(2, n_classes), n), generator.uniform(0, 2, n).astype(kind)
        factors = np.full(d, 1 / 64, kind)
        offsets = (-X.astype(float).mean(axis=0) / 64).astype(kind)
        coef, intercept = (
            generator.normal(size=(n_classes, d)).astype(kind),
            generator.normal(size=n_classes).astype(kind),
        )
        scaled = X.astype(float) * factors + offsets
        expected = naive.loss_and_gradient(scaled, labels, weights, coef, intercept)
        scores = scaled @ coef.T + intercept
        found = []
        for layout in (X, np.asfortranarray(X)):
            losses, gradients, intercept_gradients = np.empty(2), np.empty((2, *coef.shape)), np.empty((2, n_classes))
            probabilities, all_scores = np.full((n_classes, n), np.nan, kind), np.empty((n, n_classes), kind)
            best = np.full(n, -1)
            arguments = layout, factors, offsets, coef, intercept, 8
            for block in range(2):
                dense_rows.fill_block_loss_and_gradient(
                    block, 2, layout, np.empty(0, np.int64), labels, weights, factors, offsets, coef, intercept, 8,
                    losses, gradients, intercept_gradients, probabilities,
                )  # fmt: skip
                dense_rows.fill_block_scores(block, 2, *arguments, all_scores)
                dense_rows.fill_block_best_class(block, 2, *arguments, best)
            tolerance = 1e-11 if kind == np.float64 else 1e-4
            sums = losses.sum(), gradients.sum(axis=0), intercept_gradients.sum(axis=0)
            assert_agrees(sums, expected, tolerance)
            assert_agrees([all_scores], [scores], tolerance)
            right = [naive.logistic(s[0], 0)[1] if n_classes == 1 else softmax(s) for s in scores]
            assert_agrees([probabilities.T], [np.array(right)], tolerance)
            np.testing.assert_array_equal(best, scores[:, 0] > 0 if n_classes == 1 else scores.argmax(axis=1))
            found.append((*sums, probabilities, all_scores))
        for other in found[1:]:
            for first, second in zip(found[0], other, strict=True):
                np.testing.assert_array_equal(first, second)


def softmax(scores):
    residuals = naive.softmax(list(scores), 0)[1]
    residuals[0] += 1
    return residuals


def test_of_equal_scores_the_first_class_is_best():
    best = np.full(3, -1)
    plain = np.ones(2), np.zeros(2)
    dense_rows.fill_block_best_class(0, 1, np.ones((3, 2)), *plain, np.zeros((4, 2)), np.array([0.0, 1, 1, 0]), 8, best)
    assert (best == 1).all()
    dense_rows.fill_block_best_class(0, 1, np.ones((3, 2)), *plain, np.zeros((1, 2)), np.zeros(1), 8, best)
    assert (best == 0).all()
