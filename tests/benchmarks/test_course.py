"""The race of the course's training: plain NumPy takes the same steps, and the judge is the mean cross-entropy."""

import numpy as np
import pytest

from benchmarks.course import load_training, train, train_plainly


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_plain_numpy_takes_the_same_steps(dtype):
    training = load_training(1_000, "synthetic", dtype)
    (w,), (expected,) = train(training), train_plainly(training, dtype)
    assert w.dtype == dtype
    # 350 steps, each of which rounds sums over 100 columns and 128 rows.
    tolerance = 1e4 * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(w, expected, rtol=0, atol=tolerance * np.abs(expected).max())
    assert training.objective(w) == pytest.approx(training.objective(expected), rel=tolerance)


def test_the_judge_is_the_mean_cross_entropy():
    training = load_training(1_000, "synthetic", "float64")
    w = np.random.default_rng(0).normal(size=(training.X.shape[1], training.n_classes))
    _, Y_train, X_val, Y_val = training.arrays
    scores = training.X @ w
    losses = np.log(np.exp(scores).sum(axis=1)) - (scores * Y_train).sum(axis=1)
    assert training.objective(w) == pytest.approx(losses.mean(), rel=1e-12)
    assert training.accuracy(w) == np.mean((X_val @ w).argmax(axis=1) == Y_val.argmax(axis=1))
