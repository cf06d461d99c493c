"""Every kernel around the products of a network against its formula, in both types, with extreme values."""

import itertools
import math

import naive
import naive_network
import numpy as np
import pytest
from conftest import COMPILED

from fastlin.kernels.networks import layers

ACTIVATIONS = {
    "identity": layers.IDENTITY,
    "logistic": layers.LOGISTIC,
    "relu": layers.RELU,
    "tanh": layers.TANH,
}
DTYPES = [np.float64, np.float32]
TOLERANCES = {np.float64: 1e-13, np.float32: 2e-6}
# Among them one, several, and more than there are rows, so that some blocks are empty.
N_BLOCKS = [1, 3, 12]
N, WIDTH = 7, 5


def run(kernel, n_blocks, *arguments):
    for block in range(n_blocks):
        kernel(block, n_blocks, *arguments)


def draw(shape, dtype, seed=0, scale=2.0):
    return (scale * np.random.default_rng(seed).normal(size=shape)).astype(dtype)


def assert_close(found, expected, dtype):
    np.testing.assert_allclose(found, expected, rtol=TOLERANCES[dtype], atol=TOLERANCES[dtype])


def rows_of_block(block, n_blocks, n=N):
    return slice(block * n // n_blocks, (block + 1) * n // n_blocks)


def activate(Z, activation="identity", scales=None, shifts=None, keep=1.0, seed=0, first_row=0, n_blocks=1):
    """Return the activations of Z, which stays as it is."""
    width = Z.shape[1]
    scales = np.empty(0, Z.dtype) if scales is None else scales
    shifts = np.zeros(width, Z.dtype) if shifts is None else shifts
    activations = np.full_like(Z, np.nan)
    run(layers.activate_block, n_blocks, Z, scales, shifts, ACTIVATIONS[activation], keep, seed, first_row, activations)
    return activations


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_blocks", N_BLOCKS)
def test_column_sums_of_each_block(dtype, n_blocks):
    Z = draw((N, WIDTH), dtype) + dtype(1000)
    origin = Z[0].astype(np.float64)
    sums, squares = np.full((2, n_blocks, WIDTH), np.nan)
    run(layers.sum_block_columns, n_blocks, Z, origin, sums, squares)
    for block in range(n_blocks):
        part = Z[rows_of_block(block, n_blocks)].astype(np.float64) - origin
        # Float64 also where Z is float32.
        np.testing.assert_allclose(sums[block], part.sum(axis=0), rtol=1e-13, atol=1e-13)
        np.testing.assert_allclose(squares[block], (part**2).sum(axis=0), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_blocks", N_BLOCKS)
def test_normalization_in_another_array_and_in_place(dtype, n_blocks):
    Z, means, inverse_deviations = draw((N, WIDTH), dtype), draw(WIDTH, dtype, 1), draw(WIDTH, dtype, 2)
    expected = inverse_deviations * (Z.astype(np.float64) - means)
    normalized = np.full_like(Z, np.nan)
    run(layers.normalize_block, n_blocks, Z, means, inverse_deviations, normalized)
    assert_close(normalized, expected, dtype)
    run(layers.normalize_block, n_blocks, Z, means, inverse_deviations, Z)
    np.testing.assert_array_equal(Z, normalized)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("scaled", "dropout"), [(False, 0.0), (True, 0.4)])
def test_activations_are_the_oracles_in_another_array_and_in_place(activation, dtype, scaled, dropout):
    Z, shifts = draw((N, WIDTH), dtype), draw(WIDTH, dtype, 1)
    scales = draw(WIDTH, dtype, 2) if scaled else None
    inner = (scales if scaled else 1.0) * Z.astype(np.float64) + shifts
    expected = naive_network.ACTIVATIONS[activation](inner)
    if dropout:
        expected = expected * naive_network.keep_units(N, WIDTH, dropout, 99, first_row=3)
    for n_blocks in N_BLOCKS:
        found = activate(Z, activation, scales, shifts, 1 - dropout, 99, 3, n_blocks)
        assert_close(found, expected, dtype)
    scales = scales if scaled else np.empty(0, dtype)
    run(layers.activate_block, 3, Z, scales, shifts, ACTIVATIONS[activation], 1 - dropout, 99, 3, Z)
    np.testing.assert_array_equal(Z, found)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("activation", "formula"), [("tanh", math.tanh), ("logistic", lambda z: 1 / (1 + math.exp(-z)))]
)
def test_small_and_large_arguments_keep_their_digits(activation, formula, dtype):
    sizes = 10.0 ** np.linspace(-30, np.log10(80), 501 if COMPILED else 61)
    Z = np.concatenate([-sizes, [-0.0, 0.0], sizes]).astype(dtype)[np.newaxis]
    expected = np.array([formula(float(z)) for z in Z[0]])
    np.testing.assert_allclose(activate(Z, activation)[0], expected, rtol=6 * np.finfo(dtype).eps, atol=0)


