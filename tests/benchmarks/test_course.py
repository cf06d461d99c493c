"""The race of the course's training: plain NumPy takes the same steps, and the judge is the mean cross-entropy."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.course import load_training, train, train_plainly_with_histories, train_with_histories

# Of weights and losses after 70 steps. Accuracies differ by rows whose best two classes are equal up to rounding.
TOLERANCE = {"float64": 1e-11, "float32": 1e-4}
ACCURACY_TOLERANCE = {"float64": 1e-4, "float32": 1e-3}


@pytest.mark.thorough
@pytest.mark.parametrize("dtype", list(TOLERANCE))
def test_plain_numpy_takes_the_same_steps(dtype):
    training = replace(load_training(1_000, "synthetic", dtype), epochs=10)
    w, *histories = train_with_histories(training)
    expected, *expected_histories = train_plainly_with_histories(training, "float64")
    assert w.dtype == dtype
    np.testing.assert_allclose(w, expected, rtol=0, atol=TOLERANCE[dtype] * np.abs(expected).max())
    for kind, tolerance in (("loss", TOLERANCE[dtype]), ("accuracy", ACCURACY_TOLERANCE[dtype])):
        for history, steps in zip(histories, expected_histories, strict=True):
            assert list(history[kind]) == list(steps[kind])
            np.testing.assert_allclose(list(history[kind].values()), list(steps[kind].values()), rtol=0, atol=tolerance)
    (alone,) = train(training)
    np.testing.assert_array_equal(alone, w)


def test_the_judge_is_the_mean_cross_entropy():
    training = load_training(1_000, "synthetic", "float64")
    w = np.random.default_rng(0).normal(size=(training.X.shape[1], training.n_classes))
    _, Y_train, X_val, Y_val = training.arrays
    scores = training.X @ w
    losses = np.log(np.exp(scores).sum(axis=1)) - (scores * Y_train).sum(axis=1)
    assert training.objective(w) == pytest.approx(losses.mean(), rel=1e-12)
    assert training.accuracy(w) == np.mean(scores.argmax(axis=1) == Y_train.argmax(axis=1))
    assert training.test(w).accuracy == np.mean((X_val @ w).argmax(axis=1) == Y_val.argmax(axis=1))
    scores = X_val @ w
    losses = np.log(np.exp(scores).sum(axis=1)) - (scores * Y_val).sum(axis=1)
    assert training.test(w).log_loss == pytest.approx(losses.mean(), rel=1e-12)
