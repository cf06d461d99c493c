"""TwoLayerNet against a plain NumPy version of the homework, and errors."""

import numpy as np
import pytest
from conftest import assert_raises
from naive_two_layer_net import NAMES, NumpyTwoLayerNet, make_data

from fastlin import TwoLayerNet

X, Y, X_VAL, Y_VAL = make_data()
X_WITH_NAN, X_WITH_INFINITY = (np.where(np.arange(6) == 3, value, X) for value in (np.nan, np.inf))
INVALID_INPUT = {
    "X": [X[:, :5], X[0], X[:0], X_WITH_NAN, X_WITH_INFINITY, X.astype(str), X + 1j, None, X[:-1]],
    "X_val": [X_VAL[:, :5], X_VAL[:0], X_WITH_NAN[:25]],
    "y": [Y[:-1], Y + 1, Y - 1, Y.astype(float), np.eye(3, dtype=int)[Y], None],
    "y_val": [Y_VAL[:-1], Y_VAL + 1, Y_VAL > 0],
    "learning_rate": [-0.1, np.inf, np.nan, "fast"],
    "learning_rate_decay": [0.0, 1.1, None],
    "reg": [-1e-9, np.nan],
    "momentum": [1.0, -0.1],
    "num_iters": [0, 1.5],
    "batch_size": [0, -1, 2.0],
}
INVALID_SIZES = {"input_size": [0], "hidden_size": [0, 2.5], "output_size": [0, 1], "std": [-1.0, np.nan]}


def make_net(d=6, n_classes=3, std=0.5, kind=TwoLayerNet):
    np.random.seed(5)
    return kind(d, 7, n_classes, std)


def assert_same_params(actual, expected, tolerance=0.0):
    assert sorted(actual) == sorted(NAMES)
    for name in NAMES:
        np.testing.assert_allclose(actual[name], expected[name], atol=tolerance, rtol=0)


def assert_same_results(net, X, y, reg, tolerance=1e-13):
    """Compare probabilities, loss and gradients with those of NumPy for the same parameters; return the gradients."""
    plain = make_net(kind=NumpyTwoLayerNet)
    plain.params = {name: values.astype(np.float64) for name, values in net.params.items()}
    np.testing.assert_allclose(net.loss(X), plain.loss(X), atol=tolerance)
    (loss, grads), (expected_loss, expected) = net.loss(X, y, reg), plain.loss(X, y, reg)
    assert loss == pytest.approx(expected_loss, abs=tolerance)
    assert_same_params(grads, expected, tolerance)
    return grads


@pytest.mark.parametrize(
    ("n_classes", "options"),
    [
        (2, {}),
        (3, {"batch_size": 12, "momentum": 0.8, "learning_rate_decay": 0.7}),
        (10, {"batch_size": 1, "reg": 0.0}),
        (3, {"batch_size": 60, "reg": 0.2, "learning_rate_decay": 1.0}),
        (3, {"batch_size": 45, "momentum": 0.5}),
        (2, {"batch_size": 200, "learning_rate": 0.0}),
    ],
    ids=str,
)
def test_training_equals_the_numpy_loop(n_classes, options):
    data = make_data(60, 11, n_classes)
    net, plain = make_net(11, n_classes), make_net(11, n_classes, kind=NumpyTwoLayerNet)
    assert_same_params(net.params, plain.params)
    assert {values.dtype for values in net.params.values()} == {np.dtype(np.float64)}
    learning_rate_options = {"learning_rate": 0.1, "learning_rate_decay": 0.9}
    options = {**learning_rate_options, "reg": 0.01, "num_iters": 40, "batch_size": 20, **options}
    results, next_random_numbers = [], []
    for network in (net, plain):
        np.random.seed(8)
        results.append(network.train(*data, **options))
        # `train` generates no other random numbers from the global state.
        next_random_numbers.append(np.random.random())
    actual, expected = results
    assert next_random_numbers[0] == next_random_numbers[1]
    assert list(actual) == list(expected)
    for name in expected:
        assert isinstance(actual[name], list)
        np.testing.assert_allclose(actual[name], expected[name], atol=1e-12, rtol=0)
    assert_same_params(net.params, plain.params, 1e-12)
    assert not net.interrupted


