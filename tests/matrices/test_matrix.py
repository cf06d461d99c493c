"""What every form of X answers in the same way."""

import numpy as np
import pytest
import reference
from conftest import make_offsets_and_targets
from scipy import sparse

from fastlin.blocks import from_arrays
from fastlin.kernels.linear.operands import Samples
from fastlin.kernels.machine.tiles import Scaling
from fastlin.matrices import BlockMatrix, TableMatrix, as_matrix
from fastlin.matrices.pieces import find_class_pair_gram


def test_scores_of_some_rows_at_a_time_are_those_of_all(monkeypatch):
    # Twelve rows at a time for two classes, and four pieces.
    monkeypatch.setattr("fastlin.matrices.matrix.SCORE_BYTES", 200)
    generator = np.random.default_rng(0)
    X = generator.normal(size=(40, 6)) * (generator.random((40, 6)) < 0.5)
    coef, intercept = generator.normal(size=(2, 6)), generator.normal(size=2)
    expected = ((X @ coef.T + intercept) ** 2).sum(axis=1)
    forms = X, np.asfortranarray(X), sparse.csr_array(X), sparse.csc_array(X)
    for matrix in (*map(as_matrix, forms), TableMatrix(list(X.T)), BlockMatrix(from_arrays(X, rows_per_block=7))):
        np.testing.assert_allclose(matrix.sum_squared_scores(coef, intercept), expected, rtol=1e-6)


def test_passes_add_offsets_and_take_targets_for_labels(monkeypatch):
    monkeypatch.setattr("fastlin.matrices.matrix.PROBABILITY_BYTES", 8 * 3 * 50)
    generator = np.random.default_rng(3)
    for (n, d), n_classes, size in [((60, 4), 2, 3.0), ((400, 100), 2, 1e3), ((400, 100), 3, 3.0), ((80, 7), 3, 1e3)]:
        # Numbers that float32 holds too.
        X = (generator.normal(size=(n, d)) * (generator.random((n, d)) < 0.5)).astype(np.float32).astype(float)
        labels, weights = generator.integers(0, n_classes, n).astype(np.int32), generator.uniform(0, 2, n)
        offsets, targets = make_offsets_and_targets(labels, n_classes, size, spread=size)
        K = offsets.shape[1]
        scaling = Scaling(2.0 ** generator.integers(-1, 2, d), generator.normal(size=d))
        parameters = generator.normal(size=(K, d + 1)) / np.sqrt(d)
        forms = [as_matrix(each) for each in (X, np.asfortranarray(X), X.astype(np.float32), sparse.csr_array(X))]
        forms += [TableMatrix(list(X.T)), BlockMatrix(from_arrays(X, rows_per_block=n // 3))]
        for own, soft, numbers in [
            (offsets, targets, np.empty(0, int)),
            (offsets, np.empty((0, 0)), np.sort(generator.choice(n, n // 2))),
            (np.empty((0, 0)), targets, np.arange(3, n // 7)),
        ]:
            samples, of = Samples(numbers, labels, weights, own, soft), numbers if len(numbers) else np.arange(n)
            rows = np.column_stack([X * scaling.scale + scaling.shift, np.ones(n)])[of]
            added, given, total = own[of] if len(own) else 0.0, labels[of], weights[of].sum()
            if len(soft):
                given = soft[of] if K > 1 else np.column_stack([1 - soft, soft])[of]
            options = {"weights": weights[of], "offsets": added}
            loss = float(reference.mean_loss(rows, given, parameters, 0.0, **options)) * total
            slopes = reference.gradient(rows, given, parameters, 0.0, **options)[0].astype(float) * total
            scores = rows @ parameters.T + added
            p = np.exp(-np.logaddexp(0, -scores)) if K == 1 else np.exp(scores - scores.max(axis=1, keepdims=True))
            p /= p.sum(axis=1, keepdims=True) if K > 1 else 1
            second = p[:, :, None] * (np.eye(K) - p[:, None, :])
            hessian = np.einsum("i,ikl,ij,ih->kjlh", weights[of], second, rows, rows, optimize=True)
            for matrix in forms:
                passes = matrix.passes(samples, scaling, K)
                for precision, accuracy in ((np.float64, 1e-11), (np.float32, 1e-3)):
                    gradient, probabilities = np.empty(parameters.shape), np.empty((K, len(of)), precision)
                    found = passes.evaluate(parameters.astype(precision), probabilities, gradient)
                    assert found == pytest.approx(loss, rel=accuracy)
                    np.testing.assert_allclose(gradient, slopes, atol=accuracy * total)
                    np.testing.assert_allclose(probabilities, p.T, atol=accuracy)
                # What is summed over probabilities, some rows at a time, is summed over those with the offsets.
                curvature = passes.sum_curvature(find_class_pair_gram, parameters)
                np.testing.assert_allclose(curvature, hessian.reshape(curvature.shape), atol=1e-9 * total)
