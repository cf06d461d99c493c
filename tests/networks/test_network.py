"""Networks and normalization, compared with a naive implementation and finite differences, per batch and per chunk."""

import itertools

import naive_network
import numpy as np
import pytest
from conftest import JIT_ENABLED
from scipy import sparse
from scipy.special import expit, softmax

from fastlin.matrices import as_matrix
from fastlin.networks import ACTIVATIONS, Examples, Network, network
from fastlin.networks.network import BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM, Normalization

NORMALIZATIONS = [(), ("input",), ("hidden",), ("input", "hidden")]
DEPTHS = [(), (4,), (4, 5), (3, 5, 4)]
N, D, SEED = 9, 6, 2**32 - 3
# Each activation is combined with each normalization. The combinations cover nearly all pairs of the other options.
OPTION_COMBINATIONS = pytest.mark.parametrize(
    ("activation", "normalization", "hidden", "dropout", "n_outputs"),
    [
        (activation, normalization, DEPTHS[(i + j) % 4], [0.0, 0.3][(i + j // 2) % 2], 1 + (i + 2 * j) % 3)
        for (i, activation), (j, normalization) in itertools.product(enumerate(ACTIVATIONS), enumerate(NORMALIZATIONS))
    ],
)


def make_network(hidden=(4, 5), activation="relu", normalization=(), dropout=0.0, n_outputs=3, dtype=np.float64):
    net = Network((D, *hidden, n_outputs), activation, normalization=normalization, dropout=dropout, dtype=dtype)
    # The parameters are sampled in float64, so that networks of both dtypes have the same parameters.
    net.parameters[:] = 0.7 * np.random.default_rng(0).normal(size=len(net.parameters))
    return net


def make_examples(n=N, n_outputs=3, weighted=False, dtype=np.float64):
    generator = np.random.default_rng(1)
    X = (1.5 * generator.normal(size=(n, D)) + 0.3).astype(dtype)
    weights = generator.uniform(0, 2, n) if weighted else None
    return Examples(as_matrix(X), generator.integers(0, max(n_outputs, 2), n), weights)


def evaluate_naively(net, examples):
    data, parts = (examples.matrix.X, examples.labels, examples.weights), (net.coefs, net.intercepts, net.scales)
    options = {"activation": net.activation, "normalize_input": len(net.normalizations) > len(net.scales)}
    return naive_network.loss_and_gradient(*data, *parts, dropout=net.dropout, seed=SEED, **options)


def copy_gradients(net):
    return [part.copy() for parts in net.make_layer_views(net.gradient) for part in parts]


def check_gradient(net, examples, rows, rtol, atol, batch=None):
    """Compare loss and gradient with the naive implementation. Return the weight of correct rows and of all rows."""
    loss, n_correct, total = net.compute_gradient(examples, rows, SEED)
    expected_loss, *expected = evaluate_naively(net, examples if batch is None else batch)
    assert loss == pytest.approx(expected_loss, rel=1e-12)
    for result, part in zip(copy_gradients(net), itertools.chain(*expected), strict=True):
        np.testing.assert_allclose(result, part, rtol=rtol, atol=atol)
    return n_correct, total


@OPTION_COMBINATIONS
def test_loss_and_gradient_match_the_naive_implementation(hidden, activation, normalization, dropout, n_outputs):
    for weighted in (False, True):
        examples = make_examples(n_outputs=n_outputs, weighted=weighted)
        net = make_network(hidden, activation, normalization, dropout, n_outputs)
        n_correct, total = check_gradient(net, examples, slice(0, N), 1e-8, 1e-11)
        assert total == pytest.approx(N if examples.weights is None else examples.weights.sum())
        assert 0 <= n_correct <= total


@OPTION_COMBINATIONS
def test_gradients_match_finite_differences(hidden, activation, normalization, dropout, n_outputs):
    examples = make_examples(n_outputs=n_outputs, weighted=True)
    net = make_network(hidden, activation, normalization, dropout, n_outputs)
    net.compute_gradient(examples, slice(0, N), SEED)
    generator = np.random.default_rng(3)
    for part, gradient in zip([*net.coefs, *net.intercepts, *net.scales], copy_gradients(net), strict=True):
        start, direction = part.copy(), generator.normal(size=part.shape)
        losses = []
        for step in (1e-6, -1e-6):
            part[:] = start + step * direction
            losses.append(net.compute_gradient(examples, slice(0, N), SEED)[0])
        part[:] = start
        assert np.sum(gradient * direction) == pytest.approx((losses[0] - losses[1]) / 2e-6, rel=1e-4, abs=1e-8)


@pytest.mark.parametrize(
    ("activation", "normalization", "dropout"), [*zip(ACTIVATIONS, NORMALIZATIONS, [0.0, 0.3] * 2, strict=True)]
)
def test_float32_matches_float64_up_to_rounding(activation, normalization, dropout):
    arguments, examples = ((4, 5), activation, normalization, dropout), make_examples(60, dtype=np.float32)
    narrow, wide = (make_network(*arguments, dtype=dtype) for dtype in (np.float32, np.float64))
    loss, n_correct, _ = narrow.compute_gradient(examples, slice(0, 60), SEED)
    expected_loss, expected_n_correct, _ = wide.compute_gradient(examples, slice(0, 60), SEED)
    assert (narrow.gradient.dtype, wide.gradient.dtype) == (np.float32, np.float64)
    assert loss == pytest.approx(expected_loss, rel=1e-6)
    assert n_correct == expected_n_correct
    np.testing.assert_allclose(narrow.gradient, wide.gradient, rtol=1e-4, atol=1e-5)


@pytest.fixture
def use_small_chunks(monkeypatch):
    monkeypatch.setattr(network, "MAX_CHUNK_VALUES", 1)
    monkeypatch.setattr(network, "MIN_CHUNK_ROWS", 4)


@pytest.mark.parametrize(("n_outputs", "dropout"), [(1, 0.0), (3, 0.0), (3, 0.4)])
@pytest.mark.parametrize("rows", [slice(3, 17), np.array([18, 0, 0, 7, 3, 12, 1, 9, 5])], ids=["slice", "array"])
def test_gradients_of_chunks_add_up_to_those_of_the_batch(use_small_chunks, rows, n_outputs, dropout):
    examples = make_examples(19, n_outputs, weighted=True)
    net = make_network((4, 5), "tanh", (), dropout, n_outputs)
    batch = Examples(as_matrix(examples.matrix.X[rows]), examples.labels[rows], examples.weights[rows])
    n_correct, total = check_gradient(net, examples, rows, 1e-9, 1e-12, batch)
    assert total == pytest.approx(batch.weights.sum(), rel=1e-14)
    predictions = net.make_prediction_network().predict_probabilities(batch.matrix)
    predictions = predictions.argmax(axis=1) if n_outputs > 1 else predictions[:, 0] >= 0.5
    if not dropout:
        assert n_correct == pytest.approx(np.sum(batch.weights * (predictions == batch.labels)))


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_gradients_of_blocks_add_up_to_those_of_the_batch(monkeypatch, use_small_chunks, normalization):
    monkeypatch.setattr(network, "count_blocks", lambda *arguments, **options: 5)
    # One of the batches has fewer rows than blocks.
    for n in (3, 19):
        examples = make_examples(n, weighted=True)
        net = make_network((4, 5), "tanh", normalization, 0.3)
        check_gradient(net, examples, slice(0, n), 1e-7, 1e-10)


@OPTION_COMBINATIONS
def test_predictions_use_running_statistics_and_no_dropout(
    use_small_chunks, hidden, normalization, activation, dropout, n_outputs
):
    net = make_network(hidden, activation, normalization, dropout, n_outputs)
    examples = make_examples(19, n_outputs, weighted=True)
    for seed in range(3):
        net.compute_gradient(examples, slice(4 * seed, 4 * seed + 9), seed)
    statistics = [(n.mean, n.variance) for n in net.normalizations]
    options = {"input_statistics": statistics.pop(0) if "input" in normalization else None}
    options |= {"hidden_statistics": statistics, "activation": activation}
    expected = naive_network.predict(examples.matrix.X, net.coefs, net.intercepts, net.scales, **options)
    before = [array.copy() for array in net.state]
    prediction_network = net.make_prediction_network()
    result = prediction_network.predict_probabilities(examples.matrix)
    np.testing.assert_allclose(result, expected, rtol=1e-10, atol=1e-13)
    scores = prediction_network.compute_scores(examples.matrix)
    probabilities_from_scores = expit(scores) if n_outputs == 1 else softmax(scores, axis=1)
    np.testing.assert_allclose(probabilities_from_scores, expected, rtol=1e-10, atol=1e-13)
    loss, accuracy = prediction_network.measure(examples)
    probabilities = np.column_stack([1 - result, result]) if n_outputs == 1 else result
    fractions = examples.weights / examples.weights.sum()
    assert loss == pytest.approx(-fractions @ np.log(probabilities[np.arange(19), examples.labels]), rel=1e-10)
    assert accuracy == pytest.approx(fractions @ (probabilities.argmax(axis=1) == examples.labels), rel=1e-12)
    assert len(before) == 1 + 2 * len(net.normalizations)
    np.testing.assert_equal(net.state, before)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n_outputs", [1, 5])
def test_loss_and_accuracy_of_a_single_layer_agree_in_every_matrix_format(n_outputs, dtype):
    n = 400 if JIT_ENABLED else 30
    net, examples = make_network((), n_outputs=n_outputs, dtype=dtype), make_examples(n, n_outputs, True, dtype=dtype)
    X, labels, weights = examples.matrix.X, examples.labels, examples.weights
    scores = X.astype(float) @ net.coefs[0].astype(float) + net.intercepts[0]
    is_correct = (scores.argmax(axis=1) if n_outputs > 1 else scores[:, 0] >= 0) == labels
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    order = np.random.default_rng(0).permutation(n)
    formats = X, np.asfortranarray(X), np.repeat(X, 2, axis=1)[:, ::2], sparse.csr_array(X)
    for matrix, rows in itertools.product(formats, (None, order[: n // 2])):
        indices = slice(None) if rows is None else rows
        loss, *_ = evaluate_naively(net, Examples(as_matrix(X[indices]), labels[indices], weights[indices]))
        result = net.measure(Examples(as_matrix(matrix), labels, weights, rows))
        assert result == pytest.approx((loss, np.average(is_correct[indices], weights=weights[indices])), rel=tolerance)


def normalize(normalization, values):
    normalized = np.full_like(values, np.nan)
    normalization.normalize(values, normalized)
    return normalized


def test_running_statistics_average_the_statistics_of_batches():
    normalization, mean, variance = Normalization(3), np.zeros(3), np.ones(3)
    generator = np.random.default_rng(0)
    for n in (5, 2, 30):
        batch = generator.normal(size=(n, 3)) + 4
        normalize(normalization, batch)
        mean += BATCH_NORM_MOMENTUM * (batch.mean(axis=0) - mean)
        variance += BATCH_NORM_MOMENTUM * (batch.var(axis=0, ddof=1) - variance)
        np.testing.assert_allclose(normalization.mean, mean, rtol=1e-13)
        np.testing.assert_allclose(normalization.variance, variance, rtol=1e-12)
        np.testing.assert_allclose(
            normalization.inverse_deviations(), 1 / np.sqrt(variance + BATCH_NORM_EPSILON), rtol=1e-12
        )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("values", "variance"),
    [(np.full((8, 2), 1e6), 1 - BATCH_NORM_MOMENTUM), ([[3.0, -1e20]], 1)],
    ids=["constant", "one row"],
)
def test_constant_columns_are_normalized_to_zero(values, variance, dtype):
    normalization, values = Normalization(2), np.array(values, dtype)
    np.testing.assert_array_equal(normalize(normalization, values), 0)
    np.testing.assert_allclose(normalization.variance, variance, rtol=1e-12)
    np.testing.assert_allclose(normalization.mean, BATCH_NORM_MOMENTUM * values[0].astype(float), rtol=1e-12)


def test_a_small_standard_deviation_far_from_zero_keeps_its_accuracy():
    far = np.random.default_rng(0).normal(size=(50, 1)) + 1e8
    expected = naive_network.normalize(far - 1e8)
    np.testing.assert_allclose(normalize(Normalization(1), far), expected, rtol=1e-6, atol=1e-6)
