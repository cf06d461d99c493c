"""The race of the course's training: plain NumPy takes the same steps."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.course import load_training, train, train_plainly

# Of weights and losses after 70 steps. Accuracies differ by rows whose best two classes are equal up to rounding.
TOLERANCE = {"float64": 1e-11, "float32": 1e-4}
ACCURACY_TOLERANCE = {"float64": 1e-4, "float32": 1e-3}


@pytest.mark.thorough
@pytest.mark.parametrize("dtype", list(TOLERANCE))
def test_plain_numpy_takes_the_same_steps(dtype):
    training = replace(load_training(1_000, "synthetic", dtype), epochs=10)
    w, *histories = train(training)
    expected, *expected_histories = train_plainly(training, "float64")
    assert w.dtype == dtype
    np.testing.assert_allclose(w, expected, rtol=0, atol=TOLERANCE[dtype] * np.abs(expected).max())
    for kind, tolerance in (("loss", TOLERANCE[dtype]), ("accuracy", ACCURACY_TOLERANCE[dtype])):
        for history, steps in zip(histories, expected_histories, strict=True):
            assert list(history[kind]) == list(steps[kind])
            np.testing.assert_allclose(list(history[kind].values()), list(steps[kind].values()), rtol=0, atol=tolerance)
