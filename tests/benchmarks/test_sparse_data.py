"""Sparse data by seed: their shape, their distribution, and that the same seed gives the same data."""

import numpy as np
import pytest
from scipy.sparse.linalg import norm
from sklearn.linear_model import LogisticRegression

from benchmarks.sparse_data import CATEGORIES, make_one_hot, make_text


def test_text_is_sparse_and_the_same_for_the_same_seed():
    data, again, other = (make_text(200, 3_000, 20, 5, seed=seed) for seed in (0, 0, 1))
    for X, n_rows, y in ((data.X_train, 200, data.y_train), (data.X_test, 40, data.y_test)):
        assert X.shape == (n_rows, 3_000)
        assert X.has_canonical_format
        assert (np.diff(X.indptr) == 20).all()
        assert (X.data > 0).all()
        np.testing.assert_allclose(norm(X, axis=1), 1)
        assert (np.bincount(y) == n_rows // 5).all()
    for attribute in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(data.X_train, attribute), getattr(again.X_train, attribute))
    np.testing.assert_array_equal(data.y_train, again.y_train)
    assert not np.array_equal(data.X_train.indices, other.X_train.indices)


def test_the_words_of_text_follow_zipf_and_tell_the_topic():
    data = make_text(600, 5_000, 50, 4)
    frequency = np.sort(np.bincount(data.X_train.indices, minlength=5_000))[::-1]
    # Nearly every document has the most frequent word; a rank ten times as large is some ten times as rare.
    assert frequency[0] > 500
    assert 4 < frequency[50] / frequency[500] < 25
    model = LogisticRegression(C=10.0).fit(data.X_train, data.y_train)
    assert 0.5 < model.score(data.X_test, data.y_test) < 1


def test_too_few_words_are_refused():
    with pytest.raises(ValueError, match="60 words are too few"):
        make_text(20, 60, 50, 2)


def test_one_hot_rows_have_a_one_for_each_attribute_and_are_the_same_for_the_same_seed():
    data, again, other = (make_one_hot(800, seed=seed) for seed in (0, 0, 1))
    attribute_of = np.repeat(np.arange(len(CATEGORIES)), CATEGORIES)
    for X, n_rows, y in ((data.X_train, 800, data.y_train), (data.X_test, 200, data.y_test)):
        assert X.shape == (n_rows, 123)
        assert X.has_canonical_format
        assert (X.data == 1).all()
        assert (attribute_of[X.indices.reshape(n_rows, -1)] == np.arange(len(CATEGORIES))).all()
        assert y.mean() == pytest.approx(0.24, abs=0.08)
    np.testing.assert_array_equal(data.X_train.indices, again.X_train.indices)
    np.testing.assert_array_equal(data.y_train, again.y_train)
    assert not np.array_equal(data.X_train.indices, other.X_train.indices)