@pytest.mark.filterwarnings("ignore:(overflow|invalid value):RuntimeWarning")
@pytest.mark.parametrize("dtype", DTYPES)
def test_activations_of_extreme_values(dtype):
    huge = float(np.finfo(dtype).max)
    Z = np.array([[-np.inf, -huge, -1e30, 1e30, huge, np.inf]], dtype)
    np.testing.assert_array_equal(activate(Z, "identity"), Z)
    np.testing.assert_array_equal(activate(Z, "relu"), np.where(Z > 0, Z, 0))
    np.testing.assert_array_equal(activate(Z, "tanh"), np.sign(Z))
    np.testing.assert_array_equal(activate(Z, "logistic"), (np.sign(Z) + 1) / 2)


@pytest.mark.filterwarnings("ignore:(overflow|invalid value):RuntimeWarning")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_what_is_no_number_stays_so(activation, dtype):
    # More than a vector register holds, so that the vectorised loop is met too.
    Z = np.full((1, 37), np.nan, dtype)
    assert np.isnan(activate(Z, activation)).all()
    slopes, sums, products, normalized = Z.copy(), np.empty((1, 37)), np.empty((1, 0)), np.empty((0, 0), dtype)
    run(layers.backpropagate_block, 1, Z, normalized, ACTIVATIONS[activation], 1.0, 0, 0, slopes, sums, products)
    assert np.isnan(slopes).all()
    assert np.isnan(sums).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dropout", [0.1, 0.5, 0.9])
def test_dropout_keeps_its_part_and_the_mean(dropout, dtype):
    n, width = (300, 100) if COMPILED else (20, 50)
    kept = activate(np.ones((n, width), dtype), keep=1 - dropout, seed=2**32 - 1)
    assert set(np.unique(kept)) == {dtype(0), dtype(1 / (1 - dropout))}
    # Four standard deviations, of all units and of the units of any row or column.
    deviation = np.sqrt(dropout * (1 - dropout))
    assert abs(np.mean(kept > 0) - (1 - dropout)) < 4 * deviation / np.sqrt(n * width)
    for axis in (0, 1):
        assert np.abs(np.mean(kept > 0, axis=axis) - (1 - dropout)).max() < 4.5 * deviation / np.sqrt(kept.shape[axis])


def test_dropout_follows_from_seed_row_and_column_alone():
    n, width = 24, 10
    Z = np.ones((n, width))
    whole = activate(Z, keep=0.6, seed=5)
    np.testing.assert_array_equal(whole > 0, naive_network.keep_units(n, width, 0.4, 5) > 0)
    for n_blocks in (2, 5, 40):
        np.testing.assert_array_equal(activate(Z, keep=0.6, seed=5, n_blocks=n_blocks), whole)
    for cuts in ([0, 24], [0, 1, 24], [0, 7, 8, 20, 24]):
        pieces = [
            activate(Z[first:last], keep=0.6, seed=5, first_row=first, n_blocks=2)
            for first, last in itertools.pairwise(cuts)
        ]
        np.testing.assert_array_equal(np.vstack(pieces), whole)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("dropout", "normalized"), [(0.0, False), (0.4, True)])
