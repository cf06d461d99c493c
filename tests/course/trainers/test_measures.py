"""Measures of a model: loss, accuracy and the gradient check."""

import numpy as np
import pytest
from conftest import assert_raises
from naive_course import make_data

from fastlin.course import trainers

from .conftest import make_model


def test_cross_entropy_is_finite_for_zero_probabilities():
    loss = trainers.cross_entropy_loss
    assert np.isfinite(loss(np.eye(2), np.eye(2)[::-1]))
    assert np.isfinite(loss(np.array([[1.0]]), np.array([[0.0]])))
    X, Y, *_ = make_data(3)
    for caught in (ValueError, AssertionError):
        assert_raises("targets and outputs", trainers.cross_entropy_loss, np.eye(2), np.ones((2, 1)), error=caught)
    assert_raises("targets", trainers.calculate_accuracy, X, Y.argmax(axis=1), make_model(3))


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_gradient_check_detects_an_error(n_outputs):
    X, Y, *_ = make_data(n_outputs)
    model = make_model(n_outputs, 0.3)
    model.w = np.random.default_rng(0).normal(size=model.w.shape)
    weights = model.w
    assert trainers.gradient_approximation_test(model, X, Y) < 1e-6
    assert model.w is weights
    original = type(model).backward

    def add_gradient_error(X, outputs, targets):
        original(model, X, outputs, targets)
        model.grad[2, 0] += 1e-4

    model.backward = add_gradient_error
    assert_raises(r"w\[2, 0\]", trainers.gradient_approximation_test, model, X, Y, error=AssertionError)
    assert model.w is weights


def test_gradient_check_passes_if_probabilities_round_to_one():
    X, *_ = make_data(1)
    model = make_model(1)
    model.w = 30 * np.random.default_rng(0).normal(size=model.w.shape)
    # Rows with probabilities near 0 or 1, half of them predicted wrongly.
    X = X[np.abs(X @ model.w)[:, 0] > 40][:10]
    assert np.isin(model.forward(X), (0, 1)).any()
    Y = np.arange(len(X))[:, None] % 2
    assert trainers.gradient_approximation_test(model, X, Y) < 1e-6
