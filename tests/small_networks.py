"""Small MLPClassifiers that several tests train and compare, and data for them."""

import numpy as np

from fastlin import MLPClassifier


def make_data(n_classes=3, n=90, d=6, seed=0):
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(n, d))
    scores = X @ generator.normal(size=(d, n_classes)) + generator.gumbel(size=(n, n_classes)) / 2
    return X, scores.argmax(axis=1)


def make(hidden_layer_sizes=(7,), **parameters):
    """Return a classifier that trains for `max_iter` epochs."""
    defaults = {"solver": "sgd", "max_iter": 5, "batch_size": 20, "learning_rate_init": 0.05, "random_state": 0}
    return MLPClassifier(hidden_layer_sizes, **{**defaults, "n_iter_no_change": np.inf, **parameters})


def assert_same_network(actual, expected, tolerance=1e-9):
    for name in ("coefs_", "intercepts_"):
        for ours, theirs in zip(getattr(actual, name), getattr(expected, name), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


def assert_bitwise_equal(actual, expected):
    for name in ("coefs_", "intercepts_", "batch_norm_scales_", "batch_norm_means_", "batch_norm_variances_"):
        for ours, theirs in zip(getattr(actual, name), getattr(expected, name), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert actual.loss_curve_ == expected.loss_curve_


def have_different_coefs(first, second):
    return any(not np.array_equal(*pair) for pair in zip(first.coefs_, second.coefs_, strict=True))
