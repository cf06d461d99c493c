"""Losses, probabilities and residuals of scores against the naive oracle; whole passes are tested with their rows."""

import numpy as np
import pytest
import reference
from conftest import from_python, make_offsets_and_targets

from fastlin.kernels.linear import residuals
from fastlin.kernels.linear.operands import Kept, Samples

turn_scores_to_residuals = from_python(residuals.turn_scores_to_residuals)


def test_offsets_are_added_and_targets_take_the_place_of_labels():
    generator = np.random.default_rng(1)
    for n_classes, kind, size in [(1, np.float64, 8), (1, np.float32, 8), (5, np.float64, 1e3), (5, np.float32, 8)]:
        numbers, weights = generator.permutation(30)[:11], generator.uniform(0, 2, 30)
        labels = generator.integers(0, max(2, n_classes), 30).astype(np.int32)
        offsets, soft = make_offsets_and_targets(labels, max(2, n_classes), size, spread=size)
        given = generator.normal(0, 8, (n_classes, 16)).astype(kind)
        shifted = given[:, :11].T.astype(np.longdouble) + offsets[numbers]
        # Certain targets are labels.
        certain = np.eye(max(2, n_classes))[labels][:, -n_classes:].copy()
        for targets in (soft, certain):
            samples = Samples(np.empty(0, np.int64), labels, weights, offsets, targets)
            scores, probabilities = given.copy(), np.empty((n_classes, 11), kind)
            loss = turn_scores_to_residuals(scores, numbers, samples, Kept.of(probabilities), np.int64(0))
            y = targets[numbers] if n_classes > 1 else np.column_stack([1 - targets, targets])[numbers]
            eye = np.eye(n_classes)
            expected = reference.mean_loss(np.ones((11, 1)), y, 0 * eye[:, :1], 0 * eye[0], weights[numbers], shifted)
            eps = 64 * float(np.finfo(kind).eps)
            # The rounding of scores moves the losses of rows that are nearly certain.
            most = eps * max(1.0, float(np.abs(shifted).max()))
            assert loss == pytest.approx(float(expected) * weights[numbers].sum(), rel=eps, abs=11 * most)
            exponentials = np.exp(shifted - shifted.max(axis=1, keepdims=True))
            p = exponentials / exponentials.sum(axis=1, keepdims=True) if n_classes > 1 else 1 / (1 + np.exp(-shifted))
            np.testing.assert_allclose(probabilities, p.T.astype(float), atol=most)
            residuals = weights[numbers, None] * (p - targets[numbers])
            np.testing.assert_allclose(scores[:, :11], residuals.T.astype(float), atol=2 * most)
        # Rows without offsets and targets have the bits that they had.
        plain = Samples(np.empty(0, np.int64), labels, weights)
        again = Samples(np.empty(0, np.int64), labels, weights, np.zeros_like(offsets))
        found = [
            turn_scores_to_residuals(given.copy(), numbers, each, Kept.of(None), np.int64(0)) for each in (plain, again)
        ]
        assert found[0] == found[1]
