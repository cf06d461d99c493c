"""The races of mini-batches: the judges are the formulas, and plain NumPy takes the same steps."""

import numpy as np
import pytest
from scipy.special import logsumexp
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss

from benchmarks.mini_batches import (
    ALLOWED,
    Images,
    load_sparse,
    measure_sparse,
    train,
    train_by_sgd,
    train_plainly,
)


@pytest.fixture(scope="module")
def images():
    generator = np.random.default_rng(0)
    X = generator.uniform(size=(1_300, 20))
    y = (X[:, :10] + generator.uniform(size=(1_300, 10))).argmax(axis=1)
    return Images(X[:1_000], y[:1_000], X[1_000:], y[1_000:], by_error=False)


def test_the_judges_are_the_formulas(images):
    generator = np.random.default_rng(1)
    coef, intercept = generator.normal(size=(10, 20)), generator.normal(size=10)
    scores = images.X @ coef.T + intercept
    loss = np.mean(logsumexp(scores, axis=1) - scores[np.arange(1_000), images.y])
    assert images.objective(coef, intercept) == pytest.approx(loss, rel=1e-12)
    by_error = Images(images.X, images.y, images.X_test, images.y_test, by_error=True)
    wrong = [
        np.argmax(coef @ row + intercept) != label for row, label in zip(images.X_test, images.y_test, strict=True)
    ]
    assert by_error.objective(coef, intercept) == pytest.approx(np.mean(wrong), rel=1e-12)


def test_plain_numpy_takes_the_same_steps(images):
    ours, theirs = train(images), train_plainly(images)
    for part, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(part, expected, rtol=0, atol=ALLOWED * np.abs(expected).max())
    assert images.objective(*ours) == pytest.approx(images.objective(*theirs), rel=ALLOWED)


def test_sgd_classifier_has_a_row_for_each_class(images):
    coef, intercept, one_by_one = train_by_sgd(images)
    assert (coef.shape, intercept.shape, one_by_one) == ((10, 20), (10,), True)


def test_sgd_classifier_is_judged_by_its_own_probabilities(images):
    model = SGDClassifier(loss="log_loss", random_state=0).fit(images.X, images.y)
    tested = images.test(model.coef_, model.intercept_, True)
    assert tested.accuracy == model.score(images.X_test, images.y_test)
    assert tested.log_loss == pytest.approx(log_loss(images.y_test, model.predict_proba(images.X_test)), rel=1e-9)
    assert tested.log_loss != images.test(model.coef_, model.intercept_).log_loss


@pytest.mark.thorough
def test_sparse_rows_are_learned_by_both_sides():
    data = load_sparse(2_000, 100)
    assert data.X.shape == (2_000, 100)
    assert data.X_test.shape == (400, 100)
    table = measure_sparse((100,), 2_000)
    (row,) = table.rows
    assert row[0] == "100"
    assert all(float(accuracy) > 0.8 for accuracy in row[-1].split(" / "))
