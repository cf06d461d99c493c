"""The models of the course against reference implementations."""

import numpy as np
import pytest
import reference
from conftest import assert_raises
from naive_course import N_FEATURES, make_data

from fastlin.course import trainers
from fastlin.exceptions import CourseWarning

AMBIGUOUS_MESSAGE = r"got 785\.0, .* BinaryModel\(n_inputs=785\) or BinaryModel\(l2_reg_lambda=785\.0\)$"


def test_a_model_computes_probabilities_and_gradients():
    X, Y, *_ = make_data(3)
    model = trainers.SoftmaxModel(0.5, half=False, n_inputs=N_FEATURES, n_outputs=3)
    model.w = np.random.default_rng(0).normal(size=model.w.shape)
    outputs = model.forward(X)
    np.testing.assert_allclose(outputs.sum(axis=1), 1)
    model.backward(X, outputs, Y)
    loss, gradient, _ = reference.loss_and_gradient(X, Y.argmax(axis=1), np.ones(len(X)), model.w.T, np.zeros(3))
    np.testing.assert_allclose(model.grad, np.array(gradient).T / len(X) + 2 * 0.5 * model.w, atol=1e-12)
    assert trainers.cross_entropy_loss(Y, outputs) == pytest.approx(loss / len(X))
    model.zero_grad()
    assert model.grad is None
    for caught in (ValueError, AssertionError):
        assert_raises("column of ones", model.forward, X[:, :-1], error=caught)
    for bad_arguments in (
        (X[:, :-1], outputs, Y),
        (X, outputs[:-1], Y[:-1]),
        (X, outputs, Y[:, :-1]),
        (X, *[Y[:, :1]] * 2),
    ):
        assert_raises("must have shape", model.backward, *bad_arguments, error=trainers.CourseAssertionError)


def test_a_subclass_can_assign_the_sizes_as_in_the_course():
    class UserModel(trainers.SoftmaxModel):
        def __init__(self):
            self.I, self.num_outputs = 65, 3
            self.w, self.grad = np.zeros((self.I, self.num_outputs)), None
            self.l2_reg_lambda, self.half = 0.0, False

    changed = trainers.SoftmaxModel()
    changed.w = np.zeros((65, 3))
    models = trainers.BinaryModel(), trainers.SoftmaxModel(), UserModel(), changed
    assert [(model.I, model.num_outputs) for model in models] == [(785, 1), (785, 10), (65, 3), (65, 3)]
    assert UserModel().forward(np.ones((2, 65))).shape == (2, 3)


def test_binary_forward_does_not_overflow():
    model = trainers.BinaryModel(n_inputs=1)
    model.w[:] = 1
    np.testing.assert_array_equal(model.forward(np.array([[1e4], [-1e4], [0.0]])), [[1], [0], [0.5]])


@pytest.mark.parametrize("kind", [trainers.BinaryModel, trainers.SoftmaxModel])
def test_a_penalty_without_a_convention_warns_once(kind):
    message = rf"^{kind.__name__} uses the penalty .* half=True\) .* half=False to keep"
    with pytest.warns(CourseWarning, match=message) as caught:
        assert kind(l2_reg_lambda=0.5).l2 == 1.0
    assert caught[0].filename == __file__
    assert kind(l2_reg_lambda=2.0).l2 == 4.0


@pytest.mark.parametrize("kind", [trainers.BinaryModel, trainers.SoftmaxModel])
def test_a_penalty_with_a_convention_does_not_warn(kind):
    class UserModelWithPenalty(kind):
        def backward(self, X, outputs, targets):
            super().backward(X, outputs, targets)

    assert [kind(l2_reg_lambda=0.5, half=half).l2 for half in (False, True)] == [1.0, 0.5]
    model = kind(l2_reg_lambda=0)
    assert model.l2 == 0
    model.l2 = 0.75
    assert model.l2 == 0.75
    UserModelWithPenalty(l2_reg_lambda=0.5)


def test_a_float_as_first_argument_is_the_penalty():
    for weight in (0, 0.0, np.float64(0.25), 9.0, 10.5):
        model = trainers.BinaryModel(weight, half=False)
        assert (model.l2_reg_lambda, model.w.shape) == (weight, (785, 1))
    with pytest.warns(CourseWarning, match=r"BinaryModel\(l2_reg_lambda=1.0, half=True\)"):
        trainers.BinaryModel(1.0)
    assert trainers.BinaryModel(65).w.shape == (65, 1)
    assert trainers.BinaryModel(l2_reg_lambda=785.0, half=False).l2_reg_lambda == 785
    # An int is a number of inputs; if it was intended as the penalty, the error explains how to pass it.
    with pytest.raises(AssertionError, match=r"number of rows of w.*penalty as l2_reg_lambda=$"):
        trainers.BinaryModel(1).forward(np.ones((2, 785)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        *(({"n_inputs": size}, "n_inputs must be an integer") for size in (-1, "785", None)),
        *(({"n_inputs": size}, AMBIGUOUS_MESSAGE) for size in (785.0, np.float32(785))),
        ({"n_inputs": 0.1, "l2_reg_lambda": 0.2}, r"l2_reg_lambda must be given only once, got 0\.1 and 0\.2"),
        ({"n_inputs": np.inf}, "l2_reg_lambda must be a finite number"),
        ({"l2_reg_lambda": -1}, "l2_reg_lambda"),
    ],
    ids=str,
)
def test_invalid_numbers_raise(arguments, message):
    assert_raises(message, trainers.BinaryModel, half=False, **arguments)
