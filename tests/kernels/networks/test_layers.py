"""Kernels for network layers, compared with the formulas in both precisions and for extreme values."""

import itertools
import math

import naive_network
import numpy as np
import pytest
from conftest import JIT_ENABLED
from scipy.special import expit, logsumexp, softmax

from fastlin.kernels.networks import layers

ACTIVATIONS = {name: getattr(layers, name.upper()) for name in ("identity", "logistic", "relu", "tanh")}
DTYPES = pytest.mark.parametrize("dtype", [np.float64, np.float32])
TOLERANCES = {np.float64: 1e-13, np.float32: 2e-6}
# There are one block, several blocks, or more blocks than rows, so that some blocks are empty.
N_BLOCKS = [1, 3, 12]
FOR_EACH_ACTIVATION = pytest.mark.parametrize("activation", ACTIVATIONS)
# Without compilation, NumPy warns about overflow and invalid values.
IGNORE_OVERFLOW = pytest.mark.filterwarnings("ignore:(overflow|invalid value):RuntimeWarning")
N, LAYER_WIDTH = 7, 5


def run(kernel, n_blocks, *arguments):
    for block in range(n_blocks):
        kernel(block, n_blocks, *arguments)


def sample_array(shape, dtype, seed=0, scale=2.0):
    return (scale * np.random.default_rng(seed).normal(size=shape)).astype(dtype)


def assert_close(actual, expected, dtype):
    np.testing.assert_allclose(actual, expected, rtol=TOLERANCES[dtype], atol=TOLERANCES[dtype])


