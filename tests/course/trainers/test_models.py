"""The models of the course against the naive oracle."""

import naive
import numpy as np
import pytest
from naive_course import N_FEATURES, make_data

from fastlin.course import trainers
from fastlin.exceptions import CourseWarning


def test_models():
    X, Y, *_ = make_data(3)
    model = trainers.SoftmaxModel(0.5, half=False, n_inputs=N_FEATURES, n_outputs=3)
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
    assert trainers.SoftmaxModel(0.1, half=False).w.shape == (785, 10)
    with pytest.raises(ValueError, match="l2_reg_lambda"):
        trainers.SoftmaxModel(-1)
    for caught in (ValueError, AssertionError):
        with pytest.raises(caught, match="column of ones"):
            model.forward(X[:, :-1])
    for bad in ((X[:, :-1], outputs, Y), (X, outputs[:-1], Y[:-1]), (X, outputs, Y[:, :-1]), (X, *[Y[:, :1]] * 2)):
        with pytest.raises(trainers.CourseAssertionError, match="must have shape"):
            model.backward(*bad)


def test_models_know_their_sizes():
    for model, sizes in ((trainers.BinaryModel(), (785, 1)), (trainers.SoftmaxModel(0.0), (785, 10))):
        assert (model.I, model.num_outputs) == sizes
    model.w = np.zeros((65, 3))
    assert (model.I, model.num_outputs) == (65, 3)


def test_a_subclass_may_set_the_sizes_as_the_course_does():
    class OwnModel(trainers.SoftmaxModel):
        def __init__(self):
            self.I = 65
            self.num_outputs = 3
            self.w = np.zeros((self.I, self.num_outputs))
            self.grad = None
            self.l2_reg_lambda, self.half = 0.0, False

    model = OwnModel()
    assert (model.I, model.num_outputs) == model.w.shape
    assert model.forward(np.ones((2, 65))).shape == (2, 3)


def test_binary_forward_does_not_overflow():
    model = trainers.BinaryModel(n_inputs=1)
    model.w[:] = 1
    np.testing.assert_array_equal(model.forward(np.array([[1e4], [-1e4], [0.0]])), [[1], [0], [0.5]])


@pytest.mark.parametrize("kind", [trainers.BinaryModel, trainers.SoftmaxModel])
def test_a_penalty_without_its_convention_is_warned_of_once(kind):
    with pytest.warns(
        CourseWarning, match=rf"^{kind.__name__} penalises .* half=True\) .* half=False to keep"
    ) as warned:
        assert kind(l2_reg_lambda=0.5).l2 == 1.0
    assert warned[0].filename == __file__
    assert kind(l2_reg_lambda=2.0).l2 == 4.0


def test_a_penalty_with_its_convention_is_not_warned_of():
    class OwnPenalty(trainers.SoftmaxModel):
        def backward(self, X, outputs, targets):
            super().backward(X, outputs, targets)

    for kind in (trainers.BinaryModel, trainers.SoftmaxModel):
        assert [kind(l2_reg_lambda=0.5, half=half).l2 for half in (False, True)] == [1.0, 0.5]
        assert kind(l2_reg_lambda=0).l2 == 0
    OwnPenalty(0.5)


def test_a_float_or_zero_as_first_argument_is_the_penalty_of_the_binary_model():
    for weight in (0, 0.0, np.float64(0.25)):
        model = trainers.BinaryModel(weight, half=False)
        assert (model.l2_reg_lambda, model.w.shape) == (weight, (785, 1))
    with pytest.warns(CourseWarning, match=r"BinaryModel\(l2_reg_lambda=1.0, half=True\)"):
        trainers.BinaryModel(1.0)
    assert trainers.BinaryModel(65).w.shape == (65, 1)
    with pytest.raises(ValueError, match=r"l2_reg_lambda must be given once, got 0\.1 and 0\.2"):
        trainers.BinaryModel(0.1, l2_reg_lambda=0.2)
    # A whole number may be either; where it was meant to be the penalty, the error says how to give that.
    with pytest.raises(AssertionError, match=r"number of rows of w.*given as l2_reg_lambda=$"):
        trainers.BinaryModel(1).forward(np.ones((2, 785)))
    for size in (-1, "785", None):
        with pytest.raises(ValueError, match="n_inputs must be a whole number"):
            trainers.BinaryModel(size)


@pytest.mark.parametrize("value", [785.0, np.float32(785)])
def test_a_whole_float_that_may_be_a_number_of_inputs_is_refused_with_both_readings(value):
    words = r"got 785\.0, .* BinaryModel\(n_inputs=785\) or BinaryModel\(l2_reg_lambda=785\.0\)$"
    with pytest.raises(ValueError, match=words):
        trainers.BinaryModel(value, half=False)
    with pytest.raises(ValueError, match=words):
        trainers.BinaryModel(n_inputs=value)
    assert trainers.BinaryModel(l2_reg_lambda=value, half=False).l2_reg_lambda == 785
    for weight in (9.0, 10.5):
        assert trainers.BinaryModel(weight, half=False).l2_reg_lambda == weight
    with pytest.raises(ValueError, match="l2_reg_lambda must be a finite number"):
        trainers.BinaryModel(np.inf)


def test_the_factor_of_the_penalty_may_be_set():
    for model in (trainers.BinaryModel(), trainers.SoftmaxModel()):
        model.l2 = 0.75
        assert model.l2 == 0.75
