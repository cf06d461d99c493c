"""The models of the course against the naive oracle."""

import naive
import numpy as np
import pytest
from naive_course import N_FEATURES, make_data

from fastlin import trainers


def test_models():
    X, Y, *_ = make_data(3)
    model = trainers.SoftmaxModel(0.5, n_inputs=N_FEATURES, n_outputs=3)
    model.w = np.random.default_rng(0).normal(size=model.w.shape)
    outputs = model.forward(X)
    np.testing.assert_allclose(outputs.sum(axis=1), 1)
    model.backward(X, outputs, Y)
    loss, gradient, _ = naive.loss_and_gradient(X, Y.argmax(axis=1), np.ones(len(X)), model.w.T, np.zeros(3))
    np.testing.assert_allclose(model.grad, np.array(gradient).T / len(X) + 2 * 0.5 * model.w, atol=1e-12)
    assert trainers.cross_entropy_loss(Y, outputs) == pytest.approx(loss / len(X))
    model.zero_grad()
    assert model.grad is None
    assert trainers.BinaryModel().w.shape == (785, 1)
    assert trainers.SoftmaxModel(0.1).w.shape == (785, 10)
    with pytest.raises(ValueError, match="l2_reg_lambda"):
        trainers.SoftmaxModel(-1)
    with pytest.raises(ValueError, match="column of ones"):
        model.forward(X[:, :-1])


def test_binary_forward_does_not_overflow():
    model = trainers.BinaryModel(n_inputs=1)
    model.w[:] = 1
    np.testing.assert_array_equal(model.forward(np.array([[1e4], [-1e4], [0.0]])), [[1], [0], [0.5]])