def test_slopes_by_what_was_activated(activation, dtype, dropout, normalized):
    Z, slopes = draw((N, WIDTH), dtype), draw((N, WIDTH), dtype, 1)
    activations = activate(Z, activation, keep=1 - dropout, seed=8, first_row=2)
    mask = naive_network.keep_units(N, WIDTH, dropout, 8, first_row=2) if dropout else 1.0
    expected = slopes * mask * naive_network.SLOPES[activation](Z.astype(np.float64))
    x = draw((N, WIDTH), dtype, 2) if normalized else np.empty((0, 0), dtype)
    for n_blocks in N_BLOCKS:
        found = slopes.copy()
        sums = np.full((n_blocks, WIDTH), np.nan)
        products = np.full((n_blocks, WIDTH if normalized else 0), np.nan)
        inputs = activations, x, ACTIVATIONS[activation], 1 - dropout, 8, 2
        run(layers.backpropagate_block, n_blocks, *inputs, found, sums, products)
        assert_close(found, expected, dtype)
        for block in range(n_blocks):
            rows = rows_of_block(block, n_blocks)
            assert_close(sums[block], found[rows].astype(np.float64).sum(axis=0), np.float64)
            if normalized:
                assert_close(products[block], (found[rows].astype(np.float64) * x[rows]).sum(axis=0), np.float64)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_blocks", N_BLOCKS)
def test_slopes_by_what_was_normalised(dtype, n_blocks):
    Z, slopes = draw((N, WIDTH), np.float64), draw((N, WIDTH), dtype, 1)
    normalized = naive_network.normalize(Z)
    expected = naive_network.normalization_slopes(Z, slopes.astype(np.float64))
    scales = 1 / np.sqrt(Z.var(axis=0) + naive_network.EPSILON)
    means, products = slopes.mean(axis=0), (slopes * normalized).mean(axis=0)
    inputs = (part.astype(dtype) for part in (normalized, scales, means, products))
    run(layers.backpropagate_normalization_block, n_blocks, *inputs, slopes)
    assert_close(slopes, expected, dtype)


def fill_residuals(scores, labels, weights=None, intercept=None, total=1.0, n_blocks=1, is_independent=False):
    """Return residuals, and losses, weights of right rows and sums of the residuals of each block.

    Labels (n,) are class numbers, labels (n, K) targets.
    """
    residuals, labels, K = scores.copy(), np.asarray(labels), scores.shape[1]
    outputs = np.full(n_blocks, np.nan), np.full(n_blocks, np.nan), np.full((n_blocks, K), np.nan)
    intercept = np.zeros(K, scores.dtype) if intercept is None else intercept
    weights = np.empty(0) if weights is None else weights
    none = np.empty(0, np.int64), np.empty((0, 0))
    given = (labels, none[1]) if labels.ndim == 1 else (none[0], labels.astype(np.float64))
    arguments = residuals, intercept, *given, weights, float(total), is_independent
    run(layers.fill_block_residuals, n_blocks, *arguments, *outputs)
    return residuals, *outputs


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("is_independent", [False, True])
def test_residuals_of_soft_targets(dtype, is_independent):
    scores, intercept = draw((N, 4), dtype, scale=3), draw(4, dtype, 1)
    generator = np.random.default_rng(2)
    targets = generator.dirichlet(np.ones(4), N)
    targets[0] = [0, 1, 0, 0]
    weights = generator.uniform(0, 2, N)
    found = fill_residuals(scores, targets, weights, intercept, 11.0, 3, is_independent)
    residuals, losses, n_correct, sums = found
    z = scores.astype(np.float64) + intercept
    if is_independent:
        loss = (np.logaddexp(0, z) - targets * z).sum(axis=1)
        probabilities, right = 1 / (1 + np.exp(-z)), ((z >= 0) == (targets >= 0.5)).all(axis=1)
    else:
        loss = np.log(np.exp(z).sum(axis=1)) - (targets * z).sum(axis=1)
        probabilities, right = np.exp(z - np.log(np.exp(z).sum(axis=1))[:, None]), z.argmax(1) == targets.argmax(1)
    assert_close(residuals, weights[:, None] * (probabilities - targets) / 11, dtype)
    for block in range(3):
        rows = rows_of_block(block, 3)
        assert_close(losses[block], np.sum((weights * loss)[rows]), dtype)
        assert n_correct[block] == pytest.approx(np.sum((weights * right)[rows]), rel=1e-14)
        assert_close(sums[block], residuals[rows].astype(np.float64).sum(axis=0), np.float64)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("is_independent", [False, True])
