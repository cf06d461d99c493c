"""Input that TwoLayerNet refuses: data, numbers and parameters of the student's making."""

import numpy as np
import pytest
from naive_two_layer_net import make_data

from fastlin import TwoLayerNet

X, Y, X_VAL, Y_VAL = make_data()
WITH_NAN, WITH_INFINITY = (np.where(np.arange(6) == 3, value, X) for value in (np.nan, np.inf))


def make_net():
    return TwoLayerNet(6, 7, 3, 0.5)


BAD_INPUT = {
    "X": [X[:, :5], X[0], X[:0], WITH_NAN, WITH_INFINITY, X.astype(str), X + 1j, None, X[:-1]],
    "X_val": [X_VAL[:, :5], X_VAL[:0], WITH_NAN[:25]],
    "y": [Y[:-1], Y + 1, Y - 1, Y.astype(float), np.eye(3, dtype=int)[Y], None],
    "y_val": [Y_VAL[:-1], Y_VAL + 1, Y_VAL > 0],
    "learning_rate": [-0.1, np.inf, np.nan, "fast"],
    "learning_rate_decay": [0.0, 1.1, None],
    "reg": [-1e-9, np.nan],
    "momentum": [1.0, -0.1],
    "num_iters": [0, 1.5],
    "batch_size": [0, -1, 2.0],
}


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_is_named_before_anything_changes(name):
    net = make_net()
    for value in BAD_INPUT[name]:
        before, state = {name: array.copy() for name, array in net.params.items()}, np.random.get_state()[2]
        arguments = {"X": X, "y": Y, "X_val": X_VAL, "y_val": Y_VAL, name: value}
        # One row less in X leaves one label too many in y.
        message = rf"^{'y' if np.shape(value) == (59, 6) else name} must"
        with pytest.raises(ValueError, match=message):
            net.train(**arguments)
        for part, array in before.items():
            np.testing.assert_array_equal(net.params[part], array)
        assert np.random.get_state()[2] == state
        if name in ("X", "y", "reg") and not (name == "y" and value is None):
            with pytest.raises(ValueError, match=message):
                net.loss(arguments["X"], arguments["y"], arguments.get("reg", 0.0))
        if name == "X" and np.shape(value) != (59, 6):
            with pytest.raises(ValueError, match=message):
                net.predict(value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("W1", np.zeros((7, 6)), r"params\['W1'\] must be .* shape \(6, 7\).* shape \(7, 6\)"),
        ("b1", np.zeros((7, 1)), r"params\['b1'\] must be"),
        ("W2", np.zeros((7, 4)), r"params\['W2'\] must be"),
        ("b2", 0.0, r"params\['b2'\] must be"),
        ("b2", ["a", "b", "c"], r"params\['b2'\] must be"),
        ("b1", np.full(7, np.nan), r"params\['b1'\] holds values that are NaN or infinite in float64"),
        ("W2", None, "W2 is missing"),
    ],
)
def test_parameters_of_the_students_making_are_checked(name, value, message):
    net = make_net()
    if value is None:
        del net.params[name]
    else:
        net.params[name] = value
    for call in (lambda: net.loss(X), lambda: net.predict(X), lambda: net.train(X, Y, X_VAL, Y_VAL)):
        with pytest.raises(ValueError, match=message):
            call()


def test_parameters_beyond_float32_are_refused():
    net = make_net()
    net.params["b1"] = np.full(7, 1e300)
    assert np.isfinite(net.loss(X)).all()
    with pytest.raises(ValueError, match=r"params\['b1'\] holds values that are NaN or infinite in float32"):
        net.loss(X.astype(np.float32))


@pytest.mark.parametrize(
    ("name", "values"),
    [("input_size", [0]), ("hidden_size", [0, 2.5]), ("output_size", [0, 1]), ("std", [-1.0, np.nan])],
)
def test_sizes_and_scale_are_checked(name, values):
    for value in values:
        arguments = {"input_size": 4, "hidden_size": 5, "output_size": 3, name: value}
        with pytest.raises(ValueError, match=f"^{name} must"):
            TwoLayerNet(**arguments)