def test_float32_rows_are_computed_in_float32():
    rows, net = X.astype(np.float32), make_net()
    grads = assert_same_results(net, rows, Y, 0.01, 1e-6)
    assert {array.dtype for array in (net.loss(rows), *grads.values())} == {np.dtype(np.float32)}
    net.train(rows, Y, X_VAL, Y_VAL, num_iters=3)
    for values in net.params.values():
        assert values.dtype == np.float64
        np.testing.assert_array_equal(values, values.astype(np.float32))


@pytest.mark.parametrize(
    ("dtype", "change"),
    [
        (np.uint8, np.asfortranarray),
        (np.int8, lambda X: np.repeat(X, 2, axis=1)[:, ::2]),
        (np.int64, np.ndarray.tolist),
        (np.float16, np.asarray),
    ],
)
def test_rows_of_any_type_and_layout_are_accepted(dtype, change):
    generator = np.random.default_rng(2)
    X, y = generator.integers(0, 100, (50, 6)).astype(dtype), generator.integers(0, 3, 50)
    y_column = y[:, np.newaxis].astype(np.uint8)
    net, same = make_net(std=0.01), make_net(std=0.01)
    rows = change(X)
    exact = X.astype(np.float64)
    np.testing.assert_array_equal(net.predict(rows), same.predict(exact))
    assert net.loss(rows, y_column)[0] == pytest.approx(same.loss(exact, y)[0], abs=1e-13)
    histories = []
    for network, data in ((net, (rows, y_column, rows, y_column)), (same, (exact, y, exact, y))):
        np.random.seed(8)
        histories.append(network.train(*data, num_iters=10, batch_size=20))
    assert histories[0] == histories[1]
    assert_same_params(net.params, same.params)


def test_parameters_can_be_changed_and_replaced():
    net = make_net()
    net.params["W1"] -= 0.1 * net.loss(X, Y)[1]["W1"]
    net.params["b2"] = np.array([1, 2, 3])
    net.params["W2"] = np.asfortranarray(net.params["W2"].astype(np.float32))
    grads = assert_same_results(net, X, Y, 0.1)
    # Returned gradients are not changed by later calls.
    copies = {name: grad.copy() for name, grad in grads.items()}
    net.loss(X[:10], Y[:10])
    assert_same_params(grads, copies)


def test_a_second_training_continues_with_zero_velocity():
    data, options = make_data(), (0.1, 0.9, 0.01, 5, 20, False, 0.9)
    net, plain = make_net(), make_net(kind=NumpyTwoLayerNet)
    params, arrays = net.params, dict(net.params)
    for network in (plain, net):
        np.random.seed(8)
        for _ in range(2):
            network.train(*data, *options)
    assert_same_params(net.params, plain.params, 1e-12)
    # `params` is still the same dict, but contains new arrays.
    assert net.params is params
    assert_same_params(arrays, make_net().params)


def test_predictions_break_ties_by_the_first_class():
    net = make_net()
    labels = net.predict(X)
    assert labels.dtype == np.int64
    assert len(np.unique(labels)) == 3
    np.testing.assert_array_equal(labels, net.loss(X).argmax(axis=1))
    # Scores whose two largest probabilities round to the same value, and equal scores.
    net.params["W2"] = np.zeros((7, 3))
    for best in ([1.0, 1.0 + 1e-15, -800.0], [0.0, 1.0, 1.0]):
        net.params["b2"] = np.array(best)
        np.testing.assert_array_equal(net.predict(X), np.ones(60))