def test_targets_of_extreme_scores_and_of_scores_that_are_no_number(dtype, is_independent):
    scores = np.array([[1e30, -1e30, 0.0]], dtype)
    residuals, losses, n_correct, _ = fill_residuals(scores, [[1.0, 0.0, 0.0]], is_independent=is_independent)
    assert_close(residuals, [[0, 0, 0.5 if is_independent else 0]], dtype)
    assert losses[0] == pytest.approx(math.log(2) if is_independent else 0, rel=1e-6)
    # A score of zero is on the side of class 1.
    assert n_correct[0] == (not is_independent)
    scores[0, 1] = np.nan
    _, losses, n_correct, _ = fill_residuals(scores, [[0.5, 0.5, 0.0]], is_independent=is_independent)
    assert np.isnan(losses[0]) and n_correct[0] == 0


def naive_residuals(scores, label):
    return naive.logistic(scores[0], label) if len(scores) == 1 else naive.softmax(list(scores), label)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("K", [1, 2, 10])
@pytest.mark.parametrize(("weighted", "n_blocks"), [(False, 1), (True, 3), (True, 12)])
def test_residuals_and_sums_of_blocks_are_the_oracles(dtype, K, weighted, n_blocks):
    scores, intercept = draw((N, K), dtype, scale=3), draw(K, dtype, 1)
    generator = np.random.default_rng(2)
    labels = generator.integers(0, max(K, 2), N)
    weights = generator.uniform(0, 2, N) if weighted else None
    residuals, losses, n_correct, sums = fill_residuals(scores, labels, weights, intercept, 11.0, n_blocks)
    shares = np.ones(N) if weights is None else weights
    inner = scores.astype(np.float64) + intercept
    expected = [naive_residuals(row, label) for row, label in zip(inner, labels, strict=True)]
    best = inner.argmax(axis=1) if K > 1 else inner[:, 0] >= 0
    assert_close(residuals, [share * np.array(r) / 11 for share, (_, r) in zip(shares, expected, strict=True)], dtype)
    for block in range(n_blocks):
        rows = rows_of_block(block, n_blocks)
        loss = sum(share * loss for share, (loss, _) in zip(shares[rows], expected[rows], strict=True))
        assert_close(losses[block], loss, dtype)
        assert n_correct[block] == pytest.approx(np.sum(shares[rows] * (best == labels)[rows]), rel=1e-14)
        assert_close(sums[block], residuals[rows].astype(np.float64).sum(axis=0), np.float64)


@pytest.mark.parametrize("dtype", DTYPES)
def test_of_equal_scores_the_first_class_is_best_and_of_one_score_class_1(dtype):
    assert fill_residuals(np.ones((3, 3), dtype), [0, 1, 2], np.array([1.0, 2.0, 4.0]))[2][0] == 1
    assert fill_residuals(np.zeros((2, 1), dtype), [0, 1], np.array([1.0, 2.0]))[2][0] == 2


@pytest.mark.parametrize(("dtype", "size"), [(np.float64, 1e300), (np.float64, 1e30), (np.float32, 1e30)])
def test_residuals_of_extreme_scores(dtype, size):
    residuals, losses, _, _ = fill_residuals(np.array([[-size], [size]], dtype), [0, 1])
    np.testing.assert_array_equal(residuals, 0)
    assert losses[0] == 0
    residuals, losses, n_correct, _ = fill_residuals(np.array([[size], [-size]], dtype), [0, 1])
    np.testing.assert_array_equal(residuals, [[1], [-1]])
    assert losses[0] == pytest.approx(2 * float(dtype(size)), rel=1e-12)
    assert n_correct[0] == 0
    scores = np.array([[size, 0, -size], [size, 0, -size]], dtype)
    residuals, losses, n_correct, _ = fill_residuals(scores, [0, 2])
    np.testing.assert_array_equal(residuals, [[0, 0, 0], [1, 0, -1]])
    assert losses[0] == pytest.approx(2 * float(dtype(size)), rel=1e-12)
    assert n_correct[0] == 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_that_is_right_beyond_doubt_keeps_the_digits_of_its_loss(dtype):
    _, losses, _, _ = fill_residuals(np.array([[25.0]], dtype), [1])
    assert losses[0] == pytest.approx(math.log1p(math.exp(-25)), rel=1e-5, abs=0)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("K", [1, 3])
