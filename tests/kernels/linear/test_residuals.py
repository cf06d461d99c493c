"""Losses, probabilities and residuals of scores against the naive oracle; whole passes are tested with their rows."""

import naive
import numpy as np
import pytest
from conftest import from_python

from fastlin.kernels.linear import residuals
from fastlin.kernels.linear.operands import Kept, Samples

turn_scores_to_residuals = from_python(residuals.turn_scores_to_residuals)


@pytest.mark.parametrize("room", [np.float64, np.float32])
@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("n_classes", [1, 3, 7])
def test_residuals_agree_with_naive_and_leave_other_rows_alone(n_classes, kind, room):
    generator = np.random.default_rng(n_classes)
    labels = generator.integers(0, max(2, n_classes), 30).astype(np.int32)
    numbers = generator.permutation(30)[:11]
    samples = Samples(np.empty(0, np.int64), labels, generator.uniform(0, 2, 30))
    scores = generator.normal(0, 8, (n_classes, 16)).astype(kind)
    before, probabilities = scores.copy(), np.full((n_classes, 20), np.nan, room)
    loss = turn_scores_to_residuals(scores, numbers, samples, Kept.of(probabilities), np.int64(4))
    eps = float(np.finfo(kind).eps)
    expected = 0.0
    for i, row in enumerate(numbers):
        z = before[:, i].astype(float)
        row_loss, slopes = naive.logistic(z[0], labels[row]) if n_classes == 1 else naive.softmax(z, labels[row])
        weight = samples.weights[row]
        expected += weight * row_loss
        np.testing.assert_allclose(scores[:, i], weight * np.array(slopes), atol=2 * 64 * eps)
        own = np.array(slopes) + (labels[row] == (1 if n_classes == 1 else np.arange(n_classes)))
        np.testing.assert_allclose(probabilities[:, 4 + i], own, atol=64 * max(eps, float(np.finfo(room).eps)))
    # Differences of scores up to 60 are exact to half a unit in the last place.
    assert loss == pytest.approx(expected, rel=64 * eps)
    assert np.isnan(probabilities[:, :4]).all()
    assert np.isnan(probabilities[:, 15:]).all()
    again = before.copy()
    assert turn_scores_to_residuals(again, numbers, samples, Kept.of(None), np.int64(0)) == loss
    np.testing.assert_array_equal(again[:, :11], scores[:, :11])