def block_rows(block, n_blocks, n=N):
    return slice(block * n // n_blocks, (block + 1) * n // n_blocks)


def activate(Z, activation="identity", scales=None, shifts=None, keep=1.0, seed=0, first_row=0, n_blocks=1):
    """Return the activations of Z without changing Z."""
    width = Z.shape[1]
    scales = np.empty(0, Z.dtype) if scales is None else scales
    shifts = np.zeros(width, Z.dtype) if shifts is None else shifts
    activations = np.full_like(Z, np.nan)
    run(layers.activate_block, n_blocks, Z, scales, shifts, ACTIVATIONS[activation], keep, seed, first_row, activations)
    return activations


@DTYPES
@FOR_EACH_ACTIVATION
@pytest.mark.parametrize(("scaled", "dropout"), [(False, 0.0), (True, 0.4)])
def test_activations_agree_with_the_reference(activation, dtype, scaled, dropout):
    Z, shifts = sample_array((N, LAYER_WIDTH), dtype), sample_array(LAYER_WIDTH, dtype, 1)
    scales = sample_array(LAYER_WIDTH, dtype, 2) if scaled else None
    inner = (scales if scaled else 1.0) * Z.astype(np.float64) + shifts
    expected = naive_network.ACTIVATIONS[activation](inner)
    if dropout:
        expected = expected * naive_network.make_dropout_factors(N, LAYER_WIDTH, dropout, 99, first_row=3)
    for n_blocks in N_BLOCKS:
        actual = activate(Z, activation, scales, shifts, 1 - dropout, 99, 3, n_blocks)
        assert_close(actual, expected, dtype)
    scales = scales if scaled else np.empty(0, dtype)
    run(layers.activate_block, 3, Z, scales, shifts, ACTIVATIONS[activation], 1 - dropout, 99, 3, Z)
    np.testing.assert_array_equal(Z, actual)


@DTYPES
@pytest.mark.parametrize(
    ("activation", "formula"), [("tanh", math.tanh), ("logistic", lambda z: 1 / (1 + math.exp(-z)))]
)
def test_activations_are_accurate_for_small_and_large_arguments(activation, formula, dtype):
    sizes = 10.0 ** np.linspace(-30, np.log10(80), 501 if JIT_ENABLED else 61)
    Z = np.concatenate([-sizes, [-0.0, 0.0], sizes]).astype(dtype)[np.newaxis]
    expected = np.array([formula(float(z)) for z in Z[0]])
    np.testing.assert_allclose(activate(Z, activation)[0], expected, rtol=6 * np.finfo(dtype).eps, atol=0)


@IGNORE_OVERFLOW
@DTYPES
def test_activations_of_extreme_values(dtype):
    largest_float = float(np.finfo(dtype).max)
    Z = np.array([[-np.inf, -largest_float, -1e30, 1e30, largest_float, np.inf]], dtype)
    np.testing.assert_array_equal(activate(Z, "identity"), Z)
    np.testing.assert_array_equal(activate(Z, "relu"), np.where(Z > 0, Z, 0))
    np.testing.assert_array_equal(activate(Z, "tanh"), np.sign(Z))
    np.testing.assert_array_equal(activate(Z, "logistic"), (np.sign(Z) + 1) / 2)


@IGNORE_OVERFLOW
@DTYPES
@FOR_EACH_ACTIVATION
def test_nan_propagates_through_layers(activation, dtype):
    # There are more values than fit in a vector register, so that the vectorized loop is also tested.
    Z = np.full((1, 37), np.nan, dtype)
    assert np.isnan(activate(Z, activation)).all()
    slopes, sums, products, normalized = Z.copy(), np.empty((1, 37)), np.empty((1, 0)), np.empty((0, 0), dtype)
    run(layers.backpropagate_block, 1, Z, normalized, ACTIVATIONS[activation], 1.0, 0, 0, slopes, sums, products)
    assert np.isnan(slopes).all()
    assert np.isnan(sums).all()


@pytest.mark.parametrize(("dropout", "seed"), [(0.1, 5), (0.4, 2**32 - 1), (0.9, 5)])
def test_dropout_depends_only_on_seed_row_and_column(dropout, seed):
    Z, options = np.ones((240, 10)), {"keep": 1 - dropout, "seed": seed}
    whole = activate(Z, **options)
    np.testing.assert_array_equal(whole, naive_network.make_dropout_factors(240, 10, dropout, seed))
    # The tolerance is four standard deviations.
    assert abs(np.mean(whole > 0) - (1 - dropout)) < 4 * np.sqrt(dropout * (1 - dropout) / Z.size)
    for n_blocks in (2, 5, 400):
        np.testing.assert_array_equal(activate(Z, n_blocks=n_blocks, **options), whole)
    for cuts in ([0, 1, 240], [0, 7, 8, 20, 240]):
        pieces = [activate(Z[i:j], first_row=i, n_blocks=2, **options) for i, j in itertools.pairwise(cuts)]
        np.testing.assert_array_equal(np.vstack(pieces), whole)


@DTYPES
@FOR_EACH_ACTIVATION
@pytest.mark.parametrize(("dropout", "normalized"), [(0.0, False), (0.4, True)])
def test_backpropagated_slopes_agree_with_the_reference(activation, dtype, dropout, normalized):
    Z, slopes = sample_array((N, LAYER_WIDTH), dtype), sample_array((N, LAYER_WIDTH), dtype, 1)
    activations = activate(Z, activation, keep=1 - dropout, seed=8, first_row=2)
    mask = naive_network.make_dropout_factors(N, LAYER_WIDTH, dropout, 8, first_row=2) if dropout else 1.0
    expected = slopes * mask * naive_network.ACTIVATION_DERIVATIVES[activation](Z.astype(np.float64))
    x = sample_array((N, LAYER_WIDTH), dtype, 2) if normalized else np.empty((0, 0), dtype)
    for n_blocks in N_BLOCKS:
        actual = slopes.copy()
        sums = np.full((n_blocks, LAYER_WIDTH), np.nan)
        products = np.full((n_blocks, LAYER_WIDTH if normalized else 0), np.nan)
        inputs = activations, x, ACTIVATIONS[activation], 1 - dropout, 8, 2
        run(layers.backpropagate_block, n_blocks, *inputs, actual, sums, products)
        assert_close(actual, expected, dtype)
        for block in range(n_blocks):
            rows = block_rows(block, n_blocks)
            assert_close(sums[block], actual[rows].astype(np.float64).sum(axis=0), np.float64)
            if normalized:
                assert_close(products[block], (actual[rows].astype(np.float64) * x[rows]).sum(axis=0), np.float64)


def fill_residuals(scores, labels, weights=None, intercept=None, total=1.0, n_blocks=1, is_independent=False):
    """Return the residuals, and for each block the loss, the weight of correct rows and the sums of the residuals.

    Labels of shape (n, K) are soft.
    """
    residuals, labels, K = scores.copy(), np.asarray(labels), scores.shape[1]
    outputs = np.full(n_blocks, np.nan), np.full(n_blocks, np.nan), np.full((n_blocks, K), np.nan)
    intercept = np.zeros(K, scores.dtype) if intercept is None else intercept
    weights = np.empty(0) if weights is None else weights
    none = np.empty(0, np.int32), np.empty((0, 0))
    labels_and_targets = (
        (labels.astype(np.int32), none[1]) if labels.ndim == 1 else (none[0], labels.astype(np.float64))
    )
    arguments = residuals, intercept, *labels_and_targets, weights, float(total), is_independent
    run(layers.fill_block_residuals, n_blocks, *arguments, *outputs)
    return residuals, *outputs


@DTYPES
@pytest.mark.parametrize(
    ("kind", "K"), [("labels", 1), ("labels", 2), ("labels", 10), ("targets", 4), ("independent", 4)]
)
@pytest.mark.parametrize(("weighted", "n_blocks"), [(False, 1), (True, 3), (True, 12)])
def test_residuals_agree_with_their_formulas(dtype, kind, K, weighted, n_blocks):
    scores, intercept, generator = (
        sample_array((N, K), dtype, scale=3),
        sample_array(K, dtype, 1),
        np.random.default_rng(2),
    )
    labels, weights = generator.integers(0, max(K, 2), N), generator.uniform(0, 2, N) if weighted else None
    targets = np.eye(K)[labels] if K > 1 else labels[:, None]
    if kind != "labels":
        targets[1:] = generator.dirichlet(np.ones(K), N - 1)
    arguments = labels if kind == "labels" else targets, weights, intercept, 11.0, n_blocks, kind == "independent"
    residuals, losses, n_correct, sums = fill_residuals(scores, *arguments)
    z, fractions = scores.astype(np.float64) + intercept, np.ones(N) if weights is None else weights
    if K == 1 or kind == "independent":
        loss, p = (np.logaddexp(0, z) - targets * z).sum(axis=1), expit(z)
        right = ((z >= 0) == (targets >= 0.5)).all(axis=1)
    else:
        loss, p = logsumexp(z, axis=1) - (targets * z).sum(axis=1), softmax(z, axis=1)
        right = z.argmax(axis=1) == targets.argmax(axis=1)
    assert_close(residuals, fractions[:, None] * (p - targets) / 11, dtype)
    for block in range(n_blocks):
        rows = block_rows(block, n_blocks)
        assert_close(losses[block], (fractions * loss)[rows].sum(), dtype)
        assert n_correct[block] == pytest.approx((fractions * right)[rows].sum(), rel=1e-14)
        assert_close(sums[block], residuals[rows].astype(np.float64).sum(axis=0), np.float64)


@pytest.mark.parametrize(("dtype", "size"), [(np.float64, 1e300), (np.float64, 1e30), (np.float32, 1e30)])
@pytest.mark.parametrize(
    ("scores", "labels", "is_independent", "loss", "residuals", "n_correct"),
    [
        ([[-1], [1]], [0, 1], False, 0, [[0], [0]], 2),
        ([[1], [-1]], [0, 1], False, 2, [[1], [-1]], 0),
        ([[1, 0, -1], [1, 0, -1]], [0, 2], False, 2, [[0, 0, 0], [1, 0, -1]], 1),
        ([[1, -1, 0]], [[1, 0, 0]], False, 0, [[0, 0, 0]], 1),
        # A score of zero predicts class 1.
        ([[1, -1, 0]], [[1, 0, 0]], True, 0, [[0, 0, 0.5]], 0),
    ],
    ids=["right", "wrong", "classes", "targets", "independent targets"],
)
def test_residuals_of_extreme_scores(dtype, size, scores, labels, is_independent, loss, residuals, n_correct):
    scores = np.array(scores, dtype) * dtype(size)
    actual = fill_residuals(scores, labels, is_independent=is_independent)
    np.testing.assert_array_equal(actual[0], residuals)
    expected = loss * float(dtype(size)) + (math.log(2) if is_independent else 0)
    assert actual[1][0] == pytest.approx(expected, rel=1e-12 if loss else 1e-6)
    assert actual[2][0] == n_correct


@DTYPES
def test_ties_predict_the_first_class_or_class_1(dtype):
    assert fill_residuals(np.ones((3, 3), dtype), [0, 1, 2], np.array([1.0, 2.0, 4.0]))[2][0] == 1
    assert fill_residuals(np.zeros((2, 1), dtype), [0, 1], np.array([1.0, 2.0]))[2][0] == 2


@DTYPES
def test_the_loss_of_a_confidently_correct_row_is_accurate(dtype):
    _, losses, _, _ = fill_residuals(np.array([[25.0]], dtype), [1])
    assert losses[0] == pytest.approx(math.log1p(math.exp(-25)), rel=1e-5, abs=0)


@IGNORE_OVERFLOW
@DTYPES
@pytest.mark.parametrize("K", [1, 3])
@pytest.mark.parametrize("position", [0, -1])
def test_nan_scores_propagate_to_the_loss(dtype, K, position):
    scores = np.zeros((4, K), dtype)
    scores[2, position] = np.nan
    targets = [(np.eye(K)[[0, 1, 2, 1]], is_independent) for is_independent in (False, True)] if K > 1 else []
    for labels, is_independent in [([0, 1, 0, 1], False), ([0, 1, 1, 1], False), *targets]:
        actual = fill_residuals(scores, labels, n_blocks=4, is_independent=is_independent)
        residuals, losses, n_correct, sums = actual
        np.testing.assert_array_equal(np.isnan(losses), [False, False, True, False])
        reach = np.any if is_independent else np.all
        assert reach(np.isnan(residuals[2])) and reach(np.isnan(sums[2]))
        assert n_correct[2] == 0
    scores[2] = 0
    scores[2, 0] = np.inf
    if K > 1:
        assert not np.isfinite(fill_residuals(scores, [0, 0, 0, 0], n_blocks=4)[1][2])


@DTYPES
@pytest.mark.parametrize(("K", "n_blocks"), [(1, 1), (1, 12), (2, 3), (5, 3)])
def test_probabilities_agree_with_their_formulas(dtype, K, n_blocks):
    scores, intercept = sample_array((N, K), dtype, scale=4), sample_array(K, dtype, 1)
    scores[0], scores[1], scores[2, 0] = 1e30, -1e30, -1e30
    actual = {}
    for name, output_scores, is_independent in [
        ("all", scores, False),
        ("alone", scores[:, :1], False),
        ("independent", scores, True),
    ]:
        actual[name] = output_scores.copy()
        run(
            layers.fill_block_probabilities, n_blocks, actual[name], intercept[: output_scores.shape[1]], is_independent
        )
    inner = scores.astype(np.float64) + intercept
    assert_close(actual["all"], softmax(inner, axis=1) if K > 1 else expit(inner), dtype)
    assert_close(actual["independent"], expit(inner), dtype)
    np.testing.assert_array_equal(actual["independent"][:, 0], actual["alone"][:, 0])
    assert actual["all"][2, 0] == 0
    if K > 1:
        eps = float(np.finfo(dtype).eps)
        np.testing.assert_allclose(actual["all"].astype(np.float64).sum(axis=1), 1, rtol=0, atol=4 * eps)


@DTYPES
@pytest.mark.parametrize("n_penalized_parameters", [0, 4, 9])
@pytest.mark.parametrize(("rule", "option"), [("momentum", False), ("momentum", True), ("adam", None)])
def test_update_steps_agree_with_their_formulas(dtype, n_penalized_parameters, rule, option):
    parameters, gradient, means, squares = (sample_array(9, dtype, seed) for seed in range(4))
    squares **= 2
    w, g, m, v = (values.astype(np.float64) for values in (parameters, gradient, means, squares))
    penalized, before = np.where(np.arange(9) < n_penalized_parameters, w, 0), gradient.copy()
    slopes = g + 0.3 * penalized
    if rule == "adam":
        m, v = 0.9 * m + 0.1 * slopes, 0.99 * v + 0.01 * slopes**2
        w = w - 0.05 * m / (np.sqrt(v) + 0.2)
        strengths = 0.3, 0.05, 0.9, 0.99, 0.2
        actual = layers.update_with_adam(parameters, gradient, means, squares, n_penalized_parameters, *strengths)
    else:
        m = 0.9 * m - 0.05 * slopes
        w = w + (0.9 * m - 0.05 * slopes if option else m)
        actual = layers.update_with_momentum(
            parameters, gradient, means, n_penalized_parameters, 0.3, 0.05, 0.9, option
        )
    assert actual == pytest.approx(np.sum(penalized**2), rel=1e-13)
    for value, right in ((means, m), (squares, v), (parameters, w)):
        assert_close(value, right, dtype)
    np.testing.assert_array_equal(gradient, before)
