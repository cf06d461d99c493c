"""Scores, passes and column statistics for every format of X, including cases that are sensitive to rounding."""

import numpy as np
import pytest
import reference
from conftest import make_offsets_and_targets
from scipy import sparse

from fastlin.blocks import from_arrays, from_csr
from fastlin.kernels.linear.operands import Samples
from fastlin.kernels.machine.tiles import Scaling
from fastlin.matrices import BlockMatrix, TableMatrix, as_matrix
from fastlin.matrices.matrix import ColumnStatistics
from fastlin.matrices.pieces import compute_class_pair_gram

N = 700
# The formats of X.
CONVERSIONS = {
    "dense": as_matrix,
    "blocks": lambda X: BlockMatrix(from_arrays(X, rows_per_block=9)),
    "table": lambda X: TableMatrix(list(X.T.copy())),
    "sparse": lambda X: as_matrix(sparse.csr_array(X)),
    "sparse blocks": lambda X: BlockMatrix(from_csr([sparse.csr_array(X[i : i + 90]) for i in range(0, len(X), 90)])),
}


def test_scores_in_batches_of_rows_agree_with_numpy(monkeypatch):
    # A step has about three rows.
    monkeypatch.setattr("fastlin.matrices.matrix.SCORE_BATCH_BYTES", 200)
    generator = np.random.default_rng(0)
    X = generator.normal(size=(40, 6)) * (generator.random((40, 6)) < 0.5)
    coef, intercept = generator.normal(size=(2, 6)), generator.normal(size=2)
    samples, scaling = Samples(*np.empty((3, 0), np.int64)), Scaling(np.ones(6), np.zeros(6))
    others = as_matrix(np.asfortranarray(X)), as_matrix(sparse.csc_array(X))
    for matrix in (*(make(X) for make in CONVERSIONS.values()), *others):
        pieces = matrix.passes(samples, scaling, 2).split(len(X))
        actual = [
            scores for piece in pieces for _, scores in piece.iterate_score_chunks(np.column_stack([coef, intercept]))
        ]
        np.testing.assert_allclose(np.concatenate(actual), X @ coef.T + intercept, rtol=1e-13, atol=1e-13)