@pytest.mark.parametrize("place", [0, -1])
def test_a_score_that_is_no_number_reaches_the_loss(dtype, K, place):
    scores = np.zeros((4, K), dtype)
    scores[2, place] = np.nan
    for label in (0, 1):
        residuals, losses, n_correct, sums = fill_residuals(scores, [0, 1, label, 1], n_blocks=4)
        np.testing.assert_array_equal(np.isnan(losses), [False, False, True, False])
        assert np.isnan(residuals[2]).all()
        assert np.isnan(sums[2]).all()
        assert n_correct[2] == 0


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_an_infinite_score_reaches_the_loss_of_several_classes():
    _, losses, _, _ = fill_residuals(np.array([[np.inf, 0.0, 0.0]]), [0])
    assert not np.isfinite(losses[0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("K", "n_blocks"), [(1, 1), (1, 12), (2, 3), (5, 3)])
def test_probabilities_sum_to_one_and_are_the_formulas(dtype, K, n_blocks):
    scores, intercept = draw((N, K), dtype, scale=4), draw(K, dtype, 1)
    scores[0], scores[1] = 1e30, -1e30
    if K > 1:
        scores[2, 0] = -1e30
    probabilities = scores.copy()
    run(layers.fill_block_probabilities, n_blocks, probabilities, intercept, False)
    alone = scores[:, [0]].copy()
    run(layers.fill_block_probabilities, n_blocks, alone, intercept[:1], False)
    independent = scores.copy()
    run(layers.fill_block_probabilities, n_blocks, independent, intercept, True)
    np.testing.assert_array_equal(independent[:, 0], alone[:, 0])
    for found, row in zip(probabilities, scores.astype(np.float64) + intercept, strict=True):
        if K == 1:
            assert_close(found[0], 0.0 if row[0] < -700 else 1 / (1 + math.exp(-row[0])), dtype)
        else:
            assert found.astype(np.float64).sum() == pytest.approx(1, abs=4 * float(np.finfo(dtype).eps))
            if abs(row).max() < 100:
                exponentials = np.exp(row - row.max())
                assert_close(found, exponentials / exponentials.sum(), dtype)
    if K > 1:
        assert probabilities[2, 0] == 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("nesterov", "n_penalised"), [(False, 0), (True, 4), (False, 9)])
def test_a_step_with_momentum_is_its_formula(dtype, nesterov, n_penalised):
    parameters, gradient, velocity = (draw(9, dtype, seed) for seed in range(3))
    w, g, v = (values.astype(np.float64) for values in (parameters, gradient, velocity))
    squares = np.sum(w[:n_penalised] ** 2)
    before = gradient.copy()
    slopes = g + 0.3 * np.where(np.arange(9) < n_penalised, w, 0)
    v = 0.9 * v - 0.05 * slopes
    w = w + (0.9 * v - 0.05 * slopes if nesterov else v)
    found = layers.update_with_momentum(parameters, gradient, velocity, n_penalised, 0.3, 0.05, 0.9, nesterov)
    assert found == pytest.approx(squares, rel=1e-13)
    assert_close(velocity, v, dtype)
    assert_close(parameters, w, dtype)
    np.testing.assert_array_equal(gradient, before)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_penalised", [0, 4, 9])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_a_step_of_adam_is_its_formula(dtype, n_penalised, decay):
    parameters, gradient, means, squares = (draw(9, dtype, seed) for seed in range(4))
    squares **= 2
    w, g, m, v = (values.astype(np.float64) for values in (parameters, gradient, means, squares))
    expected = np.sum(w[:n_penalised] ** 2)
    before = gradient.copy()
    slopes = g + 0.3 * np.where(np.arange(9) < n_penalised, w, 0)
    m, v = 0.9 * m + 0.1 * slopes, 0.99 * v + 0.01 * slopes**2
    w = w - 0.05 * m / (np.sqrt(v) + 0.2) - decay * np.where(np.arange(9) < n_penalised, w, 0)
    strengths = 0.3, decay, 0.05, 0.9, 0.99, 0.2
    found = layers.update_with_adam(parameters, gradient, means, squares, n_penalised, *strengths)
    assert found == pytest.approx(expected, rel=1e-13)
    assert_close(means, m, dtype)
    assert_close(squares, v, dtype)
    assert_close(parameters, w, dtype)
    np.testing.assert_array_equal(gradient, before)