@pytest.mark.parametrize(("dtype", "learning_rate"), [(np.float64, 1e4), (np.float32, 1e4), (np.float64, 1e307)])
def test_a_training_that_diverges_stops_with_the_last_finite_parameters(dtype, learning_rate):
    net, same, data = make_net(), make_net(), (X.astype(dtype), Y, X_VAL, Y_VAL)
    np.random.seed(8)
    with pytest.warns(RuntimeWarning, match="diverged") as caught:
        stats = net.train(*data, learning_rate, reg=1e-3, batch_size=20)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    n = len(stats["loss_history"])
    assert n < 100
    assert f"in iteration {n}," in str(caught[0].message)
    assert np.isfinite(stats["loss_history"]).all()
    assert all(np.isfinite(values).all() for values in net.params.values())
    assert not net.interrupted
    if n:
        np.random.seed(8)
        assert stats == same.train(*data, learning_rate, reg=1e-3, batch_size=20, num_iters=n)
    assert_same_params(net.params, same.params)


def test_an_infinite_loss_is_a_divergence():
    net, same = make_net(), make_net()
    for network in (net, same):
        network.params["W1"] *= 1e200
    with pytest.warns(RuntimeWarning, match="in iteration 0,"):
        stats = net.train(*make_data(), reg=1.0, learning_rate=0.0, num_iters=3)
    assert stats["loss_history"] == []
    assert_same_params(net.params, same.params)


def test_verbose_shows_a_progress_bar_with_the_loss(capsys):
    net = make_net()
    net.train(*make_data(), num_iters=12, batch_size=20)
    assert capsys.readouterr().out == ""
    stats = net.train(*make_data(), num_iters=12, batch_size=20, verbose=True)
    output = capsys.readouterr().out
    assert "12/12" in output
    assert f"loss {stats['loss_history'][-1]:.4f}" in output


@pytest.mark.parametrize("name", INVALID_INPUT)
def test_invalid_input_raises_before_anything_changes(name):
    net = make_net()
    before = make_net().params
    for value in INVALID_INPUT[name]:
        state = np.random.get_state()[2]
        arguments = {"X": X, "y": Y, "X_val": X_VAL, "y_val": Y_VAL, name: value}
        # With one row less in X, the invalid argument is y.
        message = rf"^{'y' if np.shape(value) == (59, 6) else name} must"
        assert_raises(message, net.train, **arguments)
        assert np.random.get_state()[2] == state
        assert_same_params(net.params, before)
        if name in ("X", "y", "reg") and not (name == "y" and value is None):
            assert_raises(message, net.loss, arguments["X"], arguments["y"], arguments.get("reg", 0.0))
        if name == "X" and np.shape(value) != (59, 6):
            assert_raises(message, net.predict, value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("W1", np.zeros((7, 6)), r"params\['W1'\] must be .* shape \(6, 7\).* shape \(7, 6\)"),
        ("b1", np.zeros((7, 1)), r"params\['b1'\] must be"),
        ("W2", np.zeros((7, 4)), r"params\['W2'\] must be"),
        ("b2", 0.0, r"params\['b2'\] must be"),
        ("b2", ["a", "b", "c"], r"params\['b2'\] must be"),
        ("b1", np.full(7, np.nan), r"params\['b1'\] contains values that are NaN or infinite in float64"),
        ("W2", None, "params must contain W1, b1, W2 and b2, got .* without W2"),
    ],
)
def test_parameters_set_by_the_user_are_checked(name, value, message):
    net = make_net()
    if value is None:
        del net.params[name]
    else:
        net.params[name] = value
    for call in (lambda: net.loss(X), lambda: net.predict(X), lambda: net.train(X, Y, X_VAL, Y_VAL)):
        assert_raises(message, call)


def test_parameters_that_overflow_float32_raise():
    net = make_net()
    net.params["b1"] = np.full(7, 1e300)
    assert np.isfinite(net.loss(X)).all()
    assert_raises(r"params\['b1'\] contains values that are NaN or infinite in float32", net.loss, X.astype(np.float32))


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in INVALID_SIZES.items() for value in values]
)
def test_invalid_sizes_and_scales_raise_an_error(name, value):
    arguments = {"input_size": 4, "hidden_size": 5, "output_size": 3, name: value}
    assert_raises(f"^{name} must", TwoLayerNet, **arguments)