def test_passes_with_offsets_or_targets_agree_with_the_reference(monkeypatch):
    monkeypatch.setattr("fastlin.matrices.matrix.PROBABILITY_BATCH_BYTES", 8 * 3 * 50)
    generator = np.random.default_rng(3)
    for (n, d), n_classes, size in [((60, 4), 2, 3.0), ((400, 100), 2, 1e3), ((400, 100), 3, 3.0), ((80, 7), 3, 1e3)]:
        # Values that float32 represents exactly.
        X = (generator.normal(size=(n, d)) * (generator.random((n, d)) < 0.5)).astype(np.float32).astype(float)
        labels, weights = generator.integers(0, n_classes, n).astype(np.int32), generator.uniform(0, 2, n)
        offsets, targets = make_offsets_and_targets(labels, n_classes, size, standard_deviation=size)
        K = offsets.shape[1]
        scaling = Scaling(2.0 ** generator.integers(-1, 2, d), generator.normal(size=d))
        parameters = generator.normal(size=(K, d + 1)) / np.sqrt(d)
        matrices = [
            *(make(X) for make in CONVERSIONS.values()),
            as_matrix(np.asfortranarray(X)),
            as_matrix(X.astype(np.float32)),
        ]
        direction = np.cos(parameters)
        for row_offsets, soft, numbers in [
            (np.empty((0, 0)), np.empty((0, 0)), np.empty(0, int)),
            (offsets, targets, np.empty(0, int)),
            (offsets, np.empty((0, 0)), np.sort(generator.choice(n, n // 2))),
            (np.empty((0, 0)), targets, np.arange(3, n // 7)),
        ]:
            samples, of = (
                Samples(numbers, labels, weights, row_offsets, soft),
                numbers if len(numbers) else np.arange(n),
            )
            rows = np.column_stack([X * scaling.scale + scaling.shift, np.ones(n)])[of]
            added, classes, total = row_offsets[of] if len(row_offsets) else 0.0, labels[of], weights[of].sum()
            if len(soft):
                classes = soft[of] if K > 1 else np.column_stack([1 - soft, soft])[of]
            options = {"weights": weights[of], "offsets": added}
            loss = float(reference.mean_loss(rows, classes, parameters, 0.0, **options)) * total
            slopes = reference.gradient(rows, classes, parameters, 0.0, **options)[0].astype(float) * total
            _, p, _ = reference.evaluate_losses(rows @ parameters.T + added, classes)
            exact = np.ascontiguousarray(p.T)
            hessian = reference.hessian(rows, weights[of], p)
            for matrix in matrices:
                passes = matrix.passes(samples, scaling, K)
                for precision, accuracy in ((np.float64, 1e-11), (np.float32, 1e-3)):
                    gradient, probabilities = np.empty(parameters.shape), np.empty((K, len(of)), precision)
                    actual = passes.evaluate(parameters.astype(precision), probabilities, gradient)
                    assert actual == pytest.approx(loss, rel=accuracy)
                    np.testing.assert_allclose(gradient, slopes, atol=accuracy * total)
                    np.testing.assert_allclose(probabilities, p.T, atol=accuracy)
                product, curvature = passes.hessian_product(direction, exact), passes.class_pair_gram(exact)
                np.testing.assert_allclose(product.ravel(), hessian @ direction.ravel(), atol=1e-9 * total)
                # Sums over recomputed probabilities include the offsets.
                for actual in (curvature, passes.sum_with_probabilities(compute_class_pair_gram, parameters)):
                    np.testing.assert_allclose(actual, hessian, atol=1e-9 * total)
                (gram,) = passes.gram(numbers, weights[of][None], np.float64)
                np.testing.assert_allclose(gram, (rows.T * weights[of]) @ rows, atol=1e-9 * total)
                # The second of three samples is empty.
                starts = np.array([0, len(of) // 3, len(of) // 3, len(of)])
                grams = passes.grams_of_samples(of, starts, weights[of], np.float64)
                for gram, first, last in zip(grams, starts[:-1], starts[1:], strict=True):
                    sample = slice(first, last)
                    expected = (rows[sample].T * weights[of][sample]) @ rows[sample]
                    np.testing.assert_allclose(gram, expected, atol=1e-9 * total)


def make_column_statistics(*columns):
    """Return `ColumnStatistics` with the given mean, variance, smallest and largest value of each column."""
    mean, variance, smallest, largest = np.array(columns, float).T
    return ColumnStatistics(mean, np.zeros_like(mean), variance, smallest, largest)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", CONVERSIONS)
def test_only_columns_that_are_constant_over_weighted_rows_have_zero_variance(kind, weighted):
    generator = np.random.default_rng(0)
    weights = generator.uniform(0.01, 2, N) if weighted else None
    constants = 0.1, -1 / 3, 1e16, 1e-3, 0.0
    X = np.tile(constants, (N, 1))
    # One in 700 values differs by one unit in the last place, or by a number with a square that underflows.
    nearly_constant_columns = np.tile([0.1, 1e16, 1.0, 0.0], (N, 1))
    nearly_constant_columns[5] = [*np.nextafter(nearly_constant_columns[5, :3], 1e300), 1e-310]
    if weighted:
        # The only rows in which the first columns vary have weight zero.
        weights[::3], weights[5] = 0, 1e-9
        X[::3] = generator.normal(size=(len(X[::3]), len(constants)))
    columns = CONVERSIONS[kind](np.hstack([X, nearly_constant_columns])).measure(weights)
    np.testing.assert_array_equal(columns.standard_deviation == 0, [True] * 5 + [False] * 4)
    np.testing.assert_array_equal(columns.mean[:5], constants)
    assert columns.is_finite


@pytest.mark.parametrize("kind", ["dense", "blocks", "table"])
def test_means_with_remainders_are_more_accurate_than_float64(kind):
    generator = np.random.default_rng(1)
    weights = generator.uniform(0, 2, N)
    distances = np.column_stack([2.0 * generator.integers(0, 9, N), generator.integers(0, 9, N) / 1024])
    origin = np.array([1e16, 1e12])
    columns = CONVERSIONS[kind](origin + distances).measure(weights)
    mean = np.average(distances, axis=0, weights=weights)
    np.testing.assert_allclose((columns.mean - origin) + columns.remainder, mean, rtol=1e-12)
    standard_deviation = np.sqrt(np.average((distances - mean) ** 2, axis=0, weights=weights))
    np.testing.assert_allclose(columns.standard_deviation, standard_deviation, rtol=1e-12)


@pytest.mark.parametrize("kind", CONVERSIONS)
def test_a_light_outlier_does_not_affect_the_standard_deviation(kind):
    X = np.random.default_rng(2).normal(size=(N, 1)) + 3
    X[0], weights = 1e9, np.ones(N)
    weights[0] = 1e-30
    standard_deviation = CONVERSIONS[kind](X).measure(weights).standard_deviation
    np.testing.assert_allclose(standard_deviation, np.std(X[1:]), rtol=1e-6)


@pytest.mark.parametrize("kind", CONVERSIONS)
@pytest.mark.parametrize("nonfinite_value", [np.nan, np.inf, -np.inf])
def test_nonfinite_values_are_reported_even_in_rows_of_weight_zero(nonfinite_value, kind):
    X, weights = np.ones((N, 2)), (np.arange(N) != 5).astype(float)
    X[5, 1] = nonfinite_value
    with np.errstate(invalid="ignore"):
        assert not any(CONVERSIONS[kind](X).measure(row_weights).is_finite for row_weights in (None, weights))


@pytest.mark.parametrize("size", [1e200, 1e-200])
def test_half_the_range_replaces_an_overflowing_standard_deviation(size):
    with np.errstate(over="ignore"):
        columns = make_column_statistics((0, np.float64(size) ** 2, -3 * size, size))
    assert columns.standard_deviation[0] == pytest.approx(2 * size)
    assert columns.is_finite


def test_column_statistics_follow_from_moments():
    columns = make_column_statistics((3, 4, -2, 9), (-1, 0.25, -6, 5), (7, 0, 7, 7))
    np.testing.assert_array_equal(columns.standard_deviation, [2, 0.5, 0])
    np.testing.assert_array_equal(columns.largest_magnitudes, [9, 6, 7])
    scale, shift = columns.choose_coordinates()
    # Scales are powers of two.
    np.testing.assert_array_equal(make_column_statistics((5, 0.3, 0, 9)).choose_coordinates()[0], [2])
    np.testing.assert_array_equal(scale, [0.5, 2, 1])
    np.testing.assert_array_equal(shift, -columns.mean * scale)
    assert columns.is_finite
