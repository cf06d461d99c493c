"""The races of mini-batches: plain NumPy takes the same steps, and sparse rows are learned."""

import numpy as np
import pytest

from benchmarks import mini_batches
from benchmarks.data import make_synthetic
from benchmarks.mini_batches import ALLOWED, Examples, train_course, train_course_plainly

# Accuracies after 70 steps of the course differ by rows whose best two classes are nearly equal.
ACCURACY_TOLERANCE = {"float64": 1e-4, "float32": 1e-3}


@pytest.fixture(scope="module")
def images():
    generator = np.random.default_rng(0)
    X = generator.uniform(size=(1_300, 20))
    y = (X[:, :10] + generator.uniform(size=(1_300, 10))).argmax(axis=1)
    return Examples(X[:1_000], y[:1_000], X[1_000:], y[1_000:], 10)


def test_plain_numpy_takes_the_same_steps(images):
    ours, theirs = mini_batches.train(images), mini_batches.train_plainly(images)
    for part, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(part, expected, rtol=0, atol=ALLOWED * np.abs(expected).max())
    assert images.objective(*ours) == pytest.approx(images.objective(*theirs), rel=ALLOWED)


def test_sgd_classifier_has_a_row_for_each_class(images):
    coef, intercept, one_by_one = mini_batches.train_by_sgd(images)
    assert (coef.shape, intercept.shape, one_by_one) == ((10, 20), (10,), True)


@pytest.mark.thorough
def test_sparse_rows_are_learned_by_both_sides():
    assert mini_batches.load_sparse(2_000, 100).X_test.shape == (400, 100)
    record = mini_batches.race_on_sparse_rows(100, 2_000)
    assert record["data"].startswith("2,000 × 100")
    assert all(contender["accuracy"] > 0.8 for contender in record["contenders"].values())


@pytest.mark.thorough
@pytest.mark.parametrize(("dtype", "tolerance"), mini_batches.COURSE_ALLOWED.items())
def test_plain_numpy_takes_the_same_steps_of_the_course(dtype, tolerance):
    data = make_synthetic(10, 1_000, 100, seed=0)
    X, X_test = (np.column_stack([part, np.ones(len(part))]).astype(dtype) for part in (data.X_train, data.X_test))
    examples = Examples(X, data.y_train, X_test, data.y_test, 10)
    coef, _, *histories = train_course(examples, 10)
    expected, _, *expected_histories = train_course_plainly(examples, 10)
    assert coef.dtype == dtype
    np.testing.assert_allclose(coef, expected, rtol=0, atol=tolerance * np.abs(expected).max())
    for kind, atol in (("loss", tolerance), ("accuracy", ACCURACY_TOLERANCE[dtype])):
        for history, steps in zip(histories, expected_histories, strict=True):
            assert list(history[kind]) == list(steps[kind])
            np.testing.assert_allclose(list(history[kind].values()), list(steps[kind].values()), rtol=0, atol=atol)
